//! One pattern of an ignore file, matched as Moby's patternmatcher does.
//!
//! Moby translates a pattern into a regular expression of Go, character by character and also
//! inside brackets, and hands that to Go's engine; only simple patterns are compared directly.
//! The same translation is made here, and what can come out of it is read and run by a small
//! machine of our own, since no other engine agrees with Go's on brackets. Time is linear in
//! path times pattern. Is unaware of lists of patterns and of `!`.

use super::gopath::{Glob, decode};

/// A pattern that was read.
#[derive(Debug, Clone)]
pub enum Matcher {
    /// The path itself.
    Exact(Vec<u8>),
    /// `prefix**`.
    Prefix(Vec<u8>),
    /// `**suffix`.
    Suffix(Vec<u8>),
    /// Anything else.
    Machine(Machine),
}

impl Matcher {
    /// Reads a cleaned pattern without its `!`; `None` where Moby refuses it.
    pub fn parse(pattern: &[u8]) -> Option<Self> {
        // Moby tries every pattern against "." first, to find syntax errors early.
        Glob::parse(pattern)?;
        let (kind, expression) = translate(pattern);
        Some(match kind {
            Kind::Exact => Self::Exact(pattern.to_vec()),
            Kind::Prefix => Self::Prefix(pattern[..pattern.len() - 2].to_vec()),
            Kind::Suffix => Self::Suffix(pattern[2..].to_vec()),
            Kind::Machine => Self::Machine(Machine::parse(&expression)?),
        })
    }

    /// Whether the pattern matches this very path.
    pub fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => path == exact,
            Self::Prefix(prefix) => path.starts_with(prefix),
            // `**/a` matches `a` at the root as well.
            Self::Suffix(suffix) => {
                path.ends_with(suffix) || suffix.strip_prefix(b"/") == Some(path)
            }
            Self::Machine(machine) => machine.matches(path),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exact,
    Prefix,
    Suffix,
    Machine,
}

/// Moby's translation. Bytes that are not UTF-8 come out as U+FFFD, as from Go's scanner.
fn translate(pattern: &[u8]) -> (Kind, Vec<char>) {
    let text = String::from_utf8_lossy(pattern);
    let mut scan = text.chars().peekable();
    let mut kind = Kind::Exact;
    let mut out: Vec<char> = Vec::new();
    let mut first = true;
    while let Some(c) = scan.next() {
        match c {
            '*' if scan.peek() == Some(&'*') => {
                scan.next();
                scan.next_if_eq(&'/');
                if scan.peek().is_some() {
                    out.extend("(.*/)?".chars());
                    kind = Kind::Machine;
                } else if kind == Kind::Exact {
                    kind = Kind::Prefix;
                } else {
                    out.extend(".*".chars());
                    kind = Kind::Machine;
                }
                if first {
                    kind = Kind::Suffix;
                }
            }
            '*' => {
                out.extend("[^/]*".chars());
                kind = Kind::Machine;
            }
            '?' => {
                out.extend("[^/]".chars());
                kind = Kind::Machine;
            }
            '.' | '+' | '(' | ')' | '|' | '{' | '}' | '$' => out.extend(['\\', c]),
            '\\' => {
                out.push('\\');
                if let Some(next) = scan.next() {
                    out.push(next);
                    kind = Kind::Machine;
                }
            }
            '[' | ']' => {
                out.push(c);
                kind = Kind::Machine;
            }
            _ => out.push(c),
        }
        first = false;
    }
    (kind, out)
}

/// What a step of the machine reads.
#[derive(Debug, Clone)]
enum Step {
    /// A character of these ranges, or of none of them.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// The same, any number of times.
    Many {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// `(.*/)?`: nothing, or anything up to and with a `/`, but no line feed (Go's dot).
    Folders,
    /// `^`, or an escape for the text's start.
    Start,
    /// An escape for the text's end.
    End,
    /// `\b` (true) or `\B` (false).
    Boundary(bool),
}

/// A sequence of steps.
#[derive(Debug, Clone)]
pub struct Machine {
    steps: Vec<Step>,
}

const NEWLINE: [(char, char); 1] = [('\n', '\n')];

impl Machine {
    /// Reads what `translate` can write; `None` where Go's compiler refuses it.
    fn parse(expression: &[char]) -> Option<Self> {
        let mut steps = Vec::new();
        let mut at = 0;
        while let Some(c) = expression.get(at) {
            at += 1;
            match c {
                '(' => {
                    // Only `(.*/)?` is ever written.
                    at += "(.*/)?".len() - 1;
                    steps.push(Step::Folders);
                    continue;
                }
                '^' => {
                    steps.push(Step::Start);
                    if expression.get(at) == Some(&'*') {
                        at += 1;
                        steps.pop();
                    }
                    continue;
                }
                '[' => {
                    let (negated, ranges, next) = class(expression, at)?;
                    at = next;
                    steps.push(Step::Class { negated, ranges });
                }
                '.' => steps.push(Step::Class {
                    negated: true,
                    ranges: NEWLINE.to_vec(),
                }),
                '\\' => {
                    let escaped = *expression.get(at)?;
                    at += 1;
                    steps.push(escape(escaped)?);
                }
                c => steps.push(Step::Class {
                    negated: false,
                    ranges: vec![(*c, *c)],
                }),
            }
            if expression.get(at) == Some(&'*') {
                at += 1;
                if let Some(Step::Class { negated, ranges }) = steps.pop() {
                    steps.push(Step::Many { negated, ranges });
                }
            }
        }
        Some(Self { steps })
    }

