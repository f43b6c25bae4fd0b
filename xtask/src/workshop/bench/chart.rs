//! The chart of a recorded run: one bar for each program's median time, as SVG.
//!
//! It has a background of its own, because a page shows it on a dark or on a light one. The scale is
//! logarithmic, as the times lie between milliseconds and minutes; so each bar says its time.

use super::figures;
use super::phrases::{command, title};
use super::table::{BenchReport, Row, Whose};

const WIDTH: f64 = 880.0;
/// Where the bars begin and how long they can be.
const LEFT: f64 = 380.0;
const BARS: f64 = 400.0;
const LINE: f64 = 18.0;
/// What is above the first case, and how much more is above each.
const TOP: f64 = 58.0;
const GAP: f64 = 12.0;
const OURS: &str = "#0969da";
const PEER: &str = "#8c959f";
const HEAD: &str = "Median time of this program (blue) and of others (grey)";

/// A logarithmic scale from a power of ten to another one.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// The scale for these times in milliseconds.
    fn of(times: impl Iterator<Item = f64>) -> Self {
        let (low, high) = times
            .filter(|ms| *ms > 0.0)
            .map(f64::log10)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| {
                (low.min(at), high.max(at))
            });
        let low = if low.is_finite() { low.floor() } else { 0.0 };
        let high = if high.is_finite() { high.ceil() } else { 0.0 };
        Self {
            low,
            high: high.max(low + 1.0),
        }
    }

    /// How long the bar of a time is.
    fn length(self, ms: f64) -> f64 {
        let part = (ms.log10() - self.low) / (self.high - self.low);
        (part * BARS).clamp(2.0, BARS)
    }

    /// The powers of ten in the scale.
    fn marks(self) -> Vec<f64> {
        let mut marks = Vec::new();
        let mut at = self.low;
        while at <= self.high {
            marks.push(10f64.powf(at));
            at += 1.0;
        }
        marks
    }
}

/// The chart.
pub fn chart(report: &BenchReport) -> String {
    let rows: Vec<(&Row, f64)> = report
        .rows
        .iter()
        .filter_map(|row| Some((row, row.median_ms?)))
        .collect();
    let scale = Scale::of(rows.iter().map(|(_, ms)| *ms));
    let mut body = String::new();
    let mut y = TOP;
    let mut case = "";
    for (row, ms) in rows {
        if row.case != case {
            case = &row.case;
            y += GAP + LINE;
            body.push_str(&format!(
                "<text x=\"16\" y=\"{:.0}\" class=\"c\">{}</text>\n",
                y - 4.0,
                escaped(title(case))
            ));
        }
        body.push_str(&bar(row, ms, scale, y));
        y += LINE;
    }
    let height = y + 16.0;
    let mut marks = String::new();
    for mark in scale.marks() {
        let x =
            LEFT + scale.length(mark).max(0.0) - if mark.log10() <= scale.low { 2.0 } else { 0.0 };
        marks.push_str(&format!(
            "<path d=\"M{x:.0} {TOP:.0}V{:.0}\" stroke=\"#d8dee4\"/>\
             <text x=\"{x:.0}\" y=\"{:.0}\" text-anchor=\"middle\" class=\"m\">{}</text>\n",
            y + 2.0,
            TOP - 6.0,
            round(mark)
        ));
    }
    let machine = &report.machine;
    let below = format!(
        "{} · {} · {} cores · Linux {} · runs of each, in turns: {}",
        machine.date, machine.processor, machine.cores, machine.kernel, report.runs
    );
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" width=\"{WIDTH:.0}\" \
         height=\"{height:.0}\" role=\"img\" aria-labelledby=\"t d\">\n\
         <title id=\"t\">{HEAD}</title>\n\
         <desc id=\"d\">Bars on a logarithmic scale, one for each program in each case, each with its time. \
         The table below the chart has the same figures.</desc>\n\
         <style>text{{font:12px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#1f2328}}\
         .h{{font-size:14px;font-weight:600}}.c{{font-weight:600}}.m{{fill:#59636e}}</style>\n\
         <rect width=\"{WIDTH:.0}\" height=\"{height:.0}\" rx=\"6\" fill=\"#ffffff\" stroke=\"#d1d9e0\"/>\n\
         <text x=\"16\" y=\"22\" class=\"h\">{HEAD}</text>\n\
         <text x=\"16\" y=\"38\" class=\"m\">{}</text>\n\
         {marks}{body}</svg>\n",
        escaped(&below)
    )
}

