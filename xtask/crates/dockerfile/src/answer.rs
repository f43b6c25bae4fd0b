//! Answers a question about the bytes of a Dockerfile.
//!
//! A doubt about the text as a whole widens the answer to everything. `walk` finds what single
//! instructions use.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::crash;
use super::directives;
use super::error::DockerfileError;
use super::fingerprint::{self, Counted};
use super::instructions::{self, Instruction};
use super::lines::{self, Text};
use super::need::ContextNeed;
use super::opening;
use super::reading::{ImageFacts, Question, Reading};
use super::scope::{Budget, Globals};
use super::stages::Stages;
use super::walk::{self, Walk};
use reference::platform::Platform;

/// Answers `question` for the Dockerfile `text`.
pub fn read(text: &[u8], question: &Question<'_>) -> Result<Reading, DockerfileError> {
    read_knowing(text, question, &BTreeMap::new())
}

/// Like `read`, with facts about the images that stages stand on. `images` has them by canonical
/// reference, or by the name of the context that replaces the image. Without the facts of an
/// image, a variable that it may set has no known value, and its triggers stay unseen
/// (`Reading::onbuild_unknown`).
pub fn read_knowing(
    text: &[u8],
    question: &Question<'_>,
    images: &BTreeMap<String, ImageFacts>,
) -> Result<Reading, DockerfileError> {
    opening::check(text, question.args)?;
    let syntax = directives::frontend(text, question.args);
    let foreign = syntax
        .as_deref()
        .filter(|syntax| !directives::is_known(syntax));
    let foreign = foreign
        .map(|syntax| format!("the frontend `{syntax}` may read the Dockerfile in its own way"));
    let lossy = String::from_utf8_lossy(text);
    let doubts = match (&lossy, foreign) {
        (_, Some(foreign)) => vec![foreign],
        (Cow::Owned(_), None) => vec!["the Dockerfile is not UTF-8".to_owned()],
        _ => Vec::new(),
    };
    match lines::read(&lossy) {
        Ok(read) => answer(text, read, (syntax, doubts), question, images),
        Err(unreadable) => {
            let why = format!(
                "line {} cannot be read: {}",
                unreadable.line, unreadable.why
            );
            let mut reading = blank(syntax);
            reading.args = walk::unasked_args(question.args);
            widen(
                &mut reading,
                text,
                question,
                doubts.into_iter().chain([why]),
            );
            Ok(reading)
        }
    }
}

fn answer(
    text: &[u8],
    mut read: Text,
    (syntax, mut doubts): (Option<String>, Vec<String>),
    question: &Question<'_>,
    images: &BTreeMap<String, ImageFacts>,
) -> Result<Reading, DockerfileError> {
    doubts.append(&mut read.doubts);
    let all: Vec<Instruction> = read
        .lines
        .iter()
        .map(|logical| instructions::read(logical, read.escape))
        .collect();
    for (instruction, logical) in all.iter().zip(&read.lines) {
        if let Instruction::Unreadable(why) = instruction {
            if let Some(returns) = opening::broken_from(logical).filter(|_| doubts.is_empty()) {
                return Err(returns);
            }
            doubts.push(format!("line {} cannot be read: {why}", logical.line));
        }
    }
    let budget = Budget::new();
    let platform = question.platform.and_then(Platform::read);
    let build_platform = question.build_platform.and_then(Platform::read);
    let mut globals = Globals::new(
        platform.as_ref(),
        build_platform.as_ref(),
        question.given(),
        &budget,
    );
    // A frontend that runs from an image crashes without the engine.
    let may_crash = syntax.is_none();
    let crash = |index: usize, globals: &Globals| match &all[index] {
        instruction if may_crash => crash::outside_stages(
            instruction,
            (read.lines[index].line, read.escape),
            question.given(),
            (&globals.scope, &budget),
        ),
        _ => None,
    };
    for (index, instruction) in all.iter().enumerate() {
        match instruction {
            Instruction::Arg(pairs) => {
                crash(index, &globals).map_or(Ok(()), Err)?;
                for (name, default) in pairs {
                    let pair = (name.as_str(), default.as_deref());
                    globals.declare(index, pair, read.escape, question.given(), &budget);
                }
            }
            Instruction::From { .. } => break,
            Instruction::Unreadable(_) => {}
            _ if doubts.is_empty() => {
                return Err(DockerfileError::BeforeFrom {
                    line: read.lines[index].line,
                });
            }
            _ => {}
        }
    }
    let is_from = |index: &usize| matches!(all[*index], Instruction::From { .. });
    let froms = (0..all.len()).filter(is_from);
    let mut crashes = froms.filter_map(|index| crash(index, &globals));
    crashes.next().map_or(Ok(()), Err)?;
    let stages = Stages::new(&all, read.escape, &globals, question.contexts, &budget);
    let mut reading = blank(syntax);
    let Some(target) = stages.target(question.target) else {
        if doubts.is_empty() {
            return Err(no_target(&stages, &read, question.target));
        }
        reading.args = walk::unasked_args(question.args);
        widen(&mut reading, text, question, doubts);
        return Ok(reading);
    };
    reading.target = target;
    reading.target_name.clone_from(&stages.all[target].name);
    reading.target_is_context = stages.all[target].replaced_by.is_some();
    reading.target_is_last = target + 1 == stages.all.len();
    let mut walk = Walk::new(
        &read,
        &all,
        &stages,
        &globals,
        (question, images),
        &budget,
        reading,
    );
    walk.from(target);
    if let Some(crash) = walk.crash.take() {
        return Err(crash);
    }
    let (mut reading, more_doubts) = walk.finish();
    doubts.extend(more_doubts);
    if !doubts.is_empty() {
        widen(&mut reading, text, question, doubts);
    }
    Ok(reading)
}

