//! Reads one file in chunks and reports what looks like a secret.
//!
//! Keeps at most [`CAPACITY`] bytes and [`MOST_FOUND`] findings in memory, for any file. The work
//! for each anchor is bounded, so the time grows linearly with the size of the file.

use std::cell::Cell;
use std::sync::LazyLock;

use super::files::{self, FileKind};
use super::filter::{Anchor, Filter, LONGEST};
use super::material::is_material;
use super::shape::{Find, Proof};
use super::shapes::shape;
use super::view::{AHEAD, BEHIND, TextPlace, TextView};
use super::{FoundSecret, SECRETS};

/// How many bytes of a file are in memory at a time.
pub const CAPACITY: usize = 320 * 1024 + KEPT;
/// How many bytes that were searched already stay in memory.
const KEPT: usize = BEHIND + LONGEST;
/// How many findings are kept for one file.
pub const MOST_FOUND: usize = 100;
/// A file with a zero byte among its first 8,000 bytes is binary. Git has the same rule.
const SNIFFED: usize = 8000;

static FILTER: LazyLock<Filter> = LazyLock::new(Filter::new);

/// Looks for secrets in one file.
#[derive(Debug)]
pub struct Scanner {
    kind: Option<FileKind>,
    place: TextPlace,
    material: bool,
    buffer: Vec<u8>,
    /// Where the buffer begins in the file.
    base: u64,
    /// Up to where in the buffer anchors were searched.
    looked: usize,
    lines: Lines,
    /// Where in the file the last secret ends. No other secret begins inside it.
    claimed: u64,
    found: Vec<FoundSecret>,
    work: Cell<u64>,
}

/// Counts the newlines before a place of the buffer.
#[derive(Debug)]
enum Lines {
    /// No bytes were read yet.
    Unknown,
    /// The file is binary and has no lines.
    Binary,
    /// The number of newlines before `until`, a place in the buffer.
    Text { count: u64, until: usize },
}

impl Scanner {
    /// A scanner for the file at this path of an image. The size is a hint.
    pub fn new(path: &str, size: u64) -> Self {
        let kind = files::kind(path);
        let place = if kind.is_some() {
            TextPlace::Settings
        } else {
            TextPlace::File
        };
        Self {
            kind,
            material: is_material(path),
            ..Self::at(place, size)
        }
    }

    /// A scanner for a text that is not a file.
    pub(super) fn at(place: TextPlace, size: u64) -> Self {
        let size = usize::try_from(size).map_or(CAPACITY, |size| size.min(CAPACITY));
        Self {
            kind: None,
            place,
            material: false,
            buffer: Vec::with_capacity(size),
            base: 0,
            looked: 0,
            lines: Lines::Unknown,
            claimed: 0,
            found: Vec::new(),
            work: Cell::new(0),
        }
    }

    /// The next bytes of the file.
    pub fn feed(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() {
            let room = CAPACITY - self.buffer.len();
            let (now, later) = chunk.split_at(room.min(chunk.len()));
            self.buffer.extend_from_slice(now);
            chunk = later;
            if self.buffer.len() == CAPACITY {
                self.look(CAPACITY - AHEAD);
                self.forget();
            }
        }
    }

    /// The findings, by line.
    pub fn finish(self) -> Vec<FoundSecret> {
        self.finish_with_work().0
    }

    /// The findings, by line, and how many bytes were read for them.
    pub fn finish_with_work(mut self) -> (Vec<FoundSecret>, u64) {
        self.look(self.buffer.len());
        self.tell_length();
        // If a shape matched in a line, the line's setting is not reported again.
        let known: Vec<Option<u64>> = self
            .found
            .iter()
            .filter(|found| !is_login(found))
            .map(|found| found.line)
            .collect();
        self.found
            .retain(|found| !is_login(found) || !known.contains(&found.line));
        self.found.sort_by_key(|found| found.line);
        (self.found, self.work.get())
    }

    /// Reports a file of settings that is too long to be read whole, as the rest may hold anything.
    fn tell_length(&mut self) {
        let length = self.base + self.buffer.len() as u64;
        let is_read_whole = matches!(self.kind, None | Some(FileKind::Urls)) || self.material;
        if length > CAPACITY as u64 && !is_read_whole {
            self.found.push(FoundSecret {
                rule: SECRETS,
                shape: "env-file",
                what: "more settings than are looked at",
                line: None,
                masked: format!("{length} bytes, of which {CAPACITY} were"),
            });
        }
    }

