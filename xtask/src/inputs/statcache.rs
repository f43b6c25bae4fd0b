//! Content hashes by what the file system says of a file.
//!
//! One file for all contexts of a graph. Knows when an entry may be believed: a file that was
//! changed in the same tick in which it was hashed looks unchanged for ever (git's racy
//! entries), so one whose last change is not clearly older than this run is not kept. The
//! change time cannot be set back, so a file replaced with size and modification time kept is
//! noticed too. Is unaware of contexts and keys.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};

use camino::{Utf8Path, Utf8PathBuf};

use crate::state;

const KIND: &str = "xtask-stats";
/// 1: the first.
const FORMAT: u32 = 1;
/// How much older than the run a file's last change must be, in nanoseconds: more than the
/// tick of any file system in use (two seconds on FAT) and a little skew of a network's clock.
const CLEARLY: i128 = 3_000_000_000;

/// What the file system says of a file; equal means unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    size: u64,
    mtime: i128,
    ctime: i128,
    inode: u64,
    device: u64,
    mode: u32,
}

impl Stamp {
    /// Of a file.
    pub fn of(meta: &Metadata) -> Self {
        let time =
            |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        Self {
            size: meta.len(),
            mtime: time(meta.mtime(), meta.mtime_nsec()),
            ctime: time(meta.ctime(), meta.ctime_nsec()),
            inode: meta.ino(),
            device: meta.dev(),
            mode: meta.mode(),
        }
    }
}

type Entries = HashMap<Box<[u8]>, (Stamp, [u8; 32])>;

/// The cache; shared by all threads of a run.
#[derive(Debug)]
pub struct StatCache {
    file: Option<Utf8PathBuf>,
    known: RwLock<Entries>,
    new: Mutex<Entries>,
    /// When this run began, in nanoseconds.
    start: i128,
}

impl StatCache {
    /// The cache in `file`. One that cannot be used is empty, with a warning.
    pub fn load(file: &Utf8Path) -> (Self, Option<String>) {
        let mut warning = None;
        let known = std::fs::read(file).ok().and_then(|sealed| {
            let content = state::unseal(KIND, FORMAT, &sealed);
            let entries = content.and_then(|content| decode(content).ok_or(state::Broken::Torn));
            entries
                .map_err(|broken| {
                    warning = Some(format!(
                        "{file} {}: every file is read again",
                        broken.clause()
                    ))
                })
                .ok()
        });
        let cache = Self {
            file: Some(file.to_owned()),
            known: RwLock::new(known.unwrap_or_default()),
            ..Self::in_memory()
        };
        (cache, warning)
    }

    /// A cache that is never written.
    pub fn in_memory() -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        Self {
            file: None,
            known: RwLock::default(),
            new: Mutex::default(),
            start: i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec),
        }
    }

    /// The hash of a file that still has this stamp.
    pub fn get(&self, path: &Path, stamp: &Stamp) -> Option<[u8; 32]> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let (old, hash) = known.get(path.as_os_str().as_bytes())?;
        (old == stamp).then_some(*hash)
    }

    /// Remembers the hash of a file that had this stamp before and after it was read.
    pub fn put(&self, path: &Path, stamp: Stamp, hash: [u8; 32]) {
        if stamp.ctime.max(stamp.mtime) > self.start - CLEARLY {
            return;
        }
        let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        new.insert(path.as_os_str().as_bytes().into(), (stamp, hash));
    }

    /// Writes what is new. Nothing new, nothing written.
    pub fn save(&self) -> std::io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let new = std::mem::take(&mut *self.new.lock().unwrap_or_else(PoisonError::into_inner));
        if new.is_empty() {
            return Ok(());
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(new);
        state::write_atomically(file, &state::seal(KIND, FORMAT, &encode(&known)))
    }
}

fn encode(entries: &Entries) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.len() * 160);
    for (path, (stamp, hash)) in entries {
        bytes.extend_from_slice(&u32::try_from(path.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(path);
        bytes.extend_from_slice(&stamp.size.to_le_bytes());
        bytes.extend_from_slice(&stamp.mtime.to_le_bytes());
        bytes.extend_from_slice(&stamp.ctime.to_le_bytes());
        bytes.extend_from_slice(&stamp.inode.to_le_bytes());
        bytes.extend_from_slice(&stamp.device.to_le_bytes());
        bytes.extend_from_slice(&stamp.mode.to_le_bytes());
        bytes.extend_from_slice(hash);
    }
    bytes
}

fn decode(mut bytes: &[u8]) -> Option<Entries> {
    fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
        let (head, rest) = bytes.split_first_chunk::<N>()?;
        *bytes = rest;
        Some(*head)
    }
    let mut entries = Entries::with_capacity(bytes.len() / 160);
    while !bytes.is_empty() {
        let length = u32::from_le_bytes(take(&mut bytes)?) as usize;
        let (path, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        let stamp = Stamp {
            size: u64::from_le_bytes(take(&mut bytes)?),
            mtime: i128::from_le_bytes(take(&mut bytes)?),
            ctime: i128::from_le_bytes(take(&mut bytes)?),
            inode: u64::from_le_bytes(take(&mut bytes)?),
            device: u64::from_le_bytes(take(&mut bytes)?),
            mode: u32::from_le_bytes(take(&mut bytes)?),
        };
        entries.insert(path.into(), (stamp, take(&mut bytes)?));
    }
    Some(entries)
}
