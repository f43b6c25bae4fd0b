//! Builders beside the engine's own: how the docker command reaches one, and whether it answers.

use std::process::Command;
use std::time::Duration;

use super::ask::{self, CommandOutput};
use super::interrupt::Interrupt;

/// How long a builder may take to show that it is alive.
const ALIVE: Duration = Duration::from_secs(10);

/// A builder beside the engine's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// The own builder of the engine behind a docker context.
    Context(String),
    /// A builder that buildx has under this name.
    Buildx(String),
}

/// Whether a builder can take a build now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It runs.
    Runs,
    /// Buildx starts it for the first build.
    WillStart,
}

/// Why a builder cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// Docker or buildx knows nothing of that name.
    Unknown,
    /// It does not answer.
    Silent(String),
    /// Its engine has the classic image store, which writes no OCI layout.
    Classic,
}

impl Remote {
    /// The first arguments of a buildx call that runs there.
    pub fn call(&self, verb: &str) -> Vec<String> {
        let words = match self {
            Self::Context(name) => [format!("--context={name}"), "buildx".into(), verb.into()],
            Self::Buildx(name) => ["buildx".into(), verb.into(), format!("--builder={name}")],
        };
        words.into()
    }

    /// The name of the docker context, or buildx's name for it.
    pub fn name(&self) -> &str {
        match self {
            Self::Context(name) | Self::Buildx(name) => name,
        }
    }

    /// Asks whether a build may be sent there, and starts the builder if that is buildx's task.
    pub fn prepare(&self, interrupt: &Interrupt) -> Result<(), Unusable> {
        match (self, self.readiness(interrupt)?) {
            (_, Readiness::Runs) | (Self::Context(_), Readiness::WillStart) => Ok(()),
            (Self::Buildx(name), Readiness::WillStart) => {
                let mut command = Command::new("docker");
                let words = ["buildx", "inspect", "--bootstrap", name];
                command.args(words).env("LC_ALL", "C");
                // It may have to fetch BuildKit's image first.
                answered(ask::ask_for(command, ask::LONG, interrupt, &|| true)).map(drop)
            }
        }
    }

    /// Asks whether a build may be sent there.
    pub fn readiness(&self, interrupt: &Interrupt) -> Result<Readiness, Unusable> {
        match self {
            Self::Context(name) => {
                let context = format!("--context={name}");
                // The docker command says what it knows of itself, and ends well, even if no engine
                // answers it.
                let format = "--format={{.ServerVersion}} {{json .DriverStatus}}";
                let asked = docker(&[&context, "info", format], interrupt, &|| true);
                let why = asked.complaint();
                let said = answered(asked)?;
                if said.trim_start() != said {
                    Err(Unusable::Silent(why))
                } else if said.contains("io.containerd.snapshotter") {
                    Ok(Readiness::Runs)
                } else {
                    Err(Unusable::Classic)
                }
            }
            Self::Buildx(name) => {
                let said = answered(docker(&["buildx", "inspect", name], interrupt, &|| true))?;
                match running(&said) {
                    Ok(()) => Ok(Readiness::Runs),
                    // Buildx starts every builder but a BuildKit that others run
                    // (docs.docker.com/build/builders/drivers).
                    Err(_) if field(&said, "Driver:").is_some_and(|it| it != "remote") => {
                        Ok(Readiness::WillStart)
                    }
                    Err(why) => Err(why),
                }
            }
        }
    }

    /// Asks whether it still answers. `goes_on` ends the question early.
    pub fn looks_alive(
        &self,
        interrupt: &Interrupt,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<(), Unusable> {
        match self {
            Self::Context(name) => {
                let context = format!("--context={name}");
                let words = [&context, "version", "--format={{.Server.Version}}"];
                answered(docker(&words, interrupt, goes_on)).map(drop)
            }
            Self::Buildx(name) => {
                let said = answered(docker(&["buildx", "inspect", name], interrupt, goes_on))?;
                running(&said)
            }
        }
    }
}

/// Whether one of the nodes of a builder runs, by what `docker buildx inspect` says.
fn running(said: &str) -> Result<(), Unusable> {
    let mut nodes = said.lines().filter_map(|line| line.strip_prefix("Status:"));
    if nodes.any(|status| status.trim() == "running") {
        return Ok(());
    }
    let why = field(said, "Error:").unwrap_or("none of its nodes runs");
    Err(Unusable::Silent(why.to_owned()))
}

/// The first value of a name in what `docker buildx inspect` says.
fn field<'s>(said: &'s str, name: &str) -> Option<&'s str> {
    let mut lines = said.lines();
    lines
        .find_map(|line| line.strip_prefix(name))
        .map(str::trim)
}

fn docker(words: &[&str], interrupt: &Interrupt, goes_on: &dyn Fn() -> bool) -> CommandOutput {
    let mut command = Command::new("docker");
    command.args(words).env("LC_ALL", "C");
    ask::ask_for(command, ALIVE, interrupt, goes_on)
}

/// What was said, if it was a good answer.
fn answered(said: CommandOutput) -> Result<String, Unusable> {
    if said.good {
        return Ok(said.stdout);
    }
    let why = said.why();
    // The docker command's words for a context, and buildx's for a builder, that is not there.
    if why.contains("context not found") || why.contains("no builder") {
        return Err(Unusable::Unknown);
    }
    Err(Unusable::Silent(why))
}
