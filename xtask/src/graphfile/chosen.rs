//! Finds the graph file of a run, and refuses one whose owner this user does not trust: its host
//! commands would run as this user.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};

use crate::fault::{Fault, Result};
use crate::graphfile::call::{Call, quoted};
use crate::graphfile::options::GraphOptions;
use crate::outside::git;
use crate::outside::interrupt::Interrupt;
use crate::shown;

/// The file name to look for.
pub const NAME: &str = "build-graph.toml";

/// A graph file whose commands may run.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The file, as a person in the current folder would write it.
    pub file: Utf8PathBuf,
    /// What the call lays over it.
    pub options: GraphOptions,
    /// How to call the program on it again.
    pub call: Call,
}

impl Chosen {
    /// The graph file `graph`, or the nearest one from the current folder upwards. The search ends
    /// at the root of the git checkout. A file of an untrusted owner is refused.
    pub fn of(graph: Option<&Utf8Path>, options: GraphOptions) -> Result<Self> {
        let file = match graph {
            Some(file) => file.to_owned(),
            None => nearest()?,
        };
        refuse_foreign(&file)?;
        Ok(Self {
            file,
            call: Call::with(graph, &options),
            options,
        })
    }
}

/// Where the search ended.
enum End {
    Found(Utf8PathBuf),
    /// At the root of a git checkout, this many folders up.
    Checkout(usize),
    /// At the root of the file system.
    Root,
}

fn nearest() -> Result<Utf8PathBuf> {
    let here = std::env::current_dir()
        .map_err(|error| Fault::usage(format!("cannot find the current folder: {error}")))?;
    let shown = |path: &Path| path.display().to_string();
    let searched = match search(&here) {
        End::Found(file) => return Ok(file),
        End::Checkout(0) => format!("{}, the root of its git checkout", shown(&here)),
        End::Checkout(up) => {
            let root = here.ancestors().nth(up).unwrap_or(&here);
            format!(
                "{} or above it, up to {}, the root of its git checkout",
                shown(&here),
                shown(root)
            )
        }
        End::Root => format!("{} or any folder above it", shown(&here)),
    };
    Err(Fault::usage(format!(
        "there is no {NAME} in {searched}: name one with `--graph FILE`, or write one with `{} init`",
        shown::program()
    )))
}

/// Looks in `here`, then in each folder above it. The path of the file is relative to `here`.
fn search(here: &Path) -> End {
    let mut up = Utf8PathBuf::new();
    for (count, folder) in here.ancestors().enumerate() {
        // A broken link is reported as an error. The search does not go on to another graph.
        let is_there = fs::symlink_metadata(folder.join(NAME)).is_ok_and(|meta| !meta.is_dir());
        if is_there {
            return End::Found(up.join(NAME));
        }
        // `.git` is a file in a worktree or submodule.
        if fs::symlink_metadata(folder.join(".git")).is_ok() {
            return End::Checkout(count);
        }
        up.push("..");
    }
    End::Root
}

/// Refuses a graph file whose owner this user has no reason to trust: its host commands run as this
/// user. Git refuses repositories for the same reason, by the same rules.
fn refuse_foreign(file: &Utf8Path) -> Result<()> {
    let me = rustix::process::geteuid().as_raw();
    let sudo = std::env::var("SUDO_UID").ok();
    let sudo = sudo.and_then(|id| id.parse().ok());
    // The owner of a link chooses the file, and the folder in which host commands start.
    let owners = [fs::metadata(file), fs::symlink_metadata(file)];
    let owners = owners.into_iter().flatten().map(|meta| meta.uid());
    let Some(owner) = owners
        .into_iter()
        .find(|owner| !is_trusted(*owner, me, sudo))
    else {
        return Ok(());
    };
    let folder = std::path::absolute(file).ok();
    let folder = folder.and_then(|file| fs::canonicalize(file.parent()?).ok());
    let folder = folder.unwrap_or_default();
    let is_root = |folder: &&Path| fs::symlink_metadata(folder.join(".git")).is_ok();
    let checkout = folder.ancestors().find(is_root).unwrap_or(&folder);
    let safe = git::safe_directories(&Interrupt::default());
    if is_safe(&safe, &folder) || is_safe(&safe, checkout) {
        return Ok(());
    }
    let remedy = format!(
        "git config --global --add safe.directory {}",
        quoted(&checkout.display().to_string())
    );
    Err(Fault::usage(format!(
        "the graph file {file} belongs to user {owner}, and this is user {me}: its `prepare` would run commands of another user; where you trust that user, run `{remedy}`, which is git's own exception"
    )))
}

