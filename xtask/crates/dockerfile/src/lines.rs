//! Splits text into logical lines: directives, comments, continuations, heredocs.
//!
//! Where an instruction ends decides what a build uses, so this reader follows BuildKit's. The
//! crate `parse-dockerfile` reads heredocs only at the start of a RUN, and joins continuations by
//! rules of its own. It is the second opinion in the tests.

use std::cell::OnceCell;

use super::flags;
use super::heredoc::{self, Ends, Heredoc};

/// One instruction as BuildKit joins it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Logical {
    /// One-based line at which it begins.
    pub(super) line: usize,
    /// The text with continuations joined and inner comments removed.
    pub(super) text: String,
    pub(super) heredocs: Vec<Heredoc>,
}

/// A Dockerfile's text, line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) escape: char,
    pub(super) lines: Vec<Logical>,
    /// Reasons why BuildKit's versions may read the text differently.
    pub(super) doubts: Vec<String>,
}

/// Text that BuildKit refuses, or that only it can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) line: usize,
    pub(super) why: String,
}

/// The longest line, in bytes, that BuildKit surely reads. It holds for comments and heredocs too:
/// Go's `bufio.Scanner` gives up at 65,536 bytes, a byte order mark included.
const LONGEST_LINE: usize = 65_532;

/// Reads all logical lines of a Dockerfile or of an ONBUILD trigger.
pub(super) fn read(text: &str) -> Result<Text, Unreadable> {
    let mut reader = Reader::new(text);
    if let Some(at) = reader.raw.iter().position(|raw| raw.len() > LONGEST_LINE) {
        let line = at + 1;
        reader
            .doubts
            .push(format!("line {line} is longer than BuildKit surely reads"));
    }
    let mut lines = Vec::new();
    while let Some(logical) = reader.logical()? {
        lines.push(logical);
    }
    Ok(Text {
        escape: reader.escape,
        lines,
        doubts: reader.doubts,
    })
}

/// The logical lines of a text one by one. Directives count as comments.
pub(super) fn each(
    text: &str,
    escape: char,
) -> impl Iterator<Item = Result<Logical, Unreadable>> + use<'_> {
    let mut reader = Reader {
        escape,
        in_directives: false,
        ..Reader::new(text)
    };
    std::iter::from_fn(move || reader.logical().transpose())
}

