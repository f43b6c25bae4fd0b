//! Which stages have other keys than at another commit.
//!
//! The commit is checked out into a folder of its own, and the keys of both trees are compared. So
//! it is the key that decides, and not the path of a file that changed. What git does not know, such
//! as the outputs of host commands, is the same on both sides: no commit says what it was.

mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use camino::{Utf8Path, Utf8PathBuf};
use rayon::prelude::*;

use crate::contexts::Tracer;
use crate::fault::{Fault, Result};
use crate::freshness::planner::{ImageCache, StageSummary, Upstream, Workspace};
use crate::freshness::prepare::lending;
use crate::freshness::stage_inputs::{self, StageInputs};
use crate::graphfile::chosen::Chosen;
use crate::graphfile::outputs::Outputs;
use crate::graphfile::spec::{Place, StageId};
use crate::outside::engine::Images;
use crate::outside::interrupt::Interrupt;
use crate::outside::state::State;

use tree::CommitTree;

/// What differs from another commit.
#[derive(Debug)]
pub struct SinceCommit {
    /// The commit, with all its digits.
    pub commit: String,
    /// The stages and parts whose keys differ.
    pub differing: BTreeSet<StageId>,
    /// Inputs of wanted stages that git does not know.
    pub unknown: Vec<String>,
}

impl SinceCommit {
    /// Whether a stage, one of its parts, or the stage that it is a part of differs.
    pub fn covers(&self, work: &Workspace, id: StageId) -> bool {
        let whole = work.spec.whole_id(id);
        self.differing.contains(&id)
            || (whole == id
                && self
                    .differing
                    .iter()
                    .any(|it| work.spec.whole_id(*it) == id))
    }

    /// The names of the stages to build, in build order.
    pub fn names(&self, work: &Workspace, wanted: &[StageId]) -> Vec<String> {
        let differing = wanted.iter().filter(|id| self.differing.contains(*id));
        differing
            .map(|id| work.spec.stage(*id).name.clone())
            .collect()
    }
}

/// Compares the keys of stages with those at a commit. `wanted` is in build order.
pub fn compare(
    work: &Workspace,
    reference: &str,
    platforms: &[String],
    wanted: &[StageId],
    interrupt: &Interrupt,
) -> Result<SinceCommit> {
    let fault = |why: String| Fault::lacks(format!("cannot compare with {reference}: {why}"));
    let scratch = tempfile::tempdir().map_err(|error| fault(error.to_string()))?;
    let folder = Utf8Path::from_path(scratch.path())
        .ok_or_else(|| fault("the folder for temporary files is not UTF-8".into()))?;
    let folder = folder
        .canonicalize_utf8()
        .map_err(|error| fault(error.to_string()))?;
    let trees = trees(work, reference, &folder, interrupt)?;
    let now = Side::of(work, wanted);
    let unknown = fill(&trees, work, &now).map_err(|error| fault(error.to_string()))?;
    let then = open(work, platforms, &trees, &folder)?;
    let names: Vec<&str> = wanted
        .iter()
        .map(|id| &*work.spec.stage(*id).name)
        .collect();
    // A stage that is new has no key there.
    let there: Vec<StageId> = names
        .iter()
        .filter_map(|name| then.spec.find(name).ok())
        .collect();
    let there = then.closure(&there);
    let before = Side::of(&then, &there);
    let (now, before) = (now.keys(work, wanted)?, before.keys(&then, &there)?);
    let is_other = |id: &StageId| {
        let name = work.spec.stage(*id).name.as_str();
        match (now.get(name), before.get(name)) {
            (Some(Some(now)), Some(Some(before))) => now != before,
            // Neither can be read, for the same reason or for another one.
            _ => true,
        }
    };
    Ok(SinceCommit {
        commit: trees
            .first()
            .map(|tree| tree.commit.clone())
            .unwrap_or_default(),
        differing: wanted.iter().copied().filter(is_other).collect(),
        unknown,
    })
}

/// The trees of the commit: of the repository of the graph file, and of those of local sources that
/// know it. Fails if none does.
fn trees(
    work: &Workspace,
    reference: &str,
    folder: &Utf8Path,
    interrupt: &Interrupt,
) -> Result<Vec<CommitTree>> {
    let mut roots: Vec<Utf8PathBuf> = Vec::new();
    let local = work
        .spec
        .sources
        .iter()
        .filter_map(|source| match &source.place {
            Place::Local { root } => Some(root.clone()),
            _ => None,
        });
    for place in std::iter::once(work.spec.root.clone()).chain(local) {
        if let Some(root) = tree::repository(&place, interrupt)
            && !roots.contains(&root)
        {
            roots.push(root);
        }
    }
    let mut trees = Vec::new();
    for (at, root) in roots.iter().enumerate() {
        let copy = folder.join(format!("trees/{at}"));
        match CommitTree::of(root, reference, copy, interrupt)? {
            Some(tree) => trees.push(tree),
            None => {
                crate::tell!("note: {root} does not know {reference}, and is taken as it is now")
            }
        }
    }
    if !trees.is_empty() {
        return Ok(trees);
    }
    let Some(first) = roots.first() else {
        return Err(Fault::usage(format!(
            "{} is in no git repository, so there is no {reference} to compare with: call this in a clone",
            work.spec.root
        )));
    };
    if let Some(shallow) = roots.iter().find(|root| tree::is_shallow(root, interrupt)) {
        let word = crate::graphfile::call::quoted(reference);
        return Err(Fault::lacks(format!(
            "{shallow} is a shallow clone without {reference}: run `git -C {shallow} fetch --deepen=100`, or `git -C {shallow} fetch --depth=1 origin {word}` for that one commit"
        )));
    }
    Err(Fault::usage(format!(
        "{first} has no commit {reference}: name a commit, a branch or a tag"
    )))
}

