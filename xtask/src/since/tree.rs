//! The tree of a commit as a folder, and what git does not know of it.

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use camino::{Utf8Path, Utf8PathBuf};

use crate::fault::{Fault, Result};
use crate::outside::git::{self, Trouble};
use crate::outside::interrupt::Interrupt;

/// A commit of a repository, checked out beside it.
pub(super) struct CommitTree {
    /// The root of the repository, without links.
    root: Utf8PathBuf,
    /// The commit.
    pub(super) commit: String,
    /// Where its tree lies.
    copy: Utf8PathBuf,
    /// The paths that git knows now.
    known: HashSet<Vec<u8>>,
}

/// What git says in a folder, as one line.
fn said(folder: &Utf8Path, words: &[&str], interrupt: &Interrupt) -> Result<String, Trouble> {
    let mut command = git::command();
    command.args(["-C", folder.as_str()]).args(words);
    let said = git::run(command, interrupt, |_| {})?;
    Ok(String::from_utf8_lossy(&said)
        .trim_end_matches('\n')
        .to_owned())
}

/// The root of the repository that a folder lies in, without links; `None` if it is in none.
pub(super) fn repository(folder: &Utf8Path, interrupt: &Interrupt) -> Option<Utf8PathBuf> {
    let root = said(folder, &["rev-parse", "--show-toplevel"], interrupt).ok()?;
    Utf8PathBuf::from(root).canonicalize_utf8().ok()
}

/// Whether a repository lacks a part of its history.
pub(super) fn is_shallow(root: &Utf8Path, interrupt: &Interrupt) -> bool {
    let words = ["rev-parse", "--is-shallow-repository"];
    said(root, &words, interrupt).is_ok_and(|said| said == "true")
}

impl CommitTree {
    /// Checks a commit out into `copy`. `None` if the repository does not know it.
    pub(super) fn of(
        root: &Utf8Path,
        reference: &str,
        copy: Utf8PathBuf,
        interrupt: &Interrupt,
    ) -> Result<Option<Self>> {
        let fault =
            |why: String| Fault::lacks(format!("cannot check {reference} of {root} out: {why}"));
        let told = |trouble: Trouble| match trouble {
            Trouble::Interrupted => Fault::interrupted(),
            Trouble::NoGit(why) | Trouble::Failed(why) => fault(why),
        };
        let commit = format!("{reference}^{{commit}}");
        let words = [
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &commit,
        ];
        let commit = match said(root, &words, interrupt) {
            Ok(commit) => commit,
            Err(Trouble::Failed(_)) => return Ok(None),
            Err(other) => return Err(told(other)),
        };
        let disk = |error: io::Error| fault(error.to_string());
        fs::create_dir_all(&copy).map_err(disk)?;
        let index = copy.with_extension("index");
        let prefix = format!("--prefix={copy}/");
        for words in [
            &["read-tree", commit.as_str()][..],
            &["checkout-index", "--all", "--force", &prefix],
        ] {
            let mut command = git::command();
            command.args(["-C", root.as_str()]).args(words);
            command.env("GIT_INDEX_FILE", &index);
            git::run(command, interrupt, |_| {}).map_err(told)?;
        }
        let mut command = git::command();
        command.args(["-C", root.as_str(), "ls-files", "-z", "--cached"]);
        let known = git::run(command, interrupt, |_| {}).map_err(told)?;
        let known = known.split(|byte| *byte == 0).map(<[u8]>::to_vec);
        let tree = Self {
            root: root.to_owned(),
            commit,
            copy,
            known: known.collect(),
        };
        tree.make_repository(interrupt).map_err(disk)?;
        Ok(Some(tree))
    }

    /// Makes the copy a repository at the commit, which has all objects of the first one: values of
    /// a graph may mention a commit or its time.
    fn make_repository(&self, interrupt: &Interrupt) -> io::Result<()> {
        let other = |trouble: Trouble| io::Error::other(format!("{trouble:?}"));
        let ask = |words: &[&str]| said(&self.root, words, interrupt);
        let objects = ask(&["rev-parse", "--git-path", "objects"]).map_err(other)?;
        let shallow = ask(&["rev-parse", "--git-path", "shallow"]).map_err(other)?;
        let format = ask(&["rev-parse", "--show-object-format"]).map_err(other)?;
        let format = format!("--object-format={format}");
        said(&self.copy, &["init", "--quiet", &format], interrupt).map_err(other)?;
        let own = self.copy.join(".git");
        let objects = self.root.join(objects);
        fs::write(own.join("objects/info/alternates"), format!("{objects}\n"))?;
        let shallow = self.root.join(shallow);
        if shallow.is_file() {
            fs::copy(shallow, own.join("shallow"))?;
        }
        // On the branch of the first one, if it is on any.
        let branch = ask(&["symbolic-ref", "--quiet", "HEAD"]);
        let name = branch.as_deref().unwrap_or("HEAD");
        let words = ["update-ref", "--no-deref", name, &self.commit];
        if name != "HEAD" {
            said(&self.copy, &["symbolic-ref", "HEAD", name], interrupt).map_err(other)?;
        }
        said(&self.copy, &words, interrupt).map(drop).map_err(other)
    }

    /// The place of a path of the repository in the copy; `None` for a path elsewhere.
    pub(super) fn place(&self, path: &Path) -> Option<PathBuf> {
        let inner = path.strip_prefix(self.root.as_std_path()).ok()?;
        Some(self.copy.as_std_path().join(inner))
    }

    /// Lets the copy be like the working tree in what no commit says: gives it an entry that git does
    /// not know, and the permission bits of one that it knows. Says whether git does not know it.
    pub(super) fn fill(&self, path: &Path) -> io::Result<bool> {
        let Some(place) = self.place(path) else {
            return Ok(false);
        };
        let meta = match fs::symlink_metadata(path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let there = fs::symlink_metadata(&place).ok();
        if meta.is_dir() {
            // Git knows no folders, so one with nothing of its own in it is as unknown as a file.
            let mut below = path
                .strip_prefix(&self.root)
                .unwrap_or(path)
                .as_os_str()
                .as_bytes()
                .to_vec();
            below.push(b'/');
            if there.is_none() && !self.known.iter().any(|it| it.starts_with(&below)) {
                fs::create_dir_all(&place)?;
            }
            return Ok(false);
        }
        let inner = path.strip_prefix(&self.root).unwrap_or(path);
        let is_known = self.known.contains(inner.as_os_str().as_bytes());
        match there {
            Some(there) if there.is_file() && meta.is_file() => {
                let is_program = |meta: &fs::Metadata| meta.permissions().mode() & 0o100 != 0;
                if is_program(&there) == is_program(&meta) {
                    let mode = meta.permissions().mode() & 0o7777;
                    fs::set_permissions(&place, Permissions::from_mode(mode))?;
                }
            }
            Some(_) => {}
            None if is_known => {}
            None => {
                if let Some(above) = place.parent() {
                    fs::create_dir_all(above)?;
                }
                if meta.is_symlink() {
                    std::os::unix::fs::symlink(fs::read_link(path)?, &place)?;
                } else if meta.is_file() {
                    fs::copy(path, &place)?;
                }
            }
        }
        Ok(!is_known)
    }
}
