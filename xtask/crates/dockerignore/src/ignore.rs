//! `.dockerignore`, with Moby's semantics: how the file is read (Moby's `ignorefile`), how its
//! patterns follow each other, and which entries are left out of a context that is sent.

use super::gotext;
use super::index::Index;
use super::pattern::Matcher;

/// Go's scanner gives up on a longer line.
const LONGEST_LINE: usize = 64 * 1024 - 1;

/// By how many steps all patterns of a file may exceed their characters. A `{1000}` has a thousand
/// steps.
const MOST_REPEATED: usize = 1 << 20;

/// The patterns of one ignore file. The default excludes nothing.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
    index: Index,
    /// For each `!` pattern, the bytes that all paths it can match begin with; sorted.
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
    /// The pattern, or the beginning of a line that is too long.
    pub pattern: Vec<u8>,
    /// What is wrong with it.
    pub why: &'static str,
}

impl std::fmt::Display for IgnoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pattern = String::from_utf8_lossy(&self.pattern);
        let (pattern, why) = (pattern.escape_debug(), self.why);
        write!(f, "the pattern `{pattern}` {why}: correct or remove it")
    }
}

impl std::error::Error for IgnoreError {}

/// Docker's two answers for one entry. The walk that sends a context asks Moby's
/// `MatchesUsingParentResults`. A request for a file's content asks `MatchesOrParentMatches`. The
/// two differ now and then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Judged {
    /// Whether the walk leaves the entry out. Then BuildKit never hears of it.
    pub by_walk: bool,
    /// Whether a request for the entry's content is refused.
    pub by_request: bool,
}

impl Judged {
    /// Whether both answers leave the entry out.
    pub fn by_both(self) -> bool {
        self.by_walk && self.by_request
    }

    /// Which parts of a file reach BuildKit. `None` means nothing at all.
    pub fn handing(self) -> Option<Handing> {
        match (self.by_walk, self.by_request) {
            (false, false) => Some(Handing::Whole),
            (false, true) => Some(Handing::Withheld),
            (true, false) => Some(Handing::Unsent),
            (true, true) => None,
        }
    }
}

/// Which parts of a file reach BuildKit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handing {
    /// Name and content.
    Whole,
    /// BuildKit hears of the file and gets no content. It then has an empty file, or the content
    /// that it was sent before (tried with Docker 26.1.5).
    Withheld,
    /// BuildKit never hears of the file, though it would get the content if it asked. Moby's own
    /// answer for such a path is that it is not excluded. So the file is an input, but only this
    /// state of it counts.
    Unsent,
}

/// Facts about a folder for judging the entries in it. The default is the context's root.
#[derive(Debug, Clone, Default)]
pub struct Above {
    /// The patterns that Moby's walk has noted as matching, ascending. It does not note a pattern
    /// that would only have confirmed the answer.
    noted: Vec<u32>,
    /// The last pattern that matches the folder or one above it.
    last: Option<u32>,
}

impl Ignore {
    /// Reads an ignore file.
    pub fn parse(text: &[u8]) -> Result<Self, IgnoreError> {
        Self::of_patterns(&read_lines(text)?)
    }

    /// Takes patterns from outside an ignore file, such as those of `COPY --exclude`.
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
                    why: "has too many repetitions, with the patterns before it",
                });
            }
            read.push(pattern);
        }
        let exceptions = read.iter().filter(|pattern| pattern.exception);
        let head = |pattern: &Pattern| match &pattern.matcher {
            // The pattern matches only this path. No path has a NUL.
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

    /// Whether `path` or a folder above it is left out (Moby's `MatchesOrParentMatches`).
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

    /// The one-based number and the text of the line of an ignore file that leaves a path out.
    pub fn line_that_excludes(text: &[u8], path: &[u8]) -> Option<(usize, Vec<u8>)> {
        let whole = Self::parse(text).ok()?;
        // The last pattern that matches the path, or a folder above it, decides.
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

    /// Whether an entry is left out of the context that is sent, given the facts about its folder.
    /// Also returns the facts for judging the entries below it.
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

    /// Whether an exception may take in something below a folder that is left out.
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

    /// Whether a path and everything below it are left out.
    pub fn excludes_all_of(&self, path: &[u8]) -> bool {
        self.excludes(path) && !self.may_reach_below(path)
    }

    fn leaves_out(&self, last: Option<u32>) -> bool {
        last.is_some_and(|id| !self.patterns[id as usize].exception)
    }
}

/// The patterns of an ignore file, as Moby's reader returns them.
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
    /// Reads one pattern. `None` if it is empty. As in Moby, the text is cleaned together with its
    /// `!`, which turns `!../../a` into `a`.
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
                why: "is an exception without a pattern, and Docker refuses it too",
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
