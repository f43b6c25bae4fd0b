//! Ctrl-C and termination signals: whether the user wants to stop, and the process groups that must
//! end then.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::fault::{Fault, Result};
use crate::unpoisoned::Unpoisoned as _;

/// When each stronger signal follows the first one. Buildx cancels its build on SIGINT and ends
/// within a second if the engine answers. All must be over within ten seconds.
const LADDER: [(Duration, Signal); 3] = [
    (Duration::ZERO, Signal::INT),
    (Duration::from_secs(4), Signal::TERM),
    (Duration::from_secs(7), Signal::KILL),
];

/// Whether the user wants this process to end. For code that waits and has no `Interrupt`.
static IS_WANTED: AtomicBool = AtomicBool::new(false);

/// Whether the user wants this process to end.
pub fn is_wanted() -> bool {
    IS_WANTED.load(Ordering::SeqCst)
}

/// Shared by everything that runs children or waits.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    groups: BTreeSet<i32>,
}

impl Interrupt {
    /// Starts to listen for signals.
    pub fn listen() -> Result<Self> {
        let interrupt = Self::default();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
            .map_err(|error| Fault::lacks(format!("cannot listen for signals: {error}")))?;
        let heard = interrupt.clone();
        std::thread::spawn(move || {
            if signals.forever().next().is_some() {
                heard.end_everything();
            }
        });
        Ok(interrupt)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unpoisoned()
    }

    /// Whether the user wants to stop.
    pub fn is_set(&self) -> bool {
        self.state().since.is_some()
    }

    /// Waits for `time`, or until the user wants to stop; then it returns `true`.
    pub fn wait(&self, time: Duration) -> bool {
        let state = self.state();
        let waited = self
            .inner
            .changed
            .wait_timeout_while(state, time, |state| state.since.is_none());
        waited.unpoisoned().0.since.is_some()
    }

    /// A short pause between two checks of something that does not announce its end. Returns `true`
    /// when the user wants to stop.
    pub fn pause(&self) -> bool {
        self.wait(Duration::from_millis(50))
    }

    /// Starts a child in a process group of its own, so that an interrupt ends everything in the
    /// group. `None` when the user already wants to stop.
    pub fn spawn(&self, command: &mut Command) -> std::io::Result<Option<Child>> {
        // Held during the start, so that no child starts after the signal was sent.
        let mut state = self.state();
        if state.since.is_some() {
            return Ok(None);
        }
        let child = command.process_group(0).spawn()?;
        state.groups.insert(child.id().cast_signed());
        Ok(Some(child))
    }

    /// Stops tracking a child's process group. Must be called before the child is reaped: its
    /// process id may then be given to another process.
    pub fn forget(&self, child: &Child) {
        self.state().groups.remove(&child.id().cast_signed());
        self.inner.changed.notify_all();
    }

    /// Waits for a child that `spawn` started, and forgets it before its process id can be given to
    /// another process.
    pub fn wait_for(&self, child: &mut Child) -> std::io::Result<ExitStatus> {
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        if let Some(pid) = Pid::from_raw(child.id().cast_signed()) {
            rustix::io::retry_on_intr(|| waitid(WaitId::Pid(pid), ended))?;
        }
        self.forget(child);
        child.wait()
    }

    /// Sends every running group stronger and stronger signals until none is left.
    fn end_everything(&self) {
        let start = Instant::now();
        IS_WANTED.store(true, Ordering::SeqCst);
        self.state().since = Some(start);
        self.inner.changed.notify_all();
        for (after, signal) in LADDER {
            let mut state = self.state();
            while !state.groups.is_empty() {
                let Some(left) = after
                    .checked_sub(start.elapsed())
                    .filter(|left| !left.is_zero())
                else {
                    break;
                };
                let waited = self.inner.changed.wait_timeout(state, left);
                state = waited.unpoisoned().0;
            }
            for group in &state.groups {
                if let Some(group) = Pid::from_raw(*group) {
                    // A group that has just ended needs no signal.
                    let _ = kill_process_group(group, signal);
                }
            }
        }
    }
}
