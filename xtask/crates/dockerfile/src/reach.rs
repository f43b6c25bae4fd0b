//! Which variables of the reached stages can have an effect.
//!
//! An ARG or an ENV is seen by each RUN of its stage and of the stages built on it, by the image,
//! and by every text that names it behind a `$`. A stage that is only copied from leaves no image.
//! If it also runs nothing and names no variable, its variables have no effect. In doubt a variable
//! counts.
//!
//! BuildKit removes quotes, escapes and JSON before it looks for variables in flags and lists:
//! `--chown=$\u` names `u`, and so does `["\u0024u"]`. Names are sought in both forms.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};

use super::canonical;
use super::flags::{self, JsonWords};
use super::instructions::Instruction;
use super::lines::{Logical, Text};
use super::scope;
use super::stages::{Base, Stage, Stages};
use super::validity;

/// The parts of the reached stages that can see a variable.
pub(super) struct Reach<'a> {
    /// The stages whose settings are in the image.
    pub(super) shipped: BTreeSet<usize>,
    /// Whether a stage runs ONBUILD triggers, or has some.
    triggers: bool,
    /// The stages with a RUN, and the stages that these are built on.
    runs: HashSet<usize>,
    /// The stages with a step that names any variable, and the stages that these are built on.
    reads: HashSet<usize>,
    /// For each stage, the lowest stage that it is built on.
    lowest: HashMap<usize, usize>,
    /// For each lowest stage, all names behind a `$` in the stages above it.
    named: HashMap<usize, HashSet<Cow<'a, str>>>,
    /// The lowest stages above which a text may name any variable.
    open: HashSet<usize>,
}

impl<'a> Reach<'a> {
    /// `triggers` says whether any stage runs ONBUILD triggers.
    pub(super) fn of(
        text: &'a Text,
        instructions: &[Instruction],
        stages: &Stages,
        reached: &[usize],
        target: usize,
        triggers: bool,
    ) -> Self {
        let mut reach = Self {
            shipped: ancestry(stages, target),
            triggers,
            runs: HashSet::new(),
            reads: HashSet::new(),
            lowest: HashMap::new(),
            named: HashMap::new(),
            open: HashSet::new(),
        };
        for at in reached {
            let stage = &stages.all[*at];
            let below = below(stage).and_then(|base| reach.lowest.get(&base));
            let lowest = below.copied().unwrap_or(*at);
            reach.lowest.insert(*at, lowest);
            if stage.replaced_by.is_some() {
                continue;
            }
            let own = stage.from + 1..stage.end;
            let lines = std::iter::zip(&text.lines[own.clone()], &instructions[own]);
            for (logical, instruction) in lines {
                reach.line((*at, lowest), logical, instruction, text.escape);
            }
        }
        for at in reached.iter().rev() {
            let Some(base) = below(&stages.all[*at]) else {
                continue;
            };
            for seen in [&mut reach.runs, &mut reach.reads] {
                if seen.contains(at) {
                    seen.insert(base);
                }
            }
        }
        reach
    }

    fn line(
        &mut self,
        (at, lowest): (usize, usize),
        logical: &'a Logical,
        instruction: &Instruction,
        escape: char,
    ) {
        let bodies = logical.heredocs.iter().map(|heredoc| heredoc.body.as_str());
        let texts = std::iter::once(logical.text.as_str()).chain(bodies);
        let mut names: Vec<Cow<'a, str>> = texts.flat_map(names).map(Cow::Borrowed).collect();
        match taken_apart(logical, escape) {
            Some(parts) => {
                let parts = parts.iter().flat_map(|part| self::names(part));
                names.extend(parts.map(|name| Cow::Owned(name.to_owned())));
            }
            None => {
                self.open.insert(lowest);
                names.push(Cow::Borrowed(""));
            }
        }
        match instruction {
            Instruction::Run(_) => _ = self.runs.insert(at),
            Instruction::Onbuild(_) => self.triggers = true,
            // `${name:?why}` may fail the whole build.
            Instruction::Arg(_) | Instruction::Env(_) if !logical.text.contains('?') => {}
            // A setting does nothing with its values, but BuildKit may refuse them.
            _ if names.is_empty() => {}
            _ if canonical::is_setting(logical, escape) && validity::is_sure(logical, escape) => {}
            _ => _ = self.reads.insert(at),
        }
        self.named.entry(lowest).or_default().extend(names);
    }

    /// Whether the ARGs and ENVs of a stage can have an effect.
    pub(super) fn has_variables(&self, at: usize) -> bool {
        self.triggers
            || self.shipped.contains(&at)
            || self.runs.contains(&at)
            || self.reads.contains(&at)
    }

    /// Whether the value of an argument that a stage declares can have an effect.
    pub(super) fn heeds(&self, at: usize, name: &str) -> bool {
        let is_named = || {
            let lowest = self.lowest.get(&at).unwrap_or(&at);
            let names = self.named.get(lowest);
            self.open.contains(lowest) || names.is_some_and(|names| names.contains(name))
        };
        self.triggers
            || scope::is_heeded(name)
            || self.runs.contains(&at)
            || self.has_variables(at) && is_named()
    }
}

/// The stage that `stage` is built on.
fn below(stage: &Stage) -> Option<usize> {
    match (&stage.base, &stage.replaced_by) {
        (Base::Stage(base), None) => Some(*base),
        _ => None,
    }
}

/// The target and the stages that it is built on.
fn ancestry(stages: &Stages, target: usize) -> BTreeSet<usize> {
    let mut all = BTreeSet::new();
    let mut next = Some(target);
    while let Some(at) = next.filter(|at| all.insert(*at)) {
        next = below(&stages.all[at]);
    }
    all
}

/// The flags and the words of a JSON list, in the form in which BuildKit looks for variables.
/// `None` if its versions read them differently.
fn taken_apart(logical: &Logical, escape: char) -> Option<Vec<String>> {
    let split = flags::split(&logical.text, escape).ok()?;
    let mut parts = split.flags;
    match flags::json_words(&split.rest) {
        JsonWords::Words(words) => parts.extend(words),
        JsonWords::Plain => {}
        JsonWords::Doubtful => return None,
    }
    Some(parts)
}

/// Every name behind a `$`, whatever surrounds it. A `$` without a name gives the empty name.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split('$').skip(1).map(|behind| {
        let behind = behind.strip_prefix('{').unwrap_or(behind);
        let end = behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        &behind[..end.unwrap_or(behind.len())]
    })
}
