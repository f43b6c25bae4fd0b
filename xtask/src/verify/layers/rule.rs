//! What rules see of a layer, and what is kept of their answers.

use serde::{Deserialize, Serialize};

use super::entry::Entry;

/// Whether a rule is to see a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// It is.
    Content,
    /// The entry alone is enough.
    Nothing,
}

/// Looks at every entry of a layer, in the archive's order, and at the content of the files that
/// it asks for, while these stream by. All rules look in one pass.
///
/// An entry that a later one of the same layer overwrites is shown too: its bytes are shipped.
pub trait ContentRule: Send {
    /// Its name. With the version it says of which rule findings are.
    fn name(&self) -> &str;

    /// Changes whenever the rule may answer differently on the same layer.
    fn version(&self) -> &str;

    /// An entry begins. Only of a file the content can be had.
    fn start(&mut self, entry: &Entry<'_>, findings: &mut Vec<ContentFinding>) -> Wish;

    /// The next bytes of the file that was asked for last. Pieces have any length and end anywhere.
    fn chunk(&mut self, bytes: &[u8]);

    /// The file that was asked for last is over; the entry has its hash and its head now.
    fn end(&mut self, entry: &Entry<'_>, findings: &mut Vec<ContentFinding>);

    /// A layer is over, or it could not be read to its end: whatever is kept of it goes.
    fn reset(&mut self) {}
}

/// What a rule found at an entry. It says nothing of what a finding is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentFinding {
    /// What was found: the rule's own word for it.
    pub what: String,
    /// The entry's path, for people. `entry` says it exactly.
    pub path: String,
    /// The entry's number in the layer's table. The reader fills it in.
    pub entry: u32,
    /// At which byte of the file.
    pub at: Option<u64>,
    /// What a person should know of it; never a secret itself.
    pub note: String,
}

impl ContentFinding {
    /// Something at this entry.
    pub fn at(entry: &Entry<'_>, what: impl Into<String>, note: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            path: super::path::shown(entry.path),
            entry: 0,
            at: None,
            note: note.into(),
        }
    }
}

/// All that one rule found in one layer. It depends on the layer's bytes and on the rule's version
/// alone, so that it can be kept and used again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// The rule's name.
    pub rule: String,
    /// The rule's version.
    pub version: String,
    /// What it found.
    pub found: Vec<ContentFinding>,
}

/// The rules of one pass, over one layer at a time.
pub(super) struct Pass<'a> {
    rules: &'a mut [Box<dyn ContentRule>],
    findings: Vec<Vec<ContentFinding>>,
    wishes: Vec<Wish>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(rules: &'a mut [Box<dyn ContentRule>]) -> Self {
        let count = rules.len();
        Self {
            rules,
            findings: vec![Vec::new(); count],
            wishes: vec![Wish::Nothing; count],
        }
    }

    pub(super) fn start(&mut self, number: usize, entry: &Entry<'_>) {
        for (index, rule) in self.rules.iter_mut().enumerate() {
            let before = self.findings[index].len();
            let wish = rule.start(entry, &mut self.findings[index]);
            self.wishes[index] = if entry.is_file() { wish } else { Wish::Nothing };
            number_from(&mut self.findings[index], before, number);
        }
    }

    pub(super) fn chunk(&mut self, bytes: &[u8]) {
        for (rule, wish) in self.rules.iter_mut().zip(&self.wishes) {
            if *wish == Wish::Content {
                rule.chunk(bytes);
            }
        }
    }

    pub(super) fn end(&mut self, number: usize, entry: &Entry<'_>) {
        for (index, rule) in self.rules.iter_mut().enumerate() {
            if self.wishes[index] == Wish::Content {
                let before = self.findings[index].len();
                rule.end(entry, &mut self.findings[index]);
                number_from(&mut self.findings[index], before, number);
            }
        }
    }

    /// What was found since the last call.
    pub(super) fn finish(&mut self) -> Vec<Findings> {
        let found = self.findings.iter_mut().map(std::mem::take);
        let all = self.rules.iter_mut().zip(found);
        all.map(|(rule, found)| {
            rule.reset();
            Findings {
                rule: rule.name().to_owned(),
                version: rule.version().to_owned(),
                found,
            }
        })
        .collect()
    }
}

fn number_from(findings: &mut [ContentFinding], start: usize, number: usize) {
    for finding in findings.iter_mut().skip(start) {
        finding.entry = u32::try_from(number).unwrap_or(u32::MAX);
    }
}
