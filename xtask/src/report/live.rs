//! Live lines on a terminal: how many stages have ended, and for each running stage its time, its
//! step, and what it printed last.

use std::io::Write;
use std::time::{Duration, Instant};

use super::screen::{Screen, ScreenLine, ScreenSize};
use super::{Reporter, reasons, words};
use crate::report::event::{Event, Outcome, StageFinished};

/// How long the spinner shows a picture.
const TICK: Duration = Duration::from_millis(120);
const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
/// A terminal of fewer columns has no room for an estimate.
const ROOMY: usize = 60;

/// The live reporter.
#[derive(Debug)]
pub struct Live<W: Write> {
    screen: Screen<W>,
    /// How many stages there are, once it is known.
    stages: usize,
    /// How many of them have ended.
    ended: usize,
    /// When the run began.
    start: Instant,
    /// In the order in which they began.
    running: Vec<Running>,
    failed: Vec<StageFinished>,
    /// When the lines were last drawn.
    drawn: Instant,
    /// Whether outcomes have colours.
    has_colours: bool,
}

#[derive(Debug)]
struct Running {
    name: String,
    since: Instant,
    expected_ms: Option<u64>,
    step: String,
    /// What it printed last.
    output: String,
}

impl Running {
    fn line(&self, now: Instant, columns: usize) -> ScreenLine {
        let took = now.saturating_duration_since(self.since);
        let picture = took.as_millis() / TICK.as_millis() % SPINNER.len() as u128;
        let picture = usize::try_from(picture).unwrap_or_default();
        // An estimate that has passed says nothing more.
        let expected = self.expected_ms.map(Duration::from_millis);
        let expected = expected.filter(|expected| *expected > took && columns >= ROOMY);
        let of = expected.map_or_else(String::new, |expected| {
            format!(" of about {} s", expected.as_secs().max(1))
        });
        ScreenLine {
            before: format!("{} ", SPINNER[picture]),
            bold: self.name.clone(),
            after: format!(" {} s{of}  {}", took.as_secs(), self.step),
        }
    }

    fn output(&self) -> Option<ScreenLine> {
        (!self.output.is_empty()).then(|| ScreenLine {
            after: format!("    {}", self.output),
            ..ScreenLine::default()
        })
    }
}

impl<W: Write> Live<W> {
    /// Draws on a terminal.
    pub fn on(terminal: W) -> Self {
        Self {
            screen: Screen::on(terminal),
            stages: 0,
            ended: 0,
            start: Instant::now(),
            running: Vec::new(),
            failed: Vec::new(),
            drawn: Instant::now(),
            has_colours: false,
        }
    }

    /// Gives outcomes their colours, if the terminal takes them.
    #[must_use]
    pub fn coloured(mut self, has_colours: bool) -> Self {
        self.has_colours = has_colours;
        self
    }

    fn begins(&mut self, name: &str, expected_ms: Option<u64>, now: Instant) {
        self.ends(name);
        self.running.push(Running {
            name: name.to_owned(),
            since: now,
            expected_ms,
            step: String::new(),
            output: String::new(),
        });
    }

    fn is_at(&mut self, name: &str, step: &str) {
        let mut running = self.running.iter_mut();
        if let Some(running) = running.find(|running| running.name == name) {
            step.clone_into(&mut running.step);
            running.output.clear();
        }
    }

    fn printed(&mut self, name: &str, line: &str) {
        let mut running = self.running.iter_mut();
        if let Some(running) = running.find(|running| running.name == name) {
            line.clone_into(&mut running.output);
        }
    }

    /// The lines to draw. What was printed is left out if there is no room for all.
    fn lines(&self, now: Instant, size: ScreenSize) -> Vec<ScreenLine> {
        if self.running.is_empty() {
            return Vec::new();
        }
        let took = now.saturating_duration_since(self.start).as_secs();
        let head = ScreenLine {
            after: format!("[{}/{}] {took} s", self.ended, self.stages),
            ..ScreenLine::default()
        };
        let head = (self.stages > 0).then_some(head);
        let has_room = 2 * self.running.len() + 2 < size.rows;
        let running = self.running.iter().flat_map(|running| {
            let output = running.output().filter(|_| has_room);
            [Some(running.line(now, size.columns)), output]
        });
        head.into_iter().chain(running.flatten()).collect()
    }

    fn ends(&mut self, name: &str) {
        self.running.retain(|running| running.name != name);
    }
}

