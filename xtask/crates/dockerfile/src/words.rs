//! Quotes, escapes and `$variables` in one piece of Dockerfile text, by BuildKit's shell-like
//! rules. `Lookup` gives the values of variables.
//!
//! If the Dockerfile does not decide the value of a text, the result is [`Trouble::Undecided`] with
//! the variable's name, never a guess.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::lexer::{Lexer, Rules, TOO_DEEP};

/// The reason for refusing a text whose values cost too much.
pub(super) const ENDLESS: &str = "its variables grow without end";

/// What is known of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Exactly this text.
    Known(Rc<str>),
    /// No text. BuildKit's version decides whether the variable counts as set.
    Blank,
    /// Surely not set.
    Unset,
    /// The text does not say whether it is set, or to what.
    Unknown,
}

/// Where variables get their values.
pub(super) trait Lookup {
    fn value(&self, name: &str) -> Value;

    /// Takes `cost` of the work that may be done with values. `false` if too little is left.
    fn spend(&self, _cost: usize) -> bool {
        true
    }
}

/// Why a text has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Its value depends on this variable.
    Undecided(String),
    /// BuildKit refuses it, or its versions read it differently.
    Refused(String),
    /// A variable is trimmed by an empty pattern, which makes BuildKit before 0.15 panic.
    TrimsNothing(Trimmed),
}

/// `${name#` or `${name%`, followed by nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trimmed {
    pub(super) name: String,
    pub(super) side: char,
}

impl Trimmed {
    /// The end of a sentence for a message.
    pub(super) fn clause(&self) -> String {
        format!("`{self}` trims nothing")
    }
}

impl std::fmt::Display for Trimmed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "${{{}{}}}", self.name, self.side)
    }
}

/// Finds a variable that makes BuildKit panic in a text that it expands. With `as_a_title`,
/// BuildKit expands the text for a step's title, and leaves unset variables and quotes as they are.
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

/// Expands `text` as BuildKit does for most instructions. `used` collects the names looked up.
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

/// How a line is searched for heredoc words. Unset variables stay, and so may quotes and escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeredocRules {
    pub(super) keep_quotes: bool,
    pub(super) keep_escapes: bool,
    /// Newer BuildKit reads `<< EOF` as it reads `<<EOF`.
    pub(super) spaces_after_arrows: bool,
}

/// The words of a line. `None` if BuildKit sees a syntax error.
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
