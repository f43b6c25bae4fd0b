//! A context with its overlays, laid out in one folder for BuildKit to read.
//!
//! Knows the merged tree. Files are copied (where the file system can, without their bytes): a
//! hard link would be cheaper, but it changes the user's own files' link count and change time.

use std::ffi::OsStr;
use std::fs;
use std::io::{Error, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use camino::Utf8Path;

use super::select::{self, Found};
use super::{Ignore, InputsError, Kind, Layers};

/// Lays the context out in `into`, which is made anew.
pub fn materialise(layers: &Layers, ignore: &Ignore, into: &Utf8Path) -> Result<(), InputsError> {
    let into = into.as_std_path();
    let unwritable = |error| InputsError::Unreadable(into.to_owned(), error);
    match fs::remove_dir_all(into) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(unwritable(error)),
        _ => fs::create_dir_all(into).map_err(unwritable)?,
    }
    // Sorted, so a folder comes before what is in it.
    let all = select::whole(layers, ignore)?;
    let places = |found: &Found| {
        (
            layers.place(found.layer, &found.path),
            into.join(OsStr::from_bytes(&found.path)),
        )
    };
    for found in &all {
        let (from, to) = places(found);
        lay(found, &from, &to).map_err(|error| InputsError::Unreadable(from, error))?;
    }
    // A folder's own bits come last: they may forbid to write into it.
    for found in all.iter().rev().filter(|found| found.kind == Kind::Dir) {
        let (from, to) = places(found);
        let done = fs::set_permissions(to, found.meta.permissions());
        done.map_err(|error| InputsError::Unreadable(from, error))?;
    }
    Ok(())
}

fn lay(found: &Found, from: &Path, to: &Path) -> Result<(), Error> {
    match &found.kind {
        Kind::Dir => fs::create_dir_all(to),
        Kind::Symlink { .. } => symlink(fs::read_link(from)?, to),
        Kind::File => fs::copy(from, to).map(drop),
        Kind::Fifo => {
            let mode = rustix::fs::Mode::from_raw_mode(select::mode(&found.meta));
            rustix::fs::mknodat(rustix::fs::CWD, to, rustix::fs::FileType::Fifo, mode, 0)
                .map_err(Error::from)
        }
        // BuildKit sends neither.
        Kind::Socket | Kind::Device => Ok(()),
    }
}
