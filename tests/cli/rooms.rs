//! Checks that imports follow the order of the rooms in the design, and have no cycles.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::documents::{chapter, in_backticks, read, rows, texts};

/// A module, as the names on its path from `xtask/src`.
type Module = Vec<String>;

/// Each module with the modules that it names, tests left out.
fn imports() -> BTreeMap<Module, BTreeSet<Module>> {
    let mut sources = BTreeMap::new();
    for (path, text) in texts(&["rs"]) {
        let Ok(inner) = path.strip_prefix("xtask/src") else {
            continue;
        };
        sources.insert(module(inner), text);
    }
    let is_of_tests = |module: &Module| module.iter().any(|name| name == "tests");
    let named = |module: &Module, text: &str| {
        let paths = paths(text).into_iter();
        let known = |mut path: Vec<String>| {
            while !path.is_empty() && !sources.contains_key(&path) {
                path.pop();
            }
            (!path.is_empty()).then_some(path)
        };
        paths
            .filter_map(|path| known(absolute(module, &path)?))
            .filter(|other| other != module)
            .collect()
    };
    let modules = sources.iter().filter(|(module, _)| !is_of_tests(module));
    modules
        .map(|(module, text)| (module.clone(), named(module, text)))
        .collect()
}

fn module(inner: &Path) -> Module {
    let whole = inner.with_extension("");
    let mut names: Vec<String> = whole
        .iter()
        .map(|name| name.to_str().unwrap().to_owned())
        .collect();
    if names.last().is_some_and(|last| last == "mod") {
        names.pop();
    }
    names
}

/// The paths that begin with `crate` or `super` in the code of a module.
fn paths(text: &str) -> BTreeSet<String> {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let is_tests = line == "#[cfg(test)]" && lines.peek().is_some_and(|it| it.ends_with('{'));
        if is_tests {
            break;
        }
        if !line.trim_start().starts_with("//") {
            code.push_str(line);
            code.push(' ');
        }
    }
    let mut found = BTreeSet::new();
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_none_or(|letter| !letter.is_alphanumeric() && !":_".contains(letter)) {
                expand(&code[at..], "", &mut found);
            }
        }
    }
    found
}

/// Adds all paths of an import tree to `found`. Returns the text behind the tree.
fn expand<'t>(text: &'t str, before: &str, found: &mut BTreeSet<String>) -> &'t str {
    let is_of_path = |letter: char| letter.is_alphanumeric() || "_:".contains(letter);
    let text = text.trim_start();
    let end = text
        .find(|letter| !is_of_path(letter))
        .unwrap_or(text.len());
    let path = format!("{before}{}", &text[..end]);
    let mut rest = &text[end..];
    if !path.ends_with("::") || !rest.starts_with('{') {
        found.insert(path);
        return rest;
    }
    rest = &rest[1..];
    loop {
        rest = expand(rest, &path, found).trim_start();
        rest = rest.trim_start_matches(|letter| letter != ',' && letter != '}');
        match rest.strip_prefix(',') {
            Some(more) if more.trim_start().starts_with('}') => {
                return &more.trim_start()[1..];
            }
            Some(more) => rest = more,
            None => return rest.get(1..).unwrap_or_default(),
        }
    }
}

/// A path from the crate's root.
fn absolute(module: &Module, path: &str) -> Option<Vec<String>> {
    let mut names = path.split("::").filter(|name| !name.is_empty()).peekable();
    let mut whole = module.clone();
    match names.next()? {
        "crate" => whole.clear(),
        _ => {
            whole.pop();
            while names.next_if(|name| *name == "super").is_some() {
                whole.pop();
            }
        }
    }
    whole.extend(names.map(str::to_owned));
    Some(whole)
}

#[test]
fn rooms_import_only_what_stands_above_them_in_the_designs_table() {
    let text = read("xtask/DESIGN.md");
    let chapter = chapter(&text, "## Rooms");
    let order: Vec<String> = rows(&chapter)
        .iter()
        .flat_map(|row| in_backticks(row[0]))
        .map(str::to_owned)
        .collect();
    let library = read("xtask/src/lib.rs");
    let rooms = library
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod "));
    let rooms: BTreeSet<&str> = rooms.map(|line| line.trim_end_matches(';')).collect();
    assert_eq!(
        order.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        rooms
    );
    assert_eq!(order.len(), rooms.len(), "a room stands twice in the table");
    let place = |room: &str| order.iter().position(|it| it == room);
    let mut count = 0;
    for (module, others) in imports() {
        let Some(own) = place(&module[0]) else {
            continue;
        };
        for other in others {
            let there = place(&other[0]).unwrap();
            assert!(
                there <= own,
                "{} imports {}",
                module.join("::"),
                other.join("::")
            );
            count += 1;
        }
    }
    assert!(count > 500, "only {count} imports were found");
}

#[test]
fn no_modules_beside_each_other_import_each_other_in_a_circle() {
    // For each folder, which of its parts names which.
    let mut beside: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (module, others) in imports() {
        for other in others {
            let same = module
                .iter()
                .zip(&other)
                .take_while(|(a, b)| a == b)
                .count();
            if let (Some(own), Some(theirs)) = (module.get(same), other.get(same)) {
                let folder = beside.entry(module[..same].to_vec()).or_default();
                folder
                    .entry(own.clone())
                    .or_default()
                    .insert(theirs.clone());
            }
        }
    }
    assert!(
        beside.len() > 20,
        "only {} folders were found",
        beside.len()
    );
    for (folder, mut edges) in beside {
        // Remove parts that name no remaining part, until none is left or all are on a way to a
        // cycle.
        loop {
            let left: BTreeSet<String> = edges.keys().cloned().collect();
            edges.retain(|_, named| {
                named.retain(|name| left.contains(name));
                !named.is_empty()
            });
            if edges.len() == left.len() {
                break;
            }
        }
        assert!(edges.is_empty(), "in {}: {edges:?}", folder.join("::"));
    }
}

/// The name of the type that a line of code declares for other modules.
fn given_type(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub")?;
    let rest = match rest.strip_prefix('(') {
        Some(within) => within.split_once(')')?.1,
        None => rest,
    };
    let mut words = rest.split_whitespace();
    let is_type = ["struct", "enum", "type", "trait"].contains(&words.next()?);
    let name = words.next().filter(|_| is_type)?;
    name.split(|letter: char| !letter.is_alphanumeric()).next()
}

#[test]
fn no_two_types_that_modules_share_have_one_name() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in texts(&["rs"]) {
        let path = path.to_str().unwrap();
        if !path.starts_with("xtask/src/") || path.contains("/tests") {
            continue;
        }
        for name in text.lines().filter_map(given_type) {
            let all = places.entry(name.to_owned()).or_default();
            all.push(path.to_owned());
        }
    }
    assert!(places.len() > 300, "only {} types were found", places.len());
    places.retain(|_, all| all.len() > 1);
    assert!(places.is_empty(), "{places:#?}");
}
