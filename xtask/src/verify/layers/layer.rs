//! A layer that was read whole.

use super::decompress::Compression;
use super::digest::Digest;
use super::rule::{Findings, Rule};
use super::table::Table;

/// All that is known of a layer. It depends on the layer's bytes alone, apart from the findings,
/// which depend on the rules' versions too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The digest of its blob, by which manifests name it. Checked.
    pub digest: Digest,
    /// The digest of its plain archive, by which configurations name it. Checked.
    pub diff_id: Digest,
    /// How the blob is compressed.
    pub compression: Compression,
    /// Bytes of the blob.
    pub compressed: u64,
    /// Bytes of the plain archive.
    pub plain: u64,
    /// Its entries.
    pub table: Table,
    /// What each rule found.
    pub findings: Vec<Findings>,
}

impl Layer {
    /// Whether all of these rules looked at it, in these versions.
    pub fn was_seen_by(&self, rules: &[Box<dyn Rule>]) -> bool {
        rules.iter().all(|rule| {
            let mut all = self.findings.iter();
            all.any(|seen| seen.rule == rule.name() && seen.version == rule.version())
        })
    }
}
