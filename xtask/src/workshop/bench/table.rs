//! Measured figures beside their goals, as lines for people and JSON for programs.

use serde::Serialize;

use super::measure::Times;

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The case that it belongs to.
    pub case: &'static str,
    /// What was measured.
    pub what: String,
    /// The median of its runs.
    pub median_ms: Option<f64>,
    /// The fastest of its runs.
    pub min_ms: Option<f64>,
    /// The figure that has a goal.
    pub result: Option<f64>,
    /// The unit of the result.
    pub unit: &'static str,
    /// What the result should not exceed.
    pub goal: Option<f64>,
    /// Whether the result meets the goal.
    pub met: Option<bool>,
}

impl Row {
    /// A row of times, without a result.
    pub fn times(case: &'static str, what: impl Into<String>, times: &Times) -> Self {
        Self {
            case,
            what: what.into(),
            median_ms: Some(times.median()),
            min_ms: Some(times.min()),
            result: None,
            unit: "",
            goal: None,
            met: None,
        }
    }

    /// The times of a peer. The result is our median as a part of the peer's.
    pub fn peer(
        case: &'static str,
        what: impl Into<String>,
        ours: &Times,
        theirs: &Times,
        goal: f64,
    ) -> Self {
        let ratio = ours.median() / theirs.median();
        Self::times(case, what, theirs).with(ratio, "of it", goal)
    }

    /// A row with a result and without times.
    pub fn figure(
        case: &'static str,
        what: impl Into<String>,
        result: f64,
        unit: &'static str,
        goal: f64,
    ) -> Self {
        let none = Self {
            case,
            what: what.into(),
            median_ms: None,
            min_ms: None,
            result: None,
            unit: "",
            goal: None,
            met: None,
        };
        none.with(result, unit, goal)
    }

    fn with(self, result: f64, unit: &'static str, goal: f64) -> Self {
        Self {
            result: Some(result),
            unit,
            goal: Some(goal),
            // NaN meets no goal.
            met: Some(result <= goal),
            ..self
        }
    }
}

/// Everything of one run.
#[derive(Debug, Default, Serialize)]
pub struct BenchReport {
    /// How often every program ran.
    pub runs: usize,
    /// How many cores the machine has.
    pub cores: usize,
    /// The load: how many processes wanted a core, on average over the minute before. If others
    /// took cores away, a program that uses all cores looks slower beside one that uses a single
    /// core.
    pub load: f64,
    /// The figures.
    pub rows: Vec<Row>,
    /// What was left out and why, and what a reader must know of the figures.
    pub notes: Vec<String>,
}

impl BenchReport {
    /// A table, with the notes below it.
    pub fn text(&self) -> String {
        let head = ["case", "what", "median", "min", "result", "goal", ""];
        let mut lines = vec![head.map(str::to_owned)];
        let mut case = "";
        for row in &self.rows {
            lines.push(cells(row, row.case != case));
            case = row.case;
        }
        let width = |column: usize| {
            let cells = lines.iter().map(|line| line[column].chars().count());
            cells.max().unwrap_or_default()
        };
        let widths: [usize; 7] = std::array::from_fn(width);
        let mut text = String::new();
        for line in &lines {
            let mut cells = String::new();
            for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
                // Words to the left, numbers to the right.
                let cell = match column {
                    0 | 1 | 6 => format!("{cell:width$}  "),
                    _ => format!("{cell:>width$}  "),
                };
                cells.push_str(&cell);
            }
            text.push_str(cells.trim_end());
            text.push('\n');
        }
        text.push_str(&format!(
            "{} runs of each in turns, {} cores, load {:.1} before\n",
            self.runs, self.cores, self.load
        ));
        for note in &self.notes {
            text.push_str(&format!("note: {note}\n"));
        }
        text
    }
}

