//! The engine's own platform, which decides what a Dockerfile's TARGETARCH is.
//!
//! Knows that an engine takes several milliseconds to say it, since it runs other programs first,
//! and that it hardly ever changes: what it said last stands in a file until something must be
//! built. Is unaware of what is read with its help.
//!
//! A wrong memory cannot make a stage fresh: its image would have to be there under the name and
//! with the digest that a build for the other platform gave it. Before anything is read or built,
//! the engine itself is asked.

use camino::Utf8Path;
use serde::Deserialize;

use super::{Engine, http};
use crate::fault::{Fault, Result};
use crate::outside::state;

/// The kind of the file.
const KIND: &str = "xtask-engine";
/// Its format. 1: the first.
const FORMAT: u32 = 1;
/// No container can have this name.
const NO_NAME: &str = "-xtask-only-asks-";

impl Engine {
    /// The engine's own platform, `linux/amd64`; `None` when it cannot be asked.
    pub fn platform(&self) -> Option<&str> {
        match (self.platform.get(), self.assumed.get()) {
            (None, Some(assumed)) => Some(assumed),
            _ => self.ask_platform(),
        }
    }

    /// Takes what the engine at this address said last for true, until it is asked.
    pub fn remember_platform(&self, file: &Utf8Path) {
        let Ok(Some(sealed)) = state::read(file) else {
            return;
        };
        // A file that cannot be used is a question more, nothing else.
        let Ok(content) = state::unseal(KIND, FORMAT, &sealed) else {
            return;
        };
        let content = String::from_utf8_lossy(content);
        if let Some((platform, address)) = content.split_once(' ')
            && address == self.address()
        {
            let _ = self.assumed.set(platform.to_owned());
        }
    }

    /// Whether what was remembered is what the engine says now.
    pub fn has_remembered_right(&self) -> bool {
        self.assumed
            .get()
            .is_none_or(|assumed| self.ask_platform() == Some(assumed))
    }

    /// Asks the engine itself, where it was not asked yet. A fault where what was read so far was
    /// read for another platform.
    pub fn prove_platform(&self) -> Result<()> {
        if self.has_remembered_right() {
            return Ok(());
        }
        Err(Fault::lacks(format!(
            "the engine at {} is another one than before ({} in place of {}): run this again",
            self.address(),
            self.ask_platform().unwrap_or("it does not answer"),
            self.assumed.get().map_or("", String::as_str)
        )))
    }

    /// Writes down what the engine said, if it was asked and said something new.
    pub fn note_platform(&self, file: &Utf8Path) {
        if let Some(Some(said)) = self.platform.get()
            && self.assumed.get() != Some(said)
        {
            let content = format!("{said} {}", self.address());
            let sealed = state::seal(KIND, FORMAT, content.as_bytes());
            // Not written, it is asked for again.
            let _ = state::write_atomically(file, &sealed);
        }
    }

    /// Whether an image of the engine's is there for a platform; `None` when it does not say.
    ///
    /// No question of the engine's API before Docker 28 tells the platforms of an image. So it is asked
    /// for a container with a name that none can have: the engine looks for the image first, and then
    /// refuses the name (tried with Docker 26.1.5 and both stores).
    pub fn has_platform(&self, image: &str, platform: &str) -> Result<Option<bool>> {
        let said = match self.connect()? {
            Some(mut connection) => {
                let platform = http::encode(platform);
                let path = format!("/containers/create?name={NO_NAME}&platform={platform}");
                let container = serde_json::json!({ "Image": image, "Cmd": ["-"] });
                let answer = connection.send("POST", &path, &container.to_string());
                let answer = answer.map_err(|error| self.unreachable(&error))?;
                match answer.status {
                    404 => return Ok(Some(false)),
                    _ => String::from_utf8_lossy(&answer.body).into_owned(),
                }
            }
            None => {
                let name = format!("--name={NO_NAME}");
                let asked = ["create", "--pull=never", "--platform", platform, &name];
                let arguments: Vec<&str> = asked.into_iter().chain(["--", image, "-"]).collect();
                self.docker(&arguments).err().unwrap_or_default()
            }
        };
        let is_absent = ["No such image", "does not match the specified platform"];
        if is_absent.iter().any(|absent| said.contains(absent)) {
            return Ok(Some(false));
        }
        Ok(said.contains(NO_NAME).then_some(true))
    }

    fn ask_platform(&self) -> Option<&str> {
        let ask = || {
            #[derive(Deserialize)]
            #[serde(rename_all = "PascalCase")]
            struct Version {
                os: String,
                arch: String,
            }
            let text = match self.connect().ok()? {
                Some(mut connection) => connection.ask("GET", "/version").ok()?.body,
                None => self
                    .docker(&["version", "--format", "{{json .Server}}"])
                    .ok()?
                    .into_bytes(),
            };
            let version: Version = serde_json::from_slice(&text).ok()?;
            Some(format!("{}/{}", version.os, version.arch))
        };
        self.platform.get_or_init(ask).as_deref()
    }
}
