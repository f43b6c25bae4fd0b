//! All that was looked at, as a tracer gathers it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Bound;

use super::snapshot::Sum;

/// What was looked at. Paths are absolute.
#[derive(Debug, Default)]
pub(super) struct Looks {
    pub(super) sum: Sum,
    pub(super) pieces: Vec<Vec<u8>>,
    /// The deepest folder that contains everything, with a trailing slash.
    pub(super) within: Option<Vec<u8>>,
    /// Names that were looked up, with the kind of each; `None` if nothing was there.
    pub(super) kinds: BTreeMap<Vec<u8>, Option<u32>>,
    /// Folders whose names were all read.
    pub(super) listed: HashSet<Vec<u8>>,
    /// Folders of which some entries were read.
    pub(super) partly: HashSet<Vec<u8>>,
    /// Files that were read without their folder, and links that were followed.
    pub(super) alone: BTreeSet<Vec<u8>>,
    /// Folders that are the top of what a stage may read.
    pub(super) roots: BTreeSet<Vec<u8>>,
    /// One folder on each device whose times prove nothing in another mount.
    pub(super) mounts: BTreeMap<u64, Vec<u8>>,
}

impl Looks {
    /// Whether a path, or anything below it, was looked at.
    pub(super) fn has_within(&self, path: &[u8]) -> bool {
        let is_within = |seen: &[u8]| {
            let rest = seen.strip_prefix(path);
            rest.is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'/'))
        };
        // In sorted order only paths that begin with `path` stand between it and the paths below
        // it.
        let beginning = |seen: &&Vec<u8>| seen.starts_with(path);
        let from = (Bound::Included(path), Bound::Unbounded);
        let kinds = self.kinds.range::<[u8], _>(from).map(|(path, _)| path);
        let alone = self.alone.range::<[u8], _>(from);
        let sorted = kinds
            .take_while(beginning)
            .chain(alone.take_while(beginning));
        let folders = self.listed.iter().chain(&self.partly);
        sorted.chain(folders).any(|seen| is_within(seen))
    }

    /// The folders through which everything was reached, up to their roots. The sum already has the
    /// listed ones.
    pub(super) fn above(&self) -> BTreeSet<Vec<u8>> {
        let mut known = HashSet::new();
        let of_listed = self.listed.iter().map(|folder| parent(folder));
        let of_names = self.kinds.keys().map(|path| parent(path));
        let partly = self.partly.iter().map(Vec::as_slice);
        for mut folder in of_listed.chain(of_names).chain(partly) {
            while self.is_rooted(folder) && known.insert(folder) {
                folder = parent(folder);
            }
        }
        known.retain(|folder| !self.listed.contains(*folder));
        known.into_iter().map(<[u8]>::to_vec).collect()
    }

    /// Whether a folder is a root or lies in one.
    pub(super) fn is_rooted(&self, folder: &[u8]) -> bool {
        let mut roots = self.roots.iter();
        roots.any(|root| {
            let rest = folder.strip_prefix(root.as_slice());
            rest.is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'/'))
        })
    }

    /// Widens `within` to contain a folder, whose path is absolute.
    pub(super) fn widen(&mut self, folder: &[u8]) {
        let Some(within) = &mut self.within else {
            self.within = Some([folder, b"/"].concat());
            return;
        };
        if folder.starts_with(within)
            || folder.len() + 1 == within.len() && within.starts_with(folder)
        {
            return;
        }
        let common = within
            .iter()
            .zip(folder)
            .take_while(|(a, b)| a == b)
            .count();
        let common = if common == folder.len() && within.get(common) == Some(&b'/') {
            common + 1
        } else {
            within[..common]
                .iter()
                .rposition(|byte| *byte == b'/')
                .map_or(0, |at| at + 1)
        };
        within.truncate(common);
    }
}

/// The folder of a path. For an entry of the root folder it is empty.
pub(super) fn parent(path: &[u8]) -> &[u8] {
    let at = path.iter().rposition(|byte| *byte == b'/');
    &path[..at.unwrap_or(0)]
}
