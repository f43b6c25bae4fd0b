//! Plain lines on stderr, for logs and CI: one when a stage begins, one when it ends.

use super::{Reporter, words};
use crate::event::{Event, Outcome, StageFinished};

/// The plain reporter.
#[derive(Debug, Default)]
pub struct Plain {
    failed: Vec<StageFinished>,
}

impl Reporter for Plain {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Started { .. } | Event::Step { .. } | Event::SourceStep { .. } => {}
            Event::Notice { message } => eprintln!("note: {message}"),
            Event::StageStarted { stage, reason, .. } => {
                eprintln!("{stage}: building, {}", words::reason(reason));
            }
            Event::Retry {
                stage,
                attempt,
                why,
            } => eprintln!("{stage}: attempt {attempt} follows: {why}"),
            Event::StageFinished(stage) if stage.outcome == Outcome::Failed => {
                eprintln!("{}", words::failure(stage));
                self.failed.push(stage.clone());
            }
            Event::StageFinished(stage) => eprintln!("{}", words::done(stage)),
            Event::SourceStarted { source, from } => eprintln!("{source}: fetching from {from}"),
            Event::SourceFinished(source) => {
                if let Some(line) = words::fetched(source) {
                    eprintln!("{line}");
                }
            }
            Event::Finished(finished) => eprintln!("{}", words::summary(finished, &self.failed)),
        }
    }
}
