//! A Dockerfile's stages, and how a FROM, a `--from` and a target find a stage, a named context or
//! an image by name.

use std::collections::{BTreeMap, BTreeSet};

use super::instructions::Instruction;
use super::scope::{self, Budget, Globals};
use super::words::Trouble;
use reference::Reference;

/// One FROM and what follows it.
#[derive(Debug)]
pub(super) struct Stage {
    /// Index of its FROM among all instructions.
    pub(super) from: usize,
    /// Index after its last instruction.
    pub(super) end: usize,
    pub(super) name: Option<String>,
    /// The named context that replaces this stage, if any.
    pub(super) replaced_by: Option<String>,
    pub(super) base: Base,
    /// The expanded `--platform`, or why it has no value.
    pub(super) platform: Result<Option<String>, Trouble>,
    /// Global arguments that the FROM uses.
    pub(super) used: BTreeSet<String>,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Base {
    Scratch,
    Stage(usize),
    Context(String),
    Image {
        written: String,
        reference: Reference,
    },
    Undecided(String),
}

/// All stages of a file.
#[derive(Debug)]
pub(super) struct Stages {
    pub(super) all: Vec<Stage>,
    by_name: BTreeMap<String, usize>,
    contexts: BTreeMap<String, String>,
}

impl Stages {
    /// Finds the stages. Instructions in front of the first FROM belong to none.
    pub(super) fn new(
        instructions: &[Instruction],
        escape: char,
        globals: &Globals,
        contexts: &BTreeSet<String>,
        budget: &Budget,
    ) -> Self {
        let contexts = contexts
            .iter()
            .map(|given| (context_key(given), given.clone()))
            .collect();
        let mut stages = Self {
            all: Vec::new(),
            by_name: BTreeMap::new(),
            contexts,
        };
        for (index, instruction) in instructions.iter().enumerate() {
            let Instruction::From {
                image,
                name,
                platform,
            } = instruction
            else {
                continue;
            };
            if let Some(last) = stages.all.last_mut() {
                last.end = index;
            }
            let mut used = BTreeSet::new();
            let mut expand =
                |text: &str| scope::expand_noting(text, escape, &globals.scope, budget, &mut used);
            let base = match expand(image) {
                Ok(image) => stages.base(&image, &image),
                Err(trouble) => Base::Undecided(clause(&trouble)),
            };
            let platform = platform.as_deref().map(&mut expand).transpose();
            let replaced_by = name.as_deref().and_then(|name| stages.context(name));
            let at = stages.all.len();
            stages.by_name.extend(name.clone().map(|name| (name, at)));
            let end = instructions.len();
            stages.all.push(Stage {
                from: index,
                end,
                name: name.clone(),
                replaced_by,
                base,
                platform,
                used,
            });
        }
        stages
    }

    /// What the name `image` stands for. `stage` is the name in the form that finds a stage.
    fn base(&self, image: &str, stage: &str) -> Base {
        self.by_name
            .get(stage)
            .map_or_else(|| self.outside(image), |at| Base::Stage(*at))
    }

    /// What a `--from` or a mount's `from` stands for, once all stages are known. It finds a stage
    /// in any case, while a FROM does not (tried with Docker 26.1.5).
    pub(super) fn source(&self, from: &str) -> Base {
        self.base(from, &from.to_lowercase())
    }

    /// Like `source`. COPY also takes numbers.
    pub(super) fn copy_source(&self, from: &str) -> Base {
        match from.parse::<i64>() {
            Ok(number) => match usize::try_from(number)
                .ok()
                .filter(|at| *at < self.all.len())
            {
                Some(at) => Base::Stage(at),
                None => Base::Undecided(format!("there is no Dockerfile stage number {number}")),
            },
            Err(_) => self.source(from),
        }
    }

    fn outside(&self, image: &str) -> Base {
        if image == "scratch" {
            return Base::Scratch;
        }
        match (self.context(image), reference::normalise(image)) {
            (Some(context), _) => Base::Context(context),
            (None, Some(reference)) => Base::Image {
                written: image.to_owned(),
                reference,
            },
            (None, None) => Base::Undecided(format!("`{image}` is not an image reference")),
        }
    }

    fn context(&self, name: &str) -> Option<String> {
        self.contexts.get(&context_key(name)).cloned()
    }

    /// The stage that a build of `target` ends with.
    pub(super) fn target(&self, target: Option<&str>) -> Option<usize> {
        match target.filter(|target| !target.is_empty()) {
            Some(name) => self.by_name.get(&name.to_lowercase()).copied(),
            None => self.all.len().checked_sub(1),
        }
    }

    /// The names of all stages that have one, in the file's order.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        self.all
            .iter()
            .filter_map(|s| s.name.as_deref())
            .filter(|name| seen.insert(*name))
            .collect()
    }
}

/// The spelling in which buildx compares the name of a context with names in the Dockerfile.
pub fn context_key(name: &str) -> String {
    reference::normalise(name).map_or_else(|| name.to_owned(), |r| r.context_name())
}

/// The trouble as the end of a sentence for a message.
pub(super) fn clause(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Undecided(name) => format!("the Dockerfile does not decide the value of `{name}`"),
        Trouble::Refused(why) => why.clone(),
        Trouble::TrimsNothing(trimmed) => trimmed.clause(),
    }
}
