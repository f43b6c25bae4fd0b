//! Walks from the target through every Dockerfile stage that it reaches, and notes what each
//! instruction uses, with the variables at that place. `answer` decides what a doubt does to the
//! answer.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::crash;
use super::error::DockerfileError;
use super::fingerprint;
use super::instructions::{self, Instruction};
use super::lines::{self, Logical, Text};
use super::mentions::Mentions;
use super::reach::Reach;
use super::reading::{BaseKind, ImageFacts, Question, Reading, TakenFrom};
use super::scope::{self, Budget, Declared, Globals, Outer, StageScope};
use super::stages::{Base, Stage, Stages};
use super::words::{Lookup, Value};

/// A stage that was walked.
pub(super) struct Done {
    pub(super) scope: StageScope,
    pub(super) onbuild: Vec<String>,
    pub(super) windows: bool,
}

pub(super) struct Walk<'a> {
    text: &'a Text,
    pub(super) instructions: &'a [Instruction],
    pub(super) stages: &'a Stages,
    pub(super) question: &'a Question<'a>,
    pub(super) images: &'a BTreeMap<String, ImageFacts>,
    pub(super) outer: Outer<'a>,
    pub(super) done: Vec<Option<Done>>,
    pub(super) pending: Vec<usize>,
    used: BTreeSet<String>,
    /// The arguments that stages declare, in the order of the walk.
    declared: Vec<(usize, Declared)>,
    /// Whether some stage ran triggers.
    triggered: bool,
    pub(super) reading: Reading,
    pub(super) doubts: Vec<String>,
    /// The first thing that would make BuildKit panic.
    pub(super) crash: Option<DockerfileError>,
    pub(super) seen: Seen,
}

/// The entries that the reading lists already. A list may be as long as the file, so it must not be
/// searched for each entry.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) bases: HashSet<(String, Option<String>)>,
    pub(super) takes: HashSet<(TakenFrom, Option<String>, BaseKind)>,
    pub(super) images: HashSet<String>,
    clauses: HashSet<String>,
}

