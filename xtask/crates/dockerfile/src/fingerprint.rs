//! The part of a Dockerfile that can change a build, in a form that can be hashed and shown.

use std::collections::BTreeSet;

use super::canonical;
use super::lines::{Logical, Text};
use super::mentions::Mentions;
use super::reach::Reach;
use super::stages::{Base, Stage, Stages};
use super::validity;

/// One piece of the text that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// One-based line, for messages; 0 if the piece stands for no line.
    pub line: usize,
    /// The instruction as `BuildKit` reads it, with its heredocs, or what it resolves to.
    pub text: Vec<u8>,
}

impl Counted {
    /// The whole file.
    pub(super) fn whole(text: &[u8]) -> Self {
        Self {
            line: 0,
            text: [b"whole file\n", text].concat(),
        }
    }

    fn note(line: usize, text: String) -> Self {
        Self {
            line,
            text: text.into_bytes(),
        }
    }

    fn instruction(logical: &Logical, text: String) -> Self {
        let mut text = text.into_bytes();
        for heredoc in &logical.heredocs {
            text.extend_from_slice(format!("\n{}\n", heredoc.body.len()).as_bytes());
            text.extend_from_slice(heredoc.body.as_bytes());
        }
        Self {
            line: logical.line,
            text,
        }
    }
}

/// The text that counts: the directives, the global ARGs at `declaring`, and the stages at
/// `reached`. `mentions` says by which names the text calls the stages.
pub(super) fn counted(
    text: &Text,
    syntax: Option<&str>,
    declaring: &BTreeSet<usize>,
    stages: &Stages,
    (reached, target): (&[usize], usize),
    reach: &Reach<'_>,
    mentions: &Mentions,
) -> Vec<Counted> {
    let mut counted = vec![
        Counted::note(0, format!("escape {}", text.escape)),
        Counted::note(0, format!("syntax {}", syntax.unwrap_or_default())),
    ];
    let position = |from: &str| match stages.copy_source(from) {
        Base::Stage(at) => Some(reached.binary_search(&at).ok()?.to_string()),
        _ => None,
    };
    let instruction = |logical: &Logical| {
        let text = canonical::text(logical, text.escape, position);
        Counted::instruction(logical, text)
    };
    let global = declaring.iter().filter_map(|index| text.lines.get(*index));
    counted.extend(global.map(instruction));
    for (position, at) in reached.iter().enumerate() {
        let stage = &stages.all[*at];
        let role = if *at == target { "target" } else { "stage" };
        let from = text.lines.get(stage.from);
        counted.push(Counted::note(
            from.map_or(0, |from| from.line),
            format!(
                "{role} {position} {}{}",
                foundation(stage, reached),
                mentions.told(*at, stage.name.as_deref())
            ),
        ));
        if stage.replaced_by.is_some() {
            continue;
        }
        // The foundation says what a FROM resolves to. A FROM that the text leaves open counts too.
        let is_open = matches!(stage.base, Base::Undecided(_)) || stage.platform.is_err();
        counted.extend(from.filter(|_| is_open).map(instruction));
        let lines = text.lines.get(stage.from + 1..stage.end);
        let leads_nowhere = |logical: &&Logical| {
            let is_setting = canonical::is_setting(logical, text.escape);
            is_setting && !reach.shipped.contains(at)
                || !reach.has_variables(*at) && canonical::is_variable(logical, text.escape)
        };
        let lines = lines.unwrap_or_default().iter();
        let lines =
            lines.filter(|logical| !leads_nowhere(logical) || may_be_refused(logical, text));
        counted.extend(lines.map(instruction));
    }
    // Stages that are not reached do nothing, but BuildKit reads the whole file and may refuse it.
    for (at, stage) in stages.all.iter().enumerate() {
        if reached.binary_search(&at).is_ok() && stage.replaced_by.is_none() {
            continue;
        }
        let lines = text.lines.get(stage.from..stage.end).unwrap_or_default();
        let refused = lines.iter().filter(|logical| {
            may_be_refused(logical, text)
                || validity::may_name_nothing(logical, text.escape, stages, at)
        });
        for (nth, logical) in refused.enumerate() {
            if nth == 0 {
                // The same line counts differently in a reached stage, and on another foundation.
                let told = format!("unreached {}", foundation(stage, reached));
                counted.push(Counted::note(logical.line, told));
            }
            counted.push(instruction(logical));
        }
    }
    counted
}

fn may_be_refused(logical: &Logical, text: &Text) -> bool {
    !validity::is_sure(logical, text.escape)
}

/// What a stage stands on. Stages are numbered among the reached ones, so that adding or removing
/// an unreached stage changes nothing.
fn foundation(stage: &Stage, reached: &[usize]) -> String {
    let platform = stage
        .platform
        .as_ref()
        .map_or("", |p| p.as_deref().unwrap_or_default());
    let base = match (&stage.replaced_by, &stage.base) {
        (Some(context), _) | (None, Base::Context(context)) => format!("context {context}"),
        (None, Base::Scratch) => "scratch".to_owned(),
        (None, Base::Stage(base)) => match reached.binary_search(base) {
            Ok(position) | Err(position) => format!("stage {position}"),
        },
        (None, Base::Image { reference, .. }) => format!("image {}", reference.canonical()),
        (None, Base::Undecided(why)) => why.clone(),
    };
    format!("on {base} for `{platform}`")
}

/// The pieces as bytes, each with its length in front, so that no two lists give the same bytes.
pub(super) fn bytes(counted: &[Counted]) -> Vec<u8> {
    let mut out = b"dockerfile 1\n".to_vec();
    for record in counted {
        out.extend_from_slice(&(record.text.len() as u64).to_le_bytes());
        out.extend_from_slice(&record.text);
    }
    out
}
