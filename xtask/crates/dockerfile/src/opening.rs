//! Whether BuildKit finds a FROM in a text.
//!
//! BuildKit before 0.15 panics at a text of nothing but ARGs, and takes down the engine with every
//! build on it (tried with Docker 26.1.5). So a text without a FROM is never sent, however doubtful
//! the rest of it is.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::directives;
use super::error::DockerfileError;
use super::flags;
use super::lines::{self, Logical, directive};

/// The longest line that Go's `bufio.Scanner` reads. BuildKit stops reading at a longer one.
const LONGEST_LINE: usize = 64 * 1024;

/// Whether `BuildKit`'s own frontend finds a FROM in `text` before any instruction but ARG. Every
/// version with rules of its own must find it.
pub fn has_from(text: &[u8]) -> bool {
    matches!(opening(text), Opening::From)
}

/// Refuses a text in which BuildKit's own frontend finds no FROM, unless another frontend reads it.
pub(super) fn check(text: &[u8], args: &BTreeMap<String, String>) -> Result<(), DockerfileError> {
    match opening(text) {
        Opening::From => Ok(()),
        _ if directives::surely_names_another(text, args) => Ok(()),
        Opening::Other { line } => Err(match why_nothing(text) {
            DockerfileError::Empty | DockerfileError::HiddenFrontend { .. } => {
                DockerfileError::BeforeFrom { line }
            }
            broken => broken,
        }),
        Opening::Nothing => Err(why_nothing(text)),
    }
}

/// The one-based line of the first carriage return inside a line.
pub(super) fn inner_return(text: &str) -> Option<usize> {
    let is_inner = |line: &str| line.trim_end_matches(['\r', '\n']).trim().contains('\r');
    let at = text.split_inclusive('\n').position(is_inner)?;
    Some(at + 1)
}

/// Refuses a FROM that `BuildKit` cannot read because of carriage returns in place of line ends.
pub(super) fn broken_from(logical: &Logical) -> Option<DockerfileError> {
    let is_broken = flags::keyword(&logical.text) == "FROM" && logical.text.trim().contains('\r');
    let line = logical.line;
    is_broken.then_some(DockerfileError::CarriageReturns { line })
}

/// The first instruction that is not an ARG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opening {
    From,
    /// Another instruction, which BuildKit refuses there.
    Other {
        line: usize,
    },
    Nothing,
}

fn opening(text: &[u8]) -> Opening {
    let readable: Vec<&[u8]> = text
        .split_inclusive(|byte| *byte == b'\n')
        .take_while(|line| line.len() <= LONGEST_LINE)
        .collect();
    let length = readable.iter().map(|line| line.len()).sum();
    let text = String::from_utf8_lossy(&text[..length]);
    // Docker 26 takes directives behind `# check=` for comments, newer versions do not.
    let (older, newer) = (escape(&text, false), escape(&text, true));
    match (
        under(&text, older),
        (older != newer).then(|| under(&text, newer)),
    ) {
        (Opening::Nothing, _) | (_, Some(Opening::Nothing)) => Opening::Nothing,
        (Opening::From, _) | (_, Some(Opening::From)) => Opening::From,
        (other, _) => other,
    }
}

/// The escape sign that the directives name. Wrong directives need no care: BuildKit refuses them.
fn escape(text: &str, knows_check: bool) -> char {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().map(str::trim_start);
    let directives = lines.map_while(|line| directive(line, "#"));
    let mut known = directives.take_while(|(key, _)| knows_check || *key != "check");
    match known.find(|(key, _)| *key == "escape") {
        Some((_, "`")) => '`',
        _ => '\\',
    }
}

fn under(text: &str, escape: char) -> Opening {
    let mut first = None;
    for logical in lines::each(text, escape) {
        let Ok(logical) = logical else {
            break;
        };
        match flags::keyword(&logical.text).as_str() {
            "FROM" => return Opening::From,
            "ARG" => {}
            // Unknown instructions never announce heredocs, so this line is not in a heredoc.
            known if flags::KEYWORDS.contains(&known) => {
                let line = first.unwrap_or(logical.line);
                return Opening::Other { line };
            }
            // BuildKit refuses an unknown instruction with a message of its own.
            _ => first = first.or(Some(logical.line)),
        }
    }
    Opening::Nothing
}

fn why_nothing(text: &[u8]) -> DockerfileError {
    if is_utf16(text) {
        return DockerfileError::Utf16;
    }
    let lossy = String::from_utf8_lossy(text);
    if let Some(line) = inner_return(&lossy)
        && has_from(lossy.replace('\r', "\n").as_bytes())
    {
        return DockerfileError::CarriageReturns { line };
    }
    if let Some(at) = text.iter().position(|byte| *byte == 0) {
        let line = text[..at].split(|byte| *byte == b'\n').count();
        return DockerfileError::Nul { line };
    }
    match directives::frontend(text, &BTreeMap::new()) {
        Some(syntax) if directives::is_another(&syntax) => {
            DockerfileError::HiddenFrontend { syntax }
        }
        _ => DockerfileError::Empty,
    }
}

