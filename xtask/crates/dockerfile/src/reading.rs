//! The question and the answer: what a build of one target uses.
//!
//! Knows their shape only. Is unaware of how the answer is found (`answer`, `walk`).

use std::collections::{BTreeMap, BTreeSet};

use super::fingerprint::Counted;
use super::need::ContextNeed;
use super::scope::Given;
use super::sources::RemoteKind;

/// What is asked of one Dockerfile.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The Dockerfile stage to build; the last one without it.
    pub target: Option<&'a str>,
    /// `--build-arg` values.
    pub args: &'a BTreeMap<String, String>,
    /// Arguments that the build gets a value for which must not count: nothing may hang on it.
    pub unknown: &'a BTreeSet<String>,
    /// One target platform, `linux/amd64`. Without it TARGETARCH and its kin have no value.
    pub platform: Option<&'a str>,
    /// The builder's own platform.
    pub build_platform: Option<&'a str>,
    /// Names of named contexts: they replace Dockerfile stages and images of that name.
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

/// What an image's config says that a Dockerfile built on it depends on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageFacts {
    /// ONBUILD triggers.
    pub onbuild: Vec<String>,
    /// The environment, in full; `None` where it is not known.
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
    /// Whether it is the last stage of the file, which is the target where nobody asks for one.
    pub target_is_last: bool,
    /// Whether a named context stands in its place.
    pub target_is_context: bool,
    /// External images of the reachable Dockerfile stages, by first use.
    pub bases: Vec<BaseUse>,
    /// Where the reachable Dockerfile stages take images and named contexts from.
    pub takes: Vec<Take>,
    /// Whether `bases` is surely all of them, each with its platform.
    pub bases_complete: bool,
    /// Whether `bases` has surely the reference of every one of them, for whatever platform.
    pub references_complete: bool,
    /// ONBUILD triggers that the target leaves to whatever is built on it.
    pub triggers: Vec<String>,
    /// Images that reachable stages build on and whose ONBUILD triggers were not given.
    pub onbuild_unknown: Vec<String>,
    /// Needs on the named contexts that are used, under the names that were given.
    pub named: BTreeMap<String, ContextNeed>,
    /// Needs on the main context.
    pub context: ContextNeed,
    /// Paths without patterns that a COPY, an ADD or a bind mount surely reads from a context: where one
    /// is not there, the build fails.
    pub required: Vec<Required>,
    /// Build arguments that count, with the value that counts; the `unknown` ones never do. What else one
    /// stands for at other places is behind its name, NUL and a number from 2 on.
    pub args: BTreeMap<String, Option<String>>,
    /// The `unknown` arguments that something sees.
    pub unknown_seen: BTreeSet<String>,
    /// ADD sources from elsewhere.
    pub remotes: Vec<Remote>,
    /// Ids of secrets that reachable RUNs name.
    pub secrets: BTreeSet<String>,
    /// Ids of ssh agents that reachable RUNs name.
    pub ssh: BTreeSet<String>,
    /// Clauses for people: why something widened.
    pub undecided: Vec<String>,
    /// The reachable text, line by line, in a form that comments and the rest of the file
    /// do not change.
    pub counted: Vec<Counted>,
    /// `counted` as bytes for a hash; line numbers are not in it.
    pub fingerprint: Vec<u8>,
}

/// One external image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUse {
    /// In normal form and the short spelling, as buildx names a context that replaces it:
    /// `python:3.12`, `python` for `docker.io/library/python:latest`.
    pub reference: String,
    /// As the Dockerfile spells it, variables expanded.
    pub written: String,
    /// `FROM --platform=`, expanded and in normal form; without it the build's target platform counts.
    pub platform: Option<String>,
    /// One-based line of its first use.
    pub line: usize,
    /// How it is used first.
    pub kind: BaseKind,
}

/// A place that uses an external image or a named context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Take {
    /// What.
    pub from: TakenFrom,
    /// `FROM --platform=`, expanded and in normal form; without it the build's target platform counts.
    pub platform: Option<String>,
    /// One-based line.
    pub line: usize,
    /// How it is used.
    pub kind: BaseKind,
}

/// An external image, or a named context in the place of one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TakenFrom {
    /// The image, in the short spelling.
    Image(String),
    /// The context, by the name that was given.
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

/// A path that must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Required {
    /// The named context that it is read from; the main one without it.
    pub context: Option<String>,
    /// As `Need` has it.
    pub path: Vec<u8>,
    /// One-based line of the instruction.
    pub line: usize,
}

/// One ADD source from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The source, expanded where `known`, else as written.
    pub url: String,
    /// Whether all its variables have values.
    pub known: bool,
    /// Its kind.
    pub kind: RemoteKind,
    /// `--checksum`, expanded.
    pub checksum: Option<String>,
    /// Whether what is there can be no other: its checksum is told, or a whole commit.
    pub is_fixed: bool,
    /// One-based line.
    pub line: usize,
}
