//! Quotes, escapes and `$variables` in one piece of Dockerfile text.
//!
//! Knows BuildKit's shell-like rules. Is unaware of which instruction the text stands in
//! and of how variables get their values (`Lookup` gives them).
//!
//! A text whose value hangs on something that the Dockerfile does not decide comes out
//! as [`Trouble::Undecided`] with the variable's name, never as a guess.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::lexer::{Lexer, Rules, TOO_DEEP};

/// Why a text is refused whose values cost too much.
pub(super) const ENDLESS: &str = "its variables grow without end";

/// What is known of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Exactly this text.
    Known(Rc<str>),
    /// No text; whether the variable counts as set depends on BuildKit's version.
    Blank,
    /// Surely not set.
    Unset,
    /// Set outside the Dockerfile, or not; the text does not say.
    Unknown,
}

/// Where variables get their values.
pub(super) trait Lookup {
    fn value(&self, name: &str) -> Value;

    /// Takes `cost` of the work that may be done with values; `false` once there is no more.
    fn spend(&self, _cost: usize) -> bool {
        true
    }
}

/// Why a text has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It hangs on this variable.
    Undecided(String),
    /// BuildKit refuses it, or its versions read it differently.
    Refused(String),
    /// A variable is trimmed by nothing, at which BuildKit before 0.15 panics.
    TrimsNothing(Trimmed),
}

/// `${name#` or `${name%`, followed by nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trimmed {
    pub(super) name: String,
    pub(super) side: char,
}

impl Trimmed {
    /// The end of a sentence for people.
    pub(super) fn clause(&self) -> String {
        format!("`{self}` trims nothing")
    }
}

impl std::fmt::Display for Trimmed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "${{{}{}}}", self.name, self.side)
    }
}

/// Finds what panics in a text that BuildKit expands, as values or, `as_a_title`, for people: there
/// it leaves unset variables and quotes as they are.
pub(super) fn trims_nothing(
    text: &str,
    escape: char,
    env: &dyn Lookup,
    as_a_title: bool,
) -> Option<Trimmed> {
    if !text.contains("${") || !text.contains(['#', '%']) {
        return None;
    }
    let title = HeredocRules {
        keep_quotes: true,
        keep_escapes: false,
        spaces_after_arrows: false,
    };
    let heredocs = as_a_title.then_some(title);
    match Lexer::new(text, Rules { escape, heredocs }, env).until(None, false) {
        Err(Trouble::TrimsNothing(trimmed)) => Some(trimmed),
        _ => None,
    }
}

/// Expands `text` as BuildKit does for most instructions; `used` collects the names looked at.
pub(super) fn expand(
    text: &str,
    escape: char,
    env: &dyn Lookup,
    used: &mut BTreeSet<String>,
) -> Result<String, Trouble> {
    if !text.contains(['$', '"', '\'', escape, '\u{feff}']) {
        return Ok(text.to_owned());
    }
    let mut lexer = Lexer::new(
        text,
        Rules {
            escape,
            heredocs: None,
        },
        env,
    );
    let piece = lexer.until(None, false);
    used.append(&mut lexer.used);
    let piece = piece?;
    match piece.hangs_on {
        Some(name) => Err(Trouble::Undecided(name)),
        None => Ok(piece.text),
    }
}

/// How heredoc words are looked for: quotes and escapes stay, unset variables too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeredocRules {
    pub(super) keep_quotes: bool,
    pub(super) keep_escapes: bool,
    /// Newer BuildKit reads `<< EOF` as it reads `<<EOF`.
    pub(super) spaces_after_arrows: bool,
}

/// The words of a line; `None` when BuildKit sees a syntax error.
pub(super) fn words(line: &str, rules: HeredocRules) -> Result<Option<Vec<String>>, Trouble> {
    let mut lexer = Lexer::new(
        line,
        Rules {
            escape: '\\',
            heredocs: Some(rules),
        },
        &NoVariables,
    );
    match lexer.until(None, rules.keep_escapes) {
        Ok(piece) => Ok(Some(piece.words)),
        Err(Trouble::Refused(why)) if why == TOO_DEEP => Err(Trouble::Refused(why)),
        Err(_) => Ok(None),
    }
}

struct NoVariables;

impl Lookup for NoVariables {
    fn value(&self, _: &str) -> Value {
        Value::Unset
    }
}
