//! Go's `filepath.Clean` and `filepath.Match` on raw bytes, as Docker's tools use them.
//!
//! Knows the two functions' documented behaviour (pkg.go.dev/path/filepath); is unaware of
//! contexts and ignore files.

/// The shortest path that means the same, purely by its text; empty becomes `.`.
pub fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.first() == Some(&b'/');
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match parts.last() {
                Some(&last) if last != b".." => {
                    parts.pop();
                }
                _ if rooted => {}
                _ => parts.push(part),
            },
            _ => parts.push(part),
        }
    }
    let joined = parts.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/".as_slice(), &joined].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

/// One character: a decoded scalar value, or a byte that is not UTF-8, which Go reads as
/// U+FFFD of width one.
pub fn decode(text: &[u8]) -> Option<(char, usize)> {
    let chunk = text.get(..text.len().min(4))?.utf8_chunks().next()?;
    let first = chunk.valid().chars().next();
    Some(first.map_or((char::REPLACEMENT_CHARACTER, 1), |c| (c, c.len_utf8())))
}

/// One element of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Element {
    /// `*`: any run without `/`.
    Run,
    /// `?`: one character that is not `/`.
    One,
    /// A character.
    Char(char),
    /// A byte that is not UTF-8.
    Byte(u8),
    /// `[…]`.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// A pattern of `filepath.Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    elements: Vec<Element>,
}

impl Glob {
    /// Reads a pattern; `None` where Go says `ErrBadPattern`.
    pub fn parse(mut text: &[u8]) -> Option<Self> {
        let mut elements = Vec::new();
        while let Some(first) = text.first() {
            match first {
                b'*' => {
                    // Several in a row are one.
                    if elements.last() != Some(&Element::Run) {
                        elements.push(Element::Run);
                    }
                    text = &text[1..];
                }
                b'?' => {
                    elements.push(Element::One);
                    text = &text[1..];
                }
                b'[' => {
                    let (class, rest) = class(&text[1..])?;
                    elements.push(class);
                    text = rest;
                }
                first => {
                    if *first == b'\\' {
                        text = &text[1..];
                    }
                    let (c, width) = decode(text)?;
                    let broken = c == char::REPLACEMENT_CHARACTER && width == 1;
                    elements.push(if broken {
                        Element::Byte(text[0])
                    } else {
                        Element::Char(c)
                    });
                    text = &text[width..];
                }
            }
        }
        Some(Self { elements })
    }

    /// Whether the whole of `name` matches.
    pub fn matches(&self, name: &[u8]) -> bool {
        // Greedy with one point to come back to: the last run. Quadratic at worst.
        let (mut at, mut pos) = (0, 0);
        let mut back: Option<(usize, usize)> = None;
        loop {
            if self.elements.get(at) == Some(&Element::Run) {
                back = Some((at, pos));
                at += 1;
                continue;
            }
            let step = match (self.elements.get(at), name.get(pos)) {
                (None, None) => return true,
                (Some(element), Some(_)) => element.takes(&name[pos..]),
                _ => None,
            };
            if let Some(width) = step {
                at += 1;
                pos += width;
                continue;
            }
            match back {
                Some((run, from)) if name.get(from).is_some_and(|byte| *byte != b'/') => {
                    back = Some((run, from + 1));
                    (at, pos) = (run + 1, from + 1);
                }
                _ => return false,
            }
        }
    }
}

impl Element {
    fn takes(&self, text: &[u8]) -> Option<usize> {
        let (c, width) = decode(text)?;
        let fits = match self {
            Self::Run => false,
            Self::One => c != '/',
            Self::Char(wanted) => c == *wanted && width == wanted.len_utf8(),
            Self::Byte(wanted) => text[0] == *wanted,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        };
        fits.then_some(width)
    }
}

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
    if c == char::REPLACEMENT_CHARACTER && width == 1 {
        return None;
    }
    let rest = &text[width..];
    (!rest.is_empty()).then_some((c, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (path, cleaned) in [
            ("", "."),
            ("a//b/./c/..", "a/b"),
            ("/../a", "/a"),
            ("../a/../..", "../.."),
            ("/", "/"),
        ] {
            assert_eq!(clean(path.as_bytes()), cleaned.as_bytes(), "{path}");
        }
    }

    #[test]
    fn globs_match_as_go_does() {
        for (glob, name, matches) in [
            ("*.py", "a.py", true),
            ("*.py", "a/b.py", false),
            ("a*b*c", "aXbYbZc", true),
            ("[a-c]?", "bz", true),
            ("[^a-c]?", "bz", false),
            ("\\*", "*", true),
            ("a", "ab", false),
            ("*", "", true),
        ] {
            let read = Glob::parse(glob.as_bytes()).unwrap();
            assert_eq!(read.matches(name.as_bytes()), matches, "{glob} {name}");
        }
        for bad in ["[", "[]", "[a", "[a-", "[]a]", "a\\", "[-a]"] {
            assert_eq!(Glob::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_byte_that_is_not_utf_8_matches_itself_and_a_question_mark() {
        assert!(Glob::parse(b"a?").unwrap().matches(b"a\xff"));
        assert!(Glob::parse(b"a\xff").unwrap().matches(b"a\xff"));
        assert!(!Glob::parse(b"a\xff").unwrap().matches(b"a\xfe"));
    }
}