impl<W: Write + Send> Reporter for Live<W> {
    fn take(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Started { stages, .. } => {
                self.stages = *stages;
                self.start = now;
            }
            Event::Notice { message } => self.screen.print(&format!("note: {message}")),
            Event::StageStarted {
                stage,
                reason,
                expected_ms,
                builder,
                ..
            } => {
                let reason = reasons::clause(reason);
                let builder = words::on_builder(builder.as_deref());
                self.screen
                    .print(&format!("{stage}: building{builder}, {reason}"));
                self.begins(stage, *expected_ms, now);
            }
            Event::Step { stage, step } => self.is_at(stage, step),
            Event::StepFinished(_) => {}
            Event::Output { stage, lines } => {
                if let Some(line) = lines.last() {
                    self.printed(stage, line);
                }
            }
            Event::Retry {
                stage,
                attempt,
                why,
            } => {
                let line = format!("{stage}: attempt {attempt} follows: {why}");
                self.screen.print(&line);
            }
            Event::StageFinished(stage) => {
                self.ends(&stage.stage);
                self.ended += 1;
                let line = words::done(stage);
                let line = if self.has_colours {
                    words::painted(&line, stage)
                } else {
                    line
                };
                self.screen.print(&line);
                if stage.outcome == Outcome::Failed {
                    self.failed.push(stage.clone());
                }
            }
            Event::SourceStarted { source, from } => {
                self.screen
                    .print(&format!("{source}: fetching from {from}"));
                self.begins(&super::of_source(source), None, now);
            }
            Event::SourceStep { source, step } => self.is_at(&super::of_source(source), step),
            Event::SourceFinished(source) => {
                self.ends(&super::of_source(&source.source));
                if let Some(line) = words::fetched(source) {
                    self.screen.print(&line);
                }
            }
            Event::Finished(finished) => {
                self.screen.print(&words::summary(finished, &self.failed));
            }
        }
    }

    fn show(&mut self, now: Instant) {
        let size = ScreenSize::of_stderr();
        let lines = self.lines(now, size);
        self.screen.draw(&lines, size);
        self.drawn = now;
    }

    fn wakes(&self) -> Option<Instant> {
        (!self.running.is_empty()).then(|| self.drawn + TICK)
    }

    fn end(&mut self, now: Instant) {
        // A stage that the run gave up has no last event.
        self.running.clear();
        self.show(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::freshness::verdict::{Reason, ReasonKind};

    fn text(line: &ScreenLine) -> String {
        format!("{}{}{}", line.before, line.bold, line.after)
    }

    /// One of three stages has ended, and `api` runs, which takes some 30 s.
    fn running(start: Instant) -> Live<Vec<u8>> {
        let mut live = Live::on(Vec::new());
        let stage = || "api".to_owned();
        for event in [
            Event::Started {
                stages: 3,
                jobs: 2,
                graph: std::sync::Arc::default(),
            },
            Event::StageStarted {
                stage: stage(),
                reason: Reason::plain(ReasonKind::Forced),
                at_ms: 0,
                expected_ms: Some(30_000),
                builder: None,
                weight: None,
            },
            Event::Step {
                stage: stage(),
                step: "[2/9] RUN make".to_owned(),
            },
            Event::Output {
                stage: stage(),
                lines: vec!["cc a.c".to_owned(), "cc main.c".to_owned()],
            },
        ] {
            live.take(&event, start);
        }
        live.ended = 1;
        live
    }

    fn shown(live: &Live<Vec<u8>>, now: Instant, rows: usize, columns: usize) -> Vec<String> {
        let lines = live.lines(now, ScreenSize { rows, columns });
        lines.iter().map(text).collect()
    }

    #[test]
    fn the_lines_say_how_far_the_run_is_and_what_each_stage_does() {
        let start = Instant::now();
        let live = running(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(
            shown(&live, start, 24, 80),
            [
                "[1/3] 0 s",
                "⠋ api 0 s of about 30 s  [2/9] RUN make",
                "    cc main.c"
            ]
        );
        // An estimate that has passed is not shown, nor is one without room.
        assert!(shown(&live, at(31), 24, 80)[1].ends_with(" api 31 s  [2/9] RUN make"));
        assert!(shown(&live, at(1), 24, 40)[1].ends_with(" api 1 s  [2/9] RUN make"));
        // Without room for all, what was printed goes first.
        assert_eq!(shown(&live, start, 4, 80).len(), 2);
    }

    #[test]
    fn the_next_step_has_printed_nothing_yet_and_nothing_is_drawn_at_the_end() {
        let start = Instant::now();
        let mut live = running(start);
        let stage = "api".to_owned();
        let step = "[3/9] RUN test".to_owned();
        live.take(&Event::Step { stage, step }, start);
        assert_eq!(shown(&live, start, 24, 80).len(), 2);
        live.end(start);
        assert!(
            live.lines(
                start,
                ScreenSize {
                    rows: 24,
                    columns: 80
                }
            )
            .is_empty()
        );
    }
}
