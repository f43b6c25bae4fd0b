//! The manifest of a shared record: an OCI artifact without content, whose annotations say
//! everything (opencontainers/image-spec, `manifest.md`, *Guidelines for Artifact Usage*).

use serde_json::{Value, json};

use super::signing::Signature;
use crate::outside::index::ManifestEntry;
use crate::outside::push::MANIFEST;

/// What kind of artifact it is.
const TYPE: &str = "application/vnd.dify.xtask.record.v1+json";
/// The annotation with the record.
const RECORD: &str = "xtask.record";
/// The annotation with the signature of exactly that text.
const SIGNATURE: &str = "xtask.signature";
/// The annotation with the time at which it was put there (opencontainers/image-spec,
/// `annotations.md`).
const CREATED: &str = "org.opencontainers.image.created";
/// The media type of the content of an artifact that has none.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// That content.
const EMPTY_BYTES: &[u8] = b"{}";

/// A text with its signature, as a registry keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The text.
    pub text: String,
    /// Who signed it, if anybody did.
    pub signature: Option<Signature>,
    /// A blob that belongs to it. The text names it, too: here it stands so that the registry keeps
    /// it.
    pub content: Option<ManifestEntry>,
    /// When it was put there, in seconds since 1970. Nothing but its age follows from it.
    pub made: Option<i64>,
}

/// The blobs that a registry must have before it takes an artifact.
pub fn blobs() -> impl Iterator<Item = &'static [u8]> {
    std::iter::once(EMPTY_BYTES)
}

impl Artifact {
    /// Reads a manifest. The error is a clause.
    pub fn read(manifest: &[u8]) -> Result<Self, &'static str> {
        let manifest: Value = serde_json::from_slice(manifest).map_err(|_| "it is not readable")?;
        if manifest.get("artifactType").and_then(Value::as_str) != Some(TYPE) {
            return Err("it is something else");
        }
        let annotation = |name: &str| manifest.get("annotations")?.get(name)?.as_str();
        let text = annotation(RECORD).ok_or("it says nothing")?.to_owned();
        let signature = match annotation(SIGNATURE) {
            None => None,
            Some(signature) => {
                Some(Signature::read(signature).ok_or("its signature is not readable")?)
            }
        };
        Ok(Self {
            text,
            signature,
            content: None,
            made: annotation(CREATED).and_then(calendar::rfc3339),
        })
    }

    /// The manifest.
    pub fn bytes(&self) -> Vec<u8> {
        let empty = json!({
            "mediaType": EMPTY,
            "digest": crate::outside::index::digest(EMPTY_BYTES),
            "size": EMPTY_BYTES.len(),
        });
        let content = self.content.as_ref();
        let layer = content.map_or_else(|| empty.clone(), |content| json!(content));
        let mut annotations = json!({ RECORD: self.text });
        if let Some(signature) = &self.signature {
            annotations[SIGNATURE] = Value::String(signature.to_string());
        }
        if let Some(made) = self.made {
            annotations[CREATED] = Value::String(calendar::shown(made).1);
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": TYPE,
            "config": empty,
            "layers": [layer],
            "annotations": annotations,
        });
        manifest.to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::signing::Signer;
    use super::*;

    #[test]
    fn an_artifact_is_read_as_it_was_written_and_nothing_else_is_one() {
        let text = "{\"a\":\"\u{e9}\"}".to_owned();
        let signature = Some(Signer::new_key().unwrap().sign(&text));
        for (signature, made) in [(None, None), (signature, Some(1_700_000_000))] {
            let artifact = Artifact {
                text: text.clone(),
                signature,
                content: None,
                made,
            };
            assert_eq!(Artifact::read(&artifact.bytes()), Ok(artifact));
        }
        for other in ["", "{}", "[]", "{\"artifactType\":1}"] {
            assert!(Artifact::read(other.as_bytes()).is_err(), "{other}");
        }
    }
}
