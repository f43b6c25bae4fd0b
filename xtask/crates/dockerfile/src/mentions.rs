//! Which Dockerfile stages the counted text refers to by the name or number in the file.
//!
//! Most instructions count in resolved form, so a stage may be renamed. Mounts, triggers and
//! instructions that cannot be split count as written. If two stages swap names, such a text means
//! another stage.

use std::collections::{BTreeMap, HashSet};

use super::canonical;
use super::instructions::Instruction;
use super::lines::Logical;
use super::reading::ImageFacts;

/// The names and numbers that the text refers to.
#[derive(Debug, Default)]
pub(super) struct Mentions {
    words: HashSet<String>,
    /// Whether the text may refer to any name.
    is_open: bool,
}

impl Mentions {
    /// The names and numbers in the triggers of images.
    pub(super) fn of_images(images: &BTreeMap<String, ImageFacts>) -> Self {
        let mut mentions = Self::default();
        let triggers = images.values().flat_map(|facts| &facts.onbuild);
        triggers.for_each(|trigger| mentions.add(trigger));
        mentions
    }

    /// Adds the names and numbers in an instruction.
    pub(super) fn see(&mut self, logical: &Logical, instruction: &Instruction, escape: char) {
        match instruction {
            Instruction::Run(mounts) => {
                let from = mounts.iter().filter_map(|mount| mount.from.as_deref());
                from.for_each(|from| self.add(from));
            }
            Instruction::Copy(copy) => {
                let from = copy.from.as_deref();
                let is_as_written = || canonical::is_as_written(logical, escape);
                let from = from.filter(|from| from.contains('$') || is_as_written());
                from.into_iter().for_each(|from| self.add(from));
            }
            Instruction::Onbuild(trigger) => self.add(trigger),
            Instruction::Unreadable(_) => self.add(&logical.text),
            _ => {}
        }
    }

    fn add(&mut self, text: &str) {
        // Quotes, escapes and variables may form a name from several words.
        self.is_open |= text.contains(['$', '"', '\'', '\\', '`']);
        let is_of_a_name = |c: char| c.is_alphanumeric() || "_-.".contains(c);
        let words = text.split(|c| !is_of_a_name(c));
        self.words.extend(words.map(str::to_lowercase));
    }

    /// By what the text refers to a stage: its name, its number, both or neither.
    pub(super) fn told(&self, number: usize, name: Option<&str>) -> String {
        let is_called = |word: &str| self.is_open || self.words.contains(word);
        let name = name.map(str::to_lowercase);
        let name = name.filter(|name| is_called(name));
        let number = number.to_string();
        let number = Some(number).filter(|number| is_called(number));
        let told = |what: &str, it: Option<String>| {
            it.map_or_else(String::new, |it| format!(" {what} {it}"))
        };
        told("called", name) + &told("number", number)
    }
}
