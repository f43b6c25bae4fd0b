//! Reads what a run of the program prints, and gives a sign of life if it prints nothing for a
//! while.

use std::io::{BufRead as _, BufReader, Read};
use std::process::Child;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long nothing is printed before a sign of life.
const SILENCE: Duration = Duration::from_secs(2);

/// How much of a run's output is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemoTold {
    /// Its last lines, at the end.
    Last(usize),
    /// Every line as soon as it is printed.
    AsItComes,
}

/// The output of one run of the program.
#[derive(Debug)]
pub struct DemoOutput {
    /// The results.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
}

impl DemoOutput {
    /// Reads both pipes to their end. `tell` gets lines while the child runs.
    pub fn of(child: &mut Child, told: DemoTold, tell: &dyn Fn(&str)) -> Self {
        let (out, err) = (child.stdout.take(), child.stderr.take());
        std::thread::scope(|scope| {
            let (sender, lines) = mpsc::channel();
            let results = scope.spawn(move || read(out));
            scope.spawn(move || {
                let lines = err
                    .into_iter()
                    .flat_map(|err| BufReader::new(err).split(b'\n'));
                for line in lines.map_while(Result::ok) {
                    let line = String::from_utf8_lossy(&line).into_owned();
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
            let stderr = follow(&lines, told, tell);
            Self {
                stdout: results.join().unwrap_or_default(),
                stderr,
            }
        })
    }

    /// The last line on stderr: a build's summary.
    pub fn summary(&self) -> &str {
        self.stderr.lines().next_back().unwrap_or_default()
    }
}

/// Collects lines until there are no more.
fn follow(lines: &mpsc::Receiver<String>, told: DemoTold, tell: &dyn Fn(&str)) -> String {
    let start = Instant::now();
    let (mut all, mut last) = (String::new(), String::from("it has begun"));
    let mut silent_until = start + SILENCE;
    loop {
        let left = silent_until.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) => {
                if told == DemoTold::AsItComes {
                    tell(&line);
                    silent_until = Instant::now() + SILENCE;
                }
                all.push_str(&line);
                all.push('\n');
                // A fresh stage is not what takes so long.
                if !line.is_empty() && !line.ends_with(" fresh") {
                    last = line;
                }
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let seconds = start.elapsed().as_secs();
                tell(&format!("… {seconds} s: {last}"));
                silent_until = Instant::now() + SILENCE;
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => return all,
        }
    }
}

/// Does work that prints nothing itself. `tell` gets signs of life meanwhile.
pub fn alive<T>(what: &str, tell: &(dyn Fn(&str) + Sync), work: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        let (end, ended) = mpsc::channel::<()>();
        scope.spawn(move || {
            let start = Instant::now();
            while ended.recv_timeout(SILENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                tell(&format!("… {} s: {what}", start.elapsed().as_secs()));
            }
        });
        let result = work();
        drop(end);
        result
    })
}

fn read(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // A failed read is ignored: the exit status says what went wrong.
        let _ = pipe.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
