//! Remembers the hashes of files that have not changed since.
//!
//! One cache serves all contexts of a state folder. Losing it costs time, never correctness.
//!
//! A file is *racy* if its last change lies within the last tick of the file system's clock:
//! another write in the same tick leaves no trace in its times. So the clock is read before the
//! first file is hashed, and a file is remembered only if its last change is older than that by
//! more than a tick. Any later write must then show. It is remembered only on a file system whose
//! times prove that in every mount.
//!
//! The clock is that of the file system, read from the stamp of a file written beside the cache. If
//! it is earlier than the clock of the run that wrote the cache, it was set back, and everything
//! remembered is forgotten.

mod book;
#[cfg(test)]
pub(super) mod tests;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use camino::{Utf8Path, Utf8PathBuf};

use super::attributes::Attributes;
use super::meta::Meta;
use super::worth::{Devices, Worth};
use crate::outside::state;
use crate::unpoisoned::Unpoisoned as _;
pub use book::BookEntry;
use book::{Book, Damage};

/// Clocks of file systems tick every few milliseconds. The slowest that keep fractions of a second
/// tick every 16.
const TICK: i64 = 100_000_000;
/// A time without a fraction may be from a file system that counts in steps of two seconds.
const COARSE_TICK: i64 = 3_000_000_000;

/// The hashes of files, by folder and name.
#[derive(Debug, Default)]
pub struct StatCache {
    file: Option<Utf8PathBuf>,
    /// The content of the file, from the first look on.
    opened: OnceLock<Opened>,
    /// Folders of which this run knows more than `old`. The entries of each are sorted by name.
    new: Mutex<Learnt>,
    devices: Devices,
}

#[derive(Debug, Default)]
struct Opened {
    /// The clock before anything was hashed. Without it nothing is remembered.
    clock: Option<i64>,
    old: Book,
    warning: Option<String>,
}

type Learnt = HashMap<Box<[u8]>, Arc<[BookEntry]>>;

/// What is remembered about one folder.
pub struct KnownFolder<'a> {
    cache: &'a StatCache,
    path: Box<[u8]>,
    old: Option<book::BookFolder<'a>>,
    new: Option<Arc<[BookEntry]>>,
    hits: Cell<usize>,
}

impl StatCache {
    /// A cache that remembers nothing.
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// A cache with a file, which is read at the first look. The cache is empty if there is no
    /// file, or if the file cannot be used; `warning` reports the latter.
    pub fn in_file(file: &Utf8Path) -> Self {
        Self {
            file: Some(file.to_owned()),
            ..Self::default()
        }
    }

    /// Reads the clock and the file, once. Must be called before the first look at anything that is
    /// to be remembered.
    pub fn open(&self) {
        self.opened();
    }

    /// Why the file could not be used. `None` if it could, or was not read yet.
    pub fn warning(&self) -> Option<String> {
        self.opened.get()?.warning.clone()
    }

    fn opened(&self) -> &Opened {
        self.opened.get_or_init(|| {
            let Some(file) = &self.file else {
                return Opened::default();
            };
            let clock = read_clock(file.parent().unwrap_or(Utf8Path::new(""))).ok();
            let (old, warning) = match read_book(file, clock) {
                Ok(book) => (book, None),
                Err(why) => {
                    let warning = format!("the stat cache {file} {why}: all files are read again");
                    (Book::default(), Some(warning))
                }
            };
            Opened {
                clock,
                old,
                warning,
            }
        })
    }

    /// A cache with the content of a cache file, which is never saved. The error says what is wrong
    /// with the bytes.
    pub fn of_bytes(bytes: Vec<u8>) -> Result<Self, String> {
        let old = book_of(bytes)?;
        Ok(Self {
            opened: OnceLock::from(Opened {
                old,
                ..Opened::default()
            }),
            ..Self::default()
        })
    }

    /// How many files the cache file has.
    pub fn known(&self) -> usize {
        let folders = self.opened().old.folders();
        folders.map(|(_, folder)| folder.files().count()).sum()
    }

