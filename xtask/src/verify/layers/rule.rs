//! What rules get to see of a layer, and how their findings are kept.

use serde::{Deserialize, Serialize};

use super::entry::Entry;

/// Whether a rule wants to see a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// The rule wants the content.
    Content,
    /// The entry is enough.
    Nothing,
}

/// Looks at every entry of a layer in the archive's order, and at the content of the files that it
/// asks for, while the content streams by. All rules look in one pass.
///
/// The rule also sees an entry that a later entry of the same layer overwrites: its bytes are
/// shipped.
pub trait ContentRule: Send {
    /// The rule's name. Together with the version it identifies the rule's findings.
    fn name(&self) -> &str;

    /// The rule's version. It changes whenever the rule may answer differently on the same layer.
    fn version(&self) -> &str;

    /// An entry begins. Only files have content to ask for.
    fn start(&mut self, entry: &Entry<'_>, findings: &mut Vec<ContentFinding>) -> Wish;

    /// The next bytes of the current file. A piece has any length and may end anywhere.
    fn chunk(&mut self, bytes: &[u8]);

    /// The current file is over. The entry now has its hash and its head.
    fn end(&mut self, entry: &Entry<'_>, findings: &mut Vec<ContentFinding>);

    /// The layer is over, or it could not be read to its end. The rule drops what it keeps of it.
    fn reset(&mut self) {}
}

/// What a rule found at an entry. How severe a finding is, is decided elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentFinding {
    /// The rule's own word for the finding.
    pub what: String,
    /// The entry's path for people. `entry` identifies it exactly.
    pub path: String,
    /// The entry's number in the layer's table. `Reading` fills it in.
    pub entry: u32,
    /// The byte of the file at which it was found.
    pub at: Option<u64>,
    /// What a person should know about it. Never a secret itself.
    pub note: String,
}

impl ContentFinding {
    /// A finding at this entry.
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

/// All findings of one rule in one layer. They depend on the layer's bytes and the rule's version
/// alone, so that they can be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// The rule's name.
    pub rule: String,
    /// The rule's version.
    pub version: String,
    /// The findings.
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

    /// The findings since the last call.
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
