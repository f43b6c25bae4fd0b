//! Where the time went: the stages and their steps on the places of the run.

use maud::{Markup, html};

use super::parts::{Column, badge, percent, table, text, time, wide};
use crate::page::gain;
use crate::page::lanes::PlacesTaken;
use crate::page::links::Links;
use crate::page::past_run::PastRun;
use crate::page::trace::in_rows;
use crate::report::event::{StepEnd, StepFinished};
use crate::report::words;

/// The width of a drawing, and of what stands left of its times.
const WIDTH: u64 = 1160;
const LEFT: u64 = 66;
/// The height of a stage's bar, and of a row of steps below it.
const BAR: u64 = 22;
const ROW: u64 = 6;
/// How many rows of steps a place has at most.
const ROWS: usize = 3;
/// How many steps are drawn at most, the longest ones.
const STEPS: usize = 400;
/// How many marks the axis has at most.
const MARKS: u64 = 10;

pub(super) fn section(run: &PastRun) -> Markup {
    let links = Links::of(run);
    if links.turns.is_empty() {
        return html! {
            h2 #timeline { "Timeline" }
            p { "Every stage was fresh, so there is nothing to draw." }
        };
    }
    let places = PlacesTaken::of(&links, run.jobs);
    let longest = links.longest();
    html! {
        h2 #timeline { "Timeline" }
        (legend())
        (wide("The timeline of the build", &drawing(run, run.elapsed_ms(), "timeline-title")))
        (critical(&links, &longest, run))
        (idle(run, &places))
        (gains(&links, run))
    }
}

fn legend() -> Markup {
    let sample = |class: &str| {
        html! { svg width="14" height="12" aria-hidden="true" { rect class=(class) x="1" y="1" width="12" height="10" {} } }
    };
    html! {
        ul.key {
            li { (sample("box built")) "built" }
            li { (sample("box failed")) "failed" }
            li { (sample("box built critical")) "on the critical path (thick border)" }
            li { (sample("idle")) "idle place" }
            li { (sample("ran")) "step that ran" }
            li { (sample("cached")) "cached step" }
            li { (sample("failed-step")) "failed step" }
        }
    }
}

