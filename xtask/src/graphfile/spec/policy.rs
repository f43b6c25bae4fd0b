//! The policy for images: rules with their severities, budgets, and waivers that end. `verify`
//! applies it to images.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::StageId;

/// A rule that images are checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The image can be read whole.
    Image,
    /// Neither a layer nor the configuration holds a secret, even one that a later layer deletes.
    Secrets,
    /// No default key of upstream's files is left in: everybody knows those.
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
    /// Only the files of a list have the setuid or setgid bit.
    Setuid,
    /// No test folders.
    Tests,
    /// No caches of package managers.
    Caches,
    /// No compilers.
    Compilers,
    /// The image has the labels that the graph asks for.
    Labels,
    /// The image has the environment that the graph asks for.
    Env,
    /// The image exposes the ports that the graph asks for.
    Ports,
    /// The image has the entrypoint that the graph asks for.
    Entrypoint,
    /// The image has a healthcheck, if the graph asks for one.
    Healthcheck,
    /// The findings of linters for the Dockerfile, if linters are installed.
    Lint,
    /// The findings of a vulnerability scanner, if one is installed.
    Vulnerabilities,
    /// No waiver has ended.
    EndedWaiver,
}

/// How severe a breach is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The rule is not applied.
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

/// The policy for one stage's image. A field is `None` if the graph does not set it.
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
    /// Lays a stage's policy over `under`, the graph's policy for all stages.
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

/// A breach that is tolerated until a date.
#[derive(Debug, Clone)]
pub struct Waiver {
    /// The rule that may be breached.
    pub rule: Rule,
    /// The stage; all of them when `None`.
    pub stage: Option<StageId>,
    /// A pattern, as in a .dockerignore, of the paths in the image; all of them when `None`.
    pub path: Option<String>,
    /// Why the breach is tolerated.
    pub why: String,
    /// The last day on which it holds: `2027-01-31`.
    pub until: String,
    /// Its line in the graph file.
    pub line: usize,
}

impl Waiver {
    /// Whether it has ended by the day `today`, which is written in the same form.
    pub fn has_ended(&self, today: &str) -> bool {
        // Dates of this form sort as text.
        self.until.as_str() < today
    }
}
