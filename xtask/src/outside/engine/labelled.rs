//! Finds and removes containers, networks and volumes with a label, whatever their state. Removing
//! goes on when the user wants to stop.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::containers::Heed;
use super::{Endpoint, Engine, http};
use crate::fault::Result;

/// How long removing is tried again after the last success. An engine that is still removing
/// something, perhaps for a call that was killed, refuses the same request of all others meanwhile.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often in a row an engine must say that nothing is left, if it may still be creating
/// something.
const LOOKS: usize = 4;
/// The pause between two such questions.
const MOMENT: Duration = Duration::from_millis(200);

/// Everything with a label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labelled {
    /// Ids, whatever their state.
    pub containers: Vec<String>,
    /// Ids.
    pub networks: Vec<String>,
    /// Names.
    pub volumes: Vec<String>,
}

impl Labelled {
    /// The number of all things.
    const fn count(&self) -> usize {
        self.containers.len() + self.networks.len() + self.volumes.len()
    }

    /// Whether nothing has the label.
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

    /// Removes everything with the label `KEY=VALUE`, whatever its state, and returns what could
    /// not be removed. Goes on when the user wants to stop. `late` says that calls were cut off:
    /// the engine may still be working on them, so it is asked several times.
    pub fn remove_labelled(&self, label: &str, late: bool) -> Result<Labelled> {
        let looks = if late { LOOKS } else { 1 };
        let (mut fewest, mut empty) = (usize::MAX, 0);
        let mut end = Instant::now() + PATIENCE;
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
            if left.count() < fewest {
                fewest = left.count();
                end = Instant::now() + PATIENCE;
            } else if Instant::now() > end {
                return Ok(left);
            }
            empty = 0;
            self.remove_at_once(&left);
            std::thread::sleep(MOMENT / 4);
        }
    }

    /// Tries to remove everything once. Containers go first, because they use networks and volumes.
    /// Failures are ignored: the next list shows what is left.
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
        // An engine takes some 100 ms to end each container.
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

    /// Runs the docker command in a process group of its own, so that a terminal's Ctrl-C does not
    /// reach it.
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// How often the engine of this test says that it is still removing its one container.
    const BUSY: usize = 20;

    fn answer(stream: UnixStream, refused: &AtomicUsize) {
        let mut out = stream.try_clone().unwrap();
        let mut lines = BufReader::new(stream)
            .lines()
            .map_while(std::io::Result::ok);
        while let Some(first) = lines.next() {
            while lines.next().is_some_and(|line| !line.is_empty()) {}
            let is_there = refused.load(Ordering::SeqCst) < BUSY;
            let (status, body) = if first.starts_with("DELETE ") {
                refused.fetch_add(1, Ordering::SeqCst);
                (
                    "409 Conflict",
                    r#"{"message":"removal is already in progress"}"#,
                )
            } else if first.contains("/volumes") {
                ("200 OK", r#"{"Volumes":null}"#)
            } else if first.contains("/containers/json") && is_there {
                ("200 OK", r#"[{"Id":"one"}]"#)
            } else {
                ("200 OK", "[]")
            };
            let length = body.len();
            let _ = write!(
                out,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}"
            );
        }
    }

    #[test]
    fn what_an_engine_is_still_removing_for_somebody_else_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let refused = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&refused);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(std::io::Result::ok) {
                let count = Arc::clone(&count);
                std::thread::spawn(move || answer(stream, &count));
            }
        });
        let engine = Engine::at(&format!("unix://{}", socket.display()));
        let left = engine.remove_labelled("a=b", false).unwrap();
        assert_eq!(left, Labelled::default());
        assert_eq!(refused.load(Ordering::SeqCst), BUSY);
    }
}
