//! What a name may look like.
//!
//! Names from the file end up in argv, paths and references. Knows their grammars;
//! refuses whatever could be read as an option, leave its folder or hide in a terminal.
//! Is unaware of where a name stands in the file.

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

/// The beginning of a name, for a sentence about it. A wrong name may be as long as the file.
pub fn short(text: &str) -> String {
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", text[..end].escape_debug()),
        None => text.escape_debug().to_string(),
    }
}

/// Refuses text that is an option to a command or that a terminal would act on.
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
        return Err("must not hold a digest: that is what a build finds out".into());
    }
    if path.contains(':') {
        return Err("must not hold a tag: write it into `tags`".into());
    }
    let host_char = |c: char| c.is_ascii_alphanumeric() || "-.:".contains(c);
    if host.is_some_and(|host| !host.chars().all(host_char)) {
        return Err("names a registry host that is none".into());
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
    Err("is no image name: parts between `/` hold only a-z, 0-9, `-`, `_` and `.`".into())
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
    Err("is no tag: it may hold only letters, digits, `_`, `.` and `-`, at most 128".into())
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

/// The id of a secret or an ssh agent. A comma or `=` would end it in buildx's own syntax.
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
    if (2..=3).contains(&parts.len()) && parts.iter().all(|part| good(part)) {
        return Ok(());
    }
    Err("is no platform: write it like `linux/amd64` or `linux/arm/v7`".into())
}

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

/// A git URL: never an option and never a transport that runs a command.
pub fn git_url(text: &str) -> Result<(), String> {
    plain(text)?;
    if text.contains("::") {
        return Err("names a git remote helper, which may run any command".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_begins_with_a_dash_is_refused_everywhere() {
        for check in [
            plain, identifier, image, tag, variable, secret_id, platform, git_url,
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
}
