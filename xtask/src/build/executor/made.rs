//! What buildx says it made.
//!
//! Knows buildx's metadata file. Is unaware of what the engine holds.

use serde::Deserialize;

/// The image of one buildx call, by that call's own word. What stands under a reference right
/// after it may be another call's: one of another checkout, or one that outlived its killed
/// build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct MadeImage {
    /// Of the manifest, or of the index: what an engine with the containerd store calls the image.
    #[serde(rename = "containerimage.digest")]
    digest: Option<String>,
    /// Of the configuration: what one with the classic store calls it.
    #[serde(rename = "containerimage.config.digest")]
    config: Option<String>,
}

impl MadeImage {
    /// Reads the bytes of a metadata file; what is none names no image.
    pub fn read(metadata: &[u8]) -> Self {
        serde_json::from_slice(metadata).unwrap_or_default()
    }

    /// Whether the engine's id is the image's. A buildx that names no image denies none.
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
        "containerimage.descriptor": {"digest": "sha256:d1", "size": 1282},
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
