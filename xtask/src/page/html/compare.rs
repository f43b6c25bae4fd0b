//! This run beside an earlier one.

use maud::{Markup, html};

use super::parts::{Column, badge, table, text, time, wide};
use super::timeline;
use crate::page::compare::{StageFigures, compared};
use crate::page::past_run::PastRun;
use crate::report::words;

pub(super) fn section(before: &PastRun, run: &PastRun) -> Markup {
    let rows = compared(before, run);
    let (new, gone) = (
        rows.iter().filter(|row| row.before.is_none()).count(),
        rows.iter().filter(|row| row.after.is_none()).count(),
    );
    let figures = |figures: Option<StageFigures>| {
        figures.map_or_else(
            || html! { span.muted { "not there" } },
            |it| badge(it.word()),
        )
    };
    let span_ms = before.elapsed_ms().max(run.elapsed_ms());
    let told = rows.iter().map(|row| {
        vec![
            text(row.stage),
            figures(row.before),
            figures(row.after),
            html! { @if let Some(it) = row.before { (time(it.ms)) } },
            html! { @if let Some(it) = row.after { (time(it.ms)) } },
            html! { data value=(row.delta_ms()) { (signed(row.delta_ms())) } },
            html! { (row.why.unwrap_or_default()) },
        ]
    });
    let columns = [
        Column::Text("stage"),
        Column::Text("before"),
        Column::Text("now"),
        Column::Number("time before"),
        Column::Number("time now"),
        Column::Number("difference"),
        Column::Long("why it was not fresh now"),
    ];
    let delta = i64::try_from(run.elapsed_ms()).unwrap_or(i64::MAX)
        - i64::try_from(before.elapsed_ms()).unwrap_or(i64::MAX);
    html! {
        h2 #comparison { "Comparison" }
        p {
            "Build " code { (before.name.id) } " took " (time(before.elapsed_ms())) ", this one "
            (time(run.elapsed_ms())) ": " (signed(delta)) "."
            @if new > 0 { " " (words::count(new, "new stage")) "." }
            @if gone > 0 { " Gone: " (words::count(gone, "stage")) "." }
        }
        h3 { "Before" }
        (wide("The timeline of the earlier build", &timeline::drawing(before, span_ms, "before-title")))
        h3 { "Now, on the same scale" }
        (wide("The timeline of this build", &timeline::drawing(run, span_ms, "now-title")))
        (table("All stages of both builds, the greatest differences first", &columns, &told.collect::<Vec<_>>()))
    }
}

fn signed(ms: i64) -> String {
    let sign = match ms {
        0 => "",
        1.. => "+",
        _ => "−",
    };
    format!("{sign}{}", words::time(ms.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_has_its_sign() {
        assert_eq!(signed(420), "+0.42 s");
        assert_eq!(signed(-61_000), "−1 min 01 s");
        assert_eq!(signed(0), "0.00 s");
    }
}
