//! What more places would gain: the same turns, with the same times, laid out on another number of
//! places in the order of the schedule. It is an estimate, as turns that run together slow each
//! other down.

use std::collections::BTreeMap;

use super::links::Links;

/// How long a run would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// With how many places; `None` for as many as can be used.
    pub jobs: Option<usize>,
    /// How long.
    pub ms: u64,
}

/// The estimates for the places of the run, for one more, for twice as many, and for any number.
pub fn estimates(links: &Links<'_>, jobs: usize) -> Vec<Estimate> {
    let mut all: Vec<Option<usize>> = vec![Some(jobs), Some(jobs + 1), Some(jobs * 2), None];
    all.dedup();
    let estimate = |jobs: Option<usize>| Estimate {
        jobs,
        ms: laid_out(links, jobs.unwrap_or(usize::MAX)),
    };
    all.into_iter().map(estimate).collect()
}

/// How long the turns take on this many places: of those that are ready, the one with the longest
/// way to the end goes first.
fn laid_out(links: &Links<'_>, jobs: usize) -> u64 {
    let count = links.turns.len();
    let mut children = vec![Vec::new(); count];
    let mut waits: Vec<usize> = links.parents.iter().map(Vec::len).collect();
    for (own, parents) in links.parents.iter().enumerate() {
        parents
            .iter()
            .for_each(|parent| children[*parent].push(own));
    }
    let mut ways = vec![0; count];
    for own in (0..count).rev() {
        let behind = children[own].iter().map(|child| ways[*child]).max();
        ways[own] = behind.unwrap_or(0) + links.turns[own].took_ms().max(1);
    }
    let weight = |own: usize| links.turns[own].weight.min(jobs).max(1);
    let mut ready: Vec<usize> = (0..count).filter(|own| waits[*own] == 0).collect();
    let mut running: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    let (mut now, mut free) = (0, jobs);
    loop {
        ready.sort_by_key(|own| (std::cmp::Reverse(ways[*own]), *own));
        let mut left = Vec::new();
        for own in ready.drain(..) {
            if weight(own) <= free {
                free -= weight(own);
                let end = now + links.turns[own].took_ms();
                running.entry(end).or_default().push(own);
            } else {
                left.push(own);
            }
        }
        ready = left;
        let Some((end, ended)) = running.pop_first() else {
            return now;
        };
        now = end;
        for own in ended {
            free += weight(own);
            for child in &children[own] {
                waits[*child] -= 1;
                if waits[*child] == 0 {
                    ready.push(*child);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::testing::RunBuilder;

    #[test]
    fn more_places_help_until_the_longest_way_is_all_there_is() {
        let run = RunBuilder::new(1)
            .stands_on("a", &[])
            .stands_on("b", &["a"])
            .built("a", 0, 100)
            .built("c", 100, 200)
            .built("d", 200, 300)
            .built("b", 300, 400)
            .run();
        let links = Links::of(&run);
        let times: Vec<(Option<usize>, u64)> = estimates(&links, 1)
            .iter()
            .map(|estimate| (estimate.jobs, estimate.ms))
            .collect();
        assert_eq!(times, [(Some(1), 400), (Some(2), 200), (None, 200)]);
        assert_eq!(links.sum_ms(&links.longest()), 200);
    }

    #[test]
    fn a_heavy_turn_waits_until_its_places_are_free() {
        let run = RunBuilder::new(2)
            .built("a", 0, 100)
            .weighing("b", 100, 200, 2)
            .run();
        let links = Links::of(&run);
        assert_eq!(laid_out(&links, 2), 200);
        assert_eq!(laid_out(&links, 3), 100);
        // More than all there are is all there are.
        assert_eq!(laid_out(&links, 1), 200);
    }
}
