//! What skips have saved over the kept runs, and what caused most builds.

use maud::{Markup, html};

use super::parts::{Column, number, percent, table, time};
use crate::page::causes::{BuildCause, causes};
use crate::page::past_run::PastRun;
use crate::report::kept::KeptOutcome;
use crate::report::words;

/// How many causes are listed, and how many runs.
const CAUSES: usize = 50;
const RUNS: usize = 80;

pub(super) fn section(runs: &[PastRun]) -> Markup {
    html! { (savings(runs)) (causes_of(runs)) }
}

fn savings(runs: &[PastRun]) -> Markup {
    let stages: usize = runs.iter().map(PastRun::wanted).sum();
    let skipped: usize = runs.iter().map(PastRun::saved).sum();
    let rows = runs.iter().rev().take(RUNS).map(|run| {
        vec![
            html! { code { (run.name.id) } },
            html! { (when(run)) },
            number(run.wanted()),
            number(run.count(KeptOutcome::Built)),
            number(run.saved()),
            html! { (percent(run.saved() as u64, run.wanted() as u64)) },
            time(run.elapsed_ms()),
            time(run.saved_ms()),
        ]
    });
    let columns = [
        Column::Text("build"),
        Column::Text("began"),
        Column::Number("stages"),
        Column::Number("built"),
        Column::Number("not built"),
        Column::Number("hit rate"),
        Column::Number("took"),
        Column::Number("saved"),
    ];
    html! {
        h2 #savings { "Savings" }
        p {
            "Over the last " (words::count(runs.len(), "build")) ", " (number(skipped)) " of " (number(stages))
            " wanted images were there already (" (percent(skipped as u64, stages as u64)) "). That saved "
            span #saved { (time(runs.iter().map(PastRun::saved_ms).sum())) }
            " of building; all builds together took "
            span #taken { (time(runs.iter().map(PastRun::elapsed_ms).sum())) } "."
        }
        (table("The last builds, the latest first", &columns, &rows.collect::<Vec<_>>()))
    }
}

/// When a run began.
pub(super) fn when(run: &PastRun) -> String {
    let seconds = i64::try_from(run.began_ms / 1000).unwrap_or_default();
    let (_, moment) = calendar::shown(seconds);
    moment.replace('T', " ").replace('Z', " UTC")
}

/// The first stages of a cause.
fn stages_of(cause: &BuildCause) -> String {
    let first: Vec<&str> = cause.stages.iter().take(5).map(String::as_str).collect();
    let more = cause.stages.len() - first.len();
    let text = first.join(", ");
    if more == 0 {
        text
    } else {
        format!("{text} and {}", words::count(more, "more stage"))
    }
}

fn causes_of(runs: &[PastRun]) -> Markup {
    let causes = causes(runs);
    let rows = causes.iter().take(CAUSES).map(|cause| {
        vec![
            html! { (cause.change.name) },
            html! { (cause.change.what) },
            html! { (stages_of(cause)) },
            number(cause.runs),
            number(cause.builds),
            time(cause.ms),
        ]
    });
    let columns = [
        Column::Text("changed"),
        Column::Text("what it is"),
        Column::Long("of the stages"),
        Column::Number("builds in which it did"),
        Column::Number("stages built"),
        Column::Number("their time"),
    ];
    html! {
        h2 #causes { "What caused most builds" }
        @if causes.is_empty() {
            p { "None of the last " (words::count(runs.len(), "build")) " built a stage." }
        } @else {
            p {
                "Over the last " (words::count(runs.len(), "build"))
                ". Children that were built for a parent's new image count for the parent's cause; a stage with several causes counts for each."
            }
            (table("What changed, by the build time that it caused", &columns, &rows.collect::<Vec<_>>()))
            @if causes.len() > CAUSES {
                p.muted { (words::count(causes.len() - CAUSES, "further cause")) " caused less." }
            }
        }
    }
}
