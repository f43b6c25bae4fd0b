//! Extended attributes of an entry: a file's capabilities, and what `setfattr` sets.
//!
//! BuildKit's client sends all of them (tonistiigi/fsutil `loadXattr`). The hash that BuildKit
//! makes of them leaves out `system.*` and `security.*`, except `security.capability`
//! (moby/buildkit `cache/contenthash/tarsum.go`; tried with Docker 26.1.5). The attributes of a
//! folder are like its permission bits: in a context that BuildKit has been sent before, nothing
//! runs again for them.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::io::Errno;

/// A hash over the names and values of the attributes that count; `None` without any.
pub type Attributes = Option<Box<[u8; 32]>>;

/// Most entries have no attributes, or a list of names that fits into this many bytes.
const SHORT: usize = 256;

/// No list of names and no value is longer (xattr(7)).
const LONGEST: usize = 64 << 10;

/// An entry whose attributes are read.
#[derive(Clone, Copy)]
pub enum Holder<'a> {
    /// A file that is open.
    Open(BorrowedFd<'a>),
    /// Any entry at a path. A link is read itself, not what it leads to.
    At(&'a Path),
}

impl Holder<'_> {
    /// A hash over the attributes that count.
    pub fn attributes(self) -> io::Result<Attributes> {
        let mut names: Vec<CString> = self.names()?;
        names.retain(|name| counts(name));
        if names.is_empty() {
            return Ok(None);
        }
        names.sort_unstable();
        let mut hash = blake3::Hasher::new();
        for name in &names {
            // If an attribute was removed meanwhile, the file's change time shows it.
            let Ok(value) = self.value(name) else {
                continue;
            };
            for part in [name.as_bytes(), &value] {
                hash.update(&(part.len() as u64).to_le_bytes()).update(part);
            }
        }
        Ok(Some(Box::new(*hash.finalize().as_bytes())))
    }

    /// The names of all attributes; none on a file system without extended attributes.
    fn names(self) -> io::Result<Vec<CString>> {
        let mut short = [0; SHORT];
        let filled = match self.list(&mut short) {
            Ok(0) | Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(Vec::new()),
            Ok(length) => return Ok(split(&short[..length])),
            Err(Errno::RANGE) => whole(|buffer| self.list(buffer))?,
            Err(why) => return Err(why.into()),
        };
        Ok(split(&filled))
    }

    fn list(self, buffer: &mut [u8]) -> rustix::io::Result<usize> {
        match self {
            Self::Open(file) => rustix::fs::flistxattr(file, buffer),
            Self::At(path) => rustix::fs::llistxattr(path, buffer),
        }
    }

    fn value(self, name: &CStr) -> io::Result<Vec<u8>> {
        whole(|buffer| match self {
            Self::Open(file) => rustix::fs::fgetxattr(file, name, buffer),
            Self::At(path) => rustix::fs::lgetxattr(path, name, buffer),
        })
    }
}

/// Whether an attribute is part of what BuildKit hashes.
fn counts(name: &CStr) -> bool {
    let name = name.to_bytes();
    let is_of_system = name.starts_with(b"security.") || name.starts_with(b"system.");
    !is_of_system || name == b"security.capability"
}

/// Everything that a call puts into a buffer.
fn whole(ask: impl FnOnce(&mut [u8]) -> rustix::io::Result<usize>) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; LONGEST];
    let length = ask(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

fn split(names: &[u8]) -> Vec<CString> {
    let names = names.split_inclusive(|byte| *byte == 0);
    names
        .filter_map(|name| CStr::from_bytes_with_nul(name).ok())
        .map(CStr::to_owned)
        .collect()
}

/// Why an entry could not be given the attributes of another.
pub enum CopyError {
    /// The names of the attributes cannot be read.
    Reading(io::Error),
    /// This attribute cannot be set.
    Setting(CString, io::Error),
}

/// Gives an entry the attributes of another. An attribute that does not count may fail to be set.
pub fn copy(from: &Path, to: &Path) -> Result<(), CopyError> {
    let holder = Holder::At(from);
    for name in holder.names().map_err(CopyError::Reading)? {
        let Ok(value) = holder.value(&name) else {
            continue;
        };
        let flags = rustix::fs::XattrFlags::empty();
        match rustix::fs::lsetxattr(to, &name, &value, flags) {
            Err(why) if counts(&name) => return Err(CopyError::Setting(name, why.into())),
            _ => {}
        }
    }
    Ok(())
}
