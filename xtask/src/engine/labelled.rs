//! Containers, networks and volumes with a label.
//!
//! Knows how to find and to remove them, whatever they do, also when the user wants to stop. Is
//! unaware of what they are for.

use std::process::{Command, Stdio};

use serde::Deserialize;

use super::containers::Heed;
use super::{Endpoint, Engine, http};
use crate::fault::Result;

/// How often removing is tried again: an engine is still at it when it is asked for the next.
const REMOVALS: usize = 8;
/// How often an engine must say that nothing is left, when it may still be making something.
const LOOKS: usize = 4;
/// Between two such looks.
const MOMENT: std::time::Duration = std::time::Duration::from_millis(200);

/// What bears a label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labelled {
    /// Ids, whatever they do.
    pub containers: Vec<String>,
    /// Ids.
    pub networks: Vec<String>,
    /// Names.
    pub volumes: Vec<String>,
}

impl Labelled {
    /// Whether nothing does.
    pub const fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.networks.is_empty() && self.volumes.is_empty()
    }
}

impl std::fmt::Display for Labelled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short = |id: &String| id.get(..12).unwrap_or(id).to_owned();
        let containers = self.containers.iter().map(|id| ("container", short(id)));
        let networks = self.networks.iter().map(|id| ("network", short(id)));
        let volumes = self.volumes.iter().map(|name| ("volume", name.clone()));
        let all = containers.chain(networks).chain(volumes);
        let all: Vec<String> = all.map(|(kind, name)| format!("{kind} {name}")).collect();
        f.write_str(&all.join(", "))
    }
}

impl Engine {
    /// Everything with the label `KEY=VALUE`.
    pub fn labelled(&self, label: &str) -> Result<Labelled> {
        self.labelled_with(label, Heed::Interrupt)
    }

    fn labelled_with(&self, label: &str, heed: Heed) -> Result<Labelled> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct WithId {
            id: String,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Named {
            name: String,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Volumes {
            #[serde(default)]
            volumes: Option<Vec<Named>>,
        }
        let Endpoint::Socket(_) = &self.endpoint else {
            let filter = format!("label={label}");
            let list = |arguments: &[&str]| -> Result<Vec<String>> {
                let said = self.command_to_the_end(&[arguments, &["--filter", &filter]].concat());
                let said = said.map_err(|error| self.unreachable(&error))?;
                Ok(said.split_whitespace().map(str::to_owned).collect())
            };
            return Ok(Labelled {
                containers: list(&["ps", "--all", "--quiet", "--no-trunc"])?,
                networks: list(&["network", "ls", "--quiet", "--no-trunc"])?,
                volumes: list(&["volume", "ls", "--quiet"])?,
            });
        };
        let filters = serde_json::json!({ "label": [label] }).to_string();
        let filters = http::encode(&filters);
        let containers: Vec<WithId> =
            self.list(&format!("/containers/json?all=1&filters={filters}"), heed)?;
        let networks: Vec<WithId> = self.list(&format!("/networks?filters={filters}"), heed)?;
        let volumes: Volumes = self.list(&format!("/volumes?filters={filters}"), heed)?;
        let names = volumes.volumes.unwrap_or_default().into_iter();
        Ok(Labelled {
            containers: containers.into_iter().map(|found| found.id).collect(),
            networks: networks.into_iter().map(|found| found.id).collect(),
            volumes: names.map(|found| found.name).collect(),
        })
    }

    /// Removes everything with the label `KEY=VALUE`, whatever it does, and gives what could not
    /// be removed. Also done when the user wants to stop. After `late` calls that were cut off the
    /// engine may still be at work for them, so it is asked several times.
    pub fn remove_labelled(&self, label: &str, late: bool) -> Result<Labelled> {
        let looks = if late { LOOKS } else { 1 };
        let (mut removals, mut empty) = (0, 0);
        loop {
            let left = self.labelled_with(label, Heed::Nothing)?;
            if left.is_empty() {
                empty += 1;
                if empty == looks {
                    return Ok(left);
                }
                std::thread::sleep(MOMENT);
                continue;
            }
            if removals == REMOVALS {
                return Ok(left);
            }
            (removals, empty) = (removals + 1, 0);
            self.remove_at_once(&left);
            std::thread::sleep(MOMENT / 4);
        }
    }

    /// A container uses its networks and volumes, so it goes first. What fails is seen by whoever
    /// lists what is left.
    fn remove_at_once(&self, all: &Labelled) {
        let Endpoint::Socket(_) = &self.endpoint else {
            for (arguments, names) in [
                (&["rm", "--force", "--volumes", "--"][..], &all.containers),
                (&["network", "rm", "--"], &all.networks),
                (&["volume", "rm", "--"], &all.volumes),
            ] {
                if !names.is_empty() {
                    let names = names.iter().map(String::as_str);
                    let arguments: Vec<&str> = arguments.iter().copied().chain(names).collect();
                    let _ = self.command_to_the_end(&arguments);
                }
            }
            return;
        };
        let remove = |path: String| {
            let _ = self.exchange("DELETE", &path, Heed::Nothing);
        };
        // An engine takes some 100 ms to end each.
        std::thread::scope(|scope| {
            for id in &all.containers {
                scope.spawn(move || {
                    remove(format!("/containers/{}?force=1&v=1", http::encode(id)));
                });
            }
        });
        for id in &all.networks {
            remove(format!("/networks/{}", http::encode(id)));
        }
        for name in &all.volumes {
            remove(format!("/volumes/{}", http::encode(name)));
        }
    }

    /// Runs the docker command where a terminal's Ctrl-C does not reach it.
    fn command_to_the_end(&self, arguments: &[&str]) -> Result<String, String> {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new("docker");
        command
            .args(arguments)
            .stdin(Stdio::null())
            .process_group(0);
        let output = command.output().map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
    }
}
