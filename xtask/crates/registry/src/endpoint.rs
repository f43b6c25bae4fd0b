//! Which servers answer for a reference, and how each may be contacted.
//!
//! Plain HTTP is allowed only for this machine and for the engine's insecure registries
//! (docs.docker.com/reference/cli/dockerd, "insecure-registries"). Docker Hub has two names, and
//! may have mirrors. Nothing here asks a server.

use super::net;
use crate::Settings;
use reference::Reference;

/// The server behind `docker.io`.
pub const HUB: &str = "registry-1.docker.io";

/// How a server may be contacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// TLS with a certificate that this machine trusts.
    Verified,
    /// The server is on this machine: plain HTTP first, as BuildKit does there, then TLS as above.
    Loopback,
    /// The engine's settings declare the server insecure: unverified TLS first, then plain HTTP.
    Insecure,
}

/// One server that may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `host` or `host:port`.
    pub host: String,
    /// How the server may be contacted.
    pub trust: Trust,
}

/// The servers for a registry: mirrors in their order, then the registry itself.
pub fn all(reference: &Reference, settings: &Settings) -> Vec<Endpoint> {
    if reference.registry != "docker.io" {
        return vec![itself(reference, settings)];
    }
    let mirrors = settings.mirrors.iter().filter_map(|mirror| {
        let (scheme, rest) = mirror.split_once("://").unwrap_or(("https", mirror));
        let host = rest.split('/').next().filter(|host| !host.is_empty())?;
        let endpoint = at(host, settings);
        // A mirror with an `http://` address is thereby declared insecure.
        let trust = match (scheme, endpoint.trust) {
            ("http", Trust::Verified) => Trust::Insecure,
            (_, trust) => trust,
        };
        Some(Endpoint { trust, ..endpoint })
    });
    mirrors.chain([at(HUB, settings)]).collect()
}

/// The registry itself, without its mirrors.
pub fn itself(reference: &Reference, settings: &Settings) -> Endpoint {
    match reference.registry.as_str() {
        "docker.io" => at(HUB, settings),
        registry => at(registry, settings),
    }
}

/// One server, and how it may be contacted.
pub fn at(host: &str, settings: &Settings) -> Endpoint {
    let (name, _) = net::split_port(host);
    let declared = settings
        .insecure
        .iter()
        .any(|insecure| insecure == host || insecure == name || net::is_in_network(name, insecure));
    // The engine counts this machine as insecure by default. Here its certificate is still
    // verified.
    let trust = match (net::is_loopback(host), declared) {
        (true, _) => Trust::Loopback,
        (false, true) => Trust::Insecure,
        (false, false) => Trust::Verified,
    };
    Endpoint {
        host: host.to_owned(),
        trust,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reference::normalise;

    fn hosts(reference: &str, settings: &Settings) -> Vec<(String, Trust)> {
        let reference = normalise(reference).unwrap();
        let all = all(&reference, settings);
        all.into_iter().map(|e| (e.host, e.trust)).collect()
    }

    fn settings(mirrors: &[&str], insecure: &[&str]) -> Settings {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        Settings {
            mirrors: owned(mirrors),
            insecure: owned(insecure),
        }
    }

    #[test]
    fn docker_hub_has_another_host_and_mirrors_come_before_it() {
        let none = Settings::default();
        assert_eq!(
            hosts("python:3.12", &none),
            [(HUB.to_owned(), Trust::Verified)]
        );
        let mirrored = settings(
            &[
                "https://m.example/",
                "http://10.1.2.3:5000",
                "http://localhost:5000",
            ],
            &[],
        );
        assert_eq!(
            hosts("python:3.12", &mirrored),
            [
                ("m.example".to_owned(), Trust::Verified),
                ("10.1.2.3:5000".to_owned(), Trust::Insecure),
                ("localhost:5000".to_owned(), Trust::Loopback),
                (HUB.to_owned(), Trust::Verified),
            ]
        );
        // Only Docker Hub has mirrors.
        assert_eq!(
            hosts("ghcr.io/a/b", &mirrored),
            [("ghcr.io".to_owned(), Trust::Verified)]
        );
    }

    #[test]
    fn only_this_machine_and_declared_hosts_may_go_without_a_certificate() {
        let declared = settings(&[], &["reg.example:5000", "10.0.0.0/8", "127.0.0.0/8"]);
        for (host, trust) in [
            ("reg.example:5000", Trust::Insecure),
            ("reg.example:5001", Trust::Verified),
            ("10.9.9.9:5000", Trust::Insecure),
            ("127.0.0.1:5000", Trust::Loopback),
            ("localhost", Trust::Loopback),
            ("11.0.0.1", Trust::Verified),
        ] {
            assert_eq!(at(host, &declared).trust, trust, "{host}");
        }
    }
}
