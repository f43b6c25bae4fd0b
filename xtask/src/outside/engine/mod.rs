//! Asks the engine for its images and containers, and names, starts and removes them: over its
//! socket if it has one, else through the docker command.

mod body;
mod containers;
mod endpoint;
mod export;
mod http;
mod images;
mod labelled;
mod platform;
mod podman;
mod untag;

use std::io::ErrorKind;
use std::sync::OnceLock;

use serde::Deserialize;
use xshell::{Shell, cmd};

pub use body::StreamedBody;
pub use containers::{Container, ContainerState, Health, Published};
pub use endpoint::{Endpoint, config_folder};
use http::Connection;
pub use images::{Image, ImageConfig, Images};
pub use labelled::Labelled;
pub use podman::{NOT_PODMAN, podman};
pub use untag::{Untagged, UntaggedAll};

use crate::fault::{Fault, Result};
use crate::outside::interrupt;

/// What an engine says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Its version.
    pub version: String,
    /// The folder in which it keeps its data, on its own machine.
    pub folder: String,
    /// Whether it keeps images in containerd.
    pub containerd: bool,
    /// URLs that it asks before Docker Hub.
    pub mirrors: Vec<String>,
    /// Whether it is podman, which answers like an engine but has no BuildKit.
    pub podman: bool,
}

impl About {
    fn of(info: &serde_json::Value) -> Option<Self> {
        let text = |key: &str| info.get(key)?.as_str().map(str::to_owned);
        let driver = info.get("DriverStatus").map(ToString::to_string);
        let mirrors = info.pointer("/RegistryConfig/IndexConfigs/docker.io/Mirrors");
        let mirrors = mirrors.and_then(serde_json::Value::as_array);
        Some(Self {
            version: text("ServerVersion").filter(|version| !version.is_empty())?,
            folder: text("DockerRootDir").unwrap_or_default(),
            containerd: driver.is_some_and(|driver| driver.contains("io.containerd.snapshotter")),
            // Only podman has this field (podman, `pkg/api/handlers/compat/info.go`).
            podman: info.get("BuildahVersion").is_some(),
            mirrors: mirrors
                .into_iter()
                .flatten()
                .filter_map(|mirror| mirror.as_str().map(str::to_owned))
                .collect(),
        })
    }
}

/// Why an engine does not describe itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// This user may not talk to it.
    Forbidden(String),
    /// Nothing answers.
    Silent(String),
}

/// The engine that the docker command would use.
#[derive(Debug)]
pub struct Engine {
    endpoint: Endpoint,
    context: Option<String>,
    /// The platform that it gave, once it was asked.
    platform: OnceLock<Option<String>>,
    /// The platform that it gave in an earlier run.
    assumed: OnceLock<String>,
    /// Its unique id, once it was asked.
    id: OnceLock<Option<String>>,
}

impl Engine {
    /// Finds out where the engine is; does not connect.
    pub fn find() -> Self {
        let (endpoint, context) = endpoint::find();
        Self::of(endpoint, context)
    }

    /// The engine at this address, as DOCKER_HOST has it.
    pub fn at(host: &str) -> Self {
        Self::of(endpoint::read(host), None)
    }

    fn of(endpoint: Endpoint, context: Option<String>) -> Self {
        Self {
            endpoint,
            context,
            platform: OnceLock::new(),
            assumed: OnceLock::new(),
            id: OnceLock::new(),
        }
    }

    /// The docker context in use, unless it is the default one.
    pub fn context(&self) -> Option<&str> {
        self.context.as_deref()
    }

    /// The docker context in use.
    pub fn in_use(&self) -> &str {
        self.context().unwrap_or("default")
    }

    /// Its unique id, whatever its address: an engine makes the id once and keeps it with its data.
    /// `None` if it does not say.
    pub fn id(&self) -> Option<&str> {
        let ask = || match self.connect().ok()? {
            Some(mut connection) => {
                let answer = connection.ask("GET", "/info").ok()?;
                let info: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
                Some(info.get("ID")?.as_str()?.to_owned())
            }
            None => self.docker(&["info", "--format", "{{.ID}}"]).ok(),
        };
        let id = self.id.get_or_init(ask).as_deref();
        id.map(str::trim).filter(|id| !id.is_empty())
    }

    /// Its address, as DOCKER_HOST has it.
    pub fn address(&self) -> String {
        match &self.endpoint {
            Endpoint::Socket(path) => format!("unix://{path}"),
            Endpoint::Other(host) => host.clone(),
        }
    }

    /// Whether this is the machine's own engine, as nothing names another one.
    pub fn is_default(&self) -> bool {
        self.context.is_none() && self.endpoint == Endpoint::Socket("/var/run/docker.sock".into())
    }

    /// Whether it is on this machine, as far as its address tells.
    pub const fn is_local(&self) -> bool {
        matches!(self.endpoint, Endpoint::Socket(_))
    }

