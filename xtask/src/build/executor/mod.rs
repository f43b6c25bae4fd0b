//! Runs actions: starts buildx in a process group of its own, reads its progress as it comes,
//! writes the log, and retries passing faults but not failing steps. No other part of `build`
//! starts buildx.

mod account;
mod guard;
mod log;
mod made;
pub mod rawjson;
pub mod redact;
mod trouble;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{ChildStderr, Command, Stdio};
use std::time::Duration;

use camino::Utf8Path;

use crate::build::action::Action;
use crate::outside::builder::Unusable;
use crate::outside::interrupt::Interrupt;
use crate::report::event::StepEnd;
use crate::report::excerpt::Excerpt;
use account::Account;
pub use guard::Remotely;
use log::Log;
pub use log::LogStart;
pub use made::MadeImage;
use rawjson::{ClockSpan, ProgressReader};
use redact::Redactor;

/// Waits before the second, third and fourth attempt at an action that met a passing fault.
const BACKOFF: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(10),
];
/// What BuildKit says of a step whose command failed, before the exit code.
const STEP_FAILED: &str = "did not complete successfully";

/// BuildKit says this if its cache names a snapshot that went with a build that was cut off: seen
/// in Docker 26.1.5 after a kill. Every build that takes the step from the cache fails with this,
/// until one build runs without the cache.
const LOST_SNAPSHOT: &str = "failed to stat active key during commit: snapshot";

/// The progress of a running action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It works on this step now.
    Step(String),
    /// A step ended, or was taken from the cache.
    StepDone {
        /// Its name.
        name: String,
        /// When it ran, by this machine's clock.
        span: ClockSpan,
        /// How it ended.
        end: StepEnd,
    },
    /// Steps printed these lines.
    Output(Vec<String>),
    /// It met a passing fault, and will be tried again.
    Retry {
        /// Which attempt comes next, from 2.
        attempt: usize,
        /// What went wrong.
        why: String,
    },
}

/// Why an action gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallFailure {
    /// The user wanted to stop.
    Interrupted,
    /// The build failed.
    Build {
        /// One sentence: the failing step and its status, or buildx's own error.
        error: String,
        /// The step that failed, if one did.
        step: Option<StepFailure>,
        /// What the step printed, or what buildx says if no step failed.
        excerpt: Excerpt,
    },
    /// The docker command could not be run at all.
    NoDocker(String),
    /// The builder beside the engine's own does not answer any more.
    Lost(Unusable),
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepFailure {
    /// As BuildKit calls it: `[2/3] RUN make`.
    pub name: String,
    /// Its line in the Dockerfile.
    pub line: Option<u32>,
    /// The exit code of its command, if nothing else went wrong.
    pub exit_code: Option<i32>,
}