    /// What is remembered about the files directly in a folder.
    pub fn folder(&self, path: &Path) -> KnownFolder<'_> {
        let path: Box<[u8]> = path.as_os_str().as_bytes().into();
        let new = self.learnt().get(&path).cloned();
        let old = if new.is_some() {
            None
        } else {
            self.opened().old.folder(&path)
        };
        KnownFolder {
            cache: self,
            path,
            old,
            new,
            hits: Cell::new(0),
        }
    }

    /// Writes the cache, if this run has learnt anything.
    pub fn save(&self) -> io::Result<()> {
        let new = self.learnt();
        if new.is_empty() {
            return Ok(());
        }
        let opened = self.opened();
        let (Some(file), Some(clock)) = (&self.file, opened.clock) else {
            return Ok(());
        };
        let mut folders: BTreeMap<&[u8], Vec<BookEntry>> = BTreeMap::new();
        for (path, old) in opened.old.folders() {
            // Not every context is read in every run, so other folders are kept, unless they are
            // gone.
            if !new.contains_key(path) && Path::new(OsStr::from_bytes(path)).is_dir() {
                folders.insert(path, old.files().collect());
            }
        }
        for (path, entries) in new.iter().filter(|(_, entries)| !entries.is_empty()) {
            folders.insert(path, entries.to_vec());
        }
        let bytes = Book::write(clock, folders.into_iter())
            .ok_or_else(|| io::Error::other("it has grown too large"))?;
        state::write_atomically(file, &bytes)
    }

    fn learnt(&self) -> MutexGuard<'_, Learnt> {
        self.new.lock().unpoisoned()
    }

    /// Whether a write after this run's first look would show: the last change was not racy.
    pub(super) fn may_remember(&self, meta: &Meta) -> bool {
        let older = |time: i64| {
            let tick = if time % 1_000_000_000 == 0 {
                COARSE_TICK
            } else {
                TICK
            };
            self.opened()
                .clock
                .is_some_and(|clock| time < clock.saturating_sub(tick))
        };
        older(meta.modified) && older(meta.changed)
    }

    /// What the times on a device are worth. `path` is an entry on that device.
    pub(super) fn worth(&self, device: u64, path: impl FnOnce() -> Box<Path>) -> Worth {
        self.devices.worth(device, path)
    }
}

impl KnownFolder<'_> {
    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        match &self.new {
            Some(new) => new.is_empty(),
            None => self.old.is_none_or(|old| old.len() == 0),
        }
    }

    /// The hashes of a file's content and of its attributes, if they are known and the file has not
    /// changed. A change of the attributes shows in the file's change time.
    pub fn recall(&self, name: &[u8], meta: &Meta) -> Option<([u8; 32], Attributes)> {
        let (was, hash, attributes) = match &self.new {
            Some(new) => {
                let at = new
                    .binary_search_by(|entry| entry.name[..].cmp(name))
                    .ok()?;
                let BookEntry {
                    meta,
                    hash,
                    attributes,
                    ..
                } = &new[at];
                (*meta, *hash, attributes.clone())
            }
            None => self.old?.get(name)?,
        };
        if was != *meta {
            return None;
        }
        self.hits.set(self.hits.get() + 1);
        Some((hash, attributes))
    }

    /// Stores what was hashed now. `is_there` says whether a name is still in the folder, so that
    /// the others can be forgotten.
    pub fn learn(self, hashed: Vec<BookEntry>, is_there: impl Fn(&[u8]) -> bool) {
        let known = match &self.new {
            Some(new) => new.len(),
            None => self.old.map_or(0, |old| old.len()),
        };
        let mut hashed = hashed;
        let folder = Path::new(OsStr::from_bytes(&self.path));
        hashed.retain(|entry| {
            let path = || folder.join(OsStr::from_bytes(&entry.name)).into();
            self.cache.may_remember(&entry.meta)
                && self.cache.worth(entry.meta.device, path) == Worth::Proof
        });
        if hashed.is_empty() && self.hits.get() >= known {
            return;
        }
        let mut new = self.cache.learnt();
        // Another context may have read this folder in the meantime.
        let before: Vec<BookEntry> = match new.get(&self.path) {
            Some(entries) => entries.to_vec(),
            None => self
                .old
                .into_iter()
                .flat_map(book::BookFolder::files)
                .collect(),
        };
        let mut after = before.clone();
        after.retain(|entry| is_there(&entry.name));
        hashed.sort_by(|a, b| a.name.cmp(&b.name));
        after.retain(|entry| {
            hashed
                .binary_search_by(|new| new.name.cmp(&entry.name))
                .is_err()
        });
        after.append(&mut hashed);
        after.sort_by(|a, b| a.name.cmp(&b.name));
        if after != before {
            new.insert(self.path, after.into());
        }
    }
}

fn read_book(file: &Utf8Path, clock: Option<i64>) -> Result<Book, String> {
    let bytes = match state::read(file) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Book::default()),
        Err(error) => return Err(format!("cannot be read ({error})")),
    };
    let book = book_of(bytes)?;
    match clock {
        Some(clock) if clock < book.clock() => Err("has a date in the future".to_owned()),
        _ => Ok(book),
    }
}

fn book_of(bytes: Vec<u8>) -> Result<Book, String> {
    Book::read(bytes).map_err(|damage| match damage {
        Damage::Foreign => "was not written by this program".to_owned(),
        Damage::Version(version) => {
            format!("has the format {version}, which belongs to another version of this program")
        }
        Damage::Torn => "is damaged".to_owned(),
    })
}

/// The clock of a folder's file system.
fn read_clock(folder: &Utf8Path) -> io::Result<i64> {
    let folder = if folder.as_str().is_empty() {
        Utf8Path::new(".")
    } else {
        folder
    };
    std::fs::create_dir_all(folder)?;
    // The file has no name, so a run that is killed leaves nothing behind.
    let mut file = tempfile::tempfile_in(folder)?;
    file.write_all(b".")?;
    Ok(Meta::of(&rustix::fs::fstat(&file)?).modified)
}
