//! The answer of one check, and how to fix what it found.

use serde::Serialize;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// May do harm, or could not be found out; a build does not depend on it.
    Warning,
    /// A build needs it.
    Missing,
}

/// How the plan can fix a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fix {
    /// Install the engine, the docker command, buildx and compose.
    InstallEngine,
    /// Install the docker command alone, for an engine elsewhere.
    InstallDocker,
    /// Install buildx.
    InstallBuildx,
    /// Install compose.
    InstallCompose,
    /// Install git.
    InstallGit,
    /// Install what host commands need: these packages.
    InstallTool(&'static [&'static str]),
    /// Start the engine that is installed.
    StartEngine,
    /// Let this user talk to the engine.
    JoinGroup,
    /// Make programs of these architectures run.
    Emulate(Vec<String>),
    /// Create a builder, by this command.
    CreateBuilder(Vec<String>),
}

/// The answer of one check.
#[derive(Debug, Clone, Serialize)]
pub struct MachineFinding {
    /// The name of the check; it is stable.
    pub check: &'static str,
    /// How it ended.
    pub level: Level,
    /// What there is.
    pub found: String,
    /// What there should be.
    pub needed: String,
    /// What it is needed for.
    pub why: String,
    /// What a person should do about it; empty if nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
    /// What the plan does about it.
    #[serde(skip)]
    pub fix: Option<Fix>,
}

impl MachineFinding {
    pub(super) fn new(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            level: Level::Ok,
            found: found.into(),
            needed: String::new(),
            why: String::new(),
            remedy: String::new(),
            fix: None,
        }
    }

    pub(super) fn needs(mut self, needed: impl Into<String>, why: impl Into<String>) -> Self {
        self.needed = needed.into();
        self.why = why.into();
        self
    }

    pub(super) fn warns(mut self, remedy: impl Into<String>) -> Self {
        self.level = Level::Warning;
        self.remedy = remedy.into();
        self
    }

    pub(super) fn lacks(mut self, remedy: impl Into<String>) -> Self {
        self.level = Level::Missing;
        self.remedy = remedy.into();
        self
    }

    pub(super) fn fix(mut self, fix: Fix) -> Self {
        self.fix = Some(fix);
        self
    }
}
