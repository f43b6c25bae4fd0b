//! A live line per running stage on a terminal: its current step and its time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{Reporter, words};
use crate::event::{Event, Outcome, StageFinished};

/// The live reporter.
#[derive(Debug)]
pub struct Live {
    screen: MultiProgress,
    running: HashMap<String, ProgressBar>,
    failed: Vec<StageFinished>,
}

impl Live {
    /// An empty screen.
    pub fn new() -> Self {
        Self {
            screen: MultiProgress::new(),
            running: HashMap::new(),
            failed: Vec::new(),
        }
    }

    fn print(&self, line: &str) {
        // A terminal that is gone is no reason to stop.
        let _ = self.screen.println(line);
    }

    fn bar(&mut self, stage: &str, expected_ms: Option<u64>) {
        let bar = self.screen.add(ProgressBar::new_spinner());
        let of =
            expected_ms.map_or_else(String::new, |ms| format!(" of about {}", words::time(ms)));
        let style = ProgressStyle::with_template(&format!(
            "{{spinner}} {{prefix:.bold}} {{elapsed}}{of}  {{wide_msg}}"
        ));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_prefix(stage.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        self.running.insert(stage.to_owned(), bar);
    }
}

impl Reporter for Live {
    fn take(&mut self, event: &Event, _: Instant) {
        match event {
            Event::Started { .. } => {}
            Event::Notice { message } => self.print(&format!("note: {message}")),
            Event::StageStarted {
                stage,
                reason,
                expected_ms,
                ..
            } => {
                self.print(&format!("{stage}: building, {}", words::reason(reason)));
                self.bar(stage, *expected_ms);
            }
            Event::Step { stage, step } => {
                if let Some(bar) = self.running.get(stage) {
                    bar.set_message(step.clone());
                }
            }
            Event::Retry {
                stage,
                attempt,
                why,
            } => self.print(&format!("{stage}: attempt {attempt} follows: {why}")),
            Event::StageFinished(stage) => {
                if let Some(bar) = self.running.remove(&stage.stage) {
                    bar.finish_and_clear();
                }
                self.print(&words::done(stage));
                if stage.outcome == Outcome::Failed {
                    self.failed.push(stage.clone());
                }
            }
            Event::SourceStarted { source, from } => {
                self.print(&format!("{source}: fetching from {from}"));
                let name = super::of_source(source);
                if !self.running.contains_key(&name) {
                    self.bar(&name, None);
                }
            }
            Event::SourceStep { source, step } => {
                if let Some(bar) = self.running.get(&super::of_source(source)) {
                    bar.set_message(step.clone());
                }
            }
            Event::SourceFinished(source) => {
                if let Some(bar) = self.running.remove(&super::of_source(&source.source)) {
                    bar.finish_and_clear();
                }
                if let Some(line) = words::fetched(source) {
                    self.print(&line);
                }
            }
            Event::Finished(finished) => self.print(&words::summary(finished, &self.failed)),
        }
    }
}
