//! Builds the graph on the other revision, holds its images against the policy, and tries whether
//! the new stack comes up on the volumes of the old one.
//!
//! All of it is apart from the graph: the images get no names, nothing is pinned or shared, and the
//! records lie in a state folder of the trial's own. At the end the images and that folder go.

use std::collections::BTreeMap;

use camino::Utf8Path;
use serde::Serialize;

use super::super::verify;
use crate::build::{self, Wishes};
use crate::cli::RehearseArgs;
use crate::fault::{Class, Fault, Message, Result};
use crate::freshness::planner::Workspace;
use crate::freshness::verdict::Verdict;
use crate::graphfile::spec::Stage;
use crate::outside::engine::Engine;
use crate::outside::interrupt::Interrupt;
use crate::outside::private;
use crate::outside::state::{LockedWork, State};
use crate::report::{Loudness, Reporting};
use crate::since;
use crate::verify::finding::{Answer, AnswerOutcome};
use crate::verify::stack::{self, ProbeResult, StackEvent, StackOutcome};

/// What a trial found. JSON has it beside what the rehearsal found.
#[derive(Debug, Serialize)]
pub(super) struct TrialReport {
    /// Stages that were not built there.
    pub not_built: Vec<String>,
    /// How the images keep the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Answer>,
    /// How the stacks ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<StackTrial>,
}

/// How the present stack ended, and the one in its place.
#[derive(Debug, Serialize)]
pub(super) struct StackTrial {
    /// The present stack.
    pub now: StackOutcome,
    /// The stack of the other revision; `not_checked` if the present one did not come up, or if an
    /// image of the other one was not built.
    pub then: StackOutcome,
    /// The first cause, in one sentence.
    pub cause: Option<String>,
    /// The answers of the last stack that was tried.
    pub probes: Vec<ProbeResult>,
}

impl TrialReport {
    /// Whether everything was as it should be.
    pub(super) fn has_passed(&self) -> bool {
        let kept = self.policy.as_ref();
        let came_up = self.stack.as_ref();
        self.not_built.is_empty()
            && kept.is_none_or(|answer| answer.outcome == AnswerOutcome::Passed)
            && came_up.is_none_or(|stack| stack.then == StackOutcome::Passed)
    }
}

/// What a trial is about.
pub(super) struct TrialSubject<'s> {
    /// The graph as it is.
    pub work: &'s Workspace,
    /// The source that has another revision.
    pub source: &'s str,
    /// The tree of that revision.
    pub tree: &'s Utf8Path,
    /// What the call asks for.
    pub flags: &'s RehearseArgs,
    /// Stops the trial.
    pub interrupt: &'s Interrupt,
}

/// Tries the other revision, as far as the flags say.
pub(super) fn run(subject: &TrialSubject<'_>) -> Result<TrialReport> {
    let (work, interrupt) = (subject.work, subject.interrupt);
    if subject.flags.stack && work.spec.stack.is_none() {
        return Err(Fault::usage(format!(
            "{} has no `[stack]`, so `--stack` has nothing to try: name a compose file in it, as in compose = \"docker/docker-compose.yaml\"",
            work.spec.file
        )));
    }
    // The other stack takes the place of the present one, which needs its images. That is asked
    // before anything is built.
    let now = if subject.flags.stack {
        Some(verify::stack_images(work, &subject.flags.at, interrupt)?)
    } else {
        None
    };
    let waiting = |holder: &str| crate::tell!("waiting for another rehearsal to end ({holder})");
    let _alone = work
        .state
        .lock_for(LockedWork::Trial, waiting, || interrupt.pause())?;
    let folder = work.state.path("rehearsal");
    remove(&work.engine, &folder, Logs::Go)?;
    let result = attempt(subject, now, &folder);
    let logs = match &result {
        // The report of a failure names its log.
        Ok(report) if !report.not_built.is_empty() => Logs::Stay,
        Ok(_) | Err(_) => Logs::Go,
    };
    let removed = remove(&work.engine, &folder, logs);
    let report = result?;
    removed?;
    Ok(report)
}

fn attempt(
    subject: &TrialSubject<'_>,
    now: Option<BTreeMap<String, String>>,
    folder: &Utf8Path,
) -> Result<TrialReport> {
    let (work, interrupt) = (subject.work, subject.interrupt);
    let has_parts = work.spec.stages.iter().any(Stage::is_part);
    // Others would be emulated, and no stack here runs them.
    let platform = work.engine.platform().filter(|_| has_parts);
    let place = folder.to_owned();
    let then = since::open_apart(work, subject.source, subject.tree, platform, place)?;
    build(&then, interrupt)?;
    let plan = then.plan(&then.wanted(&[])?, |_| false)?;
    let mut report = TrialReport {
        not_built: Vec::new(),
        policy: None,
        stack: None,
    };
    let mut built = Vec::new();
    for own in plan {
        let stage = then.spec.stage(own.id);
        if stage.is_part() {
            continue;
        }
        match own.verdict {
            Verdict::Fresh(_) => built.push(stage.name.clone()),
            _ => report.not_built.push(stage.name.clone()),
        }
    }
    if subject.flags.policy && !built.is_empty() {
        let answer = verify::policy_of(&then, &subject.flags.at, &built, interrupt)?;
        report.policy = Some(answer);
    }
    if let Some(now) = now {
        let of_stack = then.spec.stack.iter().flat_map(|it| it.services.values());
        let missing = of_stack
            .map(|id| &then.spec.stage(*id).name)
            .find(|name| report.not_built.contains(name));
        report.stack = Some(match missing {
            Some(name) => StackTrial {
                now: StackOutcome::NotChecked,
                then: StackOutcome::NotChecked,
                cause: Some(format!("`{name}` was not built")),
                probes: Vec::new(),
            },
            None => stacks(subject, &then, &now)?,
        });
    }
    Ok(report)
}

