//! The name under which a stage's contexts are sent to BuildKit, and what was sent under it so far.
//!
//! BuildKit keeps the files that it was sent, by the last component of the context's path. It does
//! not take a file again if it has one of the same path, size, mode and modification time
//! (docker/buildx `SharedKey`; moby/buildkit `source/local` and tonistiigi/fsutil; tried with
//! Docker 26.1.5). So two folders of the same name get each other's files, and an edit that keeps
//! size and time is not seen: the image is made of other files than its key.
//!
//! Therefore each stage's context is sent through a link whose name is unique, and a ledger keeps
//! what was sent under that name. The name is kept while BuildKit cannot mistake any file for one
//! that was sent before, so only changes are sent. Otherwise a new name makes BuildKit take
//! everything anew. A lost ledger costs one whole transfer.

use std::ffi::OsStr;
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::contexts::{EntryKind, Input, Inputs};
use crate::outside::clock;
use crate::outside::state::bundle::{put, take};
use crate::outside::state::{self, State};

const KIND: &str = "xtask-sent";
/// The format of a ledger's file.
///
/// 1: the first.
/// 2: the file's identity has its mount.
const FORMAT: u32 = 2;
/// How many rows of former states of files a ledger may have for each present file.
const OLD_FOR_EACH: usize = 2;

/// A folder that is sent: the name of its named context (empty for the main context), and its
/// inputs.
pub(super) struct SentTree<'a> {
    pub(super) name: &'a str,
    pub(super) folder: &'a Utf8Path,
    pub(super) inputs: &'a Inputs,
    /// Whether BuildKit may be sent files of the folder that are not inputs, and of which nothing
    /// is known here.
    pub(super) sends_others: bool,
}

/// What one call sends.
#[derive(Debug)]
pub(super) struct Sending {
    file: Utf8PathBuf,
    ledger: Ledger,
    /// Whether BuildKit's copies are known to be these files. Of a withheld file BuildKit has the
    /// size and time but other content; of a link it may have other attributes.
    is_certain: bool,
}

/// What BuildKit was sent under a name.
#[derive(Debug, PartialEq, Eq)]
struct Ledger {
    head: Head,
    /// Sorted, without duplicates. One row for each state of each file that was ever sent.
    rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    name: String,
    /// The engine that has these files.
    engine: String,
    /// When the last call ended, in nanoseconds since 1970.
    ended: i64,
    /// The identity of the ledger's own file. A copy of a ledger that is put back later or used
    /// elsewhere does not know what was sent since.
    file: state::Identity,
}

/// What BuildKit knows a file by, and the file's content. BuildKit takes one file for the other if
/// two have the same path, size and time but different content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    path: [u8; 16],
    size: u64,
    modified: i64,
    content: [u8; 16],
}

impl Sending {
    /// Chooses the name for a call that sends `trees` to `engine`. From here until `ended`, what
    /// BuildKit has is unknown, so there is no ledger on the disk.
    pub(super) fn begin(
        state: &State,
        stage: &str,
        engine: Option<&str>,
        trees: &[SentTree<'_>],
        anew: bool,
    ) -> io::Result<Self> {
        let file = state.path("sent").join(stage);
        let before = take_away(&file)?;
        let files = files(trees);
        // Links and pipes have no rows. They seldom have attributes.
        let is_hidden = |input: &Input| {
            let is_special = input.hash.is_none() && input.attributes.is_some();
            input.kind == EntryKind::Withheld || is_special
        };
        let is_certain = !trees
            .iter()
            .any(|tree| tree.sends_others || tree.inputs.entries.iter().any(is_hidden));
        // BuildKit distinguishes a folder that was always empty from one that was emptied.
        let is_empty = trees.iter().all(|tree| tree.inputs.entries.is_empty());
        let before = before.filter(|before| {
            !anew
                && !is_empty
                && is_certain
                && Some(before.head.engine.as_str()) == engine
                && before.may_go_on(&files)
        });
        let mut ledger = before.unwrap_or_else(|| Ledger::new(stage, engine));
        ledger.rows.extend(files);
        ledger.rows.sort_unstable();
        ledger.rows.dedup();
        Ok(Self {
            file,
            ledger,
            is_certain,
        })
    }

    /// Makes a link to the main context, under the name, in `folder`, which belongs to this call
    /// alone.
    pub(super) fn link(&self, context: &Utf8Path, folder: &Utf8Path) -> io::Result<Utf8PathBuf> {
        let link = folder.join(&self.ledger.head.name);
        std::os::unix::fs::symlink(context, &link)?;
        Ok(link)
    }

    /// Writes the ledger after the call, whether it succeeded or failed. Every file must be what it
    /// was when the call began.
    pub(super) fn ended(mut self) -> io::Result<()> {
        if !self.is_certain || self.ledger.head.engine.is_empty() {
            return Ok(());
        }
        self.ledger.head.ended = now();
        state::write_bound(&self.file, |file| {
            self.ledger.head.file = file;
            let bytes = self.ledger.bytes().ok_or(io::ErrorKind::FileTooLarge)?;
            Ok(state::seal(KIND, FORMAT, &bytes))
        })
    }
}

/// Reads the ledger and removes its file for good, even if the machine crashes. Gives `None` if the
/// file is damaged, or is a copy. Another name of the same file (`cp -al`) is emptied with it.
fn take_away(file: &Utf8Path) -> io::Result<Option<Ledger>> {
    let mut open = match state::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        open => open?,
    };
    let identity = state::identity(&open)?;
    let mut sealed = Vec::new();
    open.read_to_end(&mut sealed)?;
    let emptied = File::options().write(true).open(file).and_then(|open| {
        open.set_len(0)?;
        open.sync_all()
    });
    std::fs::remove_file(file)?;
    if let Some(folder) = file.parent() {
        File::open(folder)?.sync_all()?;
    }
    if identity.is_none() || emptied.is_err() {
        return Ok(None);
    }
    let content = state::unseal(KIND, FORMAT, &sealed).ok();
    let ledger = content.and_then(Ledger::of_bytes);
    Ok(ledger.filter(|ledger| ledger.head.file == identity))
}

