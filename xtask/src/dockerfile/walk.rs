//! From the target through every Dockerfile stage it reaches.
//!
//! Knows what each reachable instruction uses, with the variables that hold at that place.
//! Is unaware of how text is read and of what a doubt does to the answer.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::fingerprint;
use super::instructions::{self, Instruction};
use super::lines::{self, Text};
use super::need::ContextNeed;
use super::platform::Platform;
use super::reading::{BaseKind, BaseUse, ImageFacts, Question, Reading};
use super::scope::{self, Budget, Declared, Globals, Outer, StageScope};
use super::stages::{self, Base, Stage, Stages};
use super::words::{Lookup, Value};

/// A stage that was gone through.
pub(super) struct Done {
    pub(super) scope: StageScope,
    onbuild: Vec<String>,
    windows: bool,
}

pub(super) struct Walk<'a> {
    text: &'a Text,
    instructions: &'a [Instruction],
    pub(super) stages: &'a Stages,
    question: &'a Question<'a>,
    images: &'a BTreeMap<String, ImageFacts>,
    pub(super) outer: Outer<'a>,
    done: Vec<Option<Done>>,
    pub(super) pending: Vec<usize>,
    used: BTreeSet<String>,
    pub(super) reading: Reading,
    pub(super) doubts: Vec<String>,
    pub(super) seen: Seen,
}

/// What the reading lists already. A list is as long as the file at worst, and must not be
/// searched for each of its entries.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) bases: HashSet<(String, Option<String>)>,
    images: HashSet<String>,
    clauses: HashSet<String>,
}