fn no_target(stages: &Stages, read: &Text, target: Option<&str>) -> DockerfileError {
    let (Some(target), Some(last)) = (target, stages.all.last()) else {
        return DockerfileError::Empty;
    };
    let names: Vec<String> = stages.names().into_iter().map(str::to_owned).collect();
    let likeness = |name: &String| strsim::jaro_winkler(name, &target.to_lowercase());
    let close = names
        .iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let close = close.filter(|name| likeness(name) > 0.8).cloned();
    let line = read.lines[last.from].line;
    DockerfileError::UnknownTarget {
        target: target.to_owned(),
        names,
        close,
        line,
    }
}

fn blank(syntax: Option<String>) -> Reading {
    Reading {
        syntax,
        target: 0,
        target_name: None,
        target_is_last: false,
        target_is_context: false,
        bases: Vec::new(),
        takes: Vec::new(),
        bases_complete: true,
        references_complete: true,
        triggers: Vec::new(),
        onbuild_unknown: Vec::new(),
        named: BTreeMap::new(),
        context: ContextNeed::Nothing,
        required: Vec::new(),
        args: BTreeMap::new(),
        unknown_seen: BTreeSet::new(),
        remotes: Vec::new(),
        secrets: BTreeSet::new(),
        ssh: BTreeSet::new(),
        undecided: Vec::new(),
        counted: Vec::new(),
        fingerprint: Vec::new(),
    }
}

/// Makes everything count: the whole file, every context, and all arguments that were given.
fn widen(
    reading: &mut Reading,
    text: &[u8],
    question: &Question<'_>,
    doubts: impl IntoIterator<Item = String>,
) {
    let mut seen: HashSet<String> = reading.undecided.iter().cloned().collect();
    let new = doubts
        .into_iter()
        .filter(|doubt| seen.insert(doubt.clone()));
    reading.undecided.extend(new);
    let because = reading.undecided.first().cloned().unwrap_or_default();
    let whole = ContextNeed::Whole { because };
    reading.context = whole.clone();
    reading.required.clear();
    reading.named = question
        .contexts
        .iter()
        .map(|name| (name.clone(), whole.clone()))
        .collect();
    for (name, value) in question.args {
        reading
            .args
            .entry(name.clone())
            .or_insert_with(|| Some(value.clone()));
    }
    reading.unknown_seen.clone_from(question.unknown);
    reading.bases_complete = false;
    reading.references_complete = false;
    reading.takes.clear();
    reading.counted = vec![Counted::whole(text)];
    reading.fingerprint = fingerprint::bytes(&reading.counted);
}
