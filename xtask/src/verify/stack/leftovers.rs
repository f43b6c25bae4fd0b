//! Removes what a killed run leaves behind.
//!
//! Before a run makes anything, it writes a note with the project's name into the state folder, and
//! keeps the note locked while it lives. A later run that can lock a note removes everything with
//! that project's label and nothing else: not what another run still uses, not what a user kept,
//! and no other project.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use super::rewrite::LABEL;
use crate::fault::{Fault, Result};
use crate::outside::engine::Engine;
use crate::outside::interrupt::Interrupt;
use crate::outside::state::State;

/// How long a call that outlived its killed run may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a run writes down before it makes anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    project: String,
    /// The engine's id. No other engine has anything of the project.
    engine: String,
    /// The run's process.
    process: i32,
    /// Whether the user wants the project to stay.
    kept: bool,
}

/// A project on an engine. Dropping this value removes the project, unless it is kept.
#[derive(Debug)]
pub struct Session<'s> {
    engine: &'s Engine,
    note: Note,
    file: File,
    folder: Utf8PathBuf,
    is_open: bool,
}

fn stacks(state: &State) -> Utf8PathBuf {
    state.path("stacks")
}

/// The lock that protects making and reading notes.
fn lock_notes(stacks: &Utf8Path) -> std::io::Result<File> {
    std::fs::create_dir_all(stacks)?;
    let path = stacks.join("lock");
    let mut options = File::options();
    let file = options
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    // Every holder releases it after a moment.
    file.lock()?;
    Ok(file)
}

fn engine_id(engine: &Engine) -> Result<String> {
    let id = engine.id().map(str::to_owned);
    id.ok_or_else(|| match engine.about() {
        Ok(_) => Fault::lacks("the engine does not say which it is (`docker info` has no ID)"),
        Err(_) => Fault::lacks(format!(
            "cannot reach the Docker engine at {}: start it, or point DOCKER_HOST or `docker context use` at one that runs",
            engine.address()
        )),
    })
}

impl<'s> Session<'s> {
    /// Writes the note of a new project, before anything of the project is made.
    pub fn begin(state: &State, engine: &'s Engine) -> Result<Self> {
        let id = engine_id(engine)?;
        let stacks = stacks(state);
        let project = format!(
            "xtask-verify-{}-{:06x}",
            state_id(state),
            super::random() >> 8
        );
        let fault = |error: std::io::Error| {
            Fault::lacks(format!(
                "cannot note the stack {project} in {stacks}: {error}"
            ))
        };
        let _guard = lock_notes(&stacks).map_err(fault)?;
        let folder = stacks.join(&project);
        std::fs::create_dir(&folder).map_err(fault)?;
        only_mine(&folder).map_err(fault)?;
        let file = File::create_new(folder.join("note")).map_err(fault)?;
        file.try_lock()
            .map_err(|error| fault(std::io::Error::other(error.to_string())))?;
        let process = std::process::id().cast_signed();
        let note = Note {
            project: project.clone(),
            engine: id,
            process,
            kept: false,
        };
        let mut session = Self {
            engine,
            note,
            file,
            folder,
            is_open: true,
        };
        session.write().map_err(fault)?;
        Ok(session)
    }

    /// The project's name.
    pub fn project(&self) -> &str {
        &self.note.project
    }

    /// The label of everything in the project.
    pub fn label(&self) -> String {
        label(self.project())
    }

    /// A folder of the run's own.
    pub fn folder(&self) -> &Utf8Path {
        &self.folder
    }

    /// The note's file, which is locked while the run lives.
    pub fn lock(&self) -> &File {
        &self.file
    }

    fn write(&mut self) -> std::io::Result<()> {
        let text = serde_json::to_vec(&self.note)?;
        self.file.rewind()?;
        self.file.set_len(0)?;
        self.file.write_all(&text)?;
        self.file.sync_all()
    }

    /// Removes everything. Returns what could not be removed: the next run tries again.
    pub fn end(mut self) -> Option<String> {
        self.take_down()
    }

