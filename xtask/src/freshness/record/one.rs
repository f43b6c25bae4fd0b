//! One record: the image that a build produced, and what is known of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::freshness::key::Key;
use crate::outside::index::ManifestEntry;
use crate::outside::place::ImagePlace;

/// What a build of one key produced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The key.
    pub key: Key,
    /// `sha256:…`: the image's id in the engine's store; elsewhere the digest of its manifest, or of
    /// the index of a stage that is assembled from parts.
    pub image: String,
    /// The handle of the place where it is (`ImagePlace`). In the engine's store that is the
    /// private reference that keeps the image from being pruned.
    pub private: String,
    /// The public references that the image was given.
    pub references: Vec<String>,
    /// The image's size in bytes, as the engine reports it.
    pub size: u64,
    /// How long the build took, in milliseconds.
    pub duration_ms: u64,
    /// When it ended, in milliseconds since 1970.
    pub ended_ms: u64,
    /// The values in the image that are not in the key. Records of older programs have none.
    #[serde(default, skip_serializing_if = "Volatile::is_empty")]
    pub volatile: Volatile,
    /// The image's manifest, if buildx named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<RecordedManifest>,
    /// The identities of the parts that an image is assembled from, in the order of its platforms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
}

impl Record {
    /// What stages that stand on it, and checks of it, know it by: the digest of the configuration,
    /// for each platform. It is the same in every store, however layers are compressed. Without a
    /// buildx that names it, this is the id in the engine's store, which is never that of another
    /// image.
    pub fn identity(&self) -> String {
        match &self.manifest {
            Some(manifest) => manifest.config.clone(),
            None if self.parts.is_empty() => self.image.clone(),
            None => self.parts.join(" "),
        }
    }

    /// Whether another record is of the same image in the same place.
    pub fn is_same_image(&self, other: &Self) -> bool {
        (&self.image, &self.private) == (&other.image, &other.private)
    }

    /// Where the image is.
    pub fn place(&self) -> ImagePlace {
        ImagePlace::of(&self.private)
    }
}

/// The manifest of an image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedManifest {
    /// The manifest.
    pub descriptor: ManifestEntry,
    /// The digest of the image's configuration. Unlike that of the manifest it is the same in every
    /// store, however the layers are compressed.
    pub config: String,
}

/// Volatile values of a stage, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Volatile {
    /// Build arguments.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<String, String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Volatile {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.arguments.is_empty() && self.labels.is_empty()
    }
}
