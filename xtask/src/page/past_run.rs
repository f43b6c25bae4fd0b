//! A run, put together from its kept events.

use std::collections::{BTreeMap, BTreeSet};

use crate::report::event::StepFinished;
use crate::report::excerpt::Excerpt;
use crate::report::kept::{KeptEvent, KeptFresh, KeptOutcome, KeptReason, RunName};

/// Later times, and more places, than any run has: a file that says so is believed no further.
const LATEST_MS: u64 = 1 << 40;
const MOST_JOBS: usize = 4096;

/// A run of the past. Times are milliseconds since it began.
#[derive(Debug, Clone)]
pub struct PastRun {
    /// Its name.
    pub name: RunName,
    /// When it began, in milliseconds since 1970.
    pub began_ms: u64,
    /// How many places there were.
    pub jobs: usize,
    /// The stages that each wanted stage stands on, without parts.
    pub graph: BTreeMap<String, Vec<String>>,
    /// The stages that had to be looked at more closely, in the order of their beginnings.
    pub turns: Vec<StageTurn>,
    /// The stages that were fresh.
    pub fresh: Vec<KeptFresh>,
    /// The outcome of each wanted stage, without parts.
    pub outcome: BTreeMap<String, KeptOutcome>,
    /// How many further stages were fresh, whose names are not kept.
    pub more_fresh: usize,
    /// What the user was told.
    pub notices: Vec<String>,
    /// The sources that were fetched.
    pub sources: Vec<FetchedSource>,
    /// How it ended.
    pub end: RunEnd,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// It came to its end.
    Ended {
        /// How long it took.
        elapsed_ms: u64,
        /// How much build time the skips saved.
        saved_ms: u64,
    },
    /// A fault ended it before its stages had ended.
    Broken,
}

/// A source that was fetched before the stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedSource {
    /// Which.
    pub source: String,
    /// The commit; `None` if it failed.
    pub commit: Option<String>,
    /// How long it took.
    pub elapsed_ms: u64,
}

/// The turn of a stage, or of a part of one, that was not fresh.
#[derive(Debug, Clone, Default)]
pub struct StageTurn {
    /// The stage.
    pub stage: String,
    /// Why it was not fresh; `None` if it never began.
    pub reason: Option<KeptReason>,
    /// The builder of the graph file; `None` for the engine's own.
    pub builder: Option<String>,
    /// How many places it took.
    pub weight: usize,
    /// When it began.
    pub started_ms: u64,
    /// When it ended.
    pub ended_ms: u64,
    /// How it ended; `None` if the run broke before.
    pub outcome: Option<KeptOutcome>,
    /// The image's id.
    pub image: Option<String>,
    /// The image's size in bytes.
    pub size: Option<u64>,
    /// What went wrong.
    pub error: Option<String>,
    /// The place of the step that failed.
    pub place: Option<String>,
    /// What that step printed.
    pub excerpt: Excerpt,
    /// The path of the log.
    pub log: Option<String>,
    /// How long the recorded build took if no builder ran.
    pub saved_ms: u64,
    /// Its steps, in the order of their ends.
    pub steps: Vec<StepFinished>,
    /// The passing faults that it met.
    pub retries: Vec<String>,
}

impl StageTurn {
    /// How long it took.
    pub const fn took_ms(&self) -> u64 {
        self.ended_ms.saturating_sub(self.started_ms)
    }

    /// Whether it took a place for a while.
    pub const fn has_worked(&self) -> bool {
        self.reason.is_some() || self.took_ms() > 0
    }

    /// The word for how it ended.
    pub const fn word(&self) -> &'static str {
        match self.outcome {
            Some(outcome) => outcome.word(),
            None => "not ended",
        }
    }
}

/// The stage that a name is of: of a part, its whole.
pub fn whole(name: &str) -> &str {
    name.split_once('@').map_or(name, |(whole, _)| whole)
}

impl PastRun {
    /// Puts the events together. `None` without the first of them.
    pub fn of(name: RunName, events: Vec<KeptEvent>) -> Option<Self> {
        let mut run = Self {
            name,
            began_ms: 0,
            jobs: 0,
            graph: BTreeMap::new(),
            turns: Vec::new(),
            fresh: Vec::new(),
            outcome: BTreeMap::new(),
            more_fresh: 0,
            notices: Vec::new(),
            sources: Vec::new(),
            end: RunEnd::Broken,
        };
        let mut place = BTreeMap::new();
        let mut has_begun = false;
        for event in events {
            has_begun |= matches!(event, KeptEvent::Started { .. });
            run.take(event, &mut place);
        }
        run.turns
            .sort_by_key(|turn| (turn.started_ms, turn.ended_ms));
        has_begun.then_some(run)
    }

