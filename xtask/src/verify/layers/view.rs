//! The file system that an image's layers make together, as engines lay them over each other.
//!
//! Whiteouts and opaque folders hide what lower layers have. Within a layer, the later entry wins.
//! A file that replaces a folder removes everything in it; a folder that replaces a folder removes
//! nothing. A name below a symlink of the same layer is put where the symlink leads. Everything is
//! computed from the layers' tables: the disk is not read.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::entry::{Entry, MemberKind};
use super::layer::Layer;
use super::path;

/// How many symlinks one name may lead through, as on Linux.
const LINKS: usize = 40;

/// Where an entry is: its layer, and its number in the layer's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerPlace {
    /// The layer's position. The lowest is 0.
    pub layer: usize,
    /// The entry's number.
    pub entry: u32,
}

/// A path that the image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// The entry that the path has.
    pub place: LayerPlace,
    /// The layer that first had something at the path since its last deletion.
    pub since: usize,
    /// Where the file's content is. A hard link has the content of the file that it leads to.
    /// `None` for a hard link that leads nowhere.
    pub content: Option<LayerPlace>,
}

/// What a layer did to the entry of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathChange {
    /// The layer has another entry at the path.
    Overwritten,
    /// The layer deletes the path, or a folder above it.
    Deleted,
    /// The layer replaces a folder above the path by something that is not a folder.
    Buried,
}

/// An entry that a path had, and how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathEvent {
    /// The entry.
    pub node: Node,
    /// The layer that ended it.
    pub by: usize,
    /// How it ended.
    pub change: PathChange,
}

/// What is at each path, and what was there before.
pub struct View<'a> {
    layers: &'a [Arc<Layer>],
    live: BTreeMap<Key<'a>, Node>,
    past: BTreeMap<Key<'a>, Vec<PathEvent>>,
}

/// A path. Paths are ordered such that the content of a folder directly follows the folder.
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
    /// Lays these layers over each other. The first is the lowest.
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

    /// What is at a path. Also `None` for a folder that no layer has an entry for.
    pub fn get(&self, path: &[u8]) -> Option<Node> {
        self.live.get(&Key(Cow::Borrowed(path))).copied()
    }

    /// Whether a path exists. A folder that no layer has an entry for counts too.
    pub fn has(&self, path: &[u8]) -> bool {
        path.is_empty() || self.get(path).is_some() || self.below(path).next().is_some()
    }

    /// All paths, each folder before its content. Each name of a hard link is a path of its own.
    pub fn nodes(&self) -> impl Iterator<Item = (&[u8], &Node)> {
        self.live.iter().map(|(key, node)| (&*key.0, node))
    }

    /// The content of a folder, at any depth.
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

    /// What a path had before, the oldest first.
    pub fn past(&self, path: &[u8]) -> &[PathEvent] {
        self.past
            .get(&Key(Cow::Owned(path.to_vec())))
            .map_or(&[], Vec::as_slice)
    }

    /// All paths that had something before, with what they had.
    pub fn all_past(&self) -> impl Iterator<Item = (&[u8], &[PathEvent])> {
        self.past
            .iter()
            .map(|(key, events)| (&*key.0, events.as_slice()))
    }

    /// For each layer the bytes of its files that can no longer be read: all names of such a file
    /// were overwritten or deleted, although its bytes are still downloaded.
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

    /// The path that a path leads to through all symlinks, as a process in the image sees it.
    /// `None` if the symlinks form a circle.
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
        // Whiteouts and opaque folders never hide entries of their own layer, wherever they stand
        // in it.
        for entry in layer.table.entries() {
            match entry.kind {
                MemberKind::Whiteout => self.remove(entry.path, number, PathChange::Deleted),
                MemberKind::Opaque => self.remove_below(entry.path, number, PathChange::Deleted),
                _ => {}
            }
        }
        for (row, entry) in layer.table.entries().enumerate() {
            // Overlay file systems read this device as a whiteout.
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

    /// The path at which an entry is put, after which only folders are above it. `None` if symlinks
    /// lead in a circle.
    fn clear_way(&mut self, path: &'a [u8], layer: usize) -> Option<Cow<'a, [u8]>> {
        let mut path = Cow::Borrowed(path);
        for _ in 0..=LINKS {
            let before = self.live.range(..Key(path.clone())).next_back();
            // An entry above the path that is not a folder has nothing below it, so that it
            // directly precedes the path in the order.
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

/// The prefix of all paths in a folder.
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
