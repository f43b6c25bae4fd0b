//! The content hash of a file.
//!
//! Knows how to read a file so that a change meanwhile is noticed; asks the cache first. Files
//! are read, never mapped: one that is truncated under a mapping would end the process.

use std::cell::RefCell;
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::path::Path;

use super::select::{Found, mode};
use super::statcache::{Stamp, StatCache};
use super::{Input, InputsError, Kind, Layers};

/// From this size on a file is hashed on all cores.
const LARGE: u64 = 4 << 20;
const BUFFER: usize = 1 << 20;

thread_local! {
    static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Makes an input of a selected entry.
pub fn finish(layers: &Layers, found: Found, cache: &StatCache) -> Result<Input, InputsError> {
    let Found {
        path,
        layer,
        kind,
        meta,
    } = found;
    let (size, hash) = match kind {
        Kind::File => {
            let place = layers.place(layer, &path);
            let stamp = Stamp::of(&meta);
            let hash = match cache.get(&place, &stamp) {
                Some(hash) => hash,
                None => {
                    let hash = read(&place, &meta)?;
                    cache.put(&place, stamp, hash);
                    hash
                }
            };
            (meta.len(), Some(hash))
        }
        _ => (0, None),
    };
    Ok(Input {
        mode: mode(&meta),
        path,
        kind,
        size,
        hash,
        layer,
    })
}

fn read(path: &Path, meta: &Metadata) -> Result<[u8; 32], InputsError> {
    let unreadable = |error| InputsError::Unreadable(path.to_owned(), error);
    let mut file = File::open(path).map_err(unreadable)?;
    let wanted = Stamp::of(meta);
    if Stamp::of(&file.metadata().map_err(unreadable)?) != wanted {
        return Err(InputsError::Changed(path.to_owned()));
    }
    let mut hasher = blake3::Hasher::new();
    BYTES.with_borrow_mut(|bytes| {
        bytes.resize(BUFFER, 0);
        loop {
            match file.read(bytes) {
                Ok(0) => return Ok(()),
                Ok(length) if meta.len() >= LARGE => {
                    hasher.update_rayon(&bytes[..length]);
                }
                Ok(length) => {
                    hasher.update(&bytes[..length]);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(error)),
            }
        }
    })?;
    if Stamp::of(&file.metadata().map_err(unreadable)?) != wanted {
        return Err(InputsError::Changed(path.to_owned()));
    }
    Ok(*hasher.finalize().as_bytes())
}
