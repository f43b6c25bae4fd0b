//! A stage, as the program may trust it.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8PathBuf;

use super::policy::Policy;
use super::run::RunSettings;
use super::shipping::{ImageOutput, Shipping};
use super::template::Template;
use super::{SourceId, StageId};
use crate::fault::{Fault, Message};

/// One image, built from one Dockerfile target. Paths are relative to the root of `source`,
/// cleaned, and never leave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its name in the file.
    pub name: String,
    /// Where its paths start; the graph file's folder when `None`.
    pub source: Option<SourceId>,
    /// The context's folder.
    pub context: Utf8PathBuf,
    /// The Dockerfile.
    pub dockerfile: Utf8PathBuf,
    /// The Dockerfile stage to build.
    pub target: Option<String>,
    /// Build arguments; a `volatile` one may still mention the source's commit.
    pub args: BTreeMap<String, Template>,
    /// The arguments that the stage's own table sets. Those of `[defaults]` are for the stages that
    /// want them.
    pub own_args: BTreeSet<String>,
    /// Names of arguments and labels that are not in the key.
    pub volatile: BTreeSet<String>,
    /// Image labels.
    pub labels: BTreeMap<String, Template>,
    /// Sorted; empty for the engine's own platform.
    pub platforms: Vec<String>,
    /// What differs on a platform, by the platform as `platforms` has it.
    pub variants: BTreeMap<String, Variant>,
    /// Whether it is built as one image, or in parts.
    pub parts: Parts,
    /// The image's name.
    pub image: Option<String>,
    /// Its tags; never empty when `image` is there.
    pub tags: Vec<String>,
    /// Whether `image` and `tags` are what the file asks for.
    pub naming: Naming,
    /// The stage that this one stands on.
    pub from: Option<StageId>,
    /// Context overlays, relative to the graph file's folder; the last wins.
    pub overlays: Vec<Utf8PathBuf>,
    /// Named contexts.
    pub contexts: BTreeMap<String, Context>,
    /// The named contexts that come from a `[base]` table, not from the stage itself.
    pub replaced: BTreeSet<String>,
    /// Secrets by id.
    pub secrets: BTreeMap<String, Secret>,
    /// Ids of ssh agents, sorted.
    pub ssh: Vec<String>,
    /// What RUN instructions run with.
    pub run: RunSettings,
    /// How many `--jobs` places a build takes, at least 1.
    pub weight: u32,
    /// How many of its last images stay in the engine, at least 1.
    pub keep: u32,
    /// The command that makes part of the context.
    pub prepare: Option<Prepare>,
    /// If another stage has the same host command: that stage. The command runs once for both.
    pub prepared_with: Option<StageId>,
    /// Services of the running stack that use the image.
    pub services: Vec<String>,
    /// The policy for its image.
    pub policy: Policy,
    /// Where its image is put, and in which form.
    pub shipping: Shipping,
    /// Annotations of its published index. They are in no image.
    pub annotations: BTreeMap<String, Template>,
    /// What `publish` attaches to its image.
    pub attached: Attachments,
}

/// What `publish` attaches to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attachments {
    /// How it was built, and of what.
    pub provenance: bool,
    /// A bill of materials.
    pub sbom: bool,
}

/// How a stage with several platforms is built.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Parts {
    /// By one call: it has one platform at most.
    #[default]
    One,
    /// It is assembled from its parts, one for each platform, in the order of `platforms`. It
    /// stands on them alone.
    Several(Vec<StageId>),
    /// It is the part of a stage for its one platform. It has no name of its own in the engine.
    Of(StageId),
}

/// What differs on one platform of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variant {
    /// The Dockerfile.
    pub dockerfile: Option<Utf8PathBuf>,
    /// The Dockerfile stage to build.
    pub target: Option<String>,
    /// Build arguments, laid over those of the stage.
    pub args: BTreeMap<String, Template>,
    /// Context overlays, in place of those of the stage.
    pub overlays: Option<Vec<Utf8PathBuf>>,
    /// The host command, in place of that of the stage.
    pub prepare: Option<Prepare>,
}

/// Whether the name of a stage's image and its tags are known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Naming {
    /// They are.
    #[default]
    Settled,
    /// They mention facts of the stage's source. `source::facts` settles them once the source is
    /// there. Until then the stage has no image name and no tags.
    Late {
        /// The image's name.
        image: Option<Template>,
        /// Its tags.
        tags: Vec<Template>,
    },
    /// A fact that they mention cannot be told, so nothing can be done with the stage.
    Failed(Fault),
}

/// The name of an image and its tags.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageNames {
    /// The image's name.
    pub image: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
}

/// The content of a named context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Context {
    /// The image of another stage.
    Stage(StageId),
    /// An external image.
    Image(String),
    /// A folder below the root of a source, or of the graph file.
    Folder(Option<SourceId>, Utf8PathBuf),
}

/// A secret. Its value is never read into the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Where the value is found.
    pub place: SecretPlace,
    /// Whether the stage can be built without it.
    pub optional: bool,
}

/// Where a secret's value is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretPlace {
    /// An environment variable.
    Env(String),
    /// A file; relative to the graph file's folder.
    File(Utf8PathBuf),
}

/// A host command that makes files of the context.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Prepare {
    /// The program and its arguments.
    pub run: Vec<String>,
    /// What it reads, relative to `dir`.
    pub inputs: Vec<Utf8PathBuf>,
    /// What it reads of the stage's source, relative to the source's root.
    pub source_inputs: Vec<Utf8PathBuf>,
    /// Patterns of paths that are not inputs after all.
    pub ignore: Vec<String>,
    /// What it makes, relative to `dir`.
    pub outputs: Vec<Utf8PathBuf>,
    /// Whether `dir` starts at the graph file's folder and not at the source's root.
    pub beside_graph: bool,
    /// Where it runs.
    pub dir: Utf8PathBuf,
    /// Programs, and libraries as pkg-config names them, that it needs; sorted.
    pub needs: Vec<String>,
}

impl Stage {
    /// Names this stage in the fault, for reports that do not name it.
    #[must_use]
    pub fn fault(&self, fault: Fault) -> Fault {
        Fault {
            message: Message::Say(format!("stage `{}`: {}", self.name, fault.message)),
            ..fault
        }
    }

    /// The references that a build gives its image. None while they are not settled.
    pub fn references(&self) -> Vec<String> {
        let image = self.image.as_deref();
        image.map_or_else(Vec::new, |image| {
            self.tags
                .iter()
                .map(|tag| format!("{image}:{tag}"))
                .collect()
        })
    }

    /// The references that its image gets in the engine. An image that is put elsewhere gets none:
    /// `publish` moves its tags.
    pub fn engine_references(&self) -> Vec<String> {
        match self.shipping.output {
            ImageOutput::Engine if !self.shipping.is_nameless => self.references(),
            ImageOutput::Engine | ImageOutput::Registry | ImageOutput::Oci => Vec::new(),
        }
    }

    /// The stages whose images this one uses, sorted. A stage that is assembled from parts uses
    /// those.
    pub fn upstream(&self) -> BTreeSet<StageId> {
        match &self.parts {
            Parts::Several(parts) => parts.iter().copied().collect(),
            Parts::One | Parts::Of(_) => self.stands_on(),
        }
    }

    /// The stages that its Dockerfile builds on or copies from, sorted.
    pub fn stands_on(&self) -> BTreeSet<StageId> {
        let contexts = self.contexts.values().filter_map(|context| match context {
            Context::Stage(id) => Some(*id),
            Context::Image(_) | Context::Folder(..) => None,
        });
        contexts.chain(self.from).collect()
    }
}
