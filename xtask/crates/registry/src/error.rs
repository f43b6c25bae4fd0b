//! The faults between this machine and a registry. `telling` has a message and a remedy for each.

use std::time::Duration;

use super::text::Said;

/// A question that got no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryError {
    /// The image, in its short spelling.
    pub image: String,
    /// The host that was asked last.
    pub host: String,
    /// What was to be done with the image.
    pub right: Right,
    /// What went wrong there.
    pub trouble: Trouble,
}

/// What is to be done with an image at a registry, and needs the right to it. The remedies differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Looking up a base. A mirror may have it, and another image may take its place.
    LookUp,
    /// Reading what only this registry has.
    Pull,
    /// Writing.
    Push,
    /// Removing.
    Remove,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Status 401 or 403: the image is private, or (as Docker Hub answers) does not exist; or the
    /// user may not push it.
    Refused {
        /// The status.
        status: u16,
        /// Whether docker's config holds a login for the host.
        logged_in: bool,
        /// Why no login could be got, if the config names a way to one.
        keyring: Option<String>,
        /// The registry's own message if something was to be pushed, with a comma in front; or
        /// empty.
        says: String,
    },
    /// Status 404.
    Missing,
    /// Status 404 for a blob that the image should have: its digest.
    NoBlob(String),
    /// The registry does not take what was pushed, and will not take it a little later.
    NotTaken {
        /// The status.
        status: u16,
        /// The registry's own message, with a comma in front; or empty.
        says: String,
        /// What stands in the way.
        obstacle: Obstacle,
    },
    /// What was to be pushed cannot be read on this machine, or is not what it should be.
    Source(String),
    /// What came from the registry cannot be written on this machine.
    Sink(String),
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

/// Why a registry does not take what was pushed (distribution spec, "Error Codes").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The manifest names a blob or a manifest that the repository does not have.
    Part,
    /// There is no such repository, and the registry makes none by itself.
    Repository,
    /// It is larger than the registry, or a proxy in front of it, allows.
    Size,
    /// The registry's disk is full.
    Space,
    /// What came there does not have the digest that it was sent with.
    Digest,
    /// Anything else.
    Other,
}

impl Obstacle {
    /// What stands in the way. `None` if the status says that a later attempt may succeed.
    pub(super) fn of(status: u16, said: &Said) -> Option<Self> {
        match (status, said.code.as_str()) {
            (408 | 425 | 429, _) => None,
            (507, _) => Some(Self::Space),
            (500.., _) => said.is_full().then_some(Self::Space),
            (413, _) => Some(Self::Size),
            (_, "MANIFEST_BLOB_UNKNOWN" | "BLOB_UNKNOWN" | "MANIFEST_UNKNOWN") => Some(Self::Part),
            (_, "DIGEST_INVALID") => Some(Self::Digest),
            (_, "NAME_UNKNOWN") => Some(Self::Repository),
            _ => Some(Self::Other),
        }
    }
}

impl Trouble {
    /// Whether asking again a little later may succeed.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::TooMany { .. } | Self::Wrong(_) => true,
            Self::Unreachable { refused, .. } => !refused,
            Self::Status { status, .. } => *status >= 500 || matches!(status, 408 | 425),
            Self::Refused { .. }
            | Self::Missing
            | Self::NoBlob(_)
            | Self::NotTaken { .. }
            | Self::Source(_)
            | Self::Sink(_)
            | Self::Tls(_)
            | Self::Useless(_) => false,
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
            Self::Refused { .. }
            | Self::Missing
            | Self::NoBlob(_)
            | Self::NotTaken { .. }
            | Self::Source(_)
            | Self::Sink(_) => "refuses".to_owned(),
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
        self.right != Right::Push
            && matches!(
                self.trouble,
                Trouble::Missing
                    | Trouble::Refused { .. }
                    | Trouble::Unreachable { refused: true, .. }
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

impl std::error::Error for RegistryError {}