/// The timeline of a run. A drawing of another run with the same `span_ms` has the same scale.
pub(super) fn drawing(run: &PastRun, span_ms: u64, title: &str) -> Markup {
    let links = Links::of(run);
    let places = PlacesTaken::of(&links, run.jobs);
    let longest = links.longest();
    let scale = Scale {
        span_ms: span_ms.max(run.elapsed_ms()).max(1),
    };
    let shortest = shortest_drawn(&links);
    let mut rows = vec![0; places.gaps.len()];
    let mut steps: Vec<(usize, usize, &StepFinished)> = Vec::new();
    for (turn, own) in links.turns.iter().zip(&places.of_turn) {
        for (row, step) in in_rows(&turn.steps) {
            let ms = step.ended_ms.saturating_sub(step.started_ms);
            if let Some(place) = own.first()
                && row < ROWS
                && ms >= shortest
            {
                rows[*place] = rows[*place].max(row + 1);
                steps.push((*place, row, step));
            }
        }
    }
    let mut top = 24;
    let tops: Vec<u64> = rows
        .iter()
        .map(|rows| {
            let own = top;
            top += BAR + 10 + *rows as u64 * ROW;
            own
        })
        .collect();
    html! {
        svg width=(WIDTH) height=(top) role="img" aria-labelledby=(title) {
            title id=(title) {
                (links.turns.len()) " stages on " (places.gaps.len()) " places in "
                (words::time(run.elapsed_ms())) ". The table of stages has the same times."
            }
            @for mark in scale.marks() {
                line.tick x1=(scale.x(mark)) x2=(scale.x(mark)) y1="18" y2=(top) {}
                text.quiet x=(scale.x(mark) + 3) y="12" { (words::time(mark)) }
            }
            @for (place, gaps) in places.gaps.iter().enumerate() {
                text.quiet x="0" y=(tops[place] + 15) { "place " (place + 1) }
                @for gap in gaps.iter().filter(|gap| scale.width(gap.ms()) > 2) {
                    rect.idle x=(scale.x(gap.from_ms)) y=(tops[place]) width=(scale.width(gap.ms())) height=(BAR) {
                        title { "idle for " (words::time(gap.ms())) }
                    }
                }
            }
            @for (at, (turn, own)) in links.turns.iter().zip(&places.of_turn).enumerate() {
                @let is_critical = longest.contains(&at);
                @for place in own {
                    @let (x, width) = (scale.x(turn.started_ms), scale.width(turn.took_ms()).max(1));
                    g {
                        title {
                            (turn.stage) " " (turn.word()) " in " (words::time(turn.took_ms()))
                            @if let Some(reason) = &turn.reason { ", " (reason.clause) }
                        }
                        rect class={ "box " (turn.word()) @if is_critical { " critical" } }
                            x=(x) y=(tops[*place]) width=(width) height=(BAR) rx="2" {}
                        @if turn.stage.len() as u64 * 7 + 8 < width {
                            text class={ "on " (turn.word()) } x=(x + 5) y=(tops[*place] + 15) { (turn.stage) }
                        }
                    }
                }
            }
            @for (place, row, step) in &steps {
                rect class=(class(step.end)) x=(scale.x(step.started_ms))
                    y=(tops[*place] + BAR + 2 + *row as u64 * ROW)
                    width=(scale.width(step.ended_ms.saturating_sub(step.started_ms)).max(1)) height=(ROW - 1) {
                    title { (words::one_line(&step.step)) ", " (words::time(step.ended_ms.saturating_sub(step.started_ms))) }
                }
            }
        }
    }
}

/// The length of the shortest step that is drawn.
fn shortest_drawn(links: &Links<'_>) -> u64 {
    let steps = links.turns.iter().flat_map(|turn| &turn.steps);
    let mut lengths: Vec<u64> = steps
        .map(|step| step.ended_ms.saturating_sub(step.started_ms))
        .collect();
    lengths.sort_unstable_by_key(|ms| std::cmp::Reverse(*ms));
    lengths.get(STEPS).copied().unwrap_or(0).max(1)
}

const fn class(end: StepEnd) -> &'static str {
    match end {
        StepEnd::Ran => "ran",
        StepEnd::Cached => "cached",
        StepEnd::Failed => "failed-step",
        StepEnd::Cancelled => "cancelled",
    }
}

/// From times to places on a drawing.
struct Scale {
    span_ms: u64,
}

impl Scale {
    fn width(&self, ms: u64) -> u64 {
        let wide = u128::from(WIDTH - LEFT - 4) * u128::from(ms) / u128::from(self.span_ms);
        u64::try_from(wide).unwrap_or(WIDTH).min(WIDTH)
    }

    fn x(&self, ms: u64) -> u64 {
        LEFT + self.width(ms)
    }

    /// Round times for the axis.
    fn marks(&self) -> impl Iterator<Item = u64> {
        let steps = (0..).flat_map(|power| [1, 2, 5].map(|it: u64| it * 10_u64.pow(power)));
        let minutes = [60, 120, 300, 600, 1200, 1800, 3600].map(|it| it * 1000);
        let steps = steps.take_while(|it| *it <= 20_000).chain(minutes);
        let step = steps.into_iter().find(|it| self.span_ms / it < MARKS);
        let step = step.unwrap_or(self.span_ms.div_ceil(MARKS));
        (0..=self.span_ms / step)
            .map(move |at| at * step)
            .filter(|it| self.x(*it) + 60 < WIDTH)
    }
}

