//! What a Dockerfile's text alone says, whatever else is asked of it: whether it surely leaves no ONBUILD
//! triggers, and how its stages are called.
//!
//! Is unaware of what triggers do.

use std::collections::{BTreeMap, BTreeSet};

use super::directives;
use super::flags;
use super::instructions::{self, Instruction};
use super::lines;
use super::stages;

/// Whether no image that is built from this text has triggers: Docker's own frontend reads it, no
/// instruction is an ONBUILD, and none of the named `contexts` takes the place of one of its stages
/// with an image that has some.
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
            // A newer flag makes no trigger of an instruction.
            Instruction::Unreadable(_) => {
                let keyword = flags::keyword(&logical.text);
                !["FROM", "ONBUILD"].contains(&keyword.as_str())
                    && flags::KEYWORDS.contains(&keyword.as_str())
            }
            _ => true,
        })
}

/// The names of a text's stages, as named contexts are called that take their place. None of a text that
/// cannot be read.
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

/// The names that a text's ARGs declare, in whichever of its stages. `None` where the text does not
/// tell: one that cannot be read, or that another frontend reads in its own way.
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
