//! Reads entries of one folder: their metadata and the hashes of their content.
//!
//! `walk` chooses the entries.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rayon::prelude::*;
use rustix::fs::{AtFlags, FileType};

use super::attributes::Holder;
use super::hash::{self, HashError, HashedFile};
use super::meta::Meta;
use super::statcache::BookEntry;
use super::tracer::Tracer;
use super::{EntryKind, Input, InputsError};
use dockerignore::Handing;

/// Fewer entries than this are read by one thread.
const MANY: usize = 256;

/// An entry that is wanted and is no folder.
pub struct Leaf {
    /// Relative to the context's root.
    pub path: Vec<u8>,
    /// The last name of the path.
    pub name: CString,
    /// The layer that it is from.
    pub layer: u16,
    /// Its kind, as the listing says.
    pub kind: FileType,
    /// How much of a file reaches BuildKit.
    pub handing: Handing,
}

/// An entry's name, its input, and its metadata if the file system was asked for that.
type Look = (CString, Input, Option<Meta>);

/// Reads entries of one open folder.
pub struct TreeReader<'a> {
    /// The folder.
    pub folder: BorrowedFd<'a>,
    /// Its path on disk.
    pub disk: &'a Path,
    /// What the folder was before its names were read. `None` if not all of them were read.
    pub listed: Option<&'a Meta>,
    /// Records what its entries were.
    pub tracer: &'a Tracer<'a>,
}

impl TreeReader<'_> {
    /// Reads entries of the folder.
    pub fn read(&self, leaves: Vec<Leaf>) -> Result<Vec<Input>, InputsError> {
        let known = self.tracer.cache().folder(self.disk);
        // If nothing is remembered of the folder, the metadata of a file is read once it is open.
        let unseen = known.is_empty();
        let look = |leaf: Leaf| match leaf.kind {
            FileType::RegularFile if unseen => Ok(leaf.unseen()),
            _ => self.look(leaf),
        };
        let looks: Vec<_> = if leaves.len() >= MANY {
            leaves.into_par_iter().map(look).collect()
        } else {
            leaves.into_iter().map(look).collect()
        };
        let mut inputs = Vec::with_capacity(looks.len());
        let mut seen = Vec::with_capacity(looks.len());
        let mut unknown = Vec::new();
        for look in looks {
            let (name, mut input, meta) = look?;
            if input.kind.is_file() {
                match meta.and_then(|meta| known.recall(name.to_bytes(), &meta)) {
                    Some((hash, attributes)) => {
                        input.hash = Some(hash);
                        input.attributes = attributes;
                    }
                    None => unknown.push((name, inputs.len())),
                }
            }
            seen.push(meta);
            inputs.push(input);
        }
        let hash = |(name, at): (CString, usize)| self.hash(&name).map(|hashed| (at, hashed));
        let hashed: Vec<_> = if unknown.len() > 1 {
            unknown.into_par_iter().map(hash).collect()
        } else {
            unknown.into_iter().map(hash).collect()
        };
        let mut learnt = Vec::with_capacity(hashed.len());
        for result in hashed {
            let (at, entry) = result?;
            let input = &mut inputs[at];
            input.hash = Some(entry.hash);
            input.attributes.clone_from(&entry.attributes);
            input.size = entry.meta.size;
            input.mode = entry.meta.permissions();
            seen[at] = Some(entry.meta);
            learnt.push(entry);
        }
        let names = inputs.iter().map(|input| last_name(&input.path));
        let entries: Vec<_> = names
            .zip(seen)
            .filter_map(|(name, meta)| Some((name, meta?)))
            .collect();
        self.tracer
            .read(self.disk, self.listed, entries.into_iter());
        known.learn(learnt, |name| self.has_file(name));
        Ok(inputs)
    }

    fn look(&self, leaf: Leaf) -> Result<Look, InputsError> {
        let file = leaf.file();
        let Leaf {
            path,
            name,
            layer,
            kind,
            ..
        } = leaf;
        let fault = |why| self.fault(&name, HashError::from(why));
        let stat =
            rustix::fs::statat(self.folder, &name, AtFlags::SYMLINK_NOFOLLOW).map_err(fault)?;
        if FileType::from_raw_mode(stat.st_mode) != kind {
            return Err(self.fault(&name, HashError::Changed));
        }
        let meta = Meta::of(&stat);
        let kind = match kind {
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(self.folder, &name, Vec::new());
                EntryKind::Symlink {
                    target: target.map_err(fault)?.into_bytes(),
                }
            }
            FileType::Fifo => EntryKind::Fifo,
            FileType::Socket => EntryKind::Socket,
            FileType::CharacterDevice | FileType::BlockDevice => EntryKind::Device {
                block: kind == FileType::BlockDevice,
                major: rustix::fs::major(stat.st_rdev),
                minor: rustix::fs::minor(stat.st_rdev),
            },
            _ => file,
        };
        // The attributes of a file are read with its content and remembered with its hash.
        let attributes = if kind.is_file() {
            None
        } else {
            let path = self.disk.join(OsStr::from_bytes(name.to_bytes()));
            let read = Holder::At(&path).attributes();
            read.map_err(|why| self.fault(&name, HashError::Io(why)))?
        };
        let size = if kind.is_file() { meta.size } else { 0 };
        let mode = meta.permissions();
        Ok((
            name,
            Input {
                path,
                kind,
                mode,
                size,
                hash: None,
                attributes,
                layer,
            },
            Some(meta),
        ))
    }

    fn has_file(&self, name: &[u8]) -> bool {
        let stat = rustix::fs::statat(self.folder, name, AtFlags::SYMLINK_NOFOLLOW);
        stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
    }

    fn hash(&self, name: &CStr) -> Result<BookEntry, InputsError> {
        match hash::hash(self.folder, name) {
            Ok(HashedFile {
                hash,
                attributes,
                meta,
            }) => Ok(BookEntry {
                name: name.to_bytes().into(),
                meta,
                hash,
                attributes,
            }),
            Err(why) => Err(self.fault(name, why)),
        }
    }

    fn fault(&self, name: &CStr, why: HashError) -> InputsError {
        let path = self.disk.join(OsStr::from_bytes(name.to_bytes()));
        match why {
            HashError::Changed => InputsError::Changed { path },
            HashError::Io(why) => InputsError::reading(&path, why),
        }
    }
}

fn last_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

impl Leaf {
    pub fn new(path: Vec<u8>, layer: u16, kind: FileType) -> Self {
        // Names come from the file system, where none contains a NUL.
        let name = CString::new(last_name(&path)).unwrap_or_default();
        Self {
            path,
            name,
            layer,
            kind,
            handing: Handing::Whole,
        }
    }

    /// Its kind, if it is a file.
    fn file(&self) -> EntryKind {
        match self.handing {
            Handing::Whole => EntryKind::File,
            Handing::Withheld => EntryKind::Withheld,
            Handing::Unsent => EntryKind::Unsent,
        }
    }

    /// The entry that stands in for it, as an input.
    pub fn standing_in(self, entry: &Input) -> Input {
        Input {
            kind: self.file(),
            path: self.path,
            layer: self.layer,
            ..entry.clone()
        }
    }

    /// A file that is hashed later. Its metadata is read then.
    fn unseen(self) -> Look {
        let input = Input {
            kind: self.file(),
            path: self.path,
            mode: 0,
            size: 0,
            hash: None,
            attributes: None,
            layer: self.layer,
        };
        (self.name, input, None)
    }
}
