//! Debian packages that the tests need.
//!
//! Knows what they are; from where a Debian 12 machine has an engine with buildx, `setup` knows.

use camino::{Utf8Path, Utf8PathBuf};
use xshell::{Shell, cmd};

use crate::fault::{Fault, Result};
use crate::setup::gather::debian_mirror;
use crate::setup::packages as suite;

/// A program that proves that a package is there, and the package.
const NEEDED: [(&str, &str); 10] = [
    ("/usr/sbin/dockerd", "docker.io/trixie"),
    ("/usr/bin/docker", "docker-cli/trixie"),
    (
        "/usr/libexec/docker/cli-plugins/docker-buildx",
        "docker-buildx/trixie",
    ),
    (
        "/usr/libexec/docker/cli-plugins/docker-compose",
        "docker-compose/trixie",
    ),
    ("/usr/bin/docker-registry", "docker-registry/trixie"),
    ("/usr/sbin/iptables", "iptables"),
    ("/bin/ip", "iproute2"),
    ("/bin/busybox", "busybox-static"),
    ("/usr/bin/git", "git"),
    ("/usr/sbin/debootstrap", "debootstrap"),
];

/// The docker command of those packages; another may be first on PATH.
pub fn docker() -> Utf8PathBuf {
    "/usr/bin/docker".into()
}

/// Whether nothing would have to be installed.
pub fn is_installed() -> bool {
    NEEDED
        .iter()
        .all(|(program, _)| Utf8Path::new(program).exists())
}

/// Installs what is missing; does nothing, and starts nothing, when all is there.
pub fn install() -> Result<()> {
    let missing: Vec<&str> = NEEDED
        .iter()
        .filter(|(program, _)| !Utf8Path::new(program).exists())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let named = missing.join(", ");
    let fault = |why: &str| {
        Fault::lacks(format!(
            "the tests need {named}: {why}; or point XTASK_TEST_ENGINE at a running engine, as unix:///var/run/docker.sock"
        ))
    };
    if !rustix::process::geteuid().is_root() {
        return Err(fault("run this as root to have them installed"));
    }
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !release.contains("VERSION_CODENAME=bookworm") {
        return Err(fault(
            "only Debian 12 is known here, so install them by hand",
        ));
    }
    add_suite().map_err(|error| fault(&error.to_string()))?;
    let shell = Shell::new().map_err(|error| fault(&error.to_string()))?;
    let shell_fault = |error: xshell::Error| fault(&error.to_string());
    let quiet = ("DEBIAN_FRONTEND", "noninteractive");
    cmd!(shell, "apt-get update -q")
        .env(quiet.0, quiet.1)
        .run()
        .map_err(shell_fault)?;
    cmd!(
        shell,
        "apt-get install -y -q --no-install-recommends {missing...}"
    )
    .env(quiet.0, quiet.1)
    // A machine with an init system must not start an engine that nobody asked for.
    .env("RUNLEVEL", "1")
    .run()
    .map_err(shell_fault)
}

/// Debian 13 beside Debian 12, from the mirror that the machine uses already.
fn add_suite() -> std::io::Result<()> {
    let mirror = debian_mirror().ok_or_else(|| {
        std::io::Error::other("apt's sources name no mirror to take Debian 13 from")
    })?;
    // First its rank, so that it is never above Debian 12.
    std::fs::write(suite::TRIXIE_RANK, suite::RANK)?;
    std::fs::write(suite::TRIXIE_SOURCE, suite::trixie(&mirror))
}
