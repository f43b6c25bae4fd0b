//! What was seen, as a sum that shows every touch.
//!
//! Knows how to compare all that was seen before something with all that is seen after it. Is unaware
//! of what is looked at, which `tracer` gathers.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::meta::Meta;
use super::trace::{Sight, begin, put_entry};

/// Everything that was seen, folders' times and all, as a sum. Where it is the same a second time, and
/// so is `above`, nothing of it was touched between the two, not even to be put back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    sum: Sum,
    /// The folders through which all of it was reached, but for those whose times were seen.
    above: BTreeSet<Vec<u8>>,
}

/// A sum over sightings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum([u64; 4]);

impl Snapshot {
    pub(super) fn new(sum: Sum, above: BTreeSet<Vec<u8>>) -> Self {
        Self { sum, above }
    }

    /// A sum over the folders above what was seen, as they are now. Whoever moves one of them away
    /// and puts another in its place leaves no trace in what was seen, but must touch these to put it
    /// back. It is enough to look when something is about to be done with what was seen.
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
    /// Adds a piece; the order of pieces, which is that of threads, does not show.
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
