//! What the trees say of one stage: everything that its key needs except the images of other
//! stages.
//!
//! Puts together a stage's Dockerfile, ignore file, context, overlays and named contexts. Uses
//! neither records nor the engine, so the inputs of all stages can be gathered at the same time.

mod absent;
mod externals;
mod folder;
mod likely;
mod policy;
mod reading;
mod unused;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use crate::contexts::{Layers, Snapshot, StatCache, Tracer};
use crate::fault::{Fault, Result};
use crate::graphfile::source;
use crate::graphfile::spec::{Context, Naming, Spec, Stage, StageId};
use crate::outside::proxies;
use crate::outside::state;
use dockerfile::{ImageFacts, Question, Reading, Step};
use dockerignore::Ignore;

pub use absent::AbsentSource;
pub use externals::{Externals, Taken, platforms_of};
pub use folder::{ContextFolder, folder_of_context};
use folder::{collect, dockerfile_inside, folder_inside, given_to_buildkit, ignore_of, read};
pub use policy::SourcePolicy;
use reading::{StageReading, read_with_parents};
pub use values::{annotations, expand, labels, volatile};

/// The inputs of one stage.
#[derive(Debug)]
pub struct StageInputs {
    /// The absolute path of the Dockerfile that BuildKit is given. It may be a link.
    pub dockerfile: Utf8PathBuf,
    /// The bytes of the Dockerfile.
    pub text: Vec<u8>,
    /// What the Dockerfile says for this stage's target and arguments.
    pub reading: Reading,
    /// Build arguments with their values, without the volatile ones.
    pub args: BTreeMap<String, String>,
    /// Labels with their values, without the volatile ones.
    pub labels: BTreeMap<String, String>,
    /// The main context.
    pub context: ContextFolder,
    /// Named contexts that are folders, by name.
    pub folders: BTreeMap<String, ContextFolder>,
    /// Names that the Dockerfile uses for the images of other stages.
    pub parents: BTreeMap<String, StageId>,
    /// Named contexts that are external images, by name.
    pub images: BTreeMap<String, String>,
    /// The external images that the build uses, without those that a named context replaces.
    pub externals: Externals,
    /// Parents that may leave this stage ONBUILD triggers which cannot be determined.
    pub with_triggers: Vec<String>,
    /// The sources of COPY, ADD and bind mounts that are missing.
    pub absent: Vec<AbsentSource>,
    /// Proxies that `args` gives and the Dockerfile does not declare. BuildKit does not compare
    /// them, and the key does not count them.
    pub uncounted: Vec<String>,
    /// The policy that buildx finds beside the Dockerfile.
    pub policy: Option<SourcePolicy>,
    /// A sentence on each argument that the stage gives and its Dockerfile does not take.
    pub unused: Vec<String>,
    /// All looks at the trees.
    pub snapshot: Snapshot,
}

impl StageInputs {
    /// All folders that the build may read from, with the ignore patterns of each.
    pub fn trees(&self) -> Vec<(&Utf8Path, &Ignore)> {
        let folders = std::iter::once(&self.context).chain(self.folders.values());
        let layers = folders.flat_map(|folder| {
            let layers = folder.layers.folders.iter();
            layers.map(|root| (root.as_path(), &folder.ignore))
        });
        layers.collect()
    }

    /// A sentence on each line of the Dockerfile that BuildKit will refuse, unless it is newer than
    /// this program.
    pub fn unreadable(&self) -> impl Iterator<Item = String> + '_ {
        let clauses = self.reading.undecided.iter();
        let lines = clauses.filter_map(|clause| {
            let (line, why) = clause
                .strip_prefix("line ")?
                .split_once(" cannot be read: ")?;
            Some(format!("{}:{line}: {why}", self.dockerfile))
        });
        lines.filter(|_| self.reading.syntax.is_none())
    }

    /// How many inputs there are, and their size in bytes.
    pub fn count(&self) -> (usize, u64) {
        let folders = || std::iter::once(&self.context).chain(self.folders.values());
        let entries = folders().map(|folder| folder.inputs.entries.len()).sum();
        (entries, folders().map(|folder| folder.inputs.bytes).sum())
    }
}

/// Gathers the inputs of a stage. `platform` is the engine's own, if it is known.
pub fn gather(
    spec: &Spec,
    id: StageId,
    platform: Option<&str>,
    tracer: &Tracer<'_>,
) -> Result<StageInputs> {
    let stage = spec.stage(id);
    if let Naming::Failed(fault) = &stage.naming {
        return Err(fault.clone());
    }
    gather_stage(spec, stage, platform, tracer).map_err(|fault| stage.fault(fault))
}

