//! A tree of files as a value, and the same tree on the disk.
//!
//! The disk is changed from one tree to the next by the fewest steps, as an editor would. Unchanged
//! entries are not touched.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FileType, Mode};

/// An entry at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A folder's permission bits never change. `BuildKit` copies them into the image. But if only
    /// they changed, it does not notice until it reads the context again for another reason (Docker
    /// 26.1.5). What it does then says nothing about the last change.
    Folder,
    File {
        mode: u32,
        content: Vec<u8>,
        /// Its time, in seconds after a fixed early day.
        stamp: u64,
        /// The value of its extended attribute `user.note`.
        note: Option<u8>,
    },
    Link(Vec<u8>),
    Fifo {
        mode: u32,
    },
}

/// Nodes by path: raw bytes with slashes between the names. The root is not in the tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<Vec<u8>, Node>);

impl Tree {
    /// Puts a node at a path, and adds missing folders above it.
    pub fn put(&mut self, path: &[u8], node: Node) {
        for (end, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let folder = path[..end].to_vec();
            self.0.entry(folder).or_insert(Node::Folder);
        }
        self.0.insert(path.to_vec(), node);
    }

    /// Removes a node and everything below it. The returned paths are relative to the node.
    pub fn cut(&mut self, path: &[u8]) -> Vec<(Vec<u8>, Node)> {
        let is_inside = |inner: &Vec<u8>| {
            inner.starts_with(path) && matches!(inner.get(path.len()), None | Some(b'/'))
        };
        let inside = self.0.extract_if(.., |inner, _| is_inside(inner));
        inside
            .map(|(inner, node)| (inner[path.len()..].to_vec(), node))
            .collect()
    }

    /// Moves a node and everything below it to an unused path.
    pub fn rename(&mut self, from: &[u8], to: &[u8]) {
        for (inner, node) in self.cut(from) {
            self.put(&[to, &inner].concat(), node);
        }
    }

    /// All folders, the root first.
    pub fn folders(&self) -> Vec<Vec<u8>> {
        let inner = self.0.iter();
        let inner = inner.filter(|(_, node)| **node == Node::Folder);
        std::iter::once(Vec::new())
            .chain(inner.map(|(path, _)| path.clone()))
            .collect()
    }

    /// The tree as text, for messages.
    pub fn listing(&self) -> String {
        let line = |(path, node): (&Vec<u8>, &Node)| {
            let path = path.escape_ascii();
            match node {
                Node::Folder => format!("  {path}/\n"),
                Node::File {
                    mode,
                    content,
                    stamp,
                    note,
                } => {
                    let note = note.map_or_else(String::new, |note| format!(" user.note={note}"));
                    let shown = &content[..content.len().min(40)];
                    format!(
                        "  {mode:04o} {path} @{stamp}{note} {:?}\n",
                        shown.escape_ascii().to_string()
                    )
                }
                Node::Link(target) => format!("  link {path} -> {}\n", target.escape_ascii()),
                Node::Fifo { mode } => format!("  {mode:04o} {path}|\n"),
            }
        };
        self.0.iter().map(line).collect()
    }
}

/// A tree on the disk.
pub struct Disk {
    root: PathBuf,
    now: Tree,
}

impl Disk {
    /// An empty folder.
    pub fn at(root: PathBuf) -> Self {
        fs::create_dir_all(&root).unwrap();
        Self {
            root,
            now: Tree::default(),
        }
    }

    pub fn path(&self, inner: &[u8]) -> PathBuf {
        self.root.join(Path::new(OsStr::from_bytes(inner)))
    }

    /// Changes the disk to `wanted`. The renamed entry is renamed first, so that it keeps its
    /// inode.
    pub fn lay(&mut self, wanted: &Tree, renamed: Option<&(Vec<u8>, Vec<u8>)>) {
        if let Some((from, to)) = renamed {
            fs::rename(self.path(from), self.path(to)).unwrap();
            self.now.rename(from, to);
        }
        let gone = self.now.0.iter().rev();
        for (path, node) in gone {
            let stays = wanted.0.get(path).is_some_and(|new| may_become(node, new));
            if !stays {
                remove(&self.path(path)).unwrap();
            }
        }
        for (path, node) in &wanted.0 {
            let old = self.now.0.get(path).filter(|old| may_become(old, node));
            if old != Some(node) {
                make(&self.path(path), node, old).unwrap();
            }
        }
        self.now = wanted.clone();
    }
}

/// Whether one node can be changed into another without removing it.
fn may_become(old: &Node, new: &Node) -> bool {
    match (old, new) {
        (Node::Link(old), Node::Link(new)) => old == new,
        _ => std::mem::discriminant(old) == std::mem::discriminant(new),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path)? {
        meta if meta.is_dir() => fs::remove_dir(path),
        _ => fs::remove_file(path),
    }
}

fn make(path: &Path, node: &Node, old: Option<&Node>) -> io::Result<()> {
    let permissions = |mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    match node {
        Node::Folder => {
            fs::create_dir(path)?;
            permissions(0o755)
        }
        Node::File {
            mode,
            content,
            stamp,
            note,
        } => {
            let same = matches!(old, Some(Node::File { content: old, .. }) if old == content);
            if !same {
                fs::write(path, content)?;
            }
            let noted = matches!(old, Some(Node::File { note: Some(_), .. }));
            match note {
                Some(note) => {
                    let flags = rustix::fs::XattrFlags::empty();
                    rustix::fs::lsetxattr(path, "user.note", &[*note], flags)?;
                }
                None if noted => rustix::fs::lremovexattr(path, "user.note")?,
                None => {}
            }
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000 + stamp);
            fs::File::open(path)?.set_modified(time)?;
            permissions(*mode)
        }
        Node::Link(target) => symlink(OsStr::from_bytes(target), path),
        Node::Fifo { mode } => {
            if old.is_none() {
                let bits = Mode::from_raw_mode(0o600);
                rustix::fs::mknodat(CWD, path, FileType::Fifo, bits, 0)?;
            }
            permissions(*mode)
        }
    }
}
