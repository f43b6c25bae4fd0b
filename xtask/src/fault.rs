//! The one error type that reaches `main`.
//!
//! Each class of fault has its exit status. The message is already a sentence that names the place,
//! both parties and the remedy.

use std::fmt;
use std::ops::Deref;

/// What every command returns.
pub type Result<T, E = Fault> = std::result::Result<T, E>;

/// The class of a fault, which is its exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A stage failed, or `verify` found a fault.
    Failed,
    /// The command line or the graph is wrong.
    Usage,
    /// The machine lacks something: an engine, the network, a source.
    Lacks,
    /// The user interrupted the run.
    Interrupted,
}

impl Class {
    /// The process's exit status for this class (DESIGN.md, *Commands*).
    pub const fn status(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Lacks => 3,
            Self::Interrupted => 130,
        }
    }
}

/// What is still to be said about a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Lowercase, one sentence a person can act on.
    Say(String),
    /// The report has said everything: a failed stage, a broken policy.
    Told,
}

impl Deref for Message {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Say(message) => message,
            Self::Told => "",
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// A fault that ends a command: its class and a message for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Decides the exit status.
    pub class: Class,
    /// What a person reads.
    pub message: Message,
}

impl Fault {
    /// A stage failed, or `verify` found a fault (exit 1).
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Class::Failed, message)
    }

    /// The command line or the graph is wrong (exit 2).
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Class::Usage, message)
    }

    /// The machine lacks something (exit 3).
    pub fn lacks(message: impl Into<String>) -> Self {
        Self::new(Class::Lacks, message)
    }

    /// Ctrl-C or a termination signal (exit 130).
    pub fn interrupted() -> Self {
        Self::new(Class::Interrupted, "interrupted")
    }

    /// A fault of this class about which the report has said everything.
    pub const fn told(class: Class) -> Self {
        Self {
            class,
            message: Message::Told,
        }
    }

    /// The lines that a person reads, if anything is left to say.
    pub fn lines(&self) -> Option<String> {
        let Message::Say(message) = &self.message else {
            return None;
        };
        let first = message.lines().next()?;
        // A report of several mistakes has its own headings, perhaps in colours.
        let has_heading = first != message && first.contains("error");
        Some(if has_heading {
            message.clone()
        } else {
            format!("error: {message}")
        })
    }

    fn new(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            message: Message::Say(message.into()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_told_with_one_heading() {
        let told = |message: &str| Fault::lacks(message).lines();
        assert_eq!(Fault::told(Class::Failed).lines(), None);
        assert_eq!(told("no git").as_deref(), Some("error: no git"));
        for headed in [
            "error: one\nerror: other",
            "\u{1b}[91merror\u{1b}[0m: a\n --> b",
        ] {
            assert_eq!(told(headed).as_deref(), Some(headed));
        }
        let tail = "`apt-get` failed\n  | error: no package";
        assert_eq!(told(tail), Some(format!("error: {tail}")));
    }
}