/// The instructions that make a stage's image on top of the external one. `None` if its Dockerfile
/// does not decide them.
pub fn steps(spec: &Spec, id: StageId, platform: Option<&str>) -> Option<Vec<Step>> {
    let stage = spec.stage(id);
    let root = source::root(spec, stage.source).ok()?;
    let path = root.join(source::dockerfile(&root, &stage.dockerfile));
    let text = state::read(&path).ok()??;
    let args = expand(spec, stage, false).ok()?;
    let contexts = reading::names_of_contexts(spec, stage, &text);
    let question = Question {
        target: stage.target.as_deref(),
        args: &args,
        platform,
        build_platform: platform,
        contexts: &contexts,
        ..Question::default()
    };
    dockerfile::steps(&text, &question)
}

/// Where a stage's Dockerfile and its contexts belong, whether they exist or not.
pub fn places(spec: &Spec, id: StageId) -> Vec<Utf8PathBuf> {
    let stage = spec.stage(id);
    let own = [&stage.context, &stage.dockerfile].into_iter();
    let own = own.map(|path| (stage.source, path));
    let overlays = stage.overlays.iter().map(|path| (None, path));
    let named = stage.contexts.values().filter_map(|given| match given {
        Context::Folder(source, path) => Some((*source, path)),
        Context::Stage(_) | Context::Image(_) => None,
    });
    let all = own.chain(overlays).chain(named);
    all.filter_map(|(source, path)| Some(source::root(spec, source).ok()?.join(path)))
        .collect()
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
    with_triggers: Vec<String>,
}

fn hear(
    spec: &Spec,
    stage: &Stage,
    root: &Utf8Path,
    platform: Option<&str>,
    tracer: &Tracer<'_>,
) -> Result<Said> {
    let (named, real) = dockerfile_inside(root, &stage.dockerfile, tracer)?;
    let text = read(&real, "Dockerfile", tracer)?;
    let dockerfile = given_to_buildkit(&named, real);
    let args = expand(spec, stage, false)?;
    let asked = StageReading {
        stage,
        text: &text,
        args: &args,
        platform,
        path: &dockerfile,
    };
    let mut with_triggers = Vec::new();
    let mut facts = |parent| {
        let parent = spec.stage(parent);
        let triggers = triggers(spec, parent, platform, tracer)?;
        if triggers.is_none() {
            with_triggers.push(parent.name.clone());
        }
        let known = triggers.filter(|triggers| !triggers.is_empty());
        Ok(known.map(|onbuild| ImageFacts { onbuild, env: None }))
    };
    let (reading, parents) = read_with_parents(spec, &asked, &mut facts)?;
    let images = externals::images(stage, &reading);
    likely::refuse_unsaid_stages(spec, stage, &reading, &dockerfile)?;
    let externals = Externals {
        near_stages: likely::near_stages(spec, stage, &text, &reading, &dockerfile),
        ..Externals::of(stage, &reading, &images, platform)
    };
    Ok(Said {
        dockerfile,
        text,
        args,
        reading,
        parents,
        images,
        externals,
        with_triggers,
    })
}

/// The external images of a stage. Reads only Dockerfiles.
pub fn externals(spec: &Spec, id: StageId, platform: Option<&str>) -> Result<Externals> {
    let stage = spec.stage(id);
    let cache = StatCache::in_memory();
    let tracer = Tracer::forgetful(&cache);
    source::root(spec, stage.source)
        .and_then(|root| hear(spec, stage, &root, platform, &tracer))
        .map(|said| said.externals)
        .map_err(|fault| stage.fault(fault))
}

