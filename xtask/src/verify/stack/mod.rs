//! Tries the images as a running stack.
//!
//! A compose file becomes a project of its own: its own name, network, volumes and ports, and
//! exactly the images that were given. Its services are started in order, watched and asked. At the
//! end everything is taken down again. Nothing of the user's is touched: neither a project that
//! runs from the same file, nor the folders that it binds. `README.md` beside this file says more.

mod child;
mod compose;
mod config;
mod fill;
mod filling;
mod given;
mod judge;
mod leftovers;
mod member;
mod mounts;
mod pin;
mod probes;
mod refuse;
mod report;
mod rewrite;
mod setting;
mod trials;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use camino::Utf8Path;
use serde::Serialize;
use serde_json::Value;

use crate::fault::{Fault, Result};
use crate::graphfile::spec::Spec;
use crate::graphfile::spec::stack::Stack;
use crate::outside::clock;
use crate::outside::engine::Engine;
use crate::outside::interrupt::Interrupt;
use crate::outside::state::State;
use child::LiveChildren;
pub use given::{Given, asked, glance};
use leftovers::Session;
pub use leftovers::sweep;
use member::Member;
pub use pin::Pinned;
use probes::Ground;
use report::Telling;
pub use rewrite::LABEL;
use rewrite::Wanted;
use watch::Watch;

/// What a stack needs to run.
pub struct Run<'r> {
    /// The graph. Its sources must be known already.
    pub spec: &'r Spec,
    /// Where the note about the project is kept.
    pub state: &'r State,
    /// The engine that has the images.
    pub engine: &'r Engine,
    /// The image of each stage, by the stage's name. Any name that the engine finds works; the id
    /// is best.
    pub images: &'r BTreeMap<String, String>,
    /// Whether the stack stays up at the end.
    pub keep: bool,
    /// Stops the run.
    pub interrupt: &'r Interrupt,
    /// Receives the events.
    pub tell: &'r dyn Fn(StackEvent<'_>),
}

