//! Image references in Docker's normal form, and platforms in containerd's.
//!
//! `python:3.12` and `docker.io/library/python:3.12` are one image. Nothing here asks a registry.
//!
//! ```
//! let image = reference::normalise("python:3.12").unwrap();
//! assert_eq!(image.canonical(), "docker.io/library/python:3.12");
//! assert_eq!(image.familiar(), "python:3.12");
//! assert!(reference::normalise("Python:3.12").is_none());
//! ```

pub mod platform;

/// An image reference taken apart, with Docker's defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// `docker.io`, `ghcr.io`, `localhost:5000`.
    pub registry: String,
    /// The path in the registry: `library/python` for Docker's own images.
    pub repository: String,
    /// The tag, `latest` if the text has neither tag nor digest.
    pub tag: Option<String>,
    /// `sha256:…`.
    pub digest: Option<String>,
}

impl Reference {
    /// The short spelling: `python:3.12`, `ghcr.io/owner/name:tag`.
    pub fn familiar(&self) -> String {
        let short = self
            .repository
            .strip_prefix("library/")
            .filter(|rest| !rest.contains('/'));
        let name = match (self.registry.as_str(), short) {
            (DOCKER_HUB, Some(rest)) => rest.to_owned(),
            (DOCKER_HUB, None) => self.repository.clone(),
            (registry, _) => format!("{registry}/{}", self.repository),
        };
        self.with_suffix(name)
    }

    /// The full spelling: `docker.io/library/python:3.12`.
    pub fn canonical(&self) -> String {
        self.with_suffix(format!("{}/{}", self.registry, self.repository))
    }

    /// The name under which buildx passes a named context that replaces this image.
    pub fn context_name(&self) -> String {
        let familiar = self.familiar();
        match familiar.strip_suffix(":latest") {
            Some(short) => short.to_owned(),
            None => familiar,
        }
    }

    fn with_suffix(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(digest);
        }
        name
    }
}

const DOCKER_HUB: &str = "docker.io";

/// Reads a reference as Docker does. `None` if Docker would refuse it.
pub fn normalise(reference: &str) -> Option<Reference> {
    let is_bare_digest = reference.len() == 64 && reference.bytes().all(is_lower_hex);
    if is_bare_digest {
        return None;
    }
    let (registry, remainder) = split_registry(reference);
    let (named, digest) = match remainder.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (remainder, None),
    };
    let (path, tag) = match named.rsplit_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (named, None),
    };
    let repository = if registry == DOCKER_HUB && !path.contains('/') {
        format!("library/{path}")
    } else {
        path.to_owned()
    };
    let well_formed = is_registry(registry)
        && repository.split('/').all(is_path_component)
        && registry.len() + 1 + repository.len() <= 255
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest);
    well_formed.then(|| Reference {
        registry: registry.to_owned(),
        repository,
        tag: tag
            .or(digest.is_none().then_some("latest"))
            .map(str::to_owned),
        digest: digest.map(str::to_owned),
    })
}

fn split_registry(reference: &str) -> (&str, &str) {
    match reference.split_once('/') {
        Some((first, rest)) if looks_like_a_host(first) => {
            let registry = if first == "index.docker.io" {
                DOCKER_HUB
            } else {
                first
            };
            (registry, rest)
        }
        _ => (DOCKER_HUB, reference),
    }
}

fn looks_like_a_host(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.to_lowercase() != first
}

fn is_registry(registry: &str) -> bool {
    if let Some(rest) = registry.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        let is_address = address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
        return is_address && !address.is_empty() && (port.is_empty() || is_port(port));
    }
    let (host, port) = match registry.find(':') {
        Some(at) => registry.split_at(at),
        None => (registry, ""),
    };
    (port.is_empty() || is_port(port)) && host.split('.').all(is_host_label)
}

