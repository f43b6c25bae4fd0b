//! Applies base overrides, the graph's `[base]` tables.
//!
//! Finds the external images that each Dockerfile names and overrides them with named contexts, as
//! if the stage itself had declared these. Works on the text of Dockerfiles alone: neither a
//! registry nor the engine is asked.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8PathBuf;

use crate::fault::{Fault, Result};
use crate::graphfile::chosen::Chosen;
use crate::graphfile::graph::Graph;
use crate::graphfile::lock::Lock;
use crate::graphfile::outputs::Outputs;
use crate::graphfile::source;
use crate::graphfile::spec::{
    self, Context, Partial, RefusedGraph, Replacement, Spec, Stage, StageId,
};
use crate::outside::state::{self, State};
use dockerfile::Question;

/// A graph file with its DAG, its state folder and its pins.
#[derive(Debug)]
pub struct OpenedGraph {
    /// What the file says, with the profile laid over it.
    pub spec: Spec,
    /// Its DAG.
    pub graph: Graph,
    /// Its state folder.
    pub state: State,
    /// Its pins.
    pub lock: Lock,
}

/// Reads a graph file and finds its sources. `platforms`, unless empty, replace those of the graph:
/// the images that a Dockerfile uses may depend on the platform.
pub fn open(chosen: &Chosen, platforms: &[String]) -> Result<OpenedGraph> {
    open_with(chosen, platforms, None).map_err(|refused| refused.fault)
}

/// Like `open`, with a state that is not the one of the graph file.
pub fn open_with(
    chosen: &Chosen,
    platforms: &[String],
    state: Option<State>,
) -> Result<OpenedGraph, RefusedGraph> {
    let mut spec = spec::load_partly(&chosen.file, &chosen.options)?;
    spec.call = chosen.call.clone();
    spec.choose_platforms(platforms)?;
    spec.split();
    let state = match state {
        Some(state) => state,
        None => State::of(&spec.file)?,
    };
    let lock = Lock::beside(&spec.file)?.called(spec.call.clone());
    source::find(&mut spec, &state, &lock);
    source::facts::settle_names(&mut spec)?;
    apply(&mut spec)?;
    let graph = match Graph::of(&spec) {
        Ok(graph) => graph,
        Err(fault) => {
            let sound = spec.ids().collect();
            return Err(RefusedGraph {
                fault,
                partial: Some(Box::new(Partial { spec, sound })),
            });
        }
    };
    Ok(OpenedGraph {
        spec,
        graph,
        state,
        lock,
    })
}

/// Gives every stage the named contexts that `[base]` asks for. A context that the stage declares
/// itself wins. If a source was missing, this is called again once the source is there.
pub fn apply(spec: &mut Spec) -> Result<()> {
    if spec.bases.is_empty() {
        return Ok(());
    }
    let mut all = Vec::new();
    let below: BTreeMap<&str, BTreeSet<StageId>> = spec
        .bases
        .iter()
        .map(|(canonical, given)| (canonical.as_str(), closure(spec, given.stage)))
        .collect();
    let made = Outputs::of(spec);
    for id in spec.ids() {
        let stage = spec.stage(id);
        if stage.is_assembled() {
            continue;
        }
        let own = own_names(spec, stage);
        let used = used(spec, stage, &made);
        for (canonical, given) in &spec.bases {
            if own.contains(canonical) || !used.may_be(canonical) {
                continue;
            }
            let is_below = below[canonical.as_str()].contains(&id);
            let Some(context) = in_its_place(given, is_below) else {
                continue;
            };
            let context = match context {
                Context::Stage(overlay) => {
                    let only = stage.platforms.first().map(String::as_str);
                    let overlay = spec.part_for(overlay, only);
                    same_platforms(spec, stage, overlay, given)?;
                    Context::Stage(overlay)
                }
                other => other,
            };
            all.push((id, given.name.clone(), context));
        }
    }
    for (id, name, context) in all {
        let stage = &mut spec.stages[id.index()];
        stage.replaced.insert(name.clone());
        stage.contexts.insert(name, context);
    }
    Ok(())
}

/// What `[base]` puts in the place of an image for one stage. `is_below` says that the overlay
/// stage is this stage or stands on it: such a stage gets the `image` of the override, if there is
/// one.
fn in_its_place(given: &Replacement, is_below: bool) -> Option<Context> {
    match (given.stage, &given.image) {
        (Some(overlay), _) if !is_below => Some(Context::Stage(overlay)),
        (_, image) => image.clone().map(Context::Image),
    }
}

/// The first of the images in `taken` that `[base]` overrides, although the stage takes it from a
/// registry. This happens if the Dockerfile did not name the image yet when `apply` ran.
pub fn overlooked<'r>(
    spec: &Spec,
    id: StageId,
    mut taken: impl Iterator<Item = &'r str>,
) -> Option<&'r str> {
    if spec.bases.is_empty() {
        return None;
    }
    let own = own_names(spec, spec.stage(id));
    taken.find(|name| {
        let canonical = reference::normalise(name).map(|it| it.canonical());
        let canonical = canonical.filter(|canonical| !own.contains(canonical));
        let given = canonical.and_then(|canonical| spec.bases.get(&canonical));
        let is_below = |given: &Replacement| closure(spec, given.stage).contains(&id);
        given.is_some_and(|given| in_its_place(given, is_below(given)).is_some())
    })
}

