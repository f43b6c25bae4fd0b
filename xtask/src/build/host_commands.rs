//! Runs the host commands that a stage waits for, in the stage's turn.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::Run;
use super::moving::Hold;
use super::turn::Turn;
use crate::fault::{Class, Fault, Result};
use crate::freshness::planner::{Due, Gathered, Looked, Prepared};
use crate::freshness::prepare;
use crate::graphfile::spec::StageId;
use crate::report::event::{Event, StepEnd, StepFinished};
use crate::report::excerpt::Excerpt;

impl Run<'_> {
    /// Runs the host commands that the stage waits for, each once. Then the turn goes on as if
    /// their outputs had always been there.
    pub(super) fn after_host_commands(
        &self,
        id: StageId,
        before: &Prepared,
        first: &Due,
        hold: &Hold,
    ) -> Result<Turn> {
        let work = self.work;
        self.has_acted.store(true, Ordering::SeqCst);
        self.tell_started(id, &first.reason);
        let mut ran = BTreeSet::new();
        let mut due = first.clone();
        loop {
            if !ran.insert(due.of) {
                let name = self.name(due.of);
                return Err(Fault::failed(format!(
                    "inputs of the host command of `{name}` changed again while it ran: run this once more"
                )));
            }
            if let Some(failed) = self.run_host_command(id, due.of)? {
                return Ok(failed);
            }
            let prepared = Prepared::new(Looked::Read(work.gather(id)), before.records.clone());
            self.forget_images(id, &prepared);
            match prepared.read() {
                Some(Ok(Gathered::PrepareFirst(next) | Gathered::Lent(_, _, next))) => {
                    due = next.clone();
                }
                _ => return self.assessed(id, &prepared, hold),
            }
        }
    }

    /// Runs the host command of the stage `of`. If the command fails, gives the failed turn of the
    /// stage `id`.
    fn run_host_command(&self, id: StageId, of: StageId) -> Result<Option<Turn>> {
        let (work, name) = (self.work, self.name(of));
        let log = (work.state.path("logs")).join(format!("{name}.prepare.log"));
        let waiting = || {
            let message = format!(
                "the host command of `{name}` waits for another host command in the same folder, which may be left from a build that was killed"
            );
            self.tell(Event::Notice { message });
        };
        let (stage, step) = (
            self.name(id).to_owned(),
            prepare::shown(work.spec.stage(of)),
        );
        self.tell(Event::Step {
            stage: stage.clone(),
            step: step.clone(),
        });
        let started_ms = self.elapsed_ms();
        let ran = prepare::run(
            &work.spec,
            work.spec.stage(of),
            &work.state,
            &work.cache,
            &log,
            self.interrupt,
            waiting,
            || work.fetch_outputs(of, id),
        );
        let end = match &ran {
            Ok(()) => StepEnd::Ran,
            Err(failed) if failed.fault.class == Class::Interrupted => StepEnd::Cancelled,
            Err(_) => StepEnd::Failed,
        };
        self.tell(Event::StepFinished(StepFinished {
            stage,
            step,
            started_ms,
            ended_ms: self.elapsed_ms(),
            end,
        }));
        match ran {
            Ok(()) => Ok(None),
            Err(failed) if failed.fault.class == Class::Failed && failed.has_run => {
                if let Some(lacking) = work.lacking_tools(of) {
                    let message = format!("{}; {lacking}", failed.fault.message);
                    return Err(Fault::lacks(message));
                }
                let excerpt = Excerpt::of_file(&log);
                // An empty log is not worth a look.
                let log = Some(log).filter(|_| excerpt != Excerpt::default());
                Ok(Some(Turn {
                    excerpt,
                    log,
                    ..Turn::failed(failed.fault.to_string())
                }))
            }
            Err(failed) => Err(match work.lacking_tools(of) {
                Some(lacking) if failed.fault.class == Class::Failed => {
                    Fault::lacks(format!("{}; {lacking}", failed.fault.message))
                }
                _ => failed.fault,
            }),
        }
    }
}
