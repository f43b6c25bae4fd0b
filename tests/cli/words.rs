//! The catalogue of messages: every text that the program can print, once, in one file.
//!
//! A change of wording shows there as a change beside all other words.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::documents::texts;

/// Set to write the catalogue again.
const RENEW: &str = "XTASK_RENEW_WORDS";

/// Turns that no message takes, with what to say in their place.
const AVOIDED: [(&str, &str); 7] = [
    (" is no ", "is not a"),
    (" are no ", "are not"),
    (" anew", "again"),
    ("out of the ordinary", "unusual"),
    ("ended well", "succeeded"),
    ("Please ", "no word for it"),
    ("wrong form", "what it must be"),
];

/// A text in the sources.
#[derive(Debug)]
struct Text {
    /// What ends a command with it: a constructor of `Fault`.
    fault: Option<String>,
    /// As the sources write it, with names in braces for what is filled in.
    words: String,
}

/// The texts of a stream of tokens, without those of attributes and tests.
fn collect(tokens: TokenStream, fault: Option<&str>, found: &mut Vec<Text>) {
    // The path before a group of arguments.
    let mut path: Vec<String> = Vec::new();
    let (mut is_attribute, mut is_of_tests) = (false, false);
    for token in tokens {
        match token {
            TokenTree::Group(group) if is_attribute => {
                is_attribute = false;
                is_of_tests |= group.stream().to_string().replace(' ', "") == "cfg(test)";
            }
            TokenTree::Group(group) => {
                let own = match path.as_slice() {
                    [.., owner, kind] if owner == "Fault" => Some(kind.as_str()),
                    _ => fault,
                };
                if !is_of_tests {
                    collect(group.stream(), own, found);
                }
                // The item behind an attribute ends with its block, or with a semicolon.
                is_of_tests &= group.delimiter() != Delimiter::Brace;
                path.clear();
            }
            TokenTree::Ident(name) => path.push(name.to_string()),
            TokenTree::Literal(literal) => {
                let words = said(&literal.to_string());
                let fault = fault.map(str::to_owned);
                found.extend(words.map(|words| Text { fault, words }));
            }
            TokenTree::Punct(punct) => match punct.as_char() {
                '#' => is_attribute = true,
                ':' | '!' => {}
                sign => {
                    is_of_tests &= sign != ';';
                    path.clear();
                }
            },
        }
    }
}

/// The text of a literal on one line, if a person may read it: two words beside each other.
fn said(literal: &str) -> Option<String> {
    let inner = literal.trim_start_matches('r').trim_matches('#');
    let inner = inner.strip_prefix('"')?.strip_suffix('"')?;
    let mut lines = inner.split("\\\n");
    let mut whole = lines.next()?.to_owned();
    lines.for_each(|line| whole.push_str(line.trim_start()));
    let whole = whole.replace("\\\"", "\"").replace('\n', "\\n");
    let is_word = |word: &&str| word.len() > 1 && word.bytes().all(|it| it.is_ascii_lowercase());
    let words: Vec<&str> = whole.split(' ').collect();
    let is_said = words.windows(2).any(|two| two.iter().all(is_word));
    is_said.then_some(whole)
}

/// Whether this file is a part of the program, and not of its tests.
fn is_of_program(path: &Path) -> bool {
    let has = |name: &str| path.iter().any(|it| it == name);
    path.starts_with("xtask") && has("src") && !has("tests") && !has("tests.rs")
}

/// The texts of each file of the program.
fn all() -> Vec<(String, Vec<Text>)> {
    let files = texts(&["rs"]).into_iter();
    let files = files.filter(|(path, _)| is_of_program(path));
    let read = |(path, text): (std::path::PathBuf, String)| {
        let mut found = Vec::new();
        collect(text.parse().unwrap(), None, &mut found);
        (path.display().to_string(), found)
    };
    files
        .map(read)
        .filter(|(_, found)| !found.is_empty())
        .collect()
}

#[test]
fn every_message_is_in_the_catalogue_once() {
    let mut catalogue = String::from(
        "All texts of the program, by file, each once there. What ends a command has its fault in front.\n\
         XTASK_RENEW_WORDS=1 cargo test --package xtask --test cli words\n",
    );
    for (path, found) in all() {
        writeln!(catalogue, "\n{path}").unwrap();
        let mut seen = BTreeSet::new();
        for Text { fault, words } in found.iter().filter(|it| seen.insert(&it.words)) {
            let fault = fault.as_deref().map(|it| format!("{it}: "));
            writeln!(catalogue, "  {}{words}", fault.unwrap_or_default()).unwrap();
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cli/words.txt");
    if std::env::var_os(RENEW).is_some() {
        fs::write(&file, &catalogue).unwrap();
    }
    let is = fs::read_to_string(&file).unwrap();
    let only = |one: &str, other: &str| -> Vec<String> {
        let other: BTreeSet<&str> = other.lines().collect();
        let lines = one.lines().filter(|line| !other.contains(line));
        lines.map(str::to_owned).collect()
    };
    let (new, gone) = (only(&catalogue, &is), only(&is, &catalogue));
    assert!(
        is == catalogue,
        "words.txt has other texts; read them, and set {RENEW}=1: new {new:#?}, gone {gone:#?}"
    );
}

#[test]
fn every_message_has_the_form_that_a_reader_expects() {
    let mut wrong = Vec::new();
    for (path, found) in all() {
        for Text { fault, words } in found {
            let avoided = AVOIDED.iter().find(|(turn, _)| words.contains(turn));
            let is_exempt = words.contains("here is no ") || words.contains("is no longer");
            if let Some((turn, better)) = avoided.filter(|_| !is_exempt) {
                wrong.push(format!("{path}: {words}\n  avoid `{turn}`: {better}"));
            }
            if fault.is_none() {
                continue;
            }
            if words.starts_with(|first: char| first.is_uppercase()) {
                wrong.push(format!("{path}: {words}\n  begins with a capital letter"));
            }
            if words.ends_with(['.', '!']) || words.contains("  ") {
                wrong.push(format!(
                    "{path}: {words}\n  ends with a full stop, or has two spaces"
                ));
            }
            if fault.as_deref() == Some("usage") && !words.contains([':', ';', '`', '{']) {
                wrong.push(format!("{path}: {words}\n  has no remedy"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
