//! Runs the docker command for a stack.
//!
//! A call ends when it is done, when its time is over, when the run has found its verdict, or when
//! the user wants to stop. A call that makes something on the engine inherits the run's lock: a run
//! that is killed counts as alive until that call has ended, too.

use std::fs::File;
use std::io::{Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::outside::interrupt::Interrupt;
use crate::unpoisoned::Unpoisoned as _;

/// The most bytes that are kept of each stream.
const MOST_SAID: u64 = 4 << 20;
/// The pause between two looks at a child.
const PAUSE: Duration = Duration::from_millis(10);
/// How long to wait for the rest of a stream after its writer has ended.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether a run goes on. The user may want to stop, and after the verdict further questions are
/// useless.
#[derive(Debug)]
pub struct LiveChildren<'l> {
    interrupt: &'l Interrupt,
    lock: &'l File,
    is_over: Mutex<bool>,
    changed: Condvar,
}

/// How a call ended.
#[derive(Debug)]
pub enum Ended {
    /// By itself.
    Done(ChildOutput),
    /// The call's time was over.
    TimedOut(ChildOutput),
    /// The call was stopped: the user wants to stop, or the run has its verdict.
    Halted,
}

/// The output of a call.
#[derive(Debug)]
pub struct ChildOutput {
    /// How the call ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl ChildOutput {
    /// Both streams as one text, trimmed.
    pub fn text(&self) -> String {
        let both = [&self.stdout[..], &self.stderr[..]].concat();
        String::from_utf8_lossy(&both).trim().to_owned()
    }

    /// The standard error as text, trimmed.
    pub fn complaint(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim().to_owned()
    }
}

/// What a call does on the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The call makes something that must be found again.
    Makes,
    /// The call only asks, or works in something that exists already.
    Asks,
}

