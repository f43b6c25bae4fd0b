//! Reads and writes one file. Pipes and other non-files are never waited for. A file is written
//! whole or not at all.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::sync::{Mutex, MutexGuard};

use camino::{Utf8Path, Utf8PathBuf};

#[cfg(target_os = "linux")]
use super::devices::is_file_elsewhere;
use crate::unpoisoned::Unpoisoned as _;

/// Opens a file to be read. Anything but a file is an error: the end of a pipe may never come.
pub fn open(path: &Utf8Path) -> std::io::Result<File> {
    // Without this flag, opening a pipe may wait for ever.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(std::io::Error::other("it is not a file"))
    }
}

/// Reads a whole file; `None` when there is none. Anything but a file is an error.
pub fn read(path: &Utf8Path) -> std::io::Result<Option<Vec<u8>>> {
    let mut file = match open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
    file.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Reads a whole file of text that must be there.
pub fn read_text(path: &Utf8Path) -> std::io::Result<String> {
    std::io::read_to_string(open(path)?)
}

/// How the name of a file begins while it is written.
const NEW: &str = ".xtask-new-";

/// Writes a whole file or nothing: a new file in the same folder, synced, renamed over the old one.
/// Removes the files that killed writers left in the folder.
pub fn write_atomically(path: &Utf8Path, content: &[u8]) -> std::io::Result<()> {
    write_parts(path, &[content])
}

/// The same for content in several parts, which it seals.
pub fn write_sealed(
    path: &Utf8Path,
    kind: &str,
    version: u32,
    parts: &[&[u8]],
) -> std::io::Result<()> {
    let mut hash = blake3::Hasher::new();
    for part in parts {
        hash.update(part);
    }
    let header = super::sealing::header(kind, version, &hash.finalize());
    let parts: Vec<&[u8]> = std::iter::once(header.as_bytes())
        .chain(parts.iter().copied())
        .collect();
    write_parts(path, &parts)
}

/// The same without waiting until the disk has it, for what may get lost when the machine fails. A
/// file that was lost in part counts as damaged.
pub fn write_sealed_unsynced(
    path: &Utf8Path,
    kind: &str,
    version: u32,
    content: &[u8],
) -> std::io::Result<()> {
    let header = super::sealing::header(kind, version, &blake3::hash(content));
    let mut file = new_file(folder_of(path))?;
    file.write_all(header.as_bytes())?;
    file.write_all(content)?;
    file.persist(path)?;
    Ok(())
}

/// Identifies a file by its inode number, its creation time and its mount.
///
/// A copy of the file has another identity. So has the same file of a file system that was copied,
/// restored or laid under another (an image's layer under two containers), because that is mounted
/// anew. So has the same file of a snapshot in the same mount, because a snapshot is a file system
/// of its own (Btrfs). `None` if the identity cannot be told.
pub type Identity = Option<(u64, std::time::SystemTime, String)>;

/// The identity of an open file.
pub fn identity(file: &File) -> std::io::Result<Identity> {
    let meta = file.metadata()?;
    let told = || Some((meta.ino(), meta.created().ok()?, mount(file)?));
    Ok(told())
}

/// The type of an overlay in statfs(2), `OVERLAYFS_SUPER_MAGIC`.
pub const OVERLAY: u64 = 0x794c_7630;

/// A name for the mount and the file system by which an open file or folder is reached. No other
/// mount has the same name, on this machine since its start or on any other. `None` if it cannot be
/// told.
#[cfg(target_os = "linux")]
pub fn mount(file: impl AsFd) -> Option<String> {
    use rustix::fs::{AtFlags, StatxFlags};
    /// `STATX_MNT_ID_UNIQUE`: since Linux 6.8 the kernel gives a mount a number that is never used
    /// again (statx(2)). Older kernels use numbers again at once.
    const UNIQUE: u32 = 0x4000;
    let wanted = StatxFlags::MNT_ID | StatxFlags::from_bits_retain(UNIQUE);
    let found = rustix::fs::statx(&file, "", AtFlags::EMPTY_PATH, wanted).ok()?;
    let system = rustix::fs::fstatfs(&file).ok()?.f_type.cast_unsigned();
    let is_exchanged_with_ease = || {
        system & 0xffff_ffff == OVERLAY
            || is_file_elsewhere(found.stx_dev_major, found.stx_dev_minor)
    };
    if found.stx_mask & UNIQUE == 0 && is_exchanged_with_ease() {
        return None;
    }
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    // On Btrfs it holds the number of the subvolume, which is never used again.
    let system = rustix::fs::fstatvfs(&file).ok()?.f_fsid;
    let (boot, mount) = (boot.trim(), found.stx_mnt_id);
    Some(format!("{boot} {mount} {system:x}"))
}

/// Other systems do not tell mounts apart.
#[cfg(not(target_os = "linux"))]
pub fn mount(_: impl AsFd) -> Option<String> {
    Some(String::new())
}

/// As `write_atomically`, with content that depends on the identity of the new file.
pub fn write_bound(
    path: &Utf8Path,
    content: impl FnOnce(Identity) -> std::io::Result<Vec<u8>>,
) -> std::io::Result<()> {
    let file = new_file(folder_of(path))?;
    let content = content(identity(file.as_file())?)?;
    finish(path, file, &[&content])
}

fn write_parts(path: &Utf8Path, parts: &[&[u8]]) -> std::io::Result<()> {
    let file = new_file(folder_of(path))?;
    finish(path, file, parts)
}

/// The folder in which a file is written.
fn folder_of(path: &Utf8Path) -> &Utf8Path {
    let folder = path.parent().filter(|path| !path.as_str().is_empty());
    folder.unwrap_or(Utf8Path::new("."))
}

fn finish(path: &Utf8Path, file: tempfile::NamedTempFile, parts: &[&[u8]]) -> std::io::Result<()> {
    let folder = folder_of(path);
    let mut writer = std::io::BufWriter::new(file);
    for part in parts {
        writer.write_all(part)?;
    }
    let file = writer
        .into_inner()
        .map_err(std::io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // Once per process is enough: killed writers are other processes. A folder may hold thousands
    // of files.
    if swept().insert(folder.to_owned()) {
        remove_abandoned(folder);
    }
    Ok(())
}

/// The folders in which this process has already removed the files of killed writers.
fn swept() -> MutexGuard<'static, BTreeSet<Utf8PathBuf>> {
    static SWEPT: Mutex<BTreeSet<Utf8PathBuf>> = Mutex::new(BTreeSet::new());
    SWEPT.lock().unpoisoned()
}

/// A new file, locked. Its folder is made if it is missing. The lock ends with its writer, so it
/// distinguishes a file that is still being written from an abandoned one.
fn new_file(folder: &Utf8Path) -> std::io::Result<tempfile::NamedTempFile> {
    std::fs::create_dir_all(folder)?;
    loop {
        let file = tempfile::Builder::new()
            .prefix(NEW)
            // The usual permissions, so that other users of the machine may read a committed file.
            .permissions(std::fs::Permissions::from_mode(0o666))
            .tempfile_in(folder)?;
        match file.as_file().try_lock() {
            // Before it was locked, another process took it for abandoned.
            Err(TryLockError::WouldBlock) => {}
            Ok(()) if file.as_file().metadata()?.nlink() == 0 => {}
            // If files cannot be locked, none is ever taken for abandoned.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(file),
        }
    }
}

/// Removes the unfinished files of writers that were killed. A file that cannot be removed costs
/// disk space only.
pub fn remove_abandoned(folder: &Utf8Path) {
    let entries = folder.read_dir_utf8().into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().starts_with(NEW)) {
        // Opening anything but a file may wait for ever.
        if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let Ok(file) = File::open(entry.path()) else {
            continue;
        };
        // Locked until it is removed, so that a writer that has only just made it sees that it is
        // lost.
        if file.try_lock().is_ok() {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_from_its_copy_and_from_any_other() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let of = |name: &str| identity(&open(&folder.join(name)).unwrap()).unwrap();
        std::fs::write(folder.join("a"), "1").unwrap();
        std::fs::copy(folder.join("a"), folder.join("b")).unwrap();
        assert_eq!(of("a"), of("a"));
        assert!(of("a").is_none() || of("a") != of("b"));
        // Files of different file systems are reached by different mounts.
        let of_proc = mount(File::open("/proc/self/status").unwrap());
        let of_folder = mount(File::open(folder).unwrap());
        assert!(of_folder.is_none() || of_folder != of_proc);
    }

    fn names(folder: &Utf8Path) -> Vec<String> {
        let entries = folder.read_dir_utf8().unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().to_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_a_killed_writer_left_is_removed_by_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        // The lock of a killed writer is gone.
        drop(new_file(folder).unwrap().into_temp_path().keep().unwrap());
        assert_eq!(names(folder).len(), 1);
        write_atomically(&folder.join("a"), b"1").unwrap();
        assert_eq!(names(folder), ["a"]);
        assert_eq!(std::fs::read(folder.join("a")).unwrap(), b"1");
    }

    #[test]
    fn what_another_writer_still_writes_is_left_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let others = new_file(folder).unwrap();
        write_atomically(&folder.join("a"), b"1").unwrap();
        assert_eq!(names(folder).len(), 2);
        others.persist(folder.join("b")).unwrap();
        write_atomically(&folder.join("a"), b"2").unwrap();
        assert_eq!(names(folder), ["a", "b"]);
    }

    #[test]
    fn many_writers_at_once_never_lose_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                scope.spawn(move || {
                    for _ in 0..100 {
                        let path = folder.join(format!("{writer}"));
                        write_atomically(&path, b"1").unwrap();
                        remove_abandoned(folder);
                    }
                });
            }
        });
        assert_eq!(names(folder), ["0", "1", "2", "3"]);
    }

    #[test]
    fn a_pipe_in_the_place_of_a_new_file_stops_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let pipe = folder.join(format!("{NEW}x"));
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, pipe.as_str(), kind, mode, 0).unwrap();
        write_atomically(&folder.join("a"), b"1").unwrap();
        assert!(folder.join("a").is_file());
    }
}
