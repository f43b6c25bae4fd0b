//! The images as a running stack.
//!
//! A compose file becomes a project of its own: its own name, network, volumes and ports, and the
//! very images that were given. Its services are started in their order, watched, and asked; at
//! the end everything is taken down again. Nothing of the user's is touched: not the project that
//! may run from the same file, not the folders that it binds. `README.md` beside this file says
//! more. Is unaware of what is done with the answers.

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

/// What a stack is made from.
pub struct Run<'r> {
    /// The graph; its sources were looked for.
    pub spec: &'r Spec,
    /// Where a note of what is made is kept.
    pub state: &'r State,
    /// The engine that has the images.
    pub engine: &'r Engine,
    /// By the name of a stage, its image: anything that the engine finds it by, best its id.
    pub images: &'r BTreeMap<String, String>,
    /// Whether the stack stays up.
    pub keep: bool,
    /// Ends everything.
    pub interrupt: &'r Interrupt,
    /// Is told what happens.
    pub tell: &'r dyn Fn(StackEvent<'_>),
}

/// What happens while a stack is tried.
#[derive(Debug)]
pub enum StackEvent<'e> {
    /// A run that was killed had left something, which is removed now; or could not be.
    Swept(&'e str),
    /// An image of a service without a stage is not on the engine, and is pulled.
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
        /// For how long the stack has been coming up.
        since: Duration,
    },
    /// The stack is taken down.
    TakingDown,
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StackOutcome {
    /// As it should.
    Passed,
    /// Otherwise.
    Failed,
    /// Nobody knows. That is never "passed".
    NotChecked,
}

/// The answer to one probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProbeResult {
    /// The service that was asked.
    pub service: String,
    /// What was asked: `http`, `tcp`, `exec`, `log`, `refused`, `file` or `uid`.
    pub kind: &'static str,
    /// How it ended.
    pub outcome: StackOutcome,
    /// A sentence for a person.
    pub message: String,
}

/// How a stack fared.
#[derive(Debug)]
pub struct StackReport {
    /// The project's name.
    pub project: String,
    /// `Failed` when a service or a probe did, `NotChecked` when a probe has no answer.
    pub outcome: StackOutcome,
    /// The first cause, in one sentence.
    pub cause: Option<String>,
    /// What a person reads of a failure: the cause, its state and log, then the others. Empty where
    /// nothing failed.
    pub text: String,
    /// In the order of the graph file.
    pub probes: Vec<ProbeResult>,
    /// The image that each service ran.
    pub images: BTreeMap<String, Pinned>,
    /// What was changed in the compose file, a sentence each.
    pub rewritten: Vec<String>,
    /// What a person should know besides.
    pub notes: Vec<String>,
    /// Where it is found, when it was kept.
    pub kept: Option<KeptStack>,
}

/// A stack that stays up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptStack {
    /// By service and its own port, where it is found on this machine.
    pub addresses: Vec<(String, u16, String)>,
    /// The command that takes it down.
    pub take_down: String,
}

/// A compose file with its variables filled in, and the image that each service runs.
#[derive(Debug)]
pub struct Resolved {
    /// `docker compose config --format json`. It holds what environments hold, so it must not be
    /// written anywhere.
    pub config: Value,
    /// By service.
    pub images: BTreeMap<String, Pinned>,
}

/// Tries the stack.
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

/// Makes all containers, and fills their volumes.
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

/// Takes the stack down, or leaves it up where that is wanted.
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

/// What the stack would run, without making anything: for whoever wants to know whether an earlier
/// answer still holds. An image that is not on the engine is pulled.
pub fn resolved(run: &Run<'_>) -> Result<Resolved> {
    let stack = stack_of(run.spec)?;
    let (variables, _) = setting::variables(stack)?;
    let fault = |error: std::io::Error| Fault::lacks(format!("cannot make a folder: {error}"));
    let scratch = tempfile::tempdir().map_err(fault)?;
    let lock = tempfile::tempfile().map_err(fault)?;
    let live = LiveChildren::new(run.interrupt, &lock);
    let path = Utf8Path::from_path(scratch.path())
        .ok_or_else(|| Fault::lacks("the folder for temporary files has a name that is no text"))?;
    let file = setting::file(run.spec, stack)?;
    resolve(run, stack, &file, &variables, path, &live)
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

/// A number that nobody can guess, so that no two projects have the same name.
fn random() -> u32 {
    use ring::rand::SecureRandom as _;
    let mut bytes = [0; 4];
    if ring::rand::SystemRandom::new().fill(&mut bytes).is_err() {
        // Without randomness, the process and the time differ enough.
        return clock::now().subsec_nanos() ^ std::process::id().rotate_left(16);
    }
    u32::from_le_bytes(bytes)
}