/// Where an instruction stands.
pub(super) struct Place<'s> {
    stage: usize,
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
            declared: Vec::new(),
            triggered: false,
            reading,
            doubts: Vec::new(),
            crash: None,
            seen: Seen::default(),
        }
    }

    /// Walks `target` and all stages that it reaches.
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
        self.triggered |= !triggers.is_empty();
        for trigger in &triggers {
            self.trigger(trigger, (at, line), &mut done);
        }
        for index in stage.from + 1..stage.end {
            let logical = &self.text.lines[index];
            let place = Place {
                stage: at,
                line: logical.line,
                text: &logical.text,
                windows: done.windows,
            };
            self.crashes(logical, &done);
            self.instruction(&self.instructions[index], &place, &mut done);
        }
        self.done[at] = Some(done);
    }

    /// Notes an instruction that would make BuildKit panic. A frontend that runs from an image
    /// crashes without the engine.
    fn crashes(&mut self, logical: &Logical, done: &Done) {
        if self.crash.is_none() && self.reading.syntax.is_none() {
            let Outer { escape, budget, .. } = self.outer;
            self.crash = crash::in_stage(logical, escape, &done.scope.all, budget);
        }
    }

    /// Notes, only once, why the answer was widened.
    pub(super) fn undecided(&mut self, clause: String) {
        if self.seen.clauses.insert(clause.clone()) {
            self.reading.undecided.push(clause);
        }
    }

    /// Runs an ONBUILD trigger of the stage or image below. Triggers run in front of the stage's
    /// own instructions.
    fn trigger(&mut self, trigger: &str, (stage, line): (usize, usize), done: &mut Done) {
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
                stage,
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
                instruction => {
                    let here = Logical {
                        line,
                        ..logical.clone()
                    };
                    self.crashes(&here, done);
                    self.instruction(&instruction, &place, done);
                }
            }
        }
    }

    fn instruction(&mut self, instruction: &Instruction, place: &Place<'_>, done: &mut Done) {
        let Outer { escape, budget, .. } = self.outer;
        match instruction {
            Instruction::Arg(pairs) => {
                let declared = done.scope.arg(pairs, &self.outer);
                let of_stage = declared.into_iter().map(|one| (place.stage, one));
                self.declared.extend(of_stage);
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

    /// The answer, and the doubts that widen it to everything.
    pub(super) fn finish(mut self) -> (Reading, Vec<String>) {
        let done = self.done.iter().enumerate();
        let reached: Vec<usize> = done
            .filter_map(|(at, done)| done.is_some().then_some(at))
            .collect();
        let reach = Reach::of(
            self.text,
            self.instructions,
            self.stages,
            &reached,
            self.reading.target,
            self.triggered,
        );
        let declaring = self.arguments(&reach);
        for need in self
            .reading
            .named
            .values_mut()
            .chain([&mut self.reading.context])
        {
            need.name_each_once();
        }
        let target = self.done.get(self.reading.target);
        if let Some(Some(done)) = target {
            self.reading.triggers.clone_from(&done.onbuild);
        }
        let mut mentions = Mentions::of_images(self.images);
        for stage in reached.iter().map(|at| &self.stages.all[*at]) {
            for index in stage.from + 1..stage.end {
                let (logical, instruction) = (&self.text.lines[index], &self.instructions[index]);
                mentions.see(logical, instruction, self.text.escape);
            }
        }
        self.reading.counted = fingerprint::counted(
            self.text,
            self.reading.syntax.as_deref(),
            &declaring,
            self.stages,
            (&reached, self.reading.target),
            &reach,
            &mentions,
        );
        self.reading.fingerprint = fingerprint::bytes(&self.reading.counted);
        (self.reading, self.doubts)
    }

    /// Notes the arguments whose values have an effect. Returns the instructions that declare the
    /// global ones.
    fn arguments(&mut self, reach: &Reach<'_>) -> BTreeSet<usize> {
        let mut names = std::mem::take(&mut self.used);
        let mut values = Values::default();
        for (at, declared) in std::mem::take(&mut self.declared) {
            let Declared {
                name,
                value,
                inherited,
            } = declared;
            if !reach.heeds(at, &name) {
                continue;
            }
            if self.question.unknown.contains(&name) {
                self.reading.unknown_seen.insert(name);
                continue;
            }
            names.extend(inherited.then(|| name.clone()));
            values.note(name, text_of(value));
        }
        names.extend(self.outer.globals.heeded().cloned());
        let declaring = self.outer.globals.closure(&mut names);
        for name in names {
            let value = self.outer.globals.scope.value(&name);
            if self.question.unknown.contains(&name) {
                self.reading.unknown_seen.insert(name);
                continue;
            }
            let is_declared = value != Value::Unset;
            if is_declared {
                values.note(name, text_of(value));
            }
        }
        self.reading.args.extend(values.all);
        self.reading.args.extend(unasked_args(self.question.args));
        declaring
    }
}

/// The values of arguments by name. An argument that is declared at several places may have
/// different values there, unless the build gives it one. The key of each further value is the
/// name, NUL and a number.
#[derive(Default)]
struct Values {
    all: BTreeMap<String, Option<String>>,
    seen: HashSet<(String, Option<String>)>,
    count: HashMap<String, usize>,
}

impl Values {
    fn note(&mut self, name: String, value: Option<String>) {
        if !self.seen.insert((name.clone(), value.clone())) {
            return;
        }
        let count = self.count.entry(name.clone()).or_default();
        *count += 1;
        let name = match count {
            1 => name,
            further => format!("{name}\0{further}"),
        };
        self.all.insert(name, value);
    }
}

fn text_of(value: Value) -> Option<String> {
    match value {
        Value::Known(text) => Some(text.to_string()),
        Value::Blank | Value::Unset | Value::Unknown => None,
    }
}

/// The given arguments that BuildKit looks at without any ARG.
pub(super) fn unasked_args(given: &BTreeMap<String, String>) -> BTreeMap<String, Option<String>> {
    let heeded = given.iter().filter(|(name, _)| scope::is_heeded(name));
    heeded
        .map(|(name, value)| (name.clone(), Some(value.clone())))
        .collect()
}