    /// Handles the anchors up to a place of the buffer.
    fn look(&mut self, until: usize) {
        if matches!(self.lines, Lines::Unknown) {
            let sniffed = &self.buffer[..self.buffer.len().min(SNIFFED)];
            self.lines = if sniffed.contains(&0) {
                Lines::Binary
            } else {
                Lines::Text { count: 0, until: 0 }
            };
            self.look_at_kind();
        }
        let buffer = std::mem::take(&mut self.buffer);
        self.work
            .set(self.work.get() + (until - self.looked) as u64);
        let from = self.looked;
        FILTER.anchors(&buffer, from, until, |at, anchor| {
            self.look_at(&buffer, at, anchor);
        });
        self.buffer = buffer;
        self.looked = until;
    }

    fn look_at(&mut self, buffer: &[u8], at: usize, Anchor { text, shape }: Anchor) {
        // Nothing begins inside a secret that was found.
        if self.base + (at as u64) < self.claimed
            || self.found.len() >= MOST_FOUND
            || self.material && shape.proof == Proof::Likeness
        {
            return;
        }
        let view = TextView::of(buffer, at, self.place, &self.work);
        let Some(hit) = shape.look(&view, text) else {
            return;
        };
        if shape.proof == Proof::Likeness && view.is_example(hit.range.start) {
            return;
        }
        // Ranges are relative to the view, which begins before the anchor.
        let start = at - view.at;
        self.claimed = self.base + (start + hit.range.end) as u64;
        let line = self.lines.of(buffer, start + hit.range.start);
        self.found.push(FoundSecret {
            rule: SECRETS,
            shape: shape.id,
            what: hit.what.unwrap_or(shape.what),
            line,
            masked: hit.masked,
        });
    }

    /// Reads the settings of a file whose name says what it holds. Only the first [`CAPACITY`]
    /// bytes count.
    fn look_at_kind(&mut self) {
        let Some(kind) = self.kind.filter(|_| !self.material) else {
            return;
        };
        self.work.set(self.work.get() + self.buffer.len() as u64);
        let logins = files::logins(kind, &self.buffer);
        self.found.extend(logins.into_iter().take(MOST_FOUND / 2));
    }

    /// Drops the bytes that no view needs any more.
    fn forget(&mut self) {
        let dropped = self.looked - KEPT;
        self.lines.forget(&self.buffer, dropped);
        self.buffer.drain(..dropped);
        self.base += dropped as u64;
        self.looked -= dropped;
    }
}

impl Lines {
    /// The line of a place, counted from one.
    fn of(&mut self, buffer: &[u8], at: usize) -> Option<u64> {
        match self {
            Self::Unknown | Self::Binary => None,
            Self::Text { count, until } => {
                // A secret may begin before the last one that was found.
                if at < *until {
                    return Some(*count + 1 - newlines(&buffer[at..*until]));
                }
                *count += newlines(&buffer[*until..at]);
                *until = at;
                Some(*count + 1)
            }
        }
    }

    fn forget(&mut self, buffer: &[u8], dropped: usize) {
        if let Self::Text { count, until } = self {
            if *until < dropped {
                *count += newlines(&buffer[*until..dropped]);
            }
            *until = until.saturating_sub(dropped);
        }
    }
}

/// Whether a finding comes from the file's name.
fn is_login(found: &FoundSecret) -> bool {
    shape(found.shape).is_some_and(|shape| matches!(shape.find, Find::Elsewhere))
}

/// Counts each block in a byte, so that the compiler can count many bytes at once. A block is too
/// short for the byte to overflow, and a check would cost time for every byte.
fn newlines(bytes: &[u8]) -> u64 {
    let is_newline = |byte: &u8| u8::from(*byte == b'\n');
    let (blocks, rest) = bytes.as_chunks::<192>();
    let blocks: u64 = blocks
        .iter()
        .map(|block| block.iter().map(is_newline).fold(0, u8::wrapping_add))
        .map(u64::from)
        .sum();
    blocks + rest.iter().map(is_newline).map(u64::from).sum::<u64>()
}
