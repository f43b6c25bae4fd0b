//! Bytes that are shipped in vain: content that later layers hide, and second copies.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::count::{Contents, Weight};
use super::path;
use crate::verify::layers::{self, LayerPlace, View};

/// The files that one layer ships and another layer hides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shadow {
    /// The position of the layer that ships the files.
    pub layer: usize,
    /// The position of the layer that hides them.
    pub by: usize,
    /// How they are hidden.
    pub how: How,
    /// The bytes and the number of the files.
    #[serde(flatten)]
    pub weight: Weight,
    /// The folder that all of them lie in, without a leading slash.
    pub folder: String,
}

/// How a file is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The later layer has the same content at the path again: only mode, owner or time changed.
    SameContent,
    /// The later layer has another content at the path, or something that is not a file.
    Overwritten,
    /// The later layer deletes it.
    Deleted,
}

impl How {
    /// What the later layer does, for people.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::SameContent => "ships again, with only mode, owner or time changed,",
            Self::Overwritten => "overwrites",
            Self::Deleted => "deletes",
        }
    }
}

/// A file that is shipped although no path leads to it any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overwritten {
    /// The path that it had, without a leading slash.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
    /// The position of the layer that ships it.
    pub layer: usize,
    /// The position of the layer that hides it.
    pub by: usize,
    /// How the file is hidden.
    pub how: How,
}

/// All shipped files that are hidden, by layers and by paths, the heaviest first. A content with
/// several names is hidden when its last name is.
pub(super) fn overwritten(view: &View<'_>) -> (Vec<Shadow>, Vec<Overwritten>) {
    let nodes = view.nodes();
    let visible: HashSet<LayerPlace> = nodes.filter_map(|(_, node)| node.content).collect();
    let mut ends: BTreeMap<LayerPlace, (&[u8], usize, How)> = BTreeMap::new();
    for (name, events) in view.all_past() {
        for (at, event) in events.iter().enumerate() {
            let Some(place) = event.node.content else {
                continue;
            };
            if visible.contains(&place) {
                continue;
            }
            let next = events.get(at + 1).map(|later| later.node);
            let next = next.or_else(|| view.get(name));
            let next = next.and_then(|node| node.content);
            let hash = |place: LayerPlace| view.entry(place).hash;
            let is_same =
                next.is_some_and(|next| hash(next).is_some() && hash(next) == hash(place));
            let how = match event.change {
                layers::PathChange::Overwritten if is_same => How::SameContent,
                layers::PathChange::Overwritten | layers::PathChange::Buried => How::Overwritten,
                layers::PathChange::Deleted => How::Deleted,
            };
            let ended = (name, event.by, how);
            let last = ends.entry(place).or_insert(ended);
            if event.by > last.1 {
                *last = ended;
            }
        }
    }
    let mut shadows: BTreeMap<(usize, usize, How), Hidden<'_>> = BTreeMap::new();
    let mut all = Vec::with_capacity(ends.len());
    for (place, (name, by, how)) in ends {
        let bytes = view.entry(place).size;
        let folder = name.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let folder = &name[..folder];
        let shadow = shadows.entry((place.layer, by, how));
        let hidden = shadow.or_insert(Hidden {
            weight: Weight::default(),
            folder,
        });
        hidden.weight.add(bytes);
        hidden.folder = shared(hidden.folder, folder);
        all.push(Overwritten {
            path: path(name),
            bytes,
            layer: place.layer,
            by,
            how,
        });
    }
    all.sort_by(|one, other| {
        let heavier = other.bytes.cmp(&one.bytes);
        heavier.then_with(|| (&one.path, one.layer).cmp(&(&other.path, other.layer)))
    });
    let shadows = shadows.into_iter();
    let mut shadows: Vec<Shadow> = shadows
        .map(|((layer, by, how), hidden)| Shadow {
            layer,
            by,
            how,
            weight: hidden.weight,
            folder: path(hidden.folder),
        })
        .collect();
    shadows.sort_by_key(|shadow| std::cmp::Reverse(shadow.weight.bytes));
    (shadows, all)
}

/// The files that one layer hides of another, while they are counted.
struct Hidden<'p> {
    weight: Weight,
    folder: &'p [u8],
}

/// The deepest folder that both folders lie in.
fn shared<'p>(one: &'p [u8], other: &[u8]) -> &'p [u8] {
    let mut end = 0;
    for at in 0..=one.len() {
        let ends = |path: &[u8]| path.get(at).is_none_or(|byte| *byte == b'/');
        if ends(one) && ends(other) && other.len() >= at {
            end = at;
        }
        if one.get(at) != other.get(at) {
            break;
        }
    }
    &one[..end]
}

/// A content that is stored several times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Duplicate {
    /// The bytes of one copy.
    pub bytes: u64,
    /// How many copies there are.
    pub copies: usize,
    /// The bytes of all copies but one.
    pub wasted: u64,
    /// The first path of each copy, without leading slashes.
    pub paths: Vec<String>,
}

/// Contents that several separate files have.
pub(super) fn duplicates(view: &View<'_>, contents: &Contents<'_>) -> Vec<Duplicate> {
    let mut same: HashMap<&[u8; 32], Vec<usize>> = HashMap::new();
    for (number, content) in contents.0.iter().enumerate() {
        if let Some(hash) = content.hash.filter(|_| content.bytes > 0) {
            same.entry(hash).or_default().push(number);
        }
    }
    let several = same.into_values().filter(|numbers| numbers.len() > 1);
    let mut all: Vec<Duplicate> = several
        .map(|numbers| {
            let bytes = view.entry(contents.0[numbers[0]].place).size;
            let paths = numbers.iter().map(|one| path(contents.0[*one].names[0]));
            Duplicate {
                bytes,
                copies: numbers.len(),
                wasted: bytes * (numbers.len() as u64 - 1),
                paths: paths.collect(),
            }
        })
        .collect();
    all.sort_by(|one, other| {
        let more = other.wasted.cmp(&one.wasted);
        more.then_with(|| one.paths.cmp(&other.paths))
    });
    all
}
