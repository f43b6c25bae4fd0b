//! Go's `filepath.Match`: the syntax of a glob, and whether it matches a name.
//!
//! Patterns of ignore files are not matched by these rules. They only have to be well-formed.

use super::gotext::decode;

/// A pattern of `filepath.Match`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Glob {
    elements: Vec<Element>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Element {
    /// `*`: any run of bytes without `/`.
    Run,
    /// `?`: one character that is not `/`.
    One,
    /// This byte.
    Byte(u8),
    /// `[…]`.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Glob {
    /// Reads a pattern. `None` if Go says `ErrBadPattern`.
    pub fn parse(mut text: &[u8]) -> Option<Self> {
        let mut elements = Vec::new();
        while let Some((&first, rest)) = text.split_first() {
            text = rest;
            match first {
                b'*' if elements.last() == Some(&Element::Run) => {}
                b'*' => elements.push(Element::Run),
                b'?' => elements.push(Element::One),
                b'[' => {
                    let (class, rest) = class(rest)?;
                    elements.push(class);
                    text = rest;
                }
                b'\\' => {
                    let (&escaped, rest) = rest.split_first()?;
                    elements.push(Element::Byte(escaped));
                    text = rest;
                }
                _ => elements.push(Element::Byte(first)),
            }
        }
        Some(Self { elements })
    }

    /// Whether a bracket may match `/`. In Go it may, although `*` and `?` may not. A bracket at
    /// the start of a name never meets a `/`, as no path has two in a row.
    pub fn may_cross_folders(&self) -> bool {
        self.elements.iter().skip(1).any(|element| match element {
            Element::Class { .. } => element.takes(b"/").is_some(),
            _ => false,
        })
    }

    /// The rest of `name` after a pattern without runs has matched its beginning.
    fn matches_start<'a>(&self, mut name: &'a [u8]) -> Option<&'a [u8]> {
        for element in &self.elements {
            name = &name[element.takes(name)?..];
        }
        Some(name)
    }

    /// Whether the whole of `name` matches.
    pub fn matches(&self, name: &[u8]) -> bool {
        // The match only backtracks to the last run, so the time is quadratic at worst.
        let (mut element, mut at) = (0, 0);
        let mut run: Option<(usize, usize)> = None;
        loop {
            let step = match self.elements.get(element) {
                None if at == name.len() => return true,
                None => None,
                Some(Element::Run) => {
                    run = Some((element, at));
                    Some(0)
                }
                Some(other) => other.takes(&name[at..]),
            };
            if let Some(width) = step {
                element += 1;
                at += width;
                continue;
            }
            let Some((start, taken)) = run else {
                return false;
            };
            if name.get(taken).is_none_or(|byte| *byte == b'/') {
                return false;
            }
            run = Some((start, taken + 1));
            (element, at) = (start + 1, taken + 1);
        }
    }
}

impl Element {
    fn takes(&self, text: &[u8]) -> Option<usize> {
        let (c, width) = decode(text)?;
        match self {
            Self::Run => None,
            Self::One => (c != '/').then_some(width),
            Self::Byte(byte) => (text[0] == *byte).then_some(1),
            Self::Class { negated, ranges } => {
                let within = ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
                (within != *negated).then_some(width)
            }
        }
    }
}

/// Whether Go finds no fault in the pattern when it matches the pattern against `.`. Moby looks for
/// bad patterns in this way. Go stops reading once the match has failed, so `a*[-b]` is accepted.
pub fn accepts(mut pattern: &[u8]) -> bool {
    let mut name: &[u8] = b".";
    while !pattern.is_empty() {
        let (run, chunk, rest) = chunk(pattern);
        pattern = rest;
        if run && chunk.is_empty() {
            return true;
        }
        let Some(glob) = Glob::parse(chunk) else {
            return false;
        };
        let last = rest.is_empty();
        let starts = if run { 0..=name.len() } else { 0..=0 };
        let ends = starts.filter_map(|from| glob.matches_start(&name[from..]));
        match ends.into_iter().find(|left| left.is_empty() || !last) {
            Some(left) => name = left,
            None => return true,
        }
    }
    true
}

/// Whether the pattern begins with stars, the part from there to the next `*` outside of brackets,
/// and the rest.
fn chunk(pattern: &[u8]) -> (bool, &[u8], &[u8]) {
    let stars = pattern.iter().take_while(|byte| **byte == b'*').count();
    let rest = &pattern[stars..];
    let (mut at, mut in_brackets) = (0, false);
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 1,
            b'[' => in_brackets = true,
            b']' => in_brackets = false,
            b'*' if !in_brackets => break,
            _ => {}
        }
        at += 1;
    }
    let at = at.min(rest.len());
    (stars > 0, &rest[..at], &rest[at..])
}

/// Reads a class after its `[`. Returns it with the rest of the text.
fn class(mut text: &[u8]) -> Option<(Element, &[u8])> {
    let negated = text.first() == Some(&b'^');
    if negated {
        text = &text[1..];
    }
    let mut ranges = Vec::new();
    loop {
        if text.first() == Some(&b']') && !ranges.is_empty() {
            return Some((Element::Class { negated, ranges }, &text[1..]));
        }
        let (low, rest) = class_char(text)?;
        text = rest;
        let mut high = low;
        if text.first() == Some(&b'-') {
            (high, text) = class_char(&text[1..])?;
        }
        ranges.push((low, high));
    }
}

fn class_char(text: &[u8]) -> Option<(char, &[u8])> {
    let text = match text.first()? {
        b'-' | b']' => return None,
        b'\\' => &text[1..],
        _ => text,
    };
    let (c, width) = decode(text)?;
    let broken = c == char::REPLACEMENT_CHARACTER && width == 1;
    // At least the closing bracket must follow.
    (!broken && text.len() > width).then(|| (c, &text[width..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_go() {
        let cases = [
            ("*.py", "a.py", true),
            ("*.py", "a/b.py", false),
            ("a*b*c", "aXbYbZc", true),
            ("[a-c]?", "bz", true),
            ("[^a-c]?", "bz", false),
            ("\\*", "*", true),
            ("a", "ab", false),
            ("*", "", true),
            ("[b-a]", "a", false),
            ("?", "é", true),
            ("[à-ü]", "é", true),
            ("a[^x]b", "a/b", true),
        ];
        for (glob, name, matches) in cases {
            let read = Glob::parse(glob.as_bytes()).unwrap();
            assert_eq!(read.matches(name.as_bytes()), matches, "{glob} {name}");
        }
    }

    #[test]
    fn what_go_calls_a_bad_pattern_is_none() {
        for bad in [
            "[", "[]", "[a", "[a-", "[]a]", "a\\", "[-a]", "[a-]", "[^", "[^]", "[a\\",
        ] {
            assert_eq!(Glob::parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(Glob::parse(b"[\xff]"), None);
    }

    #[test]
    fn a_byte_that_is_not_utf_8_matches_itself_and_a_question_mark() {
        assert!(Glob::parse(b"a?").unwrap().matches(b"a\xff"));
        assert!(Glob::parse(b"a\xff").unwrap().matches(b"a\xff"));
        assert!(!Glob::parse(b"a\xff").unwrap().matches(b"a\xfe"));
    }

    #[test]
    fn only_a_bracket_crosses_folders() {
        assert!(Glob::parse(b"a[^b]c").unwrap().may_cross_folders());
        assert!(Glob::parse(b"a[+-9]").unwrap().may_cross_folders());
        assert!(!Glob::parse(b"[^n]o.md").unwrap().may_cross_folders());
        assert!(!Glob::parse(b"*?[a-z]").unwrap().may_cross_folders());
    }
}