/// Fills the trees with what no commit says, and names it.
fn fill(trees: &[CommitTree], work: &Workspace, now: &Side) -> std::io::Result<Vec<String>> {
    let mut unknown = BTreeSet::new();
    let mut add = |path: &Path, is_told: bool| -> std::io::Result<()> {
        for tree in trees {
            if tree.fill(path)? && is_told {
                unknown.insert(path.display().to_string());
            }
        }
        Ok(())
    };
    let file = work
        .spec
        .root
        .join(work.spec.file.file_name().unwrap_or_default());
    add(file.as_std_path(), true)?;
    add(file.with_extension("lock").as_std_path(), false)?;
    for inputs in now.inputs.values().filter_map(|it| it.as_ref().ok()) {
        add(inputs.dockerfile.as_std_path(), true)?;
        add(
            Path::new(&format!("{}.dockerignore", inputs.dockerfile)),
            false,
        )?;
        let folders = std::iter::once(&inputs.context).chain(inputs.folders.values());
        for folder in folders {
            for layer in &folder.layers.folders {
                add(layer.join(".dockerignore").as_std_path(), false)?;
            }
            for entry in &folder.inputs.entries {
                let layer = folder.layers.folders.get(usize::from(entry.layer));
                let path =
                    layer.map(|layer| layer.as_std_path().join(OsStr::from_bytes(&entry.path)));
                add(&path.unwrap_or_else(PathBuf::new), true)?;
            }
        }
    }
    Ok(unknown.into_iter().collect())
}

/// Opens the graph as it was at the commit.
fn open(
    work: &Workspace,
    platforms: &[String],
    trees: &[CommitTree],
    folder: &Utf8Path,
) -> Result<Workspace> {
    let place = |path: &Utf8Path| {
        let mut places = trees
            .iter()
            .filter_map(|tree| tree.place(path.as_std_path()));
        let place = places
            .next()
            .and_then(|it| Utf8PathBuf::from_path_buf(it).ok());
        place.unwrap_or_else(|| path.to_owned())
    };
    let mut options = work.spec.options.clone();
    for source in &work.spec.sources {
        if let Place::Local { root } = &source.place {
            options.sources.insert(source.name.clone(), place(root));
        }
    }
    let name = work.spec.file.file_name().unwrap_or_default();
    let chosen = Chosen {
        file: place(&work.spec.root).join(name),
        options,
        call: work.spec.call.clone(),
    };
    open_in(work, &chosen, platforms, folder)
}

/// Opens a graph with a state of its own in `folder`, which has the fetched sources of this one.
fn open_in(
    work: &Workspace,
    chosen: &Chosen,
    platforms: &[String],
    folder: &Utf8Path,
) -> Result<Workspace> {
    open_with(work, chosen, platforms, folder.join("states/then"))
}

/// Opens a graph with this folder as its state.
fn open_with(
    work: &Workspace,
    chosen: &Chosen,
    platforms: &[String],
    state: Utf8PathBuf,
) -> Result<Workspace> {
    std::fs::create_dir_all(&state)
        .map_err(|error| Fault::lacks(format!("cannot make {state}: {error}")))?;
    // Fetched sources lie in the state of the graph.
    let sources = work.state.path("sources");
    std::os::unix::fs::symlink(&sources, state.join("sources"))
        .map_err(|error| Fault::lacks(format!("cannot make a link to {sources}: {error}")))?;
    Workspace::open_beside(chosen, platforms, State::in_folder(state))
}

/// Opens the graph with one of its sources at another place. `folder` is for its state.
pub fn open_at(
    work: &Workspace,
    source: &str,
    root: &Utf8Path,
    folder: &Utf8Path,
) -> Result<Workspace> {
    open_in(work, &with_source(work, source, root), &[], folder)
}

/// As `open_at`, for builds of one platform that nobody else sees. `state` is the folder of its
/// state.
pub fn open_apart(
    work: &Workspace,
    source: &str,
    root: &Utf8Path,
    platform: Option<&str>,
    state: Utf8PathBuf,
) -> Result<Workspace> {
    let platforms: Vec<String> = platform.map(str::to_owned).into_iter().collect();
    let mut then = open_with(work, &with_source(work, source, root), &platforms, state)?;
    then.set_apart();
    Ok(then)
}

