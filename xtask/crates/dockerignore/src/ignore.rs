//! `.dockerignore`, with Moby's semantics.
//!
//! Knows how the file is read (Moby's `ignorefile`), how its patterns follow each other, and
//! what is left out of a context that is sent. Is unaware of the file system.

use super::gotext;
use super::index::Index;
use super::pattern::Matcher;

/// Go's scanner gives up on a longer line.
const LONGEST_LINE: usize = 64 * 1024 - 1;

/// How many steps more than characters all patterns of a file may have: a `{1000}` has a thousand.
const MOST_REPEATED: usize = 1 << 20;

/// The patterns of one ignore file. The default excludes nothing.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
    index: Index,
    /// What the paths begin with that `!` patterns can match, sorted.
    exception_heads: Vec<Vec<u8>>,
}

/// A pattern with its sign.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// Whether it began with `!`.
    pub exception: bool,
    /// The cleaned text without `!`.
    pub text: Vec<u8>,
    /// What it matches.
    pub matcher: Matcher,
}

/// A pattern that Docker refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoreError {
    /// The pattern; of a line that is too long, its beginning.
    pub pattern: Vec<u8>,
    /// What is wrong with it.
    pub why: &'static str,
}

impl std::fmt::Display for IgnoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pattern = String::from_utf8_lossy(&self.pattern);
        let (pattern, why) = (pattern.escape_debug(), self.why);
        write!(f, "the pattern `{pattern}` {why}: mend or remove it")
    }
}

impl std::error::Error for IgnoreError {}

/// What both of Docker's answers to one entry are. The walk that sends a context asks Moby's
/// `MatchesUsingParentResults`, a request for a file's content `MatchesOrParentMatches`, and
/// the two differ now and then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Judged {
    /// Whether the walk leaves it out: then BuildKit never hears of it.
    pub by_walk: bool,
    /// Whether a request for its content is refused.
    pub by_request: bool,
}

impl Judged {
    /// Whether neither answer knows it.
    pub fn by_both(self) -> bool {
        self.by_walk && self.by_request
    }

    /// What of a file reaches BuildKit; `None` for nothing at all.
    pub fn handing(self) -> Option<Handing> {
        match (self.by_walk, self.by_request) {
            (false, false) => Some(Handing::Whole),
            (false, true) => Some(Handing::Withheld),
            (true, false) => Some(Handing::Unsent),
            (true, true) => None,
        }
    }
}

/// What of a file reaches BuildKit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handing {
    /// Name and content.
    Whole,
    /// BuildKit hears of it and gets no content: it has an empty file then, or what it was sent
    /// before (tried with Docker 26.1.5).
    Withheld,
    /// BuildKit never hears of it, though it would be given what it asked for. Moby's own answer
    /// for such a path is that it is not excluded, so it is an input, of which nothing but its
    /// state counts.
    Unsent,
}

/// What is known about a folder, for those below it. The default is the context's root.
#[derive(Debug, Clone, Default)]
pub struct Above {
    /// The patterns that Moby's walk has noted as matching, ascending. It notes none that
    /// could only have said what was already so.
    noted: Vec<u32>,
    /// The last pattern that matches the folder or one above it.
    last: Option<u32>,
}

impl Ignore {
    /// Reads an ignore file.
    pub fn parse(text: &[u8]) -> Result<Self, IgnoreError> {
        Self::of_patterns(&read_lines(text)?)
    }

    /// Takes patterns that stood in no file, like those of `COPY --exclude`.
    pub fn of_patterns<P: AsRef<[u8]>>(patterns: &[P]) -> Result<Self, IgnoreError> {
        let mut read = Vec::with_capacity(patterns.len());
        let mut repeated = 0;
        for pattern in patterns {
            let Some(pattern) = Pattern::parse(pattern.as_ref())? else {
                continue;
            };
            repeated += pattern.matcher.steps().saturating_sub(pattern.text.len());
            if repeated > MOST_REPEATED {
                return Err(IgnoreError {
                    pattern: pattern.text,
                    why: "repeats, with those before it, more than can be followed",
                });
            }
            read.push(pattern);
        }
        let exceptions = read.iter().filter(|pattern| pattern.exception);
        let head = |pattern: &Pattern| match &pattern.matcher {
            // It goes no further than this path; no path has a NUL.
            Matcher::Exact(path) => [path, &b"\0"[..]].concat(),
            open => open.head().to_vec(),
        };
        let mut exception_heads: Vec<_> = exceptions.map(head).collect();
        exception_heads.sort_unstable();
        exception_heads.dedup();
        Ok(Self {
            index: Index::new(&read),
            patterns: read,
            exception_heads,
        })
    }

    /// Whether nothing is excluded.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether `path` is left out, by itself or with a folder above it (Moby's
    /// `MatchesOrParentMatches`).
    pub fn excludes(&self, path: &[u8]) -> bool {
        self.leaves_out(self.last_match(path))
    }