    /// Asks it to describe itself.
    pub fn about(&self) -> Result<About, NoAnswer> {
        let silent = |error: &dyn std::fmt::Display| NoAnswer::Silent(error.to_string());
        let info = match &self.endpoint {
            Endpoint::Other(_) => self
                .docker(&["info", "--format", "{{json .}}"])
                .map_err(|error| silent(&error))?
                .into_bytes(),
            Endpoint::Socket(path) => match Connection::open(path.as_std_path()) {
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    return Err(NoAnswer::Forbidden(error.to_string()));
                }
                Err(error) => return Err(silent(&error)),
                Ok(mut connection) => {
                    let answer = connection.ask("GET", "/info");
                    answer.map_err(|error| silent(&error))?.body
                }
            },
        };
        let info = serde_json::from_slice(&info).map_err(|error| silent(&error))?;
        About::of(&info).ok_or_else(|| silent(&"what answers there is no Docker engine"))
    }

    fn shown(&self) -> &str {
        match &self.endpoint {
            Endpoint::Socket(path) => path.as_str(),
            Endpoint::Other(host) => host,
        }
    }

    fn unreachable(&self, error: &dyn std::fmt::Display) -> Fault {
        if interrupt::is_wanted() {
            return Fault::interrupted();
        }
        let at = self.shown();
        Fault::lacks(match podman() {
            Some(podman) => format!(
                "cannot reach the Docker engine at {at}: {error}; `docker` is podman here ({podman}), which has no BuildKit: {NOT_PODMAN}"
            ),
            None => format!(
                "cannot reach the Docker engine at {at}: {error}; start it, or point DOCKER_HOST or `docker context use` at one that runs"
            ),
        })
    }

    fn connect(&self) -> Result<Option<Connection>> {
        match &self.endpoint {
            Endpoint::Other(_) => Ok(None),
            Endpoint::Socket(path) => match Connection::open(path.as_std_path()) {
                Ok(connection) => Ok(Some(connection)),
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    Err(Fault::lacks(format!(
                        "may not talk to the Docker engine at {path}: {error}; join the `docker` group or run as a user who may"
                    )))
                }
                Err(error) => Err(self.unreachable(&error)),
            },
        }
    }

    /// Its settings for registries; the defaults when it cannot be asked.
    pub fn registry_settings(&self) -> registry::Settings {
        let asked = match self.connect() {
            Ok(Some(mut connection)) => connection.ask("GET", "/info").ok().and_then(|answer| {
                let info: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
                serde_json::to_vec(info.get("RegistryConfig")?).ok()
            }),
            Ok(None) => self
                .docker(&["info", "--format", "{{json .RegistryConfig}}"])
                .ok()
                .map(String::into_bytes),
            Err(_) => None,
        };
        asked.map_or_else(registry::Settings::default, |json| {
            registry::Settings::read(&json)
        })
    }

    /// Pulls an image for a platform, or for the engine's own. Docker's own login serves.
    pub fn pull(&self, image: &str, platform: Option<&str>) -> Result<()> {
        let flag = platform.map(|platform| format!("--platform={platform}"));
        let words = ["pull", "--quiet"].into_iter().chain(flag.as_deref());
        let words: Vec<&str> = words.chain(["--", image]).collect();
        let pulled = self.docker(&words);
        pulled
            .map(drop)
            .map_err(|error| Fault::lacks(format!("the engine cannot pull {image}: {error}")))
    }

    /// Loads an archive of images.
    pub fn load(&self, archive: &camino::Utf8Path) -> Result<()> {
        let loaded = self.docker(&["image", "load", "--quiet", "--input", archive.as_str()]);
        loaded
            .map(drop)
            .map_err(|error| Fault::failed(format!("the engine does not load {archive}: {error}")))
    }

    /// The images that its builds pulled and that it still keeps: a line for each, which ends with
    /// the reference.
    pub fn pulled_by_builds(&self) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Usage {
            build_cache: Option<Vec<Kept>>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Kept {
            #[serde(default)]
            description: String,
        }
        let mut pulled: Vec<String> = match self.connect()? {
            Some(mut connection) => {
                let path = "/system/df?type=build-cache";
                let answer = connection
                    .ask("GET", path)
                    .map_err(|error| self.unreachable(&error))?;
                if answer.status != 200 {
                    return Err(self.refused(
                        "list",
                        "its build cache",
                        answer.status,
                        &answer.body,
                    ));
                }
                let usage: Usage = serde_json::from_slice(&answer.body)
                    .map_err(|error| self.unreachable(&error))?;
                let kept = usage.build_cache.unwrap_or_default();
                kept.into_iter().map(|kept| kept.description).collect()
            }
            None => {
                let format = "{{json .BuildCache}}";
                let text = self.docker(&["system", "df", "--verbose", "--format", format]);
                let text = text.map_err(|error| self.unreachable(&error))?;
                let kept: Vec<Kept> =
                    serde_json::from_str(&text).map_err(|error| self.unreachable(&error))?;
                kept.into_iter().map(|kept| kept.description).collect()
            }
        };
        pulled.retain(|line| line.starts_with("pulled from "));
        Ok(pulled)
    }

    fn refused(&self, verb: &str, name: &str, status: u16, body: &[u8]) -> Fault {
        let body = String::from_utf8_lossy(body);
        let why = serde_json::from_str::<serde_json::Value>(&body).ok();
        let why = why
            .as_ref()
            .and_then(|value| value.get("message")?.as_str())
            .unwrap_or_else(|| body.trim());
        Fault::lacks(format!(
            "the engine at {} refused to {verb} {name}: {why} (status {status})",
            self.shown()
        ))
    }

    /// Runs the docker command and returns its stdout, or its stderr if it fails.
    fn docker(&self, arguments: &[&str]) -> Result<String, String> {
        let shell = Shell::new().map_err(|error| error.to_string())?;
        let output = cmd!(shell, "docker {arguments...}")
            .quiet()
            .ignore_status()
            .output();
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
    }
}
