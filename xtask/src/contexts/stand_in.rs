//! Entries that stand in for files which are not there yet: what a host command would make, as a
//! shared record tells it.
//!
//! A stage whose inputs they are gets the key that it would have with the files. Nothing is built
//! from stand-ins: the files come first.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::{EntryKind, Input};

/// What counts at a path.
#[derive(Debug, Clone)]
pub(super) enum AtPath {
    /// What is really there.
    Real,
    /// Nothing, whatever is really there: the command would make nothing of this name.
    Nothing,
    /// This entry.
    StandIn(Input),
}

/// What stands in, by the absolute path.
#[derive(Debug, Default)]
pub(super) struct StandIns {
    entries: BTreeMap<PathBuf, Input>,
    /// The outputs themselves: nothing that is really there counts at or below these.
    tops: Vec<PathBuf>,
}

impl StandIns {
    /// Adds entries whose paths begin at `folder`, and which are all that is at or below `tops`.
    pub(super) fn add(&mut self, folder: &Path, tops: &[PathBuf], entries: &[Input]) {
        for top in tops {
            self.add_missing_folders(folder, top);
            self.tops.push(folder.join(top));
        }
        for entry in entries {
            let path = folder.join(OsStr::from_bytes(&entry.path));
            self.entries.insert(path, entry.clone());
        }
    }

    /// The command makes the folders that lead to its outputs, too.
    fn add_missing_folders(&mut self, folder: &Path, top: &Path) {
        let above = top.ancestors().skip(1);
        for inner in above.filter(|inner| !inner.as_os_str().is_empty()) {
            let path = folder.join(inner);
            if path.symlink_metadata().is_err() {
                let entry = Input::folder(inner.as_os_str().as_bytes(), &[]);
                self.entries.insert(path, entry);
            }
        }
    }

    /// What stands in, without what is below.
    pub(super) fn tops(&self) -> impl Iterator<Item = &Path> {
        self.tops.iter().map(PathBuf::as_path)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tops.is_empty()
    }

    /// What counts at a path.
    pub(super) fn at(&self, path: &Path) -> AtPath {
        match self.entries.get(path) {
            Some(entry) => AtPath::StandIn(entry.clone()),
            None if self.tops.iter().any(|top| path.starts_with(top)) => AtPath::Nothing,
            None => AtPath::Real,
        }
    }

    /// The names of what stands in right below a folder.
    pub(super) fn below(&self, folder: &Path) -> Vec<(CString, FileType)> {
        let after = self.entries.range(folder.to_owned()..);
        let within = after.take_while(|(path, _)| path.starts_with(folder));
        let own = within.filter(|(path, _)| path.parent() == Some(folder));
        own.filter_map(|(path, entry)| {
            let name = CString::new(path.file_name()?.as_bytes()).ok()?;
            Some((name, kind(entry)))
        })
        .collect()
    }
}

/// The kind of an entry. Only files and folders stand in.
pub(super) fn kind(entry: &Input) -> FileType {
    match entry.kind {
        EntryKind::Dir => FileType::Directory,
        _ => FileType::RegularFile,
    }
}
