//! What a failure shows of a long output: its last lines and, above them, the lines that say what
//! failed.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _};

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use crate::shown;

/// How many of the last lines are shown.
const TAIL: usize = 25;
/// How many of the last lines of stderr are always shown. BuildKit reads a step's two streams
/// separately, so the last words on stderr may arrive before everything on stdout.
const ERRORS: usize = 5;
/// How many of the first lines that say what failed are shown, and how many of the last ones.
const CAUSES: usize = 4;
/// How many characters of a line are shown.
const WIDEST: usize = 500;

/// The stream that a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StdStream {
    /// stdout, or both streams if they are one.
    Out,
    /// stderr.
    Err,
}

/// The lines that a failure shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Excerpt {
    /// Lines further up that say what failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub above: Vec<String>,
    /// How many lines are not shown.
    #[serde(skip_serializing_if = "is_zero")]
    pub omitted: usize,
    /// The last lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tail: Vec<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Excerpt {
    /// The excerpt of a file; empty if the file cannot be read.
    pub fn of_file(path: &Utf8Path) -> Self {
        let mut output = Output::default();
        let Ok(file) = std::fs::File::open(path) else {
            return Self::default();
        };
        let mut file = BufReader::new(file);
        let mut line = Vec::new();
        // A line that never ends must not fill the memory.
        while let Ok(1..) = file.by_ref().take(1 << 20).read_until(b'\n', &mut line) {
            output.line(StdStream::Out, line.strip_suffix(b"\n").unwrap_or(&line));
            line.clear();
        }
        output.excerpt()
    }
}

/// An output that may go on. Keeps no more lines than an excerpt has.
#[derive(Debug, Default)]
pub struct Output {
    lines: usize,
    tail: VecDeque<Line>,
    errors: VecDeque<Line>,
    first_causes: Vec<Line>,
    last_causes: VecDeque<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    at: usize,
    text: String,
}

impl Output {
    /// Adds a line, without its line ending.
    pub fn line(&mut self, stream: StdStream, line: &[u8]) {
        let line = Line {
            at: self.lines,
            text: shown(line),
        };
        self.lines += 1;
        if says_what_failed(&line.text) {
            if self.first_causes.len() < CAUSES {
                self.first_causes.push(line.clone());
            } else {
                push(&mut self.last_causes, CAUSES, &line);
            }
        }
        if stream == StdStream::Err {
            push(&mut self.errors, ERRORS, &line);
        }
        push(&mut self.tail, TAIL, &line);
    }

    /// The excerpt of the lines so far.
    pub fn excerpt(&self) -> Excerpt {
        let first = self.tail.front().map_or(0, |line| line.at);
        let causes = self.first_causes.iter().chain(&self.last_causes);
        let mut above: Vec<&Line> = causes.chain(&self.errors).collect();
        above.retain(|line| line.at < first);
        above.sort();
        above.dedup();
        let texts = |line: &Line| line.text.clone();
        Excerpt {
            omitted: first - above.len(),
            above: above.into_iter().map(texts).collect(),
            tail: self.tail.iter().map(texts).collect(),
        }
    }
}

fn push(lines: &mut VecDeque<Line>, most: usize, line: &Line) {
    if lines.len() == most {
        lines.pop_front();
    }
    lines.push_back(line.clone());
}