/// What happens while a stack is tried.
#[derive(Debug)]
pub enum StackEvent<'e> {
    /// What a killed run had left is removed, or could not be removed.
    Swept(&'e str),
    /// The image of a service without a stage is not on the engine. It is pulled.
    Pulling(&'e str),
    /// All containers are made.
    Made {
        /// The project's name.
        project: &'e str,
        /// How many services it has.
        services: usize,
    },
    /// A service is ready.
    Ready(&'e str),
    /// A service has ended as it should.
    Done(&'e str),
    /// A probe has its answer.
    Probe(&'e ProbeResult),
    /// Nothing has happened for a while.
    Waiting {
        /// Services that are not ready.
        services: Vec<&'e str>,
        /// How many probes have no answer.
        probes: usize,
        /// How long the stack has been starting.
        since: Duration,
    },
    /// The stack is being taken down.
    TakingDown,
}

/// How a stack or a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StackOutcome {
    /// Everything was as it should be.
    Passed,
    /// Something was not as it should be.
    Failed,
    /// There is no answer. This is never "passed".
    NotChecked,
}

/// The answer to one probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProbeResult {
    /// The service that was asked.
    pub service: String,
    /// What was asked: `http`, `tcp`, `exec`, `log`, `refused`, `file` or `uid`.
    pub kind: &'static str,
    /// How the probe ended.
    pub outcome: StackOutcome,
    /// A sentence for a person.
    pub message: String,
}

/// The result of a stack.
#[derive(Debug)]
pub struct StackReport {
    /// The project's name.
    pub project: String,
    /// `Failed` if a service or a probe failed, `NotChecked` if a probe has no answer.
    pub outcome: StackOutcome,
    /// The first cause, in one sentence.
    pub cause: Option<String>,
    /// What a person reads about a failure: the cause, its state and log, then the others. Empty if
    /// nothing failed.
    pub text: String,
    /// The probes, in the order of the graph file.
    pub probes: Vec<ProbeResult>,
    /// The image that each service ran.
    pub images: BTreeMap<String, Pinned>,
    /// What was changed in the compose file, one sentence for each change.
    pub rewritten: Vec<String>,
    /// Further notes for a person.
    pub notes: Vec<String>,
    /// How to reach the stack, if it was kept.
    pub kept: Option<KeptStack>,
}

/// A stack that stays up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptStack {
    /// The address on this machine of each port, with the service and the service's own port.
    pub addresses: Vec<(String, u16, String)>,
    /// The command that takes it down.
    pub take_down: String,
}

/// A compose file with its variables filled in, and the image that each service runs.
#[derive(Debug)]
pub struct Resolved {
    /// The output of `docker compose config --format json`. It contains the values of environments,
    /// so it must not be saved anywhere.
    pub config: Value,
    /// The images, by service.
    pub images: BTreeMap<String, Pinned>,
}

/// Runs the stack and asks its probes.
pub fn run(run: &Run<'_>) -> Result<StackReport> {
    let stack = stack_of(run.spec)?;
    let (variables, redactor) = setting::variables(stack)?;
    let about = run.engine.about().map_err(|_| {
        Fault::lacks(format!(
            "cannot reach the Docker engine at {}: start it, or point DOCKER_HOST or `docker context use` at one that runs",
            run.engine.address()
        ))
    })?;
    for note in sweep(run.state, run.engine, run.interrupt)? {
        (run.tell)(StackEvent::Swept(&note));
    }
    let session = Session::begin(run.state, run.engine)?;
    let live = LiveChildren::new(run.interrupt, session.lock());
    let file = setting::file(run.spec, stack)?;
    let mut notes: Vec<String> = setting::unused(stack, &file).into_iter().collect();
    let resolved = resolve(run, stack, &file, &variables, session.folder(), &live)?;
    let images = resolved.images.iter();
    let images = images.map(|(service, pinned)| (service.clone(), pinned.id.clone()));
    let plan = rewrite::plan(
        &resolved.config,
        &Wanted {
            name: session.project(),
            folder: &file.folder,
            private: &session.folder().join("files"),
            images: &images.collect(),
            variables: &variables,
            probes: &stack.probes,
            early_checks: setting::has_early_checks(&about.version),
        },
    )?;
    let (members, trials) = make(run, &plan, &file, &session, &live)?;
    let told = Telling {
        engine: run.engine,
        members: &members,
        needs: &plan.needs,
        redactor: &redactor,
    };
    let ground = Ground {
        engine: run.engine,
        live: &live,
        interrupt: run.interrupt,
        redactor: &redactor,
        label: &session.label(),
        members: &members,
        trials: &trials,
        images: &distinct(&resolved.images),
        helpers: Mutex::default(),
    };
    let course = Watch {
        engine: run.engine,
        members: &members,
        needs: &plan.needs,
        roles: &setting::roles(&plan.model, &plan.needs, &stack.probes),
        probes: &stack.probes,
        ground: &ground,
        timeout: stack.timeout,
        watch: stack.watch,
        tell: run.tell,
    }
    .run()?;
    let failure = told.failure(&course);
    if run.interrupt.is_set() {
        return Err(Fault::interrupted());
    }
    let is_unknown = |probe: &ProbeResult| probe.outcome == StackOutcome::NotChecked;
    let outcome = match &failure {
        Some(_) => StackOutcome::Failed,
        None if course.probes.iter().any(is_unknown) => StackOutcome::NotChecked,
        None => StackOutcome::Passed,
    };
    let (cause, text) = failure.unzip();
    let project = session.project().to_owned();
    let kept = close(run, session, &members, &mut notes)?;
    Ok(StackReport {
        project,
        outcome,
        cause,
        text: text.unwrap_or_default(),
        probes: course.probes,
        images: resolved.images,
        rewritten: plan.rewritten,
        notes,
        kept,
    })
}

/// Makes all containers and fills their volumes.
fn make(
    run: &Run<'_>,
    plan: &rewrite::StackPlan,
    file: &compose::ComposeFile,
    session: &Session<'_>,
    live: &LiveChildren<'_>,
) -> Result<setting::Containers> {
    let disk = |error: std::io::Error| {
        Fault::lacks(format!(
            "cannot copy what the stack's containers are given: {error}"
        ))
    };
    fill::write_files(&plan.files).map_err(disk)?;
    let mut archives = Vec::new();
    for fill in &plan.fills {
        let archive = fill::archive(&fill.with, file.is_fetched, run.interrupt).map_err(disk)?;
        archives.extend(archive.map(|archive| (fill, archive)));
    }
    compose::create(session.project(), &plan.model, &file.folder, live)?;
    let (members, trials) = setting::containers(run.engine, &session.label(), plan)?;
    (run.tell)(StackEvent::Made {
        project: session.project(),
        services: plan.needs.len(),
    });
    for (fill, archive) in archives {
        let is_it = |member: &&Member| member.service == fill.service;
        let own = members.iter().find(is_it).map(|member| &member.id);
        let trial = trials.iter().find(|(trial, _)| trial.name == fill.service);
        if let Some(id) = own.or(trial.map(|(_, id)| id)) {
            compose::copy_into(id, &fill.target, &archive, live)?;
        }
    }
    Ok((members, trials))
}

/// Takes the stack down, or keeps it if that is wanted.
fn close(
    run: &Run<'_>,
    session: Session<'_>,
    members: &[Member],
    notes: &mut Vec<String>,
) -> Result<Option<KeptStack>> {
    if !run.keep {
        (run.tell)(StackEvent::TakingDown);
        notes.extend(session.end());
        return Ok(None);
    }
    let kept = KeptStack {
        addresses: setting::addresses(run.engine, members),
        take_down: format!(
            "docker compose --project-name {} down --volumes",
            session.project()
        ),
    };
    session.keep()?;
    Ok(Some(kept))
}

/// The ids of all images, each once.
fn distinct(images: &BTreeMap<String, Pinned>) -> Vec<String> {
    let ids: BTreeSet<&str> = images.values().map(|pinned| pinned.id.as_str()).collect();
    ids.into_iter().map(str::to_owned).collect()
}

/// What the stack would run, to check whether an earlier answer still holds. Makes nothing, but
/// pulls images that are not on the engine.
pub fn resolved(run: &Run<'_>) -> Result<Resolved> {
    let stack = stack_of(run.spec)?;
    let (variables, _) = setting::variables(stack)?;
    let fault = |error: std::io::Error| Fault::lacks(format!("cannot make a folder: {error}"));
    let scratch = tempfile::tempdir().map_err(fault)?;
    let lock = tempfile::tempfile().map_err(fault)?;
    let live = LiveChildren::new(run.interrupt, &lock);
    let path = Utf8Path::from_path(scratch.path()).ok_or_else(|| {
        Fault::lacks("the folder for temporary files has a name that is not UTF-8")
    })?;
    let file = setting::file(run.spec, stack)?;
    resolve(run, stack, &file, &variables, path, &live)
}

/// The compose file of the stack with every variable filled in, and its folder. Asks no engine, and
/// starts nothing.
pub fn config_of(spec: &Spec, interrupt: &Interrupt) -> Result<(Value, camino::Utf8PathBuf)> {
    let stack = stack_of(spec)?;
    let (variables, _) = setting::variables(stack)?;
    let fault = |error: std::io::Error| Fault::lacks(format!("cannot make a folder: {error}"));
    let scratch = tempfile::tempdir().map_err(fault)?;
    let lock = tempfile::tempfile().map_err(fault)?;
    let live = LiveChildren::new(interrupt, &lock);
    let path = Utf8Path::from_path(scratch.path()).ok_or_else(|| {
        Fault::lacks("the folder for temporary files has a name that is not UTF-8")
    })?;
    let file = setting::file(spec, stack)?;
    let config = compose::resolve(&file, &variables, path, &live)?;
    Ok((config, file.folder))
}

fn stack_of(spec: &Spec) -> Result<&Stack> {
    spec.stack.as_ref().ok_or_else(|| {
        Fault::usage(format!(
            "{} has no `[stack]`, so there is nothing to run: name a compose file, as in compose = \"docker/docker-compose.yaml\"",
            spec.file
        ))
    })
}

fn resolve(
    run: &Run<'_>,
    stack: &Stack,
    file: &compose::ComposeFile,
    variables: &BTreeMap<String, String>,
    scratch: &Utf8Path,
    live: &LiveChildren<'_>,
) -> Result<Resolved> {
    let config = compose::resolve(file, variables, scratch, live)?;
    let refused = refuse::refusals(&config, &file.folder, &stack.allow);
    if let Some(fault) = refuse::fault(&refused, &file.shown, &run.spec.file) {
        return Err(fault);
    }
    let images = pin::pin(
        run.spec, stack, &config, run.images, run.engine, live, run.tell,
    )?;
    Ok(Resolved { config, images })
}

/// A random number, so that no two projects have the same name.
fn random() -> u32 {
    use ring::rand::SecureRandom as _;
    let mut bytes = [0; 4];
    if ring::rand::SystemRandom::new().fill(&mut bytes).is_err() {
        // Without randomness, the process and the time differ enough.
        return clock::now().subsec_nanos() ^ std::process::id().rotate_left(16);
    }
    u32::from_le_bytes(bytes)
}
