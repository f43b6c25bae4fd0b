//! A file of memos: as a file, and as the part of a file behind a checksum that is right.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xtask::freshness::planner::memo::{FORMAT, MEMOS, Memos};
use xtask::outside::state;

fuzz_target!(|data: &[u8]| {
    for bytes in [data.to_vec(), state::seal(MEMOS, FORMAT, data)] {
        if let Ok(memos) = Memos::of_bytes(bytes) {
            memos.recall("a", &[0; 32]);
        }
    }
    let parts: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    xtask::contexts::is_current(&parts);
});
