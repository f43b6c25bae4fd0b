//! What BuildKit would refuse as well.
//!
//! Knows how to say it. Is unaware of how it is found.

use std::fmt;

use camino::Utf8Path;

/// What BuildKit would refuse as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfileError {
    /// Nothing in the file, or nothing to build.
    Empty,
    /// Lines that end in a carriage return alone, which is no line end for `BuildKit`.
    CarriageReturns {
        /// One-based line, as `BuildKit` counts, of the first one.
        line: usize,
    },
    /// No FROM, because each letter is two bytes.
    Utf16,
    /// No FROM, and NUL bytes.
    Nul {
        /// One-based line of the first one.
        line: usize,
    },
    /// No FROM for Docker's own frontend, and some versions of `BuildKit` do not see the other one.
    HiddenFrontend {
        /// The frontend that the file names.
        syntax: String,
    },
    /// A variable is trimmed by nothing, at which `BuildKit` panics.
    TrimsNothing {
        /// One-based line.
        line: usize,
        /// As it is written, blanks and empty variables aside: `${A%}`.
        written: String,
        /// What means the same.
        plain: String,
    },
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

impl DockerfileError {
    /// The error for people, with the file and, where there is one, a command that mends it.
    pub fn of(&self, path: &Utf8Path) -> String {
        let file = format!("'{}'", path.as_str().replace('\'', "'\\''"));
        let replace =
            |command: &str| format!("{command} {file} > {file}.new && mv {file}.new {file}");
        let command = match self {
            Self::CarriageReturns { .. } => format!("perl -pi -e 's/\\r\\n?/\\n/g' {file}"),
            Self::Utf16 => replace("iconv -f UTF-16 -t UTF-8"),
            Self::Nul { .. } => replace("tr -d '\\000' <"),
            _ => return format!("{path}: {self}"),
        };
        format!("{path}: {self}; run: {command}")
    }
}

impl fmt::Display for DockerfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(
                f,
                "the Dockerfile has no FROM: it needs at least one to build anything"
            ),
            Self::CarriageReturns { line } => write!(
                f,
                "line {line} of the Dockerfile has carriage returns (CR) in place of line ends, which BuildKit \
                 reads as one line"
            ),
            Self::Utf16 => write!(
                f,
                "the Dockerfile is UTF-16, in which BuildKit finds no FROM"
            ),
            Self::Nul { line } => write!(
                f,
                "the Dockerfile has NUL bytes, the first on line {line}, and no FROM where BuildKit wants one"
            ),
            Self::HiddenFrontend { syntax } => write!(
                f,
                "the Dockerfile has no FROM, and not every BuildKit sees that it is for the frontend `{syntax}`: \
                 write `# syntax={syntax}` on its very first line, without a byte order mark"
            ),
            Self::TrimsNothing {
                line,
                written,
                plain,
            } => write!(
                f,
                "line {line} of the Dockerfile: `{written}` trims nothing, at which BuildKit before 0.15 crashes with \
                 every build on the engine: write `{plain}`"
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
