//! The containers of an engine: inspects and starts them, and reads their logs.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use serde::{Deserialize, Deserializer};

use super::http::{self, Connection, Response};
use super::{Endpoint, Engine};
use crate::fault::{Fault, Result};

/// A container, as the engine describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Container {
    /// The whole id.
    pub id: String,
    /// Begins with `/`.
    #[serde(default)]
    pub name: String,
    /// The id of its image.
    #[serde(default)]
    pub image: String,
    /// Its state at the moment.
    #[serde(default)]
    pub state: ContainerState,
    /// How often the engine has started it again by itself.
    #[serde(default)]
    pub restart_count: u64,
    /// What it was made with.
    #[serde(default)]
    pub config: ContainerConfig,
    /// Its ties to the machine.
    #[serde(default)]
    pub host_config: HostConfig,
    /// What is mounted in it.
    #[serde(default, deserialize_with = "or_default")]
    pub mounts: Vec<Mount>,
    /// Its networks and ports.
    #[serde(default)]
    pub network_settings: NetworkSettings,
}

/// A container's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerState {
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
    pub status: String,
    /// The number of its first process on the engine's machine; 0 when none runs.
    pub pid: i64,
    /// The exit code of its last end.
    pub exit_code: i64,
    /// Whether it ended for lack of memory.
    #[serde(rename = "OOMKilled")]
    pub oom_killed: bool,
    /// The engine's error, if it could not run the container.
    pub error: String,
    /// RFC 3339; in the year 1 if it was never started.
    pub started_at: String,
    /// RFC 3339; in the year 1 if it never ended.
    pub finished_at: String,
    /// `None` without a health check.
    pub health: Option<Health>,
}

/// The result of a health check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Health {
    /// `starting`, `healthy`, `unhealthy` or `none`.
    pub status: String,
    /// The last runs, the newest last.
    #[serde(deserialize_with = "or_default")]
    pub log: Vec<HealthRun>,
}

/// One run of a health check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HealthRun {
    /// 0 is healthy.
    pub exit_code: i64,
    /// What it printed, as far as the engine keeps it.
    pub output: String,
}

/// What a container was made with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerConfig {
    /// `user`, `uid`, `user:group` or `uid:gid`; empty for root.
    pub user: String,
    /// Whether it has a terminal, and with it a log of one stream.
    pub tty: bool,
    /// Labels.
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
}

/// A container's ties to the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostConfig {
    /// A network's name, `none`, `host` or `container:ID`.
    pub network_mode: String,
    /// Whether its own files can only be read.
    #[serde(rename = "ReadonlyRootfs")]
    pub readonly_rootfs: bool,
    /// When the engine starts it again.
    pub restart_policy: RestartPolicy,
}

/// When the engine starts a container again by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    /// `no`, `always`, `unless-stopped` or `on-failure`.
    pub name: String,
}

/// Something mounted in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Mount {
    /// `volume`, `bind` or `tmpfs`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// A volume's name.
    pub name: String,
    /// The path in the container.
    pub destination: String,
    /// Whether it can be written to.
    #[serde(rename = "RW")]
    pub writable: bool,
}

/// A container's networks and ports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkSettings {
    /// By the network's name.
    #[serde(deserialize_with = "or_default")]
    pub networks: BTreeMap<String, Attached>,
    /// By `PORT/PROTOCOL`.
    #[serde(deserialize_with = "or_default")]
    pub ports: BTreeMap<String, Option<Vec<Published>>>,
}

/// A container's place in a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Attached {
    /// Empty while it does not run.
    #[serde(rename = "IPAddress")]
    pub address: String,
}

/// The address of a container's port on the engine's machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Published {
    /// The address that it is bound to.
    pub host_ip: String,
    /// The port, chosen by the engine.
    pub host_port: String,
}

/// Reads a value for which the engine writes `null` if it is empty.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Container {
    /// A label's value.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.config.labels.get(name).map(String::as_str)
    }

    /// Its addresses in all its networks.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        let networks = self.network_settings.networks.values();
        networks
            .map(|network| network.address.as_str())
            .filter(|address| !address.is_empty())
    }

    /// The address of its TCP port on the engine's machine.
    pub fn published(&self, port: u16) -> Option<&Published> {
        let ports = &self.network_settings.ports;
        ports.get(&format!("{port}/tcp"))?.as_ref()?.first()
    }
}

/// Whether a request ends when the user wants to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heed {
    Interrupt,
    Nothing,
}

