//! The files of a repository that may say which images it builds.

use std::fs;
use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};

use crate::fault::{Fault, Result};
use crate::outside::git;
use crate::outside::interrupt::Interrupt;

/// A tree deeper than this is not looked through. No Dockerfile lies there.
const DEEPEST: usize = 12;
/// Folders of other people's files. What they build is not this repository's.
const FOREIGN: [&str; 7] = [
    "node_modules",
    "vendor",
    "third_party",
    "target",
    "venv",
    "site-packages",
    "testdata",
];

/// One tree that is looked at.
#[derive(Debug)]
pub struct Repository {
    /// The source of the graph that it is; `None` for the folder of the graph file.
    pub source: Option<String>,
    /// Its root, absolute.
    pub root: Utf8PathBuf,
    /// The paths of its files, relative to the root, sorted.
    files: Vec<Utf8PathBuf>,
}

impl Repository {
    /// Looks through the folder `root`: what git knows or would add in a checkout, else everything.
    pub fn of(source: Option<String>, root: &Utf8Path, interrupt: &Interrupt) -> Result<Self> {
        let root = root
            .canonicalize_utf8()
            .map_err(|error| Fault::usage(format!("cannot read the folder {root}: {error}")))?;
        let mut files = match listed(&root, interrupt) {
            Some(files) => files,
            None => {
                let mut files = Vec::new();
                walk(&root, Utf8Path::new(""), 0, &mut files);
                files
            }
        };
        files.retain(|path| !is_foreign(path) && root.join(path).is_file());
        files.sort();
        files.dedup();
        Ok(Self {
            source,
            root,
            files,
        })
    }

    /// The files for whose names this holds.
    pub fn named(&self, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = &Utf8Path> {
        self.files
            .iter()
            .filter(move |path| path.file_name().is_some_and(&wanted))
            .map(Utf8PathBuf::as_path)
    }

    /// The other files of a folder itself, without those below it.
    pub fn beside<'t>(&'t self, folder: &'t Utf8Path) -> impl Iterator<Item = &'t Utf8Path> {
        let inside = move |path: &&Utf8PathBuf| path.starts_with(folder);
        self.files.iter().filter(inside).map(Utf8PathBuf::as_path)
    }

    /// A path of the tree as a person in the graph's folder reads it.
    pub fn shown(&self, path: &Utf8Path) -> String {
        match &self.source {
            Some(source) => format!("{path} of `{source}`"),
            None => path.to_string(),
        }
    }

    /// A path relative to the root, of one that is absolute or relative to `from`. `None` if it
    /// leads out of the tree.
    pub fn inner(&self, from: &Utf8Path, path: &str) -> Option<Utf8PathBuf> {
        let whole = self.root.join(from).join(path);
        let mut clean = Utf8PathBuf::new();
        for part in whole.components() {
            match part {
                camino::Utf8Component::ParentDir => {
                    clean.pop();
                }
                camino::Utf8Component::CurDir => {}
                part => clean.push(part),
            }
        }
        clean.strip_prefix(&self.root).ok().map(Utf8Path::to_owned)
    }
}

/// Whether a path is in a hidden folder or in one of other people's files.
fn is_foreign(path: &Utf8Path) -> bool {
    let parent = path.parent().unwrap_or(Utf8Path::new(""));
    if parent == ".github/workflows" {
        return false;
    }
    parent.components().any(|part| {
        let name = part.as_str();
        name.starts_with('.') || FOREIGN.contains(&name)
    })
}

/// What git knows or would add. `None` if the folder is in no checkout.
fn listed(root: &Utf8Path, interrupt: &Interrupt) -> Option<Vec<Utf8PathBuf>> {
    let mut command = git::command();
    command.arg("-C").arg(root);
    command.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let said = git::run(command, interrupt, |_| {}).ok()?;
    let names = said.split(|byte| *byte == 0);
    let names = names.filter_map(|name| std::str::from_utf8(name).ok());
    let files: Vec<Utf8PathBuf> = names
        .filter(|name| !name.is_empty())
        .map(Into::into)
        .collect();
    // The folder may itself be ignored by a checkout around it.
    (!files.is_empty()).then_some(files)
}

fn walk(root: &Utf8Path, inner: &Utf8Path, depth: usize, files: &mut Vec<Utf8PathBuf>) {
    let Ok(entries) = fs::read_dir(root.join(inner)) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            continue;
        };
        let path = inner.join(name);
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let is_closed = FOREIGN.contains(&name) || name == ".git";
        if !is_folder {
            files.push(path);
        } else if depth < DEEPEST && !is_closed {
            walk(root, &path, depth + 1, files);
        }
    }
}

/// Whether a name is that of a YAML file.
pub fn is_yaml(name: &str) -> bool {
    matches!(Utf8Path::new(name).extension(), Some("yaml" | "yml"))
}

/// Whether a name is one that people give Dockerfiles.
pub fn is_dockerfile(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let has_extension = |extension: &str| {
        Path::new(&lower)
            .extension()
            .is_some_and(|own| own == extension)
    };
    let is_named = lower == "dockerfile" || lower == "containerfile";
    let is_prefixed = lower.starts_with("dockerfile.") || lower.starts_with("dockerfile-");
    let is_other = [
        "dockerignore",
        "js",
        "ts",
        "py",
        "md",
        "j2",
        "tmpl",
        "template",
        "txt",
        "orig",
        "bak",
    ]
    .iter()
    .any(|extension| has_extension(extension));
    (is_named || is_prefixed || has_extension("dockerfile")) && !is_other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockerfiles_are_known_by_their_names() {
        for name in [
            "Dockerfile",
            "dockerfile",
            "Dockerfile.prod",
            "api.Dockerfile",
            "local.dockerfile",
            "Containerfile",
        ] {
            assert!(is_dockerfile(name), "{name}");
        }
        for name in [
            "Dockerfile.dockerignore",
            "dockerfile.js",
            "Dockerfile.j2",
            "docker",
            "x.py",
        ] {
            assert!(!is_dockerfile(name), "{name}");
        }
    }

    #[test]
    fn hidden_folders_and_those_of_others_are_left_out() {
        let root = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(root.path()).unwrap();
        for path in [
            "a/Dockerfile",
            ".devcontainer/Dockerfile",
            "x/node_modules/y/Dockerfile",
            ".github/workflows/ci.yml",
        ] {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), "").unwrap();
        }
        let tree = Repository::of(None, root, &Interrupt::default()).unwrap();
        let names: Vec<_> = tree.named(|_| true).collect();
        assert_eq!(names, [".github/workflows/ci.yml", "a/Dockerfile"]);
        assert_eq!(
            tree.inner(Utf8Path::new("a"), "../b/./c"),
            Some("b/c".into())
        );
        assert_eq!(tree.inner(Utf8Path::new("a"), "../../b"), None);
    }
}
