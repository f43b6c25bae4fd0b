//! Measured figures beside those of the peers and beside their goals, as lines for people and JSON
//! for programs.

use serde::{Deserialize, Serialize};

use super::figures;
use super::machine::BenchMachine;
use super::measure::Measured;

/// Whose a figure is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Whose {
    /// This program's.
    Ours,
    /// Another program's.
    Peer {
        /// What it is held against: the `what` of a row of ours in the same case.
        beside: String,
    },
    /// A figure that follows from others, and has a goal.
    Derived,
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The case that it belongs to.
    pub case: String,
    /// What was measured: a command, and behind a comma what is special about it.
    pub what: String,
    /// Whose it is.
    #[serde(flatten)]
    pub whose: Whose,
    /// The median of its runs.
    pub median_ms: Option<f64>,
    /// The fastest of its runs.
    pub min_ms: Option<f64>,
    /// The slowest of its runs.
    pub max_ms: Option<f64>,
    /// The most memory of its processes together.
    pub memory_bytes: Option<u64>,
    /// The figure that has a goal. Of a peer it is our median as a part of the peer's.
    pub result: Option<f64>,
    /// The unit of the result.
    pub unit: String,
    /// What the result should not exceed.
    pub goal: Option<f64>,
    /// Whether the result meets the goal.
    pub met: Option<bool>,
}

impl Row {
    /// What this program takes.
    pub fn ours(case: &str, what: impl Into<String>, measured: &Measured) -> Self {
        let thousandth = |ms: f64| Some((ms * 1000.0).round() / 1000.0);
        Self {
            median_ms: thousandth(measured.times.median()),
            min_ms: thousandth(measured.times.min()),
            max_ms: thousandth(measured.times.max()),
            memory_bytes: Some(measured.memory),
            ..Self::empty(case, what.into(), Whose::Ours)
        }
    }

    /// What a peer takes, held against a row of ours.
    pub fn peer(
        what: impl Into<String>,
        measured: &Measured,
        ours: &Self,
        goal: Option<f64>,
    ) -> Self {
        let row = Self::ours(&ours.case, what, measured);
        let ratio = ours.median_ms.unwrap_or(f64::NAN) / row.median_ms.unwrap_or(f64::NAN);
        let whose = Whose::Peer {
            beside: ours.what.clone(),
        };
        Self { whose, ..row }.with(ratio, "of it", goal)
    }

    /// A figure that follows from others.
    pub fn derived(
        case: &str,
        what: impl Into<String>,
        result: f64,
        unit: &str,
        goal: f64,
    ) -> Self {
        Self::empty(case, what.into(), Whose::Derived).with(result, unit, Some(goal))
    }

    fn empty(case: &str, what: String, whose: Whose) -> Self {
        Self {
            case: case.to_owned(),
            what,
            whose,
            median_ms: None,
            min_ms: None,
            max_ms: None,
            memory_bytes: None,
            result: None,
            unit: String::new(),
            goal: None,
            met: None,
        }
    }

    fn with(self, result: f64, unit: &str, goal: Option<f64>) -> Self {
        Self {
            // JSON has no NaN; without a result no goal is met.
            result: result.is_finite().then(|| (result * 1e6).round() / 1e6),
            unit: unit.to_owned(),
            goal,
            met: goal.map(|goal| result <= goal),
            ..self
        }
    }
}

/// Everything of one run.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchReport {
    /// What it was measured on.
    pub machine: BenchMachine,
    /// How often every program ran.
    pub runs: usize,
    /// The load of the machine before.
    pub load: f64,
    /// The load afterwards, which contains the bench itself.
    pub load_after: f64,
    /// The figures.
    pub rows: Vec<Row>,
    /// What was left out and why, and what a reader must know of the figures.
    pub notes: Vec<String>,
}

/// What a peer needs less of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LessOf {
    /// It was faster.
    Time,
    /// It had less memory.
    Memory,
}

/// A row in which a peer was better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loss<'r> {
    /// Our row.
    pub ours: &'r Row,
    /// The peer's.
    pub peer: &'r Row,
    /// What the peer needs less of.
    pub less: LessOf,
}

