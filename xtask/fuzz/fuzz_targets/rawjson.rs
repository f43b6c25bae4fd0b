//! Buildx's progress stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xtask::build::executor::rawjson::Reader;

fuzz_target!(|data: &[u8]| {
    let mut reader = Reader::default();
    for line in data.split(|byte| *byte == b'\n') {
        let _ = reader.line(line);
    }
    let _ = reader.finish();
});