/// The base overrides of a stage: the name of each external image, and what a person calls the
/// image that takes its place.
pub fn told<'s>(spec: &'s Spec, stage: &'s Stage) -> impl Iterator<Item = (&'s str, String)> {
    stage.replaced.iter().filter_map(|name| {
        let by = match stage.contexts.get(name)? {
            Context::Stage(id) => format!("stage `{}`", spec.whole(*id).name),
            Context::Image(reference) => reference.clone(),
            Context::Folder(..) => return None,
        };
        Some((name.as_str(), by))
    })
}

/// A stage and everything it stands on.
fn closure(spec: &Spec, stage: Option<StageId>) -> BTreeSet<StageId> {
    let mut found = BTreeSet::new();
    let mut left: Vec<StageId> = stage.into_iter().collect();
    while let Some(id) = left.pop() {
        if found.insert(id) {
            left.extend(spec.stage(id).upstream());
        }
    }
    found
}

/// The images, in canonical form, for which the stage itself declares a context or a parent.
fn own_names(spec: &Spec, stage: &Stage) -> BTreeSet<String> {
    let parent = stage.from.map(|parent| spec.whole(parent).references());
    let named = stage.contexts.keys().cloned();
    named
        .chain(parent.into_iter().flatten())
        .filter_map(|name| Some(reference::normalise(&name)?.canonical()))
        .collect()
}

/// The external images that a stage takes from a registry, by their full spelling. Empty if the
/// text of its Dockerfile does not tell.
pub fn external(spec: &Spec, stage: &Stage) -> BTreeSet<String> {
    match used(spec, stage, &Outputs::default()) {
        Used::These(names) => names.difference(&own_names(spec, stage)).cloned().collect(),
        Used::Any => BTreeSet::new(),
    }
}

/// The external images that a stage uses.
enum Used {
    These(BTreeSet<String>),
    /// The text alone does not tell.
    Any,
}

impl Used {
    fn may_be(&self, canonical: &str) -> bool {
        match self {
            Self::These(names) => names.contains(canonical),
            Self::Any => true,
        }
    }
}

/// The external images that a stage's Dockerfile names. A Dockerfile that cannot be read names none
/// here: gathering the stage reports the error. A Dockerfile that a host command makes is unknown
/// until that command has run.
fn used(spec: &Spec, stage: &Stage, made: &Outputs) -> Used {
    let root = source::root(spec, stage.source);
    let is_made = |root: &Utf8PathBuf| made.make(&root.join(&stage.dockerfile));
    if makes_its_dockerfile(stage) || root.as_ref().is_ok_and(is_made) {
        return Used::Any;
    }
    let text = root
        .and_then(|root| {
            let named = source::dockerfile(&root, &stage.dockerfile);
            source::inside(&root, &named, "Dockerfile")
        })
        .ok()
        .and_then(|path| state::read(&path).ok().flatten());
    let Some(text) = text else {
        return Used::These(BTreeSet::new());
    };
    let mut args = BTreeMap::new();
    let mut unknown = stage.volatile.clone();
    for (name, value) in &stage.args {
        // Finding a source's commit would start a process, and image names hardly ever depend on
        // it.
        match value.expand(|_| Err(())) {
            Ok(value) if !unknown.contains(name) => {
                args.insert(name.clone(), value);
            }
            _ => {
                unknown.insert(name.clone());
            }
        }
    }
    let contexts: BTreeSet<String> = stage.contexts.keys().cloned().collect();
    let platforms: Vec<Option<&str>> = match stage.platforms.as_slice() {
        // The engine's own platform. The engine was not asked yet.
        [] => vec![None],
        several => several.iter().map(|it| Some(it.as_str())).collect(),
    };
    let mut names = BTreeSet::new();
    for platform in platforms {
        let question = Question {
            target: stage.target.as_deref(),
            args: &args,
            unknown: &unknown,
            platform,
            build_platform: None,
            contexts: &contexts,
        };
        match dockerfile::read(&text, &question) {
            Ok(reading) if !reading.references_complete => return Used::Any,
            Ok(reading) => names.extend(
                reading
                    .bases
                    .iter()
                    .filter_map(|base| Some(reference::normalise(&base.reference)?.canonical())),
            ),
            Err(_) => return Used::These(BTreeSet::new()),
        }
    }
    Used::These(names)
}

fn makes_its_dockerfile(stage: &Stage) -> bool {
    stage.prepare.as_ref().is_some_and(|prepare| {
        let has_root = stage.source.is_none() || !prepare.beside_graph;
        let mut outputs = prepare.outputs.iter();
        has_root && outputs.any(|path| stage.dockerfile.starts_with(prepare.dir.join(path)))
    })
}

/// Refuses an override by an overlay of other platforms: BuildKit builds on an image of another
/// platform without a warning.
fn same_platforms(spec: &Spec, stage: &Stage, overlay: StageId, given: &Replacement) -> Result<()> {
    let overlay = spec.stage(overlay);
    if overlay.platforms == stage.platforms {
        return Ok(());
    }
    Err(Fault::usage(format!(
        "{}: base `{}` is replaced by stage `{}`, which is not built for the platforms of `{}`, which uses it: \
         give both the same `platforms`, or put them into `[defaults]`",
        spec.file, given.name, overlay.name, stage.name
    )))
}

#[cfg(test)]
mod tests;
