//! The instructions that make a target's image, in their order.
//!
//! BuildKit writes each of them into the image's history, so a layer can be traced back to a line.

use super::directives;
use super::flags;
use super::instructions;
use super::lines;
use super::reading::Question;
use super::scope::{Budget, Globals};
use super::stages::{Base, Stages};
use reference::platform::Platform;

/// An instruction that leaves an entry in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// `RUN`, `COPY`, …
    pub keyword: String,
    /// The one-based line on which it begins.
    pub line: usize,
}

/// The steps from the external image, or from scratch, up to the target. `None` if the text does
/// not decide them.
pub fn steps(text: &[u8], question: &Question<'_>) -> Option<Vec<Step>> {
    let foreign = directives::frontend(text, question.args);
    if foreign.is_some_and(|syntax| !directives::is_known(&syntax)) {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let read = lines::read(text).ok()?;
    let all: Vec<_> = read
        .lines
        .iter()
        .map(|logical| instructions::read(logical, read.escape))
        .collect();
    let budget = Budget::new();
    let platform = question.platform.and_then(Platform::read);
    let build_platform = question.build_platform.and_then(Platform::read);
    let mut globals = Globals::new(
        platform.as_ref(),
        build_platform.as_ref(),
        question.given(),
        &budget,
    );
    for (index, instruction) in all.iter().enumerate() {
        match instruction {
            instructions::Instruction::Arg(pairs) => {
                for (name, default) in pairs {
                    let pair = (name.as_str(), default.as_deref());
                    globals.declare(index, pair, read.escape, question.given(), &budget);
                }
            }
            _ => break,
        }
    }
    let stages = Stages::new(&all, read.escape, &globals, question.contexts, &budget);
    let mut at = stages.target(question.target)?;
    let mut chain = Vec::new();
    loop {
        let stage = &stages.all[at];
        if stage.replaced_by.is_some() {
            break;
        }
        let own = read.lines[stage.from + 1..stage.end].iter().map(|logical| {
            let split = flags::split(&logical.text, read.escape).ok()?;
            Some(Step {
                keyword: split.keyword,
                line: logical.line,
            })
        });
        chain.push(own.collect::<Option<Vec<Step>>>()?);
        match stage.base {
            Base::Stage(below) => at = below,
            Base::Undecided(_) => return None,
            _ => break,
        }
    }
    Some(chain.into_iter().rev().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps_of(text: &str, target: Option<&str>) -> Option<Vec<(String, usize)>> {
        let question = Question {
            target,
            ..Question::default()
        };
        let steps = steps(text.as_bytes(), &question)?;
        Some(
            steps
                .into_iter()
                .map(|step| (step.keyword, step.line))
                .collect(),
        )
    }

    #[test]
    fn the_chain_of_stages_is_followed_from_the_bottom() {
        let text = "ARG V=1\nFROM x:$V AS base\nRUN a \\\n  b\nFROM y AS other\nRUN c\nFROM base\ncopy d /d\n# no\nENV A=1\n";
        let wanted = [("RUN", 3), ("COPY", 8), ("ENV", 10)];
        let wanted = wanted.map(|(keyword, line)| (keyword.to_owned(), line));
        assert_eq!(steps_of(text, None).unwrap(), wanted);
        let other = vec![("RUN".to_owned(), 6)];
        assert_eq!(steps_of(text, Some("other")).unwrap(), other);
    }

    #[test]
    fn what_another_frontend_reads_has_no_lines() {
        assert_eq!(steps_of("# syntax=mine\nFROM x\nRUN a\n", None), None);
    }
}
