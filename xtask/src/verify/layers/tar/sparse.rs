//! Maps of sparse files: where the stored data belongs.
//!
//! The old GNU map stands in the header and in the blocks after it. Maps of the PAX kind stand in
//! the extended header (0.0 and 0.1) or at the start of the data (1.0).

use super::super::error::Cause;
use super::pax::{self, Sparse};

/// A piece of a file whose bytes are stored. All other bytes are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// Where an extended header says the map is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Map {
    /// In the extended header itself.
    Here(Vec<Segment>),
    /// At the start of the data.
    InData,
    /// The file is not sparse.
    None,
}

pub(super) fn wrong(why: &str) -> Cause {
    Cause::archive(format!("a sparse file {why}"))
}

/// The map that an extended header describes.
pub(super) fn of_pax(sparse: &Sparse) -> Result<Map, Cause> {
    let text = |value: &Option<Vec<u8>>| value.clone().unwrap_or_default();
    match (
        text(&sparse.major).as_slice(),
        text(&sparse.minor).as_slice(),
    ) {
        (b"1", b"0") => Ok(Map::InData),
        (b"0", b"0" | b"1") => listed(sparse).map(Map::Here),
        (b"", b"") if !sparse.map.is_empty() => listed(sparse).map(Map::Here),
        (b"", b"") => Ok(Map::None),
        // Go reads this as a file that is not sparse. GNU tar does not.
        _ => Err(wrong("is of an unknown version")),
    }
}

fn listed(sparse: &Sparse) -> Result<Vec<Segment>, Cause> {
    let blocks = sparse
        .blocks
        .and_then(|blocks| usize::try_from(blocks).ok());
    if blocks.and_then(|blocks| blocks.checked_mul(2)) != Some(sparse.map.len()) {
        return Err(wrong("has a map of another length than it says"));
    }
    let numbers = sparse.map.iter().map(|text| pax::digits(text));
    let numbers: Option<Vec<i64>> = numbers.collect();
    let numbers = numbers.ok_or_else(|| wrong("has a map that is malformed"))?;
    let pairs = numbers.chunks_exact(2);
    pairs.map(|pair| segment(pair[0], pair[1])).collect()
}

pub(super) fn segment(offset: i64, length: i64) -> Result<Segment, Cause> {
    let (Ok(offset), Ok(length)) = (u64::try_from(offset), u64::try_from(length)) else {
        return Err(wrong("has a map with negative numbers"));
    };
    Ok(Segment { offset, length })
}

/// Checks that segments follow each other inside the file and add up to all stored bytes.
pub(super) fn check(segments: &[Segment], size: u64, stored: u64) -> Result<(), Cause> {
    let mut end = 0;
    let mut total = 0_u64;
    for segment in segments {
        if segment.offset < end {
            return Err(wrong("has a map that is out of order"));
        }
        end = segment.offset.saturating_add(segment.length);
        total = total.saturating_add(segment.length);
    }
    if end > size {
        return Err(wrong("has data after its end"));
    }
    if total != stored {
        return Err(wrong("stores another number of bytes than its map says"));
    }
    Ok(())
}
