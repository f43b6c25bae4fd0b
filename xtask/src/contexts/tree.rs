//! A pile of folders seen as one tree.
//!
//! A folder over a folder merges with it. Anything else replaces what was below. Links are never
//! followed here, except the roots themselves.

use std::ffi::{CString, OsStr};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use camino::Utf8PathBuf;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;

use super::InputsError;
use super::meta::Meta;
use super::stand_in::AtPath;
use super::tracer::Tracer;
use crate::outside::state;

/// The numbers of the layers in which a folder is a folder, lowest first.
pub type Pile = Vec<u16>;

/// The merged tree of a context.
#[derive(Debug, Clone, Copy)]
pub struct Tree<'a> {
    roots: &'a [Utf8PathBuf],
    tracer: &'a Tracer<'a>,
}

/// One entry of the merged tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeEntry {
    /// A folder.
    Folder(Pile),
    /// Anything else, with the layer that it is from.
    Leaf(u16, FileType),
}

/// A folder's entries, sorted by name.
#[derive(Debug)]
pub struct Listing {
    /// The folder of each layer of its pile.
    pub folders: Vec<Listed>,
    /// Names and what they are.
    pub entries: Vec<(CString, TreeEntry)>,
}

/// One layer's folder whose names were read.
#[derive(Debug)]
pub struct Listed {
    /// The layer.
    pub layer: u16,
    /// The folder, open.
    pub folder: OwnedFd,
    /// Its path on disk.
    pub disk: PathBuf,
    /// Its metadata before its names were read.
    pub meta: Meta,
}

impl<'a> Tree<'a> {
    pub fn new(roots: &'a [Utf8PathBuf], tracer: &'a Tracer<'a>) -> Self {
        Self { roots, tracer }
    }

    /// The tracer, which records every look.
    pub fn tracer(&self) -> &'a Tracer<'a> {
        self.tracer
    }

    /// Checks that every root is a folder, which would otherwise show only when it is listed.
    pub fn check(&self) -> Result<(), InputsError> {
        for root in self.roots {
            open(root.as_std_path(), true)?;
            // If a root is a link, a check of the trace finds another kind there, and the tree is
            // read again.
            let kind = Some(FileType::Directory);
            self.tracer.looked_up(root.as_std_path(), kind);
        }
        Ok(())
    }

    /// Whether a folder is the state of a graph, in the folder where this program keeps its own.
    pub fn is_state(&self, path: &[u8], pile: &[u16]) -> bool {
        let (folder, name) = parent_and_name(path);
        let Some(states) = self.tracer.states().filter(|_| state::is_of_graph(name)) else {
            return false;
        };
        pile.iter()
            .any(|layer| self.on_disk(*layer, folder) == states)
    }