/// The rows of the trees' files as they are now.
fn files(trees: &[SentTree<'_>]) -> Vec<Row> {
    let of_tree = |tree: &SentTree<'_>| {
        let root = tree.folder.as_std_path();
        let entries = tree.inputs.entries.par_iter();
        let files = entries.filter_map(|input| {
            let content = content(input)?;
            // That a file is gone is found out after the call.
            let modified = modified(&root.join(OsStr::from_bytes(&input.path)))?;
            let mut path = blake3::Hasher::new();
            path.update(tree.name.as_bytes())
                .update(&[0])
                .update(&input.path);
            Some(Row {
                path: half(path.finalize().as_bytes()),
                size: input.size,
                modified,
                content: half(&content),
            })
        });
        files.collect::<Vec<_>>()
    };
    trees.iter().flat_map(of_tree).collect()
}

/// A hash over what BuildKit does not see change while a file's size and time stay: its bytes and
/// its attributes.
fn content(input: &Input) -> Option<[u8; 32]> {
    let content = input.hash?;
    let Some(attributes) = &input.attributes else {
        return Some(content);
    };
    let mut hash = blake3::Hasher::new();
    hash.update(&content).update(attributes.as_slice());
    Some(*hash.finalize().as_bytes())
}

/// Nanoseconds since 1970.
fn modified(path: &Path) -> Option<i64> {
    let stat = rustix::fs::lstat(path).ok()?;
    let whole = stat.st_mtime.saturating_mul(1_000_000_000);
    Some(whole.saturating_add_unsigned(stat.st_mtime_nsec))
}

fn half(hash: &[u8; 32]) -> [u8; 16] {
    *hash.first_chunk().unwrap_or(&[0; 16])
}

impl Ledger {
    /// An empty ledger with a name that was never used.
    fn new(stage: &str, engine: Option<&str>) -> Self {
        let ended = now();
        let mut chance = RandomState::new().build_hasher();
        chance.write_i64(ended);
        chance.write_u32(std::process::id());
        Self {
            head: Head {
                name: format!("{stage}-{:016x}", chance.finish()),
                engine: engine.unwrap_or_default().to_owned(),
                ended,
                file: None,
            },
            rows: Vec::new(),
        }
    }

    /// Whether BuildKit can mistake none of these files for another one that it has under the name.
    fn may_go_on(&self, files: &[Row]) -> bool {
        let is_told_apart = |row: &Row| {
            let from = self.rows.partition_point(|sent| sent.path < row.path);
            let mut of_path = self.rows[from..].iter();
            let mut of_path = of_path
                .by_ref()
                .take_while(|sent| sent.path == row.path)
                .peekable();
            if of_path.peek().is_none() {
                // BuildKit may have been sent it when it was not an input.
                return row.modified > self.head.ended;
            }
            of_path.all(|sent| {
                (sent.size, sent.modified) != (row.size, row.modified)
                    || sent.content == row.content
            })
        };
        self.rows.len() <= (OLD_FOR_EACH + 1) * files.len() + 1000
            && files.iter().all(is_told_apart)
    }

    fn bytes(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(256 + self.rows.len() * Row::BYTES);
        put(&mut bytes, &serde_json::to_vec(&self.head).ok()?)?;
        for row in &self.rows {
            bytes.extend_from_slice(&row.path);
            bytes.extend_from_slice(&row.size.to_le_bytes());
            bytes.extend_from_slice(&row.modified.to_le_bytes());
            bytes.extend_from_slice(&row.content);
        }
        Some(bytes)
    }

    fn of_bytes(mut bytes: &[u8]) -> Option<Self> {
        let head = serde_json::from_slice(take(&mut bytes)?).ok()?;
        let (rows, rest) = bytes.as_chunks::<{ Row::BYTES }>();
        let rows: Option<Vec<Row>> = rows.iter().map(Row::of_bytes).collect();
        let rows = rows.filter(|rows| rest.is_empty() && rows.is_sorted())?;
        Some(Self { head, rows })
    }
}

impl Row {
    const BYTES: usize = 48;

    fn of_bytes(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let long = |at: usize| Some(u64::from_le_bytes(*bytes[at..].first_chunk()?));
        Some(Self {
            path: *bytes.first_chunk()?,
            size: long(16)?,
            modified: long(24)?.cast_signed(),
            content: *bytes[32..].first_chunk()?,
        })
    }
}

/// Nanoseconds since 1970.
fn now() -> i64 {
    i64::try_from(clock::now().as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
