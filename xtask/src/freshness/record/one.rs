//! One record: the image that a build produced, and what is known of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::freshness::key::Key;
use crate::outside::index::ManifestEntry;

/// What a build of one key produced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The key.
    pub key: Key,
    /// The image's id in the engine's store: `sha256:…`.
    pub image: String,
    /// The private reference that keeps the image from being pruned.
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
