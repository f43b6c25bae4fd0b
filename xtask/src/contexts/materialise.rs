//! Lays out a merged context as one folder for BuildKit to read.
//!
//! Everything that is not ignored is laid out, wanted or not. Files are copied, and share their
//! bytes where the file system can do that. Hard links would be cheaper, but they touch the user's
//! own files: git and the stat cache would see new change times and read every file again.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use camino::Utf8Path;
use rayon::prelude::*;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Stat, Timespec, Timestamps};

use super::attributes;
use super::tree::{Tree, TreeEntry};
use super::walk::join;
use super::{InputsError, Layers, StatCache, Tracer};
use dockerignore::{Above, Ignore};

/// Lays out the layers' entries that are not ignored in a new folder, which replaces `into` when it
/// is complete. Only one call at a time may do so for the same `into`. What lies in `states` is
/// this program's own and is left out.
pub fn materialise(
    layers: &Layers,
    ignore: &Ignore,
    states: &Utf8Path,
    into: &Utf8Path,
) -> Result<(), InputsError> {
    // The name is always the same, so that what a killed run left is replaced, not added to.
    let name = format!(".merging-{}", into.file_name().unwrap_or_default());
    let into = into.as_std_path();
    let fault = |why: io::Error| InputsError::writing(into, why);
    let beside = into.parent().filter(|path| !path.as_os_str().is_empty());
    let beside = beside.unwrap_or(Path::new("."));
    fs::create_dir_all(beside).map_err(fault)?;
    let cache = StatCache::in_memory();
    let tracer = Tracer::forgetful(&cache).beside(states.as_std_path());
    let tree = Tree::new(&layers.folders, &tracer);
    tree.check()?;
    remove(&beside.join(&name)).map_err(fault)?;
    let new = tempfile::Builder::new()
        .prefix(&name)
        .rand_bytes(0)
        .tempdir_in(beside)
        .map_err(fault)?;

    let layout = Layout {
        tree,
        ignore,
        root: new.path(),
    };
    layout.fill(b"", &tree.root(), &Above::default())?;
    layout.finish_folder(b"", &tree.root())?;

    remove(into).map_err(fault)?;
    fs::rename(new.path(), into).map_err(fault)?;
    // The folder was renamed, so there is nothing to remove.
    let _ = new.keep();
    Ok(())
}

/// Removes whatever is there. If that fails, makes all folders writable, as upstream may have made
/// them read-only, and tries again.
fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => return fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    fs::remove_dir_all(path).or_else(|_| {
        open_up(path)?;
        fs::remove_dir_all(path)
    })
}

fn open_up(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

struct Layout<'a> {
    tree: Tree<'a>,
    ignore: &'a Ignore,
    root: &'a Path,
}

