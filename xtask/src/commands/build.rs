//! `cargo xtask build`.

use std::sync::mpsc::Sender;

use super::sync::Asking;
use crate::build::{self, Force, Wishes};
use crate::cli::BuildArgs;
use crate::fault::{Fault, Result};
use crate::freshness::planner::{Next, Workspace};
use crate::outside::interrupt::Interrupt;
use crate::outside::state::{HeldLock, State};
use crate::report::Reporting;
use crate::report::event::Event;

/// Brings stages up to date; where the machine lacks something that can be had, once more after it
/// was set up.
pub fn run(flags: &BuildArgs) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let fault = match attempt(flags, &interrupt) {
        Err(fault) if !flags.offline => fault,
        result => return result,
    };
    super::setup::mend(fault, flags, &interrupt)?;
    attempt(flags, &interrupt)
}

/// Takes the lock if it is free, opens the graph, and builds. Where the lock was not free, the graph is
/// opened again once it is held.
fn attempt(flags: &BuildArgs, interrupt: &Interrupt) -> Result<()> {
    let graph = super::chosen(&flags.at)?.file;
    let free = State::in_folder(State::place(&graph)).lock_if_free();
    let mut work = open(flags, free.is_some())?;
    let reporting = Reporting::start(flags.json);
    let result = in_turn(&mut work, free, flags, interrupt, &reporting.sender());
    reporting.finish();
    // What is told behind the last event, which is the result.
    super::tell_warnings(&work);
    match result {
        // What it was in the middle of may say otherwise.
        Err(_) if interrupt.is_set() => Err(Fault::interrupted()),
        result => result,
    }
}

/// Opens the graph. With the lock held, all that a build of all stages asks is looked for meanwhile: without
/// it, another build could still change what was seen.
fn open(flags: &BuildArgs, is_locked: bool) -> Result<Workspace> {
    let all = flags.stages.is_empty() && is_locked;
    let next = if all { Next::AllStages } else { Next::Any };
    super::open(&flags.at, &flags.platform, next)
}

/// Builds what the graph file says when no other build of it runs any more.
fn in_turn(
    work: &mut Workspace,
    free: Option<HeldLock>,
    flags: &BuildArgs,
    interrupt: &Interrupt,
    events: &Sender<Event>,
) -> Result<()> {
    let mut wishes = wishes(flags, work)?;
    let lock = match free {
        Some(lock) => lock,
        // Another build may have ended since the graph was opened, even where nobody has to wait now: the
        // graph file and the pins may say something else. (Before the first build there is no lock.)
        None => {
            let lock = build::wait_for_others(work, interrupt, events)?;
            *work = open(flags, true)?;
            wishes = self::wishes(flags, work)?;
            lock
        }
    };
    let asking = Asking {
        interrupt,
        events,
        locked: wishes.locked,
        offline: wishes.offline,
    };
    if super::sync::for_stages(work, &wishes.wanted, &asking)? {
        wishes = self::wishes(flags, work)?;
    }
    build::build(work, &wishes, &lock, interrupt, events)
}

/// What the flags ask of a graph, which must have the stages that they name.
fn wishes(flags: &BuildArgs, work: &Workspace) -> Result<Wishes> {
    let wanted = work.wanted(&flags.stages)?;
    let force = match &flags.force {
        None => Force::Nothing,
        Some(None) => Force::All,
        Some(Some(stage)) => Force::Stages(vec![work.spec.find(stage)?]),
    };
    Ok(Wishes {
        wanted,
        jobs: flags.jobs.map(usize::from),
        keep_going: flags.keep_going,
        force,
        locked: flags.locked,
        offline: flags.offline,
    })
}
