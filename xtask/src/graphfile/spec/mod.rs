//! The graph file: what it says (`raw`), then what the program may trust (`Spec`).
//!
//! Only the file itself is checked here. Whether a folder exists or what a Dockerfile says is
//! checked later, by `source` and `freshness`.

mod bases;
pub mod builders;
mod check;
mod groups;
mod layered;
mod layers;
mod laying;
pub mod mistakes;
pub mod names;
mod parts;
pub mod placed;
mod platforms;
pub mod policy;
mod policy_rules;
mod probe_rules;
pub mod publishing;
pub mod raw;
pub mod raw_stack;
pub mod run;
pub mod sharing;
pub mod shipping;
mod source_rules;
pub mod stack;
mod stack_rules;
mod stage;
mod stage_rules;
mod tables;
pub mod template;
mod template_rules;
#[cfg(test)]
mod tests;
mod var_rules;
mod vars;
mod whole;
pub mod workflow;

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use crate::fault::{Fault, Result};
use crate::graphfile::call::Call;
use crate::graphfile::options::GraphOptions;
use crate::outside::state;

use builders::Builder;
use policy::{Policy, Waiver};
use publishing::Publishing;
use sharing::Sharing;
use shipping::{ImageOutput, Shipping};
pub use stage::{
    Attachments, Context, ImageNames, Naming, Parts, Prepare, Secret, SecretPlace, Stage, Variant,
};
use workflow::Workflow;

/// The version of the file format that this program reads.
pub const VERSION: i64 = 1;

/// The JSON Schema of the graph file. A test derives it from the types of `raw` and compares.
pub const SCHEMA: &str = include_str!("../../../build-graph.schema.json");

/// A stage's dense number, by which the rest of the program indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(pub u32);

impl StageId {
    /// As an index into `Spec::stages`.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A source's dense number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

impl SourceId {
    /// As an index into `Spec::sources`.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A graph file that passed every check.
#[derive(Debug)]
pub struct Spec {
    /// The graph file.
    pub file: Utf8PathBuf,
    /// Its folder, absolute.
    pub root: Utf8PathBuf,
    /// A hash of its text, of the names of the profiles, and of the values of variables. If names of
    /// images mention facts of a source, they are in it, too.
    pub text: [u8; 32],
    /// Sorted by name.
    pub sources: Vec<Source>,
    /// Sorted by name; indexed by `StageId`.
    pub stages: Vec<Stage>,
    /// All stages in the file's order: people put first what matters to them.
    pub declared: Vec<StageId>,
    /// The stages of each group.
    pub groups: BTreeMap<String, Vec<StageId>>,
    /// The base overrides, by the full spelling of the image.
    pub bases: BTreeMap<String, Replacement>,
    /// Where images and records are shared.
    pub registry: Option<Sharing>,
    /// How a release set is published, and where.
    pub publishing: Publishing,
    /// What the CI workflow is made of.
    pub workflow: Workflow,
    /// The builders beside the engine's own, sorted by name.
    pub builders: Vec<Builder>,
    /// The policy for all images. It is already laid under each stage's own policy.
    pub policy: Policy,
    /// Tolerated breaches of the policy, in the file's order.
    pub waivers: Vec<Waiver>,
    /// The names of the variables.
    pub variables: Vec<String>,
    /// The names of the file's profiles.
    pub profiles: Vec<String>,
    /// Oddities that are not mistakes, each with its place.
    pub notes: Vec<String>,
    /// How to call the program on it again. Reading the file leaves it without flags.
    pub call: Call,
    /// The running stack in which the images are tried.
    pub stack: Option<stack::Stack>,
    /// What the call laid over the file.
    pub options: GraphOptions,
}

/// A base override: what takes the place of an external image in every stage that uses it. `image`,
/// `stage` or both are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// The image's name, as the file has it.
    pub name: String,
    /// The reference that takes its place.
    pub image: Option<String>,
    /// The stage whose image takes its place. That stage itself and the stages it stands on get
    /// `image` instead.
    pub stage: Option<StageId>,
}

/// A git repository at a revision, or a local checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name in the file.
    pub name: String,
    /// A checkout, relative to the graph file's folder or absolute.
    pub path: Option<Utf8PathBuf>,
    /// A repository.
    pub git: Option<Git>,
    /// Folders that every checkout of it has, relative to its root.
    pub layout: Vec<Utf8PathBuf>,
    /// Where it is on this machine. Reading the file leaves it `Unsought`.
    pub place: Place,
}

/// Where a source is on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Place {
    /// The source was not looked for yet.
    #[default]
    Unsought,
    /// A checkout of the user's own, used as it is.
    Local {
        /// Absolute, without links.
        root: Utf8PathBuf,
    },
    /// The tree that was fetched, at the locked commit.
    Fetched {
        /// Absolute, without links.
        root: Utf8PathBuf,
        /// The commit id with all its digits.
        commit: String,
    },
    /// A git source that was not fetched yet. The fault says what to do.
    Unfetched(Fault),
    /// The checkout that the environment or the file names cannot be used, or a folder of `layout`
    /// is missing.
    Wrong(Fault),
}

