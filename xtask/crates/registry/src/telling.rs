//! Tells what went wrong between this machine and a registry, and what to do about it.

use std::fmt;
use std::time::Duration;

use super::error::{Obstacle, RegistryError, Right, Trouble};

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            image,
            host,
            right,
            trouble,
        } = self;
        match right {
            Right::Push => return pushing(f, image, host, trouble),
            Right::Remove => return removing(f, image, host, trouble),
            Right::LookUp | Right::Pull => {}
        }
        match trouble {
            Trouble::Refused {
                status,
                logged_in,
                keyring,
                ..
            } => {
                write!(f, "{host} refuses access to `{image}` (status {status}): ")?;
                let login = login(host);
                match (keyring, logged_in) {
                    (Some(why), _) => write!(f, "{why}; correct that, or run `{login}`"),
                    (None, true) => write!(
                        f,
                        "the login in docker's config does not give access; run `{login}` again, or correct the name if there is no such image"
                    ),
                    (None, false) => write!(
                        f,
                        "run `{login}` if it is private, or correct the name if there is no such image"
                    ),
                }
            }
            Trouble::Missing => write!(
                f,
                "{host} has no `{image}` (status 404): correct the name or the tag"
            ),
            Trouble::NoBlob(digest) => write!(
                f,
                "{host} has no blob {digest} of `{image}` (status 404): it may have been deleted there, so push the image again"
            ),
            Trouble::NotTaken { status, says, .. } => write!(
                f,
                "{host} does not accept the request for `{image}` (status {status}{says}): is it a registry?"
            ),
            Trouble::Source(why) => write!(f, "cannot ask {host} about `{image}`: {why}"),
            Trouble::Sink(why) => write!(
                f,
                "cannot store what {host} sends of `{image}`: {why}; is there space on the disk?"
            ),
            Trouble::TooMany { wait } => too_many(f, image, host, *wait, *right),
            Trouble::Tls(why) => write!(
                f,
                "cannot trust {host}, which was asked for `{image}`: {why}; if it is your company's, add its CA to this machine's certificates, name it in SSL_CERT_FILE, or put it into /etc/docker/certs.d/{host}/ca.crt"
            ),
            Trouble::Unreachable { why, .. } => {
                let more = match right {
                    Right::LookUp => {
                        ", give the engine a mirror (`registry-mirrors`), or take the image from elsewhere by `[base]`"
                    }
                    Right::Pull | Right::Push | Right::Remove => ", or correct the name",
                };
                write!(
                    f,
                    "cannot reach {host}, which was asked for `{image}`: {why}; check the network, set HTTPS_PROXY{more}"
                )
            }
            Trouble::Status { status, says, .. } => {
                write!(
                    f,
                    "{host} cannot answer for `{image}` (status {status}{says})"
                )?;
                if *status >= 500 {
                    write!(f, ": try again later")
                } else {
                    write!(f, ": is it a registry, and is the name right?")
                }
            }
            Trouble::Useless(why) => write!(
                f,
                "the answer of {host} for `{image}` cannot be used: {why}; is the name right?"
            ),
            Trouble::Wrong(why) => write!(
                f,
                "the answer of {host} for `{image}` cannot be used: {why}; a proxy or a mirror in between may be broken, so try again, or without it"
            ),
        }
    }
}

/// A registry that wants to be asked less.
fn too_many(
    f: &mut fmt::Formatter<'_>,
    image: &str,
    host: &str,
    wait: Option<Duration>,
    right: Right,
) -> fmt::Result {
    write!(
        f,
        "{host} refuses further requests about `{image}` for now (status 429)"
    )?;
    if let Some(wait) = wait {
        write!(f, "; it asks to wait {} s", wait.as_secs())?;
    }
    let login = login(host);
    match right {
        Right::LookUp => write!(
            f,
            ": try again later, run `{login}` for a higher limit, or give the engine a mirror (`registry-mirrors`)"
        ),
        Right::Pull | Right::Push | Right::Remove => {
            write!(f, ": try again later, or run `{login}` for a higher limit")
        }
    }
}

