//! Which Dockerfile stages the text that counts calls as the file does.
//!
//! Most instructions count with what they resolve to, so that a stage may have any name. Mounts and
//! triggers, and what cannot be taken apart, count as they are written: two stages that change names
//! are others for them. Knows such texts; is unaware of what they do.

use std::collections::{BTreeMap, HashSet};

use super::canonical;
use super::instructions::Instruction;
use super::lines::Logical;
use super::reading::ImageFacts;

/// The names and numbers that are called.
#[derive(Debug, Default)]
pub(super) struct Mentions {
    words: HashSet<String>,
    /// Whether any could be meant.
    is_open: bool,
}

impl Mentions {
    /// What the triggers of images call.
    pub(super) fn of_images(images: &BTreeMap<String, ImageFacts>) -> Self {
        let mut mentions = Self::default();
        let triggers = images.values().flat_map(|facts| &facts.onbuild);
        triggers.for_each(|trigger| mentions.add(trigger));
        mentions
    }

    /// Adds what an instruction calls.
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
        // Quotes, escapes and variables may make a name of several words.
        self.is_open |= text.contains(['$', '"', '\'', '\\', '`']);
        let is_of_a_name = |c: char| c.is_alphanumeric() || "_-.".contains(c);
        let words = text.split(|c| !is_of_a_name(c));
        self.words.extend(words.map(str::to_lowercase));
    }

    /// What is called of a stage: its name, its number, both or nothing.
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
