//! How a stage gets its builder, and how it moves to another one.

use std::cell::OnceCell;

use super::Run;
use super::builders::Other;
use crate::fault::{Fault, Result};
use crate::freshness::stage_inputs::StageInputs;
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
    /// It cannot build this one stage, for which something is only in the engine.
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
            // BuildKit takes a frontend from a registry or from the engine that it is in.
            Ok(()) if self.has_own_frontend(stage_inputs) => Err(self.lost(id, hold, Lost::Unfit)),
            Ok(()) => Ok(Some(builder)),
            Err(told) => Err(self.lost(id, hold, Lost::Unusable(told))),
        }
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
            Lost::Unfit => "something that it needs is only in the engine",
        };
        let fault = Fault::lacks(format!("{told}{}", before.unwrap_or_default()));
        let _ = hold.lost.set(lost);
        fault
    }
}
