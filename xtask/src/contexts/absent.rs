//! Why there is nothing at a path that an instruction names outright.
//!
//! Gives no answer if a link is on the way, as BuildKit follows it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::Layers;
use dockerignore::{Above, Ignore};

/// Why BuildKit finds nothing at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absent {
    /// Nothing is there.
    NotThere,
    /// The ignore file leaves this path out: the path asked for, or a folder above it.
    LeftOut(Vec<u8>),
}

/// Why nothing of `path` is sent; `None` unless that is certain.
pub fn absent(layers: &Layers, ignore: &Ignore, path: &[u8]) -> Option<Absent> {
    let mut above = Above::default();
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let ends: Vec<usize> = ends.map(|(at, _)| at).chain([path.len()]).collect();
    for end in &ends {
        let part = &path[..*end];
        let here = layers.folders.iter().filter_map(|layer| {
            let place = layer.as_std_path().join(OsStr::from_bytes(part));
            place.symlink_metadata().ok()
        });
        let here: Vec<_> = here.map(|meta| meta.file_type()).collect();
        let Some(kind) = here.first() else {
            return Some(Absent::NotThere);
        };
        // If layers disagree, the last one wins, and may hide what is below.
        if kind.is_symlink() || here.iter().any(|other| other != kind) {
            return None;
        }
        let (judged, below) = ignore.judge(part, &above).ok()?;
        if judged.by_both() && !(kind.is_dir() && ignore.may_reach_below(part)) {
            return Some(Absent::LeftOut(part.to_vec()));
        }
        if !kind.is_dir() && *end < path.len() {
            return Some(Absent::NotThere);
        }
        above = below;
    }
    None
}
