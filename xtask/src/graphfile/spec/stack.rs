//! The running stack, as the graph file wants it. The compose file was not read yet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use camino::Utf8PathBuf;

use super::{SourceId, StageId};

/// `[stack]`
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    /// The compose file, below the root of `source`.
    pub compose: Utf8PathBuf,
    /// The source whose root its path starts at; the graph file's folder when `None`.
    pub source: Option<SourceId>,
    /// A file that is used instead of the `.env` beside the compose file. It lies below the same
    /// root.
    pub env_file: Option<Utf8PathBuf>,
    /// A compose file that is laid over the first one. It lies beside the graph file.
    pub override_file: Option<Utf8PathBuf>,
    /// The stages whose images the services run, by service. Includes the `services` of stages.
    pub services: BTreeMap<String, StageId>,
    /// Variables for the compose file.
    pub env: BTreeMap<String, Variable>,
    /// What is allowed although it would be refused, by the name that the refusal gives.
    pub allow: BTreeSet<String>,
    /// How long the services have until they are ready.
    pub timeout: Duration,
    /// For how long, at least, the services are watched once they are ready.
    pub watch: Duration,
    /// In the order of the file.
    pub probes: Vec<Probe>,
}

/// The value of a variable for the compose file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    /// The value, as the graph file has it.
    Text(String),
    /// The name of a variable of this program's environment. Its value is read when the stack is
    /// started.
    Secret(String),
}

/// One question to one service.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// The service, as the compose file calls it.
    pub service: String,
    /// What is asked.
    pub ask: Ask,
    /// How long the right answer may take to come.
    pub timeout: Duration,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// An HTTP answer.
    Http(Http),
    /// A port that takes connections.
    Tcp {
        /// The service's own port.
        port: u16,
    },
    /// A command in the service's container.
    Exec {
        /// The program and its arguments.
        command: Vec<String>,
        /// Its exit code.
        exit: i64,
        /// Text that its output contains.
        output: Option<String>,
    },
    /// The service's log: at least one of the two.
    Log {
        /// Text that must appear in the log.
        contains: Option<String>,
        /// Text that must never appear.
        never: Option<String>,
    },
    /// An address that is out of the service's reach.
    Refused(Refused),
    /// A file or folder that belongs to the service's user, who can write to it.
    File {
        /// Absolute.
        path: String,
        /// Whether a second container also tries the path on a volume that root owns, as an earlier
        /// release left it.
        root_owned: bool,
    },
    /// A start under a random uid with gid 0 and a read-only root.
    Uid {
        /// Folders that stay writable.
        writable: Vec<String>,
    },
}

/// What an HTTP answer must be like.
#[derive(Debug, Clone, PartialEq)]
pub struct Http {
    /// The service's own port.
    pub port: u16,
    /// Begins with `/`.
    pub path: String,
    /// The status.
    pub status: u16,
    /// Text that header values contain, by the header's name.
    pub headers: BTreeMap<String, String>,
    /// Text that the body contains.
    pub body: Option<String>,
    /// Values in the body's JSON, by JSON pointer (RFC 6901).
    pub json: BTreeMap<String, serde_json::Value>,
}

/// What must be out of reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// As the file spells it, because a proxy may depend on the spelling. It is a name, an address
    /// in any spelling, or an IPv6 address without its brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `host:port` of the HTTP proxy that is asked for it.
    pub proxy: Option<String>,
}

impl Ask {
    /// Its name in the file.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Tcp { .. } => "tcp",
            Self::Exec { .. } => "exec",
            Self::Log { .. } => "log",
            Self::Refused(_) => "refused",
            Self::File { .. } => "file",
            Self::Uid { .. } => "uid",
        }
    }

    /// The port that is asked on the service itself.
    pub const fn port(&self) -> Option<u16> {
        match self {
            Self::Http(http) => Some(http.port),
            Self::Tcp { port } => Some(*port),
            _ => None,
        }
    }
}
