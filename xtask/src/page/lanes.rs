//! On which place each turn ran, and which places stood empty.

use super::links::Links;

/// The places of a run.
#[derive(Debug, PartialEq, Eq)]
pub struct PlacesTaken {
    /// For each turn of the links the places that it took, the lowest first.
    pub of_turn: Vec<Vec<usize>>,
    /// The gaps of each place, from the first beginning to the last end.
    pub gaps: Vec<Vec<Gap>>,
    /// When the first turn began.
    pub from_ms: u64,
    /// When the last turn ended.
    pub to_ms: u64,
}

/// A time in which a place stood empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// From when.
    pub from_ms: u64,
    /// Until when.
    pub to_ms: u64,
}

impl Gap {
    /// How long it was.
    pub const fn ms(self) -> u64 {
        self.to_ms - self.from_ms
    }
}

impl PlacesTaken {
    /// Gives each turn the lowest places that were empty. The events do not say which they were, and
    /// it makes no difference. There may be more places than `jobs` if turns overlap by a moment.
    pub fn of(links: &Links<'_>, jobs: usize) -> Self {
        let from_ms = links.turns.iter().map(|turn| turn.started_ms).min();
        let from_ms = from_ms.unwrap_or(0);
        let to_ms = links.turns.iter().map(|turn| turn.ended_ms).max();
        let to_ms = to_ms.unwrap_or(0);
        let mut free: Vec<u64> = vec![from_ms; jobs];
        let mut gaps: Vec<Vec<Gap>> = vec![Vec::new(); jobs];
        let mut of_turn = Vec::new();
        for turn in &links.turns {
            let wanted = turn.weight.min(jobs).max(1);
            let mut own: Vec<usize> = Vec::new();
            for place in 0.. {
                if own.len() == wanted {
                    break;
                }
                if place == free.len() {
                    free.push(from_ms);
                    gaps.push(Vec::new());
                }
                if free[place] <= turn.started_ms {
                    own.push(place);
                }
            }
            for place in &own {
                push(&mut gaps[*place], free[*place], turn.started_ms);
                free[*place] = turn.ended_ms;
            }
            of_turn.push(own);
        }
        for (gaps, free) in gaps.iter_mut().zip(free) {
            push(gaps, free, to_ms);
        }
        Self {
            of_turn,
            gaps,
            from_ms,
            to_ms,
        }
    }

    /// How long places stood empty, all together.
    pub fn idle_ms(&self) -> u64 {
        self.gaps.iter().flatten().map(|gap| gap.ms()).sum()
    }

    /// How long all places were there, all together.
    pub fn there_ms(&self) -> u64 {
        (self.to_ms - self.from_ms) * self.gaps.len() as u64
    }
}

fn push(gaps: &mut Vec<Gap>, from_ms: u64, to_ms: u64) {
    if from_ms < to_ms {
        gaps.push(Gap { from_ms, to_ms });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::testing::RunBuilder;

    #[test]
    fn what_is_taken_and_what_is_empty_is_all_that_is_there() {
        let run = RunBuilder::new(2)
            .built("a", 0, 100)
            .built("b", 10, 40)
            .built("c", 60, 90)
            .weighing("d", 100, 150, 2)
            .run();
        let links = Links::of(&run);
        let places = PlacesTaken::of(&links, run.jobs);
        assert_eq!(places.of_turn, [vec![0], vec![1], vec![1], vec![0, 1]]);
        let gap = |from_ms, to_ms| Gap { from_ms, to_ms };
        assert_eq!(
            places.gaps,
            [Vec::new(), vec![gap(0, 10), gap(40, 60), gap(90, 100)]]
        );
        let taken: u64 = [100, 30, 30, 2 * 50].iter().sum();
        assert_eq!(places.there_ms() - places.idle_ms(), taken);
    }

    #[test]
    fn a_run_without_turns_has_no_gaps() {
        let run = RunBuilder::new(3).run();
        let links = Links::of(&run);
        assert_eq!(PlacesTaken::of(&links, run.jobs).idle_ms(), 0);
    }
}
