//! What the tree says of one stage: everything its key needs but its upstream's digests.
//!
//! Knows how a stage's Dockerfile, ignore file, context, overlays and named contexts come
//! together. Is unaware of records and of the engine; every stage's material can be
//! gathered at the same time.

mod externals;

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use crate::dockerfile::{self, ContextNeed, Question, Reading, reference};
use crate::fault::{Fault, Result};
use crate::inputs::{self, Ignore, Inputs, InputsError, Layers, StatCache};
use crate::source;
use crate::spec::{Context, SourceId, Spec, Stage, StageId};

pub use externals::Externals;

/// A folder that BuildKit reads from, with what lies over it and what it leaves out.
#[derive(Debug)]
pub struct Folder {
    /// The folder itself first, then the context overlays.
    pub layers: Layers,
    /// What is never sent.
    pub ignore: Ignore,
    /// What can change the image.
    pub inputs: Inputs,
    need: ContextNeed,
}

impl Folder {
    /// Reads the folder once more.
    pub fn collect_again(&self, cache: &StatCache) -> Result<Inputs, InputsError> {
        inputs::collect(&self.layers, &self.ignore, &self.need, cache)
    }
}

/// All of it.
#[derive(Debug)]
pub struct Material {
    /// The Dockerfile, absolute.
    pub dockerfile: Utf8PathBuf,
    /// Its bytes.
    pub text: Vec<u8>,
    /// What it says for this stage's target and arguments.
    pub reading: Reading,
    /// Build arguments with their values, without the volatile ones.
    pub args: BTreeMap<String, String>,
    /// Labels with their values.
    pub labels: BTreeMap<String, String>,
    /// The main context.
    pub context: Folder,
    /// Named contexts that are folders, by name.
    pub folders: BTreeMap<String, Folder>,
    /// Names that the Dockerfile uses for the images of other stages.
    pub parents: BTreeMap<String, StageId>,
    /// Named contexts that are external images, by name.
    pub images: BTreeMap<String, String>,
    /// The external images that the build uses, without those that a named context replaces.
    pub externals: Externals,
    /// Stages it stands on whose Dockerfiles speak of ONBUILD.
    pub with_triggers: Vec<String>,
}

impl Material {
    /// How many inputs there are, and their size in bytes.
    pub fn count(&self) -> (usize, u64) {
        let folders = || std::iter::once(&self.context).chain(self.folders.values());
        let entries = folders().map(|folder| folder.inputs.entries.len()).sum();
        (entries, folders().map(|folder| folder.inputs.bytes).sum())
    }

