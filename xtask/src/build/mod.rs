//! Brings the wanted stages up to date.
//!
//! When a stage becomes ready, it gets its turn: a verdict, then an action, then a record. Prints
//! nothing; everything that happens is reported as an event.

pub mod action;
pub mod bring;
mod builders;
mod complete;
mod execute;
pub mod executor;
pub mod fetching;
mod finish;
mod gaps;
mod host_commands;
pub mod lanes;
mod moving;
mod parts;
mod pinning;
mod put;
mod resolve;
mod rest;
pub mod schedule;
mod sent;
mod superseded;
mod turn;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;

use crate::build::schedule::{End, Task, Work};
use crate::fault::{Fault, Result};
use crate::freshness::planner::{ImageCache, Prepared, Workspace};
use crate::freshness::record::Record;
use crate::graphfile::spec::StageId;
use crate::outside::clock;
use crate::outside::interrupt::Interrupt;
use crate::outside::state::{self, HeldLock};
use crate::report::event::{Event, Outcome, StageFinished};
use crate::report::excerpt::Excerpt;
use crate::unpoisoned::Unpoisoned as _;
use builders::Builders;
use turn::{Turn, TurnEnd};

/// What the command line asks of a build.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// The wanted stages and all that they stand on, in build order.
    pub wanted: Vec<StageId>,
    /// Those of them that were asked for: their images are to be at hand. All that they stand on
    /// may stay in the registry.
    pub targets: BTreeSet<StageId>,
    /// The number of places that running stages share; `default_jobs` decides if absent.
    pub jobs: Option<usize>,
    /// After a failure, go on with the stages that do not stand on the failed one.
    pub keep_going: bool,
    /// Build these even if fresh.
    pub force: Force,
    /// Refuse stages with external images that the lock does not cover.
    pub locked: bool,
    /// Ask no registry.
    pub offline: bool,
    /// Take no step from BuildKit's cache.
    pub no_cache: bool,
}

/// Which stages are built even if they are fresh.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Force {
    /// Nothing.
    #[default]
    Nothing,
    /// All wanted stages.
    All,
    /// These stages.
    Stages(Vec<StageId>),
}

impl Force {
    /// Whether a stage is forced.
    pub fn covers(&self, id: StageId) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Stages(ids) => ids.contains(&id),
        }
    }
}

/// A sensible number of places: one for every two cores (a build is parallel in itself) but at
/// least two, at most one for every 4 GiB of memory, and from 1 to 16 in all.
pub fn default_jobs() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?
            .trim()
            .strip_suffix("kB")?
            .trim()
            .parse::<usize>()
            .ok()
    });
    let by_memory = kib.map_or(2, |kib| (kib >> 20) / 4);
    (cores / 2).max(2).min(by_memory).clamp(1, 16)
}

/// Takes the graph for a build, beside other builds of it. Waits while something has it alone.
pub fn begin(work: &Workspace, interrupt: &Interrupt, events: &Sender<Event>) -> Result<HeldLock> {
    let waiting = |holder: &str| {
        let message = format!("waiting for another call on this graph to end ({holder})");
        let _ = events.send(Event::Notice { message });
    };
    work.state.share(waiting, || interrupt.pause())
}

