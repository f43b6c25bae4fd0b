//! The oracle: compares the program's keys with what BuildKit really does.
//!
//! A case is a random tree with an ignore file and a Dockerfile, and a series of mutations. Each
//! mutation changes one thing: a file's content, mode, attribute or place, a link, an ignore line,
//! the Dockerfile's text, a line's end, an argument, the target, or a file that another stage's
//! host command makes in the context. After each mutation `cargo xtask plan` gives the key, and a
//! real build shows whether any step ran again and which image it made. `judge` has the rule. In
//! half of the cases all files have the same time, so that only their contents differ.
//!
//! `XTASK_TEST_ORACLE` is the number of mutations, `XTASK_TEST_ORACLE_SEED` the seed. A case
//! depends only on its seed, and case k of seed S has the seed S + k. The variables that a failing
//! case prints run it alone.

mod builder;
mod edits;
mod grow;
mod judge;
mod mutate;
mod program;
mod recipe;
mod state;
mod tree;
mod write;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::host;
use crate::support::random::{self, Random};
use builder::Outcome;
use judge::{Seen, Table, Verdict};
use mutate::Mutation;
use program::Program;
use state::State;
use tree::Disk;

/// The mutations of the suite. They are the same each time, so that no landing depends on luck.
/// `cargo xtask test --oracle N` tries others.
const MUTATIONS: u64 = 100;
const SEED: u64 = 1;
/// Mutations of one case.
const OF_A_CASE: u64 = 10;
/// One case out of this many also runs `inputs --context`.
const BY_FOLDER: u64 = 10;
/// One case out of this many asks for the key once more after each build. By then no file is racy,
/// so everything is remembered, and the next mutation must be seen by memory alone.
const BY_MEMORY: u64 = 2;
/// One case out of this many is also built by the program, whose image must be the right one.
const BY_BUILD: u64 = 3;
/// Cases that run at the same time.
const AT_ONCE: usize = 2;
/// The share of keys that must stay when nothing ran, in percent. With only a few hundred mutations
/// the share varies: of 300, some 170 run nothing, and a few of these change the key for nothing.
const STAY: u64 = 97;
const STAY_OF_FEW: u64 = 90;
const FEW: u64 = 1000;

/// One case while it runs.
struct Case<'a> {
    host: &'a str,
    program: &'a Program,
    seed: u64,
    name: String,
    nonce: String,
    by_folder: bool,
    by_memory: bool,
    by_build: bool,
    disk: Disk,
    seen: Vec<Seen>,
}

/// A state's answers from both sides.
struct Answers {
    keys: program::Keys,
    outcome: Outcome,
    /// The layers of the program's own image, if it was to build one.
    own: Option<Vec<String>>,
}

impl Case<'_> {
    /// Writes a state to the disk and asks both sides.
    fn ask(&mut self, state: &State, renamed: Option<&(Vec<u8>, Vec<u8>)>) -> Answers {
        let below = |path: &Vec<u8>| [b"ctx/", &path[..]].concat();
        let renamed = renamed.map(|(from, to)| (below(from), below(to)));
        self.disk.lay(&state.files(&self.nonce), renamed.as_ref());
        if state.made.is_some() {
            self.program.make(&self.name, state);
        }
        let keys = self.program.keys(&self.name, state, self.by_folder);
        let folder = self.program.folder(&self.name);
        let outcome = if state.has_from() {
            builder::build(self.host, &folder, state, &self.program.base)
        } else {
            let seed = self.seed;
            let refusal = keys.plan.as_ref().err();
            let refusal = refusal.unwrap_or_else(|| panic!("seed {seed}: it has no FROM"));
            Outcome::Refused(refusal.clone())
        };
        if self.by_memory {
            let again = self.program.keys(&self.name, state, false);
            assert_eq!(again.plan, keys.plan, "seed {}: the same tree", self.seed);
        }
        let own = match (&keys.plan, &outcome) {
            (Ok(key), Outcome::Built(_)) if self.by_build => {
                Some(self.program.build(self.host, key))
            }
            _ => None,
        };
        Answers { keys, outcome, own }
    }

    /// The first state that can be built.
    fn first(&mut self, random: &mut Random) -> State {
        loop {
            let state = mutate::first(random);
            let Answers { keys, outcome, own } = self.ask(&state, None);
            match outcome {
                Outcome::Built(built) => {
                    let is_right = own.is_none_or(|own| own == built.layers());
                    assert!(is_right, "seed {}: the first image is another", self.seed);
                    self.seen.push(Seen { keys, built });
                    return state;
                }
                Outcome::Refused(why) => eprintln!("seed {}: {why}", self.seed),
            }
        }
    }

    /// Makes one mutation. Returns the state to go on from.
    fn step(&mut self, random: &mut Random, before: State, table: &Mutex<Table>) -> State {
        let mutation = mutate::mutate(random, &before);
        let answers = self.ask(&mutation.state, mutation.renamed.as_ref());
        let (verdict, after) = match &answers.outcome {
            Outcome::Refused(why) => {
                eprintln!(
                    "seed {}: {} {}: {why}",
                    self.seed, mutation.kind, mutation.note
                );
                self.disk.lay(&before.files(&self.nonce), None);
                (Verdict::Refused, before.clone())
            }
            Outcome::Built(built) => {
                let verdict =
                    judge::judge(&self.seen, &answers.keys, built, answers.own.as_deref());
                (verdict, mutation.state.clone())
            }
        };
        table.lock().unwrap().add(mutation.kind, verdict);
        if matches!(
            verdict,
            Verdict::FalseSkip | Verdict::OtherImage | Verdict::ForNothing | Verdict::NotUnderstood
        ) {
            self.tell(verdict, &before, &mutation, &answers);
        }
        if let Outcome::Built(built) = answers.outcome {
            let keys = answers.keys;
            self.seen.push(Seen { keys, built });
        }
        after
    }

    /// Prints everything that is needed to understand a verdict without running the case again.
    fn tell(&self, verdict: Verdict, before: &State, mutation: &Mutation, answers: &Answers) {
        let Outcome::Built(built) = &answers.outcome else {
            return;
        };
        let (kind, note) = (mutation.kind, &mutation.note);
        let at = format!(
            "seed {}, mutation {} of its case",
            self.seed,
            self.seen.len()
        );
        // A run that succeeds prints only this line.
        show(&format!("oracle: {verdict:?}: {kind} {note} ({at})"));
        println!(
            "==== {verdict:?}: {kind} {note} ({at})\n---- before\n{}---- after\n{}\
             ---- keys {:?}\n---- {built:?}\n---- states before",
            before.shown(&self.nonce),
            mutation.state.shown(&self.nonce),
            answers.keys,
        );
        for seen in &self.seen {
            println!("  {:?}\n  {:?}", seen.keys, seen.built);
        }
    }
}

