//! The file system that an image's layers make together.
//!
//! Knows how engines lay layers over each other: whiteouts and opaque folders hide what lower
//! layers have; what comes later in a layer wins; a file in the place of a folder takes away all
//! that was in it, and a folder in the place of a folder takes away nothing; names below a symlink
//! of the same layer are put where it leads. Nothing on the disk is looked at.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::entry::{Entry, MemberKind};
use super::layer::Layer;
use super::path;

/// How many symlinks one name may lead through, as on Linux.
const LINKS: usize = 40;

/// Where an entry stands: the layer, and the entry's number in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerPlace {
    /// The layer's position, the lowest is 0.
    pub layer: usize,
    /// The entry's number.
    pub entry: u32,
}

/// A path that the image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// The entry that made it what it is.
    pub place: LayerPlace,
    /// The layer that first had something at the path, since it was last deleted.
    pub since: usize,
    /// Where a file's content stands: with a hard link, that of the file that it leads to. `None`
    /// for a hard link that leads nowhere.
    pub content: Option<LayerPlace>,
}

/// What a layer did to something that a path had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathChange {
    /// It has another entry at the path.
    Overwritten,
    /// It deletes the path, or a folder that the path lies in.
    Deleted,
    /// It has something else than a folder in the place of one that the path lies in.
    Buried,
}

/// What a path had once, and how that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathEvent {
    /// What it had.
    pub node: Node,
    /// The layer that ended it.
    pub by: usize,
    /// How.
    pub change: PathChange,
}

/// What is at a path, and what was.
pub struct View<'a> {
    layers: &'a [Arc<Layer>],
    live: BTreeMap<Key<'a>, Node>,
    past: BTreeMap<Key<'a>, Vec<PathEvent>>,
}

