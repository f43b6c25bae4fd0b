//! Runs for tests.

use camino::{Utf8Path, Utf8PathBuf};

use crate::freshness::verdict::ReasonKind;
use crate::page::past_run::PastRun;
use crate::report::event::{StepEnd, StepFinished};
use crate::report::excerpt::Excerpt;
use crate::report::kept::{
    KeptChange, KeptEvent, KeptFresh, KeptOutcome, KeptReason, KeptStage, KeptStart, RunName,
};

/// Builds a run, event by event.
pub(super) struct RunBuilder {
    began_ms: u64,
    jobs: usize,
    graph: std::collections::BTreeMap<String, Vec<String>>,
    events: Vec<KeptEvent>,
    outcome: std::collections::BTreeMap<KeptOutcome, Vec<String>>,
    elapsed_ms: u64,
    saved_ms: u64,
    logs: Option<Utf8PathBuf>,
}

impl RunBuilder {
    pub(super) fn new(jobs: usize) -> Self {
        Self {
            began_ms: 1_000_000_000_000,
            jobs,
            graph: std::collections::BTreeMap::new(),
            events: Vec::new(),
            outcome: std::collections::BTreeMap::new(),
            elapsed_ms: 0,
            saved_ms: 0,
            logs: None,
        }
    }

    /// The stages from here on have this log.
    pub(super) fn logging(mut self, path: &Utf8Path) -> Self {
        self.logs = Some(path.to_owned());
        self
    }

    pub(super) fn notice(mut self, message: &str) -> Self {
        self.events.push(KeptEvent::Notice {
            message: message.to_owned(),
        });
        self
    }

    pub(super) fn later(mut self, ms: u64) -> Self {
        self.began_ms += ms;
        self
    }

    pub(super) fn stands_on(mut self, stage: &str, parents: &[&str]) -> Self {
        let parents = parents.iter().map(ToString::to_string).collect();
        self.graph.insert(stage.to_owned(), parents);
        self
    }

    pub(super) fn built(self, stage: &str, from: u64, to: u64) -> Self {
        self.weighing(stage, from, to, 1)
    }

    pub(super) fn weighing(self, stage: &str, from: u64, to: u64, weight: usize) -> Self {
        let change = ("input", "src/main.rs");
        self.ended(stage, (from, to), weight, change, KeptOutcome::Built)
    }

    pub(super) fn because(self, stage: &str, from: u64, to: u64, change: (&str, &str)) -> Self {
        self.ended(stage, (from, to), 1, change, KeptOutcome::Built)
    }

    pub(super) fn failed(self, stage: &str, from: u64, to: u64) -> Self {
        let change = ("input", "src/main.rs");
        self.ended(stage, (from, to), 1, change, KeptOutcome::Failed)
    }

    fn ended(
        mut self,
        stage: &str,
        (from, to): (u64, u64),
        weight: usize,
        (what, name): (&str, &str),
        outcome: KeptOutcome,
    ) -> Self {
        let kind = match what {
            "upstream" => ReasonKind::UpstreamChanged,
            _ => ReasonKind::InputsChanged,
        };
        self.events.push(KeptEvent::StageStarted(KeptStart {
            stage: stage.to_owned(),
            at_ms: from,
            reason: KeptReason {
                kind,
                clause: format!("{name} changed"),
                changes: vec![KeptChange {
                    what: what.to_owned(),
                    name: name.to_owned(),
                }],
                more: 0,
            },
            expected_ms: None,
            builder: None,
            weight,
        }));
        let is_failed = outcome == KeptOutcome::Failed;
        self.events.push(KeptEvent::StageFinished(KeptStage {
            stage: stage.to_owned(),
            outcome,
            started_ms: from,
            ended_ms: to,
            image: (!is_failed).then(|| format!("sha256:{:064}", 7)),
            size: (!is_failed).then_some(1000),
            error: is_failed.then(|| "[2/2] RUN false: exit code: 1".to_owned()),
            place: is_failed.then(|| "Dockerfile:2".to_owned()),
            excerpt: Excerpt::default(),
            log: self.logs.as_ref().map(ToString::to_string),
            saved_ms: 0,
        }));
        self.elapsed_ms = self.elapsed_ms.max(to);
        self.of(stage, outcome)
    }

    pub(super) fn fresh(mut self, stage: &str, saved_ms: u64) -> Self {
        self.events.push(KeptEvent::Fresh {
            stages: vec![KeptFresh {
                stage: stage.to_owned(),
                saved_ms,
                size: Some(500),
            }],
        });
        self.saved_ms += saved_ms;
        self.of(stage, KeptOutcome::Fresh)
    }

    pub(super) fn step(
        mut self,
        stage: &str,
        step: &str,
        from: u64,
        to: u64,
        end: StepEnd,
    ) -> Self {
        self.events.push(KeptEvent::StepFinished(StepFinished {
            stage: stage.to_owned(),
            step: step.to_owned(),
            started_ms: from,
            ended_ms: to,
            end,
        }));
        self
    }

    fn of(mut self, stage: &str, outcome: KeptOutcome) -> Self {
        if !stage.contains('@') {
            let of = self.outcome.entry(outcome).or_default();
            of.push(stage.to_owned());
        }
        self
    }

    pub(super) fn run(self) -> PastRun {
        let name = RunName::new(self.began_ms / 1000, 1, false);
        PastRun::of(name, self.events()).unwrap()
    }

    /// The events, the first and the last one included.
    pub(super) fn events(mut self) -> Vec<KeptEvent> {
        let started = KeptEvent::Started {
            began_ms: self.began_ms,
            stages: self.graph.len(),
            jobs: self.jobs,
            graph: self.graph,
        };
        self.events.insert(0, started);
        self.events.push(KeptEvent::Finished {
            outcome: self.outcome,
            more_fresh: 0,
            elapsed_ms: self.elapsed_ms,
            saved_ms: self.saved_ms,
        });
        self.events
    }
}
