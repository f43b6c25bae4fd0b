//! Words for people: times, sizes, the end of a stage, the summary.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::Duration;

use crate::report::event::{Finished, Outcome, SourceFinished, StageFinished};

/// Whether a stream takes colours: a terminal that is not told otherwise (no-color.org).
pub fn has_colours(stream: &impl IsTerminal) -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|it| it == "dumb");
    stream.is_terminal() && !is_set("NO_COLOR") && !is_dumb
}

/// `0.42 s`, `12.3 s`, `3 min 05 s`.
pub fn time(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{}.{:02} s", ms / 1000, ms % 1000 / 10),
        10_000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1000),
    }
}

/// `512 B`, `3.2 MB`, in powers of ten, as Docker shows sizes.
pub fn size(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut whole = bytes;
    let mut tenth = 0;
    let mut unit = "B";
    for next in units {
        if whole < 1000 {
            break;
        }
        tenth = whole % 1000 / 100;
        whole /= 1000;
        unit = next;
    }
    format!("{whole}.{tenth} {unit}")
}

/// `1 file`, `2 files`.
pub fn count(number: usize, one: &str) -> String {
    if number == 1 {
        format!("1 {one}")
    } else {
        format!("{number} {one}s")
    }
}

/// `` on `arm` `` for a builder of the graph file, nothing for the engine's own.
pub fn on_builder(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!(" on `{name}`"))
}

/// The line for a fetched source; `None` if it failed, which the run's own error reports.
pub fn fetched(source: &SourceFinished) -> Option<String> {
    let commit = source.commit.as_ref()?;
    let commit = commit.get(..12).unwrap_or(commit);
    let time = time(source.elapsed_ms);
    Some(format!("{}: at commit {commit}, in {time}", source.source))
}

/// A value in which a digest is cut to its first digits.
pub fn shortened(value: &str) -> String {
    let digest = |text: &str| text.len() >= 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match value.rsplit_once(':') {
        Some((head, tail)) if digest(tail) => format!("{head}:{}…", &tail[..12]),
        None if digest(value) => format!("{}…", &value[..12]),
        _ => value.to_owned(),
    }
}

/// The lines at the end of a run.
pub fn summary(finished: &Finished, failed: &[StageFinished]) -> String {
    let number = |wanted: Outcome| {
        finished
            .outcome
            .values()
            .filter(|outcome| **outcome == wanted)
            .count()
    };
    let mut parts = Vec::new();
    for outcome in [
        Outcome::Built,
        Outcome::Restored,
        Outcome::Pulled,
        Outcome::Fresh,
        Outcome::Failed,
        Outcome::Skipped,
        Outcome::Cancelled,
    ] {
        let number = number(outcome);
        if number > 0 || matches!(outcome, Outcome::Built | Outcome::Fresh) {
            parts.push(format!("{number} {}", self::outcome(outcome)));
        }
    }
    let mut text = format!("{} in {}", parts.join(", "), time(finished.elapsed_ms));
    if finished.saved_ms > 0 {
        let _ = write!(text, "; {} of building saved", time(finished.saved_ms));
    }
    for stage in failed {
        let _ = write!(text, "\n\n{}", failure(stage));
    }
    text
}

/// What the screen shows of a failed stage: where and how it failed, the lines that say why, the
/// end of its output, and where the rest is.
pub fn failure(stage: &StageFinished) -> String {
    let (name, excerpt) = (&stage.stage, &stage.excerpt);
    let error = stage.error.as_deref().unwrap_or("no reason was given");
    // A report of several mistakes has a heading before each.
    let error = error.strip_prefix("error: ").unwrap_or(error);
    let mut text = match &stage.step {
        Some(step) => {
            let line = step
                .line
                .map_or_else(String::new, |line| format!(":{line}"));
            let file = &step.dockerfile;
            match step.exit_code {
                Some(code) => format!(
                    "{name} failed at {file}{line}, exit code {code}: {}",
                    one_line(&step.name)
                ),
                None => format!("{name} failed at {file}{line}: {error}"),
            }
        }
        None => format!("{name} failed: {error}"),
    };
    let log = stage.log.as_deref();
    if excerpt.omitted > 0 {
        let omitted = count(excerpt.omitted, "line");
        let see = log.map_or_else(String::new, |log| format!(": see {log}"));
        let _ = write!(text, "\n  … {omitted} omitted{see}");
    }
    for line in &excerpt.tail {
        let _ = write!(text, "\n  | {line}");
    }
    if let Some(log) = log.filter(|_| excerpt.omitted == 0) {
        let _ = write!(text, "\n  full log: {log}");
    }
    // Last, where a person looks first.
    if !excerpt.above.is_empty() {
        text += "\n  further up it says:";
    }
    for line in &excerpt.above {
        let _ = write!(text, "\n  | {line}");
    }
    text
}

/// A step's name on one line of at most 160 characters.
pub fn one_line(name: &str) -> String {
    const WIDEST: usize = 160;
    let words: Vec<&str> = name.split_whitespace().collect();
    let name = words.join(" ");
    match name.char_indices().nth(WIDEST) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name,
    }
}

/// The line that says that a long step still runs.
pub fn still(name: &str, step: Option<&str>, since: Duration) -> String {
    let seconds = since.as_secs();
    let since = match seconds {
        0..120 => format!("{seconds} s"),
        _ => time(seconds * 1000),
    };
    let step = step.unwrap_or("no step yet");
    format!("{name}: still running: {step}, {since}")
}

/// A step without its number: `RUN make` for `[build 2/3] RUN make`.
pub fn step(name: &str) -> String {
    let bare = name
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "));
    one_line(bare.map_or(name, |(_, bare)| bare))
}

