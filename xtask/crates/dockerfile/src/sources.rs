//! What one COPY or ADD source, or one bind mount, reads.
//!
//! Paths, URLs, `--parents` and `--exclude` are read as BuildKit does. Variables must be expanded
//! before.

use super::need::Need;

/// Where a remote ADD source comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RemoteKind {
    /// A file behind a URL.
    Http,
    /// A git repository.
    Git,
}

/// One source as BuildKit takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) remote: Option<RemoteKind>,
    pub(super) path: Option<(Vec<u8>, bool)>,
}

/// Tells whether a source of an ADD is a path or remote. If BuildKit's versions differ on whether a
/// text is a path or a repository, the source is both.
pub(super) fn of_add(source: &str) -> Source {
    let only = |kind| Source {
        remote: Some(kind),
        path: None,
    };
    let both = || Source {
        remote: Some(RemoteKind::Git),
        path: Some(path(source)),
    };
    let local = || Source {
        remote: None,
        path: Some(path(source)),
    };
    if source.starts_with("./") || source.starts_with("../") || source.starts_with("github.com/") {
        return local();
    }
    if let Some((scheme, rest)) = source.split_once("://") {
        let without_fragment = rest.split(['#', '?']).next().unwrap_or_default();
        let is_repository = without_fragment
            .split_once('/')
            .is_some_and(|(_, path)| is_git(path) || path.to_lowercase().ends_with("%2egit"));
        return match scheme.to_lowercase().as_str() {
            "git" | "ssh" => only(RemoteKind::Git),
            "http" | "https" if is_repository => only(RemoteKind::Git),
            "http" | "https" if scheme == "http" || scheme == "https" => only(RemoteKind::Http),
            _ => both(),
        };
    }
    let is_scp_like = source
        .split_once(':')
        .is_some_and(|(host, _)| !host.contains('/'));
    let may_be_a_repository = source.split(['#', '?']).next().is_some_and(is_git);
    if is_scp_like || (may_be_a_repository && source.contains('/')) {
        both()
    } else {
        local()
    }
}

/// Whether a remote source never changes. BuildKit does not look up a whole commit
/// (gitutil.IsCommitSHA). That also holds for a source that only some versions take for a
/// repository (`host/x.git`: 0.12 clones it, tried).
pub(super) fn is_fixed(source: &str) -> bool {
    let fragment = source.split_once('#').map_or("", |(_, fragment)| fragment);
    let commit = fragment.split(':').next().unwrap_or_default();
    let is_commit = commit.len() == 40
        && commit
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_commit && matches!(of_add(source).remote, Some(RemoteKind::Git))
}

/// Whether the path ends in `.git`. The case of the letters counts.
fn is_git(path: &str) -> bool {
    path.strip_suffix(".git").is_some()
}

/// Whether a source that could not be expanded is surely remote.
pub(super) fn is_surely_remote(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://") || source.starts_with("git://")
}

/// Whether a source that could not be expanded may be remote. An address has its scheme or its host
/// in front of the first slash. A repository may be recognised by the end of its address alone.
pub(super) fn may_be_remote(source: &str) -> bool {
    let known = source.split('$').next().unwrap_or_default();
    let last = source.rsplit('/').next().unwrap_or_default();
    !known.contains('/') || last.contains('$') || last.contains(".git")
}

/// The cleaned path of a COPY source, and whether it is a pattern.
pub(super) fn path(source: &str) -> (Vec<u8>, bool) {
    let clean = clean(source);
    if !contains_wildcards(&clean) {
        return (clean.into_bytes(), false);
    }
    // BuildKit reads the folders in front of the first wildcard literally.
    let mut out = String::new();
    let mut literal = true;
    for part in clean.split('/') {
        literal = literal && !contains_wildcards(part);
        if !out.is_empty() {
            out.push('/');
        }
        if literal {
            out.push_str(&part.replace('\\', "\\\\"));
        } else {
            out.push_str(part);
        }
    }
    (out.into_bytes(), true)
}

/// The path of a `COPY --parents` source, whether it is a pattern, and whether it was cut. The
/// source has a part before `/./` and a part behind it. Patterns in the latter are Moby's, so the
/// path is cut before the first component that `filepath.Match` would read differently.
pub(super) fn path_with_parents(source: &str) -> (Vec<u8>, bool, bool) {
    let (pivot, pattern) = match source.split_once("/./") {
        Some((pivot, pattern)) => (pivot, pattern),
        None => ("", source),
    };
    let mut parts: Vec<String> = Vec::new();
    let (pivot, pivot_is_pattern) = path(pivot);
    let pivot = String::from_utf8_lossy(&pivot).into_owned();
    parts.extend(
        pivot
            .split('/')
            .filter(|p| !p.is_empty())
            .map(str::to_owned),
    );
    let mut wildcard = pivot_is_pattern;
    let mut is_cut = false;
    let cleaned = clean(pattern);
    for part in cleaned.split('/').filter(|p| !p.is_empty()) {
        if part.contains("**")
            || part.contains(['[', ']', '\\', '!', '^', '$'])
            || part.trim() != part
        {
            is_cut = true;
            break;
        }
        if !wildcard && contains_wildcards(part) {
            wildcard = true;
            for part in &mut parts {
                *part = part.replace('\\', "\\\\");
            }
        }
        parts.push(part.to_owned());
    }
    (parts.join("/").into_bytes(), wildcard, is_cut)
}

/// The `--exclude` patterns that every BuildKit reads alike. The others are dropped, as they could
/// only narrow the answer.
pub(super) fn excludes(patterns: &[String]) -> Vec<Vec<u8>> {
    // An exception (`!x`) takes in again what an earlier pattern excluded. If an exception cannot
    // be kept, no pattern is kept.
    let odd = |p: &String| p.contains(['$', '\\', '"', '\'', '`']);
    if patterns.iter().any(|p| odd(p) && p.contains('!')) {
        return Vec::new();
    }
    patterns
        .iter()
        .filter(|p| !odd(p))
        .map(|p| p.clone().into_bytes())
        .collect()
}

/// The need of a bind mount, whose source is literal.
pub(super) fn of_mount(source: &str, line: usize) -> Need {
    Need {
        path: clean(source).into_bytes(),
        wildcard: false,
        exclude: Vec::new(),
        line,
    }
}

/// Go's `path.Clean` below `/`, without the leading slash.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn contains_wildcards(name: &str) -> bool {
    let mut bytes = name.bytes();
    while let Some(b) = bytes.next() {
        match b {
            b'*' | b'?' | b'[' => return true,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
    false
}
