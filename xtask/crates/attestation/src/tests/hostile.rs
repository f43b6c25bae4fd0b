//! Hostile bytes. Nothing panics, and little is kept of much.

use proptest::prelude::*;

use super::*;

/// Parts of indexes, manifests and statements, in any order.
const ODD: &str = r#"(\{|\}|\[|\]|,|:|"schemaVersion":2|"manifests"|"layers"|"annotations"|"digest"|"subject"|"predicate"|"packages"|"specVersion"|"components"|"a"|null|1e9|-|"\\u0000"|"é"| |\n){0,30}"#;

/// JSON of any shape with the names that are looked for.
fn json_of_any_shape() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "schemaVersion",
        "mediaType",
        "manifests",
        "digest",
        "size",
        "annotations",
        "platform",
        "layers",
        "subject",
        "artifactType",
        "_type",
        "predicateType",
        "predicate",
        "builder",
        "id",
        "materials",
        "invocation",
        "parameters",
        "args",
        "buildDefinition",
        "runDetails",
        "externalParameters",
        "metadata",
        "packages",
        "name",
        "components",
        "specVersion",
        "spdxVersion",
        "versionInfo",
        "configSource",
        "request",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(vec![0_i64, 1, 2, 480, -1, i64::MAX]).prop_map(Value::from),
        prop::sample::select(vec![
            AMD64,
            ARM64,
            "",
            "SPDX-2.3",
            "https://in-toto.io/Statement/v1"
        ])
        .prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6).prop_map(|fields| {
                let fields = fields.into_iter();
                Value::Object(
                    fields
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

/// Every way into the crate, with the same bytes for whatever is fetched.
fn try_all(bytes: &[u8], annotations: bool) {
    let any = |_: Part, _: &Descriptor| Ok::<_, Infallible>(Some(bytes.to_vec()));
    let _ = read(bytes, &Question::default(), any);
    let claims = vec![own(true)];
    let about = AMD64.to_owned();
    let mut change = Change {
        form: Form::Image,
        earlier: Earlier::Replace,
        additions: vec![Addition { about, claims }],
        annotations: vec![],
    };
    if annotations {
        change.annotations = vec![("a".to_owned(), "b".to_owned())];
    }
    for additions in [change.additions.clone(), vec![]] {
        change.additions = additions;
        if let Ok(new) = attach(bytes, &change, any) {
            serde_json::from_slice::<serde::de::IgnoredAny>(&new.index.bytes).unwrap();
        }
    }
    let _ = attestation_manifest(&target(AMD64), &[Claim::Whole(bytes.to_vec())], Form::Image);
    for predicate_type in [
        PredicateType::ProvenanceV02,
        PredicateType::ProvenanceV1,
        PredicateType::Spdx,
        PredicateType::CycloneDx,
    ] {
        let statement = Statement {
            predicate_type,
            uri: String::new(),
            subject: Subject::Unnamed,
            form: Form::Image,
            manifest: String::new(),
            digest: String::new(),
            bytes: bytes.to_vec(),
        };
        let _ = (statement.provenance(), statement.packages(3));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        odd in ODD,
        annotations in any::<bool>(),
    ) {
        try_all(&bytes, annotations);
        try_all(odd.as_bytes(), annotations);
        try_all(format!(r#"{{"schemaVersion":2,"manifests":[],{odd}}}"#).as_bytes(), annotations);
    }

    #[test]
    fn no_json_makes_it_panic(value in json_of_any_shape(), annotations in any::<bool>()) {
        try_all(value.to_string().as_bytes(), annotations);
        let whole = json!({"predicate": value, "schemaVersion": 2, "layers": value,
            "manifests": [value, {"digest": AMD64, "mediaType": "a/b", "size": 480}]});
        try_all(whole.to_string().as_bytes(), annotations);
    }

    #[test]
    fn a_real_index_with_other_parts_does_not_make_it_panic(
        value in json_of_any_shape(),
        at in 0_usize..6,
        member in 0_usize..8,
    ) {
        for (index, mut store) in [two(), one()] {
            let name = store.0.keys().nth(at).cloned();
            let edit = |text: &[u8]| {
                let mut whole: Value = serde_json::from_slice(text).unwrap();
                let fields = whole.as_object_mut().unwrap();
                if let Some((_, field)) = fields.iter_mut().nth(member) {
                    *field = value.clone();
                }
                whole.to_string().into_bytes()
            };
            try_all(&edit(index.as_bytes()), true);
            if let Some(name) = name {
                // The new part gets its digest everywhere, so that it is read.
                let new = edit(&store.0[&name]);
                let old_size = format!("\"size\": {}", store.0[&name].len());
                let (new_name, size) = store.put(new);
                let swap = |text: &str| {
                    text.replace(&name, &new_name).replace(&old_size, &format!("\"size\": {size}"))
                };
                let texts: Vec<String> = store.0.values()
                    .map(|bytes| swap(&String::from_utf8_lossy(bytes))).collect();
                for text in texts {
                    store.put(text);
                }
                store.read(swap(index).as_bytes());
            }
        }
    }

    #[test]
    fn a_text_that_is_cut_off_is_refused(at in 0_usize..1606) {
        let (index, store) = two();
        prop_assert!(read(&index.as_bytes()[..at], &Question::default(), store.fetch()).is_err());
    }
}

#[test]
fn deep_and_long_json_is_refused_or_walked_in_little_memory() {
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let nested = |n: usize| {
        let (open, close) = (r#"{"components":["#.repeat(n), "]}".repeat(n));
        format!(r#"{{"predicate":{{"specVersion":"1.5","components":[{open}{close}]}}}}"#)
    };
    let many = format!(
        r#"{{"predicate":{{"specVersion":"1.5","components":[{}{{}}]}}}}"#,
        "{},".repeat(3_000_000)
    );
    for text in [
        deep(100_000),
        nested(50_000),
        many.clone(),
        "[".repeat(1 << 20),
        "{\"a\":".repeat(1 << 18),
    ] {
        try_all(text.as_bytes(), true);
        try_all(
            format!(r#"{{"schemaVersion":2,"manifests":[],"x":{text}}}"#).as_bytes(),
            true,
        );
    }
    let statement = Statement {
        predicate_type: PredicateType::CycloneDx,
        uri: String::new(),
        subject: Subject::Unnamed,
        form: Form::Image,
        manifest: String::new(),
        digest: String::new(),
        bytes: many.into_bytes(),
    };
    assert_eq!(statement.packages(3).unwrap().unwrap().count, 3_000_001);
}

#[test]
fn lists_without_end_are_refused() {
    let entry = format!(r#"{{"mediaType":"m","digest":"{AMD64}","size":480}},"#).repeat(1025);
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        entry.trim_end_matches(',')
    );
    let error = read(
        index.as_bytes(),
        &Question::default(),
        Store::default().fetch(),
    )
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("a list has more than 1024 elements"),
        "{error}"
    );
    let large = format!("{}{}", " ".repeat(4 << 20), index);
    let error = read(
        large.as_bytes(),
        &Question::default(),
        Store::default().fetch(),
    )
    .unwrap_err();
    assert!(
        error.to_string().ends_with("the limit is 4194304"),
        "{error}"
    );
    let (index, store) = by_hand(Form::Image, |manifest, _| {
        manifest["layers"] = Value::from(vec![manifest["layers"][0].clone(); 65]);
    });
    let fault = store.read(&index).images[0].faults[0].to_string();
    assert!(
        fault.contains("a list has more than 64 elements"),
        "{fault}"
    );
}

#[test]
fn one_reading_looks_at_a_limited_number_of_layers() {
    let mut store = Store::default();
    let mut entries = vec![json!({"mediaType": "m", "digest": AMD64, "size": 480})];
    for at in 0..65 {
        let layer =
            json!({"mediaType": "application/vnd.in-toto+json", "digest": ARM64, "size": 0});
        let manifest = json!({"schemaVersion": 2, "at": at, "layers": vec![layer; 64]});
        let (digest, size) = store.put(manifest.to_string());
        let entry = json!({"mediaType": "m", "digest": digest, "size": size, "annotations": {
            "vnd.docker.reference.digest": AMD64, "vnd.docker.reference.type": "attestation-manifest"}});
        entries.extend([entry.clone(), entry]);
    }
    let index = json!({"schemaVersion": 2, "manifests": entries}).to_string();
    let mut asked = 0;
    let fetch = |part: Part, wanted: &Descriptor| {
        asked += 1;
        store.fetch()(part, wanted)
    };
    let reading = read(index.as_bytes(), &Question::default(), fetch).unwrap();
    assert_eq!(asked, 65 + 4096);
    let last = reading.images[0].faults.last().unwrap().to_string();
    assert!(
        last.ends_with("all attestations together may have 4096 layers"),
        "{last}"
    );
}

#[test]
fn what_others_wrote_is_shown_short_and_without_control_characters() {
    let bad = "\u{1b}[2J".repeat(10_000);
    let (index, store) = by_hand(Form::Image, |manifest, _| {
        manifest["artifactType"] = json!(bad)
    });
    let fault = store.read(&index).images[0].faults[0].to_string();
    assert!(
        fault.len() < 1500 && !fault.contains('\u{1b}') && fault.contains('…'),
        "{fault}"
    );
    let index = json!({"schemaVersion": bad, "manifests": []}).to_string();
    let error = read(index.as_bytes(), &Question::default(), store.fetch())
        .unwrap_err()
        .to_string();
    assert!(error.len() < 1500 && !error.contains('\u{1b}'), "{error}");
}
