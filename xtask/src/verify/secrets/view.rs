//! The bytes that a shape may read around one place of a file.
//!
//! Every view has the same bounds, wherever the chunks of the file began, so that a shape answers
//! the same for any chunking. Each byte that a shape reads counts as work.

use std::cell::Cell;
use std::ops::Range;

use super::letters::Alphabet;

/// How far a shape may look back from its anchor.
pub const BEHIND: usize = 1024;
/// How far a shape may look ahead from its anchor: room for the largest private key.
pub const AHEAD: usize = 64 * 1024;

/// The kind of place that a text comes from, as far as shapes need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextPlace {
    /// A file whose sentences may be about anything.
    File,
    /// A place of settings: an image's configuration, `.env`, `pip.conf`. There, passwords are
    /// judged less strictly, and the local host counts.
    Settings,
}

/// The bytes around an anchor.
#[derive(Debug, Clone, Copy)]
pub struct TextView<'a> {
    /// At most [`BEHIND`] bytes before the anchor, and [`AHEAD`] from it on.
    pub bytes: &'a [u8],
    /// Where the anchor begins.
    pub at: usize,
    /// Where the text comes from.
    pub place: TextPlace,
    work: &'a Cell<u64>,
}

impl<'a> TextView<'a> {
    /// The view of an anchor. The buffer must hold all bytes that the view may see.
    pub fn of(buffer: &'a [u8], at: usize, place: TextPlace, work: &'a Cell<u64>) -> Self {
        let start = at.saturating_sub(BEHIND);
        let end = buffer.len().min(at + AHEAD);
        Self {
            bytes: &buffer[start..end],
            at: at - start,
            place,
            work,
        }
    }

    /// A view of other bytes, for example of decoded ones.
    pub fn inside<'b>(&self, bytes: &'b [u8], at: usize) -> TextView<'b>
    where
        'a: 'b,
    {
        self.spend(bytes.len());
        TextView {
            bytes,
            at,
            place: self.place,
            work: self.work,
        }
    }

    /// Counts work that a shape does without this view.
    pub fn spend(&self, bytes: usize) {
        self.work.set(self.work.get() + bytes as u64);
    }

    /// The byte at a position.
    pub fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// The byte before a position.
    pub fn before(&self, at: usize) -> Option<u8> {
        at.checked_sub(1).and_then(|at| self.byte(at))
    }

    /// The end of the run of an alphabet that begins at a position. At most `most` bytes count.
    pub fn run(&self, from: usize, alphabet: &Alphabet, most: usize) -> usize {
        let rest = self.bytes.get(from..).unwrap_or_default();
        let length = rest
            .iter()
            .take(most)
            .take_while(|byte| alphabet.has(**byte))
            .count();
        self.spend(length + 1);
        from + length
    }

    /// The start of the run of an alphabet that ends before a position. At most `most` bytes count.
    pub fn run_back(&self, until: usize, alphabet: &Alphabet, most: usize) -> usize {
        let rest = self.bytes.get(..until).unwrap_or_default();
        let length = rest
            .iter()
            .rev()
            .take(most)
            .take_while(|byte| alphabet.has(**byte))
            .count();
        self.spend(length + 1);
        until - length
    }

    /// Whether a text is at a position.
    pub fn starts(&self, at: usize, text: &[u8]) -> bool {
        self.spend(text.len());
        self.bytes
            .get(at..)
            .is_some_and(|rest| rest.starts_with(text))
    }

    /// Where a text first occurs within a range.
    pub fn find(&self, range: Range<usize>, text: &[u8]) -> Option<usize> {
        let end = range.end.min(self.bytes.len());
        let start = range.start.min(end);
        self.spend(end - start);
        self.bytes[start..end]
            .windows(text.len())
            .position(|window| window == text)
            .map(|found| start + found)
    }

    /// Whether the text before a place of a file calls it an example: `e.g.: "x"`.
    pub fn is_example(&self, at: usize) -> bool {
        let before = self
            .bytes
            .get(at.saturating_sub(12)..at)
            .unwrap_or_default();
        self.spend(before.len());
        let quotes = |byte: &u8| matches!(byte, b' ' | b':' | b'`' | b'"' | b'\'' | b'.' | b',');
        let end = before.iter().rposition(|byte| !quotes(byte));
        let words = end.map_or(&before[..0], |end| &before[..=end]);
        self.place == TextPlace::File && words.ends_with(b"e.g")
    }

    /// Whether a word may begin at a position: the byte before is no letter, digit or underscore,
    /// or belongs to an escape such as `\n`.
    pub fn word_begins(&self, at: usize) -> bool {
        match self.before(at) {
            None => true,
            Some(b'n' | b'r' | b't') => at >= 2 && self.bytes[at - 2] == b'\\',
            Some(byte) => !(byte.is_ascii_alphanumeric() || byte == b'_'),
        }
    }
}
