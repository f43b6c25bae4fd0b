//! What a machine is and has, as data, so that a test can invent any machine. A fact that could not
//! be found out is `None` or says why; it is never guessed.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8PathBuf;

use crate::graphfile::spec::builders::Builder;
use crate::outside::builder::{Readiness, Remote, Unusable};

/// Everything that the checks look at.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The operating system.
    pub os: Os,
    /// `x86_64`, `aarch64`, as `uname -m` says.
    pub machine: String,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// The disk where the engine keeps its data, or would keep it.
    pub disk: Option<Disk>,
    /// Who runs this.
    pub user: UserFacts,
    /// What starts services.
    pub init: Init,
    /// The address of the engine that the docker command would use.
    pub address: String,
    /// Whether that is the place where a local engine listens by default.
    pub address_is_default: bool,
    /// What answers there.
    pub engine: EngineFacts,
    /// Whether `dockerd` is installed here.
    pub has_dockerd: bool,
    /// Whether control groups are mounted, which every engine needs.
    pub has_cgroups: bool,
    /// Whether the engine has a configuration file.
    pub has_daemon_json: bool,
    /// The version of the docker command.
    pub docker: Option<String>,
    /// The version of podman, if the command `docker` is podman.
    pub podman: Option<String>,
    /// The version of docker's buildx plugin.
    pub buildx: Option<String>,
    /// The version of docker's compose plugin.
    pub compose: Option<String>,
    /// The version of git.
    pub git: Option<String>,
    /// The platforms of the builder that `build` uses, or why it cannot be used.
    pub builder: Option<Result<Vec<String>, String>>,
    /// What was found of the needed builders, in their order; nothing of the engine's own.
    pub builders: Vec<(Builder, BuilderFacts)>,
    /// Whether programs of other architectures run, by the graph's names for these (`arm64`).
    pub emulation: BTreeMap<String, Emulation>,
    /// Whether the kernel's table of interpreters is mounted.
    pub has_binfmt: bool,
    /// The programs and libraries that host commands need and that are here.
    pub tools: BTreeSet<String>,
    /// The outcome of a question to each host that the graph needs, in the order of the needs.
    pub hosts: Vec<(Host, Reach)>,
    /// Registries for which docker has a login.
    pub logins: Vec<String>,
    /// How many seconds this machine's clock is ahead of a server's, negative when behind.
    pub clock: Option<i64>,
    /// The mirror that apt takes Debian's packages from.
    pub debian_mirror: Option<String>,
}

/// An operating system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Os {
    /// `linux`, `macos`, as Rust names it.
    pub kind: String,
    /// `debian`, `ubuntu`: ID in os-release(5).
    pub id: String,
    /// The systems that it is derived from: `ID_LIKE` in os-release(5).
    pub like: Vec<String>,
    /// `12`, `22.04`; empty for a rolling release.
    pub version: String,
    /// The name for people.
    pub name: String,
}

/// Room for images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The folder of the engine, or the nearest one above it that is there.
    pub folder: Utf8PathBuf,
    /// Free bytes.
    pub free: u64,
}

/// Who runs this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFacts {
    /// Whether the user is root.
    pub is_root: bool,
    /// The name, for the `docker` group.
    pub name: String,
    /// Whether there is a `sudo` to become root with.
    pub has_sudo: bool,
}

/// What starts services.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Init {
    /// systemd runs.
    Systemd,
    /// There is no systemd, as in a container; `service` may run a package's own script.
    #[default]
    Nothing,
}

/// What answers at the engine's address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum EngineFacts {
    /// An engine.
    Answers {
        /// Its version.
        version: String,
        /// Where it keeps images.
        store: StoreFacts,
    },
    /// Podman, of this version.
    Podman(String),
    /// This user may not talk to it.
    Forbidden(String),
    /// Nothing answers. The text is the error of the attempt.
    Silent(String),
    /// The engine was not asked yet.
    #[default]
    Unasked,
}

/// Where an engine keeps images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFacts {
    /// In containerd: several platforms in one image.
    Containerd,
    /// In its own graph driver: one platform.
    Classic,
}

/// What was found of a builder beside the engine's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuilderFacts {
    /// It can be used.
    Usable(Readiness),
    /// It cannot.
    Unusable(Remote, Unusable),
    /// It is to be created, and the image of its BuildKit can be had.
    Creatable,
    /// It is to be created, but its image cannot be had, for this reason.
    NoImage(String),
}

/// What happens to a program of another architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Emulation {
    /// A probe ran and gave the right answer.
    Runs,
    /// The kernel has an interpreter for it, but the probe failed.
    Broken(String),
    /// The kernel has an interpreter for it, but containers cannot see that.
    OutsideContainers,
    /// Nothing runs it.
    Missing,
}

/// A host that the graph needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host {
    /// The name that is shown: `docker.io`, `github.com`.
    pub name: String,
    /// The URL that is asked.
    pub url: String,
    /// What the graph needs it for: "images", "source `dify`".
    pub purpose: String,
    /// Hosts of one group can replace each other: one that answers is enough.
    pub group: String,
}

/// The outcome of a question to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It answers.
    Answers,
    /// It has no address.
    NoName,
    /// The proxy has no address, or does not answer.
    DeadProxy(String),
    /// The proxy refuses, or wants a password.
    ProxyRefuses(String),
    /// The certificate is signed by an authority that this machine does not trust.
    Certificate(String),
    /// It has an address but does not answer there.
    NoAnswer(String),
    /// It was not asked: there is no git.
    Unasked,
}
