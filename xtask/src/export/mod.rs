//! The graph in the formats of its neighbours.

pub mod bake;
pub mod bundle;
pub mod compose;
mod mounted;

use std::fs;
use std::io::ErrorKind;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use crate::fault::{Fault, Result};
use crate::outside::state;

/// Writes a file that this program makes as a whole. A file of somebody else, without `mark` in it,
/// stays as it is.
pub fn write_own(path: &Utf8Path, text: &str, mark: &str) -> Result<()> {
    let fault = |error| Fault::lacks(format!("cannot write {path}: {error}"));
    match fs::read(path) {
        Ok(there) if !String::from_utf8_lossy(&there).contains(mark) => {
            return Err(Fault::usage(format!(
                "{path} exists and was not written by `cargo xtask export`: name another file with `--file FILE`, or remove it"
            )));
        }
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(fault(error)),
        Ok(_) | Err(_) => {}
    }
    state::write_atomically(path, text.as_bytes()).map_err(fault)
}

/// A path as seen from a folder; both are absolute and without links.
fn seen_from(folder: &Utf8Path, path: &Utf8Path) -> Utf8PathBuf {
    let mut here = folder.components().peekable();
    let mut there = path.components().peekable();
    while let (Some(one), Some(other)) = (here.peek(), there.peek())
        && one == other
    {
        here.next();
        there.next();
    }
    let up = here.map(|_| Utf8Component::ParentDir);
    let seen: Utf8PathBuf = up.chain(there).collect();
    if seen.as_str().is_empty() {
        return Utf8PathBuf::from(".");
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_as_it_is_seen_from_a_folder() {
        for (folder, path, seen) in [
            ("/a/b", "/a/b/c", "c"),
            ("/a/b", "/a/b", "."),
            ("/a/b", "/a/c/d", "../c/d"),
            ("/a/b", "/a", ".."),
            ("/", "/x", "x"),
        ] {
            assert_eq!(seen_from(folder.into(), path.into()), seen);
        }
    }

    #[test]
    fn only_an_own_file_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = Utf8Path::from_path(folder.path()).unwrap().join("x");
        write_own(&file, "one MARK", "MARK").unwrap();
        write_own(&file, "two MARK", "MARK").unwrap();
        fs::write(&file, "mine").unwrap();
        assert!(write_own(&file, "three MARK", "MARK").is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    }
}
