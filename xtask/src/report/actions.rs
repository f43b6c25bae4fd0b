//! GitHub Actions: the log of each stage as a group that folds, failures as annotations at the line
//! of the Dockerfile, and a summary of the job
//! (docs.github.com, *Workflow commands for GitHub Actions*).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::plain::{Loudness, Plain};
use super::{Reporter, reasons, words};
use crate::report::event::{Event, Finished, Outcome, StageFinished};
use crate::shown;
use crate::shown::actions::{Mark, value};

/// A summary may have 1 MiB in each step. What is longer is refused as a whole.
const SUMMARY: usize = 900_000;
/// More bytes of a log than a person reads in a group. The whole log is in its file.
const LOG: u64 = 4 << 20;

/// The reporter for GitHub Actions.
#[derive(Debug)]
pub struct Actions<W: Write> {
    plain: Plain<W>,
    /// The checkout: annotations name files relative to it.
    workspace: PathBuf,
    /// The file of the job's summary.
    summary: Option<PathBuf>,
    /// The parents of each stage.
    graph: Arc<BTreeMap<String, Vec<String>>>,
    /// Why each stage is built.
    reasons: BTreeMap<String, String>,
    ended: Vec<StageFinished>,
}

impl<W: Write> Actions<W> {
    /// A reporter that writes to `to`.
    pub fn to(to: W, loudness: Loudness) -> Self {
        let place = |name: &str| std::env::var_os(name).map(PathBuf::from);
        Self {
            plain: Plain::to(to, loudness).parting_commands(),
            workspace: shown::actions::workspace(),
            summary: place("GITHUB_STEP_SUMMARY"),
            graph: Arc::default(),
            reasons: BTreeMap::new(),
            ended: Vec::new(),
        }
    }

    fn group(&mut self, stage: &StageFinished) {
        use std::io::Read as _;
        let log = stage.log.as_ref().and_then(|log| {
            let mut text = Vec::new();
            std::fs::File::open(log)
                .ok()?
                .take(LOG)
                .read_to_end(&mut text)
                .ok()?;
            Some(String::from_utf8_lossy(&text).into_owned())
        });
        let Some(log) = log else {
            return;
        };
        self.plain
            .print(format_args!("::group::log of {}", value(&stage.stage)));
        // A step may print what the runner would take for a command.
        let token = format!("xtask-{:016x}", token_of(&log));
        self.plain.print(format_args!("::stop-commands::{token}"));
        self.plain.print(log.trim_end());
        self.plain.print(format_args!("::{token}::"));
        self.plain.print("::endgroup::");
    }

    fn annotate(&mut self, stage: &StageFinished) {
        let title = format!("{} failed", stage.stage);
        let mut mark = Mark::error(&title);
        if let Some(step) = &stage.step {
            mark = mark.at(&self.workspace, &step.file, step.line);
        }
        self.plain.print(mark.line(&words::failure(stage)));
    }

    fn summarize(&self, finished: &Finished) {
        let Some(path) = &self.summary else {
            return;
        };
        let text = self.summary_of(finished);
        let file = std::fs::File::options()
            .append(true)
            .create(true)
            .open(path);
        // A job without its summary is still what it was.
        let _ = file.and_then(|mut file| file.write_all(text.as_bytes()));
    }

    fn summary_of(&self, finished: &Finished) -> String {
        let mut text = format!("### {}\n\n", words::summary(finished, &[]));
        text += "| stage | outcome | why | time | size |\n| --- | --- | --- | ---: | ---: |\n";
        let mut left = 0;
        for stage in &self.ended {
            let why = self.reasons.get(&stage.stage).map_or("", String::as_str);
            let took = stage.ended_ms.saturating_sub(stage.started_ms);
            let row = format!(
                "| {} | {} | {} | {} | {} |\n",
                cell(&stage.stage),
                words::outcome(stage.outcome),
                cell(why),
                words::time(took),
                stage.size.map_or_else(String::new, words::size),
            );
            if text.len() + row.len() > SUMMARY / 2 {
                left += 1;
            } else {
                text += &row;
            }
        }
        if left > 0 {
            let _ = writeln!(text, "\n… and {}", words::count(left, "more stage"));
        }
        for stage in self.ended.iter().filter(|it| it.outcome == Outcome::Failed) {
            // Four spaces make it code, whatever is in it.
            let told = words::failure(stage);
            let block = format!("    {}\n", told.replace('\n', "\n    "));
            if text.len() + block.len() < SUMMARY {
                let _ = write!(text, "\n{block}");
            }
        }
        let graph = self.mermaid();
        if text.len() + graph.len() < SUMMARY {
            text += &graph;
        }
        text
    }