fn bar(row: &Row, ms: f64, scale: Scale, y: f64) -> String {
    let length = scale.length(ms);
    let colour = if row.whose == Whose::Ours { OURS } else { PEER };
    let (name, special) = command(&row.what);
    let label = special.map_or_else(|| name.to_owned(), |special| format!("{name}, {special}"));
    format!(
        "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
         <rect x=\"{LEFT:.0}\" y=\"{:.0}\" width=\"{length:.1}\" height=\"12\" fill=\"{colour}\"/>\
         <text x=\"{:.0}\" y=\"{:.0}\">{}</text>\n",
        LEFT - 8.0,
        y + 13.0,
        escaped(&shortened(&label)),
        y + 3.0,
        LEFT + length + 6.0,
        y + 13.0,
        figures::time(ms)
    )
}

/// A label that fits to the left of the bars.
fn shortened(label: &str) -> String {
    const MOST: usize = 56;
    if label.chars().count() <= MOST {
        return label.to_owned();
    }
    let kept: String = label.chars().take(MOST - 1).collect();
    format!("{}…", kept.trim_end())
}

/// A power of ten with its unit.
fn round(ms: f64) -> String {
    if ms < 1.0 {
        format!("{ms} ms")
    } else if ms < 1000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.0} s", ms / 1000.0)
    }
}

/// Text as XML has it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::measure::{Measured, Times};
    use super::*;

    #[test]
    fn the_scale_holds_every_time_between_powers_of_ten() {
        let scale = Scale::of([17.0, 2170.0].into_iter());
        assert_eq!(
            scale,
            Scale {
                low: 1.0,
                high: 4.0
            }
        );
        assert_eq!(
            scale.marks().map_shown(),
            ["10 ms", "100 ms", "1 s", "10 s"]
        );
        assert!((scale.length(10_000.0) - BARS).abs() < 1e-9);
        assert!(scale.length(17.0) < scale.length(18.0));
        // Neither no time at all nor a single time breaks it.
        assert_eq!(
            Scale::of([0.0].into_iter()),
            Scale {
                low: 0.0,
                high: 1.0
            }
        );
        assert_eq!(
            Scale::of([10.0].into_iter()),
            Scale {
                low: 1.0,
                high: 2.0
            }
        );
        assert!((scale.length(0.0) - 2.0).abs() < 1e-9);
    }

    trait MapShown {
        fn map_shown(self) -> Vec<String>;
    }

    impl MapShown for Vec<f64> {
        fn map_shown(self) -> Vec<String> {
            self.into_iter().map(round).collect()
        }
    }

    #[test]
    fn a_name_is_text_in_the_chart_and_each_bar_says_its_time() {
        let measured = |ms| Measured {
            times: Times::of(vec![Duration::from_millis(ms)]),
            memory: 1,
        };
        let ours = Row::ours("noop", "cargo xtask build", &measured(20));
        let peer = Row::peer("a <b> & \"c\"", &measured(2000), &ours, None);
        let report = BenchReport {
            rows: vec![
                ours,
                peer,
                Row::derived("noop", "left out", 1.0, "times", 1.0),
            ],
            ..BenchReport::default()
        };
        let chart = chart(&report);
        assert!(
            chart.contains("a &lt;b&gt; &amp; &quot;c&quot;</text>"),
            "{chart}"
        );
        assert!(chart.contains(">20.0 ms</text>"), "{chart}");
        assert!(chart.contains(">2.00 s</text>"), "{chart}");
        assert!(!chart.contains("left out"), "{chart}");
        assert_eq!(chart.matches(&format!("fill=\"{OURS}\"")).count(), 1);
        assert_eq!(chart.matches(&format!("fill=\"{PEER}\"")).count(), 1);
        assert_eq!(
            chart.matches("<text").count(),
            chart.matches("</text>").count()
        );
    }
}
