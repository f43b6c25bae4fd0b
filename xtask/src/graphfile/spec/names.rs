//! The grammars of names. Names from the file end up in argv, paths and references, so names that
//! could be read as an option, leave their folder or hide in a terminal are refused.

use super::mistakes;
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

/// Refuses text that a command would read as an option, or that a terminal would act on.
pub fn plain(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("must not be empty".into());
    }
    if text.starts_with('-') {
        return Err("must not begin with `-`: a command would read it as an option".into());
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(format!(
            "must not hold the control character {}",
            c.escape_unicode()
        )),
        None => Ok(()),
    }
}

/// The name of a stage, source or profile. It becomes a file name and a tag's repository.
pub fn identifier(text: &str) -> Result<(), String> {
    plain(text)?;
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let doubled = text.contains("..") || text.contains("._") || text.contains("_.");
    if text.len() > 100 {
        return Err("must not be longer than 100 characters".into());
    }
    if text.chars().all(inner) && text.starts_with(outer) && text.ends_with(outer) && !doubled {
        return Ok(());
    }
    Err("may hold only a-z, 0-9 and single `-`, `_`, `.` between them".into())
}

/// The name of a docker context or of a builder of buildx (docker/cli `context/store`,
/// docker/buildx `store/util.go`).
pub fn docker_name(text: &str) -> Result<(), String> {
    plain(text)?;
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(inner) {
        return Ok(());
    }
    Err("may hold only a-z, A-Z, 0-9 and `-`, `_`, `.`, `+` after the first character".into())
}

/// The name of a builder of buildx that a user made.
pub fn buildx_builder(text: &str) -> Result<(), String> {
    docker_name(text)?;
    if text == "default" {
        return Err(
            "is the engine's own builder: write `context` with the name of its docker context"
                .into(),
        );
    }
    Ok(())
}

/// An image's reference, as an option of buildx holds it: a comma or `=` would end it.
pub fn image_option(text: &str) -> Result<(), String> {
    plain(text)?;
    match reference::normalise(text) {
        Some(_) if !text.contains([',', '=', '"', ' ']) => Ok(()),
        _ => Err("must be the reference of an image".into()),
    }
}

/// The name of a service of a compose file (compose-spec, `services`).
pub fn service(text: &str) -> Result<(), String> {
    plain(text)?;
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.chars().all(good) {
        return Ok(());
    }
    Err("may hold only letters, digits, `-`, `_` and `.`".into())
}

/// An image's name without tag and digest: `[host[:port]/]path`
/// (docs: distribution reference grammar).
pub fn image(text: &str) -> Result<(), String> {
    plain(text)?;
    let (host, path) = match text.split_once('/') {
        Some((host, path)) if host == "localhost" || host.contains(['.', ':']) => {
            (Some(host), path)
        }
        _ => (None, text),
    };
    if path.contains('@') {
        return Err("must not hold a digest: only a build gives an image its digest".into());
    }
    if path.contains(':') {
        return Err("must not hold a tag: write it into `tags`".into());
    }
    let host_char = |c: char| c.is_ascii_alphanumeric() || "-.:".contains(c);
    if host.is_some_and(|host| !host.chars().all(host_char)) {
        return Err("names a registry host that is not valid".into());
    }
    let good = |part: &str| {
        let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(edge)
            && part.ends_with(edge)
            && part.chars().all(|c| edge(c) || "-_.".contains(c))
    };
    if path.split('/').all(good) && text.len() <= 255 {
        return Ok(());
    }
    Err("is not a valid image name: use lowercase a-z, 0-9, and `-`, `_`, `.` between them, in parts between `/`".into())
}

/// A tag: a word character, then at most 127 of word characters, `.` and `-`.
pub fn tag(text: &str) -> Result<(), String> {
    plain(text)?;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.len() <= 128
        && text.starts_with(word)
        && text.chars().all(|c| word(c) || ".-".contains(c))
    {
        return Ok(());
    }
    Err("is not a tag: it may hold only letters, digits, `_`, `.` and `-`, at most 128".into())
}

/// The environment variable that points a source at a local checkout.
pub fn source_variable(source: &str) -> String {
    let name = source.to_uppercase().replace(['-', '.'], "_");
    format!("XTASK_SOURCE_{name}")
}

/// The name of a build argument or environment variable.
pub fn variable(text: &str) -> Result<(), String> {
    plain(text)?;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.chars().all(word) && !text.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(());
    }
    Err("may hold only letters, digits and `_`, and not begin with a digit".into())
}

/// The name of a host (RFC 1123, with `_`, which many networks have).
pub fn host(text: &str) -> Result<(), String> {
    plain(text)?;
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.len() <= 253 && text.chars().all(good) {
        return Ok(());
    }
    Err("is not a host name: it may hold only letters, digits, `-`, `_` and `.`".into())
}

/// The name of a program on the path, or of a library as pkg-config has it.
pub fn tool(text: &str) -> Result<(), String> {
    plain(text)?;
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    if text.chars().all(good) && text != "." && text != ".." {
        return Ok(());
    }
    Err("may hold only letters, digits, `-`, `_`, `.` and `+`".into())
}

