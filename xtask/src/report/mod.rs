//! Shows events to people and programs, with one file per form of output.
//!
//! Reporters know nothing but events. They have a thread of their own, so a slow terminal never
//! holds up a build.

mod actions;
pub mod event;
pub mod excerpt;
mod json;
pub mod kept;
mod live;
mod plain;
pub mod reasons;
mod screen;
pub mod words;

use std::io::IsTerminal as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::report::event::Event;
use crate::report::kept::Keeper;
use crate::shown;
pub use plain::Loudness;

/// Takes events in the order in which they happened.
pub trait Reporter: Send {
    /// Takes one event.
    fn take(&mut self, event: &Event, now: Instant);

    /// Shows everything that was taken: no further event is waiting.
    fn show(&mut self, _now: Instant) {}

    /// When it wants to be woken if nothing happens before then.
    fn wakes(&self) -> Option<Instant> {
        None
    }

    /// Called if nothing happened until the moment that `wakes` gave; `show` follows.
    fn wake(&mut self, _now: Instant) {}

    /// Called after the last event.
    fn end(&mut self, _now: Instant) {}
}

/// The name of a source among the running stages: a stage may have the same name.
fn of_source(source: &str) -> String {
    format!("source {source}")
}

/// A running reporter. Send it events by its sender, then wait until it has shown them.
#[derive(Debug)]
pub struct Reporting {
    sender: Option<Sender<Event>>,
    thread: Option<JoinHandle<()>>,
}

impl Reporting {
    /// Starts a reporter: JSON lines on stdout, live lines on a terminal, plain lines elsewhere, and
    /// where somebody wants to read more or less.
    ///
    /// `keeper` keeps the run, too.
    pub fn start(json: bool, loudness: Loudness, keeper: Option<Keeper>) -> Self {
        let live = std::io::stderr().is_terminal()
            && std::env::var_os("CI").is_none()
            && std::env::var_os("TERM").is_none_or(|it| it != "dumb")
            && loudness == Loudness::Normal;
        let mut reporter: Box<dyn Reporter> = match (json, live) {
            (true, _) => Box::new(json::Json::to(std::io::stdout())),
            (false, _) if shown::actions::are_read() => {
                Box::new(actions::Actions::to(std::io::stderr(), loudness))
            }
            (false, true) => {
                let colours = words::has_colours(&std::io::stderr());
                Box::new(live::Live::on(std::io::stderr()).coloured(colours))
            }
            (false, false) => Box::new(plain::Plain::to(std::io::stderr(), loudness)),
        };
        if let Some(keeper) = keeper {
            reporter = Box::new(Kept {
                shown: reporter,
                keeper,
            });
        }
        let (sender, events) = channel::<Event>();
        let thread = std::thread::spawn(move || report(reporter.as_mut(), &events));
        Self {
            sender: Some(sender),
            thread: Some(thread),
        }
    }

    /// Where events go.
    pub fn sender(&self) -> Sender<Event> {
        self.sender.clone().unwrap_or_else(|| channel().0)
    }

    /// Waits until every event is shown.
    pub fn finish(mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // A reporter that panicked has shown what it could.
            let _ = thread.join();
        }
    }
}

/// Another reporter's run, kept as well.
struct Kept {
    shown: Box<dyn Reporter>,
    keeper: Keeper,
}

impl Reporter for Kept {
    fn take(&mut self, event: &Event, now: Instant) {
        self.shown.take(event, now);
        self.keeper.take(event, now);
    }

    fn show(&mut self, now: Instant) {
        self.shown.show(now);
    }

    fn wakes(&self) -> Option<Instant> {
        self.shown.wakes()
    }

    fn wake(&mut self, now: Instant) {
        self.shown.wake(now);
    }

    fn end(&mut self, now: Instant) {
        self.shown.end(now);
        self.keeper.end(now);
    }
}

/// Reports events until there is no sender any more. Events that wait together are shown together:
/// ten thousand fresh stages are a few writes, not ten thousand.
fn report(reporter: &mut dyn Reporter, events: &Receiver<Event>) {
    loop {
        let event = match reporter.wakes() {
            None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => events.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        let now = Instant::now();
        match event {
            Ok(event) => {
                reporter.take(&event, now);
                let waiting = events.try_iter();
                waiting.for_each(|event| reporter.take(&event, now));
            }
            Err(RecvTimeoutError::Timeout) => reporter.wake(now),
            Err(RecvTimeoutError::Disconnected) => break,
        }
        reporter.show(now);
    }
    reporter.end(Instant::now());
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Keeps what is written to it, one entry for each write.
    #[derive(Clone, Default)]
    struct Writes(Arc<Mutex<Vec<String>>>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.0.lock().expect("no test panics in here").push(text);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Writes {
        fn taken(&self) -> Vec<String> {
            std::mem::take(&mut *self.0.lock().expect("no test panics in here"))
        }
    }

    fn notice(message: &str) -> Event {
        Event::Notice {
            message: message.to_owned(),
        }
    }

    fn told(reporter: &mut dyn Reporter, messages: &[&str]) {
        let (sender, events) = channel();
        for message in messages {
            sender.send(notice(message)).expect("it is read below");
        }
        drop(sender);
        report(reporter, &events);
    }

    #[test]
    fn events_that_wait_together_are_one_write_and_none_is_kept_back() {
        let writes = Writes::default();
        told(
            &mut plain::Plain::to(writes.clone(), Loudness::Normal),
            &["a", "b"],
        );
        assert_eq!(writes.taken(), ["note: a\nnote: b\n"]);
        told(&mut json::Json::to(writes.clone()), &["a", "b"]);
        assert_eq!(
            writes.taken(),
            [
                "{\"event\":\"notice\",\"message\":\"a\"}\n{\"event\":\"notice\",\"message\":\"b\"}\n"
            ]
        );
    }

    /// Wants to be woken at once, and sends a word when it is woken and when it ends.
    struct Sleeper(Sender<&'static str>);

    impl Reporter for Sleeper {
        fn take(&mut self, _: &Event, _: Instant) {}

        fn wakes(&self) -> Option<Instant> {
            Some(Instant::now())
        }

        fn wake(&mut self, _: Instant) {
            // The test may have stopped listening.
            let _ = self.0.send("woken");
        }

        fn end(&mut self, _: Instant) {
            let _ = self.0.send("ended");
        }
    }

    #[test]
    fn a_reporter_is_woken_while_nothing_happens_and_told_when_all_is_over() {
        let ((sender, events), (says, said)) = (channel(), channel());
        std::thread::scope(|scope| {
            scope.spawn(move || report(&mut Sleeper(says), &events));
            assert_eq!(said.iter().take(3).collect::<String>(), "woken".repeat(3));
            drop(sender);
            assert_eq!(said.iter().last(), Some("ended"));
        });
    }

    #[test]
    fn an_event_is_seen_while_more_may_come() {
        let writes = Writes::default();
        let mut reporter = plain::Plain::to(writes.clone(), Loudness::Normal);
        let (sender, events) = channel();
        std::thread::scope(|scope| {
            scope.spawn(move || report(&mut reporter, &events));
            sender.send(notice("a")).expect("it is read");
            let mut seen = Vec::new();
            while seen.is_empty() {
                std::thread::yield_now();
                seen = writes.taken();
            }
            assert_eq!(seen, ["note: a\n"]);
            drop(sender);
        });
    }
}
