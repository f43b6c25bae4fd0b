//! `cargo xtask build`.

use std::sync::mpsc::Sender;

use super::sync::Asking;
use crate::assess::{Next, Workspace};
use crate::build::{self, Force, Wishes};
use crate::cli::Build;
use crate::event::Event;
use crate::fault::{Fault, Result};
use crate::interrupt::Interrupt;
use crate::report::Reporting;

/// Brings stages up to date; where the machine lacks something that can be had, once more after it
/// was set up.
pub fn run(flags: &Build) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let fault = match attempt(flags, &interrupt) {
        Err(fault) if !flags.offline => fault,
        result => return result,
    };
    super::setup::mend(fault, flags, &interrupt)?;
    attempt(flags, &interrupt)
}

fn attempt(flags: &Build, interrupt: &Interrupt) -> Result<()> {
    let mut work = open(flags)?;
    let reporting = Reporting::start(flags.json);
    let result = in_turn(&mut work, flags, interrupt, &reporting.sender());
    reporting.finish();
    // What is told behind the last event, which is the result.
    super::tell_warnings(&work);
    match result {
        // What it was in the middle of may say otherwise.
        Err(_) if interrupt.is_set() => Err(Fault::interrupted()),
        result => result,
    }
}

fn open(flags: &Build) -> Result<Workspace> {
    let all = flags.stages.is_empty();
    let next = if all { Next::BuildOfAll } else { Next::Any };
    super::open(&flags.at, &flags.platform, next)
}

/// Builds what the graph file says when no other build of it runs any more.
fn in_turn(
    work: &mut Workspace,
    flags: &Build,
    interrupt: &Interrupt,
    events: &Sender<Event>,
) -> Result<()> {
    let mut wishes = wishes(flags, work)?;
    let (lock, waited) = build::wait_for_others(work, interrupt, events)?;
    if waited {
        *work = open(flags)?;
        wishes = self::wishes(flags, work)?;
    }
    work.keep_lock(lock);
    with_sources(work, &wishes, interrupt, events)
}

/// What the flags ask of a graph, which must have the stages that they name.
fn wishes(flags: &Build, work: &Workspace) -> Result<Wishes> {
    work.wanted(&flags.stages)?;
    let force = match &flags.force {
        None => Force::Nothing,
        Some(None) => Force::All,
        Some(Some(stage)) => Force::Stages(vec![work.spec.find(stage)?]),
    };
    Ok(Wishes {
        stages: flags.stages.clone(),
        jobs: flags.jobs.map(usize::from),
        keep_going: flags.keep_going,
        force,
        locked: flags.locked,
        offline: flags.offline,
    })
}

/// Builds once the sources of the wanted stages are here.
fn with_sources(
    work: &mut Workspace,
    wishes: &Wishes,
    interrupt: &Interrupt,
    events: &Sender<Event>,
) -> Result<()> {
    let wanted = work.wanted(&wishes.stages)?;
    let asking = Asking {
        interrupt,
        events,
        locked: wishes.locked,
        offline: wishes.offline,
    };
    super::sync::for_stages(work, &wanted, &asking)?;
    build::build(work, wishes, interrupt, events)
}
