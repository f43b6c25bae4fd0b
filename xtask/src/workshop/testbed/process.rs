//! Servers that run beside the tests: starts one in the background, waits until it answers, and
//! ends it. Also ends one that an earlier run left behind. Only processes with our pid file and
//! command line are ever ended.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::fault::{Fault, Result};
use crate::outside::interrupt::Interrupt;

/// How long a server may take to start, on a slow machine.
const START: Duration = Duration::from_secs(90);
/// How long a server may take to end before it is killed.
const END: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(50);

/// A running server. Dropping this ends it, with everything that it started.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pidfile: Utf8PathBuf,
}

impl Server {
    /// Starts a server and waits until `answers`, unless the user wants to stop first.
    pub fn start(
        name: &str,
        command: &mut Command,
        folder: &Utf8Path,
        interrupt: &Interrupt,
        mut answers: impl FnMut() -> bool,
    ) -> Result<Self> {
        let log = folder.join("log");
        let fault = |why: &str| {
            Fault::lacks(format!(
                "cannot start {name} for the tests: {why}; its log is {log}"
            ))
        };
        let file = File::create(&log).map_err(|error| fault(&error.to_string()))?;
        let errors = file
            .try_clone()
            .map_err(|error| fault(&error.to_string()))?;
        // In a group of its own, so that a Ctrl-C on the terminal reaches it only through this
        // program.
        command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .process_group(0);
        let child = command.spawn().map_err(|error| fault(&error.to_string()))?;
        let pidfile = folder.join("started.pid");
        std::fs::write(&pidfile, child.id().to_string())
            .map_err(|error| fault(&error.to_string()))?;
        let mut server = Self { child, pidfile };
        let deadline = Instant::now() + START;
        while !answers() {
            let ended = matches!(server.child.try_wait(), Ok(Some(_)));
            if ended || Instant::now() > deadline {
                let text = std::fs::read_to_string(&log).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                let tail = lines[lines.len().saturating_sub(8)..].join("\n");
                drop(server);
                return Err(fault(&format!(
                    "it {}\n{tail}\n",
                    if ended { "ended" } else { "does not answer" }
                )));
            }
            if interrupt.pause() {
                return Err(Fault::interrupted());
            }
        }
        Ok(server)
    }

    /// Kills the server itself. What it started ends when this is dropped.
    pub fn kill(&self) -> std::io::Result<()> {
        // Dropping this reaps it, so the process id is still its own.
        let pid = Pid::from_child(&self.child);
        Ok(kill_process(pid, Signal::KILL)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        let _ = kill_process(pid, Signal::TERM);
        let deadline = Instant::now() + END;
        while !matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            std::thread::sleep(LOOK);
        }
        let _ = std::fs::remove_file(&self.pidfile);
    }
}

/// Ends the server that a killed run left behind in `folder`, if `mark` is in its command line.
pub fn end_leftover(folder: &Utf8Path, mark: &str) {
    let Ok(text) = std::fs::read_to_string(folder.join("started.pid")) else {
        return;
    };
    let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) else {
        return;
    };
    let ours = || {
        let line =
            std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(mark)
    };
    if !ours() {
        return;
    }
    let _ = kill_process(pid, Signal::TERM);
    let deadline = Instant::now() + END;
    while test_kill_process(pid).is_ok() && ours() {
        if Instant::now() > deadline {
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(LOOK);
    }
}
