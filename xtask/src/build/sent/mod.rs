//! The name under which BuildKit is sent a stage's contexts, and what it was sent so far.
//!
//! BuildKit keeps the files that it was sent, by the last name of the context's path, and does not
//! take a file again whose path, size, mode and modification time it has (docker/buildx `SharedKey`;
//! moby/buildkit `source/local` and tonistiigi/fsutil; tried with Docker 26.1.5). Two folders that
//! are called alike get each other's files, and an edit that keeps size and time is not seen: the
//! image is made of other files than its key.
//!
//! So each stage's context is sent through a link whose name nobody else has, and what was sent
//! under it is written down. The name is kept while no file can be mistaken for one that was sent
//! before, so that BuildKit is sent only what changed; else a new name has everything sent anew.
//! Knows this and nothing of keys. Losing what was written down costs one whole transfer.

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
/// Its format.
///
/// 1: the first.
/// 2: the file's identity has its mount.
const FORMAT: u32 = 2;
/// So many rows may be of files as they are no more, for each that is.
const OLD_FOR_EACH: usize = 2;

/// A folder that is sent: the named context's name, or nothing, and which of its files count.
pub(super) struct SentTree<'a> {
    pub(super) name: &'a str,
    pub(super) folder: &'a Utf8Path,
    pub(super) inputs: &'a Inputs,
    /// Whether BuildKit may be sent files of it that are no inputs, of which nothing is known here.
    pub(super) sends_others: bool,
}

/// One call's part.
#[derive(Debug)]
pub(super) struct Sending {
    file: Utf8PathBuf,
    ledger: Ledger,
    /// Whether BuildKit has what it was told of. Of a file that is withheld it has the size and time,
    /// and some other content; of a link it may have other attributes.
    is_certain: bool,
}

/// What BuildKit was sent under a name.
#[derive(Debug, PartialEq, Eq)]
struct Ledger {
    head: Head,
    /// Sorted, each once. One for each state of each file that was ever sent.
    rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    name: String,
    /// The engine that has it.
    engine: String,
    /// When the last call ended, in nanoseconds since 1970.
    ended: i64,
    /// The file that this is the head of. A copy of a ledger, put back later or used elsewhere, does
    /// not know what was sent since.
    file: state::Identity,
}

/// A file by what BuildKit knows it by, and its content. Where two have the same path, size and time
/// but not the same content, BuildKit takes one for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    path: [u8; 16],
    size: u64,
    modified: i64,
    content: [u8; 16],
}

impl Sending {
    /// Chooses the name for a call that sends `trees` to `engine`. From here on until `ended` nobody
    /// knows what BuildKit has, so nothing of it is on the disk.
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
        // Of links and pipes there are no rows. They seldom have attributes.
        let is_hidden = |input: &Input| {
            let is_special = input.hash.is_none() && input.attributes.is_some();
            input.kind == EntryKind::Withheld || is_special
        };
        let is_certain = !trees
            .iter()
            .any(|tree| tree.sends_others || tree.inputs.entries.iter().any(is_hidden));
        // BuildKit tells a folder that never held anything from one that was emptied.
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

    /// The main context under the name: a link to it in `folder`, which is the call's own.
    pub(super) fn link(&self, context: &Utf8Path, folder: &Utf8Path) -> io::Result<Utf8PathBuf> {
        let link = folder.join(&self.ledger.head.name);
        std::os::unix::fs::symlink(context, &link)?;
        Ok(link)
    }

    /// The call has ended, well or not, and every file is what it was when the call began.
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

/// What the file says, which is gone then, also after a crash. One that cannot be used says nothing,
/// and neither does a copy. Another name of the same file (`cp -al`) is emptied with it.
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

/// The files of the trees as they lie there now.
fn files(trees: &[SentTree<'_>]) -> Vec<Row> {
    let of_tree = |tree: &SentTree<'_>| {
        let root = tree.folder.as_std_path();
        let entries = tree.inputs.entries.par_iter();
        let files = entries.filter_map(|input| {
            let content = content(input)?;
            // One that is gone is found gone after the call.
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

/// What BuildKit does not see of a file while its size and time stay: its bytes and its attributes.
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
    /// Of a name that nobody ever had.
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

    /// Whether BuildKit can take none of these files for another one that it has under the name.
    fn may_go_on(&self, files: &[Row]) -> bool {
        let is_told_apart = |row: &Row| {
            let from = self.rows.partition_point(|sent| sent.path < row.path);
            let mut of_path = self.rows[from..].iter();
            let mut of_path = of_path
                .by_ref()
                .take_while(|sent| sent.path == row.path)
                .peekable();
            if of_path.peek().is_none() {
                // BuildKit may have been told of it without its being an input.
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
