//! What a stack gets before it starts: private files, and the content of volumes.

use camino::Utf8PathBuf;

/// A file of the run's own that replaces one of the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateFile {
    /// The path of the private file.
    pub path: Utf8PathBuf,
    /// The content.
    pub content: FileContent,
}

/// The content of a private file.
#[derive(Clone, PartialEq, Eq)]
pub enum FileContent {
    /// A copy of this file.
    Copy(Utf8PathBuf),
    /// A text, which may be a secret.
    Text(String),
}

impl std::fmt::Debug for FileContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Copy(path) => write!(f, "Copy({path})"),
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
        }
    }
}

/// Content that is copied into a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    /// The volume's name in the model.
    pub volume: String,
    /// A service that mounts it.
    pub service: String,
    /// The path at which the service mounts it.
    pub target: String,
    /// The content.
    pub with: Filling,
}

/// The content of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filling {
    /// A copy of a folder of the user's.
    Folder {
        /// The absolute path of the folder.
        path: Utf8PathBuf,
        /// Whether gid 0 may write to all of the copy.
        for_group: bool,
    },
    /// What an earlier release that ran as root would have left at this path below the mount.
    RootOwned(Utf8PathBuf),
}