/// Whether a text is UTF-16: it has the byte order mark, or every other byte is NUL and a FROM
/// appears without them.
fn is_utf16(text: &[u8]) -> bool {
    if text.starts_with(&[0xff, 0xfe]) || text.starts_with(&[0xfe, 0xff]) {
        return true;
    }
    let halves = |skip: usize| text.iter().skip(skip).step_by(2);
    let is_nul = |byte: &u8| *byte == 0;
    [0, 1].into_iter().any(|nuls| {
        let letters: Cow<'_, [u8]> = halves(1 - nuls).copied().collect();
        halves(nuls).len() > 0 && halves(nuls).all(is_nul) && has_from(&letters)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: impl AsRef<[u8]>) -> Option<DockerfileError> {
        check(text.as_ref(), &BTreeMap::new()).err()
    }

    fn utf16(text: &str, mark: &[u8], bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        let units = text.encode_utf16().flat_map(bytes);
        mark.iter().copied().chain(units).collect()
    }

    #[test]
    fn a_text_has_a_from_where_buildkit_finds_one() {
        for text in [
            "FROM a",
            "from a",
            "\u{feff}FROM a",
            "# c\n\n  FROM a",
            "ARG A=1\nFROM a",
            "FR\\\nOM a",
            "ARG A \\\n # c\n\n B\nFROM a",
            "# escape=`\nARG A=c:\\\nFROM a",
            "# syntax=x\n# escape=`\nARG A=c:\\\nFROM a",
            "ARG A=\\\\\nFROM a",
            "FROM\r\n",
            "ARG A\r\r\nFROM a",
            "NONSENSE\nFROM a",
            "# escape=x\nFROM a",
        ] {
            assert!(has_from(text.as_bytes()), "{text:?}");
        }
        assert!(has_from(b"ARG A=\xff\nFROM a"));
        assert!(has_from(
            format!("FROM a\n#{}\n", "x".repeat(70_000)).as_bytes()
        ));
    }

    #[test]
    fn a_text_has_none_where_only_other_programs_find_one() {
        for text in [
            "",
            "ARG V=1\rFROM scratch\rCOPY a /\r",
            "# FROM a",
            "ARG A=1 \\\nFROM a",
            "\\\n# c\nARG FROM a",
            "ARG A=`\n# escape=`\nARG B=\\\nFROM a",
            "# check=skip=all\n# escape=`\nARG A=\\\nFROM a",
            "# escape=`\nARG A=`\nFROM a",
            "FROM\0a",
            "\u{feff}\u{feff}FROM a",
            "FROM\u{a0}a",
            "\u{ff26}ROM a",
        ] {
            assert!(!has_from(text.as_bytes()), "{text:?}");
        }
        let far = format!("ARG A={}\nFROM a\n", "x".repeat(70_000));
        assert!(!has_from(far.as_bytes()));
    }

    #[test]
    fn what_has_none_is_refused_with_its_reason_and_its_place() {
        use DockerfileError::{BeforeFrom, CarriageReturns, Empty, Nul, Utf16};
        let (little, big) = (
            u16::to_le_bytes as fn(u16) -> [u8; 2],
            u16::to_be_bytes as _,
        );
        for (text, why) in [
            (Vec::new(), Empty),
            (b"# only this\nARG A\n".to_vec(), Empty),
            (
                b"ARG A\nARG V=1\rFROM a\r".to_vec(),
                CarriageReturns { line: 2 },
            ),
            (b"ARG A\nFROM\0a\n".to_vec(), Nul { line: 2 }),
            (utf16("FROM a\n", &[0xff, 0xfe], little), Utf16),
            (utf16("FROM a\n", &[0xfe, 0xff], big), Utf16),
            (utf16("ARG A\nFROM a\n", &[], little), Utf16),
            (utf16("ARG A\nFROM a\n", &[], big), Utf16),
            (
                b"ARG \xff\nRUN a\nFROM a\n".to_vec(),
                BeforeFrom { line: 2 },
            ),
            (
                b"RUN <<E\nFROM a\nE\nFROM a\n".to_vec(),
                BeforeFrom { line: 1 },
            ),
        ] {
            assert_eq!(
                refused(&text),
                Some(why),
                "{:?}",
                String::from_utf8_lossy(&text)
            );
        }
    }

    #[test]
    fn another_frontend_may_read_a_text_without_any() {
        for text in [
            "# syntax=mine:1\nARG V=1\rFROM a\r",
            "#!/usr/bin/env docker\n# syntax=mine:1\n",
            "// syntax=mine:1\n",
            "{\"syntax\": \"mine:1\"}",
        ] {
            assert_eq!(refused(text), None, "{text:?}");
        }
        let given = BTreeMap::from([("BUILDKIT_SYNTAX".to_owned(), "mine:1 x".to_owned())]);
        assert_eq!(check(b"ARG A", &given), Ok(()));
        let docker = BTreeMap::from([(
            "BUILDKIT_SYNTAX".to_owned(),
            "docker/dockerfile:1".to_owned(),
        )]);
        assert_eq!(check(b"ARG A", &docker), Err(DockerfileError::Empty));
    }

    #[test]
    fn a_frontend_that_some_version_does_not_see_reads_nothing() {
        for text in [
            "\u{feff}# syntax=mine:1\nARG A\n",
            "# check=skip=all\n# syntax=mine:1\nARG A\n",
        ] {
            let syntax = "mine:1".to_owned();
            let hidden = DockerfileError::HiddenFrontend { syntax };
            assert_eq!(refused(text), Some(hidden), "{text:?}");
        }
        // With CR line ends the whole text is the frontend's name.
        let text = "# syntax=docker/dockerfile:1\rFROM a\r";
        assert_eq!(
            refused(text),
            Some(DockerfileError::CarriageReturns { line: 1 })
        );
    }
}
