//! All looks at trees as one sum, which shows every touch.
//!
//! Compares what was seen before something with what is seen after it. `tracer` records the looks.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::meta::Meta;
use super::trace::{Sight, begin, put_entry};

/// A sum over all looks, including the times of folders. If the sum and `above` are the same a
/// second time, nothing was touched in between, not even changed and put back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    sum: Sum,
    /// The folders through which everything was reached, except those whose times are in the sum.
    above: BTreeSet<Vec<u8>>,
}

/// A sum over recorded looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum([u64; 4]);

impl Snapshot {
    pub(super) fn new(sum: Sum, above: BTreeSet<Vec<u8>>) -> Self {
        Self { sum, above }
    }

    /// A sum over the folders above what was seen, as they are now. Moving such a folder away and
    /// putting another in its place leaves no trace in what was seen, but putting the first one
    /// back touches these folders. It is enough to compare this sum right before something is done
    /// with what was seen.
    pub fn above(&self) -> Sum {
        let mut sum = Sum::default();
        for folder in &self.above {
            let path: &[u8] = if folder.is_empty() { b"/" } else { folder };
            let stat = rustix::fs::lstat(OsStr::from_bytes(path));
            let sight = stat.map_or(Sight::Absent, |stat| Sight::Same(Meta::of(&stat)));
            let mut piece = begin(path, None);
            put_entry(&mut piece, b"", sight);
            sum.add(&piece);
        }
        sum
    }
}

impl Sum {
    /// Adds a piece. The order of pieces, which depends on threads, does not show.
    pub(super) fn add(&mut self, piece: &[u8]) {
        let hash = blake3::hash(piece);
        let (parts, _) = hash.as_bytes().as_chunks();
        for (sum, part) in self.0.iter_mut().zip(parts) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*part));
        }
    }

    pub(super) fn join(&mut self, other: Self) {
        for (sum, part) in self.0.iter_mut().zip(other.0) {
            *sum = sum.wrapping_add(part);
        }
    }
}
