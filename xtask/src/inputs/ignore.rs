//! `.dockerignore`, with Moby's semantics.
//!
//! Knows how the file is read (moby/patternmatcher's `ignorefile`), how its patterns follow
//! each other, and when a folder need not be entered (tonistiigi/fsutil, which sends contexts).
//! Is unaware of the file system.

use super::gopath;
use super::pattern::Matcher;

/// Go's scanner gives up on a longer line.
const LONGEST_LINE: usize = 64 * 1024 - 1;

/// The patterns of one ignore file. The default excludes nothing.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
    /// Whether every `!` pattern is a plain path, so that a look at its beginning tells which
    /// folders it can reach into.
    plain_exceptions: bool,
    has_exceptions: bool,
}

#[derive(Debug, Clone)]
struct Pattern {
    exception: bool,
    text: Vec<u8>,
    matcher: Matcher,
}

/// Which patterns matched a folder; what is below it inherits them.
#[derive(Debug, Clone, Default)]
pub struct Inherited {
    matched: Vec<bool>,
}

/// A pattern that Docker refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoreError {
    /// The pattern; for a line that is too long, its beginning.
    pub pattern: Vec<u8>,
    /// What is wrong with it.
    pub why: &'static str,
}

impl std::fmt::Display for IgnoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pattern = String::from_utf8_lossy(&self.pattern);
        write!(
            f,
            "pattern `{}` {}; Docker would refuse it too",
            pattern.escape_debug(),
            self.why
        )
    }
}

impl std::error::Error for IgnoreError {}

impl Ignore {
    /// Reads an ignore file.
    pub fn parse(text: &[u8]) -> Result<Self, IgnoreError> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut patterns = Vec::new();
        for line in text.split(|byte| *byte == b'\n') {
            if line.len() > LONGEST_LINE {
                return Err(IgnoreError {
                    pattern: line[..40].to_vec(),
                    why: "is too long",
                });
            }
            patterns.extend(pattern_of_line(line)?);
        }
        let exceptions = || {
            patterns
                .iter()
                .filter(|pattern: &&Pattern| pattern.exception)
        };
        let plain = |pattern: &Pattern| {
            !without_trailing_glob(&pattern.text)
                .iter()
                .any(|byte| b"*?[\\^".contains(byte))
        };
        Ok(Self {
            plain_exceptions: exceptions().all(plain),
            has_exceptions: exceptions().next().is_some(),
            patterns,
        })
    }

    /// Whether nothing is excluded.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether `path` is left out, by itself or with a folder above it (Moby's
    /// `MatchesOrParentMatches`).
    pub fn excludes(&self, path: &[u8]) -> bool {
        let ends = || {
            path.iter()
                .enumerate()
                .filter(|(_, byte)| **byte == b'/')
                .map(|(at, _)| at)
        };
        let mut excluded = false;
        for pattern in &self.patterns {
            // It could only say what is already so.
            if pattern.exception != excluded {
                continue;
            }
            let matches = |path: &[u8]| pattern.matcher.matches(path);
            if matches(path) || ends().any(|end| matches(&path[..end])) {
                excluded = !pattern.exception;
            }
        }
        excluded
    }

    /// The same for an entry of a folder about which `above` is known already, and what those
    /// below the entry inherit.
    ///
    /// The walk that sends a context asks Moby's `MatchesUsingParentResults`, which at times
    /// leaves out what `MatchesOrParentMatches` takes in. Only what both leave out is left out
    /// here: an input too many costs a build, one too few costs the truth.
    pub fn below(&self, path: &[u8], above: &Inherited) -> (bool, Inherited) {
        let mut excluded = false;
        let mut matched = vec![false; self.patterns.len()];
        for (at, pattern) in self.patterns.iter().enumerate() {
            let mut matches = above.matched.get(at).copied().unwrap_or(false);
            if !matches {
                if pattern.exception != excluded {
                    continue;
                }
                matches = pattern.matcher.matches(path);
            }
            matched[at] = matches;
            if matches {
                excluded = !pattern.exception;
            }
        }
        (
            excluded && (!self.has_exceptions || self.excludes(path)),
            Inherited { matched },
        )
    }

    /// Whether anything below an excluded folder can be taken in again.
    pub fn may_reach_below(&self, folder: &[u8]) -> bool {
        if !self.has_exceptions {
            return false;
        }
        if !self.plain_exceptions {
            return true;
        }
        let folder = [folder, b"/"].concat();
        self.patterns
            .iter()
            .filter(|pattern| pattern.exception)
            .any(|pattern| {
                let path = [without_trailing_glob(&pattern.text), b"/"].concat();
                path.starts_with(&folder) || folder.starts_with(&path)
            })
    }
}

