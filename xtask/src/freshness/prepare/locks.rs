//! The locks that a host command runs under.
//!
//! The command has the locks as well, so they outlive a build that is killed. The command then goes
//! on, and a second one beside it would mix what both make.

use std::fs::{File, TryLockError};
use std::io::{Error, Result};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use camino::Utf8Path;

use crate::outside::interrupt::Interrupt;

/// The pause between two checks whether the command of a killed build still runs.
const PAUSE: Duration = Duration::from_millis(20);
/// A shorter wait is not reported.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// Released when this value is dropped, even if the command left something running on purpose.
pub(super) struct Locks {
    folder: File,
    log: File,
}

impl Locks {
    /// Opens what is to be locked: the folder that the command runs in, and the log, in case the
    /// folder's file system has no locks. The lock of the folder holds under each of its names, and
    /// for runs with another state folder.
    pub(super) fn of(folder: &Utf8Path, log: &Utf8Path) -> Result<Self> {
        let about = |path: &Utf8Path, error: Error| Error::other(format!("{path}: {error}"));
        Ok(Self {
            folder: File::open(folder).map_err(|error| about(folder, error))?,
            log: own(log).map_err(|error| about(log, error))?,
        })
    }

    /// Locks both, which may take a while. Returns `false` if the user wants to stop.
    pub(super) fn take(&self, interrupt: &Interrupt, waiting: impl Fn()) -> bool {
        let mut files = [&self.folder, &self.log].into_iter();
        files.all(|file| locked(file, interrupt, &waiting))
    }

    /// Empties the log.
    pub(super) fn begin(&self) -> Result<()> {
        self.log.set_len(0)
    }

    /// The log, to write to.
    pub(super) fn log(&self) -> Result<File> {
        self.log.try_clone()
    }

    /// A handle of the folder that a child inherits if it is started while the handle lives.
    pub(super) fn handed_down(&self) -> Result<OwnedFd> {
        // Anything else that is started in this moment inherits it, too, until the locks are
        // released.
        Ok(rustix::io::dup(&self.folder)?)
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        // On a file system without locks there is nothing to release.
        let _ = (self.folder.unlock(), self.log.unlock());
    }
}

fn own(log: &Utf8Path) -> Result<File> {
    if let Some(parent) = log.parent() {
        std::fs::create_dir_all(parent)?;
    }
    // Opening a pipe may wait for ever for its reader.
    if log.exists() && !log.is_file() {
        return Err(Error::other("it is not a file"));
    }
    let mut options = File::options();
    options.create(true).truncate(false).write(true).open(log)
}

fn locked(file: &File, interrupt: &Interrupt, waiting: impl Fn()) -> bool {
    let mut waiting = Some(waiting);
    let began = Instant::now();
    while let Err(TryLockError::WouldBlock) = file.try_lock() {
        // A short wait is usual: stages that share a folder wait for each other in every build.
        if began.elapsed() > WORTH_TELLING
            && let Some(waiting) = waiting.take()
        {
            waiting();
        }
        if interrupt.wait(PAUSE) {
            return false;
        }
    }
    true
}
