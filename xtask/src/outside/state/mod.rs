//! The state folder: where it is, and its locks. Removing the folder costs time, never correctness.

pub mod bundle;
mod devices;
mod files;
mod sealing;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::time::SystemTime;

use camino::{Utf8Path, Utf8PathBuf};

use crate::fault::{Fault, Result};
pub use devices::is_file_elsewhere;
pub use files::{
    Identity, OVERLAY, identity, mount, open, read, read_text, remove_abandoned, write_atomically,
    write_bound, write_sealed, write_sealed_unsynced,
};
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

/// How the name of a graph's state folder begins.
const OF_GRAPH: &str = "graph-";
/// How many hexadecimal digits follow.
const DIGITS: usize = 12;

/// Whether a folder of this name is the state of some graph.
pub fn is_of_graph(name: &[u8]) -> bool {
    let id = name.strip_prefix(OF_GRAPH.as_bytes());
    id.is_some_and(|id| id.len() == DIGITS && id.iter().all(u8::is_ascii_hexdigit))
}

/// The folder that `XTASK_STATE` names, as an absolute path: links in the state lead to places in
/// it.
fn moved() -> Option<Utf8PathBuf> {
    let path = std::env::var("XTASK_STATE").ok()?;
    (!path.is_empty()).then(|| absolute(path.into()))
}

fn absolute(path: Utf8PathBuf) -> Utf8PathBuf {
    let whole = std::path::absolute(&path).ok();
    let whole = whole.and_then(|whole| Utf8PathBuf::from_path_buf(whole).ok());
    whole.unwrap_or(path)
}

/// Whether a graph file asks for its state to lie in the user's cache folder, by `state = "cache"`
/// above its first table. The place is needed before the file is read as a whole.
fn is_cached(graph: &Utf8Path) -> bool {
    let text = read_text(graph).unwrap_or_default();
    let is_above = |line: &&str| !line.trim_start().starts_with('[');
    text.lines().take_while(is_above).any(|line| {
        let line: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        let line = line.split('#').next().unwrap_or_default();
        line == "state=\"cache\"" || line == "state='cache'"
    })
}

