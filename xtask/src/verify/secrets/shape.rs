//! What a secret looks like. Each kind of secret has one entry, with its reasons, in `shapes`.

use std::ops::{Range, RangeInclusive};

use super::letters::{Alphabet, checksum_62, classes, entropy, staircase};
use super::placeholder;
use super::view::TextView;

/// One kind of secret.
#[derive(Debug)]
pub struct Shape {
    /// The name of the shape in reports and in the documentation.
    pub id: &'static str,
    /// What the secret is: the words after "holds" in a sentence.
    pub what: &'static str,
    /// What a reader of the image can do with it.
    pub why: &'static str,
    /// Where the shape is described.
    pub source: &'static str,
    /// How to make a leaked secret harmless.
    pub repair: &'static str,
    /// Whether a checksum or the like proves the secret. A proven secret counts even in the test
    /// material of packages.
    pub proof: Proof,
    /// How the secret is found.
    pub find: Find,
}

/// How sure a shape is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A checksum fits. By chance that happens once in billions.
    Checksum,
    /// The shape fits. Test data may have the same shape.
    Likeness,
}

/// How a shape is found.
#[derive(Debug)]
pub enum Find {
    /// A fixed prefix and a run of one alphabet.
    Token {
        /// Any of these prefixes. Each has three bytes or more.
        prefixes: &'static [&'static str],
        /// The alphabet of the body.
        body: Alphabet,
        /// How long the body is.
        length: RangeInclusive<usize>,
        /// What the body must satisfy.
        test: Test,
    },
    /// Code of its own, which is called at each anchor.
    Code {
        /// Any of these anchors. Each has three bytes or more.
        anchors: &'static [&'static str],
        /// Looks around the anchor.
        at: fn(&TextView<'_>) -> Option<Hit>,
    },
    /// By the name of the file or of a setting: see `files` and `setting`.
    Elsewhere,
}

/// What a body must satisfy.
#[derive(Debug, Clone, Copy)]
pub enum Test {
    /// The last six characters are a CRC-32 in base 62.
    Checksum62,
    /// The body has at least this many bits per byte, and is neither a staircase nor a placeholder.
    Random(f64),
    /// Code of its own, which gets the body.
    Call(fn(&[u8]) -> bool),
}

/// A secret that was found in a view.
#[derive(Debug)]
pub struct Hit {
    /// The place of the secret in the view.
    pub range: Range<usize>,
    /// The part of the secret that may be shown.
    pub masked: String,
    /// What the secret is, if the code knows it more exactly than the shape's entry.
    pub what: Option<&'static str>,
}

impl Hit {
    /// A hit that shows only a public beginning.
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

/// Whether a body looks machine-made: enough entropy, no staircase, no placeholder.
pub fn random(body: &[u8], bits: f64) -> bool {
    entropy(body) >= bits && !staircase(body) && !placeholder::is_word(body)
}

/// Whether a body has small letters, capitals and digits, as any text drawn from 62 characters has.
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

    /// The secret of this shape at this anchor, if there is one.
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
        // A checksum over a fixed length needs no boundary, as a database writes its columns
        // without any. A long prefix needs no boundary before it.
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
