//! Runs whole processes and measures their time. To compare programs on a machine that does other
//! things as well, they run in turns, in one run, each after a warm-up.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::memory;
use crate::fault::{Fault, Result};
use crate::outside::interrupt::Interrupt;

/// One of the programs that are compared.
pub struct Side<'a> {
    /// Its name, for people.
    pub name: &'a str,
    /// Makes its command line.
    pub command: Box<dyn Fn() -> Command + 'a>,
    /// What must be done before each run, outside of the measured time.
    pub before: Option<Box<dyn Fn() -> Result<()> + 'a>>,
    /// How much time the first side may take, as a part of this one's.
    pub goal: Option<f64>,
}

impl<'a> Side<'a> {
    /// A program that needs nothing done before it runs.
    pub fn new(name: &'a str, command: impl Fn() -> Command + 'a) -> Self {
        Self {
            name,
            command: Box::new(command),
            before: None,
            goal: None,
        }
    }

    /// The same, with a goal for the side that it is held against.
    #[must_use]
    pub fn goal(self, goal: f64) -> Self {
        Self {
            goal: Some(goal),
            ..self
        }
    }

    /// The same, with something to do before each run.
    #[must_use]
    pub fn before(self, before: impl Fn() -> Result<()> + 'a) -> Self {
        Self {
            before: Some(Box::new(before)),
            ..self
        }
    }
}

/// The times of one program's runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times {
    sorted: Vec<Duration>,
}

impl Times {
    /// The times of runs in any order.
    pub fn of(mut runs: Vec<Duration>) -> Self {
        runs.sort_unstable();
        Self { sorted: runs }
    }

    /// The fastest run, in milliseconds.
    pub fn min(&self) -> f64 {
        self.sorted.first().copied().map_or(0.0, milliseconds)
    }

    /// The slowest run, in milliseconds.
    pub fn max(&self) -> f64 {
        self.sorted.last().copied().map_or(0.0, milliseconds)
    }

    /// The median run, or the mean of the two in the middle, in milliseconds.
    pub fn median(&self) -> f64 {
        let last = self.sorted.len().saturating_sub(1);
        let at = |at: usize| self.sorted.get(at).copied().map_or(0.0, milliseconds);
        f64::midpoint(at(last / 2), at(last.div_ceil(2)))
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// What is known of one program after its runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measured {
    /// The times of its runs.
    pub times: Times,
    /// The most memory that it had, in bytes, in a further run that counts for no time.
    pub memory: u64,
}

/// Runs processes, until the user wants to stop.
#[derive(Debug)]
pub struct Runner {
    interrupt: Interrupt,
    runs: usize,
}

impl Runner {
    /// A runner that measures every program `runs` times.
    pub const fn new(interrupt: Interrupt, runs: usize) -> Self {
        Self { interrupt, runs }
    }

    /// The interrupt that stops the runs.
    pub const fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// How often every program runs.
    pub const fn runs(&self) -> usize {
        self.runs
    }

    /// Runs all sides once without measuring, then in turns. The times are in the order of the
    /// sides.
    pub fn in_turns(&self, sides: &[Side<'_>]) -> Result<Vec<Times>> {
        let mut times = vec![Vec::with_capacity(self.runs); sides.len()];
        for run in 0..=self.runs {
            for (side, times) in sides.iter().zip(&mut times) {
                if let Some(before) = &side.before {
                    before()?;
                }
                let time = self.once(side.name, &mut (side.command)())?;
                if run > 0 {
                    times.push(time);
                }
            }
        }
        Ok(times.into_iter().map(Times::of).collect())
    }

    /// Runs all sides in turns, and once more for their memory, because looking at a process slows
    /// it down.
    pub fn measure(&self, sides: &[Side<'_>]) -> Result<Vec<Measured>> {
        let times = self.in_turns(sides)?;
        let measured = sides.iter().zip(times).map(|(side, times)| {
            if let Some(before) = &side.before {
                before()?;
            }
            let memory = self.peak(side.name, &mut (side.command)())?;
            Ok(Measured { times, memory })
        });
        measured.collect()
    }

    /// Runs a program, which must succeed. Its output is thrown away.
    pub fn once(&self, name: &str, command: &mut Command) -> Result<Duration> {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let start = Instant::now();
        let mut child = self.spawn(name, command)?;
        let mut said = Vec::new();
        if let Some(stderr) = &mut child.stderr {
            // If a program is cut off in the middle of a word, its status shows it.
            let _ = stderr.read_to_end(&mut said);
        }
        self.end(name, child, &said)?;
        Ok(start.elapsed())
    }

    /// Runs a program, which must succeed, and gives what it printed.
    pub fn output(&self, name: &str, command: &mut Command) -> Result<Vec<u8>> {
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = self.spawn(name, command)?;
        let mut printed = Vec::new();
        if let Some(stdout) = &mut child.stdout {
            stdout
                .read_to_end(&mut printed)
                .map_err(|error| Fault::failed(format!("cannot read what {name} says: {error}")))?;
        }
        self.end(name, child, b"")?;
        Ok(printed)
    }

    /// The most memory that a program and the programs that it runs have at any time, in bytes.
    pub fn peak(&self, name: &str, command: &mut Command) -> Result<u64> {
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = self.spawn(name, command)?;
        let peak = memory::peak(child.id());
        self.end(name, child, b"")?;
        Ok(peak)
    }

    fn spawn(&self, name: &str, command: &mut Command) -> Result<Child> {
        let child = self.interrupt.spawn(command.stdin(Stdio::null()));
        child
            .map_err(|error| Fault::lacks(format!("cannot run {name}: {error}")))?
            .ok_or_else(Fault::interrupted)
    }

    fn end(&self, name: &str, mut child: Child, said: &[u8]) -> Result<()> {
        self.interrupt.forget(&child);
        let status = child
            .wait()
            .map_err(|error| Fault::lacks(format!("cannot wait for {name}: {error}")))?;
        if self.interrupt.is_set() {
            return Err(Fault::interrupted());
        }
        if status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(said);
        let last = said.trim_end().lines().last().unwrap_or_default();
        Err(Fault::failed(format!("{name} ended with {status}: {last}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(ms: &[u64]) -> Times {
        Times::of(ms.iter().copied().map(Duration::from_millis).collect())
    }

    #[test]
    fn the_median_is_in_the_middle_whatever_the_order_of_the_runs() {
        for (runs, min, median, max) in [
            (&[7, 3, 5][..], 3.0, 5.0, 7.0),
            (&[8, 2, 4, 6], 2.0, 5.0, 8.0),
            (&[9], 9.0, 9.0, 9.0),
            (&[], 0.0, 0.0, 0.0),
        ] {
            let times = times(runs);
            assert!((times.min() - min).abs() < 1e-9, "{runs:?}");
            assert!((times.median() - median).abs() < 1e-9, "{runs:?}");
            assert!((times.max() - max).abs() < 1e-9, "{runs:?}");
        }
    }

    #[test]
    fn one_slow_run_moves_the_median_by_nothing() {
        assert!((times(&[5, 5, 5, 5, 9000]).median() - 5.0).abs() < 1e-9);
    }
}
