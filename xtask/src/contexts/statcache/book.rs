//! The stat cache as bytes.
//!
//! The file is read in place: opening it builds nothing, and a folder is found by binary search.
//! `statcache` decides what may be trusted.
//!
//! After the header (magic, version, checksum of the rest) come the clock, three counts, the table
//! of folders sorted by path, their files sorted by name within each folder, and all names. The row
//! of a file that has extended attributes is marked, and their hash follows its name.

use super::super::attributes::Attributes;
use super::super::meta::Meta;

const MAGIC: &[u8; 8] = b"xtstats\n";

/// 1: the first.
/// 2: without files on file systems whose times prove nothing.
/// 3: extended attributes.
const VERSION: u32 = 3;
/// A mark in the length of a file's name: the hash of its attributes follows. No name is so long.
const HAS_ATTRIBUTES: u32 = 1 << 31;

const CHECKED_FROM: usize = 8 + 4 + 32;
const TABLES_FROM: usize = CHECKED_FROM + 8 + 3 * 4;
const FOLDER: usize = 4 * 4;
const FILE: usize = 2 * 4 + Meta::BYTES + 32;

/// A file whose content was hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookEntry {
    pub name: Box<[u8]>,
    pub meta: Meta,
    pub hash: [u8; 32],
    pub attributes: Attributes,
}

/// A cache file in memory. The default has nothing in it.
#[derive(Debug, Default)]
pub struct Book {
    bytes: Vec<u8>,
    folders: usize,
    files: usize,
    clock: i64,
}

/// Why bytes cannot be read as a cache file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Something else is in the file.
    Foreign,
    /// Another version of this program wrote it.
    Version(u32),
    /// It is cut short or altered.
    Torn,
}

/// The files of one folder.
#[derive(Debug, Clone, Copy)]
pub struct BookFolder<'a> {
    book: &'a Book,
    first: usize,
    count: usize,
}

