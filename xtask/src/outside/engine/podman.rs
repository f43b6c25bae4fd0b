//! Detects podman in docker's place. Podman builds with Buildah, which supports neither named
//! contexts nor the progress output that this program reads.

use std::process::{Command, Stdio};

/// The remedy.
pub const NOT_PODMAN: &str = "install Docker's own command with its buildx plugin, and Docker Engine, in the place of the package podman-docker";

/// The name and version of podman, if the command `docker` is podman. Its version says so: the
/// package podman-docker passes every call to `podman`.
pub fn podman() -> Option<String> {
    let said = Command::new("docker")
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let said = String::from_utf8(said.ok()?.stdout).ok()?;
    version(&said)
}

/// Reads `podman version 4.3.1`. Docker prints `Docker version 26.1.5, build …`.
fn version(said: &str) -> Option<String> {
    let rest = said.trim().strip_prefix("podman version ")?;
    let word = rest.split_whitespace().next()?;
    let shown = word.chars().filter(|c| !c.is_control()).take(40);
    Some(format!("podman {}", shown.collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn podman_is_told_from_docker_by_its_version() {
        assert_eq!(
            version("podman version 4.3.1\n").as_deref(),
            Some("podman 4.3.1")
        );
        assert_eq!(
            version("Docker version 26.1.5+dfsg1, build a72d7cd\n"),
            None
        );
        assert_eq!(version(""), None);
    }
}