/// The user's cache folder for states (specifications.freedesktop.org/basedir-spec).
fn cache() -> Option<Utf8PathBuf> {
    let folder = |name: &str| {
        let path = std::env::var(name).ok().map(Utf8PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let own = folder("XDG_CACHE_HOME");
    let own = own.or_else(|| Some(folder("HOME")?.join(".cache")));
    Some(own?.join("xtask"))
}

/// The folder of states to which `XTASK_STATE` or the graph file itself moves this one.
fn elsewhere(graph: &Utf8Path) -> Option<Utf8PathBuf> {
    moved().or_else(|| cache().filter(|_| is_cached(graph)))
}

/// The folder in which the states of `graph` and of other graphs lie: `XTASK_STATE`, else the cache
/// folder of the user if the graph file says so, else `target/xtask` below the graph's folder.
pub fn base(graph: &Utf8Path) -> Utf8PathBuf {
    elsewhere(graph).unwrap_or_else(|| beside(graph))
}

/// The folder in which the state of `graph` lies if nothing moves it.
pub fn beside(graph: &Utf8Path) -> Utf8PathBuf {
    let folder = graph.parent().filter(|folder| !folder.as_str().is_empty());
    let folder = folder.unwrap_or(Utf8Path::new("."));
    let whole = folder.canonicalize_utf8();
    let whole = whole.unwrap_or_else(|_| absolute(folder.to_owned()));
    whole.join("target/xtask")
}

/// `base` for the workspace's own graph, for commands that are about no other graph.
pub fn own_base() -> Utf8PathBuf {
    base(&workspace().join("build-graph.toml"))
}

impl State {
    /// The state of `graph`; its folder is made if it is missing. Graphs do not share records, even
    /// if they share the base folder.
    pub fn of(graph: &Utf8Path) -> Result<Self> {
        let folder = Self::place(graph);
        if !folder.is_dir() {
            make(&folder).map_err(|error| {
                Fault::lacks(format!("cannot make the state folder {folder}: {error}; set XTASK_STATE to one that can be written"))
            })?;
        }
        Ok(Self::in_folder(folder))
    }

    /// The folder of the state of `graph`, which may not exist.
    pub fn place(graph: &Utf8Path) -> Utf8PathBuf {
        let base = base(graph);
        let named = match elsewhere(graph) {
            // The state lies beside the graph, and moves with it.
            None => graph.file_name().map(Utf8PathBuf::from),
            Some(_) => None,
        };
        let named = named.unwrap_or_else(|| {
            let whole = graph
                .canonicalize_utf8()
                .unwrap_or_else(|_| graph.to_owned());
            // Relative to the workspace if it lies in it: a checkout that moves keeps its records.
            let inner = whole.strip_prefix(workspace()).map(Utf8Path::to_owned);
            inner.unwrap_or(whole)
        });
        let id = &blake3::hash(named.as_str().as_bytes()).to_hex()[..DIGITS];
        base.join(format!("{OF_GRAPH}{id}"))
    }

    /// The state in this very folder.
    pub const fn in_folder(folder: Utf8PathBuf) -> Self {
        Self { folder }
    }

    /// The folder in which the states of this graph and of others lie.
    pub fn beside(&self) -> &Utf8Path {
        self.folder.parent().unwrap_or(&self.folder)
    }

    /// The id that distinguishes the state from all others on engines that they share. A folder
    /// that is moved keeps its id. A copy has another one, and so has a folder that is made anew.
    pub fn id(&self) -> std::io::Result<String> {
        let meta = self.folder.metadata()?;
        let mut hash = blake3::Hasher::new();
        hash.update(&meta.ino().to_le_bytes());
        let born = meta.created().ok();
        match born.and_then(|born| born.duration_since(SystemTime::UNIX_EPOCH).ok()) {
            Some(born) => hash.update(&born.as_nanos().to_le_bytes()),
            // If the file system does not tell when the folder was made, its path must do.
            None => hash.update(self.folder.canonicalize_utf8()?.as_str().as_bytes()),
        };
        Ok(hash.finalize().to_hex()[..DIGITS].to_owned())
    }

    /// A path in the folder.
    pub fn path(&self, inner: impl AsRef<Utf8Path>) -> Utf8PathBuf {
        self.folder.join(inner)
    }

    /// A new folder for one call of a build. It is removed when the value is dropped.
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

    /// Removes the folders of calls whose builds were killed. Call it only while holding the graph
    /// alone.
    pub fn remove_call_folders(&self) {
        // A folder that cannot be removed costs disk space only.
        let _ = std::fs::remove_dir_all(self.path("calls"));
    }

    /// Takes the graph for a build. Other builds may have it, too, but nothing that changes the
    /// pins of all. `waiting` is called once, before the wait, with a description of the holder.
    /// `pause` lets some time pass and says whether to give up. The lock ends with the process.
    pub fn share(
        &self,
        waiting: impl FnOnce(&str),
        pause: impl FnMut() -> bool,
    ) -> Result<HeldLock> {
        self.hold(GRAPH, Kind::Shared, waiting, pause)
    }

    /// Takes the graph for a build, if nothing has it alone and the folder exists.
    pub fn share_if_free(&self) -> Option<HeldLock> {
        self.share(|_| (), || true).ok()
    }

    /// Takes the graph alone, when no build runs.
    pub fn lock(
        &self,
        waiting: impl FnOnce(&str),
        pause: impl FnMut() -> bool,
    ) -> Result<HeldLock> {
        self.hold(GRAPH, Kind::Alone, waiting, pause)
    }

    /// Takes the graph alone, if no build runs and the folder exists.
    pub fn lock_if_free(&self) -> Option<HeldLock> {
        self.lock(|_| (), || true).ok()
    }

    /// Takes one stage: only one build at a time builds it, names its image, and writes its
    /// records.
    pub fn lock_stage(
        &self,
        stage: &str,
        waiting: impl FnOnce(&str),
        pause: impl FnMut() -> bool,
    ) -> Result<HeldLock> {
        let folder = self.path("turns");
        std::fs::create_dir_all(&folder)
            .map_err(|error| Fault::lacks(format!("cannot make the folder {folder}: {error}")))?;
        self.hold(&format!("turns/{stage}.lock"), Kind::Alone, waiting, pause)
    }

    /// Takes the lock for work that only one call does at a time.
    pub fn lock_for(
        &self,
        work: LockedWork,
        waiting: impl FnOnce(&str),
        pause: impl FnMut() -> bool,
    ) -> Result<HeldLock> {
        let name = match work {
            LockedWork::Fetch => "sources.lock",
            LockedWork::Publish => "publish.lock",
            LockedWork::Trial => "rehearsal.lock",
        };
        self.hold(name, Kind::Alone, waiting, pause)
    }

    /// Takes the lock for writing the file of pins, which nobody holds for long.
    pub fn lock_pins(&self, pause: impl FnMut() -> bool) -> Result<HeldLock> {
        self.hold("pins.lock", Kind::Alone, |_| (), pause)
    }

    fn hold(
        &self,
        name: &str,
        kind: Kind,
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
        // Tried again and again, because a blocking wait could not be interrupted.
        loop {
            let tried = match kind {
                Kind::Alone => file.try_lock(),
                Kind::Shared => file.try_lock_shared(),
            };
            match tried {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(fault(&error)),
            }
            if let Some(waiting) = waiting.take() {
                let mut holder = String::new();
                // The content is for people only. The lock itself decides.
                let _ = file.read_to_string(&mut holder);
                waiting(holder.trim());
            }
            if pause() {
                return Err(Fault::interrupted());
            }
        }
        // Of several holders none is the one that is waited for.
        if let Kind::Alone = kind {
            let note = format!("process {}", std::process::id());
            let written = file
                .set_len(0)
                .and_then(|()| file.rewind())
                .and_then(|()| file.write_all(note.as_bytes()));
            written.map_err(|error| fault(&error))?;
        }
        Ok(HeldLock { _file: file })
    }
}

/// Work on a graph that only one call does at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockedWork {
    /// Fetching sources.
    Fetch,
    /// Publishing: one release at a time moves tags.
    Publish,
    /// A rehearsal's trial, which has one folder of the state.
    Trial,
}

/// The lock of a whole graph.
const GRAPH: &str = "build.lock";

/// How a lock is held.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// By nobody else.
    Alone,
    /// By others of this kind, too.
    Shared,
}

