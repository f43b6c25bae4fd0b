//! Finds processes, by /proc: those that a killed program leaves behind, and those that never end.
//!
//! A zombie, for which no process has waited yet, counts as gone.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// A process, identified by its number and its start time, as numbers are reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    start: u64,
}

/// The state, the parent and the start time of a process, from `/proc/PID/stat`.
fn stat(pid: i32) -> Option<(char, i32, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in front may contain any character.
    let mut words = text[text.rfind(')')? + 1..].split_whitespace();
    let state = words.next()?.chars().next()?;
    let parent = words.next()?.parse().ok()?;
    Some((state, parent, words.nth(17)?.parse().ok()?))
}

/// Whether a process holds a lock of a file, or waits for it.
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

    /// Whether the process is alive, running or not.
    pub fn lives(self) -> bool {
        stat(self.pid).is_some_and(|(state, _, start)| state != 'Z' && start == self.start)
    }

    /// Whether the process is stopped.
    pub fn is_stopped(self) -> bool {
        stat(self.pid).is_some_and(|(state, _, start)| state == 'T' && start == self.start)
    }

    /// The direct children of the process.
    pub fn children(self) -> Vec<Self> {
        let all = fs::read_dir("/proc").unwrap().flatten();
        let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers
            .filter(|pid| stat(*pid).is_some_and(|(_, parent, _)| parent == self.pid))
            .filter_map(Self::of)
            .collect()
    }

    /// The arguments, with spaces between them.
    pub fn arguments(self) -> String {
        let text = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        String::from_utf8_lossy(&text).replace('\0', " ")
    }

    pub fn signal(self, signal: Signal) {
        // A process that has ended meanwhile needs no signal.
        let _ = kill_process(Pid::from_raw(self.pid).unwrap(), signal);
    }

    /// Signals all processes in the group that this process leads.
    pub fn signal_group(self, signal: Signal) {
        let _ = kill_process_group(Pid::from_raw(self.pid).unwrap(), signal);
    }
}

/// Many times as long as any single run takes on a slow machine.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// Runs a command to its end and captures its output. A command that does not end is killed with
/// all processes that it started. The error says what each of them waited for, so a test that hangs
/// says where.
pub fn ended(command: &mut Command) -> Result<Output, String> {
    ended_within(command, LIMIT)
}

fn ended_within(command: &mut Command, limit: Duration) -> Result<Output, String> {
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let process = Process::of(i32::try_from(child.id()).unwrap()).unwrap();
    let (end, ends) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        (ends.recv_timeout(limit) == Err(RecvTimeoutError::Timeout)).then(|| process.kill_all())
    });
    let output = child.wait_with_output().unwrap();
    drop(end);
    match watch.join().unwrap() {
        None => Ok(output),
        Some(told) => Err(format!(
            "still running after {} s:\n{told}it said: {}",
            limit.as_secs(),
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

impl Process {
    /// Kills the process and all that it started. Returns each thread's name and the system call
    /// that it is in.
    fn kill_all(self) -> String {
        let (mut told, mut all) = (String::new(), vec![self]);
        while let Some(process) = all.pop() {
            let _ = writeln!(told, "{} {}", process.pid, process.arguments());
            let threads = fs::read_dir(format!("/proc/{}/task", process.pid));
            for thread in threads.into_iter().flatten().flatten() {
                let of = |file| fs::read_to_string(thread.path().join(file)).unwrap_or_default();
                let _ = writeln!(told, "    {} {}", of("comm").trim(), of("syscall").trim());
            }
            // A stopped process starts no more children while they are looked for.
            process.signal(Signal::STOP);
            all.extend(process.children());
            process.signal(Signal::KILL);
        }
        told
    }
}

#[test]
fn what_never_ends_is_killed_with_its_children_and_named() {
    let mut command = Command::new("sh");
    command.args(["-c", "echo begun >&2; sleep 987654 & wait"]);
    let told = ended_within(&mut command, Duration::from_millis(500)).unwrap_err();
    assert!(told.contains("begun"), "{told}");
    assert!(told.contains("sleep 987654"), "{told}");
}
