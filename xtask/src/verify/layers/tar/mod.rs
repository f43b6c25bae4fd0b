//! Tar archives as streams, read as Go's `archive/tar` reads them, with which engines unpack.
//!
//! Knows ustar, PAX and GNU archives: long names, PAX overrides, base-256 numbers, sparse files.
//! Where readers are known to disagree on an archive it is an error, and nothing is guessed. The
//! layout of headers is the `tar` crate's. Its iteration cannot be used on archives of others: it
//! keeps names of any length, cuts PAX values at line ends, refuses empty numbers, and reads no
//! sparse files of the PAX kind. Is unaware of layers and images.

mod header;
mod members;
mod pax;
mod sparse;

pub(super) use members::{Members, TarMember, Type};

/// Whether bytes may begin an archive that is not compressed.
pub(super) fn may_begin(start: &[u8]) -> bool {
    match <&[u8; header::BLOCK]>::try_from(start) {
        Ok(block) => header::is_zero(block) || header::is_header(block),
        Err(_) => start.is_empty(),
    }
}