/// Where an instruction stands, and the variables there.
pub(super) struct Place<'s> {
    pub(super) line: usize,
    pub(super) text: &'s str,
    pub(super) windows: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        text: &'a Text,
        instructions: &'a [Instruction],
        stages: &'a Stages,
        globals: &'a Globals,
        (question, images): (&'a Question<'a>, &'a BTreeMap<String, ImageFacts>),
        budget: &'a Budget,
        reading: Reading,
    ) -> Self {
        let outer = Outer {
            globals,
            given: question.given(),
            escape: text.escape,
            budget,
        };
        let done = stages.all.iter().map(|_| None).collect();
        Self {
            text,
            instructions,
            stages,
            question,
            images,
            outer,
            done,
            pending: Vec::new(),
            used: BTreeSet::new(),
            reading,
            doubts: Vec::new(),
            seen: Seen::default(),
        }
    }

    /// Goes through `target` and all it reaches.
    pub(super) fn from(&mut self, target: usize) {
        self.pending.push(target);
        while let Some(&at) = self.pending.last() {
            let stage = &self.stages.all[at];
            let waits_for = match (&stage.base, &stage.replaced_by) {
                (Base::Stage(base), None) if self.done[*base].is_none() => Some(*base),
                _ => None,
            };
            if let (None, Some(base)) = (&self.done[at], waits_for) {
                self.pending.push(base);
                continue;
            }
            self.pending.pop();
            if self.done[at].is_none() {
                self.stage(at, stage);
            }
        }
        if let Some(context) = &self.stages.all[target].replaced_by {
            self.whole_context(
                context,
                format!("the target is replaced by the context `{context}`"),
            );
        }
    }

    fn stage(&mut self, at: usize, stage: &'a Stage) {
        let line = self.text.lines[stage.from].line;
        if stage.replaced_by.is_some() {
            let scope = StageScope::on_unknown_image();
            self.done[at] = Some(Done {
                scope,
                onbuild: Vec::new(),
                windows: false,
            });
            return;
        }
        self.used.extend(stage.used.iter().cloned());
        let mut done = self.base(stage, line);
        let triggers = std::mem::take(&mut done.onbuild);
        for trigger in &triggers {
            self.trigger(trigger, line, &mut done);
        }
        for index in stage.from + 1..stage.end {
            let logical = &self.text.lines[index];
            let place = Place {
                line: logical.line,
                text: &logical.text,
                windows: done.windows,
            };
            self.instruction(&self.instructions[index], &place, &mut done);
        }
        self.done[at] = Some(done);
    }

    fn base(&mut self, stage: &Stage, line: usize) -> Done {
        let platform = self.platform(stage, line);
        let named_platform = platform.as_deref().or(self.question.platform);
        let windows = named_platform
            .and_then(Platform::read)
            .is_some_and(|p| p.is_windows());
        let replaced = match &stage.base {
            Base::Context(context) => Some(context),
            Base::Stage(base) => self.stages.all[*base].replaced_by.as_ref(),
            _ => None,
        };
        if let Some(context) = replaced {
            let because = format!("the FROM on line {line} builds on the context `{context}`");
            self.whole_context(context, because);
            let (scope, onbuild) = self.image(context, context);
            if self.has_disputed_triggers(&stage.base, &onbuild) {
                self.doubts.push(format!(
                    "BuildKit's versions differ on whether the triggers of `{context}` run for the FROM on line {line}"
                ));
            }
            return Done {
                scope,
                onbuild,
                windows,
            };
        }
        let budget = self.outer.budget;
        let (scope, onbuild) = match &stage.base {
            Base::Scratch => (StageScope::on_image([], budget), Vec::new()),
            Base::Stage(base) => {
                // It was gone through before, and is taken out while its triggers are copied.
                if let Some(parent) = self.done[*base].take() {
                    let scope = StageScope::on_stage(&parent.scope, budget);
                    let (onbuild, windows) = (self.triggers(&parent.onbuild), parent.windows);
                    self.done[*base] = Some(parent);
                    return Done {
                        scope,
                        onbuild,
                        windows,
                    };
                }
                (StageScope::on_unknown_image(), Vec::new())
            }
            Base::Image { written, reference } => {
                let name = reference.context_name();
                self.base_use(BaseUse {
                    reference: name.clone(),
                    written: written.clone(),
                    platform,
                    line,
                    kind: BaseKind::From,
                });
                self.image(&reference.canonical(), &name)
            }
            Base::Undecided(why) => {
                self.doubts
                    .push(format!("the FROM on line {line} is open: {why}"));
                (StageScope::on_unknown_image(), Vec::new())
            }
            Base::Context(_) => (StageScope::on_unknown_image(), Vec::new()),
        };
        Done {
            scope,
            onbuild,
            windows,
        }
    }

    /// The platform of a FROM; one that is open leaves the images open.
    fn platform(&mut self, stage: &Stage, line: usize) -> Option<String> {
        let (written, why) = match &stage.platform {
            Ok(None) => return None,
            Ok(Some(written)) => match Platform::read(written) {
                Some(platform) => return Some(platform.spelled()),
                None => (
                    Some(written.clone()),
                    format!("the builder completes `{written}`"),
                ),
            },
            Err(trouble) => (None, stages::clause(trouble)),
        };
        let clause = format!("the platform of the FROM on line {line} is open: {why}");
        self.undecided(clause);
        self.reading.bases_complete = false;
        written
    }

    /// Docker 26 runs the triggers of the context that takes a stage's place, newer ones
    /// those of the stage itself.
    fn has_disputed_triggers(&self, base: &Base, of_context: &[String]) -> bool {
        let Base::Stage(base) = base else {
            return false;
        };
        let stage = &self.stages.all[*base];
        let own = &self.instructions[stage.from..stage.end];
        !of_context.is_empty() || own.iter().any(|i| matches!(i, Instruction::Onbuild(_)))
    }

    /// What is known of an image that a stage stands on; `name` is for people.
    fn image(&mut self, key: &str, name: &str) -> (StageScope, Vec<String>) {
        if let Some(facts) = self.images.get(key) {
            let scope = facts
                .env
                .as_ref()
                .map_or_else(StageScope::on_unknown_image, |env| {
                    let env = env.iter().map(|(k, v)| (k.as_str(), v.as_str()));
                    StageScope::on_image(env, self.outer.budget)
                });
            return (scope, self.triggers(&facts.onbuild));
        }
        if self.seen.images.insert(name.to_owned()) {
            self.reading.onbuild_unknown.push(name.to_owned());
        }
        (StageScope::on_unknown_image(), Vec::new())
    }

    /// The triggers that run in a stage, as far as the budget goes: each of a file's stages may
    /// stand on one with many.
    fn triggers(&mut self, of_base: &[String]) -> Vec<String> {
        let budget = self.outer.budget;
        let few: Vec<String> = of_base
            .iter()
            .take_while(|trigger| budget.spend(trigger.len() + 256))
            .cloned()
            .collect();
        if few.len() < of_base.len() {
            let doubt = "there are more ONBUILD triggers to run than can be followed";
            self.doubts.push(doubt.to_owned());
        }
        few
    }

    /// Notes once why something widened.
    pub(super) fn undecided(&mut self, clause: String) {
        if self.seen.clauses.insert(clause.clone()) {
            self.reading.undecided.push(clause);
        }
    }

    /// An ONBUILD of the stage or image below, run in front of the stage's own instructions.
    fn trigger(&mut self, trigger: &str, line: usize, done: &mut Done) {
        let single = match lines::read(trigger) {
            Ok(text) if text.lines.len() == 1 && text.doubts.is_empty() => text,
            _ => {
                self.doubts.push(format!(
                    "an ONBUILD trigger that runs for line {line} cannot be read"
                ));
                return;
            }
        };
        for logical in &single.lines {
            let place = Place {
                line,
                text: &logical.text,
                windows: done.windows,
            };
            match instructions::read(logical, single.escape) {
                Instruction::Onbuild(_) | Instruction::From { .. } => {
                    self.doubts.push(format!(
                        "an ONBUILD trigger that runs for line {line} is not allowed there"
                    ));
                }
                instruction => self.instruction(&instruction, &place, done),
            }
        }
    }

    fn instruction(&mut self, instruction: &Instruction, place: &Place<'_>, done: &mut Done) {
        let Outer { escape, budget, .. } = self.outer;
        match instruction {
            Instruction::Arg(pairs) => {
                for Declared {
                    name,
                    value,
                    inherited,
                } in done.scope.arg(pairs, &self.outer)
                {
                    if self.question.unknown.contains(&name) {
                        continue;
                    }
                    self.used.extend(inherited.then(|| name.clone()));
                    self.reading.args.insert(name, text_of(value));
                }
            }
            Instruction::Env(pairs) => done.scope.env(pairs, escape, budget),
            Instruction::Copy(copy) => self.copy(copy, place, done),
            Instruction::Add(add) => self.add(add, place, done),
            Instruction::Run(mounts) => {
                for mount in mounts {
                    self.mount(mount, place, done);
                }
            }
            Instruction::Onbuild(trigger) => done.onbuild.push(trigger.clone()),
            Instruction::Unreadable(why) => {
                self.doubts
                    .push(format!("line {} cannot be read: {why}", place.line));
            }
            Instruction::From { .. } | Instruction::Other => {}
        }
    }

    /// The answer, and the doubts that widen all of it.
    pub(super) fn finish(mut self) -> (Reading, Vec<String>) {
        let mut names = std::mem::take(&mut self.used);
        names.extend(self.outer.globals.heeded().cloned());
        let declaring = self.outer.globals.closure(&mut names);
        for name in names {
            let value = self.outer.globals.scope.value(&name);
            if self.reading.args.contains_key(&name) || self.question.unknown.contains(&name) {
                continue;
            }
            let is_declared = value != Value::Unset;
            if is_declared {
                self.reading.args.insert(name, text_of(value));
            }
        }
        self.reading.args.extend(unasked_args(self.question.args));
        for need in self
            .reading
            .named
            .values_mut()
            .chain([&mut self.reading.context])
        {
            if let ContextNeed::Paths(needs) = need {
                let mut seen: BTreeSet<(Vec<u8>, bool, Vec<Vec<u8>>)> = BTreeSet::new();
                needs.sort_by_key(|n| n.line);
                needs.retain(|n| seen.insert((n.path.clone(), n.wildcard, n.exclude.clone())));
            }
        }
        let target = self.done.get(self.reading.target);
        if let Some(Some(done)) = target {
            self.reading.triggers.clone_from(&done.onbuild);
        }
        let done = self.done.iter().enumerate();
        let reached: Vec<usize> = done
            .filter_map(|(at, done)| done.is_some().then_some(at))
            .collect();
        self.reading.counted = fingerprint::counted(
            self.text,
            self.reading.syntax.as_deref(),
            &declaring,
            self.stages,
            &reached,
            self.reading.target,
        );
        self.reading.fingerprint = fingerprint::bytes(&self.reading.counted);
        (self.reading, self.doubts)
    }
}

fn text_of(value: Value) -> Option<String> {
    match value {
        Value::Known(text) => Some(text.to_string()),
        Value::Blank | Value::Unset | Value::Unknown => None,
    }
}

/// Arguments that BuildKit heeds without any ARG.
pub(super) fn unasked_args(given: &BTreeMap<String, String>) -> BTreeMap<String, Option<String>> {
    let heeded = given.iter().filter(|(name, _)| scope::is_heeded(name));
    heeded
        .map(|(name, value)| (name.clone(), Some(value.clone())))
        .collect()
}
