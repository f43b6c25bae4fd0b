//! What is kept of a run: its events, one a line, with what `--json` leaves out (the graph, and
//! whether an image was restored or pulled) and without what nobody should pass on: of what changed
//! the names are kept, never the values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::freshness::verdict::{Reason, ReasonKind};
use crate::report::event::{Outcome, StageFinished, StepFinished};
use crate::report::excerpt::Excerpt;
use crate::report::reasons;

/// How many changes of a reason are kept. A new checkout may have a hundred thousand.
const CHANGES: usize = 40;

/// One line of a kept run. Times are milliseconds since the run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum KeptEvent {
    /// The run began.
    Started {
        /// When, in milliseconds since 1970.
        began_ms: u64,
        /// How many stages were wanted, parts included.
        stages: usize,
        /// How many places there were.
        jobs: usize,
        /// The stages that each wanted stage stands on, without parts. Empty for a large run that
        /// built nothing.
        graph: BTreeMap<String, Vec<String>>,
    },
    /// Something that the user should know.
    Notice {
        /// The sentence.
        message: String,
    },
    /// A stage was not fresh.
    StageStarted(KeptStart),
    /// A step ended.
    StepFinished(StepFinished),
    /// A stage met a passing fault and was tried again.
    Retry {
        /// Which stage.
        stage: String,
        /// Which attempt came next.
        attempt: usize,
        /// What went wrong.
        why: String,
    },
    /// A stage ended that was not fresh.
    StageFinished(KeptStage),
    /// The stages that were fresh.
    Fresh {
        /// The first of them, in the order in which that was known.
        stages: Vec<KeptFresh>,
    },
    /// A source was fetched, or could not be.
    SourceFinished {
        /// Which.
        source: String,
        /// The commit; `None` if it failed.
        commit: Option<String>,
        /// How long it took.
        elapsed_ms: u64,
    },
    /// The run ended.
    Finished {
        /// The wanted stages by outcome, without parts.
        outcome: BTreeMap<KeptOutcome, Vec<String>>,
        /// How many further stages were fresh, if they are too many to be named.
        more_fresh: usize,
        /// How long the run took.
        elapsed_ms: u64,
        /// How much build time the skips saved.
        saved_ms: u64,
    },
}

/// How a stage ended. Unlike in `--json`, each way has a word of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptOutcome {
    /// Its image was made.
    Built,
    /// Its image got its names back.
    Restored,
    /// Its image was pulled.
    Pulled,
    /// Nothing to do.
    Fresh,
    /// It failed.
    Failed,
    /// A stage that it stands on failed.
    Skipped,
    /// The run was stopped before it ended.
    Cancelled,
}

impl KeptOutcome {
    /// All of them, the good ones first.
    pub const ALL: [Self; 7] = [
        Self::Built,
        Self::Restored,
        Self::Pulled,
        Self::Fresh,
        Self::Failed,
        Self::Skipped,
        Self::Cancelled,
    ];

    /// Its word, for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Restored => "restored",
            Self::Pulled => "pulled",
            Self::Fresh => "fresh",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the stage had its image without a build.
    pub const fn is_saved(self) -> bool {
        matches!(self, Self::Fresh | Self::Restored | Self::Pulled)
    }
}

impl From<Outcome> for KeptOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Built => Self::Built,
            Outcome::Restored => Self::Restored,
            Outcome::Pulled => Self::Pulled,
            Outcome::Fresh => Self::Fresh,
            Outcome::Failed => Self::Failed,
            Outcome::Skipped => Self::Skipped,
            Outcome::Cancelled => Self::Cancelled,
        }
    }
}

/// The beginning of a stage's turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptStart {
    /// Which stage.
    pub stage: String,
    /// When.
    pub at_ms: u64,
    /// Why.
    pub reason: KeptReason,
    /// How long it took the last time.
    pub expected_ms: Option<u64>,
    /// The builder of the graph file; `None` for the engine's own.
    pub builder: Option<String>,
    /// How many places it took.
    pub weight: usize,
}

/// Why a stage was not fresh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptReason {
    /// Its kind.
    pub kind: ReasonKind,
    /// A clause for people.
    pub clause: String,
    /// What changed.
    pub changes: Vec<KeptChange>,
    /// How many further changes there were.
    pub more: usize,
}

/// One thing that changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeptChange {
    /// What kind of thing.
    pub what: String,
    /// Which one.
    pub name: String,
}

impl KeptReason {
    /// What is kept of a reason.
    pub fn of(reason: &Reason) -> Self {
        let changes = reason.changes.iter().take(CHANGES);
        let changes = changes.map(|change| KeptChange {
            what: change.what.word().to_owned(),
            name: change.name.clone(),
        });
        Self {
            kind: reason.kind,
            clause: reasons::clause(reason),
            changes: changes.collect(),
            more: reason.changes.len().saturating_sub(CHANGES),
        }
    }
}

/// A stage that was fresh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFresh {
    /// Which.
    pub stage: String,
    /// How long its recorded build took, which is what the skip saved.
    pub saved_ms: u64,
    /// The image's size in bytes.
    pub size: Option<u64>,
}

/// The end of a stage's turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptStage {
    /// Which stage.
    pub stage: String,
    /// How it ended.
    pub outcome: KeptOutcome,
    /// When it began.
    pub started_ms: u64,
    /// When it ended.
    pub ended_ms: u64,
    /// The image's id.
    pub image: Option<String>,
    /// The image's size in bytes.
    pub size: Option<u64>,
    /// What went wrong, or which stage it was skipped or cancelled for.
    pub error: Option<String>,
    /// The place of the step that failed: `Dockerfile:12`.
    pub place: Option<String>,
    /// What that step, or the host command, printed.
    pub excerpt: Excerpt,
    /// The path of the whole log.
    pub log: Option<String>,
    /// How long the recorded build took if no builder ran.
    pub saved_ms: u64,
}

impl KeptStage {
    /// What is kept of a stage's end.
    pub fn of(stage: &StageFinished) -> Self {
        let place = stage.step.as_ref().map(|step| match step.line {
            Some(line) => format!("{}:{line}", step.dockerfile),
            None => step.dockerfile.clone(),
        });
        Self {
            stage: stage.stage.clone(),
            outcome: stage.outcome.into(),
            started_ms: stage.started_ms,
            ended_ms: stage.ended_ms,
            image: stage.image.clone(),
            size: stage.size,
            error: stage.error.clone(),
            place,
            excerpt: stage.excerpt.clone(),
            log: stage.log.clone(),
            saved_ms: stage.saved_ms,
        }
    }
}
