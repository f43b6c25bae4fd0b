//! Builders beside the engine's own: how the docker command reaches one, and whether it answers.

use std::process::Command;
use std::time::Duration;

use super::ask::{self, CommandOutput};
use super::interrupt::Interrupt;

/// How long a builder may take to show that it is alive.
const ALIVE: Duration = Duration::from_secs(20);

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
    /// The first arguments of a buildx call that runs there. An engine's own builder is named, too:
    /// else buildx would take the one that the user chose by `docker buildx use`.
    pub fn call(&self, verb: &str) -> Vec<String> {
        let (context, name) = match self {
            Self::Context(name) => (Some(format!("--context={name}")), name),
            Self::Buildx(name) => (None, name),
        };
        let rest = ["buildx".into(), verb.into(), format!("--builder={name}")];
        context.into_iter().chain(rest).collect()
    }

    /// The name of the docker context, or buildx's name for it.
    pub fn name(&self) -> &str {
        match self {
            Self::Context(name) | Self::Buildx(name) => name,
        }
    }

    /// Asks whether a build for a platform may be sent there, and starts the builder if that is
    /// buildx's task.
    pub fn prepare(&self, platform: Option<&str>, interrupt: &Interrupt) -> Result<(), Unusable> {
        match (self, self.readiness(platform, interrupt)?) {
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

    /// Asks whether a build for a platform, or for any, may be sent there.
    pub fn readiness(
        &self,
        platform: Option<&str>,
        interrupt: &Interrupt,
    ) -> Result<Readiness, Unusable> {
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
                match running(&said, platform) {
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
        platform: Option<&str>,
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
                running(&said, platform)
            }
        }
    }
}

/// Whether a node of a builder runs that builds for a platform, by what `docker buildx inspect`
/// says. Buildx sends a build to the node that was made for its platform, marked by a star, even if
/// another one could emulate it.
fn running(said: &str, platform: Option<&str>) -> Result<(), Unusable> {
    let nodes: Vec<&str> = said.split("\nName:").skip(1).collect();
    let is_for = |node: &&str, star: &str| {
        let listed = field(node, "Platforms:").unwrap_or_default().split(',');
        let mut listed = listed.filter_map(|one| one.trim().strip_suffix(star));
        platform.is_none_or(|platform| {
            listed.any(|own| reference::platform::normal(own).as_deref() == Some(platform))
        })
    };
    let mut chosen: Vec<&&str> = nodes.iter().filter(|node| is_for(node, "*")).collect();
    if platform.is_some() && chosen.is_empty() {
        chosen = nodes.iter().filter(|node| is_for(node, "")).collect();
    }
    if platform.is_none() {
        chosen = nodes.iter().collect();
    }
    if chosen
        .iter()
        .any(|node| field(node, "Status:") == Some("running"))
    {
        return Ok(());
    }
    let why = field(said, "Error:").map_or_else(
        || match platform {
            Some(platform) => format!("none of its nodes for {platform} runs"),
            None => "none of its nodes runs".to_owned(),
        },
        str::to_owned,
    );
    Err(Unusable::Silent(why))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As buildx 0.13 prints a builder of two nodes, of which one runs and emulates.
    const SAID: &str = "Name:          multi\nDriver:        remote\n\nNodes:\nName:      multi0\n\
        Endpoint:  tcp://127.0.0.1:1\nStatus:    running\n\
        Platforms: linux/amd64*, linux/amd64/v2, linux/arm64, linux/riscv64\n\n\
        Name:      multi1\nEndpoint:  tcp://127.0.0.1:2\nStatus:    inactive\nPlatforms: linux/arm64*\n";

    #[test]
    fn a_node_that_was_made_for_a_platform_decides() {
        assert_eq!(running(SAID, None), Ok(()));
        assert_eq!(running(SAID, Some("linux/amd64")), Ok(()));
        // No node was made for it, and one emulates it.
        assert_eq!(running(SAID, Some("linux/riscv64")), Ok(()));
        let said = "none of its nodes for linux/arm64 runs".to_owned();
        assert_eq!(
            running(SAID, Some("linux/arm64")),
            Err(Unusable::Silent(said))
        );
        assert!(running(SAID, Some("linux/s390x")).is_err());
        let all = SAID.replace("inactive", "running");
        assert_eq!(running(&all, Some("linux/arm64")), Ok(()));
        assert!(running(&SAID.replace("running", "inactive"), None).is_err());
    }
}
