//! Finds the anchors in a file. This is the part that reads every byte.
//!
//! The window of an anchor is its rarest four bytes, or all of it if it has only three. At every
//! second place of the file, three bytes are looked up in a bitmap. So each window is met at its
//! first or its second byte, wherever it stands. The time per byte is the same for any content,
//! except for places whose three bytes are in the bitmap.

use super::shape::Shape;
use super::shapes::all;

/// The length of the longest anchor. A window begins at most this far after its anchor's start.
pub const LONGEST: usize = 32;

/// A text at which a shape looks for its secret.
#[derive(Debug, Clone, Copy)]
pub struct Anchor {
    /// The text.
    pub text: &'static str,
    /// The shape.
    pub shape: &'static Shape,
}

/// An anchor with its window.
#[derive(Debug)]
struct Entry {
    /// The window. Its first byte is the lowest.
    window: u32,
    /// The mask of the window's bytes that count.
    mask: u32,
    /// How far after the start of the anchor its window begins.
    behind: usize,
    anchor: Anchor,
}

/// The anchors of all shapes.
#[derive(Debug)]
pub struct Filter {
    grams: Box<[u64; 1024]>,
    by_first: Vec<Vec<Entry>>,
}

impl Filter {
    /// A filter for all shapes.
    pub fn new() -> Self {
        let mut filter = Self {
            grams: Box::new([0; 1024]),
            by_first: std::iter::repeat_with(Vec::new).take(256).collect(),
        };
        for shape in all() {
            for text in shape.anchors() {
                filter.add(Anchor { text, shape });
            }
        }
        filter
    }

    fn add(&mut self, anchor: Anchor) {
        let text = anchor.text.as_bytes();
        assert!(
            (3..=LONGEST).contains(&text.len()),
            "an anchor has 3 to {LONGEST} bytes: {}",
            anchor.text
        );
        let length = text.len().min(4);
        let behind = (0..=text.len() - length)
            .min_by_key(|at| commonness(&text[*at..*at + length]))
            .unwrap_or_default();
        let mut window = [0; 4];
        window[..length].copy_from_slice(&text[behind..behind + length]);
        let [a, b, c, d] = window;
        self.set([a, b, c]);
        if length == 4 {
            self.set([b, c, d]);
        } else {
            (0..=255).for_each(|next| self.set([b, c, next]));
        }
        self.by_first[usize::from(a)].push(Entry {
            window: u32::from_le_bytes(window),
            mask: if length == 4 { !0 } else { 0x00ff_ffff },
            behind,
            anchor,
        });
    }

    fn set(&mut self, [a, b, c]: [u8; 3]) {
        let place = slot(u64::from_le_bytes([a, b, c, 0, 0, 0, 0, 0]));
        self.grams[place >> 6] |= 1 << (place & 63);
    }

    /// 1 if the lowest three bytes are in the bitmap.
    fn bit(&self, word: u64) -> u64 {
        let place = slot(word);
        self.grams[place >> 6] >> (place & 63) & 1
    }

    /// Calls `call` for each anchor whose window begins in `from..until`, with the anchor's place.
    /// Windows come in order, each once. Bytes outside the range are read too.
    pub fn anchors(
        &self,
        bytes: &[u8],
        from: usize,
        until: usize,
        mut call: impl FnMut(usize, Anchor),
    ) {
        let mut at = from;
        // Four look-ups without a branch for every eight bytes.
        while at < until
            && let Some(low) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>)
            && let Some(high) = bytes.get(at + 2..).and_then(<[u8]>::first_chunk::<8>)
        {
            let (low, high) = (u64::from_le_bytes(*low), u64::from_le_bytes(*high));
            let hits = self.bit(low)
                | self.bit(low >> 16) << 1
                | self.bit(low >> 32) << 2
                | self.bit(high >> 32) << 3;
            if hits != 0 {
                for step in (0..4).filter(|step| hits >> step & 1 == 1) {
                    self.around(bytes, at + 2 * step, from, until, &mut call);
                }
            }
            at += 8;
        }
        while at <= until
            && let Some([a, b, c]) = bytes.get(at..).and_then(<[u8]>::first_chunk::<3>)
        {
            if self.bit(u64::from_le_bytes([*a, *b, *c, 0, 0, 0, 0, 0])) == 1 {
                self.around(bytes, at, from, until, &mut call);
            }
            at += 2;
        }
    }

    /// Calls `call` for the windows that begin at a place or one byte before it.
    fn around(
        &self,
        bytes: &[u8],
        at: usize,
        from: usize,
        until: usize,
        call: &mut impl FnMut(usize, Anchor),
    ) {
        for at in at.saturating_sub(1).max(from)..(at + 1).min(until) {
            let mut window = [0; 4];
            let rest = &bytes[at..];
            let length = rest.len().min(4);
            window[..length].copy_from_slice(&rest[..length]);
            let window = u32::from_le_bytes(window);
            for entry in &self.by_first[usize::from(rest[0])] {
                if window & entry.mask == entry.window
                    && let Some(start) = at.checked_sub(entry.behind)
                    && bytes[start..].starts_with(entry.anchor.text.as_bytes())
                {
                    call(start, entry.anchor);
                }
            }
        }
    }
}

/// Roughly how common bytes are in programs and texts. The middle bytes are looked up twice.
fn commonness(window: &[u8]) -> u32 {
    let common = |byte: u8| match byte {
        b'a' | b'c'..=b'e' | b'i' | b'l' | b'n'..=b'p' | b'r'..=b't' => 4,
        b'a'..=b'z' => 3,
        b'_' | b'-' | b'.' | b' ' | b'=' => 2,
        _ => 1,
    };
    window
        .iter()
        .chain(&window[1..window.len() - 1])
        .map(|byte| common(*byte))
        .sum()
}

/// The slot of the lowest three bytes among 65,536.
fn slot(word: u64) -> usize {
    #[allow(clippy::cast_possible_truncation)] // The lowest three bytes stay.
    let word = (word as u32) << 8;
    (word.wrapping_mul(0x9e37_79b1) >> 16) as usize
}