impl Book {
    pub fn read(bytes: Vec<u8>) -> Result<Self, Damage> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(Damage::Foreign)?;
        let version = number(rest, 0).ok_or(Damage::Torn)?;
        if version != VERSION {
            return Err(Damage::Version(version));
        }
        let checked = bytes.get(CHECKED_FROM..).ok_or(Damage::Torn)?;
        if rest[4..36] != *blake3::hash(checked).as_bytes() {
            return Err(Damage::Torn);
        }
        let clock = long(checked, 0).ok_or(Damage::Torn)?.cast_signed();
        let count = |at| {
            number(checked, at)
                .map(|count| count as usize)
                .ok_or(Damage::Torn)
        };
        let (folders, files, names) = (count(8)?, count(12)?, count(16)?);
        if bytes.len() != TABLES_FROM + folders * FOLDER + files * FILE + names {
            return Err(Damage::Torn);
        }
        let book = Self {
            bytes,
            folders,
            files,
            clock,
        };
        // A right checksum does not make the content right: a folder may claim the files of
        // another, or four billion files, and all would be read.
        let mut next = 0;
        for at in 0..folders {
            let folder = book.nth(at).filter(|folder| folder.first == next);
            next += folder.ok_or(Damage::Torn)?.count;
        }
        if next == files {
            Ok(book)
        } else {
            Err(Damage::Torn)
        }
    }

    /// `None` if the cache has grown too large for the numbers in its tables.
    pub fn write<'a>(
        clock: i64,
        folders: impl ExactSizeIterator<Item = (&'a [u8], Vec<BookEntry>)>,
    ) -> Option<Vec<u8>> {
        let mut folder_table = Vec::with_capacity(folders.len() * FOLDER);
        let (mut file_table, mut names) = (Vec::new(), Vec::new());
        let (mut folder_count, mut file_count) = (0u32, 0u32);
        let mut put_name = |table: &mut Vec<u8>, name: &[u8], attributes: Option<&[u8; 32]>| {
            let length = u32::try_from(name.len()).ok()?;
            let length = Some(length).filter(|length| length & HAS_ATTRIBUTES == 0)?;
            put(table, u32::try_from(names.len()).ok()?);
            names.extend_from_slice(name);
            let mark = if attributes.is_some() {
                HAS_ATTRIBUTES
            } else {
                0
            };
            put(table, length | mark);
            names.extend_from_slice(attributes.map_or(&[], <[u8; 32]>::as_slice));
            Some(())
        };
        for (path, files) in folders {
            put_name(&mut folder_table, path, None)?;
            put(&mut folder_table, file_count);
            put(&mut folder_table, u32::try_from(files.len()).ok()?);
            folder_count += 1;
            for file in files {
                put_name(&mut file_table, &file.name, file.attributes.as_deref())?;
                file.meta.put(&mut file_table);
                file_table.extend_from_slice(&file.hash);
                file_count = file_count.checked_add(1)?;
            }
        }
        let mut checked = clock.to_le_bytes().to_vec();
        for count in [folder_count, file_count, u32::try_from(names.len()).ok()?] {
            put(&mut checked, count);
        }
        for table in [folder_table, file_table, names] {
            checked.extend_from_slice(&table);
        }
        let mut bytes = MAGIC.to_vec();
        put(&mut bytes, VERSION);
        bytes.extend_from_slice(blake3::hash(&checked).as_bytes());
        bytes.extend_from_slice(&checked);
        Some(bytes)
    }

    /// The clock of the run that wrote the file.
    pub fn clock(&self) -> i64 {
        self.clock
    }

    pub fn folder(&self, path: &[u8]) -> Option<BookFolder<'_>> {
        let found = halve(self.folders, path, |at| self.name(self.folder_at(at)))?;
        self.nth(found)
    }

    /// All folders, sorted by path.
    pub fn folders(&self) -> impl Iterator<Item = (&[u8], BookFolder<'_>)> {
        (0..self.folders).filter_map(|at| Some((self.name(self.folder_at(at))?, self.nth(at)?)))
    }

    fn nth(&self, at: usize) -> Option<BookFolder<'_>> {
        let at = self.folder_at(at);
        let first = number(&self.bytes, at + 8)? as usize;
        Some(BookFolder {
            book: self,
            first,
            count: number(&self.bytes, at + 12)? as usize,
        })
    }

    fn folder_at(&self, at: usize) -> usize {
        let _ = self;
        TABLES_FROM + at * FOLDER
    }

    fn file_at(&self, at: usize) -> usize {
        TABLES_FROM + self.folders * FOLDER + at * FILE
    }

    /// The name at the beginning of the table row at this place.
    fn name(&self, row: usize) -> Option<&[u8]> {
        let length = number(&self.bytes, row + 4)? & !HAS_ATTRIBUTES;
        self.names(row)?.get(..length as usize)
    }

    /// The bytes of all names, from the name of this row on.
    fn names(&self, row: usize) -> Option<&[u8]> {
        let from = self.file_at(self.files) + number(&self.bytes, row)? as usize;
        self.bytes.get(from..)
    }

    /// The attributes of a row's file. `None` if they are marked and missing.
    fn attributes(&self, row: usize) -> Option<Attributes> {
        let length = number(&self.bytes, row + 4)?;
        if length & HAS_ATTRIBUTES == 0 {
            return Some(None);
        }
        let from = (length & !HAS_ATTRIBUTES) as usize;
        let hash = self.names(row)?.get(from..)?.first_chunk()?;
        Some(Some(Box::new(*hash)))
    }
}

impl<'a> BookFolder<'a> {
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn get(&self, name: &[u8]) -> Option<(Meta, [u8; 32], Attributes)> {
        let row = |at| self.book.file_at(self.first + at);
        let found = halve(self.count, name, |at| self.book.name(row(at)))?;
        self.book.fields(row(found))
    }

    /// All files, sorted by name.
    pub fn files(self) -> impl Iterator<Item = BookEntry> + 'a {
        (0..self.count).filter_map(move |at| {
            let row = self.book.file_at(self.first + at);
            let (meta, hash, attributes) = self.book.fields(row)?;
            Some(BookEntry {
                name: self.book.name(row)?.into(),
                meta,
                hash,
                attributes,
            })
        })
    }
}

impl Book {
    fn fields(&self, at: usize) -> Option<(Meta, [u8; 32], Attributes)> {
        let row = self.bytes.get(at..at + FILE)?;
        let meta = Meta::get(&row[8..])?;
        let hash = row[8 + Meta::BYTES..].try_into().ok()?;
        Some((meta, hash, self.attributes(at)?))
    }
}

/// Finds a name among `count` sorted names by binary search.
fn halve<'a>(count: usize, name: &[u8], at: impl Fn(usize) -> Option<&'a [u8]>) -> Option<usize> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        match at(middle)?.cmp(name) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Equal => return Some(middle),
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    None
}

fn put(table: &mut Vec<u8>, number: u32) {
    table.extend_from_slice(&number.to_le_bytes());
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
