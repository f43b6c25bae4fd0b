//! What lies in a checkout, and what git left out of it: submodules, and files of which git-lfs
//! left only pointers.

use std::fs::{self, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use camino::{Utf8Path, Utf8PathBuf};

use crate::graphfile::spec::names;
use crate::shown;

/// How a git-lfs pointer begins (the git-lfs specification, `docs/spec.md`).
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";
/// A pointer is smaller than this, by the same specification.
const LARGEST_POINTER: u64 = 1024;
/// A message names this many files and counts the others.
const NAMED: usize = 5;

/// Files of a commit that its checkout lacks.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Gaps {
    /// Folders of submodules that are empty, relative to the root.
    pub submodules: Vec<Utf8PathBuf>,
    /// Files that are only pointers to contents that git-lfs keeps elsewhere, relative to the root.
    pub pointers: Vec<PathBuf>,
}

impl Gaps {
    /// Looks through a whole checkout.
    pub fn of(root: &Utf8Path) -> io::Result<Self> {
        let mut pointers = Vec::new();
        walk(root.as_std_path(), &mut |path, meta| {
            if meta.is_file() && is_pointer(path, meta.len()) {
                let inner = path.strip_prefix(root).unwrap_or(path);
                pointers.push(inner.to_owned());
            }
            Ok(())
        })?;
        pointers.sort();
        Ok(Self {
            submodules: submodules(root),
            pointers,
        })
    }

    /// One sentence for each kind of gap, about `who`, with a remedy.
    pub fn told(&self, who: &str, remedy: &Remedy) -> Vec<String> {
        let mut told = Vec::new();
        if !self.submodules.is_empty() {
            let names = list(self.submodules.iter().map(|path| path.as_str().into()));
            let remedy = remedy.clause("submodule update --init");
            told.push(format!(
                "{who} has nothing in its submodules {names}: {remedy}"
            ));
        }
        if !self.pointers.is_empty() {
            let names = list(self.pointers.iter().map(|path| path.to_string_lossy()));
            let remedy = remedy.clause("lfs pull");
            told.push(format!(
                "{who} has git-lfs pointers in place of {names}: {remedy}"
            ));
        }
        told
    }
}

/// How to fill gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Git fetches the missing files into this checkout, which is the user's own.
    Fill(Utf8PathBuf),
    /// Sources are fetched without these files, so this variable must point at a checkout that has
    /// them.
    PointElsewhere(String),
}

impl Remedy {
    fn clause(&self, git: &str) -> String {
        match self {
            Self::Fill(root) => format!("`git -C {root} {git}` fetches them"),
            Self::PointElsewhere(variable) => format!(
                "they are not fetched with it; where an image needs them, set {variable} to a checkout that has them"
            ),
        }
    }
}

fn list<'a>(names: impl ExactSizeIterator<Item = std::borrow::Cow<'a, str>>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let shown: Vec<String> = names.take(NAMED).map(|name| shown::short(&name)).collect();
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Whether a file of this size is a git-lfs pointer. A file that cannot be read is not.
pub fn is_pointer(path: &Path, size: u64) -> bool {
    if size < POINTER.len() as u64 || size >= LARGEST_POINTER {
        return false;
    }
    let mut head = [0; POINTER.len()];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head == POINTER
}

/// The submodules whose folder is empty or missing.
pub fn submodules(root: &Utf8Path) -> Vec<Utf8PathBuf> {
    let text = match crate::outside::state::read(&root.join(".gitmodules")) {
        Ok(Some(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        _ => return Vec::new(),
    };
    let is_empty = |path: &Utf8PathBuf| {
        let mut entries = match fs::read_dir(root.join(path)) {
            Ok(entries) => entries,
            Err(error) => return error.kind() == io::ErrorKind::NotFound,
        };
        entries.next().is_none()
    };
    paths_of_submodules(&text)
        .into_iter()
        .filter(is_empty)
        .collect()
}

/// The values of `path = …` in a `.gitmodules`. Other ways to write a value are not read: that
/// would be much code for one message.
fn paths_of_submodules(text: &str) -> Vec<Utf8PathBuf> {
    let value = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let value = value.trim().trim_matches('"');
        let is_path = name.trim().eq_ignore_ascii_case("path") && !value.is_empty();
        is_path.then(|| names::inner_path(value).ok()).flatten()
    };
    text.lines().filter_map(value).collect()
}

/// Calls `each` for every entry below a folder, parents first, except those in a `.git` or behind a
/// link.
pub fn walk(
    root: &Path,
    each: &mut dyn FnMut(&Path, &Metadata) -> io::Result<()>,
) -> io::Result<()> {
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_name() == ".git" {
                continue;
            }
            let (path, meta) = (entry.path(), entry.metadata()?);
            each(&path, &meta)?;
            if meta.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(size: usize) -> String {
        let head = String::from_utf8_lossy(POINTER).into_owned();
        format!("{head}oid sha256:{}\nsize {size}\n", "a".repeat(64))
    }

    #[test]
    fn pointers_and_empty_submodules_are_found_and_full_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        let modules = "[submodule \"x\"]\n\tpath = libs/x\n\turl = u\n[submodule \"y\"]\n\tpath=y\n\
            [submodule \"z\"]\n  Path = \"z\"\n[submodule \"w\"]\n\tpath = ../w\n";
        fs::create_dir_all(root.join("libs/x")).unwrap();
        fs::create_dir_all(root.join("y")).unwrap();
        for (path, content) in [
            (".gitmodules", modules),
            ("y/full", "1"),
            ("a.bin", &pointer(7)),
            ("libs/b.bin", &pointer(8)),
            (
                "text",
                "version https://git-lfs.github.com/spec/v2\n and more",
            ),
            ("short", "version"),
            ("long", &pointer(7).repeat(9)),
        ] {
            fs::write(root.join(path), content).unwrap();
        }
        fs::create_dir_all(root.join(".git")).unwrap();
        fs::write(root.join(".git/c.bin"), pointer(9)).unwrap();
        std::os::unix::fs::symlink("a.bin", root.join("link")).unwrap();
        let gaps = Gaps::of(root).unwrap();
        assert_eq!(gaps.submodules, ["libs/x", "z"]);
        assert_eq!(gaps.pointers, [Path::new("a.bin"), Path::new("libs/b.bin")]);
        let remedy = Remedy::Fill("/s".into());
        assert_eq!(
            gaps.told("it", &remedy),
            [
                "it has nothing in its submodules libs/x, z: `git -C /s submodule update --init` fetches them",
                "it has git-lfs pointers in place of a.bin, libs/b.bin: `git -C /s lfs pull` fetches them"
            ]
        );
    }

    #[test]
    fn of_many_names_the_first_are_shown() {
        let gaps = Gaps {
            pointers: (0..7).map(|n| PathBuf::from(format!("{n}"))).collect(),
            ..Gaps::default()
        };
        let told = gaps.told("it", &Remedy::PointElsewhere("XTASK_SOURCE_S".into()));
        assert_eq!(told.len(), 1);
        let all = [
            "in place of 0, 1, 2, 3, 4 and 2 more:",
            "set XTASK_SOURCE_S",
        ];
        assert!(all.iter().all(|part| told[0].contains(part)), "{told:?}");
        let none = Gaps::default();
        assert!(none.told("it", &Remedy::Fill("/s".into())).is_empty());
    }
}
