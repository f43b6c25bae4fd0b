//! Processes that a killed program leaves behind.
//!
//! Knows /proc. A process that nobody has waited for yet counts as gone.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// A process, known by its number and by when it was started: numbers are given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    start: u64,
}

/// Its state, its parent, and when it was started, from `/proc/PID/stat`.
fn stat(pid: i32) -> Option<(char, i32, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in front may hold anything.
    let mut words = text[text.rfind(')')? + 1..].split_whitespace();
    let state = words.next()?.chars().next()?;
    let parent = words.next()?.parse().ok()?;
    Some((state, parent, words.nth(17)?.parse().ok()?))
}

/// Whether anybody holds a lock of a file, or waits for one.
pub fn is_locked(path: &Path) -> bool {
    let Ok(meta) = fs::metadata(path) else {
        return false;
    };
    let inode = format!(":{} ", meta.ino());
    let locks = fs::read_to_string("/proc/locks").unwrap();
    locks.lines().any(|line| line.contains(&inode))
}

impl Process {
    pub fn of(pid: i32) -> Option<Self> {
        let (_, _, start) = stat(pid)?;
        Some(Self { pid, start })
    }

    /// Whether it still runs, or could.
    pub fn lives(self) -> bool {
        stat(self.pid).is_some_and(|(state, _, start)| state != 'Z' && start == self.start)
    }

    /// Whether it stands still.
    pub fn is_stopped(self) -> bool {
        stat(self.pid).is_some_and(|(state, _, start)| state == 'T' && start == self.start)
    }

    /// The processes that it started itself.
    pub fn children(self) -> Vec<Self> {
        let all = fs::read_dir("/proc").unwrap().flatten();
        let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers
            .filter(|pid| stat(*pid).is_some_and(|(_, parent, _)| parent == self.pid))
            .filter_map(Self::of)
            .collect()
    }

    /// Its arguments, with spaces between them.
    pub fn arguments(self) -> String {
        let text = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        String::from_utf8_lossy(&text).replace('\0', " ")
    }

    pub fn signal(self, signal: Signal) {
        // One that has ended meanwhile needs none.
        let _ = kill_process(Pid::from_raw(self.pid).unwrap(), signal);
    }

    /// Signals everything in the group that it leads.
    pub fn signal_group(self, signal: Signal) {
        let _ = kill_process_group(Pid::from_raw(self.pid).unwrap(), signal);
    }
}
