//! The engine's own platform, which decides a Dockerfile's TARGETARCH.
//!
//! An engine takes several milliseconds to tell its platform, since it runs other programs first,
//! and the platform hardly ever changes. So the last answer is kept in a file and believed until
//! trees must be read or a stage built. Then the engine itself is asked.
//!
//! A wrong memory cannot make a stage fresh: its image would have to be there under the name and
//! with the digest that a build for the other platform gave it.

use camino::Utf8Path;
use serde::Deserialize;

use super::{Engine, http};
use crate::fault::{Fault, Result};
use crate::outside::state;

/// The kind of the file that keeps the last answer.
const KIND: &str = "xtask-engine";
/// Its format. 1: the first.
const FORMAT: u32 = 1;
/// A name that no container can have.
const NO_NAME: &str = "-xtask-only-asks-";

impl Engine {
    /// The engine's own platform, `linux/amd64`; `None` when it cannot be asked.
    pub fn platform(&self) -> Option<&str> {
        match (self.platform.get(), self.assumed.get()) {
            (None, Some(assumed)) => Some(assumed),
            _ => self.ask_platform(),
        }
    }

    /// Assumes the platform that the engine at this address gave last, until the engine is asked.
    pub fn remember_platform(&self, file: &Utf8Path) {
        let Ok(Some(sealed)) = state::read(file) else {
            return;
        };
        // A file that cannot be used costs one more question, nothing else.
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

    /// Whether the remembered platform, if there is one, is what the engine says now.
    pub fn has_remembered_right(&self) -> bool {
        self.assumed
            .get()
            .is_none_or(|assumed| self.ask_platform() == Some(assumed))
    }

    /// Asks the engine itself, if it was not asked yet. A fault if the remembered platform was
    /// wrong, because everything so far was read for that platform.
    pub fn prove_platform(&self) -> Result<()> {
        if self.has_remembered_right() {
            return Ok(());
        }
        Err(Fault::lacks(format!(
            "the engine at {} is not the same as before ({} in place of {}): run this again",
            self.address(),
            self.ask_platform().unwrap_or("it does not answer"),
            self.assumed.get().map_or("", String::as_str)
        )))
    }

    /// Writes the engine's answer to the file, if it was asked and the answer is new.
    pub fn note_platform(&self, file: &Utf8Path) {
        if let Some(Some(said)) = self.platform.get()
            && self.assumed.get() != Some(said)
        {
            let content = format!("{said} {}", self.address());
            let sealed = state::seal(KIND, FORMAT, content.as_bytes());
            // If this fails, the next run asks again.
            let _ = state::write_atomically(file, &sealed);
        }
    }

    /// Whether the engine has an image for a platform; `None` if it does not say.
    ///
    /// Before Docker 28, the engine's API cannot be asked for the platforms of an image. So it is
    /// asked for a container with a name that none can have: the engine looks for the image first,
    /// and then refuses the name (tried with Docker 26.1.5 and both stores).
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