/// The message if the image was to be removed.
fn removing(f: &mut fmt::Formatter<'_>, image: &str, host: &str, trouble: &Trouble) -> fmt::Result {
    match trouble {
        Trouble::Refused { status, says, .. } => write!(
            f,
            "{host} does not let you remove from `{image}` (status {status}{says}): run `{}` as a user with the right to delete there, or remove it by the registry's own means",
            login(host)
        ),
        Trouble::NotTaken { status, says, .. } | Trouble::Status { status, says, .. } => write!(
            f,
            "{host} does not remove from `{image}` (status {status}{says}): allow deletion in the registry's settings, or remove it by the registry's own means"
        ),
        other => pushing(f, image, host, other),
    }
}

/// The message if the image was to be pushed.
fn pushing(f: &mut fmt::Formatter<'_>, image: &str, host: &str, trouble: &Trouble) -> fmt::Result {
    match trouble {
        Trouble::Refused {
            status,
            logged_in,
            keyring,
            says,
        } => {
            let login = login(host);
            write!(
                f,
                "{host} refuses to take `{image}` (status {status}{says}): "
            )?;
            match (keyring, logged_in) {
                (Some(why), _) => write!(f, "{why}; correct that, or run `{login}`"),
                (None, true) => write!(
                    f,
                    "the login in docker's config has no right to push there; ask for that right, run `{login}` as a user who has it, or correct the name"
                ),
                (None, false) => {
                    write!(f, "run `{login}` as a user with the right to push there")
                }
            }
        }
        Trouble::NotTaken {
            status,
            says,
            obstacle,
        } => write!(
            f,
            "{host} does not take `{image}` (status {status}{says}): {}",
            match obstacle {
                Obstacle::Part => {
                    "it lacks a part that the manifest names, so push that part first"
                }
                Obstacle::Repository => "create the repository there, or correct the name",
                Obstacle::Size => {
                    "raise the limit for the size of requests, there or at a proxy in front"
                }
                Obstacle::Space => "its disk is full, so free space there",
                Obstacle::Digest => {
                    "what came there has another digest, so it was changed before or on its way; push it again"
                }
                Obstacle::Other => "is it a registry that takes images, and is the name right?",
            }
        ),
        Trouble::Source(why) => write!(
            f,
            "cannot read what {host} should take for `{image}`: {why}"
        ),
        Trouble::Sink(why) => write!(f, "cannot write what {host} sends for `{image}`: {why}"),
        Trouble::Missing => write!(
            f,
            "{host} does not know `{image}` (status 404): correct the name"
        ),
        Trouble::NoBlob(digest) => write!(
            f,
            "{host} has no blob {digest} of `{image}` (status 404): push it again"
        ),
        Trouble::TooMany { wait } => too_many(f, image, host, *wait, Right::Push),
        Trouble::Tls(why) => write!(
            f,
            "cannot trust {host}, which should take `{image}`: {why}; if it is your company's, add its CA to this machine's certificates, name it in SSL_CERT_FILE, or put it into /etc/docker/certs.d/{host}/ca.crt"
        ),
        Trouble::Unreachable { why, .. } => write!(
            f,
            "cannot reach {host}, which should take `{image}`: {why}; check the network, set HTTPS_PROXY, or push later"
        ),
        Trouble::Status { status, says, .. } => write!(
            f,
            "{host} cannot take `{image}` (status {status}{says}): try again later"
        ),
        Trouble::Useless(why) => write!(
            f,
            "the answer of {host}, which should take `{image}`, cannot be used: {why}; is it a registry, and is the name right?"
        ),
        Trouble::Wrong(why) => write!(
            f,
            "the answer of {host}, which should take `{image}`, cannot be used: {why}; a proxy in between may be broken, so try again, or without it"
        ),
    }
}

/// The command that logs in. Without a host, `docker login` means Docker Hub.
fn login(host: &str) -> String {
    if host == super::endpoint::HUB {
        "docker login".to_owned()
    } else {
        format!("docker login {host}")
    }
}