/// Prints the seed of a case that fails.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("it broke in the case of seed {}", self.0);
        }
    }
}

/// Runs one case.
fn run(host: &str, program: &Program, seed: u64, mutations: u64, table: &Mutex<Table>) {
    let _told = Told(seed);
    let nonce = program::nonce();
    let name = format!("case-{nonce}");
    let mut case = Case {
        host,
        program,
        seed,
        disk: Disk::at(program.folder(&name)),
        name,
        nonce,
        by_folder: seed.is_multiple_of(BY_FOLDER),
        by_memory: seed.is_multiple_of(BY_MEMORY),
        by_build: seed % BY_BUILD == 1,
        seen: Vec::new(),
    };
    let mut random = Random(seed);
    let mut state = case.first(&mut random);
    for _ in 0..mutations {
        state = case.step(&mut random, state, table);
    }
    std::fs::remove_dir_all(program.folder(&case.name)).unwrap();
}

/// Prints a line even if the run succeeds, when the output of `println!` is captured.
fn show(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
}

#[test]
fn the_key_changes_whenever_buildkit_would_run_a_step_again() {
    let (mutations, seed) = match random::number("XTASK_TEST_ORACLE") {
        Some(mutations) => (mutations, random::seed("XTASK_TEST_ORACLE_SEED")),
        None => (
            MUTATIONS,
            random::number("XTASK_TEST_ORACLE_SEED").unwrap_or(SEED),
        ),
    };
    show(&format!("oracle: {mutations} mutations, seed {seed}"));
    let (next, table) = (AtomicU64::new(0), Mutex::new(Table::default()));
    let host = host();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let program = Program::new(&host);
                loop {
                    let case = next.fetch_add(1, Ordering::Relaxed);
                    let left = mutations.saturating_sub(case * OF_A_CASE);
                    if left == 0 {
                        return;
                    }
                    let seed = seed.wrapping_add(case);
                    run(&host, &program, seed, left.min(OF_A_CASE), &table);
                }
            });
        }
    });
    let table = table.into_inner().unwrap();
    show(&table.to_string());
    let (stayed, nothing) = (
        table.count(Verdict::Stayed),
        table.count(Verdict::ForNothing),
    );
    show(&format!(
        "oracle: of {} that ran nothing the key stayed in {stayed}",
        stayed + nothing
    ));
    assert_eq!(table.count(Verdict::FalseSkip), 0, "false skips: see above");
    assert_eq!(table.count(Verdict::OtherImage), 0, "see above");
    assert_eq!(table.count(Verdict::NotUnderstood), 0, "see above");
    let least = if mutations < FEW { STAY_OF_FEW } else { STAY };
    assert!(
        stayed * 100 >= (stayed + nothing) * least,
        "the key changed for nothing too often"
    );
}
