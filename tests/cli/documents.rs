//! The documents of this repository: everything that they cite, link and list exists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::CommandFactory as _;
use xtask::cli::Cli;

/// The flags of nearly every command, which the design describes once for all.
pub(super) const COMMON: [&str; 4] = ["graph", "profile", "set", "output"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

pub(super) fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a folder, except build output, findings of fuzzing, and checkouts.
fn files_below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in folder.read_dir().unwrap() {
        let (path, entry) = entry.map(|entry| (entry.path(), entry)).unwrap();
        if !entry.file_type().unwrap().is_dir() {
            files.push(path);
            continue;
        }
        let is_left_out = ["target", ".git", "corpus", "artifacts"]
            .iter()
            .any(|name| entry.file_name() == *name);
        if !is_left_out && !path.join(".git").exists() {
            files_below(&path, files);
        }
    }
}

/// The files with one of these extensions, with their texts. Paths start at the repository's root.
pub(super) fn texts(extensions: &[&str]) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    files_below(root(), &mut files);
    files.sort();
    let has_one = |path: &PathBuf| {
        let extension = path.extension().and_then(|it| it.to_str());
        extension.is_some_and(|it| extensions.contains(&it))
    };
    let files = files.into_iter().filter(has_one).map(|path| {
        let text = read(&path);
        (path.strip_prefix(root()).unwrap().to_owned(), text)
    });
    files.collect()
}

/// All comments, with their lines joined, as a sentence may continue on the next line.
fn comments(path: &Path, text: &str) -> String {
    let is_rust = path.extension().is_some_and(|it| it == "rs");
    let mark = if is_rust { "//" } else { "#" };
    let lines = text.lines().map(str::trim_start);
    let lines = lines.filter(|line| line.starts_with(mark));
    let lines = lines.map(|line| line.trim_start_matches(['/', '!', '#', ' ']));
    lines.collect::<Vec<_>>().join(" ")
}

/// The lines of a document outside its fenced blocks, which may contain any text.
fn prose(text: &str) -> Vec<&str> {
    let mut is_fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if !is_fenced && !line.starts_with("    ") {
            lines.push(line);
        }
    }
    lines
}

fn headings(text: &str) -> Vec<String> {
    let lines = prose(text).into_iter().filter(|line| line.starts_with('#'));
    let headings = lines.map(|line| line.trim_start_matches('#').trim().to_owned());
    headings.collect()
}

/// For each mention of a document, the headings cited behind it. Each follows a comma, in stars.
fn cited(text: &str, document: &str) -> Vec<Vec<String>> {
    let mentions = text.match_indices(document).map(|(at, _)| {
        let rest = &text[at + document.len()..];
        let mut rest = rest.strip_prefix('`').unwrap_or(rest);
        let mut cited = Vec::new();
        while let Some((heading, behind)) = rest
            .strip_prefix(", *")
            .and_then(|rest| rest.split_once('*'))
        {
            cited.push(heading.to_owned());
            rest = behind;
        }
        cited
    });
    mentions.collect()
}

#[test]
fn every_heading_that_is_cited_is_there() {
    let mut count = 0;
    for document in ["DESIGN.md", "ENGINE.md"] {
        let there = headings(&read(Path::new("xtask").join(document)));
        for (path, text) in texts(&["rs", "toml", "sh", "py", "md"]) {
            let is_document = path.extension().is_some_and(|it| it == "md");
            let text = if is_document {
                let lines = prose(&text).into_iter().map(str::trim);
                lines.collect::<Vec<_>>().join(" ")
            } else {
                comments(&path, &text)
            };
            for cited in cited(&text, document) {
                assert!(
                    is_document || !cited.is_empty(),
                    "{} cites {document} without one of its headings",
                    path.display()
                );
                for heading in cited {
                    let place = path.display();
                    assert!(
                        there.contains(&heading),
                        "{place}: {document} has no heading {heading:?}"
                    );
                    count += 1;
                }
            }
        }
    }
    assert!(count > 15, "only {count} citations were found");
}

/// The names of documents in comments, which are in capitals, without `.md`.
fn documents_named(comments: &str) -> Vec<&str> {
    let ends = comments.match_indices(".md").map(|(end, _)| end);
    let names = ends.map(|end| {
        let name = &comments[..end];
        let start = name.rfind(|letter: char| !letter.is_ascii_uppercase());
        &name[start.map_or(0, |at| at + name[at..].chars().next().unwrap().len_utf8())..]
    });
    names.filter(|name| !name.is_empty()).collect()
}

#[test]
fn comments_cite_only_what_a_reader_can_find() {
    for (path, text) in texts(&["rs", "toml", "sh", "py"]) {
        let comments = comments(&path, &text);
        let place = path.display();
        for name in documents_named(&comments) {
            let folders = [path.parent().unwrap(), Path::new(""), Path::new("xtask")];
            let file = format!("{name}.md");
            assert!(
                folders
                    .iter()
                    .any(|folder| root().join(folder).join(&file).is_file()),
                "{place} cites {file}, which is not in this repository"
            );
        }
        // A comment must cite a document by its title and its place.
        for vague in ["the guide", "The guide"] {
            assert!(!comments.contains(vague), "{place} cites {vague:?}");
        }
    }
}

