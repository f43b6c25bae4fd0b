//! What an image's paths hold: contents, folders, the heaviest files.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::{SizedFile, SizedFolder, path};
use crate::verify::layers::{LayerPlace, View};

/// An image with at most this many folders has all of them listed; otherwise only the heavy ones.
const ALL: usize = 500;
/// In an image with more than `ALL` folders, one that holds less than 1/`PART` of it is left out.
const PART: u64 = 2000;

/// Bytes and files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Weight {
    /// Bytes.
    pub bytes: u64,
    /// Files.
    pub files: usize,
}

impl Weight {
    pub(super) fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.files += 1;
    }
}

/// A file's content that some path of the image leads to.
#[derive(Clone)]
pub(super) struct CountedContent<'v> {
    pub(super) place: LayerPlace,
    pub(super) bytes: u64,
    /// The content's blake3 hash.
    pub(super) hash: Option<&'v [u8; 32]>,
    /// All paths that lead to the content, sorted.
    pub(super) names: Vec<&'v [u8]>,
}

/// All contents that paths of the image lead to, in the order of their first paths.
pub(super) struct Contents<'v>(pub(super) Vec<CountedContent<'v>>);

impl<'v> Contents<'v> {
    pub(super) fn of(view: &'v View<'_>) -> Self {
        let mut numbers: HashMap<LayerPlace, usize> = HashMap::new();
        let mut all: Vec<CountedContent<'v>> = Vec::new();
        for (name, node) in view.nodes() {
            let Some(place) = node.content else { continue };
            let number = *numbers.entry(place).or_insert_with(|| {
                let file = view.entry(place);
                all.push(CountedContent {
                    place,
                    bytes: file.size,
                    hash: file.hash,
                    names: Vec::new(),
                });
                all.len() - 1
            });
            all[number].names.push(name);
        }
        Self(all)
    }

    pub(super) fn total(&self) -> Weight {
        let mut total = Weight::default();
        self.0.iter().for_each(|content| total.add(content.bytes));
        total
    }

    pub(super) fn heaviest(&self, view: &View<'_>, most: usize) -> Vec<SizedFile> {
        let mut all: Vec<&CountedContent<'_>> = self.0.iter().filter(|one| one.bytes > 0).collect();
        all.sort_by_key(|one| (std::cmp::Reverse(one.bytes), one.names[0]));
        all.truncate(most);
        let files = all.into_iter().map(|content| SizedFile {
            path: path(content.names[0]),
            bytes: view.entry(content.place).size,
            layer: content.place.layer,
        });
        files.collect()
    }
}

/// Folders with all that is in them, the heaviest first, and the floor: folders with fewer bytes
/// are left out. The root's path is empty.
pub(super) fn folders(contents: &Contents<'_>) -> (u64, Vec<SizedFolder>) {
    let mut weights: BTreeMap<&[u8], Weight> = BTreeMap::new();
    for content in &contents.0 {
        let name = content.names[0];
        let ends = name.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        for end in std::iter::once(0).chain(ends.map(|(end, _)| end)) {
            weights.entry(&name[..end]).or_default().add(content.bytes);
        }
    }
    // The weight of the heaviest folder right below each folder.
    let mut heaviest: HashMap<&[u8], u64> = HashMap::new();
    for (folder, weight) in weights.iter().filter(|(folder, _)| !folder.is_empty()) {
        let most = heaviest.entry(parent(folder)).or_default();
        *most = weight.bytes.max(*most);
    }
    let total = weights.get(&b""[..]).copied().unwrap_or_default();
    let floor = if weights.len() > ALL {
        total.bytes / PART
    } else {
        0
    };
    let listed = weights
        .into_iter()
        .filter(|(_, weight)| weight.bytes >= floor);
    let mut all: Vec<SizedFolder> = listed
        .map(|(folder, weight)| SizedFolder {
            path: path(folder),
            weight,
            is_shell: folder.is_empty() || is_most(heaviest.get(folder).copied(), weight.bytes),
        })
        .collect();
    all.sort_by(|one, other| {
        let heavier = other.weight.bytes.cmp(&one.weight.bytes);
        heavier.then_with(|| one.path.cmp(&other.path))
    });
    (floor, all)
}

/// Whether a part is nine tenths of the whole or more.
pub(super) fn is_most(part: Option<u64>, whole: u64) -> bool {
    part.is_some_and(|part| u128::from(part) * 10 >= u128::from(whole) * 9)
}

/// The folder that a path lies in.
fn parent(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    &path[..end]
}
