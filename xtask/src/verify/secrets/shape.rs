//! What a secret looks like: one entry for each kind, with its reasons.
//!
//! Knows how an entry is written. The entries are in `shapes`.

use std::ops::{Range, RangeInclusive};

use super::letters::{Alphabet, checksum_62, classes, entropy, staircase};
use super::placeholder;
use super::view::TextView;

/// One kind of secret.
#[derive(Debug)]
pub struct Shape {
    /// Its name in reports and in the documentation.
    pub id: &'static str,
    /// What it is, as a sentence continues after "holds".
    pub what: &'static str,
    /// What a reader of the image can do with it.
    pub why: &'static str,
    /// Where the shape is described.
    pub source: &'static str,
    /// How to make it harmless once it is out.
    pub repair: &'static str,
    /// Whether a checksum or the like proves it. What is proven counts even among the test
    /// material of packages.
    pub proof: Proof,
    /// How it is found.
    pub find: Find,
}

/// How sure a shape is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A checksum fits. By chance it does so once in billions.
    Checksum,
    /// The shape fits, and test data may have the same shape.
    Likeness,
}

/// How a shape is found.
#[derive(Debug)]
pub enum Find {
    /// A fixed prefix and a run of one alphabet.
    Token {
        /// Any of these, four bytes or longer, or three.
        prefixes: &'static [&'static str],
        /// The alphabet of what follows.
        body: Alphabet,
        /// How long the body is.
        length: RangeInclusive<usize>,
        /// What the body must satisfy.
        test: Test,
    },
    /// Code of its own, called where an anchor stands.
    Code {
        /// Any of these, three bytes or longer.
        anchors: &'static [&'static str],
        /// Looks around the anchor.
        at: fn(&TextView<'_>) -> Option<Hit>,
    },
    /// By the name of the file, or by the name of a setting: see `files` and `setting`.
    Elsewhere,
}

/// What a body must satisfy.
#[derive(Debug, Clone, Copy)]
pub enum Test {
    /// The last six characters are a CRC-32 in base 62.
    Checksum62,
    /// At least so many bits per byte, neither a staircase nor a placeholder.
    Random(f64),
    /// Code of its own; gets the body.
    Call(fn(&[u8]) -> bool),
}

/// A secret that was found in a view.
#[derive(Debug)]
pub struct Hit {
    /// Where, in the view.
    pub range: Range<usize>,
    /// What may be shown of it.
    pub masked: String,
    /// What it is, if the shape knows better than its entry.
    pub what: Option<&'static str>,
}

impl Hit {
    /// A hit of which only a public beginning is shown.
    pub fn of(range: Range<usize>, public: &[u8]) -> Self {
        let masked = mask(public, range.len());
        Self {
            range,
            masked,
            what: None,
        }
    }
}

/// A public beginning and a length, for example `ghp_… (40 characters)`.
pub fn mask(public: &[u8], length: usize) -> String {
    format!("{}… ({length} characters)", String::from_utf8_lossy(public))
}

/// Whether a body looks as if a machine had drawn it: entropy, no staircase, no placeholder.
pub fn random(body: &[u8], bits: f64) -> bool {
    entropy(body) >= bits && !staircase(body) && !placeholder::is_word(body)
}

/// Whether a body has small letters, capitals and digits, as any drawn from 62 characters has.
pub fn mixed(body: &[u8]) -> bool {
    let letters: Vec<u8> = body
        .iter()
        .copied()
        .filter(u8::is_ascii_alphanumeric)
        .collect();
    classes(&letters) == 3
}

impl Test {
    fn passes(self, body: &[u8]) -> bool {
        match self {
            Self::Checksum62 => checksum_62(body),
            Self::Random(bits) => random(body, bits),
            Self::Call(test) => test(body),
        }
    }
}

impl Shape {
    /// The texts that the prefilter looks for.
    pub fn anchors(&self) -> &'static [&'static str] {
        match self.find {
            Find::Token { prefixes, .. } => prefixes,
            Find::Code { anchors, .. } => anchors,
            Find::Elsewhere => &[],
        }
    }

    /// Whether a secret of this kind is where this anchor stands.
    pub fn look(&self, view: &TextView<'_>, anchor: &str) -> Option<Hit> {
        match &self.find {
            Find::Elsewhere => None,
            Find::Code { at, .. } => at(view),
            Find::Token {
                body, length, test, ..
            } => self.token(view, anchor, body, length, *test),
        }
    }

    fn token(
        &self,
        view: &TextView<'_>,
        anchor: &str,
        alphabet: &Alphabet,
        length: &RangeInclusive<usize>,
        test: Test,
    ) -> Option<Hit> {
        let from = view.at + anchor.len();
        // A checksum over a fixed length needs no boundary: a database writes its columns without
        // any. A long prefix needs none before it.
        let exact = self.proof == Proof::Checksum && length.start() == length.end();
        let begins = exact || anchor.len() >= 5 && view.before(view.at) != Some(b'-');
        if !begins && !view.word_begins(view.at) {
            return None;
        }
        let most = length.end() + usize::from(!exact);
        let end = view.run(from, alphabet, most);
        let body = &view.bytes[from..end];
        if !length.contains(&body.len()) {
            return None;
        }
        view.spend(body.len());
        test.passes(body)
            .then(|| Hit::of(view.at..end, anchor.as_bytes()))
    }
}
