//! A live line on a terminal for each running stage: its current step and its time.

use std::io::Write;
use std::time::{Duration, Instant};

use super::screen::{Screen, ScreenLine, ScreenSize};
use super::{Reporter, reasons, words};
use crate::report::event::{Event, Outcome, StageFinished};

/// How long the spinner shows a picture.
const TICK: Duration = Duration::from_millis(120);
const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/// The live reporter.
#[derive(Debug)]
pub struct Live<W: Write> {
    screen: Screen<W>,
    /// In the order in which they began.
    running: Vec<Running>,
    failed: Vec<StageFinished>,
    /// When the lines were last drawn.
    drawn: Instant,
}

#[derive(Debug)]
struct Running {
    name: String,
    since: Instant,
    expected_ms: Option<u64>,
    step: String,
}

impl Running {
    fn line(&self, now: Instant) -> ScreenLine {
        let took = now.saturating_duration_since(self.since);
        let picture = took.as_millis() / TICK.as_millis() % SPINNER.len() as u128;
        let picture = usize::try_from(picture).unwrap_or_default();
        let expected = self.expected_ms;
        let of = expected.map_or_else(String::new, |ms| format!(" of about {}", words::time(ms)));
        ScreenLine {
            before: format!("{} ", SPINNER[picture]),
            bold: self.name.clone(),
            after: format!(" {} s{of}  {}", took.as_secs(), self.step),
        }
    }
}

impl<W: Write> Live<W> {
    /// Draws on a terminal.
    pub fn on(terminal: W) -> Self {
        Self {
            screen: Screen::on(terminal),
            running: Vec::new(),
            failed: Vec::new(),
            drawn: Instant::now(),
        }
    }

    fn begins(&mut self, name: &str, expected_ms: Option<u64>, now: Instant) {
        self.ends(name);
        self.running.push(Running {
            name: name.to_owned(),
            since: now,
            expected_ms,
            step: String::new(),
        });
    }

    fn is_at(&mut self, name: &str, step: &str) {
        let mut running = self.running.iter_mut();
        if let Some(running) = running.find(|running| running.name == name) {
            step.clone_into(&mut running.step);
        }
    }

    fn ends(&mut self, name: &str) {
        self.running.retain(|running| running.name != name);
    }
}

impl<W: Write + Send> Reporter for Live<W> {
    fn take(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Started { .. } => {}
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
                self.screen.print(&words::done(stage));
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
        let lines = self.running.iter().map(|running| running.line(now));
        let lines: Vec<ScreenLine> = lines.collect();
        self.screen.draw(&lines, ScreenSize::of_stderr());
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
