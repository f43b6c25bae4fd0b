//! The part of a Dockerfile that counts, in a form that can be hashed and shown.
//!
//! Knows what of the reached stages' text can change a build. Is unaware of how they were
//! reached.

use std::collections::BTreeSet;

use super::canonical;
use super::lines::{Logical, Text};
use super::stages::{Base, Stage, Stages};

/// One record of the text that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// One-based line, for people; 0 where a record stands for no line.
    pub line: usize,
    /// The instruction as `BuildKit` reads it, with its heredocs; or what it resolves to.
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

    fn note(text: String) -> Self {
        Self {
            line: 0,
            text: text.into_bytes(),
        }
    }

    fn line(logical: &Logical, escape: char) -> Self {
        let mut text = canonical::text(logical, escape).into_bytes();
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

/// What counts: the directives, the global ARGs at `declaring`, the stages at `reached`.
pub(super) fn counted(
    text: &Text,
    syntax: Option<&str>,
    declaring: &BTreeSet<usize>,
    stages: &Stages,
    reached: &[usize],
    target: usize,
) -> Vec<Counted> {
    let mut counted = vec![
        Counted::note(format!("escape {}", text.escape)),
        Counted::note(format!("syntax {}", syntax.unwrap_or_default())),
    ];
    let line = |index: usize| {
        let logical = text.lines.get(index)?;
        Some(Counted::line(logical, text.escape))
    };
    counted.extend(declaring.iter().copied().filter_map(line));
    for (position, at) in reached.iter().enumerate() {
        let stage = &stages.all[*at];
        let role = if *at == target { "target" } else { "stage" };
        counted.push(Counted::note(format!(
            "{role} {position} {}",
            foundation(stage, reached)
        )));
        if stage.replaced_by.is_none() {
            counted.extend((stage.from..stage.end).filter_map(line));
        }
    }
    counted
}

/// What a stage stands on, numbered among the reached ones, so that stages nobody reaches
/// may come and go.
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

/// Each record with its length in front, so that no two lists give the same bytes.
pub(super) fn bytes(counted: &[Counted]) -> Vec<u8> {
    let mut out = b"dockerfile 1\n".to_vec();
    for record in counted {
        out.extend_from_slice(&(record.text.len() as u64).to_le_bytes());
        out.extend_from_slice(&record.text);
    }
    out
}
