//! Which jobs of the workflow must build something.
//!
//! One job builds one platform of stages that stand on each other and are not fresh. So nothing is
//! built twice, no job waits for another one, and a stage that turns out to be the same in spite of
//! its parent costs no job.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::fault::{Fault, Result};
use crate::freshness::planner::{Assessment, Workspace};
use crate::freshness::verdict::Verdict;
use crate::graphfile::spec::{Parts, Spec, StageId};

/// How many stages the name of a job tells.
const TOLD: usize = 3;

/// How many jobs a matrix may have (docs.github.com, *Workflow syntax*).
const MOST: usize = 256;

/// The jobs, as GitHub reads them.
#[derive(Debug, Serialize)]
pub struct Matrix {
    include: Vec<Row>,
}

/// One job.
#[derive(Debug, Serialize)]
struct Row {
    /// For people.
    name: String,
    /// The stages and parts to build, separated by spaces: names have none.
    stages: String,
    platform: String,
    runner: String,
    /// Whether the runner needs an emulator for the platform.
    emulated: bool,
}

/// Whether any stage has a platform without a runner.
pub(super) fn has_emulation(spec: &Spec) -> bool {
    let mut platforms = spec.stages.iter().flat_map(|stage| &stage.platforms);
    platforms.any(|platform| spec.workflow.runner(platform).is_none())
}

impl Matrix {
    /// The jobs for everything in a plan that is not fresh.
    pub fn of(work: &Workspace, plan: &[Assessment]) -> Self {
        let spec = &work.spec;
        let is_fresh = |it: &Assessment| matches!(it.verdict, Verdict::Fresh(_));
        let is_built = |id: StageId| !matches!(spec.stage(id).parts, Parts::Several(_));
        let stale = plan.iter().filter(|it| !is_fresh(it)).map(|it| it.id);
        let stale: Vec<StageId> = stale.filter(|id| is_built(*id)).collect();
        // In build order, so parents come first: each stage joins the groups of its parents. It also
        // joins those with the same host command on such a runner: two results of one command would
        // be one too many.
        let mut groups: Vec<Vec<StageId>> = Vec::new();
        for id in stale {
            let parents = parents(spec, id);
            let command = command(spec, id);
            let is_joined = |group: &Vec<StageId>| {
                let mut group = group.iter();
                group.any(|it| {
                    parents.contains(it) || command.is_some() && self::command(spec, *it) == command
                })
            };
            let (joined, others): (Vec<_>, Vec<_>) = groups.into_iter().partition(is_joined);
            groups = others;
            groups.push(joined.into_iter().flatten().chain([id]).collect());
        }
        let order: BTreeMap<StageId, usize> = plan.iter().map(|it| it.id).zip(0..).collect();
        let place = |id: &StageId| order.get(id).copied();
        for group in &mut groups {
            group.sort_by_key(place);
        }
        groups.sort_by_key(|group| group.first().and_then(place));
        Self {
            include: groups.iter().map(|group| Row::of(spec, group)).collect(),
        }
    }

    /// The lines that a step appends to `$GITHUB_OUTPUT`. Fails if there are more jobs than GitHub
    /// starts.
    pub fn lines(&self, work: &Workspace) -> Result<String> {
        if self.include.len() > MOST {
            return Err(Fault::failed(format!(
                "{} jobs would have to run, and GitHub starts {MOST} of a matrix: build on one machine first, by `{}`",
                self.include.len(),
                work.spec.call.command("build")
            )));
        }
        let matrix = serde_json::to_string(self)
            .map_err(|error| Fault::failed(format!("cannot print the jobs: {error}")))?;
        let any = !self.include.is_empty();
        Ok(format!("any={any}\nmatrix={matrix}\n"))
    }
}

/// What is built that a stage stands on.
fn parents(spec: &Spec, id: StageId) -> Vec<StageId> {
    let parents = spec.stage(id).upstream().into_iter();
    let built = parents.flat_map(|parent| match &spec.stage(parent).parts {
        Parts::Several(parts) => parts.clone(),
        Parts::One | Parts::Of(_) => vec![parent],
    });
    built.collect()
}

/// The host command of a stage, and the kind of runner that it runs on.
fn command(spec: &Spec, id: StageId) -> Option<(StageId, &str)> {
    let stage = spec.stage(id);
    stage.prepare.as_ref()?;
    let runner = stage
        .platforms
        .first()
        .and_then(|it| spec.workflow.runner(it));
    let runner = runner.unwrap_or_else(|| plain_runner(spec));
    Some((stage.prepared_with.unwrap_or(id), runner))
}

/// The runner for what is not for one platform.
pub(super) fn plain_runner(spec: &Spec) -> &str {
    let platforms = spec.stages.iter().flat_map(|stage| &stage.platforms);
    spec.workflow.plain_runner(platforms)
}

impl Row {
    fn of(spec: &Spec, group: &[StageId]) -> Self {
        let mut platforms: Vec<&str> = Vec::new();
        for platform in group.iter().flat_map(|id| &spec.stage(*id).platforms) {
            if !platforms.contains(&platform.as_str()) {
                platforms.push(platform);
            }
        }
        let native = platforms.iter().find_map(|it| spec.workflow.runner(it));
        let is_emulated = |it: &&str| spec.workflow.runner(it).is_none();
        let emulated = platforms.iter().any(is_emulated);
        let platform = platforms.join(", ");
        let mut names: Vec<&str> = group.iter().map(|id| &*spec.whole(*id).name).collect();
        names.dedup();
        let told = match names.len().checked_sub(TOLD) {
            None | Some(0) => names.join(", "),
            Some(more) => format!("{} and {more} more", names[..TOLD].join(", ")),
        };
        let name = if platform.is_empty() {
            told
        } else {
            format!("{told} ({platform})")
        };
        let stages: Vec<&str> = group.iter().map(|id| &*spec.stage(*id).name).collect();
        Self {
            name,
            stages: stages.join(" "),
            emulated,
            runner: native.unwrap_or_else(|| plain_runner(spec)).to_owned(),
            platform,
        }
    }
}
