//! Sets of characters in Go's regular expressions, and named sets such as `\d` and `[:alpha:]`.

use std::sync::Arc;

/// The characters that one step may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Whether the set is all characters outside the ranges.
    pub negated: bool,
    /// The first and last character of each range, sorted and disjoint. Copies of a step that is
    /// repeated a thousand times share them.
    pub ranges: Arc<[(char, char)]>,
}

impl Set {
    pub fn new(negated: bool, mut ranges: Vec<(char, char)>) -> Self {
        ranges.sort_unstable();
        ranges.dedup_by(|next, before| {
            let overlaps = next.0 <= before.1;
            if overlaps {
                before.1 = before.1.max(next.1);
            }
            overlaps
        });
        let ranges = ranges.into();
        Self { negated, ranges }
    }

    pub fn has(&self, c: char) -> bool {
        let behind = self.ranges.partition_point(|(low, _)| *low <= c);
        let within = behind > 0 && c <= self.ranges[behind - 1].1;
        within != self.negated
    }

    /// The set of all characters.
    pub fn all() -> Self {
        Self::new(true, Vec::new())
    }

    pub fn of(c: char) -> Self {
        Self::new(false, vec![(c, c)])
    }

    pub fn not(c: char) -> Self {
        Self::new(true, vec![(c, c)])
    }

    /// The character of a set that has only one.
    pub fn single(&self) -> Option<char> {
        match &*self.ranges {
            [(low, high)] if low == high && !self.negated => Some(*low),
            _ => None,
        }
    }

    /// The ranges of all characters outside the ranges.
    pub fn complemented(&self) -> Vec<(char, char)> {
        let mut gaps = Vec::new();
        let mut from = Some('\0');
        for &(low, high) in &*self.ranges {
            let Some(start) = from else { break };
            gaps.extend((start..low).next_back().map(|end| (start, end)));
            from = (start.max(high)..=char::MAX).nth(usize::from(start <= high));
        }
        gaps.extend(from.map(|start| (start, char::MAX)));
        gaps
    }
}

const WORD: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];

/// The ranges of `[:name:]`, which may begin with `^`.
pub fn named(name: &[char]) -> Option<Vec<(char, char)>> {
    let name: String = name.iter().collect();
    let plain = name.strip_prefix('^');
    let ranges: &[(char, char)] = match plain.unwrap_or(&name) {
        "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        "alpha" => &[('A', 'Z'), ('a', 'z')],
        "ascii" => &[('\0', '\x7f')],
        "blank" => &[('\t', '\t'), (' ', ' ')],
        "cntrl" => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        "digit" => &[('0', '9')],
        "graph" => &[('!', '~')],
        "lower" => &[('a', 'z')],
        "print" => &[(' ', '~')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "space" => &[('\t', '\r'), (' ', ' ')],
        "upper" => &[('A', 'Z')],
        "word" => WORD,
        "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        _ => return None,
    };
    let set = Set::new(false, ranges.to_vec());
    Some(if plain.is_some() {
        set.complemented()
    } else {
        ranges.to_vec()
    })
}

/// The set of `\d`, `\w` or `\s`, or of the opposite for a capital letter.
pub fn perl(c: char) -> Option<Set> {
    let ranges: &[(char, char)] = match c.to_ascii_lowercase() {
        'd' => &[('0', '9')],
        'w' => WORD,
        's' => &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')],
        _ => return None,
    };
    Some(Set::new(c.is_ascii_uppercase(), ranges.to_vec()))
}
