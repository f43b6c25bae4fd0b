//! The probes, which ask running services.
//!
//! Probes run side by side. Each is repeated until it has the right answer or its time is over.

mod answer;
mod exec;
mod file;
mod helper;
mod http;
mod listening;
mod log;
mod pipe;
mod refused;
mod stream;
mod tcp;
mod uid;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::StackOutcome;
use super::child::{ChildOutput, Effect, Ended, LiveChildren};
use super::judge::{self, Role, Seen, ServiceState};
use super::member::Member;
use super::trials::{Trial, TrialKind};
use crate::build::executor::redact::Redactor;
use crate::graphfile::spec::stack::{Ask, Probe};
use crate::outside::engine::{Container, Engine};
use crate::outside::interrupt::Interrupt;
use helper::Helper;

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(250);

/// The answer to a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProbeVerdict {
    pub outcome: StackOutcome,
    pub message: String,
}

impl ProbeVerdict {
    fn passed(message: impl Into<String>) -> Self {
        Self {
            outcome: StackOutcome::Passed,
            message: message.into(),
        }
    }

    fn failed(message: impl Into<String>) -> Self {
        Self {
            outcome: StackOutcome::Failed,
            message: message.into(),
        }
    }

    fn not_checked(message: impl Into<String>) -> Self {
        Self {
            outcome: StackOutcome::NotChecked,
            message: message.into(),
        }
    }

    fn halted() -> Self {
        Self::not_checked("the stack failed before this was answered")
    }
}

/// What probes need.
pub(super) struct Ground<'g> {
    pub engine: &'g Engine,
    pub live: &'g LiveChildren<'g>,
    pub interrupt: &'g Interrupt,
    pub redactor: &'g Redactor,
    /// The label of everything that a probe makes.
    pub label: &'g str,
    pub members: &'g [Member],
    /// Second containers, with their ids.
    pub trials: &'g [(Trial, String)],
    /// The ids of the stack's images. A helper runs one of them.
    pub images: &'g [String],
    pub helpers: Mutex<BTreeMap<String, Result<Helper, String>>>,
}

impl Ground<'_> {
    /// Asks the probe at position `at` of the graph file.
    pub fn ask(&self, at: usize, probe: &Probe) -> ProbeVerdict {
        let until = Instant::now() + probe.timeout;
        let mut verdict = match &probe.ask {
            Ask::Http(http) => self.http(&probe.service, http, until),
            Ask::Tcp { port } => self.tcp(&probe.service, *port, until),
            Ask::Exec {
                command,
                exit,
                output,
            } => self.exec(&probe.service, command, *exit, output.as_deref(), until),
            Ask::Log { contains, never } => {
                self.log(&probe.service, contains.as_deref(), never.as_deref(), until)
            }
            Ask::Refused(refused) => self.refused(&probe.service, refused, until),
            Ask::File { path, .. } => self.file(at, &probe.service, path, until),
            Ask::Uid { .. } => self.uid(at, &probe.service, until),
        };
        verdict.message = self.redactor.clean_text(&verdict.message);
        verdict
    }

    /// A service's first container, in its present state.
    fn container(&self, service: &str) -> Result<Container, ProbeVerdict> {
        let member = self.members.iter().find(|member| member.service == service);
        let Some(member) = member else {
            return Err(ProbeVerdict::not_checked(format!(
                "`{service}` has no container"
            )));
        };
        self.container_of(&member.id)
    }

    fn container_of(&self, id: &str) -> Result<Container, ProbeVerdict> {
        match self.engine.container(id) {
            Ok(Some(container)) => Ok(container),
            Ok(None) => Err(ProbeVerdict::not_checked("its container is gone")),
            Err(_) if self.live.is_over() => Err(ProbeVerdict::halted()),
            Err(fault) => Err(ProbeVerdict::not_checked(fault.to_string())),
        }
    }

    /// Repeats `attempt` until it gives a verdict or the time is over. Its error says what was
    /// wrong.
    fn until_it_works(
        &self,
        until: Instant,
        mut attempt: impl FnMut() -> Result<ProbeVerdict, String>,
    ) -> ProbeVerdict {
        loop {
            let wrong = match attempt() {
                Ok(verdict) => return verdict,
                Err(wrong) => wrong,
            };
            if self.live.is_over() {
                return ProbeVerdict::halted();
            }
            if Instant::now() + PAUSE >= until {
                return ProbeVerdict::failed(wrong);
            }
            if self.live.pause(PAUSE) {
                return ProbeVerdict::halted();
            }
        }
    }

    /// Runs a command in a container.
    fn in_container(
        &self,
        id: &str,
        command: &[&str],
        until: Instant,
    ) -> Result<(ChildOutput, bool), ProbeVerdict> {
        let mut docker = std::process::Command::new("docker");
        docker.args(["exec", id]).args(command);
        match self.live.run(&mut docker, Effect::Asks, None, Some(until)) {
            Ok(Ended::Done(said)) => Ok((said, true)),
            Ok(Ended::TimedOut(said)) => Ok((said, false)),
            Ok(Ended::Halted) => Err(ProbeVerdict::halted()),
            Err(error) => Err(ProbeVerdict::not_checked(format!(
                "cannot run `docker`: {error}"
            ))),
        }
    }

    /// The second container of a probe.
    fn trial(&self, at: usize) -> Option<(&TrialKind, &str)> {
        let mut trials = self.trials.iter();
        let (trial, id) = trials.find(|(trial, _)| trial.probe == at)?;
        Some((&trial.what, id))
    }

    /// Starts a second container and waits until it is ready by the same rules as the first. The
    /// inner error says why it is not.
    fn try_out(
        &self,
        service: &str,
        id: &str,
        until: Instant,
    ) -> Result<Result<Container, String>, ProbeVerdict> {
        let role = Role {
            completes: false,
            serves: true,
        };
        match self.engine.start_container(id) {
            Ok(Ok(())) => {}
            Ok(Err(why)) => {
                let why = judge::innermost(&why);
                return Ok(Err(format!("it cannot be started: {why}")));
            }
            Err(_) if self.live.is_over() => return Err(ProbeVerdict::halted()),
            Err(fault) => return Err(ProbeVerdict::not_checked(fault.to_string())),
        }
        let mut seen = Seen::default();
        loop {
            let container = self.container_of(id)?;
            match judge::judge(service, &container, role, &mut seen, Instant::now()) {
                ServiceState::Ready | ServiceState::Done => return Ok(Ok(container)),
                ServiceState::Failed(why) => {
                    let name = format!("`{service}` ");
                    return Ok(Err(why.replacen(&name, "it ", 1)));
                }
                ServiceState::Waiting | ServiceState::Starting { .. } => {}
            }
            if Instant::now() >= until {
                return Ok(Err("it is not ready in time".to_owned()));
            }
            if self.live.pause(PAUSE) {
                return Err(ProbeVerdict::halted());
            }
        }
    }
}

/// The end of a text, short enough for a sentence.
fn shortened(text: &str) -> String {
    const MOST: usize = 300;
    let line: Vec<&str> = text.split_whitespace().collect();
    let line = line.join(" ");
    let skipped = line.chars().count().saturating_sub(MOST);
    if skipped == 0 {
        return line;
    }
    let rest: String = line.chars().skip(skipped).collect();
    format!("…{rest}")
}
