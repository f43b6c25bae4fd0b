//! `cargo xtask build`.

use std::sync::mpsc::Sender;
use std::time::Instant;

use super::sync::Asking;
use crate::build::{self, Force, Wishes};
use crate::cli::BuildArgs;
use crate::fault::{Fault, Result};
use crate::freshness::planner::{Next, Workspace};
use crate::outside::interrupt::Interrupt;
use crate::outside::state::{HeldLock, State};
use crate::report::event::Event;
use crate::report::kept::Keeper;
use crate::report::{Loudness, Reporting};

/// Brings stages up to date. If the machine lacks something that can be set up, sets it up and
/// tries once more.
pub fn run(flags: &BuildArgs) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let fault = match attempt(flags, &interrupt) {
        Err(fault) if !flags.offline => fault,
        result => return result,
    };
    super::setup::mend(fault, flags, &interrupt)?;
    attempt(flags, &interrupt)
}

/// Takes the graph for a build, opens it, and builds. If something has the graph alone, it is opened
/// again once it is free.
fn attempt(flags: &BuildArgs, interrupt: &Interrupt) -> Result<()> {
    if let Some(reference) = &flags.since {
        let Some(differing) = differing(flags, reference)? else {
            return Ok(());
        };
        return attempt(&differing, interrupt);
    }
    let graph = super::chosen(&flags.at)?.file;
    let free = State::in_folder(State::place(&graph)).share_if_free();
    let mut work = open(flags, free.is_some())?;
    let reporting = Reporting::start(flags.json, loudness(flags), Some(Keeper::of(&work.state)));
    let result = in_turn(&mut work, free, flags, interrupt, &reporting.sender());
    reporting.finish();
    // Warnings that came after the last event, which is the result.
    super::tell_warnings(&work);
    match result {
        // An interrupt may show as another fault of what was running.
        Err(_) if interrupt.is_set() => Err(Fault::interrupted()),
        result => result,
    }
}

/// How much the flags want to be printed.
const fn loudness(flags: &BuildArgs) -> Loudness {
    match (flags.quiet, flags.verbose) {
        (true, _) => Loudness::Quiet,
        (_, true) => Loudness::Verbose,
        _ => Loudness::Normal,
    }
}

/// The flags of a build of those stages alone that differ from a commit. `None` if there is nothing
/// to build.
fn differing(flags: &BuildArgs, reference: &str) -> Result<Option<BuildArgs>> {
    let start = Instant::now();
    let work = super::open(&flags.at, &flags.platform, Next::Any)?;
    let wanted = work.wanted(&flags.stages)?;
    let since = super::since(&work, reference, &flags.platform, &wanted)?;
    let stages = since.names(&work, &wanted);
    if !stages.is_empty() {
        return Ok(Some(BuildArgs {
            stages,
            since: None,
            ..flags.clone()
        }));
    }
    if flags.json {
        let elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        super::print_json(&Event::nothing(elapsed_ms))?;
    } else {
        crate::tell!("nothing differs from {reference}");
    }
    Ok(None)
}

/// Opens the graph. If the graph is taken and all stages are wanted, what their build asks is looked
/// for meanwhile: before that, the pins could still change.
fn open(flags: &BuildArgs, is_taken: bool) -> Result<Workspace> {
    let all = flags.stages.is_empty() && is_taken;
    let next = if all { Next::AllStages } else { Next::Any };
    super::open(&flags.at, &flags.platform, next)
}

/// Builds what the graph file says once nothing has the graph alone.
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
        // The graph file and the pins may have changed since the graph was opened, even if there is
        // no wait now. (Before the first build there is no lock.)
        None => {
            let lock = build::begin(work, interrupt, events)?;
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
    build::build(work, &wishes, lock, interrupt, events)
}

/// What the flags ask for. Fails if the graph does not have the stages that they name.
fn wishes(flags: &BuildArgs, work: &Workspace) -> Result<Wishes> {
    let wanted = work.wanted(&flags.stages)?;
    let force = match &flags.force {
        None => Force::Nothing,
        Some(None) => Force::All,
        Some(Some(stage)) => {
            let stages = work.spec.find_all(std::slice::from_ref(stage))?;
            // A stage is forced with its parts.
            let parts = work
                .spec
                .ids()
                .filter(|id| stages.contains(&work.spec.whole_id(*id)));
            Force::Stages(stages.iter().copied().chain(parts).collect())
        }
    };
    let targets = if flags.stages.is_empty() {
        wanted.iter().copied().collect()
    } else {
        work.spec.find_all(&flags.stages)?.into_iter().collect()
    };
    Ok(Wishes {
        wanted,
        targets,
        jobs: flags.jobs.map(usize::from),
        keep_going: flags.keep_going,
        force,
        locked: flags.locked,
        offline: flags.offline,
        no_cache: flags.no_cache,
    })
}
