//! The locks that a host command runs under.
//!
//! They are the command's as well, and so outlive a build that is killed: the command goes on then, and
//! a second one beside it would mix what they make. Knows files; is unaware of what is run.

use std::fs::{File, TryLockError};
use std::io::{Error, Result};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use camino::Utf8Path;

use crate::outside::interrupt::Interrupt;

/// Between two looks at whether the command of a killed build still runs.
const PAUSE: Duration = Duration::from_millis(20);
/// A shorter wait is no news.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// Released with this value, also where the command left something running on purpose.
pub(super) struct Locks {
    folder: File,
    log: File,
}

impl Locks {
    /// What is to be locked: the folder that the command runs in, whatever name that has and whichever
    /// state another run notes it in, and the log, where the folder's file system has no locks.
    pub(super) fn of(folder: &Utf8Path, log: &Utf8Path) -> Result<Self> {
        let about = |path: &Utf8Path, error: Error| Error::other(format!("{path}: {error}"));
        Ok(Self {
            folder: File::open(folder).map_err(|error| about(folder, error))?,
            log: own(log).map_err(|error| about(log, error))?,
        })
    }

    /// Locks both, which may take a while; not when the user wants to stop, then it is `false`.
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

    /// The folder, as a child has it that is started while this lives.
    pub(super) fn handed_down(&self) -> Result<OwnedFd> {
        // Whatever else is started in this moment has it, too, until the locks are released.
        Ok(rustix::io::dup(&self.folder)?)
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        // A file system without locks has none.
        let _ = (self.folder.unlock(), self.log.unlock());
    }
}

fn own(log: &Utf8Path) -> Result<File> {
    if let Some(parent) = log.parent() {
        std::fs::create_dir_all(parent)?;
    }
    // One may wait for ever for a pipe's reader.
    if log.exists() && !log.is_file() {
        return Err(Error::other("it is no file"));
    }
    let mut options = File::options();
    options.create(true).truncate(false).write(true).open(log)
}

fn locked(file: &File, interrupt: &Interrupt, waiting: impl Fn()) -> bool {
    let mut waiting = Some(waiting);
    let began = Instant::now();
    while let Err(TryLockError::WouldBlock) = file.try_lock() {
        // Stages that share a folder wait for each other in every build.
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
