//! What BuildKit would refuse as well.
//!
//! Knows how to say it. Is unaware of how it is found.

use std::fmt;

/// What BuildKit would refuse as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfileError {
    /// Nothing in the file, or nothing to build.
    Empty,
    /// An instruction in front of the first FROM.
    BeforeFrom {
        /// One-based line.
        line: usize,
    },
    /// No Dockerfile stage has the target's name.
    UnknownTarget {
        /// What was asked for.
        target: String,
        /// What there is.
        names: Vec<String>,
        /// The likeliest of them.
        close: Option<String>,
        /// One-based line of the last FROM.
        line: usize,
    },
}

impl fmt::Display for DockerfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(
                f,
                "the Dockerfile has no FROM: it needs at least one to build anything"
            ),
            Self::BeforeFrom { line } => write!(
                f,
                "line {line} of the Dockerfile comes before the first FROM: only ARG may stand there"
            ),
            Self::UnknownTarget {
                target,
                names,
                close,
                line,
            } => {
                write!(f, "unknown target `{target}`: ")?;
                if names.is_empty() {
                    return write!(
                        f,
                        "no FROM up to line {line} of the Dockerfile names its stage, add `AS {target}` to one"
                    );
                }
                let list = names.join("`, `");
                write!(
                    f,
                    "up to line {line} the Dockerfile has the stages `{list}`"
                )?;
                match close {
                    Some(close) => write!(f, "; did you mean `{close}`?"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for DockerfileError {}