impl Engine {
    pub(super) fn list<T: serde::de::DeserializeOwned>(&self, path: &str, heed: Heed) -> Result<T> {
        let answer = self.exchange("GET", path, heed)?;
        if answer.status != 200 {
            return Err(self.refused("list", path, answer.status, &answer.body));
        }
        serde_json::from_slice(&answer.body).map_err(|error| self.unreachable(&error))
    }

    /// The container with this id or name; `None` if there is none.
    pub fn container(&self, id: &str) -> Result<Option<Container>> {
        let Endpoint::Socket(_) = &self.endpoint else {
            let format = "{{json .}}";
            let said = self.docker(&["container", "inspect", "--format", format, "--", id]);
            return match said {
                Ok(text) => serde_json::from_str(&text)
                    .map(Some)
                    .map_err(|error| self.unreachable(&error)),
                Err(error) if error.to_lowercase().contains("no such container") => Ok(None),
                Err(error) => Err(self.unreachable(&error)),
            };
        };
        let path = format!("/containers/{}/json", http::encode(id));
        let answer = self.exchange("GET", &path, Heed::Interrupt)?;
        match answer.status {
            200 => serde_json::from_slice(&answer.body)
                .map(Some)
                .map_err(|error| self.unreachable(&error)),
            404 => Ok(None),
            status => Err(self.refused("inspect", id, status, &answer.body)),
        }
    }

    /// Starts a container. The inner error is the engine's reason why it cannot be started.
    pub fn start_container(&self, id: &str) -> Result<Result<(), String>> {
        let Endpoint::Socket(_) = &self.endpoint else {
            return Ok(self.docker(&["start", "--", id]).map(drop));
        };
        let path = format!("/containers/{}/start", http::encode(id));
        let answer = self.exchange("POST", &path, Heed::Interrupt)?;
        Ok(match answer.status {
            204 | 304 => Ok(()),
            _ => Err(said(&answer.body)),
        })
    }

    /// The last `tail` lines of a container's log, or all of them. Both streams are in one text.
    pub fn log(&self, container: &Container, tail: Option<usize>) -> Result<String> {
        let tail = tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let id = &container.id;
        let Endpoint::Socket(_) = &self.endpoint else {
            let text = self.both_streams(&["logs", "--tail", &tail, "--", id]);
            return text.map_err(|error| self.unreachable(&error));
        };
        let path = format!(
            "/containers/{}/logs?stdout=1&stderr=1&tail={tail}",
            http::encode(id)
        );
        let answer = self.exchange("GET", &path, Heed::Interrupt)?;
        if answer.status != 200 {
            return Err(self.refused("give the log of", id, answer.status, &answer.body));
        }
        let text = if container.config.tty {
            answer.body
        } else {
            frames(&answer.body)
        };
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Which files of a container differ from its image: `A`, `C` or `D`, and the path.
    pub fn changes(&self, id: &str) -> Result<Vec<(char, String)>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Change {
            path: String,
            kind: u8,
        }
        let Endpoint::Socket(_) = &self.endpoint else {
            let text = self
                .docker(&["diff", "--", id])
                .map_err(|error| self.unreachable(&error))?;
            let lines = text.lines().filter_map(|line| line.split_once(' '));
            return Ok(lines
                .filter_map(|(kind, path)| Some((kind.chars().next()?, path.to_owned())))
                .collect());
        };
        let path = format!("/containers/{}/changes", http::encode(id));
        let changes: Option<Vec<Change>> = self.list(&path, Heed::Interrupt)?;
        let changes = changes.unwrap_or_default().into_iter();
        let letter = |kind| match kind {
            0 => 'C',
            1 => 'A',
            _ => 'D',
        };
        Ok(changes
            .map(|change| (letter(change.kind), change.path))
            .collect())
    }

