//! The canonical form of one instruction: its text without what BuildKit's parser drops.
//!
//! Some spaces, continuations, cases and quotes of flags never reach a build (moby/buildkit
//! `frontend/dockerfile/parser`: `splitCommand`, `extractBuilderFlags` and the parsers by
//! keyword). In doubt the text stays as it is.

use super::flags::{self, JsonWords, Split};
use super::lines::{self, Logical};
use super::scope;

/// The canonical text of an instruction. Two instructions have the same text only if BuildKit reads
/// them alike. `stage` gives the name of a stage that a COPY takes files from.
pub(super) fn text(
    logical: &Logical,
    escape: char,
    stage: impl Fn(&str) -> Option<String>,
) -> String {
    let split = flags::split(&logical.text, escape).ok();
    let written = split.and_then(|split| written(logical, split, escape, stage));
    // A canonical line contains no line end, so the two forms are never mistaken for each other.
    written.unwrap_or_else(|| format!("{}\n", logical.text))
}

/// Whether an instruction has no canonical form, so that its text counts as written.
pub(super) fn is_as_written(logical: &Logical, escape: char) -> bool {
    let split = flags::split(&logical.text, escape).ok();
    split.is_none_or(|split| written(logical, split, escape, |_| None).is_none())
}

/// Whether an instruction only leaves a setting in the image of its stage, which no step of any
/// stage looks at. An instruction with `${name:?why}` may also fail the whole build, so it does
/// not count as a setting.
pub(super) fn is_setting(logical: &Logical, escape: char) -> bool {
    const SETTINGS: [&str; 8] = [
        "CMD",
        "ENTRYPOINT",
        "EXPOSE",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "STOPSIGNAL",
        "VOLUME",
    ];
    let split = flags::split(&logical.text, escape);
    !logical.text.contains('?')
        && split.is_ok_and(|split| SETTINGS.contains(&split.keyword.as_str()))
}

/// Whether an instruction only sets variables, none of which BuildKit itself looks at.
pub(super) fn is_variable(logical: &Logical, escape: char) -> bool {
    let split = flags::split(&logical.text, escape);
    split.is_ok_and(|split| matches!(split.keyword.as_str(), "ARG" | "ENV"))
        && !scope::HEEDED.iter().any(|name| logical.text.contains(name))
}

fn written(
    logical: &Logical,
    mut split: Split,
    escape: char,
    stage: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let keyword = split.keyword.as_str();
    if !flags::KEYWORDS.contains(&keyword) {
        return None;
    }
    if keyword == "ONBUILD" {
        // The image keeps the text of a trigger unchanged.
        let trigger = logical.text.trim_start().get(keyword.len()..)?;
        let trigger = trigger.trim_start_matches(lines::go_space);
        return Some(format!("{keyword} {trigger}"));
    }
    // The text written below must split into the same flags and rest again.
    let is_one_word = |flag: &String| flag.bytes().all(|byte| byte.is_ascii_graphic());
    if !split.flags.iter().all(is_one_word) || split.rest.starts_with("--") {
        return None;
    }
    if keyword == "COPY" {
        for flag in &mut split.flags {
            let name = flag.strip_prefix("--from=").and_then(&stage);
            // A flag in the file contains no line end, so it never equals this one.
            *flag = name.map_or_else(|| flag.clone(), |name| format!("--from=\n{name}"));
        }
    }
    let rest = if logical.heredocs.is_empty() || announces_by_words(keyword, &split.rest, escape) {
        rest(keyword, &split.rest, escape)?
    } else {
        split.rest.clone()
    };
    let words = std::iter::once(keyword).chain(split.flags.iter().map(String::as_str));
    let words: Vec<&str> = words.chain([rest.as_str()]).collect();
    Some(words.join(" "))
}

/// Whether blanks only separate the words of a list that may announce heredocs: no blank is quoted,
/// escaped, or behind `<<`.
fn announces_by_words(keyword: &str, rest: &str, escape: char) -> bool {
    let is_whole = |word: &String| {
        let pairs = |quote: char| word.matches(quote).count().is_multiple_of(2);
        pairs('"') && pairs('\'') && !word.ends_with("<<") && !word.ends_with("<<-")
    };
    matches!(keyword, "COPY" | "ADD")
        && !rest.contains(['\\', escape])
        && flags::blank_words(rest).iter().all(is_whole)
}

/// The canonical form of what follows the flags. `None` if the instruction must stay as written.
fn rest(keyword: &str, rest: &str, escape: char) -> Option<String> {
    let list = match keyword {
        "COPY" | "ADD" | "VOLUME" => flags::json_words(rest),
        // Without JSON the rest is one text, in which spaces count.
        "RUN" | "CMD" | "ENTRYPOINT" | "SHELL" => match flags::json_words(rest) {
            JsonWords::Plain => JsonWords::Doubtful,
            list => list,
        },
        "FROM" | "EXPOSE" => JsonWords::Plain,
        "ARG" | "ENV" | "LABEL" => return Some(pairs(keyword, rest, escape)),
        _ => JsonWords::Doubtful,
    };
    Some(match list {
        JsonWords::Words(words) => serde_json::Value::from(words).to_string(),
        // Single spaces between the words could turn it into a JSON list.
        JsonWords::Plain if rest.starts_with('[') => return None,
        JsonWords::Plain => flags::blank_words(rest).join(" "),
        JsonWords::Doubtful => rest.to_owned(),
    })
}

/// Separate words, `NAME=value` or `NAME`, with one space between them. The older form
/// `ENV NAME some value` keeps its spaces, and so does quoted text.
fn pairs(keyword: &str, rest: &str, escape: char) -> String {
    let is_plain = |c: char| c.is_ascii() && c != '\\' && c != escape;
    let words = flags::quoted_words(rest, escape);
    let first = words.first().is_some_and(|word| word.contains('='));
    if rest.chars().all(is_plain) && (keyword == "ARG" || first) {
        words.join(" ")
    } else {
        rest.to_owned()
    }
}
