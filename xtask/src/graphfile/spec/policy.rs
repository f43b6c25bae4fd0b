//! What images must keep: rules with their severities, budgets, and waivers that end.
//!
//! Knows the rules by name and what the graph file says of each. Is unaware of images: `verify`
//! looks at them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::StageId;

/// A rule that images are held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The image can be read whole.
    Image,
    /// No layer holds a secret, deleted later or not; nor does the configuration.
    Secrets,
    /// None of the keys that everybody knows from upstream's files is left in.
    DefaultKeys,
    /// The image is there for every platform of its stage, and its programs are of that platform.
    Platform,
    /// The user can read what it must run.
    Readable,
    /// The user is not root.
    Root,
    /// Nobody but root can write into a folder on PATH.
    WritablePath,
    /// The image is within its budgets.
    Budget,
    /// No file but those of a list has the setuid or setgid bit.
    Setuid,
    /// No test folders.
    Tests,
    /// No caches of package managers.
    Caches,
    /// No compilers.
    Compilers,
    /// The labels that the graph asks for.
    Labels,
    /// The environment that the graph asks for.
    Env,
    /// The ports that the graph asks for.
    Ports,
    /// The entrypoint that the graph asks for.
    Entrypoint,
    /// A healthcheck, where the graph asks for one.
    Healthcheck,
    /// What tools say of the Dockerfile, where they are there.
    Lint,
    /// What a scanner knows of the packages, where one is there.
    Vulnerabilities,
    /// No waiver has ended.
    EndedWaiver,
}

/// How severe a breach is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nobody looks.
    Off,
    /// It is shown.
    Warn,
    /// The image does not pass.
    Deny,
}

impl Rule {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 20] = [
        Self::Image,
        Self::Secrets,
        Self::DefaultKeys,
        Self::Platform,
        Self::Readable,
        Self::Root,
        Self::WritablePath,
        Self::Budget,
        Self::Setuid,
        Self::Tests,
        Self::Caches,
        Self::Compilers,
        Self::Labels,
        Self::Env,
        Self::Ports,
        Self::Entrypoint,
        Self::Healthcheck,
        Self::Lint,
        Self::Vulnerabilities,
        Self::EndedWaiver,
    ];

    /// Its name in the graph file and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Secrets => "secrets",
            Self::DefaultKeys => "default-keys",
            Self::Platform => "platform",
            Self::Readable => "readable",
            Self::Root => "root",
            Self::WritablePath => "writable-path",
            Self::Budget => "budget",
            Self::Setuid => "setuid",
            Self::Tests => "tests",
            Self::Caches => "caches",
            Self::Compilers => "compilers",
            Self::Labels => "labels",
            Self::Env => "env",
            Self::Ports => "ports",
            Self::Entrypoint => "entrypoint",
            Self::Healthcheck => "healthcheck",
            Self::Lint => "lint",
            Self::Vulnerabilities => "vulnerabilities",
            Self::EndedWaiver => "ended-waiver",
        }
    }

    /// The rule of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }

    /// How severe a breach is where the graph says nothing.
    pub const fn default_severity(self) -> Severity {
        match self {
            Self::Setuid
            | Self::Tests
            | Self::Caches
            | Self::Compilers
            | Self::Lint
            | Self::Vulnerabilities => Severity::Warn,
            _ => Severity::Deny,
        }
    }
}

impl Severity {
    pub(super) fn of_name(name: &str) -> Option<Self> {
        match name {
            "deny" => Some(Self::Deny),
            "warn" => Some(Self::Warn),
            "off" => Some(Self::Off),
            _ => None,
        }
    }
}

/// What one stage's image must keep. What is `None` the graph does not say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Policy {
    /// Severities that the graph sets.
    pub severities: BTreeMap<Rule, Severity>,
    /// The most that all layers may hold, in bytes.
    pub max_size: Option<u64>,
    /// The most that the stage may add to the image that it stands on, in bytes.
    pub max_added: Option<u64>,
    /// Files that may have the setuid or setgid bit, without a leading slash.
    pub setuid: Option<Vec<String>>,
    /// Labels that must be there.
    pub labels: Option<Vec<String>>,
    /// Variables that must be set.
    pub env: Option<Vec<String>>,
    /// Ports that must be exposed, such as `5001/tcp`.
    pub ports: Option<Vec<String>>,
    /// The entrypoint that must be there.
    pub entrypoint: Option<Vec<String>>,
    /// Whether there must be a healthcheck.
    pub healthcheck: Option<bool>,
}

impl Policy {
    /// What a stage says, over what the graph says of all stages.
    #[must_use]
    pub fn over(self, under: &Self) -> Self {
        let mut severities = under.severities.clone();
        severities.extend(self.severities);
        Self {
            severities,
            max_size: self.max_size.or(under.max_size),
            max_added: self.max_added.or(under.max_added),
            setuid: self.setuid.or_else(|| under.setuid.clone()),
            labels: self.labels.or_else(|| under.labels.clone()),
            env: self.env.or_else(|| under.env.clone()),
            ports: self.ports.or_else(|| under.ports.clone()),
            entrypoint: self.entrypoint.or_else(|| under.entrypoint.clone()),
            healthcheck: self.healthcheck.or(under.healthcheck),
        }
    }

    /// How severe a breach of a rule is.
    pub fn severity(&self, rule: Rule) -> Severity {
        let set = self.severities.get(&rule).copied();
        set.unwrap_or(rule.default_severity())
    }
}

/// A breach that is put up with until a date.
#[derive(Debug, Clone)]
pub struct Waiver {
    /// Of this rule.
    pub rule: Rule,
    /// In this stage, or in any.
    pub stage: Option<StageId>,
    /// At the paths that this pattern, as in a .dockerignore, names; at any without one.
    pub path: Option<String>,
    /// Why.
    pub why: String,
    /// The last day on which it holds: `2027-01-31`.
    pub until: String,
    /// The line of the graph file on which it stands.
    pub line: usize,
}

impl Waiver {
    /// Whether it has ended on the day `today`, written in the same way.
    pub fn has_ended(&self, today: &str) -> bool {
        // Dates of this form are in the order of their texts.
        self.until.as_str() < today
    }
}
