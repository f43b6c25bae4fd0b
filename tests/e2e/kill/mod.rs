//! The program killed by SIGKILL at any moment: no false skip, no unreadable state, no left lock.
//!
//! Two small worlds with a project each live through rounds. In every round something of the
//! project may change, a build is started and killed, and then `plan` must not call fresh what
//! is not, and a build to the end must make it so. What the images hold is read from the engine,
//! file by file. `XTASK_TEST_KILLS` says how many rounds there are, `XTASK_TEST_SEED` which.

mod meanwhile;
mod truth;
mod world;

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::hosts;
use crate::support::process::{Process, is_locked};
use crate::support::random::{Random, number, seed};
use world::World;

/// Rounds of the suite; `cargo xtask test --kills N` asks for others.
const ROUNDS: u64 = 100;

/// When a run is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So much time after its start.
    After(Duration),
    /// When it has told of so many events of this kind, and so much time later.
    Event(&'static str, u64, Duration),
    /// When so many changes were seen of the files of its state.
    Writing(u64),
}

impl Moment {
    /// Any moment of a run that takes about so long, and those that matter most.
    fn any(random: &mut Random, length: Duration) -> Self {
        let millis = |limit: u64, random: &mut Random| Duration::from_millis(random.below(limit));
        match random.below(10) {
            // While files are hashed.
            0 => Self::After(Duration::from_micros(random.below(30_000))),
            1..=4 => {
                let length = u64::try_from(length.as_millis()).unwrap();
                Self::After(millis(length * 5 / 4 + 1, random))
            }
            5..=7 => {
                let events = [
                    "started",
                    "stage_started",
                    "step",
                    "stage_finished",
                    "finished",
                ];
                let nth = 1 + random.below(3);
                Self::Event(random.one_of(&events), nth, millis(30, random))
            }
            _ => Self::Writing(1 + random.below(6)),
        }
    }
}

/// What is killed with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// Nothing: what it started goes on, and may end at any later time.
    Alone,
    /// Everything that it started.
    WithAll,
    /// Nothing, but its builds stand still until the next build has ended.
    BuildsHeld,
}

#[derive(Debug, Default)]
struct Counts {
    rounds: u64,
    /// Runs that had ended before their moment came.
    ended_before: u64,
    /// Kills that left half a file.
    halfway: u64,
    /// Processes that went on.
    orphans: u64,
}

/// One project, and what became of its runs so far.
struct Life {
    world: World,
    random: Random,
    /// How long the last build to the end took.
    length: Duration,
    counts: Counts,
}

impl Life {
    fn new(host: &str, seed: u64) -> Self {
        let mut life = Self {
            world: World::new(host),
            random: Random(seed),
            length: Duration::ZERO,
            counts: Counts::default(),
        };
        life.build();
        life
    }

    fn change(&mut self, times: u64) {
        for _ in 0..times {
            eprintln!("    {}", self.world.change(&mut self.random));
        }
    }

