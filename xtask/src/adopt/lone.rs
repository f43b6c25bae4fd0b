//! Dockerfiles that no compose file, bake file and workflow mentions. Where their contexts start
//! is decided by what they copy.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};

use super::found::{Found, FoundStage, Witness};
use super::repository::{Repository, is_dockerfile};
use super::workflows::name_of;
use dockerfile::{ContextNeed, Question};

/// Adds the Dockerfiles of a tree that nothing else has named.
pub fn add(tree: &Repository, found: &mut Found) {
    let files: Vec<&Utf8Path> = tree.named(is_dockerfile).collect();
    for path in files {
        let is_known = |stage: &FoundStage| stage.source == tree.source && stage.dockerfile == path;
        if found.stages.iter().any(is_known) {
            continue;
        }
        let shown = tree.shown(path);
        let Ok(text) = fs::read(tree.root.join(path)) else {
            continue;
        };
        if !dockerfile::has_from(&text) {
            found.left.push(format!("{shown}: it has no FROM"));
            continue;
        }
        let own = name_of(path);
        let mut stage = FoundStage {
            evidence: Witness::Dockerfile,
            // In a repository of its own, a Dockerfile has a name that says nothing elsewhere.
            name: tree
                .source
                .as_ref()
                .map_or_else(|| own.clone(), |name| format!("{name}-{own}")),
            origins: vec![shown.clone()],
            source: tree.source.clone(),
            dockerfile: path.to_owned(),
            ..FoundStage::default()
        };
        match dockerfile::read(&text, &Question::default()) {
            Ok(reading) => context(tree, path, &reading.context, &mut stage),
            Err(error) => {
                found.left.push(error.of(Utf8Path::new(&shown)));
                continue;
            }
        }
        found.read.insert(shown);
        found.add(stage);
    }
}

/// Where the context starts: at the nearest folder, from that of the Dockerfile upwards, that has
/// everything that is copied by name.
fn context(tree: &Repository, path: &Utf8Path, need: &ContextNeed, stage: &mut FoundStage) {
    let own = path.parent().unwrap_or(Utf8Path::new(""));
    let paths: Vec<&str> = match need {
        ContextNeed::Nothing | ContextNeed::Whole { .. } => Vec::new(),
        ContextNeed::Paths(needs) => {
            let texts = needs.iter().filter_map(|need| {
                let text = std::str::from_utf8(&need.path).ok()?;
                // Of a pattern, the folders before it.
                Some(if need.wildcard {
                    let end = text.find(['*', '?', '[', '\\']).unwrap_or(text.len());
                    text[..end]
                        .rsplit_once('/')
                        .map_or("", |(folder, _)| folder)
                } else {
                    text
                })
            });
            texts.filter(|text| !text.is_empty()).collect()
        }
    };
    let lacks = |folder: &Utf8Path| {
        let absent = paths
            .iter()
            .filter(|path| fs::symlink_metadata(tree.root.join(folder).join(path)).is_err());
        absent.count()
    };
    let folders: Vec<Utf8PathBuf> = own.ancestors().map(Utf8Path::to_owned).collect();
    let takes_all = matches!(need, ContextNeed::Whole { .. })
        || matches!(need, ContextNeed::Paths(needs) if needs.iter().any(|need| need.path.is_empty()));
    let mut fitting = folders.iter().filter(|folder| {
        // A folder of nothing but Dockerfiles has nothing to copy.
        let is_empty = takes_all && has_only_dockerfiles(tree, folder);
        lacks(folder) == 0 && !is_empty
    });
    stage.context = match fitting.next() {
        Some(folder) => {
            if let (ContextNeed::Whole { because }, true) = (need, folders.len() > 1) {
                stage.ask(format!(
                    "the Dockerfile does not decide what is copied ({because}): does its context start at `{}`?",
                    shown(folder)
                ));
            } else if takes_all && paths.is_empty() && folders.len() > 1 {
                stage.ask(format!(
                    "it copies its whole context: does that start at `{}`?",
                    shown(folder)
                ));
            }
            folder.clone()
        }
        None => {
            let best = folders.iter().min_by_key(|folder| lacks(folder));
            let best = best.cloned().unwrap_or_default();
            stage.ask(format!(
                "no folder has all that it copies; most of it is in `{}`: is that its context, and what makes the rest?",
                shown(&best)
            ));
            best
        }
    };
}

fn shown(folder: &Utf8Path) -> &str {
    if folder.as_str().is_empty() {
        "."
    } else {
        folder.as_str()
    }
}

fn has_only_dockerfiles(tree: &Repository, folder: &Utf8Path) -> bool {
    tree.beside(folder).all(|path| {
        let name = path.file_name().unwrap_or_default();
        is_dockerfile(name) || name.ends_with("dockerignore")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::interrupt::Interrupt;

    fn found(files: &[(&str, &str)]) -> Found {
        let root = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(root.path()).unwrap();
        for (path, text) in files {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        }
        let tree = Repository::of(None, root, &Interrupt::default()).unwrap();
        let mut found = Found::default();
        add(&tree, &mut found);
        found
    }

    #[test]
    fn a_context_starts_where_everything_is_that_is_copied() {
        let found = found(&[
            ("go.mod", ""),
            ("api/main.py", ""),
            ("api/Dockerfile", "FROM x\nCOPY main.py /\n"),
            ("web/app.js", ""),
            ("web/Dockerfile", "FROM x\nCOPY web/*.js /\nCOPY go.mod /\n"),
            ("docker/local.dockerfile", "FROM x\nCOPY . /\n"),
            ("none/Dockerfile", "FROM x\nCOPY made /\n"),
            ("open/Dockerfile", "FROM x\nARG A\nCOPY ${A:?} /\n"),
        ]);
        let of = |name: &str| {
            found
                .stages
                .iter()
                .find(|stage| stage.name == name)
                .unwrap()
        };
        assert_eq!(
            (of("api").context.as_str(), of("api").questions.len()),
            ("api", 0)
        );
        assert_eq!(
            (of("web").context.as_str(), of("web").questions.len()),
            ("", 0)
        );
        assert_eq!(
            (of("local").context.as_str(), of("local").questions.len()),
            ("", 1)
        );
        let open = of("open").questions.join(" ");
        assert!(
            open.starts_with("the Dockerfile does not decide what is copied ("),
            "{open}"
        );
        assert_eq!(
            (of("none").context.as_str(), of("none").questions.len()),
            ("none", 1)
        );
    }

    #[test]
    fn what_is_no_dockerfile_is_told_and_not_taken() {
        let found = found(&[
            ("a/Dockerfile", "hello\n"),
            ("b/Dockerfile", "\u{feff}# only\n"),
        ]);
        assert!(found.stages.is_empty());
        assert_eq!(found.left.len(), 2, "{:?}", found.left);
    }
}
