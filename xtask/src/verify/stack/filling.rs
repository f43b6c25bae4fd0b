//! What a stack is given before it starts: private files, and what volumes hold.

use camino::Utf8PathBuf;

/// A file of the run's own, in the place of one of the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateFile {
    /// Where it lies.
    pub path: Utf8PathBuf,
    /// What it holds.
    pub content: FileContent,
}

/// What a private file holds.
#[derive(Clone, PartialEq, Eq)]
pub enum FileContent {
    /// The same as this file.
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

/// What is copied into a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    /// The volume, as the model calls it.
    pub volume: String,
    /// A service that mounts it.
    pub service: String,
    /// Where.
    pub target: String,
    /// What.
    pub with: Filling,
}

/// What a volume is filled with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filling {
    /// What a folder of the user's holds.
    Folder {
        /// Absolute.
        path: Utf8PathBuf,
        /// Whether gid 0 may write to all of it.
        for_group: bool,
    },
    /// What an earlier release that ran as root left at this path below the mount.
    RootOwned(Utf8PathBuf),
}
