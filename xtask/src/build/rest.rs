//! The stages that were not started after a failure. Nothing else is built then, but they are
//! judged, because a person wants to know what is left to do and fresh stages are done.

use rayon::prelude::*;

use super::Run;
use crate::fault::Result;
use crate::freshness::planner::{Prepared, Upstream};
use crate::freshness::verdict::Verdict;
use crate::graphfile::spec::StageId;

impl Run<'_> {
    /// Judges each stage that had no turn. A stage that would have to be built gets no outcome
    /// here.
    pub(super) fn judge_the_rest(&self) {
        let left = |id: &&StageId| !self.now().outcome.contains_key(id);
        let rest: Vec<StageId> = self.wanted.iter().filter(left).copied().collect();
        // After an interrupt the user waits for nothing more.
        if rest.is_empty() || self.interrupt.is_set() {
            return;
        }
        // If the engine does not answer, that is the failure itself, or the next run reports it.
        if let Ok(seen) = self.look_at_rest(&rest) {
            for (id, prepared) in rest.into_iter().zip(&seen) {
                self.judge(id, prepared.as_ref());
            }
        }
    }

    /// Looks at all these stages again, as the run may have written to their trees. The engine is
    /// asked once for all of them.
    fn look_at_rest(&self, rest: &[StageId]) -> Result<Vec<Option<Prepared>>> {
        let known = |id: &StageId| Some((*id, self.prepared.get(id)?));
        let asked = rest.iter().filter_map(known);
        let asked = asked.flat_map(|(id, prepared)| self.asked_of_engine(id, prepared));
        let asked: Vec<String> = asked.collect();
        self.held.extend(self.work.images(&asked)?);
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
        // A stage whose tags cannot be set gets no outcome, as if it were stale.
        let turn = if self.has_all_names(id, &record) {
            self.fresh(id, &record)
        } else {
            let (state, name) = (&self.work.state, self.name(id));
            let taken = state.lock_stage(name, |_| (), || true);
            taken.and_then(|_turn| self.name_anew(id, &record))
        };
        if let Ok(turn) = turn {
            self.end_turn(id, started_ms, turn);
        }
    }
}