/// A path, ordered such that what a folder holds follows it at once.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key<'a>(Cow<'a, [u8]>);

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let differs = self
            .0
            .iter()
            .zip(other.0.iter())
            .find(|(one, other)| one != other);
        // No path holds a NUL.
        let rank = |byte: u8| if byte == b'/' { 0 } else { byte };
        differs.map_or_else(
            || self.0.len().cmp(&other.0.len()),
            |(one, other)| rank(*one).cmp(&rank(*other)),
        )
    }
}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<'a> View<'a> {
    /// Lays these layers over each other, the first is the lowest.
    pub fn of(layers: &'a [Arc<Layer>]) -> Self {
        let mut view = Self {
            layers,
            live: BTreeMap::new(),
            past: BTreeMap::new(),
        };
        for (number, layer) in layers.iter().enumerate() {
            view.lay(number, layer);
        }
        view
    }

    /// What is at a path; `None` too for a folder of which no layer says anything but what it holds.
    pub fn get(&self, path: &[u8]) -> Option<Node> {
        self.live.get(&Key(Cow::Borrowed(path))).copied()
    }

    /// Whether there is something at a path, be it a folder of which no layer has an entry.
    pub fn has(&self, path: &[u8]) -> bool {
        path.is_empty() || self.get(path).is_some() || self.below(path).next().is_some()
    }

    /// All that is there, each folder before what it holds. Paths of a hard link are its own.
    pub fn nodes(&self) -> impl Iterator<Item = (&[u8], &Node)> {
        self.live.iter().map(|(key, node)| (&*key.0, node))
    }

    /// What a folder holds, at any depth.
    pub fn below(&self, folder: &[u8]) -> impl Iterator<Item = (&[u8], &Node)> {
        let prefix = prefix_of(folder);
        let start = Key(Cow::Owned(prefix.clone()));
        let rest = self.live.range(start..);
        rest.map(|(key, node)| (&*key.0, node))
            .skip_while(|(path, _)| path.is_empty())
            .take_while(move |(path, _)| path.starts_with(&prefix))
    }

    /// The entry at a place of this image.
    pub fn entry(&self, place: LayerPlace) -> Entry<'a> {
        self.layers[place.layer].table.entry(place.entry as usize)
    }

    /// What a path had and has no more, the oldest first.
    pub fn past(&self, path: &[u8]) -> &[PathEvent] {
        self.past
            .get(&Key(Cow::Owned(path.to_vec())))
            .map_or(&[], Vec::as_slice)
    }

    /// All paths that had something once, with what that was.
    pub fn all_past(&self) -> impl Iterator<Item = (&[u8], &[PathEvent])> {
        self.past
            .iter()
            .map(|(key, events)| (&*key.0, events.as_slice()))
    }

    /// For each layer the bytes of its files that nobody can read any more: all their names were
    /// overwritten or deleted, and still they are downloaded.
    pub fn shadowed(&self) -> Vec<u64> {
        let visible: HashSet<LayerPlace> =
            self.live.values().filter_map(|node| node.content).collect();
        let gone = self
            .past
            .values()
            .flatten()
            .filter_map(|event| event.node.content);
        let gone: HashSet<LayerPlace> = gone.filter(|place| !visible.contains(place)).collect();
        let mut bytes = vec![0; self.layers.len()];
        for place in gone {
            bytes[place.layer] += self.entry(place).size;
        }
        bytes
    }

    /// The path that a path leads to, through all symlinks, as a process of the image sees it.
    /// `None` when that goes round in a circle.
    pub fn resolve(&self, path: &[u8]) -> Option<Vec<u8>> {
        let mut waiting: Vec<Vec<u8>> = parts(path);
        let mut done: Vec<u8> = Vec::new();
        let mut links = 0;
        while let Some(part) = waiting.pop() {
            if part == b".." {
                let folder = path::split(&done).0.len();
                done.truncate(folder);
                continue;
            }
            let start = done.len();
            if !done.is_empty() {
                done.push(b'/');
            }
            done.extend_from_slice(&part);
            let link = self.get(&done).map(|node| self.entry(node.place).kind);
            if let Some(MemberKind::Symlink { target }) = link {
                links += 1;
                if links > LINKS {
                    return None;
                }
                done.truncate(if target.starts_with(b"/") { 0 } else { start });
                waiting.extend(parts(target));
            }
        }
        Some(done)
    }

    fn lay(&mut self, number: usize, layer: &'a Layer) {
        // What hides lower layers hides nothing of its own layer, wherever it stands.
        for entry in layer.table.entries() {
            match entry.kind {
                MemberKind::Whiteout => self.remove(entry.path, number, PathChange::Deleted),
                MemberKind::Opaque => self.remove_below(entry.path, number, PathChange::Deleted),
                _ => {}
            }
        }
        for (row, entry) in layer.table.entries().enumerate() {
            // Overlay file systems take this device for a whiteout.
            let hides = matches!(entry.kind, MemberKind::CharDevice { major: 0, minor: 0 });
            match (entry.kind, u32::try_from(row)) {
                (MemberKind::Whiteout | MemberKind::Opaque, _) | (_, Err(_)) => {}
                _ if hides => self.remove(entry.path, number, PathChange::Deleted),
                (_, Ok(row)) => self.put(
                    &entry,
                    LayerPlace {
                        layer: number,
                        entry: row,
                    },
                ),
            }
        }
    }

    fn put(&mut self, entry: &Entry<'a>, place: LayerPlace) {
        let Some(path) = self.clear_way(entry.path, place.layer) else {
            return;
        };
        let content = match entry.kind {
            MemberKind::File => Some(place),
            MemberKind::HardLink { target } => self.get(target).and_then(|node| node.content),
            _ => None,
        };
        let old = self.live.get(&Key(path.clone())).copied();
        let since = old.map_or(place.layer, |old| old.since);
        let was_folder = old.is_some_and(|old| self.entry(old.place).is_folder());
        if !entry.is_folder() {
            self.remove_below(&path, place.layer, PathChange::Buried);
        }
        if let Some(old) = old
            && !(was_folder && entry.is_folder())
        {
            self.end(path.clone(), old, place.layer, PathChange::Overwritten);
        }
        self.live.insert(
            Key(path),
            Node {
                place,
                since,
                content,
            },
        );
    }

    /// The path at which an entry is put. On its way there is nothing but folders then. `None` when
    /// symlinks lead it round in a circle.
    fn clear_way(&mut self, path: &'a [u8], layer: usize) -> Option<Cow<'a, [u8]>> {
        let mut path = Cow::Borrowed(path);
        for _ in 0..=LINKS {
            let before = self.live.range(..Key(path.clone())).next_back();
            // Nothing lies below what is no folder, so that it would be the one right before.
            let Some((above, node)) = before.filter(|(above, node)| {
                path.starts_with(&prefix_of(&above.0))
                    && !above.0.is_empty()
                    && !self.entry(node.place).is_folder()
            }) else {
                return Some(path);
            };
            let (above, node) = (above.clone(), *node);
            match self.entry(node.place).kind {
                MemberKind::Symlink { target } if node.place.layer == layer => {
                    let rest = path[above.0.len()..].to_vec();
                    let folder = path::split(&above.0).0;
                    let mut led = joined(folder, target);
                    led.extend_from_slice(&rest);
                    path = Cow::Owned(path::clean(&led)?);
                }
                _ => {
                    self.live.remove(&above);
                    self.end(above.0, node, layer, PathChange::Overwritten);
                    return Some(path);
                }
            }
        }
        None
    }

    fn remove(&mut self, path: &'a [u8], by: usize, change: PathChange) {
        self.remove_below(path, by, change);
        let key = Key(Cow::Borrowed(path));
        if let Some(node) = self.live.remove(&key) {
            self.end(key.0, node, by, change);
        }
    }

    fn remove_below(&mut self, folder: &[u8], by: usize, change: PathChange) {
        let prefix = prefix_of(folder);
        let gone = self
            .live
            .range(Key(Cow::Owned(prefix.clone()))..)
            .map(|(key, _)| key.clone());
        let gone = gone.skip_while(|key| key.0.is_empty());
        let gone: Vec<Key<'a>> = gone.take_while(|key| key.0.starts_with(&prefix)).collect();
        for key in gone {
            if let Some(node) = self.live.remove(&key) {
                self.end(key.0, node, by, change);
            }
        }
    }

    fn end(&mut self, path: Cow<'a, [u8]>, node: Node, by: usize, change: PathChange) {
        self.past
            .entry(Key(path))
            .or_default()
            .push(PathEvent { node, by, change });
    }
}

/// What all paths in a folder begin with.
fn prefix_of(folder: &[u8]) -> Vec<u8> {
    if folder.is_empty() {
        Vec::new()
    } else {
        [folder, b"/"].concat()
    }
}

/// A link's target as a path from the root.
fn joined(folder: &[u8], target: &[u8]) -> Vec<u8> {
    let mut done: Vec<&[u8]> = Vec::new();
    let start = if target.starts_with(b"/") {
        &b""[..]
    } else {
        folder
    };
    for part in start
        .split(|byte| *byte == b'/')
        .chain(target.split(|byte| *byte == b'/'))
    {
        match part {
            b"" | b"." => {}
            b".." => drop(done.pop()),
            part => done.push(part),
        }
    }
    done.join(&b'/')
}

/// The parts of a path, the first one last.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.rsplit(|byte| *byte == b'/');
    parts
        .filter(|part| !matches!(*part, b"" | b"."))
        .map(<[u8]>::to_vec)
        .collect()
}
