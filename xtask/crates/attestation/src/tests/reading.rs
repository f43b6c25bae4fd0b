//! What an index gives, in both forms, and what is not believed.

use super::*;

const UNCHANGED: fn(&mut Value, &mut Value) = |_, _| {};

#[test]
fn an_index_of_buildkit_gives_the_statements_of_each_platform() {
    let (index, store) = two();
    let reading = store.read(index.as_bytes());
    assert_eq!(reading.faults, []);
    let seen: Vec<_> = reading
        .images
        .iter()
        .map(|image| {
            assert_eq!(image.faults, []);
            let [statement] = image.statements.as_slice() else {
                panic!("{image:?}")
            };
            assert_eq!(statement.predicate_type, PredicateType::ProvenanceV02);
            assert_eq!(statement.subject, Subject::Named);
            assert_eq!(statement.form, Form::Image);
            assert_eq!(digest(&statement.bytes), statement.digest);
            let provenance = statement.provenance().unwrap().unwrap();
            assert_eq!(
                provenance.builder.as_deref(),
                Some("https://ci.example/run/7")
            );
            assert_eq!(provenance.arguments, Arguments::Unrecorded, "mode=min");
            (image.descriptor.digest.as_str(), image.platform.as_deref())
        })
        .collect();
    assert_eq!(
        seen,
        [(AMD64, Some("linux/amd64")), (ARM64, Some("linux/arm64"))]
    );
}

#[test]
fn an_image_without_a_name_has_statements_that_name_nothing() {
    let (index, store) = one();
    let reading = store.read(index.as_bytes());
    let [image] = reading.images.as_slice() else {
        panic!("{reading:?}")
    };
    assert_eq!(image.faults, []);
    assert_eq!(image.statements[0].subject, Subject::Unnamed);
}

#[test]
fn both_forms_are_read_and_told_apart() {
    for form in [Form::Image, Form::Artifact] {
        let (index, store) = by_hand(form, UNCHANGED);
        let reading = store.read(&index);
        let image = &reading.images[0];
        assert_eq!((&image.faults, &reading.faults), (&vec![], &vec![]));
        assert_eq!(image.statements[0].form, form);
        assert_eq!(image.statements[0].predicate_type, PredicateType::Spdx);
    }
}

