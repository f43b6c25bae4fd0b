//! Records and what they are made of: as a file, and as the content of a file whose checksum is
//! right.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xtask::freshness::record::{FORMAT, MADE_OF, RECORDS, Records, read_made_of};
use xtask::outside::state;

fuzz_target!(|data: &[u8]| {
    let _ = Records::read(data);
    let _ = read_made_of(data);
    let _ = Records::read(&state::seal(RECORDS, FORMAT, data));
    let _ = read_made_of(&state::seal(MADE_OF, FORMAT, data));
});
