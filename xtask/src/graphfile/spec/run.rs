//! What RUN instructions of a stage run with: `network`, `add-hosts`, `shm-size`, `ulimit`.
//!
//! BuildKit runs a step again if one of them changes, so they are part of the key. Of a host only
//! the name counts, not the address (ENGINE.md, *What BuildKit runs again*). Two spellings of one
//! value give one key.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::check::GraphReader;
use super::mistakes::Mistake;
use super::names;
use super::placed::Placed;
use super::raw::{Text, Texts};

/// What RUN instructions run with. Nothing is set by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunSettings {
    /// Their network, unless it is the builder's own.
    pub network: Option<Network>,
    /// Further host names, with their addresses.
    pub hosts: BTreeMap<String, IpAddr>,
    /// The size of /dev/shm in bytes.
    pub shm_size: Option<u64>,
    /// Resource limits by name.
    pub limits: BTreeMap<String, Ulimit>,
}

/// A network that is not the builder's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// None but the loopback.
    None,
    /// The host's.
    Host,
}

impl Network {
    /// Its word for buildx.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Host => "host",
        }
    }
}

/// A resource limit; -1 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ulimit {
    /// What a process may use.
    pub soft: i64,
    /// How far a process may raise `soft`.
    pub hard: i64,
}

impl RunSettings {
    /// The settings as ingredients of a key, by name.
    pub fn ingredients(&self) -> impl Iterator<Item = (String, String)> {
        let network = self.network.iter();
        let network = network.map(|network| ("network".to_owned(), network.word().to_owned()));
        let hosts = self.hosts.keys();
        let hosts = hosts.map(|name| (format!("host {name}"), String::new()));
        let shm = self.shm_size.iter();
        let shm = shm.map(|size| ("shm-size".to_owned(), size.to_string()));
        let limits = self.limits.iter();
        let limits = limits.map(|(name, limit)| {
            let Ulimit { soft, hard } = limit;
            (format!("ulimit {name}"), format!("{soft}:{hard}"))
        });
        network.chain(hosts).chain(shm).chain(limits)
    }

    /// The flags of buildx for them
    /// (docs.docker.com/reference/cli/docker/buildx/build).
    pub fn flags(&self) -> Vec<String> {
        let network = self.network.iter();
        let network = network.map(|network| format!("--network={}", network.word()));
        let hosts = self.hosts.iter();
        let hosts = hosts.map(|(name, address)| format!("--add-host={name}={address}"));
        let shm = self.shm_size.iter();
        let shm = shm.map(|size| format!("--shm-size={size}"));
        let limits = self.limits.iter();
        let limits =
            limits.map(|(name, Ulimit { soft, hard })| format!("--ulimit={name}={soft}:{hard}"));
        network.chain(hosts).chain(shm).chain(limits).collect()
    }
}

impl GraphReader<'_, '_> {
    /// Checks what RUN instructions run with.
    pub(super) fn run_settings(
        &mut self,
        network: Option<Text>,
        hosts: Option<Texts>,
        shm_size: Option<Text>,
        limits: Option<Vec<Text>>,
    ) -> RunSettings {
        let mut run = RunSettings::default();
        if let Some(network) = network {
            run.network = match network.get_ref().as_str() {
                "default" => None,
                "none" => Some(Network::None),
                "host" => Some(Network::Host),
                other => {
                    let title = format!("unknown network `{}`", other.escape_debug());
                    let label = "expected `default`, `none` or `host`";
                    self.mistakes
                        .push(Mistake::at(network.span(), title, label));
                    None
                }
            };
        }
        for (name, address) in hosts.into_iter().flatten() {
            let name = self.text("host name", name, names::host);
            let parsed = self.parsed("address of a host", &address, |text| {
                let bare = text
                    .strip_prefix('[')
                    .and_then(|text| text.strip_suffix(']'));
                bare.unwrap_or(text)
                    .parse()
                    .map_err(|_| "is not an IP address".to_owned())
            });
            run.hosts.extend(name.zip(parsed));
        }
        run.shm_size = shm_size.and_then(|size| self.parsed("size of /dev/shm", &size, bytes));
        for text in limits.into_iter().flatten() {
            run.limits.extend(self.parsed("limit", &text, limit));
        }
        run
    }

    fn parsed<T>(
        &mut self,
        what: &str,
        text: &Placed<String>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(text.get_ref()) {
            Ok(value) => Some(value),
            Err(wrong) => {
                let title = format!("{what} `{}` {wrong}", text.get_ref().escape_debug());
                self.mistakes.push(Mistake::at(text.span(), title, "here"));
                None
            }
        }
    }
}

/// A size as docker reads it: units are powers of 1024, in either case, with or without a `b`
/// (docker/go-units, `RAMInBytes`).
fn bytes(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let bare = lower.strip_suffix('b').unwrap_or(&lower);
    let units = [('k', 10), ('m', 20), ('g', 30)];
    let unit = units
        .iter()
        .find_map(|(unit, shift)| Some((bare.strip_suffix(*unit)?, *shift)));
    let (number, shift) = unit.unwrap_or((bare, 0));
    let size = number.parse::<u64>().ok().filter(|_| is_digits(number));
    let size = size.and_then(|size| size.checked_mul(1 << shift));
    size.filter(|size| *size > 0)
        .ok_or_else(|| "is not a size: write it like `128m` or `1g`".to_owned())
}

/// The limits that docker knows (docker/go-units, `ulimitNameMapping`).
const LIMITS: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

fn limit(text: &str) -> Result<(String, Ulimit), String> {
    let form = || "is not a limit: write it like `nofile=1024` or `nofile=1024:2048`".to_owned();
    let (name, value) = text.split_once('=').ok_or_else(form)?;
    if !LIMITS.contains(&name) {
        return Err(format!("is unknown: it is one of {}", LIMITS.join(", ")));
    }
    let (soft, hard) = value.split_once(':').unwrap_or((value, value));
    let number = |text: &str| match text {
        "-1" => Ok(-1),
        text if is_digits(text) => text.parse().map_err(|_| form()),
        _ => Err(form()),
    };
    let (soft, hard) = (number(soft)?, number(hard)?);
    if hard != -1 && (soft == -1 || soft > hard) {
        return Err("has a first number above the second, which is the most".to_owned());
    }
    Ok((name.to_owned(), Ulimit { soft, hard }))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_as_docker_reads_it() {
        for (text, size) in [
            ("128m", 128 << 20),
            ("128MB", 128 << 20),
            ("1g", 1 << 30),
            ("64kb", 64 << 10),
            ("100", 100),
            ("100b", 100),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in [
            "",
            "m",
            "0",
            "-1",
            "+1",
            "1.5g",
            "1 g",
            "1t",
            "99999999999g",
        ] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_limit_is_one_number_or_two() {
        let both = |text: &str| limit(text).map(|(_, Ulimit { soft, hard })| (soft, hard));
        assert_eq!(both("nofile=10"), Ok((10, 10)));
        assert_eq!(both("nofile=10:20"), Ok((10, 20)));
        assert_eq!(both("core=10:-1"), Ok((10, -1)));
        assert_eq!(both("core=-1"), Ok((-1, -1)));
        for text in [
            "nofile",
            "nofile=",
            "nofile=2:1",
            "nofile=-1:1",
            "files=1",
            "cpu=1:2:3",
        ] {
            assert!(limit(text).is_err(), "{text}");
        }
    }
}
