//! Runs a program for its output, and gives up if it does not end in time.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::interrupt::Interrupt;

/// How long a program may take that only looks at something.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How long a program may take that waits for a download.
pub const LONG: Duration = Duration::from_secs(300);
/// How long to wait for the rest of an output whose writer has ended.
const LEFT_OPEN: Duration = Duration::from_secs(2);
/// The most bytes of an output. No output that is asked for is so long.
const MOST: u64 = 4 << 20;

/// The variables that docker itself needs. All others would change the file's meaning from machine
/// to machine.
const KEPT: [&str; 13] = [
    "PATH",
    "HOME",
    "USER",
    "TMPDIR",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "DOCKER_API_VERSION",
    "SSH_AUTH_SOCK",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
];

/// The part of this program's environment that compose sees.
pub fn environment() -> impl Iterator<Item = (&'static str, String)> {
    KEPT.into_iter().filter_map(|name| {
        let value = std::env::var_os(name)?;
        Some((name, value.to_string_lossy().into_owned()))
    })
}

/// A call of docker that sees no other variables: a file that it reads means the same everywhere.
pub fn docker() -> Command {
    let mut command = Command::new("docker");
    command.env_clear();
    for name in KEPT {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command
}

/// The outcome of a program.
#[derive(Debug, Default)]
pub struct CommandOutput {
    /// Whether it succeeded.
    pub good: bool,
    /// The status that it ended with, unless it was ended by a signal.
    pub status: Option<i32>,
    /// Its stdout.
    pub stdout: String,
    /// Its stderr, or why it did not run to its end.
    pub stderr: String,
}

impl CommandOutput {
    /// Why it failed, in one line.
    pub fn why(&self) -> String {
        last_line(self.stderr.lines().chain(self.stdout.lines()))
    }

    /// The last line of its stderr.
    pub fn complaint(&self) -> String {
        last_line(self.stderr.lines())
    }
}

fn last_line<'s>(mut lines: impl DoubleEndedIterator<Item = &'s str>) -> String {
    let telling = lines.rfind(|line| !line.trim().is_empty());
    let line = telling.unwrap_or("it said nothing").trim();
    let shown = line.chars().filter(|c| !c.is_control()).take(300);
    shown.collect()
}

/// Runs a program to its end. If it cannot be started or does not end in time, `stderr` says so.
pub fn ask(command: Command, interrupt: &Interrupt) -> CommandOutput {
    ask_for(command, PATIENCE, interrupt, &|| true)
}

/// The same, for as long as `patience` lasts and the answer is wanted.
pub fn ask_for(
    mut command: Command,
    patience: Duration,
    interrupt: &Interrupt,
    is_wanted: &dyn Fn() -> bool,
) -> CommandOutput {
    let failed = |why: String| CommandOutput {
        stderr: why,
        ..CommandOutput::default()
    };
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = match interrupt.spawn(&mut command) {
        Ok(Some(child)) => child,
        Ok(None) => return failed("interrupted".into()),
        Err(error) => return failed(error.to_string()),
    };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (said, complained) = (reading(stdout), reading(stderr));
    let until = Instant::now() + patience;
    let status = std::thread::scope(|scope| {
        let id = child.id();
        let waits = scope.spawn(|| interrupt.wait_for(&mut child));
        while !waits.is_finished() && Instant::now() < until && is_wanted() {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        if !waits.is_finished()
            && let Some(group) = Pid::from_raw(id.cast_signed())
        {
            let _ = kill_process_group(group, Signal::KILL);
        }
        waits.join()
    });
    if Instant::now() >= until {
        return failed(format!("no answer within {} s", patience.as_secs()));
    }
    let status = status.ok().and_then(Result::ok);
    CommandOutput {
        good: status.is_some_and(|status| status.success()),
        status: status.and_then(|status| status.code()),
        stdout: said.recv_timeout(LEFT_OPEN).unwrap_or_default(),
        stderr: complained.recv_timeout(LEFT_OPEN).unwrap_or_default(),
    }
}

/// Runs a program with these arguments, in English.
pub fn words(program: &str, arguments: &[&str], interrupt: &Interrupt) -> CommandOutput {
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C");
    ask(command, interrupt)
}

/// Reads a pipe on a thread of its own. A process that was left behind, such as the master of a
/// shared ssh connection, may hold the pipe open for ever.
fn reading(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // On an error, the output ends early.
            let _ = pipe.take(MOST).read_to_end(&mut bytes);
        }
        // The receiver may be gone already.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}
