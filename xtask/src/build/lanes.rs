//! The lanes of a schedule: one for each builder, with places that the tasks on it share.

use std::collections::BTreeSet;

/// One builder, as the schedule sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// How many places there are, at least 1.
    pub places: usize,
    /// How strong it is beside the others, at least 1.
    pub strength: usize,
}

impl Lane {
    /// A lane of the usual strength.
    pub const fn of(places: usize) -> Self {
        Self {
            places,
            strength: 1,
        }
    }
}

/// Which lanes may take a task: the lanes of the first group that has an open one.
pub type Choice = Vec<Vec<usize>>;

/// What a lane may lose its use for, while it still serves others: the tasks of one platform.
pub type LaneClass = usize;

/// The lanes and the places that are taken. The first lane never closes: it is the engine's own
/// builder.
#[derive(Debug)]
pub(super) struct Lanes {
    all: Vec<Lane>,
    taken: Vec<usize>,
    /// Lanes that take no task of a class any more.
    closed: BTreeSet<(usize, LaneClass)>,
}

impl Lanes {
    pub(super) fn of(all: &[Lane]) -> Self {
        Self {
            all: all.to_vec(),
            taken: vec![0; all.len()],
            closed: BTreeSet::new(),
        }
    }

    /// How many lanes there are.
    pub(super) const fn count(&self) -> usize {
        self.all.len()
    }

    /// How many places there are in all.
    pub(super) fn places(&self) -> usize {
        self.all.iter().map(|lane| lane.places).sum()
    }

    /// The lane for a task, of those that nobody waits for, and takes its places there. `None` if
    /// there is no room: then its lanes are waited for. If lighter tasks could pass it there, it
    /// might wait for ever.
    pub(super) fn take(
        &mut self,
        choice: &Choice,
        class: LaneClass,
        weight: usize,
        awaited: &mut [bool],
    ) -> Option<usize> {
        let own = self.open(choice, class);
        let has_room = |lane: &&usize| {
            let at = **lane;
            !awaited[at] && self.taken[at] + self.weight(at, weight) <= self.all[at].places
        };
        // The one with the least to do for its strength, with this task on it. The task is no lighter
        // where there are few places.
        let load = |lane: usize| self.taken[lane] + weight;
        let by_load = |one: &&usize, other: &&usize| {
            let (one, other) = (**one, **other);
            let left = load(one) * self.all[other].strength;
            left.cmp(&(load(other) * self.all[one].strength))
        };
        let found = own.iter().filter(has_room).min_by(by_load).copied();
        match found {
            Some(lane) => self.taken[lane] += self.weight(lane, weight),
            None => own.iter().for_each(|lane| awaited[*lane] = true),
        }
        found
    }

    /// Gives the places of a task back.
    pub(super) fn give_back(&mut self, lane: usize, weight: usize) {
        self.taken[lane] -= self.weight(lane, weight);
    }

    /// Lets no further task of a class onto a lane.
    pub(super) fn close(&mut self, lane: usize, class: LaneClass) {
        self.closed.insert((lane, class));
    }

    /// The lanes of the first group that has an open one.
    fn open(&self, choice: &Choice, class: LaneClass) -> Vec<usize> {
        let open = choice.iter().map(|group| {
            let group = group.iter().copied();
            let is_open = |lane: &usize| *lane == 0 || !self.closed.contains(&(*lane, class));
            group.filter(is_open).collect::<Vec<_>>()
        });
        let mut open = open.filter(|group| !group.is_empty());
        open.next().unwrap_or_else(|| vec![0])
    }

    /// The places that a task takes on a lane. One that is heavier than all of them runs alone.
    fn weight(&self, lane: usize, weight: usize) -> usize {
        weight.clamp(1, self.all[lane].places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(all: &[(usize, usize)]) -> Lanes {
        let all: Vec<Lane> = all
            .iter()
            .map(|(places, strength)| Lane {
                places: *places,
                strength: *strength,
            })
            .collect();
        Lanes::of(&all)
    }

    #[test]
    fn the_lane_with_the_least_to_do_for_its_strength_is_taken() {
        let mut lanes = lanes(&[(9, 1), (9, 3)]);
        let choice = vec![vec![0, 1]];
        let taken: Vec<_> = (0..5)
            .map(|_| lanes.take(&choice, 7, 1, &mut [false; 2]))
            .collect();
        // 1/3, 2/3, then both would be full for their strength: the first in the choice goes first.
        assert_eq!(taken, [1, 1, 0, 1, 1].map(Some));
    }

    #[test]
    fn a_heavy_task_goes_to_the_strongest_although_it_fills_a_small_lane() {
        let mut lanes = lanes(&[(1, 1), (8, 4)]);
        let choice = vec![vec![0, 1]];
        assert_eq!(lanes.take(&choice, 7, 8, &mut [false; 2]), Some(1));
    }

    #[test]
    fn a_later_group_is_for_when_the_first_has_closed_not_for_when_it_is_full() {
        let mut lanes = lanes(&[(2, 1), (1, 1)]);
        let choice = vec![vec![1], vec![0]];
        assert_eq!(lanes.take(&choice, 7, 1, &mut [false; 2]), Some(1));
        let mut awaited = [false; 2];
        assert_eq!(lanes.take(&choice, 7, 1, &mut awaited), None);
        assert_eq!(awaited, [false, true]);
        lanes.give_back(1, 1);
        // Another class still has it.
        lanes.close(1, 8);
        assert_eq!(lanes.take(&choice, 7, 1, &mut [false; 2]), Some(1));
        lanes.give_back(1, 1);
        lanes.close(1, 7);
        assert_eq!(lanes.take(&choice, 7, 1, &mut [false; 2]), Some(0));
    }

    #[test]
    fn the_first_lane_never_closes_and_takes_what_no_other_can() {
        let mut lanes = lanes(&[(1, 1), (1, 1)]);
        lanes.close(0, 7);
        lanes.close(1, 7);
        assert_eq!(lanes.take(&vec![vec![1]], 7, 5, &mut [false; 2]), Some(0));
    }
}
