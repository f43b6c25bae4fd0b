//! Keeps the events of a run in the state, for `report`.
//!
//! Nothing is written before the run has ended, and then everything at once: a run with nothing to
//! do pays for one small file. A killed run leaves nothing.

mod folder;
mod line;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::Reporter;
use crate::outside::clock;
use crate::outside::state::State;
use crate::report::event::{Event, Outcome};
pub use folder::{RunFolder, RunName};
pub use line::{KeptChange, KeptEvent, KeptFresh, KeptOutcome, KeptReason, KeptStage, KeptStart};

/// So many fresh stages are kept by name at most, and a run that built nothing is kept without its
/// graph if it has more stages: to keep ten thousand takes milliseconds.
const LARGE: usize = 500;

/// The reporter that keeps a run.
#[derive(Debug)]
pub struct Keeper {
    folder: RunFolder,
    began_ms: u64,
    lines: Vec<KeptEvent>,
    fresh: Vec<KeptFresh>,
    /// The stages whose beginning was told.
    begun: BTreeSet<String>,
    /// How the run began; `None` before that.
    begin: Option<Begin>,
    is_noop: bool,
}

/// How a run began.
#[derive(Debug)]
struct Begin {
    stages: usize,
    jobs: usize,
    graph: Arc<BTreeMap<String, Vec<String>>>,
}

impl Keeper {
    /// Keeps the run that begins now in this state.
    pub fn of(state: &State) -> Self {
        Self {
            folder: RunFolder::of(state),
            began_ms: u64::try_from(clock::now().as_millis()).unwrap_or(u64::MAX),
            lines: Vec::new(),
            fresh: Vec::new(),
            begun: BTreeSet::new(),
            begin: None,
            is_noop: true,
        }
    }

    /// Keeps it as if it had begun at this moment, in milliseconds since 1970.
    #[must_use]
    pub const fn began_at(mut self, began_ms: u64) -> Self {
        self.began_ms = began_ms;
        self
    }

    /// Adds the stages that were fresh, as one line.
    fn tell_fresh(&mut self) {
        let stages = std::mem::take(&mut self.fresh);
        if !stages.is_empty() {
            self.lines.push(KeptEvent::Fresh { stages });
        }
    }

    /// Writes a run that began like this.
    fn keep(&mut self, begin: &Begin) -> std::io::Result<()> {
        // If it ended without its last event, they are still there.
        self.tell_fresh();
        let is_small = !self.is_noop || begin.graph.len() <= LARGE;
        let started = KeptEvent::Started {
            began_ms: self.began_ms,
            stages: begin.stages,
            jobs: begin.jobs,
            graph: if is_small {
                begin.graph.as_ref().clone()
            } else {
                BTreeMap::new()
            },
        };
        let mut text = Vec::new();
        for line in std::iter::once(&started).chain(&self.lines) {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        let run = RunName::new(self.began_ms / 1000, std::process::id(), self.is_noop);
        self.folder.keep(&run, &text)
    }
}

impl Reporter for Keeper {
    fn take(&mut self, event: &Event, _: Instant) {
        let line = match event {
            Event::Started {
                stages,
                jobs,
                graph,
            } => {
                self.begin = Some(Begin {
                    stages: *stages,
                    jobs: *jobs,
                    graph: Arc::clone(graph),
                });
                return;
            }
            Event::Notice { message } => KeptEvent::Notice {
                message: message.clone(),
            },
            Event::StageStarted {
                stage,
                reason,
                at_ms,
                expected_ms,
                builder,
                weight,
            } => {
                self.is_noop = false;
                self.begun.insert(stage.clone());
                KeptEvent::StageStarted(KeptStart {
                    stage: stage.clone(),
                    at_ms: *at_ms,
                    reason: KeptReason::of(reason),
                    expected_ms: *expected_ms,
                    builder: builder.clone(),
                    weight: weight.unwrap_or(1),
                })
            }
            Event::StepFinished(step) => KeptEvent::StepFinished(step.clone()),
            Event::Retry {
                stage,
                attempt,
                why,
            } => KeptEvent::Retry {
                stage: stage.clone(),
                attempt: *attempt,
                why: why.clone(),
            },
            // One whose host command ran, and gave what was there before, has begun.
            Event::StageFinished(stage)
                if stage.outcome == Outcome::Fresh && !self.begun.contains(&stage.stage) =>
            {
                if self.fresh.len() < LARGE {
                    self.fresh.push(KeptFresh {
                        stage: stage.stage.clone(),
                        saved_ms: stage.saved_ms,
                        size: stage.size,
                    });
                }
                return;
            }
            Event::StageFinished(stage) => {
                self.is_noop = false;
                KeptEvent::StageFinished(KeptStage::of(stage))
            }
            Event::SourceFinished(source) => KeptEvent::SourceFinished {
                source: source.source.clone(),
                commit: source.commit.clone(),
                elapsed_ms: source.elapsed_ms,
            },
            Event::Finished(finished) => {
                let mut outcome = BTreeMap::<KeptOutcome, Vec<String>>::new();
                let mut more_fresh = 0;
                for (stage, own) in &finished.outcome {
                    let named = outcome.entry((*own).into()).or_default();
                    if *own == Outcome::Fresh && named.len() == LARGE {
                        more_fresh += 1;
                    } else {
                        named.push(stage.clone());
                    }
                }
                self.tell_fresh();
                KeptEvent::Finished {
                    outcome,
                    more_fresh,
                    elapsed_ms: finished.elapsed_ms,
                    saved_ms: finished.saved_ms,
                }
            }
            Event::Step { .. }
            | Event::Output { .. }
            | Event::SourceStarted { .. }
            | Event::SourceStep { .. } => return,
        };
        self.lines.push(line);
    }

    fn end(&mut self, _: Instant) {
        // A run that was refused before it began is none.
        let Some(begin) = self.begin.take() else {
            return;
        };
        if let Err(error) = self.keep(&begin) {
            let folder = self.folder.path();
            crate::tell!(
                "note: `report` will not know this run, as {folder} cannot be written: {error}"
            );
        }
    }
}

#[cfg(test)]
mod tests;
