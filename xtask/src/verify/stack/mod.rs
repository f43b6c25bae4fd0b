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
mod judge;
mod leftovers;
mod mounts;
mod pin;
mod probes;
mod refuse;
mod report;
mod rewrite;
mod trials;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use camino::Utf8Path;
use serde::Serialize;
use serde_json::Value;

use crate::engine::Engine;
use crate::executor::redact::Redactor;
use crate::fault::{Fault, Result};
use crate::interrupt::Interrupt;
use crate::source;
use crate::spec::stack::{Ask, Probe, Stack, Variable};
use crate::spec::{Place, Spec};
use crate::state::State;
use child::Live;
use config::{Condition, entries, flag, list, text};
use judge::{Role, Standing};
use leftovers::Session;
pub use pin::Pinned;
use probes::Ground;
use report::Telling;
pub use rewrite::LABEL;
use rewrite::Wanted;
use watch::{Member, Watch};

/// The label by which compose names a container's service.
const SERVICE: &str = "com.docker.compose.service";

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
    pub tell: &'r dyn Fn(Event<'_>),
}

/// What happens while a stack is tried.
#[derive(Debug)]
pub enum Event<'e> {
    /// A run that was killed had left something, which is removed now; or could not be.
    Swept(&'e str),
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
pub enum Outcome {
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
    pub outcome: Outcome,
    /// A sentence for a person.
    pub message: String,
}

/// How a stack fared.
#[derive(Debug)]
pub struct Report {
    /// The project's name.
    pub project: String,
    /// `Failed` when a service or a probe did, `NotChecked` when a probe has no answer.
    pub outcome: Outcome,
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
    pub kept: Option<Kept>,
}

/// A stack that stays up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
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
pub fn run(run: &Run<'_>) -> Result<Report> {
    let stack = stack_of(run.spec)?;
    let (variables, redactor) = variables(stack)?;
    let about = run.engine.about().map_err(|_| {
        Fault::lacks(format!(
            "cannot reach the Docker engine at {}: start it, or point DOCKER_HOST or `docker context use` at one that runs",
            run.engine.address()
        ))
    })?;
    let mut notes = leftovers::sweep(run.state, run.engine, run.interrupt)?;
    for note in &notes {
        (run.tell)(Event::Swept(note));
    }
    let session = Session::begin(run.state, run.engine)?;
    let live = Live::new(run.interrupt, session.lock());
    let file = file(run.spec, stack)?;
    notes.extend(unused(stack, &file));
    let resolved = resolve(run, stack, &file, &variables, session.folder(), &live)?;
    let ids = resolved.images.iter();
    let ids: BTreeMap<String, String> = ids
        .map(|(service, pinned)| (service.clone(), pinned.id.clone()))
        .collect();
    let private = session.folder().join("files");
    let plan = rewrite::plan(
        &resolved.config,
        &Wanted {
            name: session.project(),
            folder: &file.folder,
            private: &private,
            images: &ids,
            variables: &variables,
            probes: &stack.probes,
            early_checks: has_early_checks(&about.version),
        },
    )?;
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
    compose::create(session.project(), &plan.model, &file.folder, &live)?;
    let label = session.label();
    let (members, trials) = containers(run.engine, &label, &plan)?;
    (run.tell)(Event::Made {
        project: session.project(),
        services: plan.needs.len(),
    });
    for (fill, archive) in archives {
        let is_it = |member: &&Member| member.service == fill.service;
        let own = members.iter().find(is_it).map(|member| &member.id);
        let trial = trials.iter().find(|(trial, _)| trial.name == fill.service);
        if let Some(id) = own.or(trial.map(|(_, id)| id)) {
            compose::copy_into(id, &fill.target, &archive, &live)?;
        }
    }
    let distinct: BTreeSet<String> = ids.into_values().collect();
    let distinct: Vec<String> = distinct.into_iter().collect();
    let ground = Ground {
        engine: run.engine,
        live: &live,
        interrupt: run.interrupt,
        redactor: &redactor,
        label: &label,
        members: &members,
        trials: &trials,
        images: &distinct,
        helpers: Mutex::default(),
    };
    let course = Watch {
        engine: run.engine,
        members: &members,
        needs: &plan.needs,
        roles: &roles(&plan.model, &plan.needs, &stack.probes),
        probes: &stack.probes,
        ground: &ground,
        timeout: stack.timeout,
        watch: stack.watch,
        tell: run.tell,
    }
    .run()?;
    let told = Telling {
        engine: run.engine,
        members: &members,
        needs: &plan.needs,
        redactor: &redactor,
    }
    .failure(&course);
    if run.interrupt.is_set() {
        return Err(Fault::interrupted());
    }
    let unknown = course
        .probes
        .iter()
        .any(|probe| probe.outcome == Outcome::NotChecked);
    let outcome = match (&told, unknown) {
        (Some(_), _) => Outcome::Failed,
        (None, true) => Outcome::NotChecked,
        (None, false) => Outcome::Passed,
    };
    let (cause, text) = told.unzip();
    let project = session.project().to_owned();
    let kept = if run.keep {
        let addresses = addresses(run.engine, &members, &course.standings);
        session.keep()?;
        Some(Kept {
            addresses,
            take_down: format!("docker compose --project-name {project} down --volumes"),
        })
    } else {
        (run.tell)(Event::TakingDown);
        notes.extend(session.end());
        None
    };
    Ok(Report {
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

/// What the stack would run, without making anything: for whoever wants to know whether an earlier
/// answer still holds. An image that is not on the engine is pulled.
pub fn resolved(run: &Run<'_>) -> Result<Resolved> {
    let stack = stack_of(run.spec)?;
    let (variables, _) = variables(stack)?;
    let fault = |error: std::io::Error| Fault::lacks(format!("cannot make a folder: {error}"));
    let scratch = tempfile::tempdir().map_err(fault)?;
    let lock = tempfile::tempfile().map_err(fault)?;
    let live = Live::new(run.interrupt, &lock);
    let path = Utf8Path::from_path(scratch.path())
        .ok_or_else(|| Fault::lacks("the folder for temporary files has a name that is no text"))?;
    let file = file(run.spec, stack)?;
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
    file: &compose::File,
    variables: &BTreeMap<String, String>,
    scratch: &Utf8Path,
    live: &Live<'_>,
) -> Result<Resolved> {
    let config = compose::resolve(file, variables, scratch, live)?;
    let refused = refuse::refusals(&config, &file.folder, &stack.allow);
    if let Some(fault) = refuse::fault(&refused, &file.shown, &run.spec.file) {
        return Err(fault);
    }
    let images = pin::pin(run.spec, stack, &config, run.images, run.engine, live)?;
    Ok(Resolved { config, images })
}

/// The compose file on this machine.
fn file(spec: &Spec, stack: &Stack) -> Result<compose::File> {
    let root = source::root(spec, stack.source)?;
    let find = |path: &Utf8Path, what: &str| {
        let whole = root.join(path);
        if whole.is_file() {
            Ok(whole)
        } else {
            Err(Fault::usage(format!(
                "{what} {path} of `[stack]` in {} is not there: {whole} is no file",
                spec.file
            )))
        }
    };
    let path = find(&stack.compose, "the compose file")?;
    let env_file = stack.env_file.as_deref();
    let env_file = env_file
        .map(|path| find(path, "the env-file"))
        .transpose()?;
    let folder = path.parent().unwrap_or(&root);
    let folder = folder
        .canonicalize_utf8()
        .map_err(|error| Fault::lacks(format!("cannot find the folder of {path}: {error}")))?;
    let place = stack.source.map(|id| &spec.sources[id.index()].place);
    Ok(compose::File {
        shown: stack.compose.clone(),
        folder,
        env_file,
        is_fetched: matches!(place, Some(Place::Fetched { .. })),
        path,
    })
}

/// The variables for the compose file, and what hides the secret ones.
fn variables(stack: &Stack) -> Result<(BTreeMap<String, String>, Redactor)> {
    let (mut all, mut secret) = (BTreeMap::new(), Vec::new());
    for (name, variable) in &stack.env {
        let value = match variable {
            Variable::Text(text) => text.clone(),
            Variable::Secret(from) => {
                let value = std::env::var(from).map_err(|_| {
                    Fault::lacks(format!(
                        "the environment has no variable {from}, from which `[stack]` takes {name}: export {from}=…"
                    ))
                })?;
                secret.push(value.clone().into_bytes());
                value
            }
        };
        all.insert(name.clone(), value);
    }
    Ok((all, Redactor::of_values(secret)))
}

/// Variables that the compose file does not mention, so that they change nothing.
fn unused(stack: &Stack, file: &compose::File) -> Option<String> {
    let text = std::fs::read_to_string(&file.path).ok()?;
    // What else is read is not known here.
    if text.contains("include:") || text.contains("extends:") {
        return None;
    }
    let names = stack.env.keys();
    let unused = names.filter(|name| !name.starts_with("COMPOSE_") && !text.contains(*name));
    let unused: Vec<&str> = unused.map(String::as_str).collect();
    (!unused.is_empty()).then(|| {
        format!(
            "`env` of `[stack]` sets {}, which {} does not mention",
            unused.join(", "),
            file.shown
        )
    })
}

/// `start_interval` of a health check came with Docker 25.
fn has_early_checks(version: &str) -> bool {
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    major.is_some_and(|major| major >= 25)
}

/// What is expected of each service.
fn roles(model: &Value, needs: &config::Needs, probes: &[Probe]) -> BTreeMap<String, Role> {
    let is_needed =
        |name: &str, wanted: Condition| needs.values().any(|own| own.get(name) == Some(&wanted));
    let mut roles = BTreeMap::new();
    for (name, service) in entries(model, "services") {
        let completes = is_needed(name, Condition::Completed);
        let check = service.get("healthcheck");
        let has_check = check.is_some_and(|check| !check.is_null() && !flag(check, "disable"));
        let is_probed = probes.iter().any(|probe| {
            probe.service == name && !matches!(probe.ask, Ask::Log { .. } | Ask::Uid { .. })
        });
        let serves = has_check
            || is_probed
            || list(service, "ports").next().is_some()
            || matches!(text(service, "restart"), "always" | "unless-stopped")
            || is_needed(name, Condition::Healthy);
        roles.insert(
            name.to_owned(),
            Role {
                completes,
                serves: serves && !completes,
            },
        );
    }
    roles
}

type Containers = (Vec<Member>, Vec<(trials::Trial, String)>);

/// The containers that compose made, and which of them are for probes.
fn containers(engine: &Engine, label: &str, plan: &rewrite::Plan) -> Result<Containers> {
    let (mut members, mut trials) = (Vec::new(), Vec::new());
    for id in engine.labelled(label)?.containers {
        let Some(container) = engine.container(&id)? else {
            continue;
        };
        let service = container.label(SERVICE).unwrap_or_default().to_owned();
        match plan.trials.iter().find(|trial| trial.name == service) {
            Some(trial) => trials.push((trial.clone(), id)),
            None => members.push(Member { service, id }),
        }
    }
    members.sort_by(|a, b| (&a.service, &a.id).cmp(&(&b.service, &b.id)));
    let is_there = |name: &&String| members.iter().any(|member| member.service == **name);
    match plan.needs.keys().find(|name| !is_there(name)) {
        Some(missing) => Err(Fault::failed(format!(
            "compose made no container for the service `{missing}`"
        ))),
        None => Ok((members, trials)),
    }
}

/// Where the ports of running services are found.
fn addresses(
    engine: &Engine,
    members: &[Member],
    standings: &BTreeMap<String, Standing>,
) -> Vec<(String, u16, String)> {
    let mut all = Vec::new();
    for member in members {
        if !standings.contains_key(&member.service) {
            continue;
        }
        let Ok(Some(container)) = engine.container(&member.id) else {
            continue;
        };
        for (port, published) in &container.network_settings.ports {
            let number = port.split('/').next().and_then(|port| port.parse().ok());
            let published = published.iter().flatten().next();
            if let (Some(number), Some(published)) = (number, published) {
                let address = format!("{}:{}", published.host_ip, published.host_port);
                all.push((member.service.clone(), number, address));
            }
        }
    }
    all
}

/// A number that nobody can guess, so that no two projects have the same name.
fn random() -> u32 {
    use ring::rand::SecureRandom as _;
    let mut bytes = [0; 4];
    if ring::rand::SystemRandom::new().fill(&mut bytes).is_err() {
        // Without randomness the process and the time are different enough.
        let time = std::time::SystemTime::now();
        let time = time
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        return time.subsec_nanos() ^ std::process::id().rotate_left(16);
    }
    u32::from_le_bytes(bytes)
}