/// Brings the wanted stages up to date, and tells `events` of everything. `lock` proves that
/// nothing has the graph alone. Other builds of the graph may run; each stage is built by one of
/// them at a time.
///
/// A fault that is returned was not reported yet, except that of failed stages: their events have
/// said everything, so their fault is a `Fault::told`.
pub fn build(
    work: &Workspace,
    wishes: &Wishes,
    lock: HeldLock,
    interrupt: &Interrupt,
    events: &Sender<Event>,
) -> Result<()> {
    let start = Instant::now();
    let wanted = wishes.wanted.as_slice();
    if wishes.locked {
        work.refuse_uncovered(wanted)?;
    }
    if wishes.offline {
        work.go_offline();
    }
    work.begin_to_build();
    let (prepared, images) = work.prepare(wanted)?;
    for id in wanted {
        if let Some(summary) = prepared.get(id).and_then(Prepared::summary) {
            work.check_platforms(*id, summary)?;
        }
    }
    let builders = Builders::of(&work.spec, &work.engine, wishes.jobs, wishes.offline);
    let lanes = builders.lanes();
    let _ = events.send(Event::Started {
        stages: wanted.len(),
        jobs: lanes.iter().map(|lane| lane.places).sum(),
        graph: graph_of(work, wanted).into(),
    });
    let run = Run {
        work,
        wishes,
        interrupt,
        events,
        wanted,
        prepared,
        start,
        began: clock::now().saturating_sub(start.elapsed()),
        held: ImageCache::new(images),
        now: Mutex::default(),
        pinning: pinning::Pinning::default(),
        builders,
        has_acted: AtomicBool::new(false),
    };
    run.tell_warnings();
    schedule::run(&run.tasks(), &lanes, wishes.keep_going, &run)?;
    let (result, left) = run.finish();
    // The result is shown by now. What nobody needs any more is removed by the last of the builds
    // that run.
    drop(lock);
    if !interrupt.is_set()
        && let Some(_alone) = work.state.lock_if_free()
    {
        // Leftovers of builds that were killed.
        work.state.remove_call_folders();
        state::remove_abandoned(&work.spec.root);
        let note = superseded::remove(work, &left.privates, left.has_built, interrupt);
        note.into_iter().for_each(|note| work.warn(note));
    }
    result
}

/// The stages that each wanted stage stands on, without parts, by name.
fn graph_of(work: &Workspace, wanted: &[StageId]) -> BTreeMap<String, Vec<String>> {
    let name = |id: StageId| work.spec.stage(work.spec.whole_id(id)).name.clone();
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for id in wanted {
        let own = name(*id);
        let mut parents: BTreeSet<String> = work.graph.parents(*id).map(name).collect();
        parents.remove(&own);
        graph.entry(own).or_default().extend(parents);
    }
    let graph = graph.into_iter();
    graph
        .map(|(name, parents)| (name, parents.into_iter().collect()))
        .collect()
}

struct Run<'a> {
    work: &'a Workspace,
    wishes: &'a Wishes,
    interrupt: &'a Interrupt,
    events: &'a Sender<Event>,
    wanted: &'a [StageId],
    prepared: HashMap<StageId, Prepared>,
    start: Instant,
    /// `start` by the clock.
    began: Duration,
    held: ImageCache,
    now: Mutex<Now>,
    pinning: pinning::Pinning,
    builders: Builders<'a>,
    /// Whether this run has built, tagged or pinned anything, or run a host command. Stages that
    /// run later may have been scanned before that, so they are looked at again.
    has_acted: AtomicBool,
}

/// The part of a run that changes while stages are built.
#[derive(Default)]
struct Now {
    /// The records of the stages that have an image.
    records: BTreeMap<StageId, Record>,
    outcome: BTreeMap<StageId, Outcome>,
    saved_ms: u64,
    fault: Option<Fault>,
    /// The stages that have moved from a builder which died, with what was said of it.
    moved: BTreeMap<StageId, String>,
}

