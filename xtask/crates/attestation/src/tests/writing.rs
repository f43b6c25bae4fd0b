//! Attestation manifests that are made here.

use super::*;

#[test]
fn the_same_statement_gives_the_manifest_that_buildkit_wrote() {
    let (index, store) = two();
    for image in store.read(index.as_bytes()).images {
        let statement = &image.statements[0];
        let whole = Claim::Whole(statement.bytes.clone());
        let made = attestation_manifest(&image.descriptor, &[whole], Form::Image).unwrap();
        assert_eq!(made.manifest.digest, statement.manifest);
        for blob in made.blobs.iter().chain([&made.manifest]) {
            assert_eq!(store.0.get(&blob.digest), Some(&blob.bytes));
        }
        let entry: Value = serde_json::from_str(&made.entry).unwrap();
        let all: Value = serde_json::from_str(index).unwrap();
        assert!(
            all["manifests"].as_array().unwrap().contains(&entry),
            "{entry}"
        );
    }
}

#[test]
fn an_artifact_has_the_fields_that_buildkit_documents() {
    let made = attestation_manifest(&target(AMD64), &[own(true)], Form::Artifact).unwrap();
    let [config, statement] = made.blobs.as_slice() else {
        panic!("{made:?}")
    };
    assert_eq!(config.bytes, b"{}");
    let expected = format!(
        r#"{{
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.manifest.v1+json",
  "artifactType": "application/vnd.docker.attestation.manifest.v1+json",
  "config": {{
    "mediaType": "application/vnd.oci.empty.v1+json",
    "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    "size": 2,
    "data": "e30="
  }},
  "layers": [
    {{
      "mediaType": "application/vnd.in-toto+json",
      "digest": "{}",
      "size": {},
      "annotations": {{
        "in-toto.io/predicate-type": "{OWN}"
      }}
    }}
  ],
  "subject": {{
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "digest": "{AMD64}",
    "size": 480
  }}
}}"#,
        statement.digest,
        statement.bytes.len()
    );
    assert_eq!(String::from_utf8(made.manifest.bytes).unwrap(), expected);
}

#[test]
fn a_statement_has_the_fields_of_in_toto() {
    let bytes = statement("_", AMD64, OWN, &json!({"passed": true})).unwrap();
    let hex = AMD64.replace("sha256:", "");
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","predicateType":"{OWN}","subject":[{{"name":"_","digest":{{"sha256":"{hex}"}}}}],"predicate":{{"passed":true}}}}"#
        )
    );
}

#[test]
fn what_cannot_be_attached_is_refused() {
    let object = json!({});
    for (result, says) in [
        (
            statement("_", "sha256:1", OWN, &object),
            "'sha256:1' for a sha256 digest",
        ),
        (statement("_", AMD64, "", &object), "has no predicate type"),
        (
            statement("_", AMD64, OWN, &json!(7)),
            "has a predicate that is not an object",
        ),
    ] {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let other = statement("_", ARM64, OWN, &object).unwrap();
    let unnamed =
        br#"{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"a:b"}"#;
    for (claims, says) in [
        (vec![], "has no statement"),
        (vec![own(true); 65], "has more than 64 parts"),
        (vec![Claim::Whole(other)], "but is attached to"),
        (vec![Claim::Whole(unnamed.to_vec())], "names no manifest"),
        (vec![Claim::Whole(b"{}".to_vec())], "is malformed"),
    ] {
        let error = attestation_manifest(&target(AMD64), &claims, Form::Image).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(says) && error.contains(AMD64), "{error}");
    }
    assert!(attestation_manifest(&target("x"), &[own(true)], Form::Image).is_err());
}
