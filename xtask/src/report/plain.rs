//! Plain lines on stderr, for logs and CI: one when a stage begins, one when it ends, and now and
//! then one in between.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use super::{Reporter, reasons, words};
use crate::report::event::{Event, Outcome, StageFinished};

/// How long a running stage or source is silent before a line says that it still runs.
const SILENCE: Duration = Duration::from_secs(30);

/// How much a person wants to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Loudness {
    /// Notes and failures.
    Quiet,
    /// What begins and what ends, too.
    #[default]
    Normal,
    /// All that the steps print, too.
    Verbose,
}

/// The plain reporter.
#[derive(Debug)]
pub struct Plain<W: Write> {
    lines: BufWriter<W>,
    loudness: Loudness,
    running: BTreeMap<String, Running>,
    failed: Vec<StageFinished>,
    /// Whether `##[` is parted: GitHub's runner looks for old commands anywhere in a line.
    parts_commands: bool,
}

/// A stage that is built, or a source that is fetched.
#[derive(Debug)]
struct Running {
    /// The step that runs now. `since` is when it began.
    step: Option<String>,
    since: Instant,
    /// When a line about it was last printed.
    told: Instant,
}

impl<W: Write> Plain<W> {
    /// Writes to `to`.
    pub fn to(to: W, loudness: Loudness) -> Self {
        Self {
            lines: BufWriter::new(to),
            loudness,
            running: BTreeMap::new(),
            failed: Vec::new(),
            parts_commands: false,
        }
    }

    /// For a reader that takes `##[` for the beginning of a command.
    pub(super) fn parting_commands(self) -> Self {
        Self {
            parts_commands: true,
            ..self
        }
    }

    pub(super) fn print(&mut self, line: impl Display) {
        // The reader may close the pipe.
        let _ = if self.parts_commands {
            let line = line.to_string().replace("##[", "# #[");
            writeln!(self.lines, "{line}")
        } else {
            writeln!(self.lines, "{line}")
        };
    }

    /// Prints a line that is no news of a failure.
    fn tell(&mut self, line: impl Display) {
        if self.loudness != Loudness::Quiet {
            self.print(line);
        }
    }

    fn begins(&mut self, name: &str, now: Instant) {
        let running = Running {
            step: None,
            since: now,
            told: now,
        };
        self.running.insert(name.to_owned(), running);
    }

    fn is_at(&mut self, name: &str, step: &str, now: Instant) {
        if let Some(running) = self.running.get_mut(name) {
            running.step = Some(words::step(step));
            running.since = now;
        }
    }
}

impl<W: Write + Send> Reporter for Plain<W> {
    fn take(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Started { .. } | Event::StepFinished(_) => {}
            Event::Output { stage, lines } => {
                if self.loudness == Loudness::Verbose {
                    lines
                        .iter()
                        .for_each(|line| self.print(format_args!("{stage} | {line}")));
                }
            }
            Event::Step { stage, step } => {
                if self.loudness == Loudness::Verbose {
                    self.print(format_args!("{stage} => {}", words::one_line(step)));
                }
                self.is_at(stage, step, now);
            }
            Event::SourceStep { source, step } => self.is_at(&super::of_source(source), step, now),
            Event::Notice { message } => self.print(format_args!("note: {message}")),
            Event::StageStarted {
                stage,
                reason,
                builder,
                ..
            } => {
                self.tell(format_args!(
                    "{stage}: building{}, {}",
                    words::on_builder(builder.as_deref()),
                    reasons::clause(reason)
                ));
                self.begins(stage, now);
            }
            Event::Retry {
                stage,
                attempt,
                why,
            } => {
                self.print(format_args!("{stage}: attempt {attempt} follows: {why}"));
                self.begins(stage, now);
            }
            Event::StageFinished(stage) => {
                self.running.remove(&stage.stage);
                self.tell(words::done(stage));
                if stage.outcome == Outcome::Failed {
                    self.failed.push(stage.clone());
                }
            }
            Event::SourceStarted { source, from } => {
                self.tell(format_args!("{source}: fetching from {from}"));
                self.begins(&super::of_source(source), now);
            }
            Event::SourceFinished(source) => {
                self.running.remove(&super::of_source(&source.source));
                if let Some(line) = words::fetched(source) {
                    self.tell(line);
                }
            }
            Event::Finished(finished) => {
                if self.loudness != Loudness::Quiet || !self.failed.is_empty() {
                    self.print(words::summary(finished, &self.failed));
                }
            }
        }
    }

    fn show(&mut self, _: Instant) {
        let _ = self.lines.flush();
    }

    fn wakes(&self) -> Option<Instant> {
        let told = self.running.values().map(|running| running.told).min();
        told.map(|told| told + SILENCE)
    }

    fn wake(&mut self, now: Instant) {
        let mut lines = Vec::new();
        for (name, running) in &mut self.running {
            if now.saturating_duration_since(running.told) >= SILENCE {
                running.told = now;
                let since = now.saturating_duration_since(running.since);
                lines.push(words::still(name, running.step.as_deref(), since));
            }
        }
        lines.iter().for_each(|line| self.tell(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::freshness::verdict::{Reason, ReasonKind};

    #[test]
    fn a_long_step_gives_a_sign_of_life_every_half_minute_of_silence() {
        let mut written = Vec::new();
        let mut plain = Plain::to(&mut written, Loudness::Normal);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(plain.wakes(), None);
        let stage = || "api".to_owned();
        let started = Event::StageStarted {
            stage: stage(),
            reason: Reason::plain(ReasonKind::Forced),
            at_ms: 0,
            expected_ms: None,
            builder: None,
            weight: None,
        };
        plain.take(&started, at(0));
        assert_eq!(plain.wakes(), Some(at(30)));
        plain.wake(at(30));
        let step = "[2/9] RUN yarn build".to_owned();
        plain.take(
            &Event::Step {
                stage: stage(),
                step,
            },
            at(40),
        );
        // No line is printed when a step begins.
        assert_eq!(plain.wakes(), Some(at(60)));
        for seconds in [59, 60, 61, 90, 300] {
            plain.wake(at(seconds));
        }
        plain.show(at(300));
        drop(plain);
        assert_eq!(
            String::from_utf8(written).unwrap(),
            "api: building, forced\n\
             api: still running: no step yet, 30 s\n\
             api: still running: RUN yarn build, 20 s\n\
             api: still running: RUN yarn build, 50 s\n\
             api: still running: RUN yarn build, 4 min 20 s\n"
        );
    }
}
