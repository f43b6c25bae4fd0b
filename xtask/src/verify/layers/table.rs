//! All entries of a layer, in little memory.
//!
//! A row has 80 bytes, and all names share one piece of memory: some 150 bytes for each entry. Rows
//! keep the archive's order, and a path may occur several times.

use super::entry::{Entry, Head, MemberKind};
use super::error::Cause;
use super::limits::Limits;
use super::path;
use super::tar::{TarMember, Type};
use crate::outside::state::bundle::{put, take};

/// The entries of one layer, in the order of its archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileTable {
    rows: Vec<Row>,
    names: Vec<u8>,
    /// The heads of those files that have one, by row.
    heads: Vec<(u32, Head)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    File,
    HardLink,
    Symlink,
    Folder,
    CharDevice,
    BlockDevice,
    Fifo,
    Whiteout,
    Opaque,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    size: u64,
    mtime: i64,
    /// The blake3 hash of a file's content. Meaningless in other rows.
    hash: [u8; 32],
    /// Where the path begins in `names`. A link's target follows it.
    start: u32,
    path: u16,
    /// Bytes of a link's target.
    link: u16,
    uid: u32,
    gid: u32,
    /// A device's numbers.
    major: u32,
    minor: u32,
    mode: u16,
    sort: Sort,
    /// Whether `hash` is set.
    is_read: bool,
}

/// Bytes of a row in the saved form.
const ROW: usize = 8 + 8 + 32 + 4 + 2 + 2 + 4 * 4 + 2 + 1 + 1;

impl Row {
    fn put(&self, into: &mut Vec<u8>) {
        into.extend(self.size.to_le_bytes());
        into.extend(self.mtime.to_le_bytes());
        into.extend(self.hash);
        into.extend(self.start.to_le_bytes());
        into.extend(self.path.to_le_bytes());
        into.extend(self.link.to_le_bytes());
        for number in [self.uid, self.gid, self.major, self.minor] {
            into.extend(number.to_le_bytes());
        }
        into.extend(self.mode.to_le_bytes());
        into.push(self.sort as u8);
        into.push(u8::from(self.is_read));
    }

    /// `bytes` must have the length of a row.
    fn of(bytes: &[u8]) -> Option<Self> {
        fn next<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
            let (part, after) = rest.split_first_chunk()?;
            *rest = after;
            Some(*part)
        }
        let mut bytes = bytes;
        let rest = &mut bytes;
        Some(Self {
            size: u64::from_le_bytes(next(rest)?),
            mtime: i64::from_le_bytes(next(rest)?),
            hash: next(rest)?,
            start: u32::from_le_bytes(next(rest)?),
            path: u16::from_le_bytes(next(rest)?),
            link: u16::from_le_bytes(next(rest)?),
            uid: u32::from_le_bytes(next(rest)?),
            gid: u32::from_le_bytes(next(rest)?),
            major: u32::from_le_bytes(next(rest)?),
            minor: u32::from_le_bytes(next(rest)?),
            mode: u16::from_le_bytes(next(rest)?),
            sort: SORTS.into_iter().nth(usize::from(next::<1>(rest)?[0]))?,
            is_read: next::<1>(rest)?[0] == 1,
        })
    }
}

/// All sorts, in the order of their numbers.
const SORTS: [Sort; 9] = [
    Sort::File,
    Sort::HardLink,
    Sort::Symlink,
    Sort::Folder,
    Sort::CharDevice,
    Sort::BlockDevice,
    Sort::Fifo,
    Sort::Whiteout,
    Sort::Opaque,
];

const PREFIX: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

