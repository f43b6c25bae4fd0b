//! Hashes a file's content and its extended attributes.
//!
//! A file that is written to meanwhile is an error.

use std::cell::RefCell;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::fs::{FileType, Mode, OFlags};

use super::attributes::{Attributes, Holder};
use super::meta::Meta;

/// From this size on, the threads share the work on one file.
const BIG: u64 = 8 << 20;
const BIG_CHUNK: usize = 4 << 20;
const CHUNK: usize = 128 << 10;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Why there is no hash.
#[derive(Debug)]
pub enum HashError {
    /// The file changed meanwhile, or another kind of entry took its place.
    Changed,
    /// It cannot be opened or read.
    Io(io::Error),
}

impl<E: Into<io::Error>> From<E> for HashError {
    fn from(error: E) -> Self {
        Self::Io(error.into())
    }
}

/// The hashes of a file.
#[derive(Debug)]
pub struct HashedFile {
    /// blake3 of its content.
    pub hash: [u8; 32],
    /// Its extended attributes.
    pub attributes: Attributes,
    /// Its metadata, the same before and after it was read.
    pub meta: Meta,
}

/// Reads a file and its extended attributes.
///
/// The file is read in pieces: if it were mapped, cutting it short would end the whole program.
pub fn hash(folder: BorrowedFd<'_>, name: &CStr) -> Result<HashedFile, HashError> {
    // Without NONBLOCK a named pipe that has just taken the file's place would hang the program.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(folder, name, flags, Mode::empty())?);
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(HashError::Changed);
    }
    let before = Meta::of(&stat);
    let (hash, read) = if before.size < BIG {
        BUFFER.with_borrow_mut(|buffer| {
            buffer.resize(CHUNK, 0);
            content(&mut file, before.size, buffer, blake3::Hasher::update)
        })?
    } else {
        // Not the thread's buffer: a thread that waits here may start on another file.
        let mut buffer = vec![0; BIG_CHUNK];
        content(
            &mut file,
            before.size,
            &mut buffer,
            blake3::Hasher::update_rayon,
        )?
    };
    let attributes = Holder::Open(file.as_fd()).attributes()?;
    let after = Meta::of(&rustix::fs::fstat(&file)?);
    if before != after || read != before.size {
        return Err(HashError::Changed);
    }
    Ok(HashedFile {
        hash,
        attributes,
        meta: before,
    })
}

fn content(
    file: &mut File,
    size: u64,
    buffer: &mut [u8],
    update: for<'a> fn(&'a mut blake3::Hasher, &[u8]) -> &'a mut blake3::Hasher,
) -> io::Result<([u8; 32], u64)> {
    let mut hasher = blake3::Hasher::new();
    let mut total = 0;
    while total < size {
        let mut filled = 0;
        while filled < buffer.len() && total + (filled as u64) < size {
            match file.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if filled == 0 {
            break;
        }
        update(&mut hasher, &buffer[..filled]);
        total += filled as u64;
    }
    Ok((*hasher.finalize().as_bytes(), total))
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn hash_in(folder: &tempfile::TempDir, name: &str) -> Result<HashedFile, HashError> {
        let open = File::open(folder.path()).unwrap();
        hash(open.as_fd(), &CString::new(name).unwrap())
    }

    #[test]
    fn files_of_all_sizes_are_hashed_by_their_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let chunk = u64::try_from(CHUNK).unwrap();
        for size in [0, 1, chunk - 1, chunk, chunk + 1, BIG - 1, BIG, 2 * BIG + 3] {
            let bytes: Vec<u8> = (0..size).map(|at| (at % 251).to_le_bytes()[0]).collect();
            std::fs::write(folder.path().join("f"), &bytes).unwrap();
            let hashed = hash_in(&folder, "f").unwrap();
            assert_eq!(hashed.hash, *blake3::hash(&bytes).as_bytes(), "{size}");
            assert_eq!(hashed.meta.size, size);
        }
    }

    #[test]
    fn what_is_no_file_any_more_has_changed_and_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let mode = Mode::from_raw_mode(0o600);
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, fifo, FileType::Fifo, mode, 0).unwrap();
        assert!(matches!(hash_in(&folder, "fifo"), Err(HashError::Changed)));
        std::os::unix::fs::symlink("fifo", folder.path().join("link")).unwrap();
        assert!(matches!(hash_in(&folder, "link"), Err(HashError::Io(_))));
        assert!(matches!(hash_in(&folder, "gone"), Err(HashError::Io(_))));
    }

    #[test]
    fn a_file_that_grows_or_shrinks_meanwhile_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, vec![1; 20 << 20]).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut file = File::options().append(true).open(&path).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    file.write_all(b"more").unwrap();
                    file.set_len(20 << 20).unwrap();
                }
            });
            while !matches!(hash_in(&folder, "f"), Err(HashError::Changed)) {}
            stop.store(true, Ordering::Relaxed);
        });
    }
}
