//! The state folder: where it is, its lock, and how a file in it is written.
//!
//! Knows paths, atomic writes and the lock of a running build. Is unaware of what the
//! files mean. Removing the folder costs time, never correctness.

pub mod bundle;
mod sealing;

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};

use crate::fault::{Fault, Result};
pub use sealing::{Broken, seal, unseal};

/// The state of one graph file.
#[derive(Debug, Clone)]
pub struct State {
    folder: Utf8PathBuf,
}

/// The root of the workspace that this program was built from.
pub fn workspace() -> Utf8PathBuf {
    let manifest = std::env::var("CARGO_MANIFEST_DIR");
    let manifest = manifest.unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    let manifest = Utf8PathBuf::from(manifest);
    manifest
        .parent()
        .map_or_else(|| manifest.clone(), Utf8Path::to_owned)
}

/// Where the states of all graphs lie: in `XTASK_STATE`, else in the workspace's `target/xtask`.
pub fn base() -> Utf8PathBuf {
    match std::env::var("XTASK_STATE") {
        Ok(path) if !path.is_empty() => Utf8PathBuf::from(path),
        _ => workspace().join("target/xtask"),
    }
}

impl State {
    /// The state that belongs to `graph`. Graphs do not share records, even where they share the folder.
    pub fn of(graph: &Utf8Path) -> Result<Self> {
        let folder = Self::place(graph);
        std::fs::create_dir_all(&folder).map_err(|error| {
            Fault::lacks(format!("cannot make the state folder {folder}: {error}; set XTASK_STATE to one that can be written"))
        })?;
        Ok(Self::in_folder(folder))
    }

    /// Where that state lies, if it is there.
    pub fn place(graph: &Utf8Path) -> Utf8PathBuf {
        let workspace = workspace();
        let base = base();
        let whole = graph
            .canonicalize_utf8()
            .unwrap_or_else(|_| graph.to_owned());
        // Relative where it can be: a checkout that moves keeps its records.
        let named = whole.strip_prefix(&workspace).unwrap_or(&whole);
        let id = &blake3::hash(named.as_str().as_bytes()).to_hex()[..12];
        base.join(format!("graph-{id}"))
    }

    /// The state in this very folder.
    pub const fn in_folder(folder: Utf8PathBuf) -> Self {
        Self { folder }
    }

    /// A path in the folder.
    pub fn path(&self, inner: impl AsRef<Utf8Path>) -> Utf8PathBuf {
        self.folder.join(inner)
    }

    /// A new folder for one call of a build, which goes with the value.
    pub fn call_folder(&self) -> std::io::Result<CallFolder> {
        let calls = self.path("calls");
        std::fs::create_dir_all(&calls)?;
        let folder = tempfile::tempdir_in(&calls)?;
        let name = folder.path().file_name().unwrap_or_default();
        let path = calls.join(name.to_string_lossy().as_ref());
        Ok(CallFolder {
            path,
            _folder: folder,
        })
    }

    /// Removes the folders of calls whose builds were killed. Only for whoever holds the lock.
    pub fn remove_call_folders(&self) {
        // What cannot be removed costs disk only.
        let _ = std::fs::remove_dir_all(self.path("calls"));
    }

    /// Takes the lock that only one build of a graph holds. `waiting` is told who has it,
    /// once, before the wait; `pause` lets some time go by and says whether to give up. The lock
    /// dies with the process.
    pub fn lock(
        &self,
        waiting: impl FnOnce(&str),
        pause: impl FnMut() -> bool,
    ) -> Result<HeldLock> {
        self.hold("build.lock", waiting, pause)
    }

    /// The same lock, if nobody holds it and the folder is there.
    pub fn lock_if_free(&self) -> Option<HeldLock> {
        self.hold("build.lock", |_| (), || true).ok()
    }

    /// The same for whoever brings sources here.
    pub fn lock_sources(
        &self,
        waiting: impl FnOnce(&str),
        pause: impl FnMut() -> bool,
    ) -> Result<HeldLock> {
        self.hold("sources.lock", waiting, pause)
    }

