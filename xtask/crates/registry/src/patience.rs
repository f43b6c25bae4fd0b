//! How long and how often a registry is asked: time limits, and the waits between attempts.

use std::time::Duration;

use super::error::Trouble;
use super::transport::{Limits, Rest};
use super::{Effort, Registries};

/// How many bytes even a slow registry stores in a second.
const STORED: u64 = 8 << 20;

/// Time limits and attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long one exchange may take.
    pub exchange: Duration,
    /// How often the same question is asked at most.
    pub attempts: u32,
    /// The wait after the first attempt. It doubles after each further one.
    pub pause: Duration,
    /// How long all waits together may be, including those that the registry asks for.
    pub waiting: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            exchange: Duration::from_secs(30),
            attempts: 4,
            pause: Duration::from_millis(300),
            waiting: Duration::from_secs(30),
        }
    }
}

impl Patience {
    pub(super) fn limits(&self) -> Limits {
        Limits {
            connect: self.exchange.min(Duration::from_secs(10)),
            rest: Rest::Whole(self.exchange),
        }
    }

    /// The limits of a brief question, which has another way.
    pub(super) fn brief(&self) -> Limits {
        Limits {
            connect: self.exchange.min(Duration::from_secs(3)),
            rest: Rest::Whole(self.exchange.min(Duration::from_secs(10))),
        }
    }

    /// The limits of an exchange that sends `size` bytes or fetches a large body. A body may take
    /// as long as it needs, as long as it does not stall. After the last byte the registry may have
    /// to store the whole before it answers, so that time grows with the size.
    pub(super) fn bulk(&self, size: u64) -> Limits {
        Limits {
            rest: Rest::Each {
                write: self.exchange,
                read: self.exchange + Duration::from_secs(size / STORED),
            },
            ..self.limits()
        }
    }

    /// How long to wait after `attempt` (from 1) before the next. `None` if it was the last.
    fn pause_after(&self, attempt: u32, trouble: &Trouble, waited: Duration) -> Option<Duration> {
        if attempt >= self.attempts || !trouble.may_pass() {
            return None;
        }
        let doubled = self.pause * 2_u32.saturating_pow(attempt - 1);
        let pause = trouble
            .wait()
            .map_or(doubled, |wanted| wanted.max(self.pause));
        (waited + pause <= self.waiting).then_some(pause)
    }
}

impl Registries {
    /// Asks, and asks again after a fault that may pass.
    pub(super) fn persist<T>(
        &self,
        host: &str,
        effort: Effort,
        once: impl Fn() -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let patience = match effort {
            Effort::Full => self.patience,
            Effort::Brief => Patience {
                attempts: 1,
                ..self.patience
            },
        };
        let mut waited = Duration::ZERO;
        let mut attempt = 1;
        loop {
            let trouble = match once() {
                Ok(answer) => return Ok(answer),
                Err(trouble) => trouble,
            };
            let Some(pause) = patience.pause_after(attempt, &trouble, waited) else {
                return Err(trouble);
            };
            attempt += 1;
            (self.notice)(&format!(
                "{host} {}; attempt {attempt} of {} follows in {:.1} s",
                trouble.clause(),
                patience.attempts,
                pause.as_secs_f32()
            ));
            std::thread::sleep(pause);
            waited += pause;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(trouble: &Trouble) -> Vec<Duration> {
        let patience = Patience::default();
        let mut waited = Duration::ZERO;
        let mut pauses = Vec::new();
        for attempt in 1.. {
            let Some(pause) = patience.pause_after(attempt, trouble, waited) else {
                break;
            };
            waited += pause;
            pauses.push(pause);
        }
        pauses
    }

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn waits_double_and_attempts_end() {
        let broken = Trouble::Wrong(String::new());
        let expected = [300, 600, 1200].map(Duration::from_millis);
        assert_eq!(pauses(&broken), expected);
    }

    #[test]
    fn a_registrys_own_wait_holds_up_to_a_limit() {
        let many = |wait| Trouble::TooMany { wait };
        assert_eq!(
            pauses(&many(seconds(7))),
            [7, 7, 7].map(Duration::from_secs)
        );
        assert_eq!(pauses(&many(seconds(20))), [20].map(Duration::from_secs));
        assert!(pauses(&many(seconds(31))).is_empty());
        assert!(pauses(&many(seconds(u64::MAX / 2))).is_empty());
        assert_eq!(pauses(&many(seconds(0)))[0], Duration::from_millis(300));
    }

    #[test]
    fn what_will_not_pass_is_not_asked_again() {
        let refused = Trouble::Unreachable {
            why: String::new(),
            refused: true,
        };
        for trouble in [Trouble::Missing, Trouble::Tls(String::new()), refused] {
            assert!(pauses(&trouble).is_empty());
        }
    }
}