#[test]
fn the_subject_of_an_artifact_stands_in_for_the_annotation() {
    let strip = |_: &mut Value, entry: &mut Value| {
        entry["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
    };
    let (index, store) = by_hand(Form::Artifact, strip);
    assert_eq!(store.read(&index).images[0].statements.len(), 1);
    let (index, store) = by_hand(Form::Image, strip);
    let reading = store.read(&index);
    assert_eq!(reading.faults[0].problem, Problem::NoSubject);
    assert!(reading.images[0].statements.is_empty());
}

#[test]
fn a_statement_about_another_image_is_a_fault() {
    let (index, store) = by_hand_about(Form::Image, &[ARM64], UNCHANGED);
    let reading = store.read(&index);
    assert_eq!(reading.images[0].statements, []);
    let fault = &reading.images[0].faults[0];
    assert!(matches!(&fault.problem, Problem::OtherSubject { wanted, .. } if wanted == AMD64));
    let says = fault.to_string();
    assert!(
        says.starts_with("layer 0 of attestation manifest sha256:"),
        "{says}"
    );
    assert!(says.contains(ARM64) && says.ends_with(AMD64), "{says}");
    let (index, store) = by_hand_about(Form::Image, &[ARM64, AMD64], UNCHANGED);
    assert_eq!(
        store.read(&index).images[0].statements[0].subject,
        Subject::Named
    );
    let (index, store) = by_hand_about(Form::Image, &["sha256:"], UNCHANGED);
    assert_eq!(store.read(&index).images[0].statements, []);
}

#[test]
fn an_attestation_manifest_must_agree_with_its_entry() {
    type Edit = fn(&mut Value, &mut Value);
    let cases: [(Form, Edit, &str); 7] = [
        (
            Form::Artifact,
            |manifest, _| manifest["subject"]["digest"] = json!(ARM64),
            "names",
        ),
        (
            Form::Artifact,
            |manifest, _| manifest["subject"] = Value::Null,
            "names no manifest",
        ),
        (
            Form::Image,
            |manifest, _| manifest["artifactType"] = json!("a/b"),
            "unknown type 'a/b'",
        ),
        (
            Form::Image,
            |manifest, _| manifest["schemaVersion"] = json!(1),
            "has schema 1",
        ),
        (
            Form::Image,
            |manifest, _| manifest["layers"] = json!(7),
            "is malformed",
        ),
        (
            Form::Image,
            |manifest, _| {
                manifest["layers"][0]["annotations"]["in-toto.io/predicate-type"] = json!(OWN);
            },
            "is annotated as 'https://example.org/verification/v1', but states",
        ),
        (
            Form::Image,
            |manifest, _| manifest["layers"][0]["digest"] = json!("sha256:0"),
            "sha256 digest",
        ),
    ];
    for (form, edit, says) in cases {
        let (index, store) = by_hand(form, edit);
        let reading = store.read(&index);
        let image = &reading.images[0];
        assert!(image.statements.is_empty(), "{says}");
        let fault = image.faults[0].to_string();
        assert!(fault.contains(says), "{fault}");
    }
}

#[test]
fn an_entry_about_no_image_is_a_fault_of_the_index_and_foreign_ones_are_none() {
    let (index, store) = by_hand(Form::Image, |_, entry| {
        entry["annotations"]["vnd.docker.reference.digest"] = json!(ARM64);
    });
    let reading = store.read(&index);
    let fault = reading.faults[0].to_string();
    assert!(
        fault.ends_with(&format!("is about {ARM64}, which the index does not have")),
        "{fault}"
    );
    let (index, store) = by_hand(Form::Image, |_, entry| {
        entry["annotations"]["vnd.docker.reference.type"] = json!("other");
    });
    let reading = store.read(&index);
    assert_eq!((reading.images.len(), reading.faults.len()), (1, 0));
    let (index, store) = by_hand(Form::Image, |manifest, _| {
        manifest["layers"][0]["mediaType"] = json!("application/other");
    });
    let image = &store.read(&index).images[0];
    assert!(image.statements.is_empty() && image.faults.is_empty());
}

#[test]
fn what_is_missing_or_damaged_is_a_fault_and_does_not_hide_the_rest() {
    let (index, store) = two();
    for part in store.0.keys() {
        let mut lame = store.clone();
        lame.0.remove(part);
        let reading = lame.read(index.as_bytes());
        let mut damaged = store.clone();
        damaged.put("x");
        damaged
            .0
            .entry(part.clone())
            .and_modify(|bytes| bytes[0] = b'[');
        for (reading, problem) in [
            (reading, Problem::Missing),
            (damaged.read(index.as_bytes()), Problem::Damaged),
        ] {
            let faults: Vec<_> = reading
                .images
                .iter()
                .flat_map(|image| &image.faults)
                .collect();
            let read: usize = reading
                .images
                .iter()
                .map(|image| image.statements.len())
                .sum();
            match faults.as_slice() {
                [] => assert_eq!(read, 2, "configurations are not read"),
                [fault] => assert_eq!((&fault.problem, read), (&problem, 1)),
                more => panic!("{more:?}"),
            }
        }
    }
}

#[test]
fn only_wanted_statements_are_fetched_and_an_error_of_the_caller_comes_back() {
    let (index, store) = two();
    let asked = std::cell::RefCell::new(Vec::new());
    let fetch = |part: Part, wanted: &Descriptor| {
        asked.borrow_mut().push(part);
        store.fetch()(part, wanted)
    };
    let pick = Pick::Only(vec![PredicateType::Spdx]);
    let question = Question { own: None, pick };
    let reading = read(index.as_bytes(), &question, fetch).unwrap();
    assert_eq!(*asked.borrow(), [Part::Manifest, Part::Manifest]);
    assert!(
        reading
            .images
            .iter()
            .all(|image| image.statements.is_empty())
    );
    let fails = |_: Part, _: &Descriptor| Err("no network");
    let error = read(index.as_bytes(), &question, fails).unwrap_err();
    assert_eq!(error, ReadError::Fetch("no network"));
}

#[test]
fn a_part_that_says_that_it_is_too_large_is_not_fetched() {
    let (index, store) = by_hand(Form::Image, |manifest, _| {
        manifest["layers"][0]["size"] = json!(1_u64 << 40);
    });
    let fault = store.read(&index).images[0].faults[0].to_string();
    assert!(
        fault.ends_with("has 1099511627776 bytes, the limit is 42991616"),
        "{fault}"
    );
}

#[test]
fn an_index_must_be_one() {
    for (index, says) in [
        ("", "the index is malformed"),
        ("{}", "the index is malformed: missing field"),
        (
            r#"{"schemaVersion":1,"manifests":[]}"#,
            "the index has schema 1, not 2",
        ),
        (
            r#"{"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"md5:0","size":1}]}"#,
            "entry 0 of the index has 'md5:0' for a sha256 digest",
        ),
        (
            r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#,
            "the index is malformed: duplicate field",
        ),
    ] {
        let error = read(
            index.as_bytes(),
            &Question::default(),
            Store::default().fetch(),
        );
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with(says), "{error}");
    }
}
