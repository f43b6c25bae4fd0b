//! A layer that was read whole.

use serde::{Deserialize, Serialize};

use super::decompress::Compression;
use super::digest::Digest;
use super::rule::{ContentRule, Findings};
use super::table::FileTable;
use crate::outside::state::bundle::{put, take};

/// A layer's entries and findings. The entries depend on the layer's bytes alone, the findings also
/// on the versions of the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The digest of the blob, by which manifests name the layer. Verified.
    pub digest: Digest,
    /// The digest of the uncompressed archive, by which configurations name the layer. Verified.
    pub diff_id: Digest,
    /// How the blob is compressed.
    pub compression: Compression,
    /// Bytes of the blob.
    pub compressed: u64,
    /// Bytes of the uncompressed archive.
    pub plain: u64,
    /// Its entries.
    pub table: FileTable,
    /// What each rule found.
    pub findings: Vec<Findings>,
}

/// The part of a layer that is saved beside its table.
#[derive(Serialize, Deserialize)]
struct About {
    digest: Digest,
    diff_id: Digest,
    compression: Compression,
    compressed: u64,
    plain: u64,
    findings: Vec<Findings>,
}

impl Layer {
    /// Whether all of these rules, in these versions, have looked at the layer.
    pub fn was_seen_by(&self, rules: &[Box<dyn ContentRule>]) -> bool {
        rules.iter().all(|rule| {
            let mut all = self.findings.iter();
            all.any(|seen| seen.rule == rule.name() && seen.version == rule.version())
        })
    }

    /// The layer in bytes, to be saved. `None` if the layer is too large for that.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let about = About {
            digest: self.digest,
            diff_id: self.diff_id,
            compression: self.compression,
            compressed: self.compressed,
            plain: self.plain,
            findings: self.findings.clone(),
        };
        let mut bytes = Vec::new();
        put(&mut bytes, &serde_json::to_vec(&about).ok()?)?;
        put(&mut bytes, &self.table.to_bytes()?)?;
        Some(bytes)
    }

    /// Reads what `to_bytes` wrote. `None` for anything else.
    pub fn of_bytes(mut bytes: &[u8]) -> Option<Self> {
        let about: About = serde_json::from_slice(take(&mut bytes)?).ok()?;
        let table = FileTable::of_bytes(take(&mut bytes)?)?;
        let is_right = |found: &super::ContentFinding| (found.entry as usize) < table.len();
        let all = about.findings.iter().flat_map(|seen| &seen.found);
        (bytes.is_empty() && all.into_iter().all(is_right)).then_some(Self {
            digest: about.digest,
            diff_id: about.diff_id,
            compression: about.compression,
            compressed: about.compressed,
            plain: about.plain,
            findings: about.findings,
            table,
        })
    }
}