    /// The user, group and further groups of a container's first process; `None` if they cannot be
    /// told.
    pub fn process_ids(&self, container: &Container) -> Result<Option<(u32, u32, Vec<u32>)>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Top {
            #[serde(deserialize_with = "or_default")]
            processes: Vec<Vec<String>>,
        }
        let columns = "pid,uid,gid,supgid";
        let id = &container.id;
        let rows: Vec<Vec<String>> = if let Endpoint::Socket(_) = &self.endpoint {
            let path = format!(
                "/containers/{}/top?ps_args=-eo%20{}",
                http::encode(id),
                http::encode(columns)
            );
            let answer = self.exchange("GET", &path, Heed::Interrupt)?;
            if answer.status != 200 {
                return Ok(None);
            }
            let top: Result<Top, _> = serde_json::from_slice(&answer.body);
            top.map(|top| top.processes).unwrap_or_default()
        } else {
            let text = self.docker(&["top", id, "-eo", columns]);
            let text = text.unwrap_or_default();
            let rows = text.lines().skip(1);
            rows.map(|row| row.split_whitespace().map(str::to_owned).collect())
                .collect()
        };
        let own = rows
            .iter()
            .find(|row| row.first().and_then(|pid| pid.parse().ok()) == Some(container.state.pid));
        let Some([_, uid, gid, rest @ ..]) = own.map(Vec::as_slice) else {
            return Ok(None);
        };
        let groups = rest.first().map(|groups| groups.split(','));
        let groups = groups.into_iter().flatten();
        let groups = groups.filter_map(|group| group.parse().ok()).collect();
        Ok(match (uid.parse(), gid.parse()) {
            (Ok(uid), Ok(gid)) => Some((uid, gid, groups)),
            _ => None,
        })
    }

    pub(super) fn exchange(&self, method: &str, path: &str, heed: Heed) -> Result<Response> {
        let Endpoint::Socket(socket) = &self.endpoint else {
            return Err(self.unreachable(&"it has no socket"));
        };
        let open = match heed {
            Heed::Interrupt => Connection::open(socket.as_std_path()),
            Heed::Nothing => Connection::open_to_the_end(socket.as_std_path()),
        };
        let fault = |error: std::io::Error| match heed {
            Heed::Interrupt => self.unreachable(&error),
            Heed::Nothing => Fault::lacks(format!(
                "cannot reach the Docker engine at {}: {error}",
                self.shown()
            )),
        };
        open.and_then(|mut connection| connection.ask(method, path))
            .map_err(fault)
    }

    /// Runs the docker command and returns what it prints on both streams, in order.
    fn both_streams(&self, arguments: &[&str]) -> Result<String, String> {
        let text = |error: std::io::Error| error.to_string();
        let mut file = tempfile::tempfile().map_err(text)?;
        let status = Command::new("docker")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone().map_err(text)?)
            .stderr(file.try_clone().map_err(text)?)
            .status()
            .map_err(text)?;
        let mut said = Vec::new();
        std::io::Seek::rewind(&mut file).map_err(text)?;
        std::io::Read::read_to_end(&mut file, &mut said).map_err(text)?;
        let said = String::from_utf8_lossy(&said).into_owned();
        if status.success() {
            Ok(said)
        } else {
            Err(said)
        }
    }
}

/// The `message` of an engine's error, or all of it.
fn said(body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    let value: Option<serde_json::Value> = serde_json::from_str(&body).ok();
    let message = value.as_ref().and_then(|value| value.get("message"));
    let message = message.and_then(serde_json::Value::as_str);
    message.unwrap_or_else(|| body.trim()).to_owned()
}

/// The text of a log of a container without a terminal: frames with a header of eight bytes, of
/// which the last four are the length (docs.docker.com/reference/api/engine, `ContainerAttach`,
/// *Stream format*).
fn frames(mut body: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(body.len());
    while let Some((header, rest)) = body.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        let length = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(rest.len());
        text.extend_from_slice(&rest[..length]);
        body = &rest[length..];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frames_of_a_log_are_assemble() {
        let frame = |stream: u8, text: &str| {
            let length = u32::try_from(text.len()).unwrap().to_be_bytes();
            [&[stream, 0, 0, 0], &length[..], text.as_bytes()].concat()
        };
        let body = [frame(1, "out\n"), frame(2, "err\n"), frame(1, "")].concat();
        assert_eq!(frames(&body), b"out\nerr\n");
        // The last frame may have been cut off.
        assert_eq!(frames(&body[..10]), b"ou");
        assert_eq!(frames(&body[..5]), b"");
    }

    #[test]
    fn what_an_engine_leaves_out_or_writes_as_null_is_empty() {
        let text = r#"{"Id":"a","State":{"Status":"exited","ExitCode":3,"OOMKilled":true},
            "Mounts":null,"Config":{"Labels":null},
            "NetworkSettings":{"Networks":{"n":{"IPAddress":""},"m":{"IPAddress":"10.0.0.2"}},
            "Ports":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"4"}],"81/tcp":null}}}"#;
        let container: Container = serde_json::from_str(text).unwrap();
        assert!(container.state.oom_killed);
        assert_eq!(container.addresses().collect::<Vec<_>>(), ["10.0.0.2"]);
        assert_eq!(container.published(80).unwrap().host_port, "4");
        assert_eq!(container.published(81), None);
        assert_eq!(container.published(82), None);
    }
}
