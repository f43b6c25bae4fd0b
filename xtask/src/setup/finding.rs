//! The answer of one check, and what would mend it.
//!
//! Is unaware of what is checked.

use serde::Serialize;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// May do harm, or could not be found out; nothing waits for it.
    Warning,
    /// No build without it.
    Missing,
}

/// What would mend a finding, for the plan.
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
    /// Install what host commands need, by the packages' names.
    InstallTool(&'static [&'static str]),
    /// Start the engine that is installed.
    StartEngine,
    /// Let this user talk to the engine.
    JoinGroup,
    /// Have programs of these architectures run.
    Emulate(Vec<String>),
}

/// The answer of one check.
#[derive(Debug, Clone, Serialize)]
pub struct MachineFinding {
    /// Which check; a stable word.
    pub check: &'static str,
    /// How it ended.
    pub level: Level,
    /// What there is.
    pub found: String,
    /// What there should be.
    pub needed: String,
    /// What it is needed for.
    pub why: String,
    /// What a person does about it; empty when nothing need be done.
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
