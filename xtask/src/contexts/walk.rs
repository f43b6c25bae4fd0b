//! Reads a part of a context: what is neither ignored nor excluded, with the hashes of its content.
//!
//! Follows BuildKit's walk that sends a context, and its later look at one COPY. `select` says
//! where to begin.

use std::os::fd::AsFd;
use std::sync::Mutex;

use rayon::prelude::*;
use rustix::fs::{CWD, FileType, Mode, OFlags};

use super::read::{Leaf, TreeReader};
use super::stand_in::AtPath;
use super::tree::{Listing, Tree, TreeEntry};
use super::{Input, InputsError};
use crate::unpoisoned::Unpoisoned as _;
use dockerignore::{Above, Handing, Ignore};

/// What stays the same during one walk.
pub struct Walk<'a> {
    pub tree: Tree<'a>,
    pub ignore: &'a Ignore,
    found: Mutex<Vec<Input>>,
}

/// The patterns that leave entries out, applied down to one folder.
#[derive(Clone, Default)]
pub struct Sieve<'a> {
    /// What the ignore file says of the folder.
    pub ignore: Above,
    /// The patterns of `--exclude`, and the byte at which the paths that they see begin.
    pub exclude: Option<(&'a Ignore, usize, Above)>,
}

/// What a sieve says of one entry.
struct Sieved<'a> {
    /// Whether the entry itself is sent (not ignored) and wanted (not excluded).
    own: Through,
    /// How much of it reaches BuildKit, if it is a file.
    handing: Option<Handing>,
    /// Whether anything below it may be sent and wanted.
    may: Through,
    below: Sieve<'a>,
}

impl Sieved<'_> {
    /// How much reaches BuildKit of an entry of this kind, which is no folder; `None` if it is no
    /// input. Only a file can be sent in part.
    fn takes(&self, kind: FileType) -> Option<Handing> {
        let is_file = kind == FileType::RegularFile;
        self.handing
            .filter(|_| self.own.wanted && (self.own.sent || is_file))
    }
}

/// Whether something is sent, and whether it is wanted.
#[derive(Clone, Copy, Default)]
struct Through {
    /// It is part of the context that is sent.
    sent: bool,
    /// The instruction takes it.
    wanted: bool,
}

impl std::ops::BitOrAssign for Through {
    fn bitor_assign(&mut self, other: Self) {
        self.sent |= other.sent;
        self.wanted |= other.wanted;
    }
}

impl<'a> Walk<'a> {
    pub fn new(tree: Tree<'a>, ignore: &'a Ignore) -> Self {
        Self {
            tree,
            ignore,
            found: Mutex::default(),
        }
    }

    /// Everything that was taken, sorted by path, each entry once.
    pub fn finish(self) -> Vec<Input> {
        let mut found = self.found.into_inner().unpoisoned();
        // Parts come in the order in which the threads were done with them. The sort is in place: a
        // stable one would need as much memory again, and equal paths are one entry.
        found.par_sort_unstable_by(|a, b| a.path.cmp(&b.path));
        found.dedup_by(|a, b| a.path == b.path);
        found.shrink_to_fit();
        found
    }

    /// Takes an entry of the tree and everything below it. `sieve` is that of its folder. An empty
    /// path is the context's root.
    pub fn take(
        &self,
        path: &[u8],
        found: &TreeEntry,
        sieve: &Sieve<'_>,
    ) -> Result<(), InputsError> {
        match found {
            TreeEntry::Folder(pile) if path.is_empty() => {
                let below = self.judge(path, sieve)?.below;
                self.folder(path, pile, &below).map(drop)
            }
            TreeEntry::Folder(pile) => self.subfolder(path, pile, sieve).map(drop),
            TreeEntry::Leaf(layer, kind) => {
                if let Some(handing) = self.judge(path, sieve)?.takes(*kind) {
                    let mut leaf = Leaf::new(path.to_vec(), *layer, *kind);
                    leaf.handing = handing;
                    self.single(leaf)?;
                }
                Ok(())
            }
        }
    }