    /// The stages with their outcomes. Names hold only a-z, 0-9, `-`, `_` and `.`.
    fn mermaid(&self) -> String {
        let mut text = "\n```mermaid\ngraph LR\n".to_owned();
        let number: BTreeMap<&str, usize> = self
            .graph
            .keys()
            .enumerate()
            .map(|(at, name)| (name.as_str(), at))
            .collect();
        for (name, at) in &number {
            let outcome = self.ended.iter().find(|it| it.stage == **name);
            let word = outcome.map_or("not built", |it| words::outcome(it.outcome));
            let _ = writeln!(text, "  s{at}[\"{name}: {word}\"]");
        }
        for (name, parents) in self.graph.as_ref() {
            for parent in parents {
                if let (Some(from), Some(to)) =
                    (number.get(parent.as_str()), number.get(name.as_str()))
                {
                    let _ = writeln!(text, "  s{from} --> s{to}");
                }
            }
        }
        text + "```\n"
    }
}

impl<W: Write + Send> Reporter for Actions<W> {
    fn take(&mut self, event: &Event, now: Instant) {
        self.plain.take(event, now);
        match event {
            Event::Started { graph, .. } => self.graph.clone_from(graph),
            Event::StageStarted { stage, reason, .. } => {
                self.reasons.insert(stage.clone(), reasons::clause(reason));
            }
            Event::StageFinished(stage) => {
                self.group(stage);
                if stage.outcome == Outcome::Failed {
                    self.annotate(stage);
                }
                self.ended.push(stage.clone());
            }
            Event::Finished(finished) => self.summarize(finished),
            _ => {}
        }
    }

    fn show(&mut self, now: Instant) {
        self.plain.show(now);
    }

    fn wakes(&self) -> Option<Instant> {
        self.plain.wakes()
    }

    fn wake(&mut self, now: Instant) {
        self.plain.wake(now);
    }
}

/// A word that the log does not have: no step can know the hash of what it prints with it.
fn token_of(log: &str) -> u64 {
    let hash = blake3::hash(log.as_bytes());
    u64::from_le_bytes(*hash.as_bytes().first_chunk().unwrap_or(&[0; 8]))
}

