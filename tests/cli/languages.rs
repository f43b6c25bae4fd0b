//! The English and the Chinese documents say the same: each heading, command, table row, list item, link, and each name in
//! backticks of one is in the other. What the sentences between these say, no test can know.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::documents::{in_backticks, read};

const ENGLISH: &str = "docs/en";
const CHINESE: &str = "docs/zh-CN";

/// The chapters in a language's folder.
fn chapters(folder: &str) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let entries = root.join(folder).read_dir().unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

/// Every document with its translation.
fn pairs() -> Vec<(PathBuf, PathBuf)> {
    let readme = (PathBuf::from("README.md"), PathBuf::from("README.zh-CN.md"));
    let names = chapters(ENGLISH).into_iter();
    let chapters = names.map(|name| {
        (
            Path::new(ENGLISH).join(&name),
            Path::new(CHINESE).join(name),
        )
    });
    std::iter::once(readme).chain(chapters).collect()
}

/// What stands between two headings, without the sentences.
#[derive(Debug, Default, PartialEq)]
struct Section {
    /// The number of `#` before its heading.
    rank: usize,
    /// The lines of its blocks, without comments, which are translated.
    code: Vec<String>,
    /// For each row of its tables and for each cell, the names in backticks.
    rows: Vec<Vec<Vec<String>>>,
    /// The names in backticks outside tables. The order of words is the language's.
    names: BTreeSet<String>,
    items: usize,
    /// Where its links lead, without the language.
    links: Vec<String>,
}

/// A line of a block without its comment.
fn uncommented(line: &str) -> &str {
    let is_comment = |at: &usize| line[..*at].ends_with(' ') || *at == 0;
    let comment = line.match_indices('#').map(|(at, _)| at).find(is_comment);
    line[..comment.unwrap_or(line.len())].trim_end()
}

/// The target of a link as it is in each language: the headings behind `#` are translated.
fn target(link: &str) -> String {
    let file = link.split('#').next().unwrap();
    let file = file.replace("README.zh-CN.md", "README.md");
    ["docs/en/", "docs/zh-CN/", "../en/", "../zh-CN/"]
        .iter()
        .fold(file, |file, folder| file.replace(folder, "docs/"))
}

fn sections(text: &str) -> Vec<Section> {
    let mut sections = vec![Section::default()];
    let mut prose = String::new();
    let mut is_fenced = false;
    let close = |section: &mut Section, prose: &mut String| {
        section.names = in_backticks(prose).map(str::to_owned).collect();
        let links = prose.split("](").skip(1);
        let links = links.filter_map(|link| Some(link.split_once(')')?.0));
        section.links = links.map(target).collect();
        section.links.sort();
        prose.clear();
    };
    for line in text.lines() {
        let last = sections.last_mut().unwrap();
        let fence = line.starts_with("```");
        is_fenced ^= fence;
        if fence || is_fenced || line.starts_with("    ") {
            let line = uncommented(line.trim());
            last.code
                .extend((!line.is_empty()).then(|| line.to_owned()));
        } else if let Some(row) = line.strip_prefix('|') {
            let cells = row.trim_end_matches('|').split(" | ").map(|cell| {
                let mut names: Vec<_> = in_backticks(cell).map(str::to_owned).collect();
                names.sort();
                names
            });
            last.rows.push(cells.collect());
            // A link in a cell counts like any other.
            prose.extend(row.split('[').skip(1).map(|link| link.replace('`', "")));
        } else if line.starts_with('#') {
            close(last, &mut prose);
            let rank = line.len() - line.trim_start_matches('#').len();
            sections.push(Section {
                rank,
                ..Section::default()
            });
        } else {
            let number = line.trim_start_matches(|letter: char| letter.is_ascii_digit());
            let is_item =
                line.starts_with("- ") || number.len() < line.len() && number.starts_with(". ");
            last.items += usize::from(is_item);
            prose.push_str(line);
            prose.push(' ');
        }
    }
    close(sections.last_mut().unwrap(), &mut prose);
    sections
}

#[test]
fn every_chapter_is_there_in_both_languages() {
    let english = chapters(ENGLISH);
    assert!(english.len() >= 10, "{english:?}");
    assert_eq!(
        english,
        chapters(CHINESE),
        "a chapter lacks its other language"
    );
    // The READMEs are the way to them.
    for (readme, folder) in [("README.md", ENGLISH), ("README.zh-CN.md", CHINESE)] {
        let text = read(readme);
        for name in &english {
            let link = format!("]({folder}/{name})");
            assert!(
                text.contains(&link),
                "{readme} has no link to {folder}/{name}"
            );
        }
    }
}

