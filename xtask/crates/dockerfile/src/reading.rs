//! The types of the question and the answer: what a build of one target uses. `answer` and `walk`
//! find the answer.

use std::collections::{BTreeMap, BTreeSet};

use super::fingerprint::Counted;
use super::need::ContextNeed;
use super::scope::Given;
use super::sources::RemoteKind;

/// A question about one Dockerfile.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The Dockerfile stage to build. `None` means the last stage.
    pub target: Option<&'a str>,
    /// `--build-arg` values.
    pub args: &'a BTreeMap<String, String>,
    /// Arguments whose values the build gets but which must not count. The answer must not depend
    /// on their values.
    pub unknown: &'a BTreeSet<String>,
    /// One target platform, `linux/amd64`. Without it TARGETARCH and the like have no known value.
    pub platform: Option<&'a str>,
    /// The builder's own platform.
    pub build_platform: Option<&'a str>,
    /// Names of named contexts. Each replaces the Dockerfile stage or the image of its name.
    pub contexts: &'a BTreeSet<String>,
}

impl Default for Question<'_> {
    fn default() -> Self {
        static NO_ARGS: BTreeMap<String, String> = BTreeMap::new();
        static NO_NAMES: BTreeSet<String> = BTreeSet::new();
        Self {
            target: None,
            args: &NO_ARGS,
            unknown: &NO_NAMES,
            platform: None,
            build_platform: None,
            contexts: &NO_NAMES,
        }
    }
}

impl<'a> Question<'a> {
    pub(super) fn given(&self) -> Given<'a> {
        Given {
            args: self.args,
            unknown: self.unknown,
        }
    }
}

/// The facts in an image's config that a Dockerfile built on it depends on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageFacts {
    /// ONBUILD triggers.
    pub onbuild: Vec<String>,
    /// The whole environment; `None` if it is not known.
    pub env: Option<BTreeMap<String, String>>,
}

/// What a build of the target uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The frontend image that `# syntax=` or `BUILDKIT_SYNTAX` asks for.
    pub syntax: Option<String>,
    /// Index of the target among the Dockerfile stages.
    pub target: usize,
    /// The target's name, if it has one.
    pub target_name: Option<String>,
    /// Whether the target is the last stage of the file, which is the default target.
    pub target_is_last: bool,
    /// Whether a named context replaces the target.
    pub target_is_context: bool,
    /// External images of the reachable Dockerfile stages, in the order of their first use.
    pub bases: Vec<BaseUse>,
    /// The places where the reachable Dockerfile stages use external images and named contexts.
    pub takes: Vec<Take>,
    /// Whether `bases` surely has all external images, each with its platform.
    pub bases_complete: bool,
    /// Whether `bases` surely has the reference of every external image, if not its platform.
    pub references_complete: bool,
    /// ONBUILD triggers that the target leaves to images built on it.
    pub triggers: Vec<String>,
    /// Images that reachable stages build on and whose ONBUILD triggers were not given.
    pub onbuild_unknown: Vec<String>,
    /// Needs on the named contexts that are used, by the names in the question.
    pub named: BTreeMap<String, ContextNeed>,
    /// Needs on the main context.
    pub context: ContextNeed,
    /// Paths without patterns that a COPY, an ADD or a bind mount surely reads from a context. The
    /// build fails if one of these paths does not exist.
    pub required: Vec<Required>,
    /// Build arguments that count, with the value that counts. `unknown` arguments never count. If
    /// an argument has other values at other places, the key of each is the name, NUL and a number
    /// from 2 on.
    pub args: BTreeMap<String, Option<String>>,
    /// The `unknown` arguments that have an effect.
    pub unknown_seen: BTreeSet<String>,
    /// ADD sources from outside the contexts.
    pub remotes: Vec<Remote>,
    /// Ids of secrets that reachable RUN instructions name.
    pub secrets: BTreeSet<String>,
    /// Ids of ssh agents that reachable RUN instructions name.
    pub ssh: BTreeSet<String>,
    /// Clauses for messages: why the answer was widened.
    pub undecided: Vec<String>,
    /// The reachable text, line by line, in a form that neither comments nor the rest of the file
    /// change.
    pub counted: Vec<Counted>,
    /// `counted` as bytes for a hash, without line numbers.
    pub fingerprint: Vec<u8>,
}

/// One external image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUse {
    /// The reference in normal form and short spelling, as buildx names a context that replaces the
    /// image: `python:3.12`, `python` for `docker.io/library/python:latest`.
    pub reference: String,
    /// The reference as the Dockerfile spells it, with variables expanded.
    pub written: String,
    /// `FROM --platform=`, expanded and in normal form. `None` means the build's target platform.
    pub platform: Option<String>,
    /// One-based line of its first use.
    pub line: usize,
    /// How it is first used.
    pub kind: BaseKind,
}

/// A place that uses an external image or a named context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Take {
    /// The image or the context.
    pub from: TakenFrom,
    /// `FROM --platform=`, expanded and in normal form. `None` means the build's target platform.
    pub platform: Option<String>,
    /// One-based line.
    pub line: usize,
    /// How it is used.
    pub kind: BaseKind,
}

/// An external image, or a named context that replaces one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TakenFrom {
    /// The image, in the short spelling.
    Image(String),
    /// The context, by its name in the question.
    Context(String),
}

/// How an instruction uses an image.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum BaseKind {
    /// `FROM`.
    From,
    /// `COPY --from=`.
    CopyFrom,
    /// `RUN --mount=…,from=`.
    MountFrom,
}

/// A path that must exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Required {
    /// The named context that holds the path. `None` means the main context.
    pub context: Option<String>,
    /// In the form of `Need::path`.
    pub path: Vec<u8>,
    /// One-based line of the instruction.
    pub line: usize,
}

/// One ADD source from outside the contexts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The source: expanded if `known`, else as written.
    pub url: String,
    /// Whether all its variables have values.
    pub known: bool,
    /// Its kind.
    pub kind: RemoteKind,
    /// `--checksum`, expanded.
    pub checksum: Option<String>,
    /// Whether the content can never change, because the text gives its checksum or a whole commit.
    pub is_fixed: bool,
    /// One-based line.
    pub line: usize,
}
