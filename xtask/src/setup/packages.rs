//! The package managers of the known systems, and their names for packages.
//!
//! The docker.io of Debian 12 is too old, so such a machine gets an engine with buildx from Debian
//! 13. Debian 13 ranks behind Debian 12's own packages, so that nothing else is ever upgraded.

use super::facts::Os;

/// The file that gives Debian 13 to apt.
pub const TRIXIE_SOURCE: &str = "/etc/apt/sources.list.d/xtask-trixie.sources";
/// The file that gives its rank to apt.
pub const TRIXIE_RANK: &str = "/etc/apt/preferences.d/xtask-trixie";
/// Its rank: below everything else.
pub const RANK: &str = "Package: *\nPin: release n=trixie\nPin-Priority: 100\n";

/// The entry for Debian 13 in apt's format, from a mirror.
pub fn trixie(mirror: &str) -> String {
    format!(
        "Types: deb\nURIs: {mirror}\nSuites: trixie\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )
}

/// A system whose packages are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// Debian 12, with Debian 13 beside it.
    Bookworm,
    /// Debian 13 and later.
    Debian,
    /// Ubuntu and systems derived from it.
    Ubuntu,
    /// Fedora.
    Fedora,
    /// Arch Linux.
    Arch,
}

/// What may have to be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SuitePart {
    /// dockerd and the programs that it runs.
    Engine,
    /// The docker command.
    Docker,
    /// Its buildx plugin.
    Buildx,
    /// Its compose plugin.
    Compose,
    /// git.
    Git,
    /// QEMU for programs, with its registration.
    Emulation,
}

impl System {
    /// The system of these facts, if its packages are known.
    pub fn of(os: &Os) -> Option<Self> {
        if os.kind != "linux" {
            return None;
        }
        match os.id.as_str() {
            "debian" => match os.version.parse::<u32>() {
                Ok(12) => Some(Self::Bookworm),
                Ok(..12) => None,
                // testing and unstable have no version.
                Ok(_) | Err(_) => Some(Self::Debian),
            },
            "ubuntu" => Some(Self::Ubuntu),
            "fedora" => Some(Self::Fedora),
            "arch" => Some(Self::Arch),
            _ if os.like.iter().any(|like| like == "ubuntu") => Some(Self::Ubuntu),
            _ if os.like.iter().any(|like| like == "arch") => Some(Self::Arch),
            _ => None,
        }
    }

    /// The packages of a part.
    pub fn packages(self, part: SuitePart) -> &'static [&'static str] {
        match (self, part) {
            (Self::Bookworm, SuitePart::Engine) => {
                &["docker.io/trixie", "iptables", "ca-certificates"]
            }
            (Self::Debian | Self::Ubuntu, SuitePart::Engine) => {
                &["docker.io", "iptables", "ca-certificates"]
            }
            (Self::Fedora, SuitePart::Engine) => &["moby-engine"],
            (Self::Arch, SuitePart::Engine | SuitePart::Docker) => &["docker"],
            (Self::Bookworm, SuitePart::Docker) => &["docker-cli/trixie"],
            (Self::Debian | Self::Fedora, SuitePart::Docker) => &["docker-cli"],
            (Self::Ubuntu, SuitePart::Docker) => &["docker.io"],
            (Self::Bookworm, SuitePart::Buildx) => &["docker-buildx/trixie"],
            (_, SuitePart::Buildx) => &["docker-buildx"],
            (Self::Bookworm, SuitePart::Compose) => &["docker-compose/trixie"],
            (Self::Ubuntu, SuitePart::Compose) => &["docker-compose-v2"],
            (_, SuitePart::Compose) => &["docker-compose"],
            (Self::Fedora | Self::Arch, SuitePart::Git) => &["git"],
            // Without these certificates, git trusts no server.
            (_, SuitePart::Git) => &["git", "ca-certificates"],
            (Self::Bookworm | Self::Debian | Self::Ubuntu, SuitePart::Emulation) => {
                &["qemu-user-static", "binfmt-support"]
            }
            (Self::Fedora, SuitePart::Emulation) => &["qemu-user-static"],
            (Self::Arch, SuitePart::Emulation) => &["qemu-user-static", "qemu-user-static-binfmt"],
        }
    }

    /// The packages that bring a program or a library, by the name that host commands use for it.
    pub fn brings(self, tool: &str) -> Option<&'static [&'static str]> {
        // The packages of Debian, Fedora and Arch.
        let [debian, fedora, arch]: [&[&str]; 3] = match tool {
            // Debian 12's own Go is older than what a module of today asks for.
            "go" if self == Self::Bookworm => {
                return Some(&[
                    "golang-go/trixie",
                    "golang-src/trixie",
                    "golang-1.24-go",
                    "golang-1.24-src",
                ]);
            }
            "go" => [&["golang-go"], &["golang"], &["go"]],
            "libseccomp" => [&["libseccomp-dev"], &["libseccomp-devel"], &["libseccomp"]],
            "cc" | "gcc" => [&["gcc", "libc6-dev"], &["gcc"], &["gcc"]],
            "c++" | "g++" => [&["g++"], &["gcc-c++"], &["gcc"]],
            "pkg-config" => [&["pkg-config"], &["pkgconf-pkg-config"], &["pkgconf"]],
            "make" => [&["make"]; 3],
            "cmake" => [&["cmake"]; 3],
            "cargo" => [&["cargo"], &["cargo"], &["rust"]],
            "node" => [&["nodejs"]; 3],
            "npm" => [&["npm"], &["nodejs-npm"], &["npm"]],
            "python3" => [&["python3"], &["python3"], &["python"]],
            "curl" => [&["curl"]; 3],
            "jq" => [&["jq"]; 3],
            "patch" => [&["patch"]; 3],
            "unzip" => [&["unzip"]; 3],
            _ => return None,
        };
        Some(match self {
            Self::Bookworm | Self::Debian | Self::Ubuntu => debian,
            Self::Fedora => fedora,
            Self::Arch => arch,
        })
    }

    /// Whether this system uses apt.
    pub const fn has_apt(self) -> bool {
        matches!(self, Self::Bookworm | Self::Debian | Self::Ubuntu)
    }

    /// The command that installs packages; their names follow it.
    pub fn install(self) -> Vec<&'static str> {
        match self {
            Self::Bookworm | Self::Debian | Self::Ubuntu => vec![
                "env",
                "DEBIAN_FRONTEND=noninteractive",
                "apt-get",
                "install",
                "--yes",
                "--no-install-recommends",
            ],
            Self::Fedora => vec!["dnf", "install", "--assumeyes"],
            // The list of packages is not refreshed: Arch does not support partial upgrades.
            Self::Arch => vec!["pacman", "-S", "--needed", "--noconfirm"],
        }
    }
}
