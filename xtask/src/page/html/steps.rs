//! The slowest steps.

use maud::{Markup, html};

use super::parts::{Column, badge, number, table, text, time};
use crate::page::past_run::PastRun;
use crate::report::event::{StepEnd, StepFinished};
use crate::report::words;

/// How many steps are listed.
const MOST: usize = 150;

pub(super) fn section(run: &PastRun) -> Markup {
    let all = run.turns.iter().flat_map(|turn| &turn.steps);
    let mut all: Vec<&StepFinished> = all.collect();
    let took = |step: &StepFinished| step.ended_ms.saturating_sub(step.started_ms);
    all.sort_by_key(|step| std::cmp::Reverse(took(step)));
    let of = |end: StepEnd| {
        let own: Vec<&&StepFinished> = all.iter().filter(|step| step.end == end).collect();
        let ms = own.iter().map(|step| took(step)).sum::<u64>();
        (own.len(), ms)
    };
    let (ran, ran_ms) = of(StepEnd::Ran);
    let (cached, _) = of(StepEnd::Cached);
    let is_worth_a_row = |step: &&&StepFinished| step.end != StepEnd::Cached && took(step) > 0;
    let listed: Vec<&&StepFinished> = all.iter().filter(is_worth_a_row).take(MOST).collect();
    let left_out = all.len() - cached - listed.len();
    let rows = listed.iter().map(|step| {
        let end = match step.end {
            StepEnd::Ran => "ran",
            StepEnd::Cached => "cached",
            StepEnd::Failed => "failed",
            StepEnd::Cancelled => "cancelled",
        };
        vec![
            html! { code { (words::one_line(&step.step)) } },
            text(&step.stage),
            badge(end),
            time(step.started_ms),
            time(took(step)),
        ]
    });
    let columns = [
        Column::Long("step"),
        Column::Text("stage"),
        Column::Text("end"),
        Column::Number("began at"),
        Column::Number("time"),
    ];
    html! {
        h2 #steps { "Steps" }
        @if all.is_empty() {
            p { "No builder ran a step." }
        } @else {
            dl.figures #step-figures {
                div { dt { "steps that ran" } dd { (number(ran)) } }
                div { dt { "their time" } dd { (time(ran_ms)) } }
                div { dt { "cached steps" } dd { (number(cached)) } }
            }
            (table("The slowest steps that were not cached", &columns, &rows.collect::<Vec<_>>()))
            @if left_out > 0 {
                p.muted { (words::count(left_out, "shorter step")) " are not listed; " code.flag { "--trace FILE" } " has all." }
            }
        }
    }
}