    /// Runs all ways through the steps at once.
    fn matches(&self, path: &[u8]) -> bool {
        let end = self.steps.len();
        let mut chars = Vec::with_capacity(path.len());
        let mut rest = path;
        while let Some((c, width)) = decode(rest) {
            chars.push(c);
            rest = &rest[width..];
        }
        // `inside` marks a `Folders` step that has begun to read.
        let mut now = vec![false; end + 1];
        let mut inside = vec![false; end + 1];
        now[0] = true;
        for at in 0..=chars.len() {
            self.skip(&mut now, &chars, at);
            let Some(c) = chars.get(at) else { break };
            let mut next = vec![false; end + 1];
            let mut still = vec![false; end + 1];
            for (state, step) in self.steps.iter().enumerate() {
                match step {
                    Step::Class { negated, ranges } if now[state] && fits(*c, *negated, ranges) => {
                        next[state + 1] = true
                    }
                    Step::Many { negated, ranges } if now[state] && fits(*c, *negated, ranges) => {
                        next[state] = true
                    }
                    Step::Folders if now[state] || inside[state] => {
                        if *c == '/' {
                            next[state + 1] = true;
                        }
                        still[state] |= *c != '\n';
                    }
                    _ => {}
                }
            }
            now = next;
            inside = still;
        }
        now[end]
    }

    /// Passes the steps that read nothing.
    fn skip(&self, now: &mut [bool], chars: &[char], at: usize) {
        for (state, step) in self.steps.iter().enumerate() {
            if !now[state] {
                continue;
            }
            let word = |at: Option<usize>| {
                at.and_then(|at| chars.get(at))
                    .is_some_and(|c| c.is_ascii_alphanumeric() || *c == '_')
            };
            let pass = match step {
                Step::Many { .. } | Step::Folders => true,
                Step::Start => at == 0,
                Step::End => at == chars.len(),
                Step::Boundary(wanted) => (word(at.checked_sub(1)) != word(Some(at))) == *wanted,
                Step::Class { .. } => false,
            };
            if pass {
                now[state + 1] = true;
            }
        }
    }
}

fn fits(c: char, negated: bool, ranges: &[(char, char)]) -> bool {
    ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != negated
}

/// A class after its `[`, by the rules of Go's regexp/syntax.
fn class(text: &[char], mut at: usize) -> Option<(bool, Vec<(char, char)>, usize)> {
    let negated = text.get(at) == Some(&'^');
    if negated {
        at += 1;
    }
    let mut ranges = Vec::new();
    let mut first = true;
    loop {
        let c = *text.get(at)?;
        if c == ']' && !first {
            return Some((negated, ranges, at + 1));
        }
        // A `-` is itself at either end only.
        if c == '-' && !first && text.get(at + 1).is_some_and(|next| *next != ']') {
            return None;
        }
        first = false;
        if c == '[' && text.get(at + 1) == Some(&':') {
            if let Some((mut named, next)) = posix(text, at) {
                ranges.append(&mut named);
                at = next;
                continue;
            }
        }
        if c == '\\'
            && let Some(Step::Class {
                negated,
                ranges: mut set,
            }) = text.get(at + 1).and_then(|c| perl(*c))
        {
            if negated {
                set = complement(&set);
            }
            ranges.append(&mut set);
            at += 2;
            continue;
        }
        let (low, next) = class_char(text, at)?;
        at = next;
        let mut high = low;
        if text.get(at) == Some(&'-') && text.get(at + 1).is_some_and(|next| *next != ']') {
            (high, at) = class_char(text, at + 1)?;
            if high < low {
                return None;
            }
        }
        ranges.push((low, high));
    }
}

fn class_char(text: &[char], at: usize) -> Option<(char, usize)> {
    match *text.get(at)? {
        '\\' => {
            let c = *text.get(at + 1)?;
            literal(c).map(|c| (c, at + 2))
        }
        c => Some((c, at + 1)),
    }
}

fn posix(text: &[char], at: usize) -> Option<(Vec<(char, char)>, usize)> {
    let rest: String = text[at + 2..].iter().take(12).collect();
    let (name, _) = rest.split_once(":]")?;
    let ranges: &[(char, char)] = match name {
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
        "word" => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        _ => return None,
    };
    Some((ranges.to_vec(), at + 2 + name.len() + 2))
}

fn complement(set: &[(char, char)]) -> Vec<(char, char)> {
    let mut sorted = set.to_vec();
    sorted.sort_unstable();
    let mut gaps = Vec::new();
    let mut from = Some('\0');
    for (low, high) in sorted {
        if let Some(start) = from.filter(|start| *start < low) {
            gaps.extend((start..low).next_back().map(|end| (start, end)));
        }
        from = (high..=char::MAX).nth(1);
    }
    gaps.extend(from.map(|start| (start, char::MAX)));
    gaps
}

/// A backslash and a character, outside brackets.
fn escape(c: char) -> Option<Step> {
    match c {
        'A' => Some(Step::Start),
        'z' => Some(Step::End),
        'b' => Some(Step::Boundary(true)),
        'B' => Some(Step::Boundary(false)),
        _ => perl(c).or_else(|| {
            literal(c).map(|c| Step::Class {
                negated: false,
                ranges: vec![(c, c)],
            })
        }),
    }
}

fn perl(c: char) -> Option<Step> {
    let ranges = match c.to_ascii_lowercase() {
        'd' => vec![('0', '9')],
        'w' => vec![('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        's' => vec![('\t', '\n'), ('\x0c', '\r'), (' ', ' ')],
        _ => return None,
    };
    Some(Step::Class {
        negated: c.is_ascii_uppercase(),
        ranges,
    })
}

/// Punctuation stands for itself; of letters and digits Go knows only a few.
fn literal(c: char) -> Option<char> {
    match c {
        'a' => Some('\x07'),
        'f' => Some('\x0c'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\x0b'),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c),
        _ => None,
    }
}
