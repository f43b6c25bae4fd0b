//! How the run ended, in figures and stage by stage.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::parts::{Column, badge, number, percent, size, table, text, time};
use crate::page::causes;
use crate::page::links::Links;
use crate::page::past_run::{PastRun, RunEnd, StageTurn};
use crate::report::kept::KeptOutcome;
use crate::report::words;

pub(super) fn section(run: &PastRun) -> Markup {
    let links = Links::of(run);
    html! {
        h2 #summary { "Summary" }
        @if run.end == RunEnd::Broken {
            p { "A fault ended this build before its stages had ended, so what it says is not whole." }
        }
        dl.figures #figures {
            @for outcome in KeptOutcome::ALL {
                @let count = run.count(outcome);
                @if count > 0 { div { dt { (outcome.word()) } dd { (number(count)) } } }
            }
            div { dt { "took" } dd { (time(run.elapsed_ms())) } }
            div { dt { "build time of all stages" } dd { (time(run.busy_ms())) } }
            div { dt { "saved by skips" } dd { (time(run.saved_ms())) } }
        }
        (failures(run))
        (stages(run, &links))
        @if !run.notices.is_empty() {
            h3 { "Notes" }
            ul { @for notice in &run.notices { li { (notice) } } }
        }
        @if !run.sources.is_empty() {
            h3 { "Sources fetched first" }
            ul {
                @for source in &run.sources {
                    li {
                        (source.source) ": "
                        @match &source.commit {
                            Some(commit) => { "commit " code { (words::shortened(commit)) } }
                            None => { "failed" }
                        }
                        ", " (time(source.elapsed_ms))
                    }
                }
            }
        }
    }
}

/// The failed stages, with the lines that say why.
fn failures(run: &PastRun) -> Markup {
    let failed = run.turns.iter();
    let failed = failed.filter(|turn| turn.outcome == Some(KeptOutcome::Failed));
    html! {
        @for turn in failed {
            h3 {
                (turn.stage) " failed"
                @if let Some(place) = &turn.place { " at " code { (place) } }
            }
            @if let Some(error) = &turn.error { p { (error) } }
            @let shown = &turn.excerpt;
            @if !shown.tail.is_empty() || !shown.above.is_empty() {
                pre tabindex="0" role="region" aria-label={ "why " (turn.stage) " failed" } {
                    @for line in &shown.above { (line) "\n" }
                    @if shown.omitted > 0 { "… " (words::count(shown.omitted, "line")) " left out\n" }
                    @for line in &shown.tail { (line) "\n" }
                }
            }
        }
    }
}

/// For each turn the stages at the root of it, unless that is itself.
fn roots_by_stage<'r>(links: &Links<'r>) -> BTreeMap<&'r str, Vec<&'r StageTurn>> {
    let roots = causes::roots(links);
    let all = links.turns.iter().zip(roots).enumerate();
    let all = all.map(|(own, (turn, roots))| {
        let others = roots.into_iter().filter(|root| *root != own);
        (
            turn.stage.as_str(),
            others.map(|root| links.turns[root]).collect(),
        )
    });
    all.collect()
}

fn stages(run: &PastRun, links: &Links<'_>) -> Markup {
    let roots = roots_by_stage(links);
    let longest = links.longest();
    let longest: Vec<&str> = longest
        .iter()
        .map(|at| links.turns[*at].stage.as_str())
        .collect();
    let worked = run.turns.iter().map(|turn| {
        let roots = roots.get(turn.stage.as_str());
        let share = percent(turn.took_ms(), run.busy_ms());
        vec![
            text(&turn.stage),
            badge(turn.word()),
            html! {
                @if let Some(reason) = &turn.reason { (reason.clause) }
                @else if let Some(error) = &turn.error { (error) }
                @for root in roots.into_iter().flatten() {
                    br;
                    span.muted {
                        "root cause: " (root.stage) ": "
                        @if let Some(reason) = &root.reason { (reason.clause) }
                    }
                }
                @for why in &turn.retries { br; span.muted { "tried again: " (why) } }
            },
            time(turn.started_ms),
            time(turn.took_ms()),
            html! { (share) },
            html! { @if longest.contains(&turn.stage.as_str()) { "yes" } @else { "" } },
            turn.size.map_or_else(|| html! {}, size),
            time(turn.saved_ms),
        ]
    });
    let fresh = run.fresh.iter().map(|fresh| {
        vec![
            text(&fresh.stage),
            badge("fresh"),
            html! {},
            html! {},
            time(0),
            html! {},
            html! {},
            fresh.size.map_or_else(|| html! {}, size),
            time(fresh.saved_ms),
        ]
    });
    let columns = [
        Column::Text("stage"),
        Column::Text("outcome"),
        Column::Long("why it was not fresh"),
        Column::Number("began at"),
        Column::Number("time"),
        Column::Number("share"),
        Column::Text("critical path"),
        Column::Number("image"),
        Column::Number("saved"),
    ];
    let rows: Vec<Vec<Markup>> = worked.chain(fresh).collect();
    html! {
        h3 #stages { "Stages" }
        (table("All stages, with the cause of each build", &columns, &rows))
        @if run.more_fresh > 0 {
            p.muted { (words::count(run.more_fresh, "further stage")) " fresh, whose names were not kept." }
        }
    }
}