/// The anchor of a heading behind `#`, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let heading = heading.to_lowercase();
    let kept = heading
        .chars()
        .filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut count = 0;
    for (path, text) in texts(&["md"]) {
        let prose = prose(&text).join("\n");
        let links = prose.split("](").skip(1);
        let links = links.filter_map(|link| Some(link.split_once(')')?.0));
        for link in links.filter(|link| !link.contains("://")) {
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => root().join(&path),
                file => root().join(path.parent().unwrap()).join(file),
            };
            let place = path.display();
            assert!(target.exists(), "{place}: {link} leads nowhere");
            if !fragment.is_empty() {
                let mut anchors = headings(&read(target)).into_iter();
                let is_there = anchors.any(|heading| anchor(&heading) == fragment);
                assert!(is_there, "{place}: {link} has no such heading");
            }
            count += 1;
        }
    }
    assert!(count > 20, "only {count} links were found");
}

#[test]
fn every_path_that_a_document_names_is_there() {
    let mut count = 0;
    for (path, text) in texts(&["md"]) {
        let lines = prose(&text);
        let spans = lines
            .iter()
            .flat_map(|line| line.split('`').skip(1).step_by(2));
        let is_path = |span: &&str| {
            let begins = ["xtask/", "tests/", "fuzz/", "overlays/"];
            begins.iter().any(|folder| span.starts_with(folder))
                && !span.contains(|letter: char| letter.is_whitespace() || "<*".contains(letter))
                && !span.contains("NAME")
        };
        for span in spans.filter(is_path) {
            let place = path.display();
            // A README also names files beside it.
            let beside = path.parent().unwrap().join(span);
            let is_there = root().join(span).exists() || root().join(beside).exists();
            assert!(is_there, "{place}: there is no {span}");
            count += 1;
        }
    }
    assert!(count > 30, "only {count} paths were found");
}

/// A chapter of a document, up to the next heading of the same or a higher rank.
pub(super) fn chapter(text: &str, heading: &str) -> String {
    let rank = heading.split(' ').next().unwrap().len();
    let behind = text
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("no {heading}"))
        .1;
    let is_next = |line: &&str| {
        let marks = line.len() - line.trim_start_matches('#').len();
        marks > 0 && marks <= rank
    };
    let lines: Vec<&str> = behind.lines().take_while(|line| !is_next(line)).collect();
    lines.join("\n")
}

/// The cells of a table's rows, without the header.
pub(super) fn rows(chapter: &str) -> Vec<Vec<&str>> {
    let rows = chapter.lines().filter(|line| line.starts_with('|'));
    rows.skip(2)
        .map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect()
}

pub(super) fn in_backticks(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The commands that `--help` lists.
fn helped() -> BTreeSet<String> {
    let mut help = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let said = help.arg("--help").output().unwrap().stdout;
    let said = String::from_utf8(said).unwrap();
    let listed = said.split("Commands:\n").nth(1).unwrap();
    let listed = listed.split("\n\n").next().unwrap();
    let lines = listed.lines().filter_map(|line| line.strip_prefix("  "));
    // A further line of a long sentence is indented deeper.
    let lines = lines.filter(|line| !line.starts_with(' '));
    let names = lines.filter_map(|line| line.split(' ').next());
    // Every program has that one.
    let names = names.filter(|name| *name != "help");
    names.map(str::to_owned).collect()
}

#[test]
fn the_tables_of_commands_and_help_name_the_same() {
    let helped = helped();
    assert!(helped.len() > 10, "{helped:?}");
    for (document, heading) in [
        ("xtask/DESIGN.md", "### Commands"),
        ("README.md", "## Commands"),
        ("README.zh-CN.md", "## 命令"),
    ] {
        let text = read(document);
        let chapter = chapter(&text, heading);
        let names = rows(&chapter).into_iter().map(|row| {
            let usage = in_backticks(row[0]).next().unwrap();
            let usage = usage.strip_prefix("cargo xtask ").unwrap_or(usage);
            usage.split(' ').next().unwrap().to_owned()
        });
        let names: BTreeSet<String> = names.collect();
        assert_eq!(names, helped, "{document}");
    }
}

#[test]
fn the_designs_table_and_help_name_the_same_flags() {
    let text = read("xtask/DESIGN.md");
    let chapter = chapter(&text, "### Commands");
    let tabled = rows(&chapter).into_iter().map(|row| {
        let name = in_backticks(row[0]).next().unwrap();
        let flags = in_backticks(row[1]).map(str::to_owned);
        let name = name.split(' ').next().unwrap().to_owned();
        (name, flags.collect::<BTreeSet<String>>())
    });
    let tabled: BTreeMap<_, _> = tabled.collect();
    let cli = Cli::command();
    let given = cli.get_subcommands().map(|command| {
        let flags = command.get_arguments().filter(|flag| !flag.is_hide_set());
        let flags = flags.filter_map(|flag| flag.get_long());
        let flags = flags.filter(|flag| !COMMON.contains(flag));
        let flags = flags.map(|flag| format!("--{flag}"));
        (command.get_name().to_owned(), flags.collect())
    });
    assert_eq!(tabled, given.collect());
}
