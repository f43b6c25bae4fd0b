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
            Event::Notice { message } => crate::tell!("note: {message}"),
            Event::StageStarted { stage, reason, .. } => {
                crate::tell!("{stage}: building, {}", words::reason(reason));
            }
            Event::Retry {
                stage,
                attempt,
                why,
            } => crate::tell!("{stage}: attempt {attempt} follows: {why}"),
            Event::StageFinished(stage) if stage.outcome == Outcome::Failed => {
                crate::tell!("{}", words::failure(stage));
                self.failed.push(stage.clone());
            }
            Event::StageFinished(stage) => crate::tell!("{}", words::done(stage)),
            Event::SourceStarted { source, from } => crate::tell!("{source}: fetching from {from}"),
            Event::SourceFinished(source) => {
                if let Some(line) = words::fetched(source) {
                    crate::tell!("{line}");
                }
            }
            Event::Finished(finished) => crate::tell!("{}", words::summary(finished, &self.failed)),
        }
    }
}