/// Whether commands of `owner` may run as `me`. Root can do anything anyway, and a user who called
/// sudo runs his own file.
fn is_trusted(owner: u32, me: u32, sudo: Option<u32>) -> bool {
    owner == 0 || owner == me || me == 0 && sudo == Some(owner)
}

/// Whether git's `safe.directory` covers a folder. An empty value clears those before it
/// (git-config(1)).
fn is_safe(values: &[String], folder: &Path) -> bool {
    let start = values.iter().rposition(String::is_empty);
    let values = &values[start.map_or(0, |at| at + 1)..];
    let real = |path: &str| fs::canonicalize(path).unwrap_or_else(|_| path.into());
    values.iter().any(|value| match value.strip_suffix("/*") {
        _ if value == "*" => true,
        Some(above) => folder != real(above) && folder.starts_with(real(above)),
        None => folder == real(value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_graph_is_found_and_none_beyond_the_checkout() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("out/checkout/a/b")).unwrap();
        fs::write(at("out").join(NAME), "").unwrap();
        let found = |path: &str| match search(&at(path)) {
            End::Found(file) => Ok(file.into_string()),
            End::Checkout(up) => Err(Some(up)),
            End::Root => Err(None),
        };
        assert_eq!(found("out/checkout/a/b"), Ok(format!("../../../{NAME}")));
        // A worktree's `.git` is a file.
        fs::write(at("out/checkout/.git"), "gitdir: /x").unwrap();
        assert_eq!(found("out/checkout/a/b"), Err(Some(2)));
        assert_eq!(found("out/checkout"), Err(Some(0)));
        fs::write(at("out/checkout").join(NAME), "").unwrap();
        assert_eq!(found("out/checkout/a/b"), Ok(format!("../../{NAME}")));
        fs::create_dir(at("out/checkout/a").join(NAME)).unwrap();
        assert_eq!(found("out/checkout/a/b"), Ok(format!("../../{NAME}")));
        std::os::unix::fs::symlink("nowhere", at("out/checkout/a/b").join(NAME)).unwrap();
        assert_eq!(found("out/checkout/a/b"), Ok(NAME.to_owned()));
    }

    #[test]
    fn the_own_user_root_and_the_one_behind_sudo_are_trusted() {
        assert!(is_trusted(7, 7, None));
        assert!(is_trusted(0, 7, None));
        assert!(is_trusted(7, 0, Some(7)));
        assert!(!is_trusted(8, 7, None));
        assert!(!is_trusted(7, 0, None));
        assert!(!is_trusted(8, 0, Some(7)));
        // Anybody can set the variable.
        assert!(!is_trusted(8, 7, Some(8)));
    }

    #[test]
    fn a_safe_directory_is_read_as_git_reads_it() {
        let safe = |values: &[&str], folder: &str| {
            let values: Vec<String> = values.iter().map(|&value| value.to_owned()).collect();
            is_safe(&values, Path::new(folder))
        };
        assert!(safe(&["/x", "/none/a"], "/none/a"));
        assert!(safe(&["*"], "/none/a"));
        assert!(safe(&["/none/*"], "/none/a/b"));
        assert!(!safe(&["/none/*"], "/none"));
        assert!(!safe(&["/none/a"], "/none/a/b"));
        assert!(!safe(&["/none/a", ""], "/none/a"));
        assert!(safe(&["", "/none/a"], "/none/a"));
        assert!(!safe(&[], "/none/a"));
    }
}
