//! What can go wrong while a context is read or laid out, and how people are told of it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use dockerignore::IgnoreError;

/// Why the inputs of a context cannot be read or laid out.
#[derive(Debug)]
pub enum InputsError {
    /// A context, or a folder laid over one, is not a folder that can be read.
    NoFolder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// Something in the context cannot be read.
    Unreadable {
        /// The file, folder or link.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// A file changed while it was read.
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// An entry was listed and then was gone.
    Vanished {
        /// The file, folder or link.
        path: PathBuf,
    },
    /// A pattern of the ignore file fails when Docker tries it.
    Ignore(IgnoreError),
    /// `--exclude` of an instruction has a pattern that Docker refuses.
    Exclude {
        /// One-based line of the instruction.
        line: usize,
        /// The pattern, and what is wrong with it.
        why: IgnoreError,
    },
    /// An extended attribute cannot be given to the copy in a merged context.
    Attribute {
        /// The file, folder or link that has it.
        path: PathBuf,
        /// The attribute.
        name: String,
        /// What the system says.
        why: io::Error,
    },
    /// The program's own state, which changes with every run, would be an input.
    OwnState {
        /// The folder in which this program keeps the states of graphs.
        folder: PathBuf,
        /// The pattern that leaves the states out.
        pattern: String,
    },
    /// The merged context cannot be written.
    Unwritable {
        /// What was to be written.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
}

impl InputsError {
    /// A fault of reading. An entry that is not found has vanished.
    pub(super) fn reading(path: &Path, why: impl Into<io::Error>) -> Self {
        let (path, why) = (path.to_owned(), why.into());
        match why.kind() {
            io::ErrorKind::NotFound => Self::Vanished { path },
            _ => Self::Unreadable { path, why },
        }
    }

    pub(super) fn writing(path: &Path, why: impl Into<io::Error>) -> Self {
        Self::Unwritable {
            path: path.to_owned(),
            why: why.into(),
        }
    }
}

impl fmt::Display for InputsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFolder { path, why } => write!(
                f,
                "the context folder {} cannot be read ({why}): correct its path in the graph file",
                path.display()
            ),
            Self::Unreadable { path, why } => write!(
                f,
                "{} is part of the context and cannot be read ({why}): make it readable, or \
                 leave it out with .dockerignore",
                path.display()
            ),
            Self::Changed { path } => write!(
                f,
                "{} changed while it was read: run this again when nothing writes to it",
                path.display()
            ),
            Self::Vanished { path } => write!(
                f,
                "{} vanished while the context was read: run this again when nothing changes \
                 the folder, or leave it out with .dockerignore",
                path.display()
            ),
            Self::Ignore(why) => write!(f, "in the ignore file, {why}"),
            Self::Exclude { line, why } => {
                write!(f, "in `--exclude` of the instruction on line {line}, {why}")
            }
            Self::Attribute { path, name, why } => write!(
                f,
                "the extended attribute {name} of {} cannot be given to its copy in the merged \
                 context ({why}): move the state folder with XTASK_STATE to a file system that \
                 keeps it, or remove it with `setfattr -x {name} {}`",
                path.display(),
                path.display()
            ),
            Self::OwnState { folder, .. } => write!(
                f,
                "the state of this program in {}, which changes with every run, would be an input: move it with \
                 XTASK_STATE",
                folder.display()
            ),
            Self::Unwritable { path, why } => write!(
                f,
                "cannot write {} of the merged context ({why}): free some room or move the \
                 state folder with XTASK_STATE",
                path.display()
            ),
        }
    }
}

impl std::error::Error for InputsError {}

impl From<IgnoreError> for InputsError {
    fn from(why: IgnoreError) -> Self {
        Self::Ignore(why)
    }
}
