//! Runs tasks in the order of a DAG, several at once.
//!
//! Counts in-degrees down on a rayon pool of its own. Of the tasks that are ready, the one with the
//! longest way to the end goes first. Each task takes as many of the places of its lane as it weighs.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};

use rayon::Scope;

use super::lanes::{Choice, Lane, LaneClass, Lanes};
use crate::fault::{Fault, Result};
use crate::unpoisoned::Unpoisoned as _;

/// What the schedule must know of a task. The number of a task is higher than those of all tasks
/// that it waits for.
#[derive(Debug, Clone, Default)]
pub struct Task {
    /// The tasks that wait for this one.
    pub children: Vec<usize>,
    /// How many tasks this one waits for.
    pub parents: usize,
    /// How many places it takes while it runs.
    pub weight: usize,
    /// Which lanes may take it.
    pub lanes: Choice,
    /// The class for which a lane may close.
    pub class: LaneClass,
    /// How long it is expected to run, in milliseconds.
    pub expected_ms: u64,
}

/// How a task ended, as far as the others are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The tasks that wait for it may go on.
    Good,
    /// The tasks that wait for it are lost. Without `keep_going` no other task is started either.
    Bad,
    /// Its lane takes no task of its class any more. It runs once more, on another lane.
    Moved,
    /// Only the first lane can run it. It runs once more, there.
    First,
}

/// What the schedule asks of the outside.
pub trait Work: Sync {
    /// Runs one task on a lane. Called on a thread of the pool.
    fn run(&self, task: usize, lane: usize) -> End;
    /// `task` will not run, because `because` ended badly.
    fn lost(&self, task: usize, because: usize);
    /// Whether another task may be started.
    fn may_start(&self) -> bool;
}

/// Runs all tasks, with at most the places of each lane taken at once. Returns also if some tasks
/// could not be started: the caller sees which ones were neither run nor lost.
pub fn run(tasks: &[Task], lanes: &[Lane], keep_going: bool, work: &dyn Work) -> Result<()> {
    let lanes = Lanes::of(lanes);
    let jobs = lanes.places();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(jobs)
        .thread_name(|at| format!("job-{at}"))
        .build()
        .map_err(|error| {
            Fault::lacks(format!(
                "cannot start {jobs} threads: {error}; try a smaller `--jobs`"
            ))
        })?;
    let ways = ways(tasks);
    let state = State {
        waiting: tasks.iter().map(|task| task.parents).collect(),
        lost: vec![false; tasks.len()],
        is_first: vec![false; tasks.len()],
        ready: (0..tasks.len())
            .filter(|at| tasks[*at].parents == 0)
            .map(|at| ready(&ways, at))
            .collect(),
        lanes,
        stopped: false,
    };
    let run = Run {
        tasks,
        ways,
        keep_going,
        work,
        state: Mutex::new(state),
    };
    let run = &run;
    pool.scope(|scope| {
        let mut state = run.state();
        while let Some(taken) = run.take(&mut state) {
            scope.spawn(move |scope| run.work_off(taken, scope));
        }
    });
    Ok(())
}

/// The longest way from each task to the end, including the task itself, in milliseconds.
fn ways(tasks: &[Task]) -> Vec<u64> {
    let mut ways = vec![0; tasks.len()];
    for at in (0..tasks.len()).rev() {
        let behind = tasks[at]
            .children
            .iter()
            .map(|child| ways[*child])
            .max()
            .unwrap_or(0);
        // A task of unknown length still makes the way longer than no task.
        ways[at] = behind + tasks[at].expected_ms.max(1);
    }
    ways
}

/// Longest way first; of equal ways, the task with the lowest number.
type Ready = (u64, std::cmp::Reverse<usize>);

fn ready(ways: &[u64], at: usize) -> Ready {
    (ways[at], std::cmp::Reverse(at))
}

