//! The program is killed by SIGKILL at any moment. There must be no false skip, no unreadable state
//! and no left lock.
//!
//! Two small worlds, each with a project, go through rounds. In every round the project may change,
//! and a build is started and killed. Then `plan` must call no stale stage fresh, and a complete
//! build must make all stages fresh. The content of the images is read from the engine, file by
//! file. `XTASK_TEST_KILLS` is the number of rounds, `XTASK_TEST_SEED` the seed.

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

/// The rounds of the suite. `cargo xtask test --kills N` runs another number.
const ROUNDS: u64 = 30;

/// When a run is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// This much time after its start.
    After(Duration),
    /// This much time after this many events of this kind.
    Event(&'static str, u64, Duration),
    /// After this many changes of the files in its state.
    Writing(u64),
}

impl Moment {
    /// A random moment of a run of about this length. The critical moments are likelier.
    fn any(random: &mut Random, length: Duration) -> Self {
        let millis = |limit: u64, random: &mut Random| Duration::from_millis(random.below(limit));
        match random.below(10) {
            // Files are hashed at this time.
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

/// Which processes are killed with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// None: its children go on, and may end at any later time.
    Alone,
    /// All of its children.
    WithAll,
    /// None, but its builds are stopped until the next build has ended.
    BuildsHeld,
}

#[derive(Debug, Default)]
struct Counts {
    rounds: u64,
    /// Runs that ended before their moment.
    ended_before: u64,
    /// Kills that left an unfinished file.
    halfway: u64,
    /// Children that went on.
    orphans: u64,
}

/// One project, and the counts of its runs so far.
struct Life {
    world: World,
    random: Random,
    /// How long the last complete build took.
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
        // The processes that go on may or may not see the change.
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
        // An orphan's late image may have taken a name, which the next build corrects.
        while self.world.look().values().any(|verdict| verdict != "fresh") {
            assert!(Instant::now() < until, "the stages never become fresh");
            self.build();
        }
        let left = self.world.unfinished();
        assert!(left.len() <= 8, "unfinished files pile up: {left:?}");
    }

    /// Builds to the end. No killed run may delay this.
    fn build(&mut self) {
        let start = Instant::now();
        let ran = self.world.project.build(&["--jobs", "2"]).ends(0);
        let ran = ran.never_says("waits for another build");
        assert_eq!(ran.stderr, "", "the state is complained of");
        if !ran.those("built").is_empty() {
            self.length = start.elapsed();
        }
    }

    /// Runs held builds until they release the lock of buildx's own settings. Every other buildx
    /// would wait for that lock without an end.
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

    /// Starts a build and kills it. Returns its children.
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
                // The wait ends early if the run, and with it the stream of events, ends.
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
        // A stopped program starts no more children, so all of them are seen.
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

/// Goes through the rounds. At last it changes everything, so that every file of the state is
/// written again and no unfinished file stays.
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
