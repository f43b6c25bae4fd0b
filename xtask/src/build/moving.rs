//! How a stage gets its builder, and how it moves to another one.

use super::Run;
use super::builders::Other;
use super::turn::Hold;
use crate::fault::{Fault, Result};
use crate::graphfile::spec::StageId;
use crate::report::event::Event;

/// What became of a builder, with what is said of it.
pub(super) enum Lost {
    /// It could not be used from the beginning.
    Unusable(String),
    /// It died while the stage was built there.
    Died(String),
}

impl Run<'_> {
    /// Whether a stage moves from a builder that was lost, and says so. A stage moves once from a
    /// builder that died: it may be what kills them.
    pub(super) fn moves(&self, id: StageId, lost: &Lost) -> bool {
        if self.interrupt.is_set() {
            return false;
        }
        let (Lost::Unusable(told) | Lost::Died(told)) = lost;
        if let Lost::Died(told) = lost
            && self.now().moved.insert(id, told.clone()).is_some()
        {
            return false;
        }
        let message = format!("`{}` moves to another builder: {told}", self.name(id));
        self.tell(Event::Notice { message });
        true
    }

    /// The builder of a turn's lane; `None` for the engine's own. A fault if it cannot be used.
    pub(super) fn builder_of(&self, id: StageId, hold: &Hold) -> Result<Option<&Other<'_>>> {
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
        match builder.prepare(&self.work.spec.call, self.interrupt) {
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
        let (Lost::Unusable(told) | Lost::Died(told)) = &lost;
        let fault = Fault::lacks(format!("{told}{}", before.unwrap_or_default()));
        let _ = hold.lost.set(lost);
        fault
    }
}
