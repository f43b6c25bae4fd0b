//! Plain lines on stderr, for logs and CI: one when a stage begins, one when it ends.

use std::fmt::Display;
use std::io::{BufWriter, Write};

use super::{Reporter, words};
use crate::event::{Event, Outcome, StageFinished};

/// The plain reporter.
#[derive(Debug)]
pub struct Plain<W: Write> {
    lines: BufWriter<W>,
    failed: Vec<StageFinished>,
}

impl<W: Write> Plain<W> {
    /// Writes to `to`.
    pub fn to(to: W) -> Self {
        Self {
            lines: BufWriter::new(to),
            failed: Vec::new(),
        }
    }

    fn print(&mut self, line: impl Display) {
        // A closed pipe is the reader's wish.
        let _ = writeln!(self.lines, "{line}");
    }
}

impl<W: Write + Send> Reporter for Plain<W> {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Started { .. } | Event::Step { .. } | Event::SourceStep { .. } => {}
            Event::Notice { message } => self.print(format_args!("note: {message}")),
            Event::StageStarted { stage, reason, .. } => {
                self.print(format_args!("{stage}: building, {}", words::reason(reason)));
            }
            Event::Retry {
                stage,
                attempt,
                why,
            } => self.print(format_args!("{stage}: attempt {attempt} follows: {why}")),
            Event::StageFinished(stage) => {
                self.print(words::done(stage));
                if stage.outcome == Outcome::Failed {
                    self.failed.push(stage.clone());
                }
            }
            Event::SourceStarted { source, from } => {
                self.print(format_args!("{source}: fetching from {from}"))
            }
            Event::SourceFinished(source) => {
                if let Some(line) = words::fetched(source) {
                    self.print(line);
                }
            }
            Event::Finished(finished) => self.print(words::summary(finished, &self.failed)),
        }
    }

    fn show(&mut self) {
        let _ = self.lines.flush();
    }
}
