//! Watches over a builder beside the engine's own while a call runs there. A machine that is switched
//! off closes no connection: buildx would wait for it for many minutes.

use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::outside::builder::{Remote, Unusable};
use crate::outside::interrupt::Interrupt;

/// How long a builder is left alone between two questions.
const EVERY: Duration = Duration::from_secs(10);
/// How many questions in a row a builder may leave without an answer. A busy one may be slow.
const UNANSWERED: usize = 3;

/// The builder of a call, unless it is the engine's own, and the platform of the call.
#[derive(Debug, Clone, Copy)]
pub struct Remotely<'a> {
    /// The builder.
    pub remote: &'a Remote,
    /// The platform, if it is known.
    pub platform: Option<&'a str>,
}

impl Remotely<'_> {
    /// Why the builder is dead, after a call that failed; `None` if it answers.
    pub(super) fn death(self, interrupt: &Interrupt) -> Option<Unusable> {
        let mut why = None;
        for _ in 0..UNANSWERED {
            match self.remote.looks_alive(self.platform, interrupt, &|| true) {
                Ok(()) => return None,
                Err(told) => why = Some(told),
            }
        }
        why
    }
}

/// Reads the output of a call to its end. If its builder stops to answer, ends the call and says
/// why. `child` must lead a process group, and must not be reaped before this returns.
pub(super) fn while_reading(
    child: &Child,
    builder: Option<Remotely<'_>>,
    interrupt: &Interrupt,
    read: impl FnOnce(),
) -> Option<Unusable> {
    let Some(Remotely { remote, platform }) = builder else {
        read();
        return None;
    };
    let ask = |goes_on: &dyn Fn() -> bool| remote.looks_alive(platform, interrupt, goes_on);
    watched(child, EVERY, &ask, &|| interrupt.is_set(), read)
}

/// Asks whether a builder is alive, for as long as the answer is wanted.
type Ask<'a> = &'a (dyn Fn(&dyn Fn() -> bool) -> Result<(), Unusable> + Sync);

fn watched(
    child: &Child,
    every: Duration,
    ask: Ask<'_>,
    is_interrupted: &(dyn Fn() -> bool + Sync),
    read: impl FnOnce(),
) -> Option<Unusable> {
    let is_reading = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let goes_on = || is_reading.load(Ordering::SeqCst) && !is_interrupted();
            let why = lost(every, ask, &goes_on)?;
            let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
            Some(why)
        });
        read();
        is_reading.store(false, Ordering::SeqCst);
        watching.thread().unpark();
        watching.join().ok().flatten()
    })
}

/// Asks again and again. Gives what the builder lacks once it is lost, and nothing if the call ends
/// before that.
fn lost(every: Duration, ask: Ask<'_>, goes_on: &dyn Fn() -> bool) -> Option<Unusable> {
    let mut unanswered = 0;
    loop {
        let next = Instant::now() + every;
        while let Some(left) = next.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
            if !goes_on() {
                return None;
            }
        }
        match ask(goes_on) {
            Ok(()) => unanswered = 0,
            Err(why) => {
                unanswered += 1;
                if unanswered == UNANSWERED {
                    return Some(why);
                }
            }
        }
        if !goes_on() {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, Stdio};
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const EVERY: Duration = Duration::from_millis(1);

    /// A call that ends only when it is killed.
    fn endless() -> Child {
        let mut command = Command::new("sleep");
        command.arg("1000").stdout(Stdio::piped()).process_group(0);
        command.spawn().unwrap()
    }

    fn silent() -> Result<(), Unusable> {
        Err(Unusable::Silent("no answer".to_owned()))
    }

    #[test]
    fn a_call_ends_when_its_builder_leaves_three_questions_unanswered() {
        let mut child = endless();
        let mut stdout = child.stdout.take().unwrap();
        let asked = AtomicUsize::new(0);
        let ask = |_: &dyn Fn() -> bool| {
            asked.fetch_add(1, Ordering::SeqCst);
            silent()
        };
        let lost = watched(&child, EVERY, &ask, &|| false, || {
            let _ = stdout.read_to_end(&mut Vec::new());
        });
        assert_eq!(lost, Some(Unusable::Silent("no answer".to_owned())));
        assert_eq!(asked.into_inner(), UNANSWERED);
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn a_builder_that_answers_now_and_then_is_alive_and_a_call_that_ends_is_left_alone() {
        let mut child = endless();
        let asked = AtomicUsize::new(0);
        let ask = |_: &dyn Fn() -> bool| {
            if asked.fetch_add(1, Ordering::SeqCst) % UNANSWERED == UNANSWERED - 1 {
                Ok(())
            } else {
                silent()
            }
        };
        let lost = watched(&child, EVERY, &ask, &|| false, || {
            while asked.load(Ordering::SeqCst) < 4 * UNANSWERED {
                std::thread::yield_now();
            }
        });
        assert_eq!(lost, None);
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