struct State {
    /// How many tasks each one still waits for.
    waiting: Vec<usize>,
    lost: Vec<bool>,
    /// Tasks that only the first lane can run.
    is_first: Vec<bool>,
    ready: BTreeSet<Ready>,
    lanes: Lanes,
    stopped: bool,
}

/// A task and the lane that has it.
#[derive(Debug, Clone, Copy)]
struct Taken {
    task: usize,
    lane: usize,
}

struct Run<'a> {
    tasks: &'a [Task],
    ways: Vec<u64>,
    keep_going: bool,
    work: &'a dyn Work,
    state: Mutex<State>,
}

impl Run<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unpoisoned()
    }

    /// Takes places for the task that goes next, if one may start now.
    fn take(&self, state: &mut State) -> Option<Taken> {
        if state.stopped || !self.work.may_start() {
            return None;
        }
        let mut awaited = vec![false; state.lanes.count()];
        let first = vec![vec![0]];
        let State {
            ready,
            lanes,
            is_first,
            ..
        } = state;
        let mut next = None;
        for entry in ready.iter().rev() {
            let (_, std::cmp::Reverse(task)) = *entry;
            let own = &self.tasks[task];
            let choice = if is_first[task] { &first } else { &own.lanes };
            if let Some(lane) = lanes.take(choice, own.class, own.weight, &mut awaited) {
                next = Some((*entry, Taken { task, lane }));
            }
            if next.is_some() || awaited.iter().all(|awaited| *awaited) {
                break;
            }
        }
        let (entry, taken) = next?;
        ready.remove(&entry);
        Some(taken)
    }

    /// Runs a task, then, on the same thread, the task that goes next, until no task is ready. Any
    /// further task that may start is spawned on the pool. This way no thread is woken for a task
    /// of a microsecond.
    fn work_off<'s>(&'s self, taken: Taken, scope: &Scope<'s>) {
        let mut next = Some(taken);
        while let Some(taken) = next {
            let end = self.work.run(taken.task, taken.lane);
            let mut state = self.state();
            self.ended(&mut state, taken, end);
            next = self.take(&mut state);
            while let Some(other) = self.take(&mut state) {
                scope.spawn(move |scope| self.work_off(other, scope));
            }
        }
    }

    fn ended(&self, state: &mut State, Taken { task, lane }: Taken, end: End) {
        state.lanes.give_back(lane, self.tasks[task].weight);
        match end {
            End::Good => {
                for child in &self.tasks[task].children {
                    state.waiting[*child] -= 1;
                    if state.waiting[*child] == 0 && !state.lost[*child] {
                        state.ready.insert(ready(&self.ways, *child));
                    }
                }
                return;
            }
            End::Moved | End::First => {
                if end == End::Moved {
                    state.lanes.close(lane, self.tasks[task].class);
                } else {
                    state.is_first[task] = true;
                }
                state.ready.insert(ready(&self.ways, task));
                return;
            }
            End::Bad => {}
        }
        state.stopped |= !self.keep_going;
        let mut lost = self.tasks[task].children.clone();
        while let Some(child) = lost.pop() {
            if !std::mem::replace(&mut state.lost[child], true) {
                self.work.lost(child, task);
                lost.extend(&self.tasks[child].children);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Watched {
        bad: Vec<usize>,
        /// Lanes on which every task moves.
        dead: Vec<usize>,
        /// Tasks that only the first lane can run.
        at_first: Vec<usize>,
        order: Mutex<Vec<usize>>,
        lost: Mutex<Vec<(usize, usize)>>,
        running: AtomicUsize,
        most: AtomicUsize,
    }

    impl Work for Watched {
        fn run(&self, task: usize, lane: usize) -> End {
            if self.dead.contains(&lane) {
                return End::Moved;
            }
            if lane != 0 && self.at_first.contains(&task) {
                return End::First;
            }
            let now = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            self.order.lock().unwrap().push(task);
            std::thread::yield_now();
            self.running.fetch_sub(1, Ordering::SeqCst);
            if self.bad.contains(&task) {
                End::Bad
            } else {
                End::Good
            }
        }
        fn lost(&self, task: usize, because: usize) {
            self.lost.lock().unwrap().push((task, because));
        }
        fn may_start(&self) -> bool {
            true
        }
    }

    fn tasks(edges: &[(usize, usize)], expected: &[u64]) -> Vec<Task> {
        let mut tasks: Vec<Task> = expected
            .iter()
            .map(|ms| Task {
                weight: 1,
                expected_ms: *ms,
                ..Task::default()
            })
            .collect();
        for (from, to) in edges {
            tasks[*from].children.push(*to);
            tasks[*to].parents += 1;
        }
        tasks
    }

    #[test]
    fn the_longest_way_goes_first() {
        let watched = Watched::default();
        run(
            &tasks(&[(0, 3)], &[1, 50, 20, 100]),
            &[Lane::of(1)],
            false,
            &watched,
        )
        .unwrap();
        assert_eq!(*watched.order.lock().unwrap(), [0, 3, 1, 2]);
    }

    #[test]
    fn never_more_than_the_places_are_taken() {
        let watched = Watched::default();
        run(&tasks(&[], &[1; 300]), &[Lane::of(3)], false, &watched).unwrap();
        assert_eq!(watched.order.lock().unwrap().len(), 300);
        assert!(watched.most.load(Ordering::SeqCst) <= 3);
    }

    #[test]
    fn heavy_tasks_run_alone() {
        let mut all = tasks(&[], &[1; 40]);
        all.iter_mut().for_each(|task| task.weight = 9);
        let watched = Watched::default();
        run(&all, &[Lane::of(4)], false, &watched).unwrap();
        assert_eq!(watched.most.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn what_stands_on_a_failure_is_lost_and_the_rest_goes_on_when_asked() {
        let edges = [(0, 1), (1, 2), (3, 4)];
        let watched = Watched {
            bad: vec![0],
            ..Watched::default()
        };
        run(
            &tasks(&edges, &[9, 1, 1, 1, 1]),
            &[Lane::of(1)],
            true,
            &watched,
        )
        .unwrap();
        assert_eq!(*watched.order.lock().unwrap(), [0, 3, 4]);
        assert_eq!(*watched.lost.lock().unwrap(), [(1, 0), (2, 0)]);
    }

    #[test]
    fn a_failure_stops_everything_else_by_default() {
        let watched = Watched {
            bad: vec![0],
            ..Watched::default()
        };
        run(&tasks(&[], &[9, 1, 1]), &[Lane::of(1)], false, &watched).unwrap();
        assert_eq!(*watched.order.lock().unwrap(), [0]);
    }

    #[test]
    fn what_moves_runs_once_more_on_another_lane() {
        let mut all = tasks(&[(0, 1)], &[1, 1, 1]);
        all.iter_mut()
            .for_each(|task| task.lanes = vec![vec![1], vec![0]]);
        let watched = Watched {
            dead: vec![1],
            ..Watched::default()
        };
        run(&all, &[Lane::of(1), Lane::of(1)], false, &watched).unwrap();
        assert_eq!(*watched.order.lock().unwrap(), [0, 1, 2]);
    }

    #[test]
    fn what_only_the_first_lane_can_run_goes_there_and_the_others_stay() {
        let mut all = tasks(&[], &[1, 1]);
        all.iter_mut()
            .for_each(|task| task.lanes = vec![vec![1], vec![0]]);
        let watched = Watched {
            at_first: vec![0],
            ..Watched::default()
        };
        run(&all, &[Lane::of(1), Lane::of(1)], false, &watched).unwrap();
        let mut order = watched.order.lock().unwrap().clone();
        order.sort_unstable();
        assert_eq!(order, [0, 1]);
    }
}