/// Makes a state folder, which git ignores wherever it lies.
fn make(folder: &Utf8Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join(".gitignore"), "*\n")
}

/// The folder of one call.
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

/// A lock that ends when the value is dropped.
#[derive(Debug)]
pub struct HeldLock {
    _file: File,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_keeps_its_id_where_it_is_moved_and_a_copy_has_another() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| Utf8Path::from_path(folder.path()).unwrap().join(name);
        let id = |name: &str| State::in_folder(at(name)).id().unwrap();
        std::fs::create_dir(at("a")).unwrap();
        let first = id("a");
        std::fs::write(at("a").join("records"), "").unwrap();
        std::fs::create_dir(at("copy")).unwrap();
        assert_eq!(id("a"), first);
        assert_ne!(id("copy"), first);
        if at("a").metadata().unwrap().created().is_ok() {
            std::fs::rename(at("a"), at("b")).unwrap();
            assert_eq!(id("b"), first);
        }
        assert!(State::in_folder(at("none")).id().is_err());
    }

    #[test]
    fn a_lock_is_taken_at_once_or_left_to_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let state = State::in_folder(folder.to_owned());
        let held = state.lock_if_free();
        assert!(held.is_some());
        assert!(state.lock_if_free().is_none());
        assert!(state.share_if_free().is_none());
        drop(held);
        let builds = [state.share_if_free(), state.share_if_free()];
        assert!(builds.iter().all(Option::is_some));
        assert!(state.lock_if_free().is_none());
        drop(builds);
        assert!(state.lock_if_free().is_some());
        assert!(
            State::in_folder(folder.join("none"))
                .lock_if_free()
                .is_none()
        );
    }
}