impl Layout<'_> {
    /// Lays out a folder's entries. Returns whether there were any.
    fn fill(&self, path: &[u8], pile: &[u16], above: &Above) -> Result<bool, InputsError> {
        let entries = self.tree.list(path, pile)?.entries;
        let laid: Vec<_> = entries
            .par_iter()
            .map(|(name, found)| self.entry(&join(path, name.to_bytes()), found, above))
            .collect();
        let mut any = false;
        for laid in laid {
            any |= laid?;
        }
        Ok(any)
    }

    fn entry(&self, path: &[u8], found: &TreeEntry, above: &Above) -> Result<bool, InputsError> {
        let (judged, below) = self.ignore.judge(path, above)?;
        let out = judged.by_both();
        match found {
            // BuildKit applies the ignore file that it finds, even one that leaves itself out.
            TreeEntry::Leaf(..) if out && path != b".dockerignore" => Ok(false),
            TreeEntry::Leaf(layer, kind) => self.leaf(path, *layer, *kind),
            TreeEntry::Folder(_) if out && !self.ignore.may_reach_below(path) => Ok(false),
            // The merged context itself lies in the state folder.
            TreeEntry::Folder(pile) if self.tree.is_state(path, pile) => Ok(false),
            TreeEntry::Folder(pile) => {
                let new = self.place(path);
                let writing = |why: io::Error| InputsError::writing(&new, why);
                fs::create_dir(&new).map_err(writing)?;
                // An ignored folder is laid out only for what is below it.
                if !self.fill(path, pile, &below)? && out {
                    fs::remove_dir(&new).map_err(writing)?;
                    return Ok(false);
                }
                self.finish_folder(path, pile)?;
                Ok(true)
            }
        }
    }

    /// Gives a merged folder the permissions and times of upstream's, so that those of an overlay
    /// do not show in the image.
    fn finish_folder(&self, path: &[u8], pile: &[u16]) -> Result<(), InputsError> {
        let Some(lowest) = pile.first() else {
            return Ok(());
        };
        let disk = self.tree.on_disk(*lowest, path);
        let stat = rustix::fs::stat(&disk).map_err(|why| InputsError::reading(&disk, why))?;
        let new = self.place(path);
        self.attributes(&disk, &new)?;
        dress(&new, &stat).map_err(|why| InputsError::writing(&new, why))
    }

    fn leaf(&self, path: &[u8], layer: u16, kind: FileType) -> Result<bool, InputsError> {
        let (disk, new) = (self.tree.on_disk(layer, path), self.place(path));
        let reading = |why: rustix::io::Errno| InputsError::reading(&disk, why);
        let writing = |why: io::Error| InputsError::writing(&new, why);
        let stat = rustix::fs::statat(CWD, &disk, AtFlags::SYMLINK_NOFOLLOW).map_err(reading)?;
        match kind {
            FileType::RegularFile => {
                let mut from =
                    fs::File::open(&disk).map_err(|why| InputsError::reading(&disk, why))?;
                let mut to = fs::File::create_new(&new).map_err(writing)?;
                io::copy(&mut from, &mut to).map_err(writing)?;
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(CWD, &disk, Vec::new()).map_err(reading)?;
                rustix::fs::symlinkat(&target, CWD, &new).map_err(|why| writing(why.into()))?;
                self.attributes(&disk, &new)?;
                times(&new, &stat).map_err(writing)?;
                return Ok(true);
            }
            other => {
                let mode = Mode::from_raw_mode(stat.st_mode);
                rustix::fs::mknodat(CWD, &new, other, mode, stat.st_rdev)
                    .map_err(|why| writing(why.into()))?;
            }
        }
        self.attributes(&disk, &new)?;
        dress(&new, &stat).map_err(writing)?;
        Ok(true)
    }

    fn attributes(&self, from: &Path, to: &Path) -> Result<(), InputsError> {
        attributes::copy(from, to).map_err(|fault| match fault {
            attributes::CopyError::Reading(why) => InputsError::reading(from, why),
            attributes::CopyError::Setting(name, why) => InputsError::Attribute {
                path: from.to_owned(),
                name: name.to_string_lossy().into_owned(),
                why,
            },
        })
    }

    fn place(&self, path: &[u8]) -> PathBuf {
        if path.is_empty() {
            self.root.to_owned()
        } else {
            self.root.join(OsStr::from_bytes(path))
        }
    }
}

/// Gives a new entry the permissions and times of its original. BuildKit sends a file again if its
/// times are not those that BuildKit knows.
fn dress(new: &Path, stat: &Stat) -> io::Result<()> {
    rustix::fs::chmod(new, Mode::from_raw_mode(stat.st_mode))?;
    times(new, stat)
}

fn times(new: &Path, stat: &Stat) -> io::Result<()> {
    let spec = |tv_sec: i64, nanoseconds: u64| Timespec {
        tv_sec,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or_default(),
    };
    let times = Timestamps {
        last_access: spec(stat.st_atime, stat.st_atime_nsec),
        last_modification: spec(stat.st_mtime, stat.st_mtime_nsec),
    };
    Ok(rustix::fs::utimensat(
        CWD,
        new,
        &times,
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}
