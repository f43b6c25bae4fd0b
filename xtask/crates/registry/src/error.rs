//! The faults between this machine and a registry, with a message and a remedy for each.

use std::fmt;
use std::time::Duration;

/// A question that got no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryError {
    /// The image, in its short spelling.
    pub image: String,
    /// The host that was asked last.
    pub host: String,
    /// What went wrong there.
    pub trouble: Trouble,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Status 401 or 403: the image is private, or (as Docker Hub answers) does not exist.
    Refused {
        /// The status.
        status: u16,
        /// Whether docker's config holds a login for the host.
        logged_in: bool,
        /// Why no login could be got, if the config names a way to one.
        keyring: Option<String>,
    },
    /// Status 404.
    Missing,
    /// Status 429, and waiting did not help or would take too long.
    TooMany {
        /// How long the registry asks to wait.
        wait: Option<Duration>,
    },
    /// The server's certificate is not trusted, or it speaks no safe version of TLS.
    Tls(String),
    /// There was no connection, or it broke off.
    Unreachable {
        /// Why.
        why: String,
        /// Whether the server is on this machine and nothing listens there.
        refused: bool,
    },
    /// Any other status.
    Status {
        /// The status.
        status: u16,
        /// The registry's own message, with a comma in front; or empty.
        says: String,
        /// How long the registry asks to wait.
        wait: Option<Duration>,
    },
    /// The answer is not what was asked for. It may have been damaged on its way.
    Wrong(String),
    /// The answer is what was asked for, but of no use.
    Useless(String),
}

impl Trouble {
    /// Whether asking again a little later may succeed.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::TooMany { .. } | Self::Wrong(_) => true,
            Self::Unreachable { refused, .. } => !refused,
            Self::Status { status, .. } => *status >= 500 || matches!(status, 408 | 425),
            Self::Refused { .. } | Self::Missing | Self::Tls(_) | Self::Useless(_) => false,
        }
    }

    /// A clause on what the host did, for the notice of the next attempt.
    pub(super) fn clause(&self) -> String {
        match self {
            Self::TooMany { .. } => "refuses further requests for now (status 429)".to_owned(),
            Self::Status { status, says, .. } => format!("cannot answer (status {status}{says})"),
            Self::Unreachable { why, .. } => format!("cannot be reached: {why}"),
            Self::Wrong(why) | Self::Useless(why) | Self::Tls(why) => {
                format!("sends an answer that cannot be used: {why}")
            }
            Self::Refused { .. } | Self::Missing => "refuses".to_owned(),
        }
    }

    /// How long the registry asks to wait before the next attempt.
    pub(super) const fn wait(&self) -> Option<Duration> {
        match self {
            Self::TooMany { wait } | Self::Status { wait, .. } => *wait,
            _ => None,
        }
    }
}

impl RegistryError {
    /// Whether the registry itself says that it has no such image for this user.
    pub fn is_absence(&self) -> bool {
        matches!(
            self.trouble,
            Trouble::Missing | Trouble::Refused { .. } | Trouble::Unreachable { refused: true, .. }
        )
    }

    /// Whether the registry could not be asked, so that nothing is known about the image.
    pub const fn is_silence(&self) -> bool {
        matches!(
            self.trouble,
            Trouble::Unreachable { .. }
                | Trouble::Tls(_)
                | Trouble::TooMany { .. }
                | Trouble::Status { status: 500.., .. }
        )
    }
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            image,
            host,
            trouble,
        } = self;
        match trouble {
            Trouble::Refused {
                status,
                logged_in,
                keyring,
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
            Trouble::TooMany { wait } => {
                write!(
                    f,
                    "{host} refuses further requests about `{image}` for now (status 429)"
                )?;
                if let Some(wait) = wait {
                    write!(f, "; it asks to wait {} s", wait.as_secs())?;
                }
                write!(
                    f,
                    ": try again later, run `{}` for a higher limit, or give the engine a mirror (`registry-mirrors`)",
                    login(host)
                )
            }
            Trouble::Tls(why) => write!(
                f,
                "cannot trust {host}, which was asked for `{image}`: {why}; if it is your company's, add its CA to this machine's certificates, name it in SSL_CERT_FILE, or put it into /etc/docker/certs.d/{host}/ca.crt"
            ),
            Trouble::Unreachable { why, .. } => write!(
                f,
                "cannot reach {host}, which was asked for `{image}`: {why}; check the network, set HTTPS_PROXY, give the engine a mirror (`registry-mirrors`), or replace the image in `contexts`"
            ),
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

impl std::error::Error for RegistryError {}

/// The command that logs in. Without a host, `docker login` means Docker Hub.
fn login(host: &str) -> String {
    if host == super::endpoint::HUB {
        "docker login".to_owned()
    } else {
        format!("docker login {host}")
    }
}
