//! Tar archives as streams, read as Go's `archive/tar` reads them, as engines unpack with it:
//! ustar, PAX and GNU archives with long names, PAX overrides, base-256 numbers and sparse files.
//!
//! If readers are known to disagree on an archive, it is an error: nothing is guessed. The layout
//! of headers comes from the `tar` crate. Its iteration is not safe for archives of others: it
//! keeps names of any length, cuts PAX values at line ends, refuses empty numbers, and reads no
//! sparse files of the PAX kind.

mod header;
mod members;
mod pax;
mod sparse;

pub(super) use members::{Members, TarMember, Type};

/// Whether bytes may begin an uncompressed archive.
pub(super) fn may_begin(start: &[u8]) -> bool {
    match <&[u8; header::BLOCK]>::try_from(start) {
        Ok(block) => header::is_zero(block) || header::is_header(block),
        Err(_) => start.is_empty(),
    }
}