    fn judge<'s>(&self, path: &[u8], sieve: &Sieve<'s>) -> Result<Sieved<'s>, InputsError> {
        let root = path.is_empty();
        let (ignored, ignore) = if root {
            (dockerignore::Judged::default(), Above::default())
        } else {
            self.ignore.judge(path, &sieve.ignore)?
        };
        let sent = !ignored.by_walk;
        let may_send = !ignored.by_both() || self.ignore.may_reach_below(path);
        let mut may_want = may_send;
        let mut excluded = false;
        let exclude = match &sieve.exclude {
            None => None,
            // The source itself is taken, whatever the patterns leave of it.
            Some(whole) if path.len() < whole.1 || root => Some(whole.clone()),
            Some((patterns, from, above)) => {
                let path = &path[*from..];
                let (out, above) = patterns.judge(path, above)?;
                // The patterns are in the key as text, so it is enough to know what may be wanted.
                excluded = out.by_both();
                may_want &= !excluded || patterns.may_reach_below(path);
                Some((*patterns, *from, above))
            }
        };
        let own = Through {
            sent,
            wanted: !excluded,
        };
        let may = Through {
            sent: may_send,
            wanted: may_want,
        };
        Ok(Sieved {
            own,
            handing: ignored.handing(),
            may,
            below: Sieve { ignore, exclude },
        })
    }

    fn subfolder(
        &self,
        path: &[u8],
        pile: &[u16],
        sieve: &Sieve<'_>,
    ) -> Result<Through, InputsError> {
        let Sieved {
            own, may, below, ..
        } = self.judge(path, sieve)?;
        // An unwanted folder may still hold what decides whether a folder above is sent.
        if !may.sent || own.sent && !may.wanted {
            return Ok(Through {
                wanted: false,
                ..own
            });
        }
        let is_state = self.tree.is_state(path, pile);
        // The state is not looked into: files come and go there while this runs.
        if is_state && own.sent && own.wanted {
            return Err(self.tree.own_state(path, ""));
        }
        let mut through = self.folder(path, pile, &below)?;
        if is_state && through.wanted {
            // The folder is left out, but an exception takes in something below it. Docker forgets
            // another pattern for a folder that is left out already. A pattern for what is below it
            // counts.
            return Err(self.tree.own_state(path, "/**"));
        }
        // A folder that is left out is sent all the same if something below it is.
        through.sent |= own.sent;
        through.wanted |= through.sent && own.wanted;
        if through.wanted {
            self.add(vec![Input::folder(path, pile)]);
        }
        Ok(through)
    }

    fn folder(&self, path: &[u8], pile: &[u16], sieve: &Sieve<'_>) -> Result<Through, InputsError> {
        let Listing {
            folders: layers,
            entries,
        } = self.tree.list(path, pile)?;
        let mut through = Through::default();
        let mut leaves = Vec::new();
        let mut folders = Vec::new();
        for (name, found) in entries {
            let path = join(path, name.to_bytes());
            match found {
                TreeEntry::Folder(pile) => folders.push((path, pile)),
                TreeEntry::Leaf(layer, kind) => {
                    let judged = self.judge(&path, sieve)?;
                    let own = judged.own;
                    let wanted = own.sent && own.wanted;
                    through |= Through { wanted, ..own };
                    if let Some(handing) = judged.takes(kind) {
                        leaves.push(Leaf {
                            path,
                            name,
                            layer,
                            kind,
                            handing,
                        });
                    }
                }
            }
        }
        if self.tree.tracer().has_stand_ins() {
            let (stand_ins, real) = self.stand_ins(leaves);
            leaves = real;
            self.add(stand_ins);
        }
        for listed in layers {
            let own = match pile {
                [_] => std::mem::take(&mut leaves),
                _ => {
                    let own = leaves.extract_if(.., |leaf| leaf.layer == listed.layer);
                    own.collect()
                }
            };
            let reader = TreeReader {
                folder: listed.folder.as_fd(),
                disk: &listed.disk,
                listed: Some(&listed.meta),
                tracer: self.tree.tracer(),
            };
            self.add(reader.read(own)?);
            // The folder is closed here. Folders below it are opened by their whole path, so that a
            // deep tree needs no more descriptors than a flat one.
        }
        let below: Vec<_> = match folders.as_slice() {
            [] => Vec::new(),
            [(path, pile)] => vec![self.subfolder(path, pile, sieve)],
            many => many
                .par_iter()
                .map(|(path, pile)| self.subfolder(path, pile, sieve))
                .collect(),
        };
        // In order, so that the same fault is reported whatever the threads did.
        for below in below {
            through |= below?;
        }
        Ok(through)
    }

    /// The inputs that stand in for some of these leaves, and the other leaves.
    fn stand_ins(&self, leaves: Vec<Leaf>) -> (Vec<Input>, Vec<Leaf>) {
        let (mut inputs, mut real) = (Vec::new(), Vec::new());
        for leaf in leaves {
            let disk = self.tree.on_disk(leaf.layer, &leaf.path);
            match self.tree.tracer().at(&disk) {
                AtPath::StandIn(entry) => inputs.push(leaf.standing_in(&entry)),
                AtPath::Nothing => {}
                AtPath::Real => real.push(leaf),
            }
        }
        (inputs, real)
    }

    /// Reads one entry without listing its folder.
    fn single(&self, leaf: Leaf) -> Result<(), InputsError> {
        let (stand_ins, mut real) = self.stand_ins(vec![leaf]);
        self.add(stand_ins);
        let Some(leaf) = real.pop() else {
            return Ok(());
        };
        let folder = parent(&leaf.path);
        let disk = self.tree.on_disk(leaf.layer, folder);
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let open = rustix::fs::openat(CWD, &disk, flags, Mode::empty())
            .map_err(|why| InputsError::reading(&disk, why))?;
        let reader = TreeReader {
            folder: open.as_fd(),
            disk: &disk,
            listed: None,
            tracer: self.tree.tracer(),
        };
        self.add(reader.read(vec![leaf])?);
        Ok(())
    }

    pub fn add(&self, mut inputs: Vec<Input>) {
        let mut found = self.found.lock().unpoisoned();
        found.append(&mut inputs);
    }
}

/// The path of an entry of a folder.
pub fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(folder.len() + 1 + name.len());
    path.extend_from_slice(folder);
    if !folder.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// The path of an entry's folder.
pub fn parent(path: &[u8]) -> &[u8] {
    path.iter()
        .rposition(|byte| *byte == b'/')
        .map_or(b"", |at| &path[..at])
}
