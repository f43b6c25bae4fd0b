//! Facts about a Dockerfile that need no target: whether it surely leaves no ONBUILD triggers, and
//! the names of its stages and arguments.

use std::collections::{BTreeMap, BTreeSet};

use super::directives;
use super::flags;
use super::instructions::{self, Instruction};
use super::lines;
use super::stages;

/// Whether no image that is built from this text has triggers. That holds if Docker's own frontend
/// reads the text, no instruction is an ONBUILD, and none of the named `contexts` replaces one of
/// its stages, as the image of a context may have triggers.
pub fn leaves_no_triggers(text: &[u8], contexts: &BTreeSet<String>) -> bool {
    let syntax = directives::frontend(text, &BTreeMap::new());
    if syntax.is_some_and(|syntax| !directives::is_known(&syntax)) {
        return false;
    }
    let Ok(text) = std::str::from_utf8(text) else {
        return false;
    };
    let Ok(text) = lines::read(text) else {
        return false;
    };
    let is_context = |name: &str| {
        let key = stages::context_key(name);
        contexts
            .iter()
            .any(|given| stages::context_key(given) == key)
    };
    let mut lines = text.lines.iter();
    text.doubts.is_empty()
        && lines.all(|logical| match instructions::read(logical, text.escape) {
            Instruction::Onbuild(_) => false,
            Instruction::From { name, .. } => !name.is_some_and(|name| is_context(&name)),
            // An unknown flag does not make an instruction a trigger.
            Instruction::Unreadable(_) => {
                let keyword = flags::keyword(&logical.text);
                !["FROM", "ONBUILD"].contains(&keyword.as_str())
                    && flags::KEYWORDS.contains(&keyword.as_str())
            }
            _ => true,
        })
}

/// The names of a text's stages, in the spelling of named contexts that would replace them. Empty
/// if the text cannot be read.
pub fn names_of_stages(text: &[u8]) -> BTreeSet<String> {
    let text = std::str::from_utf8(text)
        .ok()
        .and_then(|text| lines::read(text).ok());
    let lines = text
        .iter()
        .flat_map(|text| text.lines.iter().map(|line| (line, text.escape)));
    let names = lines.filter_map(|(line, escape)| match instructions::read(line, escape) {
        Instruction::From { name, .. } => name,
        _ => None,
    });
    names.map(|name| stages::context_key(&name)).collect()
}

/// The names that a text's ARGs declare, in all of its stages. `None` if the text cannot be read,
/// or if another frontend reads it in its own way.
pub fn names_of_args(text: &[u8]) -> Option<BTreeSet<String>> {
    let frontend = directives::frontend(text, &BTreeMap::new());
    if frontend.is_some_and(|frontend| !directives::is_known(&frontend)) {
        return None;
    }
    let read = lines::read(std::str::from_utf8(text).ok()?).ok()?;
    let mut names = BTreeSet::new();
    for line in &read.lines {
        match instructions::read(line, read.escape) {
            Instruction::Arg(pairs) => names.extend(pairs.into_iter().map(|(name, _)| name)),
            Instruction::Unreadable(_) => return None,
            _ => {}
        }
    }
    read.doubts.is_empty().then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves_none(text: &str) -> bool {
        leaves_no_triggers(text.as_bytes(), &BTreeSet::from(["base".to_owned()]))
    }

    #[test]
    fn a_trigger_is_found_however_it_is_written() {
        for text in [
            "FROM a\nONBUILD RUN x\n",
            "FROM a\n  onbuild COPY x /\n",
            "FROM a\nONBU\\\nILD RUN x\n",
            "FROM a\nONBU\\  \n# inside\n\nILD RUN x\n",
            "# escape=`\nFROM a\nO`\nNBUILD RUN x\n",
            "FROM a\nONBUILD\n",
        ] {
            assert!(!leaves_none(text), "{text}");
        }
    }

    #[test]
    fn what_another_frontend_or_context_makes_of_it_is_not_known() {
        assert!(!leaves_none("# syntax=mine/frontend\nFROM a\n"));
        assert!(!leaves_none("FROM a AS base\n"));
        assert!(!leaves_no_triggers(b"FROM a\n# \xff\n", &BTreeSet::new()));
    }

    #[test]
    fn words_that_are_no_instruction_leave_none() {
        for text in [
            "FROM a AS b\nRUN echo ONBUILD\n",
            "# syntax=docker/dockerfile:1\nFROM a\n# ONBUILD RUN x\n",
            "FROM a\nCOPY <<E /x\nONBUILD RUN x\nE\n",
            "FROM a\nCOPY --newer=1 x /\n",
        ] {
            assert!(leaves_none(text), "{text}");
        }
    }
}
