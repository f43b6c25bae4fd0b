//! The answer to one stage, and what those that stand on it may know of it.
//!
//! Is unaware of how the answer is found.

use super::Due;
use crate::key::{Ingredient, Key};
use crate::spec::StageId;
use crate::verdict::{Reason, Verdict};

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
    /// Its key; provisional where its upstream is not built.
    pub key: Key,
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
            // One that is only put back is known, too.
            Verdict::Fresh(record)
            | Verdict::Stale {
                healable: Some(record),
                ..
            } => Upstream::Image(record.image.clone()),
            Verdict::Stale { healable: None, .. } | Verdict::Unknown(_) => {
                Upstream::Unbuilt(self.key.hex())
            }
        }
    }

    /// The reason, unless the stage is fresh.
    pub fn reason(&self) -> Option<&Reason> {
        match &self.verdict {
            Verdict::Fresh(_) => None,
            Verdict::Stale { reason, .. } | Verdict::Unknown(reason) => Some(reason),
        }
    }

    /// A stage has no key before the host commands that it waits for have run; this one fits no record.
    /// One that waits for another stage's may be fresh after that, if it was built before.
    pub(super) fn unprepared(id: StageId, due: &Due, was_built: bool) -> Self {
        let reason = due.reason.clone();
        let verdict = if due.is_own || !was_built {
            let healable = None;
            Verdict::Stale { reason, healable }
        } else {
            Verdict::Unknown(reason)
        };
        Self {
            id,
            key: Key([0; 32]),
            verdict,
            made_of: Vec::new(),
            inputs: 0,
            input_bytes: 0,
        }
    }
}
