//! Reads buildx's metadata file: which image buildx says it made.

use serde::Deserialize;

use crate::freshness::record::RecordedManifest;
use crate::outside::index::ManifestEntry;

/// The image that one buildx call says it made. The image that a reference names right after the
/// call may be another call's: one of another checkout, or one that outlived its killed build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct MadeImage {
    /// The digest of the manifest or the index, which is the image's id for an engine with the
    /// containerd store.
    #[serde(rename = "containerimage.digest")]
    digest: Option<String>,
    /// The digest of the configuration, which is the image's id for an engine with the classic
    /// store.
    #[serde(rename = "containerimage.config.digest")]
    config: Option<String>,
    /// The manifest or the index.
    #[serde(rename = "containerimage.descriptor")]
    descriptor: Option<ManifestEntry>,
}

impl MadeImage {
    /// Reads the bytes of a metadata file. An invalid file names no image.
    pub fn read(metadata: &[u8]) -> Self {
        serde_json::from_slice(metadata).unwrap_or_default()
    }

    /// The manifest with the digest of its configuration, if buildx named both.
    pub fn manifest(&self) -> Option<RecordedManifest> {
        Some(RecordedManifest {
            descriptor: self.descriptor.clone()?,
            config: self.config.clone()?,
        })
    }

    /// Whether `id`, as the engine gives it, is this image's. True for any id if buildx named no
    /// image.
    pub fn is(&self, id: &str) -> bool {
        let mut known = self.digest.iter().chain(&self.config).peekable();
        known.peek().is_none() || known.any(|digest| digest == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &[u8] = br#"{
        "buildx.build.ref": "default/default/hq9zu5mu8058bwpc9ymnbojdm",
        "containerimage.config.digest": "sha256:c0",
        "containerimage.descriptor": {"mediaType": "m", "digest": "sha256:d1", "size": 1282},
        "containerimage.digest": "sha256:d1",
        "image.name": "docker.io/t/a:latest"
    }"#;

    #[test]
    fn an_image_is_known_by_its_manifest_and_by_its_configuration_and_by_nothing_else() {
        let made = MadeImage::read(METADATA);
        assert!(made.is("sha256:d1") && made.is("sha256:c0"));
        assert!(!made.is("sha256:d2") && !made.is(""));
        let only = MadeImage::read(br#"{"containerimage.digest": "sha256:d1"}"#);
        assert!(only.is("sha256:d1") && !only.is("sha256:c0"));
    }

    #[test]
    fn a_buildx_that_names_no_image_denies_none() {
        for text in ["", "{}", "[]", "{\"containerimage.digest\": 1}", "\0"] {
            assert!(MadeImage::read(text.as_bytes()).is("sha256:d1"), "{text}");
        }
    }
}