impl BenchReport {
    /// Every row in which a peer was faster or had less memory, in the order of the rows.
    pub fn losses(&self) -> Vec<Loss<'_>> {
        let mut losses = Vec::new();
        for peer in &self.rows {
            let Some(ours) = self.beside(peer) else {
                continue;
            };
            let is_faster = peer.median_ms.zip(ours.median_ms);
            if is_faster.is_some_and(|(theirs, own)| theirs < own) {
                let less = LessOf::Time;
                losses.push(Loss { ours, peer, less });
            }
            let is_smaller = peer.memory_bytes.zip(ours.memory_bytes);
            if is_smaller.is_some_and(|(theirs, own)| theirs < own) {
                let less = LessOf::Memory;
                losses.push(Loss { ours, peer, less });
            }
        }
        losses
    }

    /// Our row that a peer's row is held against.
    pub fn beside(&self, peer: &Row) -> Option<&Row> {
        let Whose::Peer { beside } = &peer.whose else {
            return None;
        };
        self.rows
            .iter()
            .find(|row| row.whose == Whose::Ours && row.case == peer.case && row.what == *beside)
    }

    /// A table, with the losses and the notes below it.
    pub fn text(&self) -> String {
        let head = [
            "case", "what", "median", "min", "max", "memory", "result", "goal", "",
        ];
        let mut lines = vec![head.map(str::to_owned)];
        let mut case = "";
        for row in &self.rows {
            lines.push(cells(row, row.case != case));
            case = &row.case;
        }
        let width = |column: usize| {
            let cells = lines.iter().map(|line| line[column].chars().count());
            cells.max().unwrap_or_default()
        };
        let widths: [usize; 9] = std::array::from_fn(width);
        let mut text = String::new();
        for line in &lines {
            let mut cells = String::new();
            for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
                // Words to the left, numbers to the right.
                let cell = match column {
                    0 | 1 | 8 => format!("{cell:width$}  "),
                    _ => format!("{cell:>width$}  "),
                };
                cells.push_str(&cell);
            }
            text.push_str(cells.trim_end());
            text.push('\n');
        }
        text.push_str(&format!(
            "{} runs of each in turns, {} cores, load {:.1} before and {:.1} after\n",
            self.runs, self.machine.cores, self.load, self.load_after
        ));
        for loss in self.losses() {
            text.push_str(&format!("we lose: {}\n", told(&loss)));
        }
        for note in &self.notes {
            text.push_str(&format!("note: {note}\n"));
        }
        text
    }
}

/// A loss as a line of text.
fn told(loss: &Loss<'_>) -> String {
    let Loss { ours, peer, .. } = loss;
    let (theirs, own) = loss.figures();
    format!("{}: {} {theirs}, {} {own}", ours.case, peer.what, ours.what)
}

impl Loss<'_> {
    /// The peer's figure and ours, with their units.
    pub fn figures(&self) -> (String, String) {
        let figure = |row: &Row| match self.less {
            LessOf::Time => figures::time(row.median_ms.unwrap_or_default()),
            LessOf::Memory => figures::memory(row.memory_bytes.unwrap_or_default()),
        };
        (figure(self.peer), figure(self.ours))
    }
}