fn critical(links: &Links<'_>, longest: &[usize], run: &PastRun) -> Markup {
    let sum = links.sum_ms(longest);
    let rows = longest.iter().map(|at| {
        let turn = links.turns[*at];
        let slowest = turn.steps.iter().filter(|step| step.end != StepEnd::Cached);
        let slowest = slowest.max_by_key(|step| step.ended_ms.saturating_sub(step.started_ms));
        vec![
            text(&turn.stage),
            badge(turn.word()),
            time(turn.started_ms),
            time(turn.took_ms()),
            html! {
                @if let Some(step) = slowest {
                    code { (words::step(&step.step)) } ", "
                    (time(step.ended_ms.saturating_sub(step.started_ms)))
                }
            },
        ]
    });
    let columns = [
        Column::Text("stage"),
        Column::Text("outcome"),
        Column::Number("began at"),
        Column::Number("time"),
        Column::Long("its slowest step"),
    ];
    html! {
        h3 #critical { "Critical path" }
        p {
            (time(sum)) " of " (time(run.elapsed_ms())) " are the longest way through stages that wait for each other. "
            "The build gets shorter if one of them does, or if they wait for less."
        }
        (table("The stages of the critical path, in their order", &columns, &rows.collect::<Vec<_>>()))
    }
}

fn idle(run: &PastRun, places: &PlacesTaken) -> Markup {
    let mut gaps: Vec<_> = places.gaps.iter().enumerate().collect();
    gaps.retain(|(_, gaps)| !gaps.is_empty());
    let rows = gaps.iter().map(|(place, gaps)| {
        let longest = gaps.iter().max_by_key(|gap| gap.ms());
        vec![
            html! { "place " (place + 1) },
            time(gaps.iter().map(|gap| gap.ms()).sum()),
            html! { @if let Some(gap) = longest { (time(gap.ms())) } },
            html! { @if let Some(gap) = longest { (time(gap.from_ms)) } },
        ]
    });
    let columns = [
        Column::Text("place"),
        Column::Number("idle in all"),
        Column::Number("longest gap"),
        Column::Number("from"),
    ];
    html! {
        h3 #idle { "Idle places" }
        p {
            "From the first stage to the last, places were idle for " (time(places.idle_ms())) ", which is "
            (percent(places.idle_ms(), places.there_ms())) " of the time of all "
            (words::count(run.jobs, "place")) "."
        }
        @if !gaps.is_empty() {
            (table("How long each place was idle", &columns, &rows.collect::<Vec<_>>()))
        }
    }
}

fn gains(links: &Links<'_>, run: &PastRun) -> Markup {
    let estimates = gain::estimates(links, run.jobs);
    let now = estimates.first().map_or(0, |estimate| estimate.ms);
    let rows = estimates.iter().map(|estimate| {
        vec![
            html! {
                @match estimate.jobs {
                    Some(jobs) => { (words::count(jobs, "place")) @if jobs == run.jobs { ", as it was" } }
                    None => { "any number" }
                }
            },
            time(estimate.ms),
            html! { (percent(now.saturating_sub(estimate.ms), now)) },
        ]
    });
    let columns = [
        Column::Text("places"),
        Column::Number("estimate"),
        Column::Number("shorter by"),
    ];
    html! {
        h3 #more-jobs { "What more jobs would gain" }
        p {
            "An estimate: the stages of this build, with the times that they took, laid out on other numbers of places. "
            "Stages that run together slow each other down, so more places gain less than this says. "
            code.flag { "--jobs" } " sets the number."
        }
        (table("The length of the build by the number of places", &columns, &rows.collect::<Vec<_>>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_few_round_marks_whatever_it_shows() {
        for span_ms in [1, 7, 420, 9_999, 61_000, 3_600_000, 90_000_000_000] {
            let scale = Scale { span_ms };
            let marks: Vec<u64> = scale.marks().collect();
            assert!((1..=10).contains(&marks.len()), "{span_ms}: {marks:?}");
            assert!(marks.iter().all(|mark| scale.x(*mark) < WIDTH));
        }
    }
}