#[test]
fn both_languages_have_the_same_headings_commands_tables_and_names() {
    for (english, chinese) in pairs() {
        let (one, other) = (read(&english), read(&chinese));
        let place = format!("{} and {}", english.display(), chinese.display());
        let (one, other) = (sections(&one), sections(&other));
        let ranks = |sections: &[Section]| sections.iter().map(|it| it.rank).collect::<Vec<_>>();
        assert_eq!(ranks(&one), ranks(&other), "{place}: other headings");
        for (number, (one, other)) in one.iter().zip(&other).enumerate() {
            let place = format!("{place}, heading {number}");
            assert_eq!(one.code, other.code, "{place}: other commands");
            assert_eq!(one.rows.len(), other.rows.len(), "{place}: rows of a table");
            for (one, other) in one.rows.iter().zip(&other.rows) {
                assert_eq!(one, other, "{place}: a row of a table");
            }
            assert_eq!(one.names, other.names, "{place}: other names in backticks");
            assert_eq!(one, other, "{place}: other list items or links");
        }
    }
}

#[test]
fn whatever_one_language_lacks_is_found() {
    let whole = "# A\n\nOne `x` and [two](../en/b.md#c).\n\n- `item`\n\n    run --fast # all\n\n\
        | a | b |\n| --- | --- |\n| `x` | y |\n\n```sh\nrun\n```\n";
    let other = whole.replace("One", "Eins").replace("# all", "# alles");
    let other = other
        .replace("../en/b.md#c", "../zh-CN/b.md#d")
        .replace("y |", "z |");
    assert_eq!(sections(whole), sections(&other), "only words differ");
    for (there, gone) in [
        ("# A", "A"),
        ("# A", "## A"),
        ("`x` and", "x and"),
        ("b.md#c", "d.md#c"),
        ("- `item`", "`item`"),
        ("--fast", "--slow"),
        ("| `x` | y |\n", ""),
        ("| `x` | y |", "| `x` |"),
        ("| `x` | y |", "| x | y |"),
        ("```sh\nrun\n", "```sh\n"),
    ] {
        let less = whole.replacen(there, gone, 1);
        assert_ne!(
            sections(whole),
            sections(&less),
            "{there:?} became {gone:?}"
        );
    }
}

/// The lines of a Chinese document that are sentences, with a number for messages.
fn sentences(text: &str) -> Vec<(usize, &str)> {
    let mut is_fenced = false;
    // What a page does not show: the bench's words for its section.
    let mut is_hidden = false;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let fence = line.starts_with("```");
        is_fenced ^= fence;
        is_hidden |= line.starts_with("<!--");
        let was_hidden = is_hidden;
        is_hidden &= !line.ends_with("-->");
        if !(fence || is_fenced || was_hidden || line.starts_with("    ")) {
            lines.push((number + 1, line));
        }
    }
    lines
}

#[test]
fn a_chinese_paragraph_is_one_line_as_a_break_would_show_as_a_space() {
    for (_, chinese) in pairs() {
        let text = read(&chinese);
        let lines = sentences(&text);
        let is_text = |line: &str| {
            let starts = ["|", "#", "- "];
            let is_numbered = line.starts_with(|letter: char| letter.is_ascii_digit());
            !line.is_empty() && !is_numbered && !starts.iter().any(|start| line.starts_with(start))
        };
        for two in lines.windows(2) {
            let [(_, before), (number, line)] = two else {
                unreachable!()
            };
            let continues = !before.is_empty() && is_text(line);
            assert!(
                !continues,
                "{}:{number} continues the line before",
                chinese.display()
            );
        }
    }
}

#[test]
fn stars_in_chinese_close_where_markdown_sees_it() {
    // Two stars behind a full stop and before a letter close nothing, and the reader sees them.
    for (_, chinese) in pairs() {
        let text = read(&chinese);
        for (number, line) in sentences(&text) {
            for (at, _) in line.match_indices("**") {
                let before = line[..at].chars().next_back();
                let behind = line[at + 2..].chars().next();
                let is_hidden = before.is_some_and(|it| "。，：；、！？）".contains(it))
                    && behind.is_some_and(char::is_alphanumeric)
                    && line[..at].matches("**").count() % 2 == 1;
                assert!(!is_hidden, "{}:{number}: {line}", chinese.display());
            }
        }
    }
}