/// Runs an action to its end. Retries passing faults; a failing step is not one, and neither is the
/// death of `builder`, the one beside the engine's own that the action is for.
pub fn run(
    action: &Action,
    builder: Option<Remotely<'_>>,
    log: (&Utf8Path, LogStart<'_>),
    redactor: &Redactor,
    interrupt: &Interrupt,
    watch: &dyn Fn(Progress),
) -> Result<MadeImage, CallFailure> {
    let mut attempt = 1;
    let mut action = std::borrow::Cow::Borrowed(action);
    loop {
        let again = format!("attempt {attempt}");
        let start = if attempt == 1 {
            log.1
        } else {
            LogStart::After(&again)
        };
        let log = (log.0, start);
        let ended = attempt_once(&action, builder, log, redactor, interrupt, watch);
        // A builder that dies takes its steps with it, in whatever words.
        if let (Err(CallFailure::Build { .. }), Some(builder)) = (&ended, builder)
            && let Some(why) = builder.death(interrupt)
        {
            return Err(if interrupt.is_set() {
                CallFailure::Interrupted
            } else {
                CallFailure::Lost(why)
            });
        }
        let failure = match ended {
            Err(CallFailure::Build { error, .. })
                if passing(&error) && attempt <= BACKOFF.len() =>
            {
                error
            }
            other => return other,
        };
        if failure.contains(LOST_SNAPSHOT) {
            action = std::borrow::Cow::Owned(action.without_cache());
        }
        let pause = BACKOFF[attempt - 1];
        attempt += 1;
        watch(Progress::Retry {
            attempt,
            why: failure,
        });
        if interrupt.wait(pause) {
            return Err(CallFailure::Interrupted);
        }
    }
}

fn attempt_once(
    action: &Action,
    builder: Option<Remotely<'_>>,
    (log, start): (&Utf8Path, LogStart<'_>),
    redactor: &Redactor,
    interrupt: &Interrupt,
    watch: &dyn Fn(Progress),
) -> Result<MadeImage, CallFailure> {
    let log = Log::open(log, start, redactor)
        .map_err(|error| CallFailure::NoDocker(format!("cannot write the log {log}: {error}")))?;
    let mut command = Command::new("docker");
    command
        .args(&action.argv)
        // Some of these add labels that are in no key, the others choose what the action says
        // already.
        .env_remove("BUILDX_GIT_LABELS")
        .env_remove("BUILDX_GIT_INFO")
        .env_remove("BUILDX_BUILDER")
        .env_remove("DOCKER_DEFAULT_PLATFORM")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let child = interrupt.spawn(&mut command).map_err(|error| {
        CallFailure::NoDocker(format!(
            "cannot run `docker`: {error}; install the Docker command and its buildx plugin"
        ))
    })?;
    let Some(mut child) = child else {
        return Err(CallFailure::Interrupted);
    };
    let mut account = Account::new(log, watch);
    let stderr = child.stderr.take();
    let lost = guard::while_reading(&child, builder, interrupt, || {
        if let Some(stderr) = stderr {
            read(stderr, &mut account);
        }
    });
    // The stream has ended, so every process of the group that held it open has ended, too.
    interrupt.forget(&child);
    let status = child.wait();
    if interrupt.is_set() {
        return Err(CallFailure::Interrupted);
    }
    if let Some(why) = lost {
        return Err(CallFailure::Lost(why));
    }
    match status {
        Ok(status) if status.success() => {
            let metadata = std::fs::read(&action.metadata).unwrap_or_default();
            Ok(MadeImage::read(&metadata))
        }
        // Docker's exit status for a command that it does not have. Buildx never ends with it.
        Ok(status) if status.code() == Some(125) && !account.has_error() => {
            Err(CallFailure::NoDocker(trouble::no_buildx()))
        }
        Ok(status) => match account.failure(|| format!("docker buildx ended with {status}")) {
            CallFailure::Build {
                error, step: None, ..
            } if let Some(why) = trouble::unwritable(&error) => Err(CallFailure::NoDocker(why)),
            failure => Err(failure),
        },
        Err(error) => Err(CallFailure::NoDocker(format!(
            "cannot wait for `docker`: {error}"
        ))),
    }
}

/// Reads the whole stream.
fn read(stderr: ChildStderr, account: &mut Account<'_>) {
    let mut stream = BufReader::with_capacity(64 << 10, stderr);
    let mut reader = ProgressReader::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line that never ends must not fill the memory.
        match stream.by_ref().take(8 << 20).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        account.take(reader.line(text));
    }
    account.take(reader.finish());
}

/// Whether the fault may pass by itself: one of the network, a registry or the engine, never a
/// step's own.
fn passing(error: &str) -> bool {
    const SIGNS: [&str; 16] = [
        "500 internal server error",
        "502 bad gateway",
        "503 service unavailable",
        "504 gateway time",
        "429 too many requests",
        "toomanyrequests",
        "connection reset by peer",
        "connection refused",
        "i/o timeout",
        "tls handshake timeout",
        "unexpected eof",
        "error reading from server: eof",
        "client.timeout exceeded",
        "temporary failure in name resolution",
        "server misbehaving",
        LOST_SNAPSHOT,
    ];
    let error = error.to_lowercase();
    // Two builds of the same key in two checkouts may name the image at the same moment.
    let named_meanwhile =
        error.starts_with("exporting to image") && error.ends_with("already exists");
    named_meanwhile
        || (!error.contains(STEP_FAILED) && SIGNS.iter().any(|sign| error.contains(sign)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_that_answers_503_is_a_passing_fault() {
        assert!(passing(
            "unexpected status from HEAD request: 503 Service Unavailable"
        ));
        assert!(passing(
            "read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer"
        ));
    }

    #[test]
    fn an_image_that_another_build_named_in_the_same_moment_is_a_passing_fault() {
        assert!(passing(
            "exporting to image: image \"localhost:1/xtask/a:1\": already exists"
        ));
        assert!(!passing("[2/2] RUN mkdir a: mkdir: a already exists"));
    }

    #[test]
    fn a_snapshot_that_went_with_a_build_that_was_cut_off_is_a_passing_fault() {
        assert!(passing(
            "exporting to image: failed to commit a to b during finalize: failed to stat active \
             key during commit: snapshot a does not exist: not found"
        ));
        assert!(!passing(
            "did not complete successfully: failed to stat active key during commit: snapshot a"
        ));
    }

    #[test]
    fn a_failing_step_is_not_a_passing_fault_whatever_it_printed() {
        assert!(!passing(
            "did not complete successfully: exit code: 1 (503 service unavailable)"
        ));
        assert!(!passing("pull access denied, repository does not exist"));
    }
}
