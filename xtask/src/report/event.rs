//! What happened, as data. Reporters are given nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::freshness::verdict::Reason;
use crate::report::excerpt::Excerpt;

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its image was made.
    Built,
    /// Its image was there and got its references back; nothing was built. JSON says `built`, as it
    /// did before there was this variant.
    #[serde(rename = "built")]
    Restored,
    /// Its image was in the registry and was pulled; nothing was built. JSON says `fresh`.
    #[serde(rename = "fresh")]
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

impl Outcome {
    /// Whether the stage has its image.
    pub const fn is_good(self) -> bool {
        match self {
            Self::Built | Self::Restored | Self::Pulled | Self::Fresh => true,
            Self::Failed | Self::Skipped | Self::Cancelled => false,
        }
    }
}

/// One thing that happened. Times are milliseconds since the run began.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run begins.
    Started {
        /// How many stages are wanted.
        stages: usize,
        /// How many places there are.
        jobs: usize,
        /// The stages that each wanted stage stands on, without parts. `graph --format json` has it,
        /// too.
        #[serde(skip)]
        graph: Arc<BTreeMap<String, Vec<String>>>,
    },
    /// Something that the user should know, but that is no fault of the run.
    Notice {
        /// The sentence.
        message: String,
    },
    /// A stage is being built.
    StageStarted {
        /// Which.
        stage: String,
        /// Why.
        reason: Reason,
        /// When.
        at_ms: u64,
        /// How long it took the last time.
        expected_ms: Option<u64>,
        /// The builder of the graph file that it goes to; `None` for the engine's own.
        #[serde(skip_serializing_if = "Option::is_none")]
        builder: Option<String>,
        /// How many places it takes, if it takes more than one.
        #[serde(skip_serializing_if = "Option::is_none")]
        weight: Option<usize>,
    },
    /// A stage works on another step.
    Step {
        /// Which stage.
        stage: String,
        /// The step's name.
        step: String,
    },
    /// A step of a stage ended, or was taken from BuildKit's cache. BuildKit's internal steps are
    /// among them, as they take time, too.
    StepFinished(StepFinished),
    /// What a stage printed. For people only: JSON does not have it, as the log has all of it.
    #[serde(skip)]
    Output {
        /// Which stage.
        stage: String,
        /// The lines, without secrets.
        lines: Vec<String>,
    },
    /// A stage met a passing fault and will be tried again.
    Retry {
        /// Which stage.
        stage: String,
        /// Which attempt comes next.
        attempt: usize,
        /// What went wrong.
        why: String,
    },
    /// A stage ended.
    StageFinished(StageFinished),
    /// A source is being fetched from a repository.
    SourceStarted {
        /// Which.
        source: String,
        /// The repository's URL.
        from: String,
    },
    /// How far the fetching of a source is.
    SourceStep {
        /// Which source.
        source: String,
        /// Git's own words.
        step: String,
    },
    /// A source was fetched, or cannot be.
    SourceFinished(SourceFinished),
    /// The run ended. Always the last event.
    Finished(Finished),
}

impl Event {
    /// The end of a run with nothing to do.
    pub fn nothing(elapsed_ms: u64) -> Self {
        Self::Finished(Finished {
            elapsed_ms,
            ..Finished::default()
        })
    }
}

/// How the fetching of a source ended.
#[derive(Debug, Clone, Serialize)]
pub struct SourceFinished {
    /// Which.
    pub source: String,
    /// The commit that was fetched; `None` if it failed, which the run's own error reports.
    pub commit: Option<String>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepEnd {
    /// It ran.
    Ran,
    /// BuildKit had its result already.
    Cached,
    /// It failed.
    Failed,
    /// It was stopped, as another one failed or the run was interrupted.
    Cancelled,
}

/// A step that ended: one of a Dockerfile, one of BuildKit's own, or a host command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepFinished {
    /// Which stage.
    pub stage: String,
    /// The step's name.
    pub step: String,
    /// When it began.
    pub started_ms: u64,
    /// When it ended.
    pub ended_ms: u64,
    /// How it ended.
    pub end: StepEnd,
}

/// How a stage ended.
#[derive(Debug, Clone, Serialize)]
pub struct StageFinished {
    /// Which.
    pub stage: String,
    /// How.
    pub outcome: Outcome,
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
    /// The step of its Dockerfile that failed, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<FailedStep>,
    /// What that step, or the stage's host command, printed.
    #[serde(flatten)]
    pub excerpt: Excerpt,
    /// The path of the whole log of the builder or of the host command; `None` if neither ran to an
    /// end.
    pub log: Option<String>,
    /// If no builder ran: how long the recorded build took, which is what the skip saved.
    pub saved_ms: u64,
}

/// A step of a Dockerfile that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedStep {
    /// As BuildKit calls it: `[2/3] RUN make`.
    pub name: String,
    /// The Dockerfile, as the graph names it.
    pub dockerfile: String,
    /// Where that file is.
    #[serde(skip)]
    pub file: PathBuf,
    /// The step's line in the Dockerfile, if buildx says so.
    pub line: Option<u32>,
    /// The exit code of its command, if nothing else went wrong.
    pub exit_code: Option<i32>,
}

/// How the run ended.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Finished {
    /// Every wanted stage's outcome.
    pub outcome: BTreeMap<String, Outcome>,
    /// How many of the built stages were only restored.
    pub put_back: usize,
    /// How long the run took, in milliseconds.
    pub elapsed_ms: u64,
    /// How much build time the skips saved, in milliseconds.
    pub saved_ms: u64,
}
