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
    let Some(builder) = builder else {
        read();
        return None;
    };
    let is_reading = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let goes_on = || is_reading.load(Ordering::SeqCst);
            let why = lost(builder, interrupt, &goes_on)?;
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
fn lost(
    builder: Remotely<'_>,
    interrupt: &Interrupt,
    goes_on: &dyn Fn() -> bool,
) -> Option<Unusable> {
    let mut unanswered = 0;
    loop {
        let next = Instant::now() + EVERY;
        while let Some(left) = next.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
            if !goes_on() || interrupt.is_set() {
                return None;
            }
        }
        match builder
            .remote
            .looks_alive(builder.platform, interrupt, goes_on)
        {
            Ok(()) => unanswered = 0,
            Err(_) if !goes_on() || interrupt.is_set() => return None,
            Err(why) => {
                unanswered += 1;
                if unanswered == UNANSWERED {
                    return Some(why);
                }
            }
        }
    }
}
