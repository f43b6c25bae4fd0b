//! What lies in the repository of records, for a decision about its age.

use super::SharedRecord;
use super::artifact::Artifact;
use super::outputs::SharedOutputs;
use crate::freshness::key::Key;

/// What an artifact in the registry is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SharedThing {
    /// The image of a key.
    Record {
        /// The key.
        key: Key,
        /// The stage's name.
        stage: String,
        /// When the build ended, in milliseconds since 1970.
        ended_ms: u64,
        /// The image: `host/path@digest`.
        image: String,
    },
    /// What a host command made.
    Outputs {
        /// The key of what the command would make.
        question: String,
        /// When it was put there, in milliseconds since 1970. Older programs did not say it.
        made_ms: Option<u64>,
        /// The bytes of the archive.
        size: u64,
    },
}

impl SharedThing {
    /// Reads a manifest; `None` if it is nothing of this program's. Who signed it does not count.
    pub fn of(manifest: &[u8]) -> Option<Self> {
        let artifact = Artifact::read(manifest).ok()?;
        if let Ok(record) = serde_json::from_str::<SharedRecord>(&artifact.text) {
            return Some(Self::Record {
                key: record.key,
                stage: record.stage,
                ended_ms: record.ended_ms,
                image: format!("{}@{}", record.repository, record.manifest.digest),
            });
        }
        let outputs = serde_json::from_str::<SharedOutputs>(&artifact.text).ok()?;
        Some(Self::Outputs {
            question: outputs.question,
            made_ms: artifact
                .made
                .and_then(|made| u64::try_from(made * 1000).ok()),
            size: outputs.blob.size,
        })
    }
}