impl FileTable {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All entries, in the archive's order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        (0..self.rows.len()).map(|number| self.entry(number))
    }

    /// The entry with this number, which must be below `len()`.
    pub fn entry(&self, number: usize) -> Entry<'_> {
        let row = &self.rows[number];
        let start = row.start as usize;
        let link = start + usize::from(row.path);
        let target = &self.names[link..link + usize::from(row.link)];
        let (major, minor) = (row.major, row.minor);
        let head = self
            .heads
            .binary_search_by_key(&number, |(row, _)| *row as usize);
        Entry {
            path: &self.names[start..link],
            kind: match row.sort {
                Sort::File => MemberKind::File,
                Sort::HardLink => MemberKind::HardLink { target },
                Sort::Symlink => MemberKind::Symlink { target },
                Sort::Folder => MemberKind::Folder,
                Sort::CharDevice => MemberKind::CharDevice { major, minor },
                Sort::BlockDevice => MemberKind::BlockDevice { major, minor },
                Sort::Fifo => MemberKind::Fifo,
                Sort::Whiteout => MemberKind::Whiteout,
                Sort::Opaque => MemberKind::Opaque,
            },
            mode: row.mode,
            uid: row.uid,
            gid: row.gid,
            size: row.size,
            mtime: row.mtime,
            hash: row.is_read.then_some(&row.hash),
            head: head.ok().map(|found| &self.heads[found].1),
        }
    }

    /// Roughly how much memory the table takes.
    pub fn memory(&self) -> usize {
        self.rows.capacity() * size_of::<Row>()
            + self.names.capacity()
            + self.heads.capacity() * size_of::<(u32, Head)>()
    }

    /// The table in bytes, for `of_bytes`. `None` if it is too large for that.
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut rows = Vec::with_capacity(self.rows.len() * ROW);
        for row in &self.rows {
            row.put(&mut rows);
        }
        let heads = serde_json::to_vec(&self.heads).ok()?;
        let mut bytes = Vec::with_capacity(rows.len() + self.names.len() + heads.len() + 64);
        for part in [&rows, &self.names, &heads] {
            put(&mut bytes, part)?;
        }
        Some(bytes)
    }

    /// Reads what `to_bytes` wrote. `None` for anything else.
    pub(super) fn of_bytes(mut bytes: &[u8]) -> Option<Self> {
        let (rows, names, heads) = (take(&mut bytes)?, take(&mut bytes)?, take(&mut bytes)?);
        if !bytes.is_empty() || rows.len() % ROW != 0 {
            return None;
        }
        let rows: Vec<Row> = rows.chunks_exact(ROW).map(Row::of).collect::<Option<_>>()?;
        let fits = |row: &Row| {
            let end = row.start as usize + usize::from(row.path) + usize::from(row.link);
            end <= names.len()
        };
        let heads: Vec<(u32, Head)> = serde_json::from_slice(heads).ok()?;
        let are_heads_right = heads.is_sorted_by(|(a, _), (b, _)| a < b)
            && heads.iter().all(|(row, _)| (*row as usize) < rows.len());
        (rows.iter().all(fits) && are_heads_right).then(|| Self {
            names: names.to_vec(),
            rows,
            heads,
        })
    }

    /// Adds an entry, cleaned as an engine cleans it, and returns its number.
    pub(super) fn push(&mut self, member: &TarMember, limits: &Limits) -> Result<usize, Cause> {
        if self.rows.len() >= limits.entries {
            return Err(Cause::TooMuch {
                what: "entries",
                limit: limits.entries as u64,
            });
        }
        let name = cleaned(&member.name, limits)?;
        let (sort, path, link) = sorted(member, name, limits)?;
        if self.names.len() + path.len() + link.len() > limits.names {
            return Err(Cause::TooMuch {
                what: "bytes of names",
                limit: limits.names as u64,
            });
        }
        let length = |text: &[u8]| {
            let length = u16::try_from(text.len());
            length.map_err(|_| too_long(limits).at(&member.name))
        };
        let start = u32::try_from(self.names.len());
        let row = Row {
            size: if sort == Sort::File { member.size } else { 0 },
            mtime: member.mtime,
            hash: [0; 32],
            start: start.map_err(|_| too_long(limits))?,
            path: length(&path)?,
            link: length(&link)?,
            uid: member.uid,
            gid: member.gid,
            major: member.device.0,
            minor: member.device.1,
            mode: member.mode,
            sort,
            is_read: false,
        };
        self.names.extend_from_slice(&path);
        self.names.extend_from_slice(&link);
        self.rows.push(row);
        Ok(self.rows.len() - 1)
    }

    /// Sets the hash and the head of a file.
    pub(super) fn read(&mut self, number: usize, hash: [u8; 32], head: Option<Head>) {
        let row = &mut self.rows[number];
        row.hash = hash;
        row.is_read = true;
        if let Some(head) = head
            && let Ok(number) = u32::try_from(number)
        {
            self.heads.push((number, head));
        }
    }

    /// Releases the memory that was reserved in advance.
    pub(super) fn finish(&mut self) {
        self.rows.shrink_to_fit();
        self.names.shrink_to_fit();
        self.heads.shrink_to_fit();
    }
}

fn too_long(limits: &Limits) -> Cause {
    Cause::TooMuch {
        what: "bytes of one name",
        limit: limits.name as u64,
    }
}

fn cleaned(name: &[u8], limits: &Limits) -> Result<Vec<u8>, Cause> {
    if name.len() > limits.name {
        return Err(too_long(limits));
    }
    if name.contains(&0) {
        return Err(Cause::archive("a name holds a NUL byte").at(name));
    }
    path::clean(name).ok_or_else(|| Cause::archive("a name leaves its folder by `..`").at(name))
}

/// The kind of an entry, its path, and its link target.
fn sorted(
    member: &TarMember,
    name: Vec<u8>,
    limits: &Limits,
) -> Result<(Sort, Vec<u8>, Vec<u8>), Cause> {
    let (folder, base) = path::split(&name);
    if base == OPAQUE {
        return Ok((Sort::Opaque, folder.to_vec(), Vec::new()));
    }
    if let Some(hidden) = base.strip_prefix(PREFIX) {
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(Cause::archive("a whiteout deletes the folder that it lies in").at(&name));
        }
        let prefix = name.len() - base.len();
        let path = [&name[..prefix], hidden].concat();
        return Ok((Sort::Whiteout, path, Vec::new()));
    }
    let (sort, link) = match member.kind {
        Type::File => (Sort::File, Vec::new()),
        Type::HardLink => (Sort::HardLink, cleaned(&member.link, limits)?),
        Type::Symlink if member.link.len() > limits.name => return Err(too_long(limits)),
        Type::Symlink => (Sort::Symlink, member.link.clone()),
        Type::CharDevice => (Sort::CharDevice, Vec::new()),
        Type::BlockDevice => (Sort::BlockDevice, Vec::new()),
        Type::Folder => (Sort::Folder, Vec::new()),
        Type::Fifo => (Sort::Fifo, Vec::new()),
    };
    if name.is_empty() && sort != Sort::Folder {
        return Err(Cause::archive("the root is not a folder"));
    }
    Ok((sort, name, link))
}