    fn hold(
        &self,
        name: &str,
        waiting: impl FnOnce(&str),
        mut pause: impl FnMut() -> bool,
    ) -> Result<HeldLock> {
        let path = self.path(name);
        let fault =
            |error: &dyn std::fmt::Display| Fault::lacks(format!("cannot lock {path}: {error}"));
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|error| fault(&error))?;
        let mut waiting = Some(waiting);
        // Asked again and again, as a wait for the lock itself could not be interrupted.
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(fault(&error)),
            }
            if let Some(waiting) = waiting.take() {
                let mut holder = String::new();
                // What it says is for people only; the lock itself is the truth.
                let _ = file.read_to_string(&mut holder);
                waiting(holder.trim());
            }
            if pause() {
                return Err(Fault::interrupted());
            }
        }
        let note = format!("process {}", std::process::id());
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(note.as_bytes()));
        written.map_err(|error| fault(&error))?;
        Ok(HeldLock { _file: file })
    }
}

/// A folder of one call's own.
#[derive(Debug)]
pub struct CallFolder {
    path: Utf8PathBuf,
    _folder: tempfile::TempDir,
}

impl CallFolder {
    /// Where it is.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }
}

/// Held for as long as only one process may do something.
#[derive(Debug)]
pub struct HeldLock {
    _file: File,
}

/// Opens a file to be read. What is no file is an error: one may wait for ever for a pipe's end.
pub fn open(path: &Utf8Path) -> std::io::Result<File> {
    // Without this flag one may wait for ever to open a pipe.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(std::io::Error::other("it is no file"))
    }
}

/// Reads a whole file; `None` when there is none. What is no file is an error.
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

/// What the name of a file begins with while it is written.
const NEW: &str = ".xtask-new-";

/// Writes a whole file or nothing: a new file in the same folder, synced, renamed over the old.
/// What writers that were killed left in the folder is removed.
pub fn write_atomically(path: &Utf8Path, content: &[u8]) -> std::io::Result<()> {
    write_parts(path, &[content])
}

/// The same with sealed content that lies in several parts.
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
    let header = sealing::header(kind, version, &hash.finalize());
    let parts: Vec<&[u8]> = std::iter::once(header.as_bytes())
        .chain(parts.iter().copied())
        .collect();
    write_parts(path, &parts)
}

fn write_parts(path: &Utf8Path, parts: &[&[u8]]) -> std::io::Result<()> {
    let folder = path.parent().filter(|path| !path.as_str().is_empty());
    let folder = folder.unwrap_or(Utf8Path::new("."));
    std::fs::create_dir_all(folder)?;
    let file = new_file(folder)?;
    let mut writer = std::io::BufWriter::new(file);
    for part in parts {
        writer.write_all(part)?;
    }
    let file = writer
        .into_inner()
        .map_err(std::io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // Once is enough: who is killed is not this process. A folder may hold thousands of files.
    if swept().insert(folder.to_owned()) {
        remove_abandoned(folder);
    }
    Ok(())
}

/// The folders in which this process has already removed what others left.
fn swept() -> MutexGuard<'static, BTreeSet<Utf8PathBuf>> {
    static SWEPT: Mutex<BTreeSet<Utf8PathBuf>> = Mutex::new(BTreeSet::new());
    SWEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A new file, locked. The lock dies with its writer, so it tells a file that is still being
/// written from one that never will be.
fn new_file(folder: &Utf8Path) -> std::io::Result<tempfile::NamedTempFile> {
    loop {
        let file = tempfile::Builder::new()
            .prefix(NEW)
            // As any file is made, so that the others of a machine may read what is committed.
            .permissions(std::fs::Permissions::from_mode(0o666))
            .tempfile_in(folder)?;
        match file.as_file().try_lock() {
            // Another process took it for abandoned before it was locked.
            Err(TryLockError::WouldBlock) => {}
            Ok(()) if file.as_file().metadata()?.nlink() == 0 => {}
            // Where nothing can be locked, nothing is ever taken for abandoned.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(file),
        }
    }
}

/// Removes the new files of writers that were killed. What cannot be removed costs disk only.
pub fn remove_abandoned(folder: &Utf8Path) {
    let entries = folder.read_dir_utf8().into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().starts_with(NEW)) {
        // One may wait for ever to open what is no file.
        if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let Ok(file) = File::open(entry.path()) else {
            continue;
        };
        // Locked until it is removed, so that a writer who has only just made it sees that it is lost.
        if file.try_lock().is_ok() {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_lock_is_taken_at_once_or_left_to_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let state = State::in_folder(folder.to_owned());
        let held = state.lock_if_free();
        assert!(held.is_some());
        assert!(state.lock_if_free().is_none());
        drop(held);
        assert!(state.lock_if_free().is_some());
        assert!(
            State::in_folder(folder.join("none"))
                .lock_if_free()
                .is_none()
        );
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
