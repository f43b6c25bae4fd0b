//! One pattern of an ignore file, without its `!`, matched as Moby's `patternmatcher` does.
//!
//! Moby compares simple patterns directly. It turns any other pattern into a regular expression of
//! Go, character by character and without regard to brackets. This module does the same, so that
//! odd patterns match alike: `[*]` is not a bracket with a star in it.

use super::expression;
use super::glob;
use super::gotext;
use super::machine::Machine;

/// A pattern that was read.
#[derive(Debug, Clone)]
pub enum Matcher {
    /// The path itself.
    Exact(Vec<u8>),
    /// All paths with this beginning: `prefix**`.
    Prefix(Vec<u8>),
    /// All paths with this end: `**suffix`.
    Suffix(Vec<u8>),
    /// Anything else.
    Machine(Machine),
    /// Any of several expressions. They come from a `|` that Moby forgets to escape.
    AnyOf(Vec<Machine>),
    /// Moby accepts the pattern and fails when it first tries to match it.
    Broken,
}

impl Matcher {
    /// Reads a cleaned pattern without its `!`. `None` if Moby refuses it at once.
    pub fn parse(pattern: &[u8]) -> Option<Self> {
        if !glob::accepts(pattern) {
            return None;
        }
        let (kind, expression) = translate(pattern);
        Some(match kind {
            Kind::Exact => Self::Exact(pattern.to_vec()),
            Kind::Prefix => Self::Prefix(pattern[..pattern.len() - 2].to_vec()),
            Kind::Suffix => Self::Suffix(pattern[2..].to_vec()),
            Kind::Expression => {
                expression::parse(&expression).map_or(Self::Broken, |alternatives| {
                    let mut machines: Vec<_> = alternatives.into_iter().map(Machine::new).collect();
                    match (machines.pop(), machines.is_empty()) {
                        (Some(only), true) => Self::Machine(only),
                        (last, _) => Self::AnyOf(machines.into_iter().chain(last).collect()),
                    }
                })
            }
        })
    }

    /// Whether the pattern matches the path itself. A broken pattern never matches.
    pub fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => path == exact,
            Self::Prefix(prefix) => path.starts_with(prefix),
            // `**/a` matches `a` at the root as well.
            Self::Suffix(suffix) => {
                path.ends_with(suffix) || suffix.strip_prefix(b"/") == Some(path)
            }
            Self::Machine(machine) => machine.matches(path),
            Self::AnyOf(machines) => machines.iter().any(|machine| machine.matches(path)),
            Self::Broken => false,
        }
    }

    /// The number of steps of its expressions.
    pub fn steps(&self) -> usize {
        match self {
            Self::Machine(machine) => machine.len(),
            Self::AnyOf(machines) => machines.iter().map(Machine::len).sum(),
            Self::Exact(_) | Self::Prefix(_) | Self::Suffix(_) | Self::Broken => 0,
        }
    }

    /// The bytes that every matching path begins with.
    pub fn head(&self) -> &[u8] {
        match self {
            Self::Exact(head) | Self::Prefix(head) => head,
            Self::Machine(machine) => machine.head(),
            Self::Suffix(_) | Self::AnyOf(_) | Self::Broken => b"",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exact,
    Prefix,
    Suffix,
    Expression,
}

/// Translates a pattern as Moby does. Without this, brackets would match differently.
fn translate(pattern: &[u8]) -> (Kind, Vec<char>) {
    let text = gotext::chars(pattern);
    // Go's scanner drops a byte order mark at the beginning.
    let text = text.strip_prefix(&['\u{feff}']).unwrap_or(&text);
    let mut scan = text.iter().copied().peekable();
    let mut kind = Kind::Exact;
    let mut out = vec!['^'];
    let mut first = true;
    while let Some(c) = scan.next() {
        match c {
            '*' if scan.next_if_eq(&'*').is_some() => {
                scan.next_if_eq(&'/');
                if scan.peek().is_some() {
                    out.extend("(.*/)?".chars());
                    kind = Kind::Expression;
                } else if kind == Kind::Exact {
                    kind = Kind::Prefix;
                } else {
                    out.extend(".*".chars());
                    kind = Kind::Expression;
                }
                if first {
                    kind = Kind::Suffix;
                }
            }
            '*' => {
                out.extend("[^/]*".chars());
                kind = Kind::Expression;
            }
            '?' => {
                out.extend("[^/]".chars());
                kind = Kind::Expression;
            }
            // Moby means to escape `|`, `{` and `}` as well, but its bit shift for them is wrong.
            '.' | '+' | '(' | ')' | '$' => out.extend(['\\', c]),
            '\\' => {
                out.push('\\');
                if let Some(escaped) = scan.next() {
                    out.push(escaped);
                    kind = Kind::Expression;
                }
            }
            '[' | ']' => {
                out.push(c);
                kind = Kind::Expression;
            }
            _ => out.push(c),
        }
        first = false;
    }
    out.push('$');
    (kind, out)
}