fn cells(row: &Row, is_first: bool) -> [String; 7] {
    let ms = |ms: Option<f64>| ms.map_or_else(String::new, |ms| format!("{ms:.1} ms"));
    let number = |value: Option<f64>| value.map_or_else(String::new, short);
    let result = match row.result {
        Some(result) => format!("{} {}", short(result), row.unit),
        None => String::new(),
    };
    let met = match row.met {
        Some(true) => "met",
        Some(false) => "missed",
        None => "",
    };
    [
        if is_first { row.case } else { "" }.to_owned(),
        row.what.clone(),
        ms(row.median_ms),
        ms(row.min_ms),
        result.trim_end().to_owned(),
        number(row.goal),
        met.to_owned(),
    ]
}

/// A number with three significant digits.
fn short(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// How many times as much a further file costs if there are many: the cost of one between the last
/// two sizes, divided by the cost of one between the two sizes before. `None` for fewer than three
/// sizes, or if more files took no more time.
pub fn further_cost(sizes: &[(usize, f64)]) -> Option<f64> {
    let [.., a, b, c] = sizes else { return None };
    #[expect(
        clippy::cast_precision_loss,
        reason = "numbers of files are far from 2^52"
    )]
    let each = |from: &(usize, f64), to: &(usize, f64)| {
        (to.1 - from.1) / (to.0.saturating_sub(from.0).max(1)) as f64
    };
    let (before, last) = (each(a, b), each(b, c));
    (before > 0.0).then_some(last / before)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn times(ms: &[u64]) -> Times {
        Times::of(ms.iter().copied().map(Duration::from_millis).collect())
    }

    #[test]
    fn a_ratio_is_of_medians_and_meets_its_goal_when_it_is_equal() {
        let row = |goal| Row::peer("noop", "git", &times(&[10, 1, 90]), &times(&[40]), goal);
        assert_eq!(row(0.25).result, Some(0.25));
        assert_eq!(row(0.25).met, Some(true));
        assert_eq!(row(0.249).met, Some(false));
    }

    #[test]
    fn a_peer_that_took_no_time_makes_no_goal_met() {
        let none = times(&[]);
        assert_eq!(Row::peer("noop", "git", &none, &none, 1.0).met, Some(false));
        let ours = times(&[1]);
        assert_eq!(Row::peer("noop", "git", &ours, &none, 1.0).met, Some(false));
    }

    #[test]
    fn growth_without_fixed_costs_and_with_them_is_linear() {
        let cost = |sizes: &[(usize, f64)]| further_cost(sizes).unwrap();
        let plain = [(10, 10.0), (100, 100.0), (1000, 1000.0)];
        assert!((cost(&plain) - 1.0).abs() < 1e-9);
        let fixed = plain.map(|(files, ms)| (files, ms + 500.0));
        assert!((cost(&fixed) - 1.0).abs() < 1e-9);
        let square = [(10, 1.0), (100, 100.0), (1000, 10_000.0)];
        assert!((cost(&square) - 10.0).abs() < 1e-9);
        assert_eq!(further_cost(&plain[..2]), None);
        assert_eq!(further_cost(&[(1, 5.0), (2, 5.0), (3, 9.0)]), None);
    }

    #[test]
    fn the_table_names_a_case_once_and_lines_its_columns_up() {
        let (ours, theirs) = (times(&[10]), times(&[1000]));
        let report = BenchReport {
            runs: 3,
            cores: 2,
            load: 0.25,
            rows: vec![
                Row::times("noop", "ours", &ours),
                Row::peer("noop", "theirs", &ours, &theirs, 0.02),
                Row::figure("growth", "memory", 310.0, "bytes a file", 300.0),
            ],
            notes: vec!["said".to_owned()],
        };
        assert_eq!(
            report.text(),
            "\
case    what       median        min            result   goal
noop    ours      10.0 ms    10.0 ms
        theirs  1000.0 ms  1000.0 ms       0.010 of it  0.020  met
growth  memory                        310 bytes a file    300  missed
3 runs of each in turns, 2 cores, load 0.2 before
note: said
"
        );
    }
}