/// A revision of a git repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Git {
    /// Where it is cloned from.
    pub url: String,
    /// A tag, branch or commit.
    pub rev: String,
    /// Other URLs of the same repository. They are asked before `url`, in this order.
    pub mirrors: Vec<String>,
}

impl Spec {
    /// The stage behind an id.
    pub fn stage(&self, id: StageId) -> &Stage {
        &self.stages[id.index()]
    }

    /// The name of the stage under which its host command is known.
    pub fn prepared_as<'s>(&'s self, stage: &'s Stage) -> &'s str {
        let owner = stage.prepared_with.map(|id| self.stage(id));
        &owner.unwrap_or(stage).name
    }

    /// All ids, in the order of names.
    pub fn ids(&self) -> impl Iterator<Item = StageId> + use<> {
        ids(self.stages.len())
    }

    /// The stage called `name`, or a fault with a did-you-mean.
    pub fn find(&self, name: &str) -> Result<StageId> {
        if let Ok(at) = self
            .stages
            .binary_search_by(|stage| stage.name.as_str().cmp(name))
        {
            return Ok(StageId(u32::try_from(at).unwrap_or(u32::MAX)));
        }
        let known = self.stages.iter().filter(|stage| !stage.is_part());
        let known = known.map(|stage| stage.name.as_str());
        let known = known.chain(self.groups.keys().map(String::as_str));
        let hint = match mistakes::nearest(name, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has {}", known.collect::<Vec<_>>().join(", ")),
        };
        let name = name.escape_debug();
        Err(Fault::usage(format!(
            "unknown stage `{name}`: {} does not declare it; {hint}",
            self.file
        )))
    }
}

impl Spec {
    /// The stages behind names of stages and groups.
    pub fn find_all(&self, names: &[String]) -> Result<Vec<StageId>> {
        let mut found = Vec::new();
        for name in names {
            match self.groups.get(name) {
                Some(stages) => found.extend(stages),
                None => found.push(self.find(name)?),
            }
        }
        Ok(found)
    }

    /// Puts all images into the engine without names, and shares nothing.
    pub fn set_apart(&mut self) {
        self.registry = None;
        for stage in &mut self.stages {
            stage.shipping = Shipping::apart();
        }
    }

    /// Checks the names of images once facts of sources are in them.
    pub fn names_settled(&mut self) -> Result<()> {
        if let Some(claimed) = whole::claimed_twice(&self.stages).first() {
            let [one, other] = claimed.stages.map(|id| &self.stages[id].name);
            return Err(Fault::usage(format!(
                "stages `{one}` and `{other}` of {} both name their image `{}`: give one of them another `image` or other `tags`",
                self.file, claimed.reference
            )));
        }
        let mut hash = blake3::Hasher::new();
        hash.update(&self.text);
        for stage in &self.stages {
            hash.update(format!("{:?}", stage.references()).as_bytes());
        }
        self.text = *hash.finalize().as_bytes();
        Ok(())
    }
}

fn ids(stages: usize) -> impl Iterator<Item = StageId> {
    (0..u32::try_from(stages).unwrap_or(u32::MAX)).map(StageId)
}

/// A graph file that cannot be used.
#[derive(Debug)]
pub struct RefusedGraph {
    /// Its mistakes.
    pub fault: Fault,
    /// What could be read of it all the same.
    pub partial: Option<Box<Partial>>,
}

/// What could be read of a graph file with mistakes. It is good for nothing but finding more of
/// them.
#[derive(Debug)]
pub struct Partial {
    /// What the file says. What was wrong is left out.
    pub spec: Spec,
    /// The stages without a mistake of their own.
    pub sound: Vec<StageId>,
}

impl From<Fault> for RefusedGraph {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            partial: None,
        }
    }
}

/// Reads and checks a graph file, with what a call gives laid over it.
pub fn load(file: &Utf8Path, options: &GraphOptions) -> Result<Spec> {
    load_partly(file, options).map_err(|refused| refused.fault)
}

/// Like `load`, and keeps what can be read of a file with mistakes.
pub fn load_partly(file: &Utf8Path, options: &GraphOptions) -> Result<Spec, RefusedGraph> {
    let text = state::read_text(file).map_err(|error| {
        Fault::usage(format!(
            "cannot read the graph file {file}: {error}; name another with `--graph FILE`"
        ))
    })?;
    let folder = file.parent().filter(|folder| !folder.as_str().is_empty());
    let folder = folder.unwrap_or(Utf8Path::new("."));
    let root = folder.canonicalize_utf8().map_err(|error| {
        Fault::usage(format!(
            "cannot find the folder of the graph file {file}: {error}"
        ))
    })?;
    check::check(file, &root, &text, options)
}

/// Checks `text`, the content of the graph file `file` in the folder `root`. No file is looked at.
pub fn read(file: &Utf8Path, root: &Utf8Path, text: &str, options: &GraphOptions) -> Result<Spec> {
    read_partly(file, root, text, options).map_err(|refused| refused.fault)
}

/// Like `read`, and keeps what can be read of a text with mistakes.
pub fn read_partly(
    file: &Utf8Path,
    root: &Utf8Path,
    text: &str,
    options: &GraphOptions,
) -> Result<Spec, RefusedGraph> {
    check::check(file, root, text, options)
}
