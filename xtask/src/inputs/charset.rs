//! Sets of characters in regular expressions of Go.
//!
//! Knows their names, `\d` and `[:alpha:]`. Is unaware of how an expression is read.

/// Characters that one step may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Whether it is all characters but those of the ranges.
    pub negated: bool,
    /// First and last characters.
    pub ranges: Vec<(char, char)>,
}

impl Set {
    pub fn has(&self, c: char) -> bool {
        self.ranges
            .iter()
            .any(|(low, high)| (*low..=*high).contains(&c))
            != self.negated
    }

    /// Any character.
    pub fn all() -> Self {
        Self {
            negated: true,
            ranges: Vec::new(),
        }
    }

    pub fn of(c: char) -> Self {
        Self {
            negated: false,
            ranges: vec![(c, c)],
        }
    }

    pub fn not(c: char) -> Self {
        Self {
            negated: true,
            ranges: vec![(c, c)],
        }
    }

    /// The only character of the set.
    pub fn single(&self) -> Option<char> {
        match self.ranges.as_slice() {
            [(low, high)] if low == high && !self.negated => Some(*low),
            _ => None,
        }
    }

    /// The ranges of all other characters.
    pub fn complemented(&self) -> Vec<(char, char)> {
        let mut sorted = self.ranges.clone();
        sorted.sort_unstable();
        let mut gaps = Vec::new();
        let mut from = Some('\0');
        for (low, high) in sorted {
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
    let set = Set {
        negated: false,
        ranges: ranges.to_vec(),
    };
    Some(if plain.is_some() {
        set.complemented()
    } else {
        set.ranges
    })
}

/// The set of `\d`, `\w` or `\s`; a capital letter is the opposite.
pub fn perl(c: char) -> Option<Set> {
    let ranges: &[(char, char)] = match c.to_ascii_lowercase() {
        'd' => &[('0', '9')],
        'w' => WORD,
        's' => &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')],
        _ => return None,
    };
    Some(Set {
        negated: c.is_ascii_uppercase(),
        ranges: ranges.to_vec(),
    })
}
