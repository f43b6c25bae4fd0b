//! An ignore file, a NUL, and a path that is asked about. What the walk of a context leaves out
//! must be left out by Moby's other answer too.

#![no_main]

use libfuzzer_sys::fuzz_target;
use dockerignore::Ignore;

fuzz_target!(|data: &[u8]| {
    let at = data.iter().position(|byte| *byte == 0);
    let (file, path) = at.map_or((data, &b"a/b"[..]), |at| (&data[..at], &data[at + 1..]));
    let Ok(ignore) = Ignore::parse(file) else {
        return;
    };
    let excluded = ignore.excludes(path);
    let mut above = Default::default();
    let folders = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    for (end, _) in folders {
        let Ok((out, below)) = ignore.judge(&path[..end], &above) else {
            return;
        };
        if out.by_walk && !ignore.may_reach_below(&path[..end]) {
            return;
        }
        above = below;
    }
    if let Ok((out, _)) = ignore.judge(path, &above) {
        assert_eq!(excluded, out.by_request, "two answers to one request");
    }
});
