//! The stages that were not started any more.
//!
//! Knows that after a failure nothing else is built, but that what is fresh is fresh all the same: a
//! person wants to know what is left to do. Is unaware of how an image is made.

use rayon::prelude::*;

use super::Run;
use crate::fault::Result;
use crate::freshness::planner::{Prepared, Upstream};
use crate::freshness::verdict::Verdict;
use crate::graphfile::spec::StageId;

impl Run<'_> {
    /// Gives a verdict on each stage that had no turn; those that would have to be built stay without one.
    pub(super) fn judge_the_rest(&self) {
        let left = |id: &&StageId| !self.now().outcome.contains_key(id);
        let rest: Vec<StageId> = self.wanted.iter().filter(left).copied().collect();
        // Whoever interrupts a run wants no more of it.
        if rest.is_empty() || self.interrupt.is_set() {
            return;
        }
        // An engine that does not answer is the failure itself, or the next run's.
        if let Ok(seen) = self.look_at_rest(&rest) {
            for (id, prepared) in rest.into_iter().zip(&seen) {
                self.judge(id, prepared.as_ref());
            }
        }
    }

    /// Looks at all of them at once, as the run may have written to their trees: the engine is asked
    /// one question for all.
    fn look_at_rest(&self, rest: &[StageId]) -> Result<Vec<Option<Prepared>>> {
        let known = |id: &StageId| Some((*id, self.prepared.get(id)?));
        let asked = rest.iter().filter_map(known);
        let asked = asked.flat_map(|(id, prepared)| self.asked_of_engine(id, prepared));
        let asked: Vec<String> = asked.collect();
        self.held.extend(self.work.engine.images(&asked)?);
        let look = |id: &StageId| {
            let prepared = self.prepared.get(id)?;
            self.work.look_once_more(*id, prepared)
        };
        Ok(rest.par_iter().map(look).collect())
    }

    fn judge(&self, id: StageId, now: Option<&Prepared>) {
        let Some(prepared) = now.or_else(|| self.prepared.get(&id)) else {
            return;
        };
        let parents = self.work.spec.stage(id).upstream();
        let upstream = self.upstream(id);
        let stands = |parent| matches!(upstream.get(&parent), Some(Upstream::Image(_)));
        if !parents.into_iter().all(stands) {
            return;
        }
        let started_ms = self.elapsed_ms();
        let forced = self.wishes.force.covers(id);
        let assessed = (self.work).assess(id, prepared, &upstream, &self.held, forced);
        let Ok(Verdict::Fresh(record)) = assessed.map(|assessment| assessment.verdict) else {
            return;
        };
        // One whose tags cannot be set is left, as if it were stale.
        if let Ok(turn) = self.fresh(id, &record) {
            self.end_turn(id, started_ms, turn);
        }
    }
}