fn pattern_of_line(line: &[u8]) -> Result<Option<Pattern>, IgnoreError> {
    // Only a `#` in the first column makes a comment.
    if line.first() == Some(&b'#') {
        return Ok(None);
    }
    let mut text = trim(line);
    let exception = text.first() == Some(&b'!');
    if exception {
        text = trim(&text[1..]);
    }
    let refuse = |pattern: &[u8], why| {
        Err(IgnoreError {
            pattern: pattern.to_vec(),
            why,
        })
    };
    if text.is_empty() {
        return if exception {
            refuse(b"!", "excepts nothing")
        } else {
            Ok(None)
        };
    }
    let clean = gopath::clean(text);
    let clean = if clean.len() > 1 {
        clean.strip_prefix(b"/").unwrap_or(&clean)
    } else {
        &clean
    };
    // What was read is cleaned once more with its `!`, and that first character is looked at again.
    let again = gopath::clean(trim(clean));
    let (exception, clean) = match again.strip_prefix(b"!") {
        Some(rest) if !exception => (true, rest.to_vec()),
        _ => (exception, again),
    };
    if clean.is_empty() {
        return refuse(b"!", "excepts nothing");
    }
    match Matcher::parse(&clean) {
        Some(matcher) => Ok(Some(Pattern {
            exception,
            text: clean,
            matcher,
        })),
        None => refuse(&clean, "has a syntax error"),
    }
}

/// Go's `strings.TrimSpace`: Unicode white space at both ends.
fn trim(mut text: &[u8]) -> &[u8] {
    while let Some((c, width)) = gopath::decode(text).filter(|(c, _)| c.is_whitespace()) {
        debug_assert!(c.len_utf8() == width);
        text = &text[width..];
    }
    while let Some(last) = text.utf8_chunks().last() {
        let Some(c) = last
            .valid()
            .chars()
            .next_back()
            .filter(|c| last.invalid().is_empty() && c.is_whitespace())
        else {
            break;
        };
        text = &text[..text.len() - c.len_utf8()];
    }
    text
}

fn without_trailing_glob(pattern: &[u8]) -> &[u8] {
    let pattern = pattern
        .strip_suffix(b"**")
        .or_else(|| pattern.strip_suffix(b"*"))
        .unwrap_or(pattern);
    pattern.strip_suffix(b"/").unwrap_or(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Case {
        dockerignore: String,
        path: String,
        excluded: bool,
    }

    #[test]
    fn every_case_that_moby_answered_has_the_same_answer() {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/data/dockerignore-cases.jsonl"
        );
        let text = std::fs::read_to_string(file).unwrap();
        let mut wrong = Vec::new();
        for line in text.lines() {
            let case: Case = serde_json::from_str(line).unwrap();
            let excludes = Ignore::parse(case.dockerignore.as_bytes())
                .unwrap()
                .excludes(case.path.as_bytes());
            if excludes != case.excluded {
                wrong.push(line);
            }
        }
        assert!(text.lines().count() >= 1500);
        assert!(
            wrong.is_empty(),
            "{} differ:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }

    #[test]
    fn a_folder_is_entered_only_for_an_exception_below_it() {
        let ignore = Ignore::parse(b"*\n!api/src\n").unwrap();
        assert!(ignore.excludes(b"web") && !ignore.may_reach_below(b"web"));
        assert!(ignore.excludes(b"api") && ignore.may_reach_below(b"api"));
        assert!(!ignore.excludes(b"api/src/x.py"));
        assert!(!Ignore::parse(b"*\n").unwrap().may_reach_below(b"api"));
    }

    #[test]
    fn a_comment_is_one_only_in_the_first_column() {
        assert!(!Ignore::parse(b"#a").unwrap().excludes(b"#a"));
        assert!(Ignore::parse(b" #a").unwrap().excludes(b"#a"));
    }

    #[test]
    fn patterns_that_docker_refuses_are_refused() {
        for bad in [&b"[a"[..], b"a\\", b"!", b"! "] {
            assert!(Ignore::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_bracket_holds_what_the_translation_puts_into_it() {
        // `[*]x` becomes the class of `[`, `^` and `/`, any number of times, then `]x`.
        assert!(Ignore::parse(b"[*]x").unwrap().excludes(b"[[]x"));
        assert!(!Ignore::parse(b"[*]x").unwrap().excludes(b"*x"));
    }

    #[test]
    fn a_long_pattern_takes_linear_time() {
        let pattern = b"*a".repeat(20_000);
        let ignore = Ignore::parse(&pattern).unwrap();
        assert!(!ignore.excludes(&b"a".repeat(300)));
    }
}
