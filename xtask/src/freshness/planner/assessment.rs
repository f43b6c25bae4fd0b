//! The answer for one stage, and what the stages that stand on it may know of the answer.

use std::sync::Arc;

use super::{Due, sharing};
use crate::freshness::key::{Ingredient, Key};
use crate::freshness::record::Record;
use crate::freshness::verdict::{Reason, Verdict};
use crate::graphfile::spec::StageId;

/// A stage's upstream image, or a stand-in while the image is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// The record of the image.
    Image(Arc<Record>),
    /// It must be built first. The key tells one unbuilt parent from another.
    Unbuilt(String),
}

/// The answer for one stage.
#[derive(Debug)]
pub struct Assessment {
    /// The stage.
    pub id: StageId,
    /// Its key, which is provisional if its upstream is not built. `None` before the host commands
    /// that it waits for have run.
    pub key: Option<Key>,
    /// The verdict.
    pub verdict: Verdict,
    /// The ingredients of the key.
    pub made_of: Vec<Ingredient>,
    /// Number of inputs.
    pub inputs: usize,
    /// Their size in bytes.
    pub input_bytes: u64,
}

impl Assessment {
    /// What the stages that stand on this one may know of its image.
    pub fn upstream(&self) -> Upstream {
        match &self.verdict {
            Verdict::Fresh(record) | Verdict::Restorable(_, record) => sharing::known(record),
            Verdict::Stale(_) | Verdict::Unknown(_) => Upstream::Unbuilt(self.shown_key()),
        }
    }

    /// The key as JSON has it: all zeros if there is none.
    pub fn shown_key(&self) -> String {
        let hex = self.key.map(|key| key.hex());
        hex.unwrap_or_else(|| "0".repeat(64))
    }

    /// The reason, unless the stage is fresh.
    pub fn reason(&self) -> Option<&Reason> {
        match &self.verdict {
            Verdict::Fresh(_) => None,
            Verdict::Restorable(reason, _) | Verdict::Stale(reason) | Verdict::Unknown(reason) => {
                Some(reason)
            }
        }
    }

    /// The answer for a stage that waits for a host command: it has no key yet. If the command is
    /// another stage's, this stage may be fresh after it, provided that it was built before.
    pub(super) fn unprepared(id: StageId, due: &Due, was_built: bool) -> Self {
        let reason = due.reason.clone();
        let verdict = if due.is_own || !was_built {
            Verdict::Stale(reason)
        } else {
            Verdict::Unknown(reason)
        };
        Self {
            id,
            key: None,
            verdict,
            made_of: Vec::new(),
            inputs: 0,
            input_bytes: 0,
        }
    }
}