impl Run<'_> {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unpoisoned()
    }

    fn tell(&self, event: Event) {
        // A build goes on even if nobody listens.
        let _ = self.events.send(event);
    }

    fn tell_warnings(&self) {
        let warnings = self
            .work
            .warnings
            .lock()
            .map(|mut warnings| std::mem::take(&mut *warnings));
        for message in warnings.unwrap_or_default() {
            self.tell(Event::Notice { message });
        }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How long after the start of the run a moment of the clock was; not before it, and not later
    /// than now. The moment is given in milliseconds since 1970.
    fn since_start(&self, moment_ms: i64) -> u64 {
        let began = i64::try_from(self.began.as_millis()).unwrap_or(i64::MAX);
        let since = u64::try_from(moment_ms.saturating_sub(began)).unwrap_or(0);
        since.min(self.elapsed_ms())
    }

    fn name(&self, id: StageId) -> &str {
        &self.work.spec.stage(id).name
    }

    fn tasks(&self) -> Vec<Task> {
        let place: HashMap<StageId, usize> = self
            .wanted
            .iter()
            .enumerate()
            .map(|(at, id)| (*id, at))
            .collect();
        let within = |ids: &mut dyn Iterator<Item = StageId>| {
            ids.filter_map(|id| place.get(&id).copied())
                .collect::<Vec<_>>()
        };
        let known: Vec<Option<u64>> = self.wanted.iter().map(|id| self.last_ms(*id)).collect();
        // A stage that was never built may take long. A long stage that starts late makes the whole
        // build late; a short one that starts early costs nothing.
        let longest = known.iter().flatten().copied().max().unwrap_or(0);
        let tasks = self.wanted.iter().zip(known).map(|(id, known)| Task {
            children: within(&mut self.work.graph.children(*id)),
            parents: within(&mut self.work.graph.parents(*id)).len(),
            weight: self.work.spec.stage(*id).weight as usize,
            lanes: self.builders.choice(self.work.spec.stage(*id)),
            class: self.builders.class(self.work.spec.stage(*id)),
            expected_ms: known.unwrap_or(longest),
        });
        tasks.collect()
    }

    fn last_ms(&self, id: StageId) -> Option<u64> {
        Some(self.prepared.get(&id)?.records.last()?.duration_ms)
    }

    /// Stores and reports the result of a stage's turn.
    fn end_turn(&self, id: StageId, started_ms: u64, turn: Turn) -> End {
        let saved_ms = match (turn.outcome, &turn.record) {
            (Outcome::Fresh | Outcome::Restored | Outcome::Pulled, Some(record)) => {
                record.duration_ms
            }
            _ => 0,
        };
        {
            let mut now = self.now();
            if let Some(record) = &turn.record {
                now.records.insert(id, record.clone());
            }
            now.outcome.insert(id, turn.outcome);
            now.saved_ms += saved_ms;
        }
        let end = if turn.record.is_some() {
            End::Good
        } else {
            End::Bad
        };
        self.tell(Event::StageFinished(StageFinished {
            stage: self.name(id).to_owned(),
            outcome: turn.outcome,
            started_ms,
            ended_ms: self.elapsed_ms(),
            image: turn.record.as_ref().map(|record| record.image.clone()),
            size: turn.record.as_ref().map(|record| record.size),
            error: turn.error,
            step: turn.step,
            excerpt: turn.excerpt,
            log: turn.log.map(Utf8PathBuf::into_string),
            saved_ms,
        }));
        end
    }
}

impl Work for Run<'_> {
    fn run(&self, task: usize, lane: usize) -> End {
        let id = self.wanted[task];
        let started_ms = self.elapsed_ms();
        match self.turn(id, lane) {
            TurnEnd::Done(turn) => self.end_turn(id, started_ms, *turn),
            TurnEnd::Moves => End::Moved,
            TurnEnd::StaysHere => End::First,
        }
    }

    fn lost(&self, task: usize, because: usize) {
        let (id, because) = (self.wanted[task], self.wanted[because]);
        let cancelled = self.now().outcome.get(&because) == Some(&Outcome::Cancelled);
        let outcome = if cancelled {
            Outcome::Cancelled
        } else {
            Outcome::Skipped
        };
        self.now().outcome.insert(id, outcome);
        let at = self.elapsed_ms();
        self.tell(Event::StageFinished(StageFinished {
            stage: self.name(id).to_owned(),
            outcome,
            started_ms: at,
            ended_ms: at,
            image: None,
            size: None,
            error: Some(format!(
                "because `{}` {}",
                self.name(because),
                if cancelled { "was cancelled" } else { "failed" }
            )),
            step: None,
            excerpt: Excerpt::default(),
            log: None,
            saved_ms: 0,
        }));
    }

    fn may_start(&self) -> bool {
        !self.interrupt.is_set()
    }
}
