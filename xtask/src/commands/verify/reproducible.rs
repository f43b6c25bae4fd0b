//! `cargo xtask verify --reproducible`: whether two builds of the same commit give the same images.
//!
//! Each build has a checkout, a path, a state and a time of its own, and takes no step from
//! BuildKit's cache. What is the same then is the same for everybody.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};

use crate::cli::VerifyArgs;
use crate::fault::{Class, Fault, Result};
use crate::freshness::planner::{Next, Workspace};
use crate::graphfile::spec::StageId;
use crate::outside::git;
use crate::outside::interrupt::Interrupt;
use crate::report::words;
use crate::verify::finding::{Answer, AnswerOutcome, ProbeAnswer, ProbeOutcome};

/// Builds the wanted stages twice and compares.
pub(super) fn run(flags: &VerifyArgs, interrupt: &Interrupt) -> Result<()> {
    let work = super::super::open(&flags.at, &[], Next::Any)?;
    let wanted = work.wanted(&flags.stages)?;
    let not: Vec<&str> = wanted
        .iter()
        .map(|id| work.spec.stage(*id))
        .filter(|stage| !stage.shipping.reproducible)
        .map(|stage| stage.name.as_str())
        .collect();
    if !not.is_empty() {
        return Err(Fault::usage(format!(
            "{} {} not declared reproducible: write `reproducible = true` and `output = \"oci\"` into `[defaults]`, or name the stages to verify",
            not.join(", "),
            if not.len() == 1 { "is" } else { "are" }
        )));
    }
    let root = checkout(&work)?;
    let scratch = work.state.call_folder().map_err(|error| {
        let folder = work.state.path("calls");
        Fault::lacks(format!("cannot make a folder in {folder}: {error}"))
    })?;
    let mut images = Vec::new();
    for name in ["one", "another"] {
        let place = scratch.path().join(name).join("checkout");
        crate::tell!("building from a checkout of its own, {place}");
        clone(&root, &place, interrupt)?;
        images.push(build(&work, flags, &root, &place, interrupt)?);
    }
    let answer = compare(&work, &wanted, &images);
    super::telling::tell(&work, flags, &[], &answer)?;
    match answer.outcome {
        AnswerOutcome::Passed => Ok(()),
        AnswerOutcome::Failed | AnswerOutcome::Incomplete => Err(Fault::told(Class::Failed)),
    }
}

/// The root of the checkout that the graph file lies in.
fn checkout(work: &Workspace) -> Result<Utf8PathBuf> {
    let mut command = git::command();
    command.args([
        "-C",
        work.spec.root.as_str(),
        "rev-parse",
        "--show-toplevel",
    ]);
    let output = command.stdin(Stdio::null()).output();
    let said = output.ok().filter(|output| output.status.success());
    let said = said.and_then(|output| String::from_utf8(output.stdout).ok());
    said.map(|said| Utf8PathBuf::from(said.trim()))
        .ok_or_else(|| {
            Fault::lacks(format!(
                "{} is not a git checkout: only a commit can be built twice",
                work.spec.root
            ))
        })
}

fn clone(root: &Utf8Path, place: &Utf8Path, interrupt: &Interrupt) -> Result<()> {
    let mut command = git::command();
    command.args([
        "clone",
        "--quiet",
        "--no-hardlinks",
        "--",
        root.as_str(),
        place.as_str(),
    ]);
    git::run(command, interrupt, |_| {})
        .map(drop)
        .map_err(|_| Fault::lacks(format!("git cannot clone {root} into {place}")))
}

/// The digests of the images that a build from a checkout gives, by stage.
fn build(
    work: &Workspace,
    flags: &VerifyArgs,
    root: &Utf8Path,
    place: &Utf8Path,
    interrupt: &Interrupt,
) -> Result<BTreeMap<String, String>> {
    let program = std::env::current_exe()
        .map_err(|error| Fault::lacks(format!("cannot find this program itself: {error}")))?;
    let inner = work.spec.file.canonicalize_utf8().ok();
    let inner = inner.and_then(|file| Some(file.strip_prefix(root).ok()?.to_owned()));
    let graph = place.join(inner.unwrap_or_else(|| "build-graph.toml".into()));
    let state = place.with_file_name("state");
    let call = |word: &str, more: &[&str]| {
        let mut command = Command::new(&program);
        command.arg(word).args(&flags.stages);
        command.arg(format!("--graph={graph}")).args(more);
        let profiles = flags.at.profile.iter();
        command.args(profiles.map(|name| format!("--profile={name}")));
        let set = flags.at.set.iter();
        command.args(set.map(|(name, value)| format!("--set={name}={value}")));
        command
            .env("XTASK_STATE", state.as_str())
            .stdin(Stdio::null());
        command
    };
    let run = |mut command: Command| {
        let child = interrupt.spawn(&mut command);
        let child = child.map_err(|error| Fault::lacks(format!("cannot start it: {error}")))?;
        let Some(mut child) = child else {
            return Err(Fault::interrupted());
        };
        let status = interrupt.wait_for(&mut child);
        if interrupt.is_set() {
            return Err(Fault::interrupted());
        }
        Ok(status.is_ok_and(|status| status.success()))
    };
    let mut command = call("build", &["--force", "--no-cache"]);
    command.stdout(Stdio::null());
    if !run(command)? {
        return Err(Fault::failed(format!(
            "a build from a checkout of its own failed: what is not committed is not in it ({place})"
        )));
    }
    let output = call("plan", &["--json"])
        .output()
        .map_err(|error| Fault::lacks(format!("cannot start it: {error}")))?;
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| Fault::failed("the plan of a checkout of its own is not readable"))?;
    let stages = plan.get("stages").and_then(serde_json::Value::as_array);
    let image = |stage: &serde_json::Value| {
        let name = stage.get("stage")?.as_str()?;
        let image = stage.get("image")?.as_str()?;
        Some((name.to_owned(), image.to_owned()))
    };
    Ok(stages.into_iter().flatten().filter_map(image).collect())
}

fn compare(work: &Workspace, wanted: &[StageId], images: &[BTreeMap<String, String>]) -> Answer {
    let whole = wanted.iter().filter(|id| !work.spec.stage(**id).is_part());
    let probes = whole.map(|id| {
        let name = &work.spec.stage(*id).name;
        let digests: Vec<Option<&String>> = images.iter().map(|all| all.get(name)).collect();
        let (outcome, message) = match digests.as_slice() {
            [Some(one), Some(other)] if one == other => (
                ProbeOutcome::Passed,
                format!("twice {}", words::shortened(one)),
            ),
            [Some(one), Some(other)] => (
                ProbeOutcome::Failed,
                format!("once {one} and once {other}: a step depends on the time, the path or the network"),
            ),
            _ => (ProbeOutcome::NotChecked, "it has no image".to_owned()),
        };
        ProbeAnswer {
            service: name.clone(),
            kind: "reproducible".to_owned(),
            outcome,
            message,
        }
    });
    Answer::of(Vec::new(), probes.collect())
}
