//! The inputs of a stage: every entry of its contexts that can change its image.
//!
//! Knows ignore files, trees laid over each other, and which entries an instruction selects,
//! as BuildKit would see them. Is unaware of Dockerfile text (`dockerfile` says what is
//! needed) and of keys.

mod gopath;
mod hash;
mod ignore;
mod layers;
mod materialise;
mod pattern;
mod select;
mod statcache;

use std::path::PathBuf;

use rayon::prelude::*;

pub use ignore::{Ignore, IgnoreError};
pub use layers::Layers;
pub use materialise::materialise;
pub use statcache::StatCache;

use crate::dockerfile::ContextNeed;

/// The inputs of one context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    /// Sorted bytewise by path.
    pub entries: Vec<Input>,
    /// Why the whole context counts, where it does.
    pub whole: Option<String>,
    /// The size of all files together.
    pub bytes: u64,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Relative to the context, `/`-separated, raw bytes.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky: `0o7777`.
    pub mode: u32,
    /// A file's size in bytes.
    pub size: u64,
    /// The blake3 hash of a file's bytes.
    pub hash: Option<[u8; 32]>,
    /// Which of the layers it is from; 0 is the context itself.
    pub layer: u16,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link, which is never followed when its folder is copied.
    Symlink {
        /// What it points to, as it stands.
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A block or character device.
    Device,
}

/// Why a context cannot be read.
#[derive(Debug)]
pub enum InputsError {
    /// A file or folder cannot be read.
    Unreadable(PathBuf, std::io::Error),
    /// A file changed while it was read.
    Changed(PathBuf),
}

impl std::fmt::Display for InputsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(path, error) if error.kind() == std::io::ErrorKind::NotFound => {
                write!(
                    f,
                    "{} vanished while it was read; run again when nothing writes there",
                    path.display()
                )
            }
            Self::Unreadable(path, error) => write!(
                f,
                "cannot read {}: {error}; make it readable, or leave it out by .dockerignore",
                path.display()
            ),
            Self::Changed(path) => {
                write!(
                    f,
                    "{} changed while it was read; run again when nothing writes there",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for InputsError {}

/// Collects the inputs of one context.
pub fn collect(
    layers: &Layers,
    ignore: &Ignore,
    need: &ContextNeed,
    cache: &StatCache,
) -> Result<Inputs, InputsError> {
    let (found, whole) = match need {
        ContextNeed::Nothing => (Vec::new(), None),
        ContextNeed::Whole { because } => (select::whole(layers, ignore)?, Some(because.clone())),
        ContextNeed::Paths(needs) => (select::paths(layers, ignore, needs)?, None),
    };
    let entries = found
        .into_par_iter()
        .map(|found| hash::finish(layers, found, cache))
        .collect::<Result<Vec<_>, _>>()?;
    let bytes = entries.iter().map(|input| input.size).sum();
    Ok(Inputs {
        entries,
        whole,
        bytes,
    })
}