/// The graph of this workspace with one of its sources at another place.
fn with_source(work: &Workspace, source: &str, root: &Utf8Path) -> Chosen {
    let mut options = work.spec.options.clone();
    options.sources.insert(source.to_owned(), root.to_owned());
    Chosen {
        file: work.spec.file.clone(),
        options,
        call: work.spec.call.clone(),
    }
}

/// Checks a revision of the repository around `place` out into a folder below `folder`. Returns the
/// place in it that corresponds to `place`, and the commit.
pub fn check_out(
    place: &Utf8Path,
    reference: &str,
    folder: &Utf8Path,
    interrupt: &Interrupt,
) -> Result<(Utf8PathBuf, String)> {
    let root = tree::repository(place, interrupt).ok_or_else(|| {
        Fault::usage(format!(
            "{place} is in no git repository, so there is no {reference} of it"
        ))
    })?;
    let copy = folder.join("trees/0");
    let Some(tree) = CommitTree::of(&root, reference, copy.clone(), interrupt)? else {
        return Err(Fault::usage(format!(
            "{root} has no commit {reference}: name a commit, a branch or a tag, or fetch it there first"
        )));
    };
    let own = tree.place(place.as_std_path());
    let own = own.and_then(|own| Utf8PathBuf::from_path_buf(own).ok());
    let own = own.filter(|own| own.components().ne(copy.components()));
    Ok((own.unwrap_or(copy), tree.commit))
}

/// What the stages of one of the two trees read.
struct Side {
    inputs: BTreeMap<StageId, Result<StageInputs>>,
    /// What the host commands read that made a part of it, as hashes.
    commands: BTreeMap<StageId, Vec<String>>,
}

impl Side {
    fn of(work: &Workspace, wanted: &[StageId]) -> Self {
        let outputs = Outputs::of(&work.spec);
        let states = work.state.beside().as_std_path();
        let look = |id: &StageId| {
            let tracer = Tracer::forgetful(&work.cache).beside(states);
            let inputs = stage_inputs::gather(&work.spec, *id, work.engine.platform(), &tracer);
            // Their outputs are the same on both sides, so what counts is what they would read.
            let mut makers = BTreeSet::new();
            if let Ok(inputs) = &inputs {
                makers.extend(outputs.seen_by(&tracer, &inputs.trees(), None).into_keys());
            }
            makers.extend(work.spec.stage(*id).prepare.as_ref().map(|_| *id));
            let question = |of: StageId| {
                let tracer = Tracer::forgetful(&work.cache).beside(states);
                let stage = work.spec.stage(of);
                let asked = lending::question(&work.spec, stage, &tracer, std::env::consts::ARCH);
                asked.ok().flatten().unwrap_or_default()
            };
            let questions: BTreeSet<String> = makers.into_iter().map(question).collect();
            (*id, inputs, questions.into_iter().collect())
        };
        let read: Vec<_> = wanted
            .par_iter()
            .filter(|id| !work.spec.stage(**id).is_assembled())
            .map(look)
            .collect();
        let (mut inputs, mut commands) = (BTreeMap::new(), BTreeMap::new());
        for (id, of_stage, questions) in read {
            inputs.insert(id, of_stage);
            commands.insert(id, questions);
        }
        Self { inputs, commands }
    }

    /// The keys of stages by name, as if no image were built: each has those of its parents in it.
    /// `None` for a stage that cannot be read.
    fn keys(
        &self,
        work: &Workspace,
        wanted: &[StageId],
    ) -> Result<BTreeMap<String, Option<String>>> {
        let held = ImageCache::new(Images::new());
        let mut upstream: BTreeMap<StageId, Upstream> = BTreeMap::new();
        let mut keys = BTreeMap::new();
        for id in wanted {
            let summary = match self.inputs.get(id) {
                None => Some(StageSummary::of_assembled(&work.spec, *id)),
                Some(Ok(inputs)) => Some(StageSummary::of(&work.spec, *id, inputs)),
                Some(Err(_)) => None,
            };
            let parents = work.spec.stage(*id).upstream();
            let is_read = parents.iter().all(|parent| upstream.contains_key(parent));
            let key = match summary.filter(|_| is_read) {
                None => None,
                Some(summary) => {
                    let key = work.key_of(*id, &summary, &upstream, &held)?.hex();
                    let commands = self.commands.get(id).map(|it| it.join(" "));
                    Some(format!("{key} {}", commands.unwrap_or_default()))
                }
            };
            if let Some(key) = &key {
                upstream.insert(*id, Upstream::Unbuilt(key.clone()));
            }
            keys.insert(work.spec.stage(*id).name.clone(), key);
        }
        Ok(keys)
    }
}