/// The word for an outcome.
pub const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Built => "built",
        Outcome::Restored => "restored",
        Outcome::Pulled => "pulled",
        Outcome::Fresh => "fresh",
        Outcome::Failed => "failed",
        Outcome::Skipped => "skipped",
        Outcome::Cancelled => "cancelled",
    }
}

/// The line for the end of a stage.
pub fn done(stage: &StageFinished) -> String {
    let took = time(stage.ended_ms.saturating_sub(stage.started_ms));
    match stage.outcome {
        Outcome::Restored => {
            format!("{}: tag restored; no build needed", stage.stage)
        }
        Outcome::Built => format!(
            "{} built in {took}, {}",
            stage.stage,
            size(stage.size.unwrap_or(0))
        ),
        Outcome::Pulled => format!("{} pulled in {took}, nothing built", stage.stage),
        Outcome::Fresh => format!("{} fresh", stage.stage),
        // The end of the run says why.
        Outcome::Failed => format!("{} failed after {took}", stage.stage),
        Outcome::Skipped | Outcome::Cancelled => {
            let word = if stage.outcome == Outcome::Skipped {
                "skipped"
            } else {
                "cancelled"
            };
            let because = stage
                .error
                .as_deref()
                .map_or_else(String::new, |error| format!(" {error}"));
            format!("{} {word}{because}", stage.stage)
        }
    }
}

/// The line of `done` with a colour on what became of the stage.
pub fn painted(line: &str, stage: &StageFinished) -> String {
    let colour = match stage.outcome {
        Outcome::Built | Outcome::Restored | Outcome::Pulled | Outcome::Fresh => 32,
        Outcome::Failed => 31,
        Outcome::Skipped | Outcome::Cancelled => 33,
    };
    let Some(rest) = line.strip_prefix(&stage.stage) else {
        return line.to_owned();
    };
    let start = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(0);
    let end = rest[start..]
        .find([' ', ';'])
        .map_or(rest.len(), |at| start + at);
    format!(
        "{}{}\x1b[{colour}m{}\x1b[0m{}",
        stage.stage,
        &rest[..start],
        &rest[start..end],
        &rest[end..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::event::FailedStep;
    use crate::report::excerpt::Excerpt;

    fn stage(outcome: Outcome) -> StageFinished {
        StageFinished {
            stage: "web".into(),
            outcome,
            started_ms: 0,
            ended_ms: 420,
            image: None,
            size: Some(999),
            error: None,
            step: None,
            excerpt: Excerpt::default(),
            log: Some("logs/web.log".into()),
            saved_ms: 0,
        }
    }

    #[test]
    fn the_outcome_has_a_colour_and_the_name_has_none() {
        for (outcome, line) in [
            (Outcome::Fresh, "web \x1b[32mfresh\x1b[0m"),
            (Outcome::Failed, "web \x1b[31mfailed\x1b[0m after 0.42 s"),
            (
                Outcome::Restored,
                "web: \x1b[32mtag\x1b[0m restored; no build needed",
            ),
        ] {
            let stage = stage(outcome);
            assert_eq!(painted(&done(&stage), &stage), line);
        }
    }

    #[test]
    fn a_failing_step_is_told_once_with_its_place_its_exit_code_and_its_cause() {
        let mut stage = stage(Outcome::Failed);
        let name = "[2/2] RUN make &&     make install";
        stage.error = Some(format!(
            "{name}: did not complete successfully: exit code: 2"
        ));
        stage.step = Some(FailedStep {
            name: name.into(),
            dockerfile: "web/Dockerfile".into(),
            file: std::path::PathBuf::new(),
            line: Some(12),
            exit_code: Some(2),
        });
        stage.excerpt = Excerpt {
            above: vec!["fatal: no such thing".into()],
            omitted: 43,
            tail: vec!["bye".into()],
        };
        let told = summary(&Finished::default(), std::slice::from_ref(&stage));
        assert_eq!(
            told,
            "0 built, 0 fresh in 0.00 s\n\n\
             web failed at web/Dockerfile:12, exit code 2: [2/2] RUN make && make install\n  \
             … 43 lines omitted: see logs/web.log\n  | bye\n  \
             further up it says:\n  | fatal: no such thing"
        );
        assert_eq!(done(&stage), "web failed after 0.42 s");
        stage.excerpt.omitted = 0;
        stage.excerpt.above.clear();
        assert!(failure(&stage).ends_with("\n  | bye\n  full log: logs/web.log"));
        let mut step = stage.step.take().unwrap();
        assert!(failure(&stage).starts_with(&format!("web failed: {name}: did not")));
        (step.line, step.exit_code) = (None, None);
        stage.step = Some(step);
        let told = failure(&stage);
        assert!(told.starts_with(&format!("web failed at web/Dockerfile: {name}: did not")));
        // A report of several mistakes has a heading before each.
        stage.step = None;
        stage.error = Some("error: no one\nerror: no other".to_owned());
        assert!(failure(&stage).starts_with("web failed: no one\nerror: no other"));
    }

    #[test]
    fn only_what_a_builder_made_is_called_built() {
        let mut stage = stage(Outcome::Built);
        assert_eq!(done(&stage), "web built in 0.42 s, 999 B");
        stage.outcome = Outcome::Restored;
        assert_eq!(done(&stage), "web: tag restored; no build needed");
    }

    #[test]
    fn times_and_sizes_read_well() {
        assert_eq!(time(420), "0.42 s");
        assert_eq!(time(12_340), "12.3 s");
        assert_eq!(time(185_000), "3 min 05 s");
        assert_eq!(size(999), "999 B");
        assert_eq!(size(4_780_000_000), "4.7 GB");
    }
}
