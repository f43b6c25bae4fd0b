//! The graph in the formats of its neighbours.

pub mod bake;
pub mod bundle;
pub mod compose;
mod mounted;

use std::fs;
use std::io::{ErrorKind, Write as _};

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use crate::fault::{Fault, Result};
use crate::outside::state;

/// A file that this program makes as a whole.
#[derive(Debug, Clone, Copy)]
pub struct OwnFile<'f> {
    /// What every such file has in it.
    pub mark: &'f str,
    /// The command that writes it, and its flag that names another file.
    pub by: [&'f str; 2],
}

/// Writes a file that this program makes as a whole. A file of somebody else, without the mark in
/// it, stays as it is. Where something else stands than a file, such as a pipe, the text goes
/// there.
pub fn write_own(path: &Utf8Path, text: &str, own: &OwnFile<'_>) -> Result<()> {
    let fault = |error| Fault::lacks(format!("cannot write {path}: {error}"));
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return state::write_atomically(path, text.as_bytes()).map_err(fault);
        }
        Err(error) => return Err(fault(error)),
    };
    if !meta.is_file() {
        let opened = fs::File::options().write(true).open(path);
        return opened
            .and_then(|mut to| to.write_all(text.as_bytes()))
            .map_err(fault);
    }
    let there = fs::read(path).map_err(fault)?;
    if !String::from_utf8_lossy(&there).contains(own.mark) {
        let [command, flag] = own.by;
        return Err(Fault::usage(format!(
            "{path} exists and was not written by `cargo xtask {command}`: name another file with `{flag} FILE`, or remove it"
        )));
    }
    // A link stays one.
    let place = path.canonicalize_utf8().map_err(fault)?;
    state::write_atomically(&place, text.as_bytes()).map_err(fault)
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
        let own = OwnFile {
            mark: "MARK",
            by: ["export bake", "--file"],
        };
        write_own(&file, "one MARK", &own).unwrap();
        write_own(&file, "two MARK", &own).unwrap();
        let link = file.with_file_name("link");
        std::os::unix::fs::symlink("x", &link).unwrap();
        write_own(&link, "three MARK", &own).unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "three MARK");
        fs::write(&file, "mine").unwrap();
        assert!(write_own(&file, "four MARK", &own).is_err());
        assert!(write_own(&link, "four MARK", &own).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
        // A device takes the text, and stays.
        write_own("/dev/null".into(), "five", &own).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        assert!(write_own("/dev/full".into(), "six", &own).is_err());
    }
}