fn is_port(port: &str) -> bool {
    port.strip_prefix(':')
        .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Whether `component` is made of runs of lowercase letters and digits, joined by one `.`, one or
/// two `_`, or any number of `-`.
fn is_path_component(component: &str) -> bool {
    let is_alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends = (bytes.first(), bytes.last());
    let (Some(first), Some(last)) = ends else {
        return false;
    };
    is_alphanumeric(*first)
        && is_alphanumeric(*last)
        && bytes.split(|b| is_alphanumeric(*b)).all(|joint| {
            matches!(joint, b"" | b"." | b"_" | b"__") || joint.iter().all(|b| *b == b'-')
        })
}

fn is_tag(tag: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|b| is_word(b) || b == b'.' || b == b'-')
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else {
        return false;
    };
    let known_length = match algorithm {
        "sha256" => hex.len() == 64,
        "sha384" => hex.len() == 96,
        "sha512" => hex.len() == 128,
        _ => return false,
    };
    known_length && hex.bytes().all(is_lower_hex)
}

/// Whether `digest` is `sha256:` and 64 hexadecimal digits, as in registries and in the lock.
pub fn is_sha256(digest: &str) -> bool {
    digest.starts_with("sha256:") && is_digest(digest)
}

fn is_lower_hex(b: u8) -> bool {
    b.is_ascii_digit() || (b'a'..=b'f').contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(reference: &str) -> Option<String> {
        normalise(reference).map(|r| r.canonical())
    }

    fn familiar(reference: &str) -> Option<String> {
        normalise(reference).map(|r| r.familiar())
    }

    #[test]
    fn short_and_long_spellings_are_one_image() {
        for spelling in [
            "python",
            "python:latest",
            "library/python",
            "docker.io/python",
            "docker.io/library/python:latest",
            "index.docker.io/library/python",
        ] {
            assert_eq!(
                canonical(spelling).as_deref(),
                Some("docker.io/library/python:latest")
            );
            assert_eq!(familiar(spelling).as_deref(), Some("python:latest"));
        }
    }

    #[test]
    fn a_first_part_with_dot_colon_or_capital_is_a_registry() {
        assert_eq!(canonical("ghcr.io/a/b:1").as_deref(), Some("ghcr.io/a/b:1"));
        assert_eq!(
            canonical("localhost:5000/b").as_deref(),
            Some("localhost:5000/b:latest")
        );
        assert_eq!(
            canonical("localhost/b").as_deref(),
            Some("localhost/b:latest")
        );
        assert_eq!(canonical("Host/b").as_deref(), Some("Host/b:latest"));
        assert_eq!(canonical("a/b").as_deref(), Some("docker.io/a/b:latest"));
    }

    #[test]
    fn a_digest_takes_the_place_of_the_default_tag() {
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(
            canonical(&format!("alpine@{digest}")),
            Some(format!("docker.io/library/alpine@{digest}"))
        );
        assert_eq!(
            familiar(&format!("alpine:3@{digest}")),
            Some(format!("alpine:3@{digest}"))
        );
    }

    #[test]
    fn what_docker_refuses_is_refused() {
        for wrong in [
            "",
            "Python",
            "a//b",
            "a:",
            "a b",
            "a@sha256:12",
            "a:b/c",
            ":1",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "a/b:-x",
            "$X",
            "a/",
            "/a",
        ] {
            assert_eq!(normalise(wrong), None, "{wrong}");
        }
        assert_eq!(normalise(&"a".repeat(64)), None);
    }

    #[test]
    fn joints_of_a_path_may_be_dashes_and_one_or_two_underscores() {
        assert!(normalise("a--b/c__d/e_f/g.h").is_some());
    }

    #[test]
    fn a_context_for_the_latest_tag_is_named_without_it() {
        assert_eq!(
            normalise("docker.io/library/x:latest")
                .unwrap()
                .context_name(),
            "x"
        );
        assert_eq!(normalise("x:1").unwrap().context_name(), "x:1");
    }
}