/// The id of a secret or an ssh agent. In buildx's syntax a comma or `=` would end it.
pub fn secret_id(text: &str) -> Result<(), String> {
    plain(text)?;
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.chars().all(good) {
        return Ok(());
    }
    Err("may hold only letters, digits, `-`, `_` and `.`".into())
}

/// `os/arch` or `os/arch/variant`.
pub fn platform(text: &str) -> Result<(), String> {
    plain(text)?;
    let good = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    let parts: Vec<&str> = text.split('/').collect();
    if !(2..=3).contains(&parts.len()) || !parts.iter().all(|part| good(part)) {
        return Err("is not a platform: write it like `linux/amd64` or `linux/arm/v7`".into());
    }
    let known = [
        ("operating system", parts[0], &SYSTEMS[..], &[][..]),
        ("architecture", parts[1], &ARCHITECTURES, &OTHER_NAMES),
    ];
    for (what, part, names, others) in known {
        if !names.contains(&part) && !others.contains(&part) {
            let hint = match mistakes::nearest(part, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it is one of {}", names.join(", ")),
            };
            return Err(format!("names the unknown {what} `{part}`: {hint}"));
        }
    }
    Ok(())
}

/// Systems and architectures that images are made for (containerd/platforms, `database.go`).
const SYSTEMS: [&str; 6] = ["darwin", "freebsd", "linux", "solaris", "wasi", "windows"];
const ARCHITECTURES: [&str; 20] = [
    "386", "amd64", "arm", "arm64", "arm64be", "armbe", "loong64", "mips", "mips64", "mips64le",
    "mipsle", "ppc", "ppc64", "ppc64le", "riscv", "riscv64", "s390", "s390x", "sparc64", "wasm",
];
/// Other names for some of them, which docker understands.
const OTHER_NAMES: [&str; 4] = ["aarch64", "armel", "armhf", "i386"];

/// A path below some root, cleaned: `./a//b/../c` is `a/c`, the root itself is empty.
pub fn inner_path(text: &str) -> Result<Utf8PathBuf, String> {
    if text.is_empty() {
        return Ok(Utf8PathBuf::new());
    }
    plain(text)?;
    let mut clean = Utf8PathBuf::new();
    for component in Utf8Path::new(text).components() {
        match component {
            Utf8Component::Normal(name) => clean.push(name),
            Utf8Component::CurDir => {}
            Utf8Component::ParentDir if clean.pop() => {}
            Utf8Component::ParentDir => return Err("leaves its root by `..`".into()),
            Utf8Component::RootDir | Utf8Component::Prefix(_) => {
                return Err("must be relative".into());
            }
        }
    }
    Ok(clean)
}

/// Schemes of git that run no command of the URL's choosing on this machine.
const GIT_SCHEMES: [&str; 5] = ["https", "http", "ssh", "git", "file"];

/// A git URL: no option, no transport that runs a command, and no secret, as it is shown, locked
/// and passed to git as an argument.
pub fn git_url(text: &str) -> Result<(), String> {
    plain(text)?;
    // Git recognises a remote helper in this way (git's transport.c).
    let scheme_char = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    if text.trim_start_matches(scheme_char).starts_with("::") {
        return Err("names a git remote helper, which may run any command".into());
    }
    if text.starts_with('/') {
        return Ok(());
    }
    let forms = "write `https://…`, `ssh://…`, `user@host:path`, `git://…`, `file://…` or an absolute path; a checkout on this machine is a `path`";
    if let Some((scheme, rest)) = text.split_once("://") {
        if !GIT_SCHEMES.contains(&scheme) {
            return Err(format!("has a scheme that is not supported: {forms}"));
        }
        if scheme == "file" {
            return Ok(());
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let is_http = scheme.starts_with("http");
        return git_authority(authority, is_http);
    }
    match text.split_once(':') {
        Some((host, path)) if !host.contains('/') => {
            if path.is_empty() || path.starts_with('-') {
                return Err("has no path after its host".into());
            }
            git_authority(host, false)
        }
        _ => Err(format!("is not a git URL: {forms}")),
    }
}

/// `[user@]host[:port]`.
fn git_authority(text: &str, is_http: bool) -> Result<(), String> {
    let (user, host) = match text.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, text),
    };
    if user.is_some_and(|user| is_http || user.contains(':')) {
        return Err(
            "must not hold a user's name or password: git asks its credential helper for them"
                .into(),
        );
    }
    if host.is_empty() {
        return Err("names no host".into());
    }
    if host.starts_with('-') || user.is_some_and(|user| user.is_empty() || user.starts_with('-')) {
        return Err("names a host that ssh would read as an option".into());
    }
    Ok(())
}

