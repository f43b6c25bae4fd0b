//! How a run ends: the outcome of each stage, and what the run leaves in the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use super::{Now, Run};
use crate::fault::{Class, Fault, Result};
use crate::freshness::planner::Prepared;
use crate::graphfile::spec::{Parts, StageId};
use crate::report::event::{Event, Finished, Outcome};

/// What a run leaves in the engine.
pub(super) struct Left {
    /// The private references of the stages that have an image.
    pub(super) privates: BTreeSet<String>,
    /// Whether this run has built any image.
    pub(super) has_built: bool,
}

impl Run<'_> {
    /// Warns of fresh stages that use, without an edge in the graph, an image that this run has
    /// made.
    fn tell_unlinked(&self) {
        let was = |id: &StageId, outcome| self.now().outcome.get(id) == Some(&outcome);
        for id in self.wanted.iter().filter(|id| was(id, Outcome::Fresh)) {
            let Some(summary) = self.prepared.get(id).and_then(Prepared::summary) else {
                continue;
            };
            let unlinked = self.work.unlinked(*id, summary).into_iter();
            let made = unlinked.filter(|(maker, _)| {
                was(maker, Outcome::Built)
                    || was(maker, Outcome::Restored)
                    || was(maker, Outcome::Pulled)
            });
            made.for_each(|(_, note)| self.work.warn(note));
        }
    }

    /// The outcome of each stage by name, with the outcomes of its parts in it. A part that was
    /// asked for alone stands for itself.
    fn outcome_of_wholes(&self, now: &Now) -> BTreeMap<String, Outcome> {
        let spec = &self.work.spec;
        let is_shown = |id: &&StageId| {
            let whole = spec.whole_id(**id);
            whole == **id || !now.outcome.contains_key(&whole)
        };
        let shown = now.outcome.keys().filter(is_shown).map(|id| {
            let own = now.outcome.get(id).copied().unwrap_or(Outcome::Cancelled);
            let stage = spec.stage(*id);
            let parts = match &stage.parts {
                Parts::Several(parts) => parts.as_slice(),
                Parts::One | Parts::Of(_) => &[],
            };
            let has = |outcome| parts.iter().any(|id| now.outcome.get(id) == Some(&outcome));
            let whole = match own {
                Outcome::Skipped if has(Outcome::Failed) => Outcome::Failed,
                Outcome::Fresh | Outcome::Restored | Outcome::Pulled if has(Outcome::Built) => {
                    Outcome::Built
                }
                own => own,
            };
            (stage.name.clone(), whole)
        });
        shown.collect()
    }

    /// Reports how the run ended, and returns its result and what it leaves in the engine.
    pub(super) fn finish(self) -> (Result<()>, Left) {
        self.judge_the_rest();
        if self.has_acted.load(Ordering::SeqCst) {
            self.tell_unlinked();
        }
        self.tell_warnings();
        let mut now = self.now();
        // A stage that was neither run nor lost was never started.
        for id in self.wanted {
            now.outcome.entry(*id).or_insert(Outcome::Cancelled);
        }
        let outcome = self.outcome_of_wholes(&now);
        let bad = outcome.values().any(|outcome| !outcome.is_good());
        let count = |wanted| now.outcome.values().filter(|it| **it == wanted).count();
        let (built, put_back) = (count(Outcome::Built), count(Outcome::Restored));
        let saved_ms = now.saved_ms;
        let fault = now.fault.take();
        let left = Left {
            has_built: built > 0,
            privates: std::mem::take(&mut now.records)
                .into_values()
                .map(|record| record.private)
                .collect(),
        };
        drop(now);
        self.tell(Event::Finished(Finished {
            outcome,
            put_back,
            elapsed_ms: self.elapsed_ms(),
            saved_ms,
        }));
        let interrupted = self.interrupt.is_set();
        // As in `Workspace::plan`: the process ends now, and freeing the memory piece by piece
        // takes long.
        std::mem::forget((self.prepared, self.held, self.now));
        let result = match fault {
            _ if interrupted => Err(Fault::interrupted()),
            Some(fault) => Err(fault),
            None if bad => Err(Fault::told(Class::Failed)),
            None => Ok(()),
        };
        (result, left)
    }
}