struct Reader<'t> {
    raw: Vec<&'t str>,
    at: usize,
    escape: char,
    in_directives: bool,
    seen: Vec<&'static str>,
    doubts: Vec<String>,
    /// Built when the first heredoc is announced.
    ends: OnceCell<Ends<'t>>,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self {
            raw: text.split_inclusive('\n').collect(),
            at: 0,
            escape: '\\',
            in_directives: true,
            seen: Vec::new(),
            doubts: Vec::new(),
            ends: OnceCell::new(),
        }
    }

    fn logical(&mut self) -> Result<Option<Logical>, Unreadable> {
        while let Some(raw) = self.raw.get(self.at) {
            let text = raw.trim_end_matches(['\r', '\n']).trim_start();
            self.at += 1;
            let line = self.at;
            self.directive(text, line)?;
            if text.starts_with('#') {
                continue;
            }
            let (first, complete) = self.without_continuation(text);
            if complete && first.is_empty() {
                continue;
            }
            let mut joined = first.to_owned();
            if !complete {
                self.join(&mut joined);
            }
            let heredocs = self.heredocs(&joined, line)?;
            return Ok(Some(Logical {
                line,
                text: joined,
                heredocs,
            }));
        }
        Ok(None)
    }

    fn join(&mut self, joined: &mut String) {
        while let Some(raw) = self.raw.get(self.at) {
            self.at += 1;
            let text = raw.trim_end_matches(['\r', '\n']);
            let inner = text.trim_start();
            if inner.is_empty() || inner.starts_with('#') {
                continue;
            }
            let (part, complete) = self.without_continuation(text);
            joined.push_str(part);
            if complete {
                return;
            }
        }
    }

    /// The line without its continuation sign, and whether the line ends the instruction. A doubled
    /// sign does not continue the line.
    fn without_continuation<'l>(&self, line: &'l str) -> (&'l str, bool) {
        let Some(body) = line.trim_end_matches([' ', '\t']).strip_suffix(self.escape) else {
            return (line, true);
        };
        if body.ends_with(self.escape) {
            (line, true)
        } else {
            (body, false)
        }
    }

    fn directive(&mut self, text: &str, line: usize) -> Result<(), Unreadable> {
        if !self.in_directives {
            return Ok(());
        }
        let Some((key, value)) = directive(text, "#") else {
            self.in_directives = false;
            return Ok(());
        };
        if self.seen.contains(&key) {
            let why = format!("the directive `{key}` appears twice");
            return Err(Unreadable { line, why });
        }
        if self.seen.contains(&"check") {
            // Docker 26 does not know `check`, and takes the directives behind it for comments.
            self.doubts.push(format!(
                "the directive `{key}` behind `check`: BuildKit's versions read it differently"
            ));
        }
        self.seen.push(key);
        if key == "escape" {
            self.escape = match value {
                "\\" => '\\',
                "`" => '`',
                _ => {
                    let why = format!("`{value}` cannot be an escape sign");
                    return Err(Unreadable { line, why });
                }
            };
        }
        Ok(())
    }

    fn heredocs(&mut self, joined: &str, line: usize) -> Result<Vec<Heredoc>, Unreadable> {
        if !joined.contains("<<") || !flags::may_carry_heredocs(joined, self.escape) {
            return Ok(Vec::new());
        }
        let unreadable = |why: String| Unreadable { line, why };
        let modern = heredoc::announced(joined, true).map_err(unreadable)?;
        let older = heredoc::announced(joined, false).map_err(unreadable)?;
        let ends = self.ends.get_or_init(|| Ends::new(&self.raw));
        let modern_ends = ends.of(&modern, self.at);
        let (docs, ends) = if modern == older {
            (modern, modern_ends)
        } else {
            let older_ends = ends.of(&older, self.at);
            match (modern_ends, older_ends) {
                (Some(ends), older_ends) => {
                    let next = older_ends.map(|ends| &self.raw[behind(&ends, self.at)..]);
                    if next.is_some_and(flags::starts_an_instruction) {
                        self.doubts.push(format!(
                            "a heredoc with a space behind `<<` on line {line}: BuildKit's versions read it differently"
                        ));
                    }
                    (modern, Some(ends))
                }
                (None, ends) => (older, ends),
            }
        };
        let ends = ends.ok_or_else(|| unreadable("a heredoc is not ended".to_owned()))?;
        let docs = heredoc::filled(docs, &self.raw, self.at, &ends);
        self.at = behind(&ends, self.at);
        Ok(docs)
    }
}

/// The first line behind heredocs that begin at line `from`.
fn behind(ends: &[usize], from: usize) -> usize {
    ends.last().map_or(from, |end| end + 1)
}

const KEYS: [&str; 3] = ["syntax", "escape", "check"];

/// `# key = value` with one of the keys that BuildKit knows.
pub(super) fn directive<'l>(line: &'l str, comment: &str) -> Option<(&'static str, &'l str)> {
    let told = line.strip_prefix(comment)?.trim_start_matches(go_space);
    let (key, value) = told.split_once('=')?;
    let key = key.trim_end_matches(go_space);
    let value = value.trim_matches(go_space);
    let known = KEYS
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(key))?;
    (!value.is_empty() && !value.contains('\n')).then_some((known, value))
}

/// `\s` of Go's regular expressions: neither the vertical tab nor spaces beyond ASCII.
pub(super) fn go_space(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\u{c}' | '\r' | ' ')
}
