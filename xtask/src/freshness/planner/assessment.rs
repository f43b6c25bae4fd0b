//! The answer to one stage, and what those that stand on it may know of it.
//!
//! Is unaware of how the answer is found.

use super::Due;
use crate::freshness::key::{Ingredient, Key};
use crate::freshness::verdict::{Reason, Verdict};
use crate::graphfile::spec::StageId;

/// A stage's upstream image, or what stands for it while that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// The image.
    Image(String),
    /// It must be built first; the key tells one unbuilt parent from another.
    Unbuilt(String),
}

/// A stage's answer.
#[derive(Debug)]
pub struct Assessment {
    /// The stage.
    pub id: StageId,
    /// Its key, provisional where its upstream is not built; none before the host commands that it
    /// waits for have run.
    pub key: Option<Key>,
    /// The verdict.
    pub verdict: Verdict,
    /// What the key was made of.
    pub made_of: Vec<Ingredient>,
    /// Number of inputs.
    pub inputs: usize,
    /// Their size.
    pub input_bytes: u64,
}

impl Assessment {
    /// What the stages that stand on this one may know of its image.
    pub fn upstream(&self) -> Upstream {
        match &self.verdict {
            Verdict::Fresh(record) | Verdict::Restorable(_, record) => {
                Upstream::Image(record.image.clone())
            }
            Verdict::Stale(_) | Verdict::Unknown(_) => Upstream::Unbuilt(self.shown_key()),
        }
    }

    /// The key as JSON has it: all zeros where there is none.
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

    /// A stage has no key before the host commands that it waits for have run.
    /// One that waits for another stage's may be fresh after that, if it was built before.
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