fn cells(row: &Row, is_first: bool) -> [String; 9] {
    let ms = |ms: Option<f64>| ms.map_or_else(String::new, |ms| format!("{ms:.1} ms"));
    let case = if is_first { row.case.as_str() } else { "" };
    let met = match row.met {
        Some(true) => "met",
        Some(false) => "missed",
        None => "",
    };
    let result = row
        .result
        .map(|result| format!("{} {}", figures::short(result), row.unit));
    let goal = row.goal.map(figures::short);
    [
        case.to_owned(),
        row.what.clone(),
        ms(row.median_ms),
        ms(row.min_ms),
        ms(row.max_ms),
        row.memory_bytes.map(figures::memory).unwrap_or_default(),
        result.unwrap_or_default(),
        goal.unwrap_or_default(),
        met.to_owned(),
    ]
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

    use super::super::measure::Times;
    use super::*;

    fn measured(ms: &[u64], memory: u64) -> Measured {
        let times = Times::of(ms.iter().copied().map(Duration::from_millis).collect());
        Measured { times, memory }
    }

    #[test]
    fn a_ratio_is_of_medians_and_meets_its_goal_when_it_is_equal() {
        let ours = Row::ours("noop", "build", &measured(&[10, 1, 90], 0));
        let row = |goal| Row::peer("git", &measured(&[40], 0), &ours, goal);
        assert_eq!(row(Some(0.25)).result, Some(0.25));
        assert_eq!(row(Some(0.25)).met, Some(true));
        assert_eq!(row(Some(0.249)).met, Some(false));
        assert_eq!(row(None).met, None);
    }

    #[test]
    fn a_peer_that_took_no_time_makes_no_goal_met() {
        let none = measured(&[], 0);
        for ours in [&none, &measured(&[1], 0)] {
            let ours = Row::ours("noop", "build", ours);
            let peer = Row::peer("git", &none, &ours, Some(1.0));
            assert_eq!((peer.result, peer.met), (None, Some(false)));
        }
    }

    #[test]
    fn every_row_in_which_a_peer_was_better_is_a_loss_and_no_other() {
        let ours = Row::ours("noop", "build", &measured(&[10], 1000));
        let other = Row::ours("noop", "plan", &measured(&[1], 1));
        let peer = |what: &str, ms: u64, memory| {
            Row::peer(what, &measured(&[ms], memory), &ours, Some(1.0))
        };
        let report = BenchReport {
            rows: vec![
                other,
                ours.clone(),
                peer("faster", 9, 1000),
                peer("the same", 10, 1000),
                peer("smaller", 11, 999),
                peer("both", 9, 999),
                peer("neither", 11, 1001),
                // The same name in another case is another row.
                Row::ours("cold", "build", &measured(&[100], 9000)),
                Row::derived("noop", "a further file", 2.0, "times", 1.0),
            ],
            ..BenchReport::default()
        };
        let losses = report.losses();
        let lost: Vec<_> = losses
            .iter()
            .map(|loss| (loss.peer.what.as_str(), loss.less))
            .collect();
        let expected = [
            ("faster", LessOf::Time),
            ("smaller", LessOf::Memory),
            ("both", LessOf::Time),
            ("both", LessOf::Memory),
        ];
        assert_eq!(lost, expected);
        assert!(losses.iter().all(|loss| *loss.ours == ours));
    }

    #[test]
    fn a_report_is_the_same_after_it_was_written_and_read() {
        let ours = Row::ours("noop", "build", &measured(&[10], 1000));
        let report = BenchReport {
            runs: 3,
            load: 0.25,
            rows: vec![
                Row::peer("git", &measured(&[3], 1), &ours, None),
                Row::peer("none", &measured(&[], 1), &ours, Some(1.0)),
                ours,
                Row::derived("noop", "a further file", 2.0, "times", 1.0),
            ],
            notes: vec!["said".to_owned()],
            ..BenchReport::default()
        };
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<BenchReport>(&json).unwrap(), report);
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
        let ours = Row::ours("noop", "ours", &measured(&[10], 9_000_000));
        let theirs = measured(&[1000, 1001, 1002], 1_500_000);
        let report = BenchReport {
            runs: 3,
            load: 0.25,
            load_after: 1.0,
            rows: vec![
                ours.clone(),
                Row::peer("theirs", &theirs, &ours, Some(0.02)),
                Row::derived("growth", "memory", 310.0, "bytes a file", 300.0),
            ],
            notes: vec!["said".to_owned()],
            ..BenchReport::default()
        };
        assert_eq!(
            report.text(),
            "\
case    what       median        min        max  memory            result   goal
noop    ours      10.0 ms    10.0 ms    10.0 ms    9 MB
        theirs  1001.0 ms  1000.0 ms  1002.0 ms  1.5 MB       0.010 of it  0.020  met
growth  memory                                           310 bytes a file    300  missed
3 runs of each in turns, 0 cores, load 0.2 before and 1.0 after
we lose: noop: theirs 1.5 MB, ours 9 MB
note: said
"
        );
    }
}
