//! A release: what a publish puts into its targets, as `release.json` says it.

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Result};
use crate::freshness::planner::Workspace;
use crate::graphfile::spec::{Stage, names};
use crate::outside::index::ManifestEntry;
use crate::outside::state;

/// The version of the file. 1: the first.
const VERSION: u32 = 1;

/// A set of images that belong together. Its name is a hash over all that is said of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    version: u32,
    /// Its name, which follows from the rest.
    pub name: String,
    /// Its images, in the order in which their tags move.
    pub images: Vec<ReleasedImage>,
}

/// One image of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedImage {
    /// The stage.
    pub stage: String,
    /// The image's name in the graph file.
    pub image: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// The commit of its source, if that is known.
    pub commit: Option<String>,
    /// What the tags point to: an index or a manifest.
    pub top: ManifestEntry,
    /// The images for single platforms.
    pub platforms: Vec<ReleasedPlatform>,
    /// The digests of the manifests of what is attached.
    #[serde(default)]
    pub attached: Vec<String>,
    /// Whether it was verified.
    pub verified: VerifiedAs,
}

/// An image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedPlatform {
    /// `linux/arm64`.
    pub platform: String,
    /// The digest of its manifest.
    pub manifest: String,
    /// The digest of its configuration.
    pub config: String,
}

/// Whether an image was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifiedAs {
    /// It passed at this moment (RFC 3339).
    At(String),
    /// It did not, or was not tried, and is published all the same, for this reason.
    Not(String),
}

impl Release {
    /// The release of these images.
    pub fn of(images: Vec<ReleasedImage>) -> Self {
        let mut hash = blake3::Hasher::new();
        // Everything counts, so that no other release has this name.
        hash.update(&serde_json::to_vec(&images).unwrap_or_default());
        let name = hash.finalize().to_hex()[..12].to_owned();
        Self {
            version: VERSION,
            name,
            images,
        }
    }

    /// The JSON.
    pub fn json(&self) -> Vec<u8> {
        // A struct of texts, numbers and lists is always JSON.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Refuses a release of images that the graph does not publish. Its file may come from anywhere.
    pub fn refuse_foreign(&self, work: &Workspace) -> Result<()> {
        for image in &self.images {
            let mut stages = work.spec.stages.iter();
            let is_it = |stage: &Stage| {
                stage.name == image.stage && stage.image.as_deref() == Some(&image.image)
            };
            let has_tags = image.tags.iter().all(|tag| names::tag(tag).is_ok());
            if !stages.any(is_it) || !has_tags {
                return Err(Fault::usage(format!(
                    "release {} has an image `{}` of a stage `{}`, which {} does not publish under that name: name a release of this graph",
                    self.name,
                    image.image.escape_debug(),
                    image.stage.escape_debug(),
                    work.spec.file
                )));
            }
        }
        Ok(())
    }

    /// The file of a release.
    pub fn file(work: &Workspace, name: &str) -> Utf8PathBuf {
        work.state.path("releases").join(format!("{name}.json"))
    }

    /// Writes the file.
    pub fn save(&self, work: &Workspace) -> Result<()> {
        let file = Self::file(work, &self.name);
        state::write_atomically(&file, &self.json())
            .map_err(|error| Fault::lacks(format!("cannot write the release {file}: {error}")))
    }

    /// Whether the name follows from the rest.
    fn is_genuine(&self) -> bool {
        self.version == VERSION && Self::of(self.images.clone()).name == self.name
    }

    /// Reads the JSON of a release; `None` for anything else.
    pub fn parse(json: &[u8]) -> Option<Self> {
        let release: Self = serde_json::from_slice(json).ok()?;
        release.is_genuine().then_some(release)
    }

    /// Reads a release by its name, or by the path of a file.
    pub fn read(work: &Workspace, name: &str) -> Result<Self> {
        let is_name = name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let file = if is_name {
            Self::file(work, name)
        } else {
            Utf8PathBuf::from(name)
        };
        let bytes = std::fs::read(&file).map_err(|error| {
            Fault::usage(format!(
                "cannot read the release {file}: {error}; name one of {}, or the path of a release.json",
                work.state.path("releases")
            ))
        })?;
        let release: Self = serde_json::from_slice(&bytes)
            .map_err(|error| Fault::usage(format!("{file} is not a release: {error}")))?;
        if !release.is_genuine() {
            return Err(Fault::usage(format!(
                "{file} is not a release as this program wrote it: its name does not follow from its images"
            )));
        }
        Ok(release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_release_is_named_by_its_images_and_tags() {
        let image = |digest: &str, tag: &str| ReleasedImage {
            stage: "a".to_owned(),
            image: "t/a".to_owned(),
            tags: vec![tag.to_owned()],
            commit: None,
            top: ManifestEntry {
                media_type: "m".to_owned(),
                digest: digest.to_owned(),
                size: 1,
                platform: None,
                annotations: BTreeMap::new(),
            },
            platforms: Vec::new(),
            attached: Vec::new(),
            verified: VerifiedAs::At("2026-11-29T00:00:00Z".to_owned()),
        };
        let name = |digest, tag| Release::of(vec![image(digest, tag)]).name;
        assert_eq!(name("sha256:1", "1"), name("sha256:1", "1"));
        assert_ne!(name("sha256:1", "1"), name("sha256:2", "1"));
        assert_ne!(name("sha256:1", "1"), name("sha256:1", "2"));
        let read: Release =
            serde_json::from_slice(&Release::of(vec![image("sha256:1", "1")]).json()).unwrap();
        assert_eq!(read, Release::of(vec![image("sha256:1", "1")]));
    }
}
