//! What verification finds, as data (DESIGN.md, *JSON*).
//!
//! Every rule and every probe reports its result in these types.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::graphfile::spec::policy::{Rule, Severity};

/// One breach of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// How severe the breach is.
    pub severity: Severity,
    /// The rule, or the outside tool's name for it.
    pub rule: Name,
    /// The stage.
    pub stage: String,
    /// The image's id.
    pub image: String,
    /// The digest of the layer that has the breach. `None` for a breach in the configuration.
    pub layer: Option<String>,
    /// The line of the Dockerfile whose instruction made the layer, if it is known.
    pub line: Option<usize>,
    /// The path in the image, without a leading slash.
    pub path: Option<String>,
    /// Who put the path there.
    pub from: Origin,
    /// One sentence: what is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// The waiver that covers the finding.
    pub waived: Option<Waived>,
}

/// The rule that a finding breaks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Name {
    /// One of this program's rules.
    Rule(Rule),
    /// A rule of an outside tool: `hadolint/DL3008`.
    Other(String),
}

impl Name {
    /// The name as people read it.
    pub fn text(&self) -> &str {
        match self {
            Self::Rule(rule) => rule.name(),
            Self::Other(name) => name,
        }
    }
}

/// Who put something into an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The external image at the bottom.
    Base,
    /// A stage that this one stands on.
    Parent,
    /// The stage itself.
    Own,
}

impl Origin {
    /// The word that people read.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Parent => "parent",
            Self::Own => "own",
        }
    }
}

/// The waiver that covers a finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Waived {
    /// Why the finding is accepted.
    pub why: String,
    /// The last day on which the waiver holds.
    pub until: String,
}

/// The answer of one probe of the running stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeAnswer {
    /// The service.
    pub service: String,
    /// `http`, `tcp`, …
    pub kind: String,
    /// How the probe ended.
    pub outcome: ProbeOutcome,
    /// One sentence.
    pub message: String,
}

/// How a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeOutcome {
    /// The service is as it should be.
    Passed,
    /// The service is not as it should be.
    Failed,
    /// The probe could not be asked. This is never "passed".
    NotChecked,
}

/// An outside tool and its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// The tool's name: `hadolint`.
    pub name: String,
    /// Whether the tool was asked.
    #[serde(flatten)]
    pub outcome: ToolOutcome,
}

/// The outcome of an outside tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum ToolOutcome {
    /// The tool gave its findings.
    Checked {
        /// The tool's version.
        version: String,
    },
    /// The tool gave no answer. This is never "passed".
    NotChecked {
        /// Why the tool gave no answer.
        why: String,
    },
}

impl Tool {
    /// One line for people.
    pub fn sentence(&self) -> String {
        match &self.outcome {
            ToolOutcome::Checked { version } => format!("{}: checked ({version})", self.name),
            ToolOutcome::NotChecked { why } => format!("{}: not checked, {why}", self.name),
        }
    }
}

/// How a verification ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerOutcome {
    /// Everything was checked, and nothing denies it.
    Passed,
    /// A rule is broken, or a probe failed.
    Failed,
    /// Something was not checked.
    Incomplete,
}

/// The whole result of a verification.
#[derive(Debug, Clone, Serialize)]
pub struct Answer {
    /// How the verification ended.
    pub outcome: AnswerOutcome,
    /// All breaches, the most severe first.
    pub findings: Vec<Finding>,
    /// All probes, in the order of the graph file.
    pub probes: Vec<ProbeAnswer>,
    /// Outside tools. They are never required.
    pub tools: Vec<Tool>,
    /// The record of this verification. Only a verification that passed has a record.
    pub statement: Option<serde_json::Value>,
    /// Whether the answer comes from a record.
    pub recorded: bool,
}

impl Answer {
    /// Sorts the findings and decides on the outcome.
    pub fn of(mut findings: Vec<Finding>, probes: Vec<ProbeAnswer>) -> Self {
        findings.sort_by(|a, b| {
            let key = |finding: &Finding| (finding.waived.is_some(), finding.severity);
            let (a_waived, a_severity) = key(a);
            let (b_waived, b_severity) = key(b);
            let first = a_waived.cmp(&b_waived).then(b_severity.cmp(&a_severity));
            first.then_with(|| a.cmp(b))
        });
        findings.dedup();
        let denied = findings.iter().any(Finding::denies);
        let failed = |outcome| probes.iter().any(|probe| probe.outcome == outcome);
        let outcome = if denied || failed(ProbeOutcome::Failed) {
            AnswerOutcome::Failed
        } else if failed(ProbeOutcome::NotChecked) {
            AnswerOutcome::Incomplete
        } else {
            AnswerOutcome::Passed
        };
        Self {
            outcome,
            findings,
            probes,
            tools: Vec::new(),
            statement: None,
            recorded: false,
        }
    }

    /// The answer that a record holds.
    pub fn recorded(statement: serde_json::Value) -> Self {
        let predicate = &statement["predicate"];
        let findings = serde_json::from_value(predicate["findings"].clone());
        let probes = serde_json::from_value(predicate["probes"].clone());
        let mut answer = Self::of(findings.unwrap_or_default(), probes.unwrap_or_default());
        let tools = serde_json::from_value(predicate["tools"].clone());
        answer.tools = tools.unwrap_or_default();
        answer.statement = Some(statement);
        answer.recorded = true;
        answer
    }

    /// How the verification ended for one of these stages. Every probe counts for every stage, and
    /// so does a finding that belongs to none of them.
    pub fn outcome_of(&self, stage: &str, all: &[&str]) -> AnswerOutcome {
        let is_of_it = |one: &&Finding| one.stage == stage || !all.contains(&one.stage.as_str());
        let findings = self.findings.iter().filter(is_of_it);
        Self::of(findings.cloned().collect(), self.probes.clone()).outcome
    }

    /// How many findings of each severity have no waiver.
    pub fn counts(&self) -> BTreeMap<Severity, usize> {
        let mut counts = BTreeMap::new();
        for finding in self.findings.iter().filter(|one| one.waived.is_none()) {
            *counts.entry(finding.severity).or_default() += 1;
        }
        counts
    }
}

impl Finding {
    /// Whether the image does not pass because of it.
    pub fn denies(&self) -> bool {
        self.severity == Severity::Deny && self.waived.is_none()
    }

    /// Where it is, for people: `/app/.env, line 12 of the Dockerfile, parent`.
    pub fn place(&self) -> String {
        let mut parts = Vec::new();
        if let Some(path) = &self.path {
            parts.push(format!("/{path}"));
        }
        if let Some(line) = self.line {
            parts.push(format!("Dockerfile line {line}"));
        }
        if let Some(layer) = &self.layer {
            let hex = layer.strip_prefix("sha256:").unwrap_or(layer);
            parts.push(format!("layer {}", hex.get(..12).unwrap_or(hex)));
        } else if parts.is_empty() {
            parts.push("configuration".to_owned());
        }
        if self.from != Origin::Own {
            parts.push(self.from.word().to_owned());
        }
        parts.join(", ")
    }
}