    fn round(&mut self) {
        let times = self.random.one_of(&[0, 1, 1, 2, 2, 3]);
        self.change(times);
        let moment = Moment::any(&mut self.random, self.length);
        let how = self
            .random
            .one_of(&[How::Alone, How::WithAll, How::BuildsHeld]);
        let halfway = self.world.halfway();
        let orphans = self.kill(moment, how);
        self.counts.rounds += 1;
        self.counts.halfway += u64::from(self.world.halfway() > halfway);
        self.counts.orphans += orphans.len() as u64;
        // What goes on may see the change or not.
        let times = self.random.below(2);
        self.change(times);
        self.world.look();
        self.build();
        if how == How::BuildsHeld && !orphans.is_empty() {
            self.world.look();
            for orphan in &orphans {
                orphan.signal_group(Signal::CONT);
            }
        }
        let until = Instant::now() + Duration::from_secs(60);
        while orphans.iter().any(|orphan| orphan.lives()) {
            assert!(
                Instant::now() < until,
                "what a killed run started never ends"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        // An orphan's late image may have taken a name, which the next build puts right.
        while self.world.look().values().any(|verdict| verdict != "fresh") {
            assert!(Instant::now() < until, "the stages never become fresh");
            self.build();
        }
        let left = self.world.unfinished();
        assert!(left.len() <= 8, "unfinished files pile up: {left:?}");
    }

    /// Builds to the end, which nothing dead may delay.
    fn build(&mut self) {
        let start = Instant::now();
        let ran = self.world.project.build(&["--jobs", "2"]).ends(0);
        let ran = ran.never_says("waiting for another build");
        assert_eq!(ran.stderr, "", "the state is complained of");
        if !ran.those("built").is_empty() {
            self.length = start.elapsed();
        }
    }

    /// Held builds may hold the lock of buildx's own settings, for which every other buildx waits
    /// for ever: they go on until they have let go of it.
    fn let_go_of_buildx(&self, held: &[Process]) {
        let lock = self.world.project.path("docker-config/buildx/.lock");
        let until = Instant::now() + Duration::from_secs(60);
        while is_locked(&lock) {
            assert!(Instant::now() < until, "buildx keeps its lock");
            for child in held.iter().filter(|child| child.is_stopped()) {
                child.signal_group(Signal::CONT);
                std::thread::yield_now();
                child.signal_group(Signal::STOP);
            }
        }
    }

    /// Starts a build and kills it; gives what it had started and left.
    fn kill(&mut self, moment: Moment, how: How) -> Vec<Process> {
        let mut child = self
            .world
            .project
            .start(&["build", "--json", "--jobs", "2"]);
        let start = Instant::now();
        let program = Process::of(child.id().cast_signed()).unwrap();
        let stdout = child.stdout.take().unwrap();
        let (tell, told) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        match moment {
            Moment::After(time) => {
                // The stream of events ends with the run.
                while told
                    .recv_timeout(time.saturating_sub(start.elapsed()))
                    .is_ok()
                {}
            }
            Moment::Event(kind, nth, later) => {
                let event = format!("\"event\":\"{kind}\"");
                let seen = told.iter().filter(|line| line.contains(&event));
                if seen.take(usize::try_from(nth).unwrap()).count() as u64 == nth {
                    std::thread::sleep(later);
                }
            }
            Moment::Writing(changes) => {
                let (mut state, mut seen) = (self.world.state(), 0);
                while seen < changes && program.lives() {
                    let now = self.world.state();
                    seen += u64::from(now != state);
                    state = now;
                }
            }
        }
        let ended = !program.lives();
        // Standing still it starts nothing more, so that all its children are seen.
        program.signal(Signal::STOP);
        let children = program.children();
        for child in &children {
            match how {
                How::WithAll => child.signal_group(Signal::KILL),
                How::BuildsHeld if child.arguments().contains("buildx") => {
                    child.signal_group(Signal::STOP)
                }
                How::Alone | How::BuildsHeld => {}
            }
        }
        if how == How::BuildsHeld {
            self.let_go_of_buildx(&children);
        }
        program.signal(Signal::KILL);
        let status = child.wait().unwrap();
        reader.join().unwrap();
        self.counts.ended_before += u64::from(ended);
        eprintln!(
            "    {moment:?} {how:?} after {:?}: {status}, {} children",
            start.elapsed(),
            children.len()
        );
        assert!(ended || status.signal() == Some(9), "{status}");
        children
    }
}

/// Lives through so many rounds, and at last writes every file of the state once more.
fn live(host: &str, seed: u64, rounds: u64) {
    let mut life = Life::new(host, seed);
    for round in 0..rounds {
        eprintln!("round {round}");
        life.round();
    }
    let until = Instant::now() + Duration::from_secs(60);
    while !life.world.unfinished().is_empty() {
        assert!(
            Instant::now() < until,
            "{:?} is never removed",
            life.world.unfinished()
        );
        life.world.change_everything();
        life.build();
    }
    println!(
        "{host}: {:?}, {} stages proven fresh",
        life.counts, life.world.proven
    );
}

#[test]
fn a_program_killed_at_any_moment_leaves_no_false_skip_no_broken_state_and_no_lock() {
    let rounds = number("XTASK_TEST_KILLS").unwrap_or(ROUNDS);
    let seed = seed("XTASK_TEST_SEED");
    println!("XTASK_TEST_KILLS={rounds} XTASK_TEST_SEED={seed}");
    let hosts = hosts();
    let lives: Vec<_> = (0..2).map(|at| hosts[at % hosts.len()].clone()).collect();
    std::thread::scope(|scope| {
        for (at, host) in lives.iter().enumerate() {
            let at = at as u64;
            scope.spawn(move || live(host, seed + at, rounds / 2 + (rounds % 2) * at));
        }
    });
}
