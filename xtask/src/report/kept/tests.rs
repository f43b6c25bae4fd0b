use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;

use super::*;
use crate::freshness::key::IngredientKind;
use crate::freshness::verdict::{Change, Reason};
use crate::report::event::{Finished, StageFinished, StepEnd, StepFinished};
use crate::report::excerpt::Excerpt;

fn state() -> (tempfile::TempDir, State) {
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
    (folder, State::in_folder(path))
}

fn ended(stage: &str, outcome: Outcome) -> Event {
    Event::StageFinished(StageFinished {
        stage: stage.to_owned(),
        outcome,
        started_ms: 5,
        ended_ms: 905,
        image: None,
        size: Some(7),
        error: None,
        step: None,
        excerpt: Excerpt::default(),
        log: None,
        saved_ms: 3,
    })
}

fn started(stages: usize) -> Event {
    let graph = (0..stages).map(|at| (format!("s{at}"), Vec::new()));
    Event::Started {
        stages,
        jobs: 2,
        graph: Arc::new(graph.collect()),
    }
}

fn kept(events: &[Event]) -> Option<(RunName, Vec<KeptEvent>)> {
    let (_folder, state) = state();
    let mut keeper = Keeper::of(&state).began_at(1_000_000_000_000);
    let now = Instant::now();
    events.iter().for_each(|event| keeper.take(event, now));
    keeper.end(now);
    let runs = RunFolder::of(&state);
    let run = runs.runs().pop()?;
    let lines = runs.read(&run).unwrap();
    Some((run, lines))
}

#[test]
fn a_run_is_read_as_it_was_with_each_outcome_and_without_the_values_of_arguments() {
    let change = Change {
        what: IngredientKind::Argument.into(),
        name: "TOKEN".to_owned(),
        before: Some("hunter1".to_owned()),
        after: Some("hunter2".to_owned()),
        left_out: false,
    };
    let step = StepFinished {
        stage: "a".to_owned(),
        step: "[2/2] RUN make".to_owned(),
        started_ms: 10,
        ended_ms: 900,
        end: StepEnd::Ran,
    };
    let outcomes = [("a", Outcome::Built), ("b", Outcome::Pulled)];
    let outcomes = outcomes.map(|(name, outcome)| (name.to_owned(), outcome));
    let events = [
        started(1),
        Event::StageStarted {
            stage: "a".to_owned(),
            reason: Reason::of(vec![change; 100]),
            at_ms: 5,
            expected_ms: None,
            builder: None,
            weight: Some(2),
        },
        Event::Output {
            stage: "a".to_owned(),
            lines: vec!["printed".to_owned()],
        },
        Event::StepFinished(step.clone()),
        ended("a", Outcome::Built),
        ended("b", Outcome::Pulled),
        ended("c", Outcome::Fresh),
        Event::Finished(Finished {
            outcome: BTreeMap::from(outcomes),
            ..Finished::default()
        }),
    ];
    let (run, lines) = kept(&events).unwrap();
    assert!(!run.is_noop && run.id.starts_with("20010909T014640Z-"));
    let [
        KeptEvent::Started {
            began_ms, graph, ..
        },
        KeptEvent::StageStarted(start),
        KeptEvent::StepFinished(own),
        KeptEvent::StageFinished(built),
        KeptEvent::StageFinished(pulled),
        KeptEvent::Fresh { stages },
        KeptEvent::Finished { outcome, .. },
    ] = lines.as_slice()
    else {
        panic!("{lines:?}");
    };
    assert_eq!((*began_ms, graph.len()), (1_000_000_000_000, 1));
    let reason = &start.reason;
    assert_eq!(
        (start.weight, reason.changes.len(), reason.more),
        (2, 40, 60)
    );
    assert!(reason.clause.contains("TOKEN"));
    assert!(!format!("{lines:?}").contains("hunter"));
    assert_eq!(*own, step);
    assert_eq!(built.outcome, KeptOutcome::Built);
    assert_eq!(pulled.outcome, KeptOutcome::Pulled);
    assert_eq!((&*stages[0].stage, stages[0].saved_ms), ("c", 3));
    assert_eq!(outcome[&KeptOutcome::Pulled], ["b"]);
}

#[test]
fn a_stage_that_was_fresh_after_its_host_command_has_both_ends() {
    let start = Event::StageStarted {
        stage: "a".to_owned(),
        reason: Reason::of(Vec::new()),
        at_ms: 5,
        expected_ms: None,
        builder: None,
        weight: None,
    };
    let (run, lines) = kept(&[started(1), start, ended("a", Outcome::Fresh)]).unwrap();
    assert!(!run.is_noop);
    let Some(KeptEvent::StageFinished(end)) = lines.last() else {
        panic!("{lines:?}");
    };
    assert_eq!(end.outcome, KeptOutcome::Fresh);
}

#[test]
fn a_run_that_found_all_fresh_is_known_by_its_name_and_a_large_one_has_no_graph() {
    let of = |stages| {
        let events = [
            started(stages),
            ended("s0", Outcome::Fresh),
            Event::Finished(Finished::default()),
        ];
        kept(&events).unwrap()
    };
    let graph = |lines: &[KeptEvent]| match &lines[0] {
        KeptEvent::Started { graph, .. } => graph.len(),
        other => panic!("{other:?}"),
    };
    let (run, lines) = of(LARGE);
    assert!(run.is_noop);
    assert_eq!(graph(&lines), LARGE);
    assert_eq!(graph(&of(LARGE + 1).1), 0);
}

#[test]
fn a_run_that_did_not_begin_is_not_kept_and_one_that_did_not_end_is() {
    assert!(kept(&[Event::nothing(1)]).is_none());
    let (_, lines) = kept(&[started(1), ended("s0", Outcome::Fresh)]).unwrap();
    assert!(matches!(lines.last(), Some(KeptEvent::Fresh { stages }) if stages.len() == 1));
}

#[test]
fn a_run_with_nothing_to_do_is_kept_in_less_than_a_millisecond() {
    for stages in [100, 3000] {
        let (best, named) = best_of_many(stages);
        assert!(best < Duration::from_millis(1), "{stages}: {best:?}");
        assert_eq!(named, stages.min(LARGE));
    }
}

/// How long it takes to keep a run in which so many stages were fresh, and how many are named. The
/// best of many: a busy machine says little about one.
fn best_of_many(stages: usize) -> (Duration, usize) {
    let (_folder, state) = state();
    let mut events = vec![started(stages)];
    events.extend((0..stages).map(|at| ended(&format!("s{at}"), Outcome::Fresh)));
    events.push(Event::Finished(Finished {
        outcome: (0..stages)
            .map(|at| (format!("s{at}"), Outcome::Fresh))
            .collect(),
        ..Finished::default()
    }));
    let once = |at: u64| {
        let start = Instant::now();
        let mut keeper = Keeper::of(&state).began_at(1_000_000_000_000 + at * 1000);
        events.iter().for_each(|event| keeper.take(event, start));
        keeper.end(start);
        start.elapsed()
    };
    let best = (0..200).map(once).min().unwrap();
    let runs = RunFolder::of(&state);
    let names = runs.runs();
    assert_eq!(names.len(), 60);
    let Some(KeptEvent::Finished {
        outcome,
        more_fresh,
        ..
    }) = runs.read(&names[0]).unwrap().pop()
    else {
        panic!("the last event is missing");
    };
    let named = outcome[&KeptOutcome::Fresh].len();
    assert_eq!(named + more_fresh, stages);
    (best, named)
}