fn gather_stage(
    spec: &Spec,
    stage: &Stage,
    platform: Option<&str>,
    tracer: &Tracer<'_>,
) -> Result<StageInputs> {
    let root = source::root(spec, stage.source)?;
    let context = folder_inside(&root, &stage.context, "context", tracer)?;
    let Said {
        dockerfile,
        text,
        args,
        reading,
        parents,
        images,
        externals,
        with_triggers,
    } = hear(spec, stage, &root, platform, tracer)?;
    let labels = labels(spec, stage, false)?;
    let policy = policy::beside(&dockerfile, tracer)?;

    let mut layers = Layers {
        folders: vec![context],
    };
    for overlay in &stage.overlays {
        let folder = folder_inside(&spec.root, overlay, "context overlay", tracer)?;
        layers.folders.push(folder);
    }
    let ignore = ignore_of(&layers, Some(&dockerfile), &reading.context, tracer)?;
    let context = collect(layers, ignore, &reading.context, tracer)?;
    let mut folders = BTreeMap::new();
    for (name, given) in &stage.contexts {
        let Some(need) = reading.named.get(name) else {
            continue;
        };
        match given {
            Context::Stage(_) | Context::Image(_) => {}
            Context::Folder(source, path) => {
                let folder = folder_of_context(spec, *source, path, name, tracer)?;
                let layers = Layers {
                    folders: vec![folder],
                };
                let ignore = ignore_of(&layers, None, need, tracer)?;
                folders.insert(name.clone(), collect(layers, ignore, need, tracer)?);
            }
        }
    }
    let looked = |folder, name| absent::LookedForSource {
        stage,
        root: &root,
        dockerfile: &dockerfile,
        folder,
        name,
    };
    let mut absent = looked(&context, None).absent(&reading.required);
    for (name, folder) in &folders {
        absent.extend(looked(folder, Some(name)).absent(&reading.required));
    }
    let is_uncounted = |name: &&String| proxies::is_one(name) && !reading.args.contains_key(*name);
    let uncounted = args.keys().filter(is_uncounted).cloned().collect();
    let unused = unused::told(stage, &text, &reading, &dockerfile);
    Ok(StageInputs {
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
        absent,
        uncounted,
        policy,
        unused,
        snapshot: tracer.snapshot(),
    })
}

/// The ONBUILD triggers that a parent leaves. They run in the stage that stands on it and may read
/// any file of that stage's context. A trigger is not inherited further. `None` if the parent's
/// Dockerfile alone does not tell them, or if a named context may have brought them.
fn triggers(
    spec: &Spec,
    parent: &Stage,
    platform: Option<&str>,
    tracer: &Tracer<'_>,
) -> Result<Option<Vec<String>>> {
    let root = source::root(spec, parent.source)?;
    let (_, path) = dockerfile_inside(&root, &parent.dockerfile, tracer)?;
    let text = read(&path, "Dockerfile", tracer)?;
    let frontend_is_given = parent.args.contains_key("BUILDKIT_SYNTAX");
    let contexts = reading::names_of_contexts(spec, parent, &text);
    if !frontend_is_given && dockerfile::leaves_no_triggers(&text, &contexts) {
        return Ok(Some(Vec::new()));
    }
    // The question of this stage's memo does not contain the parent's own arguments.
    tracer.doubt();
    let asked = StageReading {
        stage: parent,
        text: &text,
        args: &expand(spec, parent, false)?,
        platform,
        path: &path,
    };
    asked.triggers(spec)
}

/// Gathers the inputs of a folder that is in no graph, for `inputs --context`.
pub fn of_folder(
    context: &Utf8Path,
    dockerfile: &Utf8Path,
    target: Option<&str>,
    args: BTreeMap<String, String>,
    platform: Option<&str>,
    cache: &StatCache,
) -> Result<StageInputs> {
    let real = |path: &Utf8Path, what: &str| {
        path.canonicalize_utf8()
            .map_err(|error| Fault::usage(format!("{what} {path}: {error}")))
    };
    let context = real(context, "context")?;
    let real_dockerfile = real(dockerfile, "Dockerfile")?;
    let tracer = &Tracer::forgetful(cache);
    let text = read(&real_dockerfile, "Dockerfile", tracer)?;
    let dockerfile = given_to_buildkit(dockerfile, real_dockerfile);
    let nothing = BTreeSet::new();
    let question = Question {
        target,
        args: &args,
        unknown: &nothing,
        platform,
        build_platform: platform,
        contexts: &nothing,
    };
    let policy = policy::beside(&dockerfile, tracer)?;
    let reading =
        dockerfile::read(&text, &question).map_err(|error| Fault::usage(error.of(&dockerfile)))?;
    let layers = Layers {
        folders: vec![context],
    };
    let ignore = ignore_of(&layers, Some(&dockerfile), &reading.context, tracer)?;
    let context = collect(layers, ignore, &reading.context, tracer)?;
    Ok(StageInputs {
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
        absent: Vec::new(),
        uncounted: Vec::new(),
        policy,
        unused: Vec::new(),
        snapshot: tracer.snapshot(),
    })
}
