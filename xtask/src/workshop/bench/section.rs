//! The section about speed in a README, made from a recorded run.

use super::figures;
use super::phrases::{command, title};
use super::table::{BenchReport, Loss, Row, Whose};

/// The lines of a README between which the section is.
const BEGIN: &str = "<!-- bench: made by `cargo xtask bench --record` -->";
const END: &str = "<!-- end of bench -->";

/// Puts the section into a document. The error says what the document lacks.
pub fn put(document: &str, section: &str) -> Result<String, String> {
    let parts = document.split_once(BEGIN).and_then(|(before, behind)| {
        let (_, after) = behind.split_once(END)?;
        Some((before, after))
    });
    let Some((before, after)) = parts else {
        return Err(format!(
            "it has no place for the figures: add the lines `{BEGIN}` and `{END}`"
        ));
    };
    Ok(format!("{before}{BEGIN}\n{section}{END}{after}"))
}

/// The section: the chart, what it was measured on, the table, and where this program loses. `say`
/// gives the phrase of the document's language for an English one.
pub fn section(report: &BenchReport, chart: &str, say: &dyn Fn(&str) -> String) -> String {
    let mut text = format!(
        "\n![{}]({chart})\n\n{}",
        say("how long this program and others take"),
        measured_on(report, say)
    );
    text.push_str(&table(report, say));
    text.push_str(&format!("\n**{}**\n\n", say("where we lose")));
    let losses = report.losses();
    if losses.is_empty() {
        text.push_str(&format!("- {}\n", say("nowhere in this run")));
    }
    for of_one in losses.chunk_by(|one, other| one.ours == other.ours) {
        text.push_str(&format!("- {}\n", lost(of_one, say)));
    }
    text.push('\n');
    text
}

/// The machine, the programs and the run, as a list.
fn measured_on(report: &BenchReport, say: &dyn Fn(&str) -> String) -> String {
    let machine = &report.machine;
    let programs: Vec<String> = machine
        .programs
        .iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let hardware = [
        machine.processor.clone(),
        format!("{} {}", machine.cores, say("cores")),
        figures::gigabytes(machine.memory_bytes),
        machine.system.clone(),
        format!("Linux {}", machine.kernel),
    ];
    let load = format!("{:.1} → {:.1}", report.load, report.load_after);
    let lines = [
        ("date", machine.date.clone()),
        ("machine", hardware.join(" · ")),
        ("programs", programs.join(" · ")),
        ("commit", machine.commit.clone()),
        ("runs of each, in turns", report.runs.to_string()),
        ("load before and after", load),
    ];
    let lines = lines.map(|(name, value)| format!("- {}: {value}\n", say(name)));
    lines.concat()
}

fn table(report: &BenchReport, say: &dyn Fn(&str) -> String) -> String {
    let mut text = format!(
        "\n| | {} | {} | {} | {} |\n| --- | ---: | ---: | ---: | ---: |\n",
        say("median"),
        say("fastest – slowest"),
        say("beside ours"),
        say("memory")
    );
    let mut case = "";
    for row in report.rows.iter().filter(|row| row.median_ms.is_some()) {
        if row.case != case {
            case = &row.case;
            text.push_str(&format!("| **{}** | | | | |\n", say(title(case))));
        }
        let time = |ms: Option<f64>| figures::time(ms.unwrap_or_default());
        let ratio = report.beside(row).and_then(|ours| {
            let ratio = row.median_ms? / ours.median_ms?;
            ratio.is_finite().then(|| figures::times(ratio))
        });
        text.push_str(&format!(
            "| {} | {} | {} – {} | {} | {} |\n",
            shown(row, say),
            time(row.median_ms),
            time(row.min_ms),
            time(row.max_ms),
            ratio.unwrap_or_default(),
            row.memory_bytes.map(figures::memory).unwrap_or_default()
        ));
    }
    text
}

/// The losses beside one row of ours: its figures, then the better ones of each peer.
fn lost(losses: &[Loss<'_>], say: &dyn Fn(&str) -> String) -> String {
    let mut text = String::new();
    for of_one in losses.chunk_by(|one, other| one.peer == other.peer) {
        let figures: Vec<String> = of_one.iter().map(|loss| loss.figures().0).collect();
        let Loss { ours, peer, .. } = of_one[0];
        if text.is_empty() {
            text = format!("{}: {}", say(title(&ours.case)), shown(ours, say));
            text.push_str(&format!(" {}; ", both(ours)));
        } else {
            text.push_str(", ");
        }
        text.push_str(&format!("{} {}", shown(peer, say), figures.join(" · ")));
    }
    text
}

/// The time and the memory of a row.
fn both(row: &Row) -> String {
    let time = row.median_ms.map(figures::time);
    let memory = row.memory_bytes.map(figures::memory);
    let both: Vec<String> = time.into_iter().chain(memory).collect();
    both.join(" · ")
}

/// What was measured, as a cell of the table.
fn shown(row: &Row, say: &dyn Fn(&str) -> String) -> String {
    let (name, special) = command(&row.what);
    let name = if name.starts_with("a ") {
        say(name)
    } else if row.whose == Whose::Ours {
        format!("**`{name}`**")
    } else {
        format!("`{name}`")
    };
    match special {
        Some(special) => format!("{name} ({})", say(special)),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::measure::{Measured, Times};
    use super::*;

    fn report() -> BenchReport {
        let measured = |ms, memory| Measured {
            times: Times::of(vec![Duration::from_millis(ms)]),
            memory,
        };
        let ours = Row::ours("noop", "cargo xtask build", &measured(20, 9_000_000));
        let small = Row::peer("ninja", &measured(5, 1_000_000), &ours, None);
        let slow = Row::peer(
            "docker buildx bake",
            &measured(2000, 90_000_000),
            &ours,
            None,
        );
        let fast = Row::peer(
            "a bare program, which looks",
            &measured(10, 9_500_000),
            &ours,
            None,
        );
        BenchReport {
            runs: 1,
            rows: vec![
                ours,
                slow,
                fast,
                small,
                Row::derived("noop", "x", 1.0, "times", 1.0),
            ],
            ..BenchReport::default()
        }
    }

    #[test]
    fn the_table_holds_each_time_and_the_losses_only_what_was_lost() {
        let text = section(&report(), "chart.svg", &str::to_owned);
        for line in [
            "![how long this program and others take](chart.svg)",
            "| **nothing to do** | | | | |",
            "| **`cargo xtask build`** | 20.0 ms | 20.0 ms – 20.0 ms |  | 9 MB |",
            "| `docker buildx bake` | 2.00 s | 2.00 s – 2.00 s | 100 × | 90 MB |",
            "| a bare program (which looks) | 10.0 ms | 10.0 ms – 10.0 ms | 0.500 × | 9.5 MB |",
            "- nothing to do: **`cargo xtask build`** 20.0 ms · 9 MB; a bare program (which looks) 10.0 ms, `ninja` 5.00 ms · 1 MB",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
        assert_eq!(text.matches("- nothing to do:").count(), 1);
        let won = BenchReport {
            rows: report().rows[..2].to_vec(),
            ..report()
        };
        assert!(section(&won, "c", &str::to_owned).contains("- nowhere in this run\n"));
    }

    #[test]
    fn only_what_is_between_the_lines_is_replaced() {
        let document = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let new = put(&document, "new\n").unwrap();
        assert_eq!(new, format!("before\n{BEGIN}\nnew\n{END}\nafter\n"));
        assert_eq!(put(&new, "new\n").unwrap(), new);
        for document in ["", BEGIN, END] {
            assert!(put(document, "new").unwrap_err().contains(END));
        }
    }
}
