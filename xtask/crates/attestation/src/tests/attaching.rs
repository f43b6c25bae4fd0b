//! Attestations that are added to an index.

use proptest::prelude::*;

use super::PredicateType::{Own, ProvenanceV02, Spdx};
use super::*;

fn change(form: Form, earlier: Earlier, additions: Vec<(&str, Vec<Claim>)>) -> Change {
    let additions = additions.into_iter().map(|(about, claims)| Addition {
        about: about.to_owned(),
        claims,
    });
    Change {
        form,
        earlier,
        additions: additions.collect(),
        annotations: Vec::new(),
    }
}

fn add(index: &[u8], store: &mut Store, change: &Change) -> Vec<u8> {
    let new = attach(index, change, store.fetch()).unwrap();
    assert_eq!(digest(&new.index.bytes), new.index.digest);
    for made in &new.attestations {
        store.take(made);
    }
    let (before, after) = (store.read(index), store.read(&new.index.bytes));
    for (before, after) in before.images.iter().zip(&after.images) {
        assert_eq!(before.descriptor, after.descriptor);
        assert_eq!(before.platform, after.platform);
        assert_eq!(before.faults, after.faults);
    }
    assert_eq!(before.images.len(), after.images.len());
    new.index.bytes
}

fn types(store: &Store, index: &[u8]) -> Vec<Vec<PredicateType>> {
    let images = store.read(index).images.into_iter();
    let of = |image: Image| {
        let statements = image.statements.into_iter();
        statements
            .map(|statement| statement.predicate_type)
            .collect()
    };
    images.map(of).collect()
}

#[test]
fn new_statements_stand_beside_the_earlier_ones_and_the_old_text_stays() {
    for form in [Form::Image, Form::Artifact] {
        let (index, mut store) = two();
        let both = vec![(AMD64, vec![own(true)]), (ARM64, vec![own(false)])];
        let both = change(form, Earlier::Keep, both);
        let new = add(index.as_bytes(), &mut store, &both);
        let seen = types(&store, &new);
        assert_eq!(seen, vec![vec![ProvenanceV02, Own]; 2]);
        let old = index.trim_end_matches("\n  ]\n}");
        let text = String::from_utf8(new.clone()).unwrap();
        assert!(
            text.starts_with(&format!("{old},\n    {{\n      \"mediaType\"")),
            "{text}"
        );
        // The layout is that of BuildKit.
        let parsed: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string_pretty(&parsed).unwrap(), text);
        assert_eq!(add(&new, &mut store, &both), new, "twice is once");
    }
}