/// A line as a terminal shows it in the end: without what a carriage return overwrote.
fn shown(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.rsplit(|byte| *byte == b'\r').next().unwrap_or(line);
    // A character has at most four bytes.
    let line = &line[..line.len().min(WIDEST * 4)];
    let text = shown::text(&spaced(line));
    match text.char_indices().nth(WIDEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Puts spaces in place of tabs, which readers need not see as control characters.
fn spaced(line: &[u8]) -> Vec<u8> {
    let mut spaced = Vec::with_capacity(line.len());
    for byte in line {
        match byte {
            b'\t' => spaced.extend_from_slice(b"    "),
            byte => spaced.push(*byte),
        }
    }
    spaced
}

/// Whether a line has a word with which programs say what failed. One line too many is better than
/// a cause too few.
fn says_what_failed(line: &str) -> bool {
    const WORDS: [&str; 15] = [
        "error",
        "errors",
        "fatal",
        "unable",
        "failed",
        "failure",
        "cannot",
        "could not",
        "not found",
        "no such file",
        "denied",
        "panicked",
        "exception",
        "err!",
        "output clipped",
    ];
    let lower = line.to_lowercase();
    lower.starts_with("e: ") || WORDS.iter().any(|word| has_word(&lower, word))
}

/// Whether a line has a word by itself or as the end of a name (`TypeError:`), and not as a part of
/// a path (`errors.ts`) or a flag (`-Werror`), or in a count of none (`0 errors`).
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        let token = before
            .rsplit(char::is_whitespace)
            .next()
            .unwrap_or_default();
        let mut after = after.chars();
        let ends = match after.next() {
            Some('.' | '-' | '/') => after.next().is_none_or(char::is_whitespace),
            Some(next) => !next.is_alphanumeric() && next != '_',
            None => true,
        };
        ends && !token.starts_with('-')
            && !token.contains('/')
            && !before.trim_end().ends_with(" 0")
            && before.trim_end() != "0"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: impl IntoIterator<Item = String>) -> Output {
        let mut output = Output::default();
        for line in lines {
            output.line(StdStream::Out, line.as_bytes());
        }
        output
    }

    fn numbered(count: usize) -> impl Iterator<Item = String> {
        (1..=count).map(|at| format!("line {at}"))
    }

    #[test]
    fn a_short_output_is_shown_whole() {
        let excerpt = of(numbered(25)).excerpt();
        assert_eq!((excerpt.tail.len(), excerpt.omitted), (25, 0));
        assert_eq!(excerpt.above, [""; 0]);
        assert_eq!(Output::default().excerpt(), Excerpt::default());
    }

    #[test]
    fn lines_further_up_that_say_what_failed_are_shown_in_their_order() {
        for cause in [
            "E: Unable to locate package nosuch",
            "npm ERR! code ENOENT",
            "fatal: not a git repository",
            "  - Unable to find installation candidates for litellm (1.51.3)",
            "TypeError: x is not a function",
            "\u{1b}[31merror\u{1b}[0m Command failed.",
            "[output clipped, log limit 2MiB reached]",
        ] {
            let lines = numbered(20).chain([cause.to_owned()]).chain(numbered(60));
            let excerpt = of(lines).excerpt();
            assert_eq!(excerpt.above, [shown(cause.as_bytes())]);
            assert_eq!((excerpt.omitted, excerpt.tail.len()), (55, 25));
        }
        let many = (0..50).map(|at| format!("error {at}"));
        let excerpt = of(many.chain(numbered(25))).excerpt();
        let expected = [0, 1, 2, 3, 46, 47, 48, 49].map(|at| format!("error {at}"));
        assert_eq!((excerpt.above, excerpt.omitted), (expected.to_vec(), 42));
    }

    #[test]
    fn a_line_that_only_looks_like_a_fault_is_none() {
        for line in [
            "gcc -Werror -c a.c",
            "copying src/errors.ts",
            "found 0 errors",
            "0 errors, 1 warning",
            "adding node_modules/error/index.js",
            "libgpg-error0 is already the newest version",
            "app/errors/__init__.py",
        ] {
            assert!(!says_what_failed(line), "{line}");
        }
    }

    #[test]
    fn the_last_lines_of_stderr_are_shown_wherever_they_arrived() {
        let mut output = Output::default();
        output.line(StdStream::Err, b"no such thing");
        for line in numbered(60) {
            output.line(StdStream::Out, line.as_bytes());
        }
        let excerpt = output.excerpt();
        assert_eq!(excerpt.above, ["no such thing"]);
        assert_eq!((excerpt.omitted, &*excerpt.tail[0]), (35, "line 36"));
    }

    #[test]
    fn a_line_is_what_a_terminal_shows_of_it() {
        assert_eq!(shown(b"10%\r20%\r\tdone\r"), "    done");
        assert_eq!(shown("é".repeat(600).as_bytes()).chars().count(), 501);
        assert_eq!(shown(b"\x1b[2Ja"), "\\u{1b}[2Ja");
    }
}