    /// Keeps the project, and writes that into its note.
    pub fn keep(mut self) -> Result<()> {
        self.note.kept = true;
        let written = self.write();
        self.is_open = false;
        written.map_err(|error| {
            let folder = &self.folder;
            Fault::lacks(format!(
                "cannot note in {folder} that the stack is kept: {error}"
            ))
        })
    }

    fn take_down(&mut self) -> Option<String> {
        self.is_open = false;
        let left = self
            .engine
            .remove_labelled(&self.label(), crate::outside::interrupt::is_wanted());
        let why = match left {
            Ok(left) if left.is_empty() => match std::fs::remove_dir_all(&self.folder) {
                Ok(()) => return None,
                Err(error) => format!("{}: {error}", self.folder),
            },
            Ok(left) => left.to_string(),
            Err(fault) => fault.to_string(),
        };
        let project = self.project();
        Some(format!(
            "the stack {project} is not wholly taken down: {why}; the next verify tries again"
        ))
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if self.is_open {
            // A caller that returned early already has an error to report.
            let _ = self.take_down();
        }
    }
}

fn label(project: &str) -> String {
    format!("{LABEL}={project}")
}

/// Tells the states of different graphs apart.
fn state_id(state: &State) -> String {
    let folder = state.path("");
    blake3::hash(folder.as_str().trim_end_matches('/').as_bytes()).to_hex()[..8].to_owned()
}

/// Lets only the user enter the folder: files for containers may be secret.
fn only_mine(folder: &Utf8Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

/// Removes what killed runs left on this engine. Returns one sentence for each.
pub fn sweep(state: &State, engine: &Engine, interrupt: &Interrupt) -> Result<Vec<String>> {
    let stacks = stacks(state);
    if !stacks.is_dir() {
        return Ok(Vec::new());
    }
    let fault = |error: std::io::Error| {
        Fault::lacks(format!(
            "cannot look for what killed runs left in {stacks}: {error}"
        ))
    };
    let guard = lock_notes(&stacks).map_err(fault)?;
    let entries = stacks.read_dir_utf8().map_err(fault)?.flatten();
    let mut found = Vec::new();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        match read(entry.path()) {
            Some(note) => found.push((entry.path().to_owned(), note)),
            // The run was killed before it made anything, or after everything was removed.
            None => drop(std::fs::remove_dir_all(entry.path())),
        }
    }
    drop(guard);
    // Without notes the engine is not asked: an answer from a record must not wait for it.
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let id = engine_id(engine)?;
    let mut told = Vec::new();
    for (folder, (file, note)) in found {
        if note.engine != id || !is_dead(&file, &note, interrupt)? {
            continue;
        }
        // Another run may have removed the project while this one waited for the note's lock.
        if !folder.join("note").is_file() {
            continue;
        }
        let label = label(&note.project);
        if note.kept {
            if engine.labelled(&label)?.is_empty() {
                let _ = std::fs::remove_dir_all(&folder);
            }
            continue;
        }
        let was_there = !engine.labelled(&label)?.is_empty();
        let left = engine.remove_labelled(&label, true)?;
        if !left.is_empty() {
            told.push(format!(
                "cannot remove what a killed run left of the stack {}: {left}",
                note.project
            ));
            continue;
        }
        if was_there {
            told.push(format!(
                "removed what a killed run left of the stack {}",
                note.project
            ));
        }
        let _ = std::fs::remove_dir_all(&folder);
    }
    Ok(told)
}

fn read(folder: &Utf8Path) -> Option<(File, Note)> {
    let mut file = File::open(folder.join("note")).ok()?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).ok()?;
    Some((file, serde_json::from_slice(&text).ok()?))
}

/// Whether no run uses a note any more. A killed run may have left a call that still makes
/// something. This waits for such a call.
fn is_dead(file: &File, note: &Note, interrupt: &Interrupt) -> Result<bool> {
    let end = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => {}
            // If locks do not work, nobody can tell, and nothing is removed.
            Err(TryLockError::Error(_)) => return Ok(false),
        }
        let runs = Pid::from_raw(note.process).is_some_and(|pid| test_kill_process(pid).is_ok());
        if runs || Instant::now() > end {
            return Ok(false);
        }
        if interrupt.pause() {
            return Err(Fault::interrupted());
        }
    }
}