    /// Whether the Dockerfile or any input is not what it was when this was gathered.
    pub fn changed_since(&self, cache: &StatCache) -> Result<bool> {
        let text = std::fs::read(&self.dockerfile).unwrap_or_default();
        if text != self.text {
            return Ok(true);
        }
        for folder in std::iter::once(&self.context).chain(self.folders.values()) {
            let again = folder
                .collect_again(cache)
                .map_err(|error| Fault::usage(error.to_string()))?;
            if again.entries != folder.inputs.entries {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Gathers the material of a stage. `platform` is the engine's own, when it is known.
pub fn gather(
    spec: &Spec,
    id: StageId,
    platform: Option<&str>,
    cache: &StatCache,
) -> Result<Material> {
    let stage = spec.stage(id);
    gather_stage(spec, stage, platform, cache).map_err(|fault| of_stage(stage, fault))
}

/// What a stage's Dockerfile says, before any tree is read.
struct Said {
    dockerfile: Utf8PathBuf,
    text: Vec<u8>,
    args: BTreeMap<String, String>,
    reading: Reading,
    parents: BTreeMap<String, StageId>,
    images: BTreeMap<String, String>,
    externals: Externals,
}

fn hear(spec: &Spec, stage: &Stage, root: &Utf8Path, platform: Option<&str>) -> Result<Said> {
    let dockerfile = source::inside(root, &stage.dockerfile, "Dockerfile")?;
    let text = read(&dockerfile, "Dockerfile")?;
    let args = expand(spec, stage, false)?;
    let (reading, parents) = read_with_parents(spec, stage, &text, &args, platform, &dockerfile)?;
    let images = externals::images(stage, &reading);
    let externals = Externals::of(stage, &reading, &images, platform);
    Ok(Said {
        dockerfile,
        text,
        args,
        reading,
        parents,
        images,
        externals,
    })
}

/// The external images of a stage: only its Dockerfile is read.
pub fn externals(spec: &Spec, id: StageId, platform: Option<&str>) -> Result<Externals> {
    let stage = spec.stage(id);
    source::root(spec, stage.source)
        .and_then(|root| hear(spec, stage, &root, platform))
        .map(|said| said.externals)
        .map_err(|fault| of_stage(stage, fault))
}

fn of_stage(stage: &Stage, fault: Fault) -> Fault {
    Fault {
        message: format!("stage `{}`: {}", stage.name, fault.message),
        ..fault
    }
}

fn gather_stage(
    spec: &Spec,
    stage: &Stage,
    platform: Option<&str>,
    cache: &StatCache,
) -> Result<Material> {
    let root = source::root(spec, stage.source)?;
    let context = folder_inside(&root, &stage.context, "context")?;
    let Said {
        dockerfile,
        text,
        args,
        reading,
        parents,
        images,
        externals,
    } = hear(spec, stage, &root, platform)?;
    let labels = stage
        .labels
        .iter()
        .map(|(name, value)| Ok((name.clone(), value.expand(|name| fact(spec, stage, name))?)))
        .collect::<Result<_>>()?;

    let mut layers = Layers {
        folders: vec![context],
    };
    for overlay in &stage.overlays {
        layers
            .folders
            .push(folder_inside(&spec.root, overlay, "context overlay")?);
    }
    let ignore = ignore_of(&layers, Some(&dockerfile))?;
    let context = collect(layers, ignore, reading.context.clone(), cache)?;
    let mut folders = BTreeMap::new();
    for (name, given) in &stage.contexts {
        let Some(need) = reading.named.get(name) else {
            continue;
        };
        match given {
            Context::Stage(_) | Context::Image(_) => {}
            Context::Folder(source, path) => {
                let folder = folder_of_context(spec, *source, path, name)?;
                let layers = Layers {
                    folders: vec![folder],
                };
                let ignore = ignore_of(&layers, None)?;
                folders.insert(name.clone(), collect(layers, ignore, need.clone(), cache)?);
            }
        }
    }
    let with_triggers = with_triggers(spec, &parents)?;
    Ok(Material {
        dockerfile,
        text,
        reading,
        args,
        labels,
        context,
        folders,
        parents,
        images,
        externals,
        with_triggers,
    })
}

/// Triggers run in the child and may read any file of its context, so a parent that may have
/// some must be known. A trigger is not inherited further, so only parents are looked at.
fn with_triggers(spec: &Spec, parents: &BTreeMap<String, StageId>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for parent in parents.values().map(|id| spec.stage(*id)) {
        let root = source::root(spec, parent.source)?;
        let path = source::inside(&root, &parent.dockerfile, "Dockerfile")?;
        let text = read(&path, "Dockerfile")?.to_ascii_uppercase();
        if text
            .windows(b"ONBUILD".len())
            .any(|word| word == b"ONBUILD")
        {
            found.push(parent.name.clone());
        }
    }
    Ok(found)
}

/// The folder behind a named context.
pub fn folder_of_context(
    spec: &Spec,
    source: Option<SourceId>,
    path: &Utf8Path,
    name: &str,
) -> Result<Utf8PathBuf> {
    let root = source::root(spec, source)?;
    folder_inside(&root, path, &format!("named context `{name}`"))
}

/// The arguments with their values: the volatile ones, or the others.
pub fn expand(spec: &Spec, stage: &Stage, volatile: bool) -> Result<BTreeMap<String, String>> {
    stage
        .args
        .iter()
        .filter(|(name, _)| stage.volatile.contains(*name) == volatile)
        .map(|(name, value)| Ok((name.clone(), value.expand(|name| fact(spec, stage, name))?)))
        .collect()
}

/// What `${source.commit}` and `${source.rev}` stand for. Asked only where a value mentions
/// them, as it may cost a process.
fn fact(spec: &Spec, stage: &Stage, name: &str) -> Result<String> {
    let git = stage
        .source
        .and_then(|id| spec.sources[id.index()].git.as_ref());
    match git {
        Some(git) if name == "source.rev" => Ok(git.rev.clone()),
        _ => source::commit(spec, stage.source),
    }
}

/// Reads the Dockerfile, and finds the names under which it uses the images of other stages.
fn read_with_parents(
    spec: &Spec,
    stage: &Stage,
    text: &[u8],
    args: &BTreeMap<String, String>,
    platform: Option<&str>,
    path: &Utf8Path,
) -> Result<(Reading, BTreeMap<String, StageId>)> {
    let mut candidates: BTreeMap<String, StageId> = BTreeMap::new();
    if let Some(parent) = stage.from {
        candidates.insert(spec.stage(parent).name.clone(), parent);
        candidates.extend(
            spec.stage(parent)
                .references()
                .into_iter()
                .map(|reference| (reference, parent)),
        );
    }
    for (name, context) in &stage.contexts {
        if let Context::Stage(id) = context {
            candidates.insert(name.clone(), *id);
        }
    }
    let read = |candidates: &BTreeMap<String, StageId>| {
        let contexts: BTreeSet<String> = stage
            .contexts
            .keys()
            .chain(candidates.keys())
            .cloned()
            .collect();
        let unknown: BTreeSet<String> = stage.volatile.clone();
        let question = Question {
            target: stage.target.as_deref(),
            args,
            unknown: &unknown,
            platform: match stage.platforms.as_slice() {
                [] => platform,
                [one] => Some(one),
                // Several platforms: whatever depends on one has no value, which widens.
                _ => None,
            },
            build_platform: platform,
            contexts: &contexts,
        };
        dockerfile::read(text, &question).map_err(|error| Fault::usage(format!("{path}: {error}")))
    };
    let mut reading = read(&candidates)?;
    if let Some(parent) = stage.from {
        let used = |reading: &Reading, candidates: &BTreeMap<String, StageId>| {
            candidates
                .iter()
                .any(|(name, id)| *id == parent && reading.named.contains_key(name))
        };
        if !used(&reading, &candidates) {
            // The parent's image under another tag: overlays are written against a release.
            let image = spec
                .stage(parent)
                .image
                .as_deref()
                .and_then(reference::normalise);
            let sibling = reading.bases.iter().find(|base| {
                let base = reference::normalise(&base.reference);
                base.zip(image.as_ref()).is_some_and(|(base, image)| {
                    base.registry == image.registry && base.repository == image.repository
                })
            });
            let Some(sibling) = sibling else {
                return Err(stands_on_nothing(spec, stage, parent, &reading, path));
            };
            candidates.insert(sibling.reference.clone(), parent);
            reading = read(&candidates)?;
        }
    }
    candidates.retain(|name, _| reading.named.contains_key(name));
    Ok((reading, candidates))
}

fn stands_on_nothing(
    spec: &Spec,
    stage: &Stage,
    parent: StageId,
    reading: &Reading,
    path: &Utf8Path,
) -> Fault {
    let parent = spec.stage(parent);
    let wanted = parent
        .references()
        .into_iter()
        .next()
        .unwrap_or_else(|| parent.name.clone());
    let found: Vec<&str> = reading
        .bases
        .iter()
        .map(|base| base.reference.as_str())
        .collect();
    let found = if found.is_empty() {
        "no image".to_owned()
    } else {
        found.join(", ")
    };
    Fault::usage(format!(
        "stands on `{}`, but its Dockerfile {path} uses {found}: write `FROM {wanted}`, or say in `contexts` of `{}` which name the image replaces",
        parent.name, stage.name
    ))
}

fn folder_inside(root: &Utf8Path, path: &Utf8Path, what: &str) -> Result<Utf8PathBuf> {
    let folder = source::inside(root, path, what)?;
    if folder.is_dir() {
        Ok(folder)
    } else {
        Err(Fault::usage(format!("{what} {folder} is not a folder")))
    }
}

fn read(path: &Utf8Path, what: &str) -> Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|error| Fault::usage(format!("cannot read the {what} {path}: {error}")))
}

/// `<Dockerfile>.dockerignore` replaces the context's own
/// (docs.docker.com/build/concepts/context, "Filename and location"); a context overlay may bring one.
fn ignore_of(layers: &Layers, dockerfile: Option<&Utf8Path>) -> Result<Ignore> {
    let beside = dockerfile.and_then(|path| {
        let name = format!("{}.dockerignore", path.file_name()?);
        Some((path.parent()?, name))
    });
    let own = layers.folders.iter().rev();
    let own = own.map(|folder| (folder.as_path(), ".dockerignore".to_owned()));
    for (folder, name) in beside.into_iter().chain(own) {
        let path = folder.join(&name);
        let Ok(meta) = path.symlink_metadata() else {
            continue;
        };
        if meta.is_symlink() {
            // BuildKit sees this folder only: it would not ignore what a file elsewhere says.
            let target = path.read_link_utf8().unwrap_or_default();
            if target.is_absolute() {
                return Err(Fault::usage(format!(
                    "ignore file {path} is a link to {target}, which BuildKit cannot see: write its lines into a file there"
                )));
            }
            source::inside(folder, Utf8Path::new(&name), "ignore file")?;
        }
        if path.is_file() {
            let text = read(&path, "ignore file")?;
            return Ignore::parse(&text).map_err(|error| Fault::usage(format!("{path}: {error}")));
        }
    }
    Ok(Ignore::default())
}

fn collect(layers: Layers, ignore: Ignore, need: ContextNeed, cache: &StatCache) -> Result<Folder> {
    let inputs = inputs::collect(&layers, &ignore, &need, cache)
        .map_err(|error| Fault::usage(error.to_string()))?;
    Ok(Folder {
        layers,
        ignore,
        inputs,
        need,
    })
}

/// The material of a folder that is in no graph, for `inputs --context`.
pub fn of_folder(
    context: &Utf8Path,
    dockerfile: &Utf8Path,
    target: Option<&str>,
    args: BTreeMap<String, String>,
    platform: Option<&str>,
    cache: &StatCache,
) -> Result<Material> {
    let real = |path: &Utf8Path, what: &str| {
        path.canonicalize_utf8()
            .map_err(|error| Fault::usage(format!("{what} {path}: {error}")))
    };
    let context = real(context, "context")?;
    let dockerfile = real(dockerfile, "Dockerfile")?;
    let text = read(&dockerfile, "Dockerfile")?;
    let nothing = BTreeSet::new();
    let question = Question {
        target,
        args: &args,
        unknown: &nothing,
        platform,
        build_platform: platform,
        contexts: &nothing,
    };
    let reading = dockerfile::read(&text, &question)
        .map_err(|error| Fault::usage(format!("{dockerfile}: {error}")))?;
    let layers = Layers {
        folders: vec![context],
    };
    let ignore = ignore_of(&layers, Some(&dockerfile))?;
    let context = collect(layers, ignore, reading.context.clone(), cache)?;
    Ok(Material {
        dockerfile,
        text,
        reading,
        args,
        labels: BTreeMap::new(),
        context,
        folders: BTreeMap::new(),
        parents: BTreeMap::new(),
        images: BTreeMap::new(),
        externals: Externals::default(),
        with_triggers: Vec::new(),
    })
}
