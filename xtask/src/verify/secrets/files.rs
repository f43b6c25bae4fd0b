//! Files whose name says what they hold.
//!
//! The name says how to read a file, and the value in it decides. Small formats are read line by
//! line without a parser, so that a broken file still shows its secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::letters::{ALNUM, BASE64};
use super::placeholder::{Judge, is_secret, unquoted};
use super::setting::{is_setting, of};
use super::shapes::shape;
use super::{FoundSecret, SECRETS, default_keys};

/// How to read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// `.env`
    Env,
    /// `.npmrc`
    Npm,
    /// `.pypirc`
    Pypi,
    /// `.netrc`
    Netrc,
    /// `~/.docker/config.json`
    Docker,
    /// `~/.kube/config`
    Kube,
    /// `.htpasswd`
    Htpasswd,
    /// `application_default_credentials.json`
    Gcloud,
    /// `.git/config`
    Git,
    /// Files in which only the passwords of URLs matter: `pip.conf`, `.git-credentials`.
    Urls,
}

/// Endings of files that show how another file is written.
const SHOWN: &[&str] = &[
    "example", "sample", "template", "dist", "tmpl", "tpl", "defaults", "schema", "md",
];

/// The kind that a path shows, if any.
pub fn kind(path: &str) -> Option<FileKind> {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let folder = folders.rsplit('/').next().unwrap_or_default();
    match (folder, name) {
        (_, ".npmrc") | ("etc", "npmrc") => Some(FileKind::Npm),
        (_, ".pypirc") => Some(FileKind::Pypi),
        (_, ".netrc" | "_netrc") => Some(FileKind::Netrc),
        (".docker" | "docker", "config.json") | (_, ".dockercfg" | ".dockerconfigjson") => {
            Some(FileKind::Docker)
        }
        (".kube", "config") | (_, "kubeconfig" | "kubeconfig.yaml" | "kubeconfig.yml") => {
            Some(FileKind::Kube)
        }
        ("kubernetes", name) if has_ending(name, "conf") => Some(FileKind::Kube),
        (_, ".htpasswd") => Some(FileKind::Htpasswd),
        (_, "application_default_credentials.json") => Some(FileKind::Gcloud),
        (".git", "config") => Some(FileKind::Git),
        (_, "pip.conf" | ".git-credentials" | ".yarnrc.yml" | ".condarc") => Some(FileKind::Urls),
        (_, name) if is_env(name) => Some(FileKind::Env),
        _ => None,
    }
}

fn has_ending(name: &str, ending: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, last)| last == ending)
}

/// `.env`, `.env.production`, `prod.env`; not `.env.example`, `example.env`.
fn is_env(name: &str) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    let is_env = parts.len() > 1 && parts.last() == Some(&"env")
        || parts.first() == Some(&"") && parts.get(1) == Some(&"env");
    is_env && !parts.iter().any(|part| SHOWN.contains(part))
}

/// What a path alone shows: the content of a `.git` folder. The mask is the folder, so that a
/// caller can report the folder once. An empty folder and the file `.git` of a worktree are
/// harmless.
pub fn by_path(path: &str) -> Option<FoundSecret> {
    let (before, inside) = path
        .split_once("/.git/")
        .or_else(|| path.strip_prefix(".git/").map(|inside| ("", inside)))?;
    let parts: Vec<&str> = inside.split('/').collect();
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let content = match parts.as_slice() {
        ["config" | "packed-refs" | "index" | "ORIG_HEAD" | "FETCH_HEAD"] => true,
        ["objects", "pack", pack] => has_ending(pack, "pack"),
        ["objects", start, rest] => is_hex(start, 2) && (is_hex(rest, 38) || is_hex(rest, 62)),
        ["logs", ..] => parts.len() > 1,
        _ => false,
    };
    content.then(|| FoundSecret {
        rule: SECRETS,
        shape: "git-folder",
        what: shape("git-folder").map_or("a git repository", |shape| shape.what),
        line: None,
        masked: if before.is_empty() {
            ".git".to_owned()
        } else {
            format!("{before}/.git")
        },
    })
}

/// The logins in a file of a kind.
pub fn logins(kind: FileKind, content: &[u8]) -> Vec<FoundSecret> {
    let id = match kind {
        FileKind::Env => "env-file",
        FileKind::Npm => "npm-login",
        FileKind::Pypi => "pypi-login",
        FileKind::Netrc => "netrc",
        FileKind::Docker => "docker-login",
        FileKind::Kube => "kube-login",
        FileKind::Htpasswd => "htpasswd",
        FileKind::Gcloud => "gcloud-login",
        FileKind::Git => "git-login",
        FileKind::Urls => return Vec::new(),
    };
    let mut found = Vec::new();
    if kind == FileKind::Env {
        found.extend(defaults(content));
    }
    // A JSON file may be one line, so each field is judged as a line of its own.
    let json = matches!(kind, FileKind::Docker | FileKind::Gcloud);
    let mut line = 0u64;
    for text in content.split(|byte| *byte == b'\n') {
        line += 1;
        let fields: Vec<&[u8]> = if json {
            text.split(|byte| b",{}".contains(byte)).collect()
        } else {
            vec![text]
        };
        for field in fields {
            if let Some((name, value)) = login(kind, field.trim_ascii()) {
                found.push(of(id, &name, value, Some(line)));
            }
        }
    }
    found
}