    /// The last pattern that matches a path or a folder above it.
    fn last_match(&self, path: &[u8]) -> Option<u32> {
        let ends = path
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| at);
        let mut matching = Vec::new();
        for end in ends.chain([path.len()]) {
            self.index
                .matching(&self.patterns, &path[..end], &mut matching);
        }
        matching.into_iter().max()
    }

    /// The line of an ignore file that leaves a path out, by its number from 1 on.
    pub fn line_that_excludes(text: &[u8], path: &[u8]) -> Option<(usize, Vec<u8>)> {
        let whole = Self::parse(text).ok()?;
        // The last pattern that matches the path, or a folder above it, is what decides.
        let id = whole.last_match(path)? as usize;
        let decides = whole
            .patterns
            .get(id)
            .filter(|pattern| !pattern.exception)?;
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        let mut numbered = (1..).zip(lines).collect::<Vec<_>>().into_iter().rev();
        let (number, line) = numbered.find(|(_, line)| {
            let alone = Self::parse(line);
            alone.is_ok_and(|alone| match alone.patterns.as_slice() {
                [only] => !only.exception && only.text == decides.text,
                _ => false,
            })
        })?;
        Some((number, gotext::trim(line).to_vec()))
    }

    /// Whether an entry is left out of the context that is sent, given what is known about its
    /// folder; and what that means for those below it.
    pub fn judge(&self, path: &[u8], above: &Above) -> Result<(Judged, Above), IgnoreError> {
        if self.patterns.is_empty() {
            return Ok((Judged::default(), Above::default()));
        }
        let mut own = Vec::new();
        self.index.matching(&self.patterns, path, &mut own);
        let last = above.last.max(own.iter().copied().max());
        let mut all = own;
        all.extend_from_slice(&above.noted);
        all.extend_from_slice(&self.index.broken);
        all.sort_unstable();
        all.dedup();

        let mut noted = Vec::new();
        let mut left_out = false;
        for id in all {
            let pattern = &self.patterns[id as usize];
            let inherited = above.noted.binary_search(&id).is_ok();
            if !inherited && pattern.exception != left_out {
                continue;
            }
            if matches!(pattern.matcher, Matcher::Broken) {
                let why = "has a bracket or an escape that Go's regular expressions do not know, and Docker refuses it too";
                return Err(IgnoreError {
                    pattern: pattern.text.clone(),
                    why,
                });
            }
            noted.push(id);
            left_out = !pattern.exception;
        }
        let judged = Judged {
            by_walk: left_out,
            by_request: self.leaves_out(last),
        };
        Ok((judged, Above { noted, last }))
    }

    /// Whether anything below a folder that is left out may be taken in again.
    pub fn may_reach_below(&self, folder: &[u8]) -> bool {
        if self.exception_heads.is_empty() {
            return false;
        }
        let below = [folder, b"/"].concat();
        let first = self.exception_heads.partition_point(|head| *head < below);
        self.exception_heads
            .get(first)
            .is_some_and(|head| head.starts_with(&below))
            || (0..below.len()).any(|end| {
                self.exception_heads
                    .binary_search_by(|head| head[..].cmp(&below[..end]))
                    .is_ok()
            })
    }

    /// Whether a path and all below it are left out.
    pub fn excludes_all_of(&self, path: &[u8]) -> bool {
        self.excludes(path) && !self.may_reach_below(path)
    }

    fn leaves_out(&self, last: Option<u32>) -> bool {
        last.is_some_and(|id| !self.patterns[id as usize].exception)
    }
}

/// The patterns of an ignore file, as Moby's reader hands them on.
fn read_lines(text: &[u8]) -> Result<Vec<Vec<u8>>, IgnoreError> {
    let mut patterns = Vec::new();
    for (number, mut line) in text.split(|byte| *byte == b'\n').enumerate() {
        if line.len() > LONGEST_LINE {
            return Err(IgnoreError {
                pattern: line[..40].to_vec(),
                why: "is too long, and Docker refuses it too",
            });
        }
        if number == 0 {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        // Only a `#` in the first column makes a comment.
        if line.starts_with(b"#") {
            continue;
        }
        let line = gotext::trim(line);
        let (sign, path) = match line.strip_prefix(b"!") {
            Some(rest) => (&b"!"[..], gotext::trim(rest)),
            None if line.is_empty() => continue,
            None => (&b""[..], line),
        };
        let cleaned = if path.is_empty() {
            Vec::new()
        } else {
            gotext::clean(path)
        };
        let relative = cleaned.strip_prefix(b"/").filter(|path| !path.is_empty());
        patterns.push([sign, relative.unwrap_or(&cleaned)].concat());
    }
    Ok(patterns)
}

impl Pattern {
    /// Reads one pattern; an empty one is none. The text is cleaned together with its `!`,
    /// which makes `a` of `!../../a`: so does Moby.
    fn parse(text: &[u8]) -> Result<Option<Self>, IgnoreError> {
        let text = gotext::trim(text);
        if text.is_empty() {
            return Ok(None);
        }
        let cleaned = gotext::clean(text);
        let (exception, text) = match cleaned.strip_prefix(b"!") {
            Some(rest) => (true, rest),
            None => (false, &cleaned[..]),
        };
        if text.is_empty() {
            return Err(IgnoreError {
                pattern: b"!".to_vec(),
                why: "excepts nothing, and Docker refuses it too",
            });
        }
        match Matcher::parse(text) {
            Some(matcher) => Ok(Some(Self {
                exception,
                text: text.to_vec(),
                matcher,
            })),
            None => Err(IgnoreError {
                pattern: cleaned,
                why: "has a syntax error, and Docker refuses it too",
            }),
        }
    }
}