    fn turn(&mut self, stage: &str, place: &mut BTreeMap<String, usize>) -> &mut StageTurn {
        let at = *place.entry(stage.to_owned()).or_insert_with(|| {
            self.turns.push(StageTurn {
                stage: stage.to_owned(),
                weight: 1,
                ..StageTurn::default()
            });
            self.turns.len() - 1
        });
        &mut self.turns[at]
    }

    fn take(&mut self, event: KeptEvent, place: &mut BTreeMap<String, usize>) {
        match event {
            KeptEvent::Started {
                began_ms,
                jobs,
                graph,
                ..
            } => {
                self.began_ms = began_ms.min(LATEST_MS << 4);
                self.jobs = jobs.clamp(1, MOST_JOBS);
                self.graph = graph;
            }
            KeptEvent::Notice { message } => self.notices.push(message),
            KeptEvent::StageStarted(start) => {
                let turn = self.turn(&start.stage, place);
                turn.started_ms = start.at_ms.min(LATEST_MS);
                turn.ended_ms = turn.started_ms;
                turn.weight = start.weight.clamp(1, MOST_JOBS);
                turn.builder = start.builder;
                turn.reason = Some(start.reason);
            }
            KeptEvent::StepFinished(mut step) => {
                step.ended_ms = step.ended_ms.min(LATEST_MS);
                step.started_ms = step.started_ms.min(step.ended_ms);
                self.turn(&step.stage, place).steps.push(step);
            }
            KeptEvent::Retry { stage, why, .. } => self.turn(&stage, place).retries.push(why),
            KeptEvent::StageFinished(end) => {
                let turn = self.turn(&end.stage, place);
                turn.ended_ms = end.ended_ms.min(LATEST_MS);
                turn.started_ms = end.started_ms.min(turn.ended_ms);
                turn.outcome = Some(end.outcome);
                turn.image = end.image;
                turn.size = end.size;
                turn.error = end.error;
                turn.place = end.place;
                turn.excerpt = end.excerpt;
                turn.log = end.log;
                turn.saved_ms = end.saved_ms.min(LATEST_MS);
            }
            KeptEvent::Fresh { stages } => self.fresh.extend(stages),
            KeptEvent::SourceFinished {
                source,
                commit,
                elapsed_ms,
            } => self.sources.push(FetchedSource {
                source,
                commit,
                elapsed_ms,
            }),
            KeptEvent::Finished {
                outcome,
                more_fresh,
                elapsed_ms,
                saved_ms,
            } => {
                self.more_fresh = more_fresh;
                let of = outcome.into_iter();
                let of = of.flat_map(|(own, stages)| stages.into_iter().map(move |it| (it, own)));
                self.outcome = of.collect();
                self.end = RunEnd::Ended {
                    elapsed_ms: elapsed_ms.min(LATEST_MS),
                    saved_ms: saved_ms.min(LATEST_MS),
                };
            }
        }
    }

    /// How long it took; of a broken run, until the end of its last stage.
    pub fn elapsed_ms(&self) -> u64 {
        match self.end {
            RunEnd::Ended { elapsed_ms, .. } => elapsed_ms,
            RunEnd::Broken => self.turns.iter().map(|it| it.ended_ms).max().unwrap_or(0),
        }
    }

    /// How much build time the skips saved.
    pub const fn saved_ms(&self) -> u64 {
        match self.end {
            RunEnd::Ended { saved_ms, .. } => saved_ms,
            RunEnd::Broken => 0,
        }
    }

    /// How many wanted stages had this outcome.
    pub fn count(&self, outcome: KeptOutcome) -> usize {
        let named = self.outcome.values().filter(|own| **own == outcome).count();
        match outcome {
            KeptOutcome::Fresh => named.saturating_add(self.more_fresh),
            _ => named,
        }
    }

    /// How many stages were wanted.
    pub fn wanted(&self) -> usize {
        self.outcome.len().saturating_add(self.more_fresh)
    }

    /// How many wanted stages had their images without a build.
    pub fn saved(&self) -> usize {
        let named = self.outcome.values().filter(|own| own.is_saved()).count();
        named.saturating_add(self.more_fresh)
    }

    /// The turns that took a place for a while.
    pub fn worked(&self) -> Vec<&StageTurn> {
        self.turns.iter().filter(|turn| turn.has_worked()).collect()
    }

    /// The build time of all stages together.
    pub fn busy_ms(&self) -> u64 {
        self.worked().iter().map(|turn| turn.took_ms()).sum()
    }

    /// The names of all stages and parts of the run.
    pub fn stages(&self) -> BTreeSet<&str> {
        let turns = self.turns.iter().map(|turn| turn.stage.as_str());
        let fresh = self.fresh.iter().map(|fresh| fresh.stage.as_str());
        let wanted = self.outcome.keys().map(String::as_str);
        turns.chain(fresh).chain(wanted).collect()
    }
}
