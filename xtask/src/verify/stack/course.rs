//! Brings a stack up, asks its probes, and takes it down again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use camino::Utf8Path;

use super::child::LiveChildren;
use super::leftovers::{Session, sweep};
use super::member::Member;
use super::pin::Pinned;
use super::probes::Ground;
use super::report::Telling;
use super::rewrite::{self, Wanted};
use super::watch::Watch;
use super::{
    KeptStack, ProbeResult, Run, StackEvent, StackOutcome, StackReport, compose, fill, resolve,
    setting, stack_of,
};
use crate::fault::{Fault, Result};
use crate::outside::engine::{About, Engine};

/// Runs the stack and asks its probes.
pub fn run(run: &Run<'_>) -> Result<StackReport> {
    let session = begin(run)?;
    let folder = session.folder().to_owned();
    let Tried {
        mut report,
        members,
    } = attempt(run, &session, &folder)?;
    report.kept = close(run, session, &members, &mut report.notes)?;
    Ok(report)
}

/// How a stack and the one in its place ended.
#[derive(Debug)]
pub struct UpgradeReport {
    /// The first stack.
    pub old: StackReport,
    /// The second one, on the volumes of the first, or why it cannot be made; `None` if the first
    /// did not pass.
    pub new: Option<Result<StackReport>>,
}

/// Runs a stack, takes its containers away, and runs another one on the volumes that it left.
/// Nothing stays.
pub fn upgrade(old: &Run<'_>, new: &Run<'_>) -> Result<UpgradeReport> {
    setting::variables(stack_of(new.spec)?)?;
    let session = begin(old)?;
    let folder = |name: &str| {
        let folder = session.folder().join(name);
        let made = std::fs::create_dir(&folder);
        made.map_err(|error| Fault::lacks(format!("cannot make the folder {folder}: {error}")))?;
        Ok::<_, Fault>(folder)
    };
    let mut first = attempt(old, &session, &folder("old")?)?.report;
    let mut second = None;
    if first.outcome == StackOutcome::Passed {
        let live = LiveChildren::new(old.interrupt, session.lock());
        compose::take_containers(session.project(), &live)?;
        let tried = attempt(new, &session, &folder("new")?);
        second = Some(tried.map(|tried| tried.report));
    }
    let last = match &mut second {
        Some(Ok(report)) => report,
        Some(Err(_)) | None => &mut first,
    };
    (new.tell)(StackEvent::TakingDown);
    last.notes.extend(session.end());
    Ok(UpgradeReport {
        old: first,
        new: second,
    })
}

/// What the engine says of itself.
fn about(engine: &Engine) -> Result<About> {
    engine.about().map_err(|_| {
        Fault::lacks(format!(
            "cannot reach the Docker engine at {}: start it, or point DOCKER_HOST or `docker context use` at one that runs",
            engine.address()
        ))
    })
}

/// Removes what killed runs left, and begins a project.
fn begin<'r>(run: &Run<'r>) -> Result<Session<'r>> {
    // What is wrong with the graph or the environment is told before anything is made.
    setting::variables(stack_of(run.spec)?)?;
    about(run.engine)?;
    for note in sweep(run.state, run.engine, run.interrupt)? {
        (run.tell)(StackEvent::Swept(&note));
    }
    Session::begin(run.state, run.engine)
}

/// A stack that was tried and is still up.
struct Tried {
    report: StackReport,
    members: Vec<Member>,
}

/// Brings the stack up in the project, and asks its probes. `scratch` is an empty folder for files
/// that containers are given.
fn attempt(run: &Run<'_>, session: &Session<'_>, scratch: &Utf8Path) -> Result<Tried> {
    let stack = stack_of(run.spec)?;
    let (variables, redactor) = setting::variables(stack)?;
    let about = about(run.engine)?;
    let live = LiveChildren::new(run.interrupt, session.lock());
    let file = setting::file(run.spec, stack)?;
    let notes: Vec<String> = setting::unused(stack, &file).into_iter().collect();
    let resolved = resolve(run, stack, &file, &variables, scratch, &live)?;
    let images = resolved.images.iter();
    let images = images.map(|(service, pinned)| (service.clone(), pinned.id.clone()));
    let plan = rewrite::plan(
        &resolved.config,
        &Wanted {
            name: session.project(),
            folder: &file.folder,
            private: &scratch.join("files"),
            images: &images.collect(),
            variables: &variables,
            probes: &stack.probes,
            early_checks: setting::has_early_checks(&about.version),
        },
    )?;
    let (members, trials) = make(run, &plan, &file, session, &live)?;
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
    let report = StackReport {
        project: session.project().to_owned(),
        outcome,
        cause,
        text: text.unwrap_or_default(),
        probes: course.probes,
        images: resolved.images,
        rewritten: plan.rewritten,
        notes,
        kept: None,
    };
    Ok(Tried { report, members })
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
