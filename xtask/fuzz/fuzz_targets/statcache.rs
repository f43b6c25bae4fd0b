//! A stat cache: as a file, and as the part of a file behind a checksum that is right.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use xtask::contexts::StatCache;

fuzz_target!(|data: &[u8]| {
    let mut sealed = b"xtstats\n\x01\0\0\0".to_vec();
    sealed.extend_from_slice(blake3::hash(data).as_bytes());
    sealed.extend_from_slice(data);
    for bytes in [data.to_vec(), sealed] {
        if let Ok(cache) = StatCache::of_bytes(bytes) {
            cache.known();
            cache.folder(Path::new("a")).learn(Vec::new(), |_| true);
        }
    }
});
