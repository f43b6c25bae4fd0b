//! Errors in a Dockerfile that BuildKit would refuse as well, and their messages.

use std::fmt;

use camino::Utf8Path;

/// An error that BuildKit would refuse as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfileError {
    /// The file is empty, or has nothing to build.
    Empty,
    /// Lines end in a carriage return alone, which `BuildKit` does not take for a line end.
    CarriageReturns {
        /// One-based line of the first carriage return, as `BuildKit` counts lines.
        line: usize,
    },
    /// `BuildKit` finds no FROM, because each letter is two bytes.
    Utf16,
    /// `BuildKit` finds no FROM, and the file has NUL bytes.
    Nul {
        /// One-based line of the first NUL.
        line: usize,
    },
    /// Docker's own frontend finds no FROM, and some versions of `BuildKit` do not see the frontend
    /// that the file names.
    HiddenFrontend {
        /// The frontend that the file names.
        syntax: String,
    },
    /// A variable is trimmed by an empty pattern, which makes `BuildKit` panic.
    TrimsNothing {
        /// One-based line.
        line: usize,
        /// The variable as it is written, without blanks and empty variables: `${A%}`.
        written: String,
        /// A form that means the same.
        plain: String,
    },
    /// An instruction in front of the first FROM.
    BeforeFrom {
        /// One-based line.
        line: usize,
    },
    /// No Dockerfile stage has the target's name.
    UnknownTarget {
        /// The target that was asked for.
        target: String,
        /// The names of the Dockerfile stages.
        names: Vec<String>,
        /// The name that is closest to `target`.
        close: Option<String>,
        /// One-based line of the last FROM.
        line: usize,
    },
}

impl DockerfileError {
    /// The error as a message, with the file and, if there is one, a command that repairs it.
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
                "the Dockerfile has NUL bytes, the first on line {line}, and BuildKit finds no FROM in it"
            ),
            Self::HiddenFrontend { syntax } => write!(
                f,
                "the Dockerfile has no FROM, and some versions of BuildKit do not see that it is for the frontend `{syntax}`: \
                 write `# syntax={syntax}` on its very first line, without a byte order mark"
            ),
            Self::TrimsNothing {
                line,
                written,
                plain,
            } => write!(
                f,
                "line {line} of the Dockerfile: `{written}` trims nothing. BuildKit before 0.15 crashes on that, \
                 and every build on the engine fails with it: write `{plain}`"
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
