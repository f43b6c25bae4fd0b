//! Which turns of a run waited for which, and the longest way through them.

use std::collections::{BTreeMap, BTreeSet};

use super::past_run::{PastRun, StageTurn, whole};

/// The turns that worked, and for each the earlier turns that it waited for.
#[derive(Debug)]
pub struct Links<'r> {
    /// The turns, by their beginnings.
    pub turns: Vec<&'r StageTurn>,
    /// The places in `turns` of those that each turn waited for; always lower than its own.
    pub parents: Vec<Vec<usize>>,
}

impl<'r> Links<'r> {
    /// The links of a run.
    pub fn of(run: &'r PastRun) -> Self {
        let turns = run.worked();
        let place: BTreeMap<&str, usize> = turns
            .iter()
            .enumerate()
            .map(|(at, turn)| (turn.stage.as_str(), at))
            .collect();
        let links = turns.iter().enumerate().map(|(own, turn)| {
            let mut seen = BTreeSet::new();
            let mut found = BTreeSet::new();
            collect(run, &place, &turn.stage, &mut seen, &mut found);
            found.retain(|parent| *parent < own);
            found.into_iter().collect()
        });
        let parents = links.collect();
        Self { turns, parents }
    }

    /// The longest way in time through turns that waited for each other, the first turn first. No
    /// number of places makes a run shorter than that.
    pub fn longest(&self) -> Vec<usize> {
        let mut best: Vec<(u64, Option<usize>)> = Vec::new();
        for (own, parents) in self.parents.iter().enumerate() {
            let before = parents.iter().max_by_key(|parent| best[**parent].0);
            let length = before.map_or(0, |parent| best[*parent].0);
            best.push((length + self.turns[own].took_ms(), before.copied()));
        }
        let mut at = (0..best.len()).max_by_key(|at| best[*at].0);
        let mut way = Vec::new();
        while let Some(own) = at {
            way.push(own);
            at = best[own].1;
        }
        way.reverse();
        way
    }

    /// How long these turns took together.
    pub fn sum_ms(&self, turns: &[usize]) -> u64 {
        turns.iter().map(|at| self.turns[*at].took_ms()).sum()
    }
}

/// Adds the turns that a stage waited for. A parent that did not work is looked through: it waited
/// for its own parents.
fn collect(
    run: &PastRun,
    place: &BTreeMap<&str, usize>,
    stage: &str,
    seen: &mut BTreeSet<String>,
    found: &mut BTreeSet<usize>,
) {
    let own = whole(stage);
    let mut waits: Vec<String> = Vec::new();
    let of_parts = format!("{own}@");
    if own == stage {
        let parts = place.range(&*of_parts..);
        let parts = parts.take_while(|(name, _)| name.starts_with(&of_parts));
        waits.extend(parts.map(|(name, _)| (*name).to_owned()));
    }
    for parent in run.graph.get(own).into_iter().flatten() {
        let part = stage.strip_prefix(own).unwrap_or_default();
        let of_part = format!("{parent}{part}");
        let is_there = place.contains_key(of_part.as_str());
        waits.push(if is_there { of_part } else { parent.clone() });
    }
    for parent in waits {
        if !seen.insert(parent.clone()) {
            continue;
        }
        match place.get(parent.as_str()) {
            Some(at) => {
                found.insert(*at);
            }
            None => collect(run, place, &parent, seen, found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::testing::RunBuilder;

    #[test]
    fn the_longest_way_goes_through_stages_that_found_nothing_to_do() {
        // base -> fresh -> app, and side beside them.
        let run = RunBuilder::new(2)
            .stands_on("base", &[])
            .stands_on("still", &["base"])
            .stands_on("app", &["still"])
            .stands_on("side", &[])
            .built("base", 0, 100)
            .built("side", 0, 150)
            .fresh("still", 10)
            .built("app", 100, 190)
            .run();
        let links = Links::of(&run);
        let names: Vec<&str> = links.turns.iter().map(|turn| turn.stage.as_str()).collect();
        let way = links.longest();
        let way: Vec<&str> = way.iter().map(|at| names[*at]).collect();
        assert_eq!(way, ["base", "app"]);
        assert_eq!(links.sum_ms(&links.longest()), 190);
    }

    #[test]
    fn a_whole_waits_for_its_parts_and_a_part_for_the_part_of_its_parent() {
        let run = RunBuilder::new(2)
            .stands_on("base", &[])
            .stands_on("app", &["base"])
            .built("base@arm", 0, 10)
            .built("base@amd", 0, 20)
            .built("app@arm", 10, 30)
            .built("app", 30, 31)
            .run();
        let links = Links::of(&run);
        let names: Vec<&str> = links.turns.iter().map(|turn| turn.stage.as_str()).collect();
        assert_eq!(names, ["base@arm", "base@amd", "app@arm", "app"]);
        assert_eq!(links.parents[2], [0]);
        assert!(links.parents[3].contains(&2));
    }

    #[test]
    fn a_graph_in_a_circle_ends() {
        let run = RunBuilder::new(1)
            .stands_on("a", &["b"])
            .stands_on("b", &["a"])
            .built("a", 0, 10)
            .run();
        assert_eq!(Links::of(&run).parents, [Vec::<usize>::new()]);
    }
}
