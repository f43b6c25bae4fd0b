//! How a stage gets its builder, and how it moves to another one.

use std::cell::OnceCell;

use super::Run;
use super::builders::Other;
use crate::contexts::Tracer;
use crate::fault::{Fault, Result};
use crate::freshness::planner::StageSummary;
use crate::freshness::stage_inputs::{self, StageInputs};
use crate::graphfile::spec::StageId;
use crate::outside::state::HeldLock;
use crate::report::event::Event;

/// What a turn holds.
pub(super) struct Hold {
    /// The lane on which it runs.
    pub(super) lane: usize,
    /// The lock of the stage. A turn takes it once, when it is to do more than look.
    pub(super) lock: OnceCell<HeldLock>,
    /// What became of the builder of the lane.
    pub(super) lost: OnceCell<Lost>,
}

/// What became of a builder, with what is said of it.
pub(super) enum Lost {
    /// It could not be used from the beginning.
    Unusable(String),
    /// It died while the stage was built there.
    Died(String),
    /// It would not make the image of this one stage that the key means.
    Unfit,
}

impl Run<'_> {
    /// Whether a stage moves from a builder that was lost, and says so. A stage moves once from a
    /// builder that died: it may be what kills them.
    pub(super) fn moves(&self, id: StageId, lost: &Lost) -> bool {
        if self.interrupt.is_set() {
            return false;
        }
        let told = match lost {
            Lost::Unusable(told) => told,
            Lost::Died(told) => {
                if self.now().moved.insert(id, told.clone()).is_some() {
                    return false;
                }
                told
            }
            Lost::Unfit => return true,
        };
        let message = format!("`{}` moves to another builder: {told}", self.name(id));
        self.tell(Event::Notice { message });
        true
    }

    /// The builder of a turn's lane; `None` for the engine's own. A fault if it cannot be used.
    pub(super) fn builder_of(
        &self,
        id: StageId,
        summary: &StageSummary,
        stage_inputs: &StageInputs,
        hold: &Hold,
    ) -> Result<Option<&Other<'_>>> {
        let stage = self.work.spec.stage(id);
        let Some(builder) = self.builders.other(hold.lane) else {
            if let Some(platform) = self.builders.emulated(stage, hold.lane) {
                let message = format!(
                    "`{}` is built for {platform} by the engine's own builder, which emulates it",
                    stage.name
                );
                self.tell(Event::Notice { message });
            }
            return Ok(None);
        };
        let platform = self.builders.platform_of(stage);
        match builder.prepare(platform.as_deref(), &self.work.spec.call, self.interrupt) {
            Ok(()) if self.needs_own_builder(id, summary, stage_inputs) => {
                Err(self.lost(id, hold, Lost::Unfit))
            }
            Ok(()) => Ok(Some(builder)),
            Err(told) => Err(self.lost(id, hold, Lost::Unusable(told))),
        }
    }

    /// Whether only the engine's own builder makes the image that the key means.
    fn needs_own_builder(
        &self,
        id: StageId,
        summary: &StageSummary,
        stage_inputs: &StageInputs,
    ) -> bool {
        let (work, stage) = (self.work, self.work.spec.stage(id));
        let platform = self.builders.platform_of(stage);
        if self.cannot_be_lent(stage_inputs, platform.as_deref()) {
            return true;
        }
        // The key has the engine's own platform for `$BUILDPLATFORM`. At a builder of another
        // platform it is that of the node, and may choose other bases and other steps.
        if platform.as_deref() == self.builders.platform() {
            return false;
        }
        let tracer = Tracer::forgetful(&work.cache).beside(work.state.beside().as_std_path());
        let there = stage_inputs::gather(&work.spec, id, platform.as_deref(), &tracer);
        there.map_or(true, |there| {
            !StageSummary::of(&work.spec, id, &there).has_key_of(summary)
        })
    }

    /// The fault of a stage whose builder cannot be used or died. It is shown if the stage has moved
    /// before.
    pub(super) fn lost(&self, id: StageId, hold: &Hold, lost: Lost) -> Fault {
        if self.interrupt.is_set() {
            return Fault::interrupted();
        }
        let before = self.now().moved.get(&id).cloned();
        let before = before.map(|before| format!("; before that, {before}"));
        let told = match &lost {
            Lost::Unusable(told) | Lost::Died(told) => told.as_str(),
            Lost::Unfit => "only the engine's own builder makes this image",
        };
        let fault = Fault::lacks(format!("{told}{}", before.unwrap_or_default()));
        let _ = hold.lost.set(lost);
        fault
    }
}