/// Text in a cell of a table, without any meaning of its own.
fn cell(text: &str) -> String {
    let mut cell = String::new();
    for c in text.chars() {
        match c {
            '&' => cell += "&amp;",
            '<' => cell += "&lt;",
            '>' => cell += "&gt;",
            '|' => cell += "&#124;",
            '\n' | '\r' => cell.push(' '),
            '`' | '*' | '_' | '[' | ']' | '\\' | '#' | '~' | '@' => {
                cell.push('\\');
                cell.push(c);
            }
            _ => cell.push(c),
        }
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::freshness::verdict::{Reason, ReasonKind};
    use crate::report::event::FailedStep;
    use crate::report::excerpt::Excerpt;

    fn finished(stage: &str, outcome: Outcome) -> StageFinished {
        StageFinished {
            stage: stage.to_owned(),
            outcome,
            started_ms: 0,
            ended_ms: 1500,
            image: None,
            size: (outcome == Outcome::Built).then_some(2000),
            error: None,
            step: None,
            excerpt: Excerpt::default(),
            log: None,
            saved_ms: 0,
        }
    }

    /// A run of `api`, which is built, and `web`, which stands on it and fails.
    fn ran(folder: &std::path::Path, stages: usize) -> (String, String) {
        let log = folder.join("api.log");
        std::fs::write(&log, "=> RUN x\n::warning::not mine\n").unwrap();
        let summary = folder.join("summary.md");
        let mut written = Vec::new();
        let mut actions = Actions {
            workspace: folder.to_owned(),
            summary: Some(summary.clone()),
            ..Actions::to(&mut written, Loudness::Normal)
        };
        let now = Instant::now();
        let graph = [("api", vec![]), ("web", vec!["api".to_owned()])];
        let graph = graph.map(|(name, parents)| (name.to_owned(), parents));
        let mut events = vec![
            Event::Started {
                stages: 2,
                jobs: 1,
                graph: Arc::new(graph.into()),
            },
            Event::StageStarted {
                stage: "api".to_owned(),
                reason: Reason::plain(ReasonKind::Forced),
                at_ms: 0,
                expected_ms: None,
                builder: None,
                weight: None,
            },
        ];
        for at in 0..stages {
            events.push(Event::StageFinished(finished(
                &format!("s{at}"),
                Outcome::Fresh,
            )));
        }
        events.push(Event::StageFinished(StageFinished {
            log: Some(log.to_string_lossy().into_owned()),
            ..finished("api", Outcome::Built)
        }));
        events.push(Event::StageFinished(StageFinished {
            // The runner looks for old commands anywhere in a line.
            error: Some("no: such, 100% ##[error]".to_owned()),
            step: Some(FailedStep {
                name: "[2/3] RUN make".to_owned(),
                dockerfile: "web/Dockerfile".to_owned(),
                file: folder.join("web/Docker,file"),
                line: Some(7),
                exit_code: None,
            }),
            ..finished("web", Outcome::Failed)
        }));
        events.push(Event::Finished(Finished::default()));
        events.iter().for_each(|event| actions.take(event, now));
        drop(actions);
        let summary = std::fs::read_to_string(summary).unwrap();
        (String::from_utf8(written).unwrap(), summary)
    }

    #[test]
    fn logs_fold_failures_are_annotations_and_a_step_gives_no_commands() {
        let folder = tempfile::tempdir().unwrap();
        let (said, _) = ran(folder.path(), 0);
        let lines: Vec<&str> = said.lines().collect();
        let group = lines
            .iter()
            .position(|it| *it == "::group::log of api")
            .unwrap();
        let token = lines[group + 1].strip_prefix("::stop-commands::").unwrap();
        assert_eq!(
            lines[group + 2..group + 4],
            ["=> RUN x", "::warning::not mine"]
        );
        assert_eq!(lines[group + 4], format!("::{token}::"));
        assert_eq!(lines[group + 5], "::endgroup::");
        assert!(
            said.contains(
                "::error title=web failed,file=web/Docker%2Cfile,line=7::web failed at web/Dockerfile:7: no: such, 100%25 # #[error]\n"
            ),
            "{said}"
        );
        assert!(!said.contains("##["), "{said}");
    }

    #[test]
    fn the_summary_has_a_table_the_failure_and_the_graph_and_stays_under_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let (_, summary) = ran(folder.path(), 0);
        for part in [
            "| api | built | forced | 1.50 s | 2.0 kB |",
            "| web | failed |  | 1.50 s |  |",
            "    web failed at web/Dockerfile:7",
            "  s0[\"api: built\"]\n  s1[\"web: failed\"]\n  s0 --> s1\n",
        ] {
            assert!(summary.contains(part), "{part}: {summary}");
        }
        let folder = tempfile::tempdir().unwrap();
        let (_, summary) = ran(folder.path(), 40_000);
        assert!(summary.len() < 1 << 20);
        assert!(summary.contains("more stages"), "too long");
        assert!(summary.contains("```mermaid"));
    }

    #[test]
    fn no_name_means_anything_in_a_table() {
        assert_eq!(cell("<a|b>\n`c`"), "&lt;a&#124;b&gt; \\`c\\`");
    }
}