/// Builds everything that can be built. What fails was told.
fn build(then: &Workspace, interrupt: &Interrupt) -> Result<()> {
    let reporting = Reporting::start(false, Loudness::Normal, None);
    let events = reporting.sender();
    let wanted = then.wanted(&[])?;
    let wishes = Wishes {
        targets: wanted.iter().copied().collect(),
        wanted,
        keep_going: true,
        ..Wishes::default()
    };
    let ended = build::begin(then, interrupt, &events)
        .and_then(|lock| build::build(then, &wishes, lock, interrupt, &events));
    drop(events);
    reporting.finish();
    super::super::tell_warnings(then);
    match ended {
        Err(_) if interrupt.is_set() => Err(Fault::interrupted()),
        Err(Fault {
            message: Message::Told,
            ..
        }) => Ok(()),
        ended => ended,
    }
}

/// Runs the present stack, and then the other one on its volumes.
fn stacks(
    subject: &TrialSubject<'_>,
    then: &Workspace,
    now: &BTreeMap<String, String>,
) -> Result<StackTrial> {
    let (work, interrupt) = (subject.work, subject.interrupt);
    let images = verify::stack_images(then, &subject.flags.at, interrupt)?;
    let revision = &subject.flags.revision;
    let tell = |of: &str, event: &StackEvent<'_>| match event {
        StackEvent::Made { .. } => crate::tell!("{of}"),
        event => verify::tell_stack(event),
    };
    let old = stack::Run {
        spec: &work.spec,
        state: &work.state,
        engine: &work.engine,
        images: now,
        keep: false,
        interrupt,
        tell: &|event| tell("the stack as it is", &event),
    };
    let new = stack::Run {
        spec: &then.spec,
        images: &images,
        tell: &|event| tell(&format!("the stack of {revision}, on its volumes"), &event),
        ..old
    };
    // What compose refuses there is known before anything is started.
    if let Err(fault) = stack::resolved(&new) {
        return refused(StackOutcome::NotChecked, fault, interrupt);
    }
    let ended = stack::upgrade(&old, &new)?;
    let first = ended.old.outcome;
    let (second, last) = match ended.new {
        None => (StackOutcome::NotChecked, ended.old),
        Some(Ok(report)) => (report.outcome, report),
        Some(Err(fault)) => return refused(first, fault, interrupt),
    };
    for note in &last.notes {
        crate::tell!("note: {note}");
    }
    if last.outcome == StackOutcome::Failed {
        crate::tell!("{}", last.text.trim_end());
    }
    Ok(StackTrial {
        now: first,
        then: second,
        cause: last.cause,
        probes: last.probes,
    })
}

/// A stack of the other revision that cannot be made: a finding, and no fault of this graph.
fn refused(now: StackOutcome, fault: Fault, interrupt: &Interrupt) -> Result<StackTrial> {
    if interrupt.is_set() || matches!(fault.class, Class::Lacks | Class::Interrupted) {
        return Err(fault);
    }
    Ok(StackTrial {
        now,
        then: StackOutcome::Failed,
        cause: Some(fault.message.to_string()),
        probes: Vec::new(),
    })
}

/// Removes the images of a trial, and its state folder. A killed one left them. Logs that were
/// named stay until the next trial.
fn remove(engine: &Engine, folder: &Utf8Path, logs: Logs) -> Result<()> {
    let fault = |error: std::io::Error| Fault::lacks(format!("cannot remove {folder}: {error}"));
    if !folder.exists() {
        return Ok(());
    }
    let id = State::in_folder(folder.to_owned()).id().map_err(fault)?;
    engine.untag_below(&private::of_state(&id))?;
    if logs == Logs::Go {
        return std::fs::remove_dir_all(folder).map_err(fault);
    }
    for entry in folder.read_dir_utf8().map_err(fault)? {
        let entry = entry.map_err(fault)?;
        if entry.file_name() == "logs" {
            continue;
        }
        let kind = entry.file_type().map_err(fault)?;
        let removed = if kind.is_dir() {
            std::fs::remove_dir_all(entry.path())
        } else {
            std::fs::remove_file(entry.path())
        };
        removed.map_err(fault)?;
    }
    Ok(())
}

/// What becomes of a trial's logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Logs {
    Go,
    Stay,
}