/// Dify's default keys in an environment file, each with its line.
fn defaults(content: &[u8]) -> Vec<FoundSecret> {
    let (lines, environment): (Vec<u64>, Vec<(String, String)>) = (1..)
        .zip(content.split(|byte| *byte == b'\n'))
        .filter_map(|(line, text)| {
            let (name, value) = assignment(text.trim_ascii())?;
            Some((line, (name, String::from_utf8_lossy(value).into_owned())))
        })
        .unzip();
    default_keys::find(&environment)
        .map(|(at, found)| FoundSecret {
            line: Some(lines[at]),
            ..found
        })
        .collect()
}

/// `NAME=value`, optionally with `export` before it and a comment after it.
fn assignment(line: &[u8]) -> Option<(String, &[u8])> {
    let line = line.strip_prefix(b"export ").unwrap_or(line);
    let (name, value) = pair(line, b'=')?;
    Some((name, without_comment(value)))
}

/// The name and the value of a login in a line.
fn login(kind: FileKind, line: &[u8]) -> Option<(String, &[u8])> {
    match kind {
        FileKind::Env => {
            let (name, value) = assignment(line)?;
            is_setting(&name, value, Judge::Loose).then_some((name, value))
        }
        FileKind::Npm => {
            let (name, value) = pair(line, b'=')?;
            let key = name.rsplit([':', '/']).next().unwrap_or_default();
            (matches!(key, "_authToken" | "_auth" | "_password") && is_secret(value, Judge::Loose))
                .then_some((name, value))
        }
        FileKind::Pypi => {
            let (name, value) = pair(line, b'=').or_else(|| pair(line, b':'))?;
            (name == "password" && is_secret(value, Judge::Loose)).then_some((name, value))
        }
        FileKind::Netrc => {
            let mut words = line
                .split(u8::is_ascii_whitespace)
                .filter(|word| !word.is_empty());
            words.find(|word| *word == b"password")?;
            let value = words.next()?;
            is_secret(value, Judge::Loose).then(|| ("password".to_owned(), value))
        }
        FileKind::Docker => {
            let (name, value) = pair(line, b':')?;
            let secret = match name.as_str() {
                "auth" => STANDARD.decode(unquoted(value)).is_ok_and(|login| {
                    let at = login.iter().position(|byte| *byte == b':');
                    at.is_some_and(|at| at > 0 && is_secret(&login[at + 1..], Judge::Loose))
                }),
                "identitytoken" | "registrytoken" => is_secret(value, Judge::Loose),
                _ => false,
            };
            secret.then_some((name, value))
        }
        FileKind::Kube => {
            let (name, value) = pair(line, b':')?;
            (matches!(name.as_str(), "token" | "password" | "- token")
                && is_secret(value, Judge::Loose))
            .then_some((name, value))
        }
        FileKind::Htpasswd => {
            let at = line.iter().position(|byte| *byte == b':')?;
            let (user, hash) = (&line[..at], &line[at + 1..]);
            (!user.is_empty() && is_hash(hash)).then(|| ("hash".to_owned(), hash))
        }
        FileKind::Gcloud => {
            let (name, value) = pair(line, b':')?;
            (name == "refresh_token" && is_secret(value, Judge::Loose)).then_some((name, value))
        }
        FileKind::Git => {
            let (name, value) = pair(line, b'=')?;
            let (scheme, token) = value
                .split_at_checked(b"AUTHORIZATION: basic ".len())
                .map(|(scheme, token)| (scheme.to_ascii_lowercase(), token))?;
            (name == "extraheader" && scheme == b"authorization: basic " && token.len() >= 16)
                .then_some((name, token))
        }
        FileKind::Urls => None,
    }
}

/// A name and a value around a separator.
fn pair(line: &[u8], separator: u8) -> Option<(String, &[u8])> {
    let at = line.iter().position(|byte| *byte == separator)?;
    let name = unquoted(&line[..at]);
    if name.first() == Some(&b'#') || name.first() == Some(&b';') {
        return None;
    }
    Some((
        String::from_utf8_lossy(name).into_owned(),
        line[at + 1..].trim_ascii(),
    ))
}

/// A value without the comment after it.
fn without_comment(value: &[u8]) -> &[u8] {
    match value.windows(2).position(|pair| pair == b" #") {
        Some(at) => value[..at].trim_ascii(),
        None => value,
    }
}

/// bcrypt, Apache's MD5, SHA-crypt, `{SHA}`.
fn is_hash(hash: &[u8]) -> bool {
    let body = |prefix: &[u8], least: usize| {
        hash.strip_prefix(prefix).is_some_and(|body| {
            body.len() >= least
                && body
                    .iter()
                    .all(|byte| ALNUM.has(*byte) || b"./$=+,".contains(byte))
        })
    };
    body(b"$2y$", 56)
        || body(b"$2b$", 56)
        || body(b"$2a$", 56)
        || body(b"$apr1$", 28)
        || body(b"$5$", 44)
        || body(b"$6$", 87)
        || hash
            .strip_prefix(b"{SHA}")
            .and_then(|body| body.strip_suffix(b"="))
            .is_some_and(|body| body.len() == 27 && BASE64.all(body))
}
