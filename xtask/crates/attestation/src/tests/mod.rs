//! What the tests share: a store of blobs, and the indexes that BuildKit wrote.

mod attaching;
mod hostile;
mod predicates;
mod reading;
mod writing;

use std::collections::BTreeMap;
use std::convert::Infallible;

use serde_json::{Value, json};

use crate::*;

/// The parts of an image, by digest.
#[derive(Default, Clone)]
pub struct Store(pub BTreeMap<String, Vec<u8>>);

impl Store {
    pub fn of(parts: &[&str]) -> Self {
        let parts = parts.iter().map(|part| part.as_bytes().to_vec());
        Self(parts.map(|part| (digest(&part), part)).collect())
    }

    pub fn put(&mut self, bytes: impl Into<Vec<u8>>) -> (String, usize) {
        let bytes = bytes.into();
        let (name, size) = (digest(&bytes), bytes.len());
        self.0.insert(name.clone(), bytes);
        (name, size)
    }

    pub fn take(&mut self, made: &Attestation) {
        for blob in made.blobs.iter().chain([&made.manifest]) {
            assert_eq!(digest(&blob.bytes), blob.digest);
            self.put(blob.bytes.clone());
        }
    }

    pub fn fetch(&self) -> impl Fn(Part, &Descriptor) -> Result<Option<Vec<u8>>, Infallible> {
        |_, wanted| Ok(self.0.get(&wanted.digest).cloned())
    }

    pub fn read(&self, index: &[u8]) -> Reading {
        let own = Some(OWN.to_owned());
        let pick = Pick::All;
        read(index, &Question { own, pick }, self.fetch()).unwrap()
    }
}

pub const OWN: &str = "https://example.org/verification/v1";

/// Two platforms, exported with a name and `mode=min` (BuildKit in Docker with buildx 0.13.1).
pub fn two() -> (&'static str, Store) {
    let store = Store::of(&[
        include_str!("fixtures/two/0275.json"),
        include_str!("fixtures/two/2006.json"),
        include_str!("fixtures/two/2127.json"),
        include_str!("fixtures/two/876c.json"),
        include_str!("fixtures/two/8fc2.json"),
        include_str!("fixtures/two/bf36.json"),
    ]);
    (include_str!("fixtures/two/index.json"), store)
}

/// One platform, exported without a name and with `mode=max`.
pub fn one() -> (&'static str, Store) {
    let store = Store::of(&[
        include_str!("fixtures/one/2bf5.json"),
        include_str!("fixtures/one/6a69.json"),
        include_str!("fixtures/one/8529.json"),
    ]);
    (include_str!("fixtures/one/index.json"), store)
}

pub const AMD64: &str = "sha256:72fb755c7cf109eb4a0688039db815cc025a1978d79346bc7a04711bb72812eb";
pub const ARM64: &str = "sha256:c7e0848d81a2809babb1fd62772a39d018a055a453d10fd68cdd58c8241eda36";

pub fn target(digest: &str) -> Descriptor {
    Descriptor {
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        digest: digest.to_owned(),
        size: 480,
    }
}

pub fn claim(predicate_type: &str, predicate: Value) -> Claim {
    Claim::Predicate {
        subject: "_".to_owned(),
        predicate_type: predicate_type.to_owned(),
        predicate,
    }
}

pub fn own(passed: bool) -> Claim {
    claim(OWN, json!({ "passed": passed }))
}

/// An index of one image with an attestation manifest, both made by hand.
pub fn by_hand(form: Form, change: impl FnOnce(&mut Value, &mut Value)) -> (Vec<u8>, Store) {
    by_hand_about(form, &[AMD64], change)
}

/// The same, with a statement that names these manifests.
pub fn by_hand_about(
    form: Form,
    named: &[&str],
    change: impl FnOnce(&mut Value, &mut Value),
) -> (Vec<u8>, Store) {
    let mut store = Store::default();
    let hex = |digest: &&str| json!({"digest": {"sha256": digest.replace("sha256:", "")}});
    let subject: Vec<Value> = named.iter().map(hex).collect();
    let statement = json!({"_type": "https://in-toto.io/Statement/v1", "subject": subject,
        "predicateType": "https://spdx.dev/Document", "predicate": {"spdxVersion": "SPDX-2.3"}});
    let (layer, size) = store.put(statement.to_string());
    let mut manifest = json!({"schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "layers": [{"mediaType": "application/vnd.in-toto+json", "digest": layer, "size": size,
            "annotations": {"in-toto.io/predicate-type": "https://spdx.dev/Document"}}]});
    if form == Form::Artifact {
        manifest["artifactType"] = json!("application/vnd.docker.attestation.manifest.v1+json");
        manifest["subject"] = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": AMD64, "size": 480});
    }
    let mut entry = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json",
        "annotations": {"vnd.docker.reference.digest": AMD64,
            "vnd.docker.reference.type": "attestation-manifest"},
        "platform": {"architecture": "unknown", "os": "unknown"}});
    change(&mut manifest, &mut entry);
    let (name, size) = store.put(manifest.to_string());
    entry["digest"] = json!(name);
    entry["size"] = json!(size);
    let index = json!({"schemaVersion": 2, "manifests": [
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": AMD64, "size": 480,
            "platform": {"architecture": "amd64", "os": "linux"}}, entry]});
    (index.to_string().into_bytes(), store)
}