    /// The fault of a state that would be an input. `below` ends the pattern that leaves it out.
    pub fn own_state(&self, path: &[u8], below: &str) -> InputsError {
        let (folder, _) = parent_and_name(path);
        // Characters that have a meaning in patterns are escaped.
        let mut pattern = String::new();
        for c in String::from_utf8_lossy(folder).chars() {
            if "*?[]\\!#".contains(c) {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        if !pattern.is_empty() {
            pattern.push('/');
        }
        InputsError::OwnState {
            folder: self.tracer.states().unwrap_or(Path::new("")).to_owned(),
            pattern: pattern + "graph-*" + below,
        }
    }

    /// The pile of the tree's root.
    pub fn root(&self) -> Pile {
        (0..).take(self.roots.len()).collect()
    }

    /// Where an entry of a layer lies on disk.
    pub fn on_disk(&self, layer: u16, path: &[u8]) -> PathBuf {
        let root = self.roots[usize::from(layer)].as_std_path();
        if path.is_empty() {
            root.to_owned()
        } else {
            root.join(OsStr::from_bytes(path))
        }
    }

    /// Lists a folder.
    pub fn list(&self, path: &[u8], pile: &[u16]) -> Result<Listing, InputsError> {
        let mut folders = Vec::with_capacity(pile.len());
        let mut entries: Vec<(CString, TreeEntry)> = Vec::new();
        for &layer in pile {
            let disk = self.on_disk(layer, path);
            let stand_ins = self.tracer.stand_ins_below(&disk);
            let is_stand_in = matches!(self.tracer.at(&disk), AtPath::StandIn(_));
            entries.extend(
                stand_ins
                    .into_iter()
                    .map(|(name, kind)| (name, found(layer, kind))),
            );
            if is_stand_in {
                continue;
            }
            let folder = open(&disk, path.is_empty())?;
            let stat =
                rustix::fs::fstat(&folder).map_err(|why| InputsError::reading(&disk, why))?;
            read_names(&folder, &disk, &mut |name, kind| {
                let path = || disk.join(OsStr::from_bytes(name.to_bytes()));
                if !self.tracer.has_stand_ins() || matches!(self.tracer.at(&path()), AtPath::Real) {
                    entries.push((name, found(layer, kind)));
                }
            })?;
            let meta = Meta::of(&stat);
            folders.push(Listed {
                layer,
                folder,
                disk,
                meta,
            });
        }
        // A stable sort, so that equal names stay in the order of their layers.
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        if pile.len() > 1 {
            entries.dedup_by(|upper, lower| {
                let same = upper.0 == lower.0;
                if same {
                    lay_over(&mut lower.1, &upper.1);
                }
                same
            });
        }
        Ok(Listing { folders, entries })
    }

    /// The entry at a path whose folder has this pile.
    pub fn find(&self, path: &[u8], pile: &[u16]) -> Result<Option<TreeEntry>, InputsError> {
        let mut merged: Option<TreeEntry> = None;
        for &layer in pile {
            let disk = self.on_disk(layer, path);
            match self.tracer.at(&disk) {
                AtPath::Real => {}
                AtPath::Nothing => continue,
                AtPath::StandIn(entry) => {
                    let upper = found(layer, Tracer::kind_of_stand_in(&entry));
                    match &mut merged {
                        Some(lower) => lay_over(lower, &upper),
                        None => merged = Some(upper),
                    }
                    continue;
                }
            }
            let stat = match rustix::fs::statat(CWD, &disk, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT | Errno::NOTDIR) => {
                    self.tracer.looked_up(&disk, None);
                    continue;
                }
                Err(why) => return Err(InputsError::reading(&disk, why)),
            };
            let kind = FileType::from_raw_mode(stat.st_mode);
            self.tracer.looked_up(&disk, Some(kind));
            let upper = found(layer, kind);
            match &mut merged {
                Some(lower) => lay_over(lower, &upper),
                None => merged = Some(upper),
            }
        }
        Ok(merged)
    }
}

fn parent_and_name(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

fn found(layer: u16, kind: FileType) -> TreeEntry {
    match kind {
        FileType::Directory => TreeEntry::Folder(vec![layer]),
        other => TreeEntry::Leaf(layer, other),
    }
}

fn lay_over(lower: &mut TreeEntry, upper: &TreeEntry) {
    match (lower, upper) {
        (TreeEntry::Folder(pile), TreeEntry::Folder(over)) => pile.extend_from_slice(over),
        (lower, upper) => *lower = upper.clone(),
    }
}

fn open(path: &Path, is_root: bool) -> Result<OwnedFd, InputsError> {
    let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    flags.set(OFlags::NOFOLLOW, !is_root);
    rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|why| {
        if is_root {
            InputsError::NoFolder {
                path: path.to_owned(),
                why: why.into(),
            }
        } else {
            InputsError::reading(path, why)
        }
    })
}

fn read_names(
    folder: &OwnedFd,
    path: &Path,
    take: &mut dyn FnMut(CString, FileType),
) -> Result<(), InputsError> {
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut names = RawDir::new(folder, &mut buffer);
    while let Some(entry) = names.next() {
        let entry = entry.map_err(|why| InputsError::reading(path, why))?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let mut kind = entry.file_type();
        if kind == FileType::Unknown {
            // Some file systems do not give the kind in the listing.
            let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|why| InputsError::reading(path, why))?;
            kind = FileType::from_raw_mode(stat.st_mode);
        }
        take(name.to_owned(), kind);
    }
    Ok(())
}
