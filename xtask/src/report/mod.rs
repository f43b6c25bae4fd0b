//! From events to people.
//!
//! One file per form of output; none knows anything but events. The reporter has a thread of
//! its own, so that a slow terminal never holds up a build.

mod json;
mod live;
mod plain;
pub mod words;

use std::io::IsTerminal as _;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use crate::event::Event;

/// Takes events in the order in which they happened.
pub trait Reporter: Send {
    /// One more.
    fn take(&mut self, event: &Event);
}

/// A running reporter; give it its events by the sender, then wait for it.
#[derive(Debug)]
pub struct Reporting {
    sender: Option<Sender<Event>>,
    thread: Option<JoinHandle<()>>,
}

impl Reporting {
    /// JSON lines on stdout, live lines on a terminal, plain lines elsewhere.
    pub fn start(json: bool) -> Self {
        let live = std::io::stderr().is_terminal() && std::env::var_os("CI").is_none();
        let mut reporter: Box<dyn Reporter> = match (json, live) {
            (true, _) => Box::new(json::Json),
            (false, true) => Box::new(live::Live::new()),
            (false, false) => Box::new(plain::Plain::default()),
        };
        let (sender, events) = channel::<Event>();
        let thread =
            std::thread::spawn(move || events.iter().for_each(|event| reporter.take(&event)));
        Self {
            sender: Some(sender),
            thread: Some(thread),
        }
    }

    /// Where events go.
    pub fn sender(&self) -> Sender<Event> {
        self.sender.clone().unwrap_or_else(|| channel().0)
    }

    /// Waits until everything is told.
    pub fn finish(mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // A reporter that panicked has told what it could.
            let _ = thread.join();
        }
    }
}