/// A tag, branch or commit, by the rules of git-check-ref-format(1): nothing that git would read as
/// a pattern, a range or a path from one commit to another.
pub fn revision(text: &str) -> Result<(), String> {
    plain(text)?;
    if text.len() > 250 {
        return Err("must not be longer than 250 characters".into());
    }
    let part_is_bad = |part: &str| {
        let ends_in_lock = Utf8Path::new(part).extension() == Some("lock");
        part.is_empty() || part.starts_with('.') || ends_in_lock
    };
    let pairs = ["..", "@{"];
    if text == "@"
        || text.ends_with('.')
        || text.contains([' ', '~', '^', ':', '?', '*', '[', '\\'])
        || pairs.iter().any(|pair| text.contains(pair))
        || text.split('/').any(part_is_bad)
    {
        return Err("is not the name of a tag, a branch or a commit".into());
    }
    let lower = text.to_ascii_lowercase();
    if text != lower && is_commit(&lower) {
        return Err("is a commit with capital letters: write it in lowercase".into());
    }
    Ok(())
}

/// Whether `text` is a whole commit id, of SHA-1 or SHA-256.
pub fn is_commit(text: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    matches!(text.len(), 40 | 64) && text.bytes().all(is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_begins_with_a_dash_is_refused_everywhere() {
        for check in [
            plain, identifier, image, tag, variable, secret_id, platform, git_url, revision, host,
        ] {
            assert!(check("-x").is_err());
            assert!(check("a\u{1b}[0m").is_err());
            assert!(check("").is_err());
        }
        assert!(inner_path("-x").is_err());
    }

    #[test]
    fn paths_are_cleaned_and_never_leave_their_root() {
        assert_eq!(inner_path("./a//b/../c").unwrap(), "a/c");
        assert_eq!(inner_path(".").unwrap(), "");
        assert!(inner_path("a/../..").is_err());
        assert!(inner_path("/etc").is_err());
    }

    #[test]
    fn a_platform_is_one_that_images_are_made_for() {
        for good in [
            "linux/amd64",
            "linux/arm/v7",
            "linux/aarch64",
            "windows/amd64",
            "linux/386",
        ] {
            assert_eq!(platform(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("amd64", "is not a platform"),
            ("linux/amd64/v2/x", "is not a platform"),
            (
                "linux/amd65",
                "unknown architecture `amd65`: did you mean `amd64`?",
            ),
            (
                "linx/amd64",
                "unknown operating system `linx`: did you mean `linux`?",
            ),
            ("linux/pdp11", "it is one of 386, amd64"),
        ] {
            let said = platform(bad).unwrap_err();
            assert!(said.contains(why), "{bad}: {said}");
        }
    }

    #[test]
    fn images_take_hosts_and_ports_but_no_tag() {
        for good in [
            "langgenius/dify-api",
            "localhost:5000/a/b",
            "ghcr.io/x/y",
            "t",
        ] {
            assert_eq!(image(good), Ok(()), "{good}");
        }
        for bad in ["A", "a:1", "a@sha256:00", "a//b", "a/", "a b"] {
            assert!(image(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_git_url_is_one_that_runs_nothing_and_holds_no_secret() {
        for good in [
            "https://github.com/langgenius/dify.git",
            "http://git.example:8080/dify",
            "https://[::1]/dify",
            "ssh://git@example.com:22/dify",
            "git@github.com:langgenius/dify.git",
            "git@[::1]:dify",
            "git://example.com/dify",
            "file:///srv/my repositories/dify.git",
            "/srv/dify.git",
        ] {
            assert_eq!(git_url(good), Ok(()), "{good}");
        }
        for bad in [
            "ext::sh -c touch% /tmp/x",
            "fd::17",
            "https::x",
            "ftp://example.com/dify",
            "ssh+git://example.com/dify",
            "HTTPS://example.com/dify",
            "://x",
            "https://",
            "https:///dify",
            "https://token@example.com/dify",
            "https://user:secret@example.com/dify",
            "ssh://git:secret@example.com/dify",
            "ssh://-oProxyCommand=x/dify",
            "ssh://git@-oProxyCommand=x/dify",
            "ssh://-x@example.com/dify",
            "git@-oProxyCommand=x:dify",
            "-oProxyCommand=x:dify",
            "--upload-pack=x",
            "host:-dify",
            "host:",
            ":dify",
            "../dify",
            "dify",
            "./a:b",
            "https://a\nb",
        ] {
            assert!(git_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_revision_is_a_name_and_never_a_way_to_one() {
        for good in [
            "0.15.3",
            "main",
            "feat/x.y",
            "refs/tags/v1",
            "HEAD",
            "a@b",
            "é",
        ] {
            assert_eq!(revision(good), Ok(()), "{good}");
        }
        assert_eq!(revision(&"a".repeat(40)), Ok(()));
        for bad in [
            "a b",
            "a..b",
            "a~1",
            "a^",
            "a^{}",
            "a:b",
            "a?",
            "a*",
            "[a]",
            "a\\b",
            "@",
            "a@{1}",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.",
            "+a:b",
            "--upload-pack=x",
        ] {
            assert!(revision(bad).is_err(), "{bad}");
        }
        assert!(revision(&"A".repeat(40)).unwrap_err().contains("lowercase"));
    }
}
