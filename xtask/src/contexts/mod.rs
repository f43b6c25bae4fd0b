//! Finds the entries of a build context that can change the image, and hashes their content.
//!
//! Follows BuildKit: the ignore file decides first, then what the instructions touch.

mod absent;
mod attributes;
mod error;
mod hash;
mod looks;
mod materialise;
mod meta;
mod read;
mod select;
mod snapshot;
mod stand_in;
mod statcache;
#[cfg(test)]
mod tests;
mod trace;
mod tracer;
mod tree;
mod walk;
mod worth;

use camino::Utf8PathBuf;

pub use absent::{Absent, absent};
pub use attributes::Attributes;
pub use error::InputsError;
pub use materialise::materialise;
pub use snapshot::{Snapshot, Sum};
pub use statcache::StatCache;
pub use trace::{Trace, is_current};
pub use tracer::{Noticed, Tracer, read_file, read_own_file};

use dockerfile::ContextNeed;
use dockerignore::Ignore;
use tree::{Tree, TreeEntry};
use walk::{Sieve, Walk};

/// One context as a pile of folders. The first is upstream's tree. The others are context overlays
/// laid over it; the last one wins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layers {
    /// The folders, lowest first.
    pub folders: Vec<Utf8PathBuf>,
}

/// The entries of one context that can change the image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inputs {
    /// The entries, sorted bytewise by path.
    pub entries: Vec<Input>,
    /// Why the whole context counts, if it does.
    pub whole: Option<String>,
    /// The size of all files together.
    pub bytes: u64,
}

impl Inputs {
    /// Adds the entries of the same context for another platform.
    pub fn add(&mut self, other: Self) {
        self.entries.extend(other.entries);
        self.entries.sort_by(|a, b| a.path.cmp(&b.path));
        self.entries.dedup_by(|a, b| a.path == b.path);
        self.whole = self.whole.take().or(other.whole);
        self.bytes = self.entries.iter().map(|entry| entry.size).sum();
    }
}

/// One entry of a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Relative to the context's root, `/`-separated.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits with setuid, setgid and sticky. A folder's are always 0755: BuildKit
    /// does not look at them.
    pub mode: u32,
    /// A file's size in bytes.
    pub size: u64,
    /// blake3 of a file's content.
    pub hash: Option<[u8; 32]>,
    /// Its extended attributes that count. A folder never has any: BuildKit does not look at them.
    pub attributes: Attributes,
    /// The layer that it is from. For a merged folder, the lowest one.
    pub layer: u16,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File,
    /// A file that BuildKit hears of and whose content it is not given: the ignore file says both.
    /// The result depends on what BuildKit was sent before, so the content counts too.
    Withheld,
    /// A file that BuildKit never hears of, although the ignore file alone would not leave it out.
    Unsent,
    /// A folder.
    Dir,
    /// A link.
    Symlink {
        /// Its text.
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A socket, which BuildKit sends as an empty file.
    Socket,
    /// A device file.
    Device {
        /// A block device; else a character device.
        block: bool,
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
}

impl EntryKind {
    fn is_file(&self) -> bool {
        matches!(self, Self::File | Self::Withheld | Self::Unsent)
    }
}

impl Input {
    fn folder(path: &[u8], pile: &[u16]) -> Self {
        let layer = pile.first().copied().unwrap_or_default();
        Self {
            path: path.to_vec(),
            kind: EntryKind::Dir,
            mode: 0o755,
            size: 0,
            hash: None,
            attributes: None,
            layer,
        }
    }
}

/// Reads everything that `need` takes from the context and that `ignore` leaves in it. `tracer`
/// records every look.
pub fn collect(
    layers: &Layers,
    ignore: &Ignore,
    need: &ContextNeed,
    tracer: &Tracer<'_>,
) -> Result<Inputs, InputsError> {
    let tree = Tree::new(&layers.folders, tracer);
    let walk = Walk::new(tree, ignore);
    let mut whole = None;
    match need {
        ContextNeed::Nothing => tree.check()?,
        ContextNeed::Paths(needs) => {
            tree.check()?;
            whole = select::take(&walk, needs)?;
        }
        ContextNeed::Whole { because } => {
            whole = Some(because.clone());
            walk.take(b"", &TreeEntry::Folder(tree.root()), &Sieve::default())?;
        }
    }
    let entries = walk.finish();
    let bytes = entries.iter().map(|input| input.size).sum();
    Ok(Inputs {
        entries,
        whole,
        bytes,
    })
}
