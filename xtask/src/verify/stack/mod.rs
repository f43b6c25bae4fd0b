//! Tries the images as a running stack.
//!
//! A compose file becomes a project of its own: its own name, network, volumes and ports, and
//! exactly the images that were given. Its services are started in order, watched and asked. At the
//! end everything is taken down again. Nothing of the user's is touched: neither a project that
//! runs from the same file, nor the folders that it binds. `README.md` beside this file says more.

mod child;
mod compose;
mod config;
mod course;
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

use std::collections::BTreeMap;
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
pub use course::{UpgradeReport, run, upgrade};
pub use given::{Given, asked, glance};
pub use leftovers::sweep;
pub use pin::Pinned;
pub use rewrite::LABEL;

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