#[test]
fn replacing_takes_out_the_same_types_and_keeps_the_others() {
    let (index, mut store) = two();
    let spdx = claim(
        "https://spdx.dev/Document",
        json!({"spdxVersion": "SPDX-2.3"}),
    );
    let first = vec![(AMD64, vec![own(false), spdx])];
    let first = change(Form::Image, Earlier::Keep, first);
    let index = add(index.as_bytes(), &mut store, &first);
    let second = vec![(AMD64, vec![own(true)]), (ARM64, vec![own(true)])];
    let second = change(Form::Artifact, Earlier::Replace, second);
    let new = add(&index, &mut store, &second);
    let seen = types(&store, &new);
    assert_eq!(
        seen,
        [vec![ProvenanceV02, Spdx, Own], vec![ProvenanceV02, Own]]
    );
    let amd64 = &store.read(&new).images[0];
    let last = amd64.statements.last().unwrap();
    assert!(last.bytes.ends_with(br#""predicate":{"passed":true}}"#));
    assert_eq!(
        amd64.statements[0].form,
        Form::Image,
        "BuildKit's own stays untouched"
    );
    assert_eq!(add(&new, &mut store, &second), new, "twice is once");
}

#[test]
fn an_index_in_one_line_and_odd_entries_keep_their_bytes() {
    let odd = format!(
        "{{\"mediaType\":\"a/b\" , \"digest\":\"{ARM64}\",\"size\":1,\"x\":1.50e1,\"\\u0078\":[ ],\"y\":\"]}}\\\"\"}}"
    );
    let image = format!(
        r#"{{"mediaType":"m","digest":"{AMD64}","size":480,"platform":{{"os":"linux","architecture":"amd64"}}}}"#
    );
    let index = format!(
        r#" {{"annotations":{{"a":"1","b":"2"}},"schemaVersion":2,"manifests":[ {odd} ,{image}],"z":{{}} }} "#
    );
    let mut store = Store::default();
    let mut change = change(
        Form::Artifact,
        Earlier::Replace,
        vec![(AMD64, vec![own(true)])],
    );
    change.annotations = vec![
        ("a".to_owned(), "\n".to_owned()),
        ("c".to_owned(), "3".to_owned()),
    ];
    let new = String::from_utf8(add(index.as_bytes(), &mut store, &change)).unwrap();
    let head = format!(
        r#" {{"annotations":{{"a":"\n","b":"2","c":"3"}},"schemaVersion":2,"manifests":[{odd},{image},{{"mediaType""#
    );
    assert!(new.starts_with(&head), "{new}");
    assert!(new.ends_with(r#""os":"unknown"}}],"z":{} } "#), "{new}");
}

#[test]
fn annotations_come_last_if_there_were_none() {
    let (index, mut store) = two();
    let mut change = change(Form::Image, Earlier::Keep, vec![]);
    assert_eq!(add(index.as_bytes(), &mut store, &change), index.as_bytes());
    let name = "org.opencontainers.image.revision".to_owned();
    change.annotations = vec![(name, "f00".to_owned())];
    let new = String::from_utf8(add(index.as_bytes(), &mut store, &change)).unwrap();
    let tail =
        "\n  ],\n  \"annotations\": {\n    \"org.opencontainers.image.revision\": \"f00\"\n  }\n}";
    assert_eq!(new, format!("{}{tail}", index.trim_end_matches("\n  ]\n}")));
}

#[test]
fn what_cannot_be_added_is_refused() {
    let (index, store) = two();
    let nobody = format!("sha256:{}", "0".repeat(64));
    let twice = vec![(AMD64, vec![own(true)]), (AMD64, vec![own(true)])];
    let list = index.replace(
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    );
    let mut unnamed = change(Form::Image, Earlier::Keep, vec![]);
    unnamed.annotations = vec![(String::new(), "x".to_owned())];
    let of = |additions| change(Form::Image, Earlier::Replace, additions);
    for (index, change, says) in [
        (
            index,
            of(vec![(nobody.as_str(), vec![own(true)])]),
            "is about no image of the index",
        ),
        (index, of(twice), "occurs twice"),
        (index, of(vec![(AMD64, vec![])]), "has no statement"),
        (index, unnamed, "a new annotation of the index has no name"),
        (list.as_str(), of(vec![]), "which takes no attestations"),
        ("[]", of(vec![]), "the index is malformed"),
    ] {
        let error = attach(index.as_bytes(), &change, store.fetch())
            .unwrap_err()
            .to_string();
        assert!(error.contains(says), "{error}");
    }
    // An earlier manifest about another image is not carried over.
    let (other, store) = by_hand(Form::Artifact, |manifest, _| {
        manifest["subject"]["digest"] = json!(ARM64);
    });
    let spdx = claim("https://spdx.dev/Document", json!({}));
    let spdx = of(vec![(AMD64, vec![spdx])]);
    let error = attach(&other, &spdx, store.fetch())
        .unwrap_err()
        .to_string();
    assert!(error.contains("but is attached to"), "{error}");
    // What an earlier manifest holds must be known before something is replaced.
    let change = of(vec![(AMD64, vec![own(true)])]);
    let error = attach(index.as_bytes(), &change, Store::default().fetch()).unwrap_err();
    assert!(error.to_string().ends_with("is missing"), "{error}");
}

proptest! {
    #[test]
    fn entries_keep_their_bytes_in_every_layout(
        sizes in prop::collection::vec((any::<u64>(), "[a-z \\\\\"\\[\\]{}:,é]{0,12}"), 0..5),
        is_laid_out in any::<bool>(),
        noted in any::<bool>(),
    ) {
        let entries = sizes.iter().map(|(size, note)| {
            let name = digest(format!("{size}{note}").as_bytes());
            json!({"mediaType": "m", "digest": name, "size": size, "note": note})
        });
        let mut entries: Vec<Value> = entries.collect();
        entries.push(json!({"mediaType": "m", "digest": AMD64, "size": 480}));
        let index = json!({"schemaVersion": 2, "manifests": entries, "note": sizes.len()});
        let text = if is_laid_out {
            serde_json::to_string_pretty(&index).unwrap()
        } else {
            index.to_string()
        };
        let mut change = change(Form::Image, Earlier::Keep, vec![(AMD64, vec![own(true)])]);
        if noted {
            change.annotations = vec![("a".to_owned(), "b".to_owned())];
        }
        let new = attach(text.as_bytes(), &change, Store::default().fetch()).unwrap();
        let mut expected = index;
        let entry = serde_json::from_str(&new.attestations[0].entry).unwrap();
        expected["manifests"].as_array_mut().unwrap().push(entry);
        if noted {
            expected["annotations"] = json!({"a": "b"});
        }
        let expected = if is_laid_out {
            serde_json::to_string_pretty(&expected).unwrap()
        } else {
            expected.to_string()
        };
        prop_assert_eq!(String::from_utf8(new.index.bytes).unwrap(), expected);
    }
}