impl<'l> LiveChildren<'l> {
    /// A run that holds `lock`.
    pub fn new(interrupt: &'l Interrupt, lock: &'l File) -> Self {
        Self {
            interrupt,
            lock,
            is_over: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    /// Ends all calls that only ask.
    pub fn halt(&self) {
        *self.is_over.lock().unpoisoned() = true;
        self.changed.notify_all();
    }

    /// Whether the run is over: the user wants to stop, or there is a verdict.
    pub fn is_over(&self) -> bool {
        self.interrupt.is_set() || *self.is_over.lock().unpoisoned()
    }

    /// Waits. `true` if the run is over.
    pub fn pause(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        loop {
            if self.is_over() {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            // An interrupt does not notify `changed`, so the wait is short.
            let step = left.min(Duration::from_millis(50));
            let guard = self.is_over.lock().unpoisoned();
            drop(self.changed.wait_timeout(guard, step));
        }
    }

    /// Starts a call. `None` if the user wants to stop.
    pub fn spawn(&self, command: &mut Command, effect: Effect) -> std::io::Result<Option<Child>> {
        /// While the lock is handed down to one child, another thread must not start a child, which
        /// would inherit it too.
        static SPAWNING: Mutex<()> = Mutex::new(());
        let _guard = SPAWNING.lock().unpoisoned();
        let handed_down = match effect {
            Effect::Makes => Some(rustix::io::dup(self.lock)?),
            Effect::Asks => None,
        };
        let child = self.interrupt.spawn(command);
        drop(handed_down);
        child
    }

    /// Runs a call until `until` at the latest. `input` is written to its standard input.
    pub fn run(
        &self,
        command: &mut Command,
        effect: Effect,
        input: Option<&[u8]>,
        until: Option<Instant>,
    ) -> std::io::Result<Ended> {
        command.stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let Some(mut child) = self.spawn(command, effect)? else {
            return Ok(Ended::Halted);
        };
        let stdout = child.stdout.take().map(reader);
        let stderr = child.stderr.take().map(reader);
        let stdin = child.stdin.take();
        let how = std::thread::scope(|scope| {
            if let (Some(mut stdin), Some(input)) = (stdin, input) {
                // A child that ends early does not read the rest.
                scope.spawn(move || drop(stdin.write_all(input)));
            }
            self.watch(&child, effect, until)
        });
        self.interrupt.forget(&child);
        let said = ChildOutput {
            status: child.wait()?,
            stdout: stdout.map(collected).unwrap_or_default(),
            stderr: stderr.map(collected).unwrap_or_default(),
        };
        Ok(match how {
            How::ByItself if self.interrupt.is_set() => Ended::Halted,
            How::ByItself => Ended::Done(said),
            How::TimedOut => Ended::TimedOut(said),
            How::Halted => Ended::Halted,
        })
    }

    /// Returns when a child has ended. Ends the child if its time or the run is over.
    fn watch(&self, child: &Child, effect: Effect, until: Option<Instant>) -> How {
        let pid = Pid::from_raw(child.id().cast_signed());
        let Some(pid) = pid else {
            return How::ByItself;
        };
        let flags = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let mut how = How::ByItself;
        loop {
            match waitid(WaitId::Pid(pid), flags) {
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Ok(Some(_)) | Err(_) => return how,
            }
            let is_late = until.is_some_and(|until| Instant::now() >= until);
            // A call that makes something may finish, unless the user wants to stop. Otherwise the
            // engine would go on with it unseen.
            let is_over = self.is_over() && (effect == Effect::Asks || self.interrupt.is_set());
            if how == How::ByItself && (is_late || is_over) {
                how = if is_late { How::TimedOut } else { How::Halted };
                // An interrupt has ended the child gently already.
                if is_late || !self.interrupt.is_set() {
                    let _ = kill_process_group(pid, Signal::KILL);
                }
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Ends a child that `spawn` started, and all processes that it started.
    pub fn end(&self, child: &mut Child) {
        if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        self.interrupt.forget(child);
        let _ = child.wait();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    ByItself,
    TimedOut,
    Halted,
}

/// Reads a stream to its end and keeps its beginning.
fn reader(stream: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        let mut stream = stream;
        let _ = stream.by_ref().take(MOST_SAID).read_to_end(&mut kept);
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
        kept
    })
}

/// What a reader kept. Processes that a child left behind may keep its stream open for ever.
fn collected(reader: JoinHandle<Vec<u8>>) -> Vec<u8> {
    let end = Instant::now() + PATIENCE;
    while !reader.is_finished() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(2));
    }
    if reader.is_finished() {
        reader.join().unwrap_or_default()
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_call_gives_what_it_said_and_takes_its_input() {
        let (interrupt, lock) = (Interrupt::default(), tempfile::tempfile().unwrap());
        let live = LiveChildren::new(&interrupt, &lock);
        let mut command = shell("cat; echo bad >&2; exit 3");
        let ended = live.run(&mut command, Effect::Asks, Some(b"in"), None);
        let Ended::Done(said) = ended.unwrap() else {
            panic!()
        };
        assert_eq!((said.status.code(), said.text()), (Some(3), "inbad".into()));
    }

    #[test]
    fn a_call_ends_when_its_time_is_over_or_nobody_wants_to_know() {
        let (interrupt, lock) = (Interrupt::default(), tempfile::tempfile().unwrap());
        let live = LiveChildren::new(&interrupt, &lock);
        let start = Instant::now();
        let until = Some(start + Duration::from_millis(100));
        let ended = live.run(&mut shell("echo a; sleep 60"), Effect::Asks, None, until);
        let Ended::TimedOut(said) = ended.unwrap() else {
            panic!()
        };
        assert_eq!(said.stdout, b"a\n");
        std::thread::scope(|scope| {
            scope.spawn(|| live.halt());
            let ended = live.run(&mut shell("sleep 60"), Effect::Asks, None, None);
            assert!(matches!(ended.unwrap(), Ended::Halted));
        });
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn what_makes_something_holds_the_lock_of_its_run() {
        let interrupt = Interrupt::default();
        let folder = tempfile::tempdir().unwrap();
        for (effect, is_held) in [(Effect::Makes, true), (Effect::Asks, false)] {
            let path = folder.path().join(format!("{effect:?}"));
            let lock = File::create(&path).unwrap();
            lock.try_lock().unwrap();
            let live = LiveChildren::new(&interrupt, &lock);
            let mut child = live.spawn(&mut shell("sleep 60"), effect).unwrap().unwrap();
            let mut other = live
                .spawn(&mut shell("true"), Effect::Asks)
                .unwrap()
                .unwrap();
            live.end(&mut other);
            drop(lock);
            let again = File::open(&path).unwrap();
            // A child of another test has the lock, too, until it runs its own program.
            let end = Instant::now() + Duration::from_secs(10);
            while !is_held && again.try_lock().is_err() {
                assert!(Instant::now() < end, "{effect:?}");
                std::thread::yield_now();
            }
            assert_eq!(again.try_lock().is_err(), is_held);
            let live = LiveChildren::new(&interrupt, &again);
            live.end(&mut child);
        }
    }
}
