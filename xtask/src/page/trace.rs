//! A run as Chrome's trace events, which Perfetto and `chrome://tracing` open
//! (docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU, *Trace Event Format*).

use serde_json::{Value, json};

use super::WRITER;
use super::lanes::PlacesTaken;
use super::links::Links;
use super::past_run::{PastRun, StageTurn};
use crate::report::event::{StepEnd, StepFinished};

/// The process of all events.
const PROCESS: usize = 1;
/// Each place has so many numbers for its own row and for those of steps that run together.
const ROWS: usize = 1000;

/// The trace of a run.
pub fn trace(run: &PastRun) -> Value {
    let links = Links::of(run);
    let places = PlacesTaken::of(&links, run.jobs);
    let longest = links.longest();
    let mut events = vec![named("process_name", 0, &format!("build {}", run.name.id))];
    let mut rows = vec![0; places.gaps.len()];
    for (at, (turn, own)) in links.turns.iter().zip(&places.of_turn).enumerate() {
        let Some(place) = own.first() else {
            continue;
        };
        for place in own {
            events.push(of_stage(turn, place * ROWS + 1, longest.contains(&at)));
        }
        for (row, step) in in_rows(&turn.steps) {
            rows[*place] = rows[*place].max(row + 1);
            events.push(of_step(step, place * ROWS + 2 + row.min(ROWS - 3)));
        }
    }
    for (place, rows) in rows.iter().enumerate() {
        let name = format!("place {}", place + 1);
        events.push(named("thread_name", place * ROWS + 1, &name));
        for row in 0..(*rows).min(ROWS - 2) {
            let name = format!("place {}, steps {}", place + 1, row + 1);
            events.push(named("thread_name", place * ROWS + 2 + row, &name));
        }
    }
    json!({
        "displayTimeUnit": "ms",
        "otherData": { "writer": WRITER },
        "traceEvents": events,
    })
}

fn named(what: &str, thread: usize, name: &str) -> Value {
    json!({ "name": what, "ph": "M", "pid": PROCESS, "tid": thread, "args": { "name": name } })
}

fn of_stage(turn: &StageTurn, thread: usize, is_on_longest_way: bool) -> Value {
    json!({
        "name": turn.stage,
        "cat": "stage",
        "ph": "X",
        "ts": turn.started_ms * 1000,
        "dur": turn.took_ms() * 1000,
        "pid": PROCESS,
        "tid": thread,
        "args": {
            "outcome": turn.word(),
            "why": turn.reason.as_ref().map(|reason| &reason.clause),
            "critical": is_on_longest_way,
            "builder": turn.builder,
        },
    })
}

fn of_step(step: &StepFinished, thread: usize) -> Value {
    let end = match step.end {
        StepEnd::Ran => "ran",
        StepEnd::Cached => "cached",
        StepEnd::Failed => "failed",
        StepEnd::Cancelled => "cancelled",
    };
    json!({
        "name": step.step,
        "cat": "step",
        "ph": "X",
        "ts": step.started_ms * 1000,
        "dur": step.ended_ms.saturating_sub(step.started_ms) * 1000,
        "pid": PROCESS,
        "tid": thread,
        "args": { "end": end },
    })
}

/// Each step with a row in which no other step runs at the same time.
pub(super) fn in_rows(steps: &[StepFinished]) -> Vec<(usize, &StepFinished)> {
    let mut steps: Vec<&StepFinished> = steps.iter().collect();
    steps.sort_by_key(|step| (step.started_ms, std::cmp::Reverse(step.ended_ms)));
    let mut free: Vec<u64> = Vec::new();
    let mut placed = Vec::new();
    for step in steps {
        let row = free.iter().position(|free| *free <= step.started_ms);
        let row = row.unwrap_or_else(|| {
            free.push(0);
            free.len() - 1
        });
        free[row] = step.ended_ms;
        placed.push((row, step));
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::testing::RunBuilder;

    #[test]
    fn no_two_events_of_a_row_overlap_and_their_times_are_those_of_the_run() {
        let run = RunBuilder::new(2)
            .built("api", 0, 100)
            .step("api", "one", 0, 60, StepEnd::Ran)
            .step("api", "two", 10, 80, StepEnd::Ran)
            .step("api", "three", 80, 90, StepEnd::Failed)
            .weighing("web", 100, 150, 2)
            .run();
        let trace = trace(&run);
        let events = trace["traceEvents"].as_array().unwrap();
        let spans: Vec<&Value> = events.iter().filter(|event| event["ph"] == "X").collect();
        // `web` takes two places.
        assert_eq!(spans.len(), 6);
        for (at, one) in spans.iter().enumerate() {
            let number = |event: &Value, name: &str| event[name].as_u64().unwrap();
            for other in &spans[at + 1..] {
                let apart = number(one, "ts") + number(one, "dur") <= number(other, "ts")
                    || number(other, "ts") + number(other, "dur") <= number(one, "ts");
                assert!(apart || one["tid"] != other["tid"], "{one} {other}");
            }
            let has_name = events
                .iter()
                .any(|event| event["name"] == "thread_name" && event["tid"] == one["tid"]);
            assert!(has_name, "{one}");
        }
        let steps = spans.iter().filter(|event| event["cat"] == "step");
        let sum: u64 = steps.map(|step| step["dur"].as_u64().unwrap()).sum();
        assert_eq!(sum, (60 + 70 + 10) * 1000);
    }
}
