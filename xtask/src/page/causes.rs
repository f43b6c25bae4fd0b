//! What caused builds: of each turn the changes at its root, and over many runs what caused most.

use std::collections::{BTreeMap, BTreeSet};

use super::links::Links;
use super::past_run::PastRun;
use crate::freshness::verdict::ReasonKind;
use crate::report::kept::{KeptChange, KeptOutcome};

/// For each turn the turns at which its cause is found: itself, unless it was built as a parent's
/// image had changed.
pub fn roots(links: &Links<'_>) -> Vec<Vec<usize>> {
    let mut roots: Vec<Vec<usize>> = Vec::new();
    for (own, turn) in links.turns.iter().enumerate() {
        let kind = turn.reason.as_ref().map(|reason| reason.kind);
        let mut of_parents: Vec<usize> = Vec::new();
        if kind == Some(ReasonKind::UpstreamChanged) {
            let parents = links.parents[own].iter();
            let built = parents.filter(|it| links.turns[**it].outcome == Some(KeptOutcome::Built));
            of_parents.extend(built.flat_map(|parent| &roots[*parent]));
            of_parents.sort_unstable();
            of_parents.dedup();
        }
        if of_parents.is_empty() {
            of_parents.push(own);
        }
        roots.push(of_parents);
    }
    roots
}

/// Something that caused builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildCause {
    /// What changed.
    pub change: KeptChange,
    /// The stages that it is an ingredient of. Files of different contexts may have one name.
    pub stages: BTreeSet<String>,
    /// In how many runs it did.
    pub runs: usize,
    /// How many stages were built for it, their children among them.
    pub builds: usize,
    /// How long those builds took. A build with several causes counts for each.
    pub ms: u64,
}

/// A cause in one run.
#[derive(Default)]
struct OfRun {
    stages: BTreeSet<String>,
    builds: usize,
    ms: u64,
}

/// The causes of all builds of these runs, the most costly first.
pub fn causes(runs: &[PastRun]) -> Vec<BuildCause> {
    let mut causes: BTreeMap<KeptChange, BuildCause> = BTreeMap::new();
    for run in runs {
        let mut of_run: BTreeMap<KeptChange, OfRun> = BTreeMap::new();
        let links = Links::of(run);
        for (turn, roots) in links.turns.iter().zip(roots(&links)) {
            if !matches!(turn.outcome, Some(KeptOutcome::Built | KeptOutcome::Failed)) {
                continue;
            }
            let mut own: BTreeMap<KeptChange, BTreeSet<&str>> = BTreeMap::new();
            for root in roots {
                for change in changes(&links, root) {
                    let stages = own.entry(change).or_default();
                    stages.insert(&links.turns[root].stage);
                }
            }
            for (change, stages) in own {
                let cause = of_run.entry(change).or_default();
                cause.stages.extend(stages.into_iter().map(str::to_owned));
                cause.builds += 1;
                cause.ms += turn.took_ms();
            }
        }
        for (change, of_run) in of_run {
            let cause = causes.entry(change.clone()).or_insert(BuildCause {
                change,
                stages: BTreeSet::new(),
                runs: 0,
                builds: 0,
                ms: 0,
            });
            cause.runs += 1;
            cause.builds += of_run.builds;
            cause.ms += of_run.ms;
            cause.stages.extend(of_run.stages);
        }
    }
    let mut causes: Vec<BuildCause> = causes.into_values().collect();
    causes.sort_by(|one, other| (other.ms, &one.change).cmp(&(one.ms, &other.change)));
    causes
}

/// The changes of a turn, or its reason if that has none.
fn changes(links: &Links<'_>, turn: usize) -> Vec<KeptChange> {
    let Some(reason) = &links.turns[turn].reason else {
        return Vec::new();
    };
    if reason.changes.is_empty() {
        return vec![KeptChange {
            what: String::new(),
            name: reason.clause.clone(),
        }];
    }
    let changes = reason.changes.iter().map(|change| match &*change.name {
        // A stage has one Dockerfile, and one target.
        "" => KeptChange {
            what: change.what.clone(),
            name: format!("the {} of {}", change.what, links.turns[turn].stage),
        },
        _ => change.clone(),
    });
    changes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::testing::RunBuilder;

    fn run(later: u64) -> PastRun {
        RunBuilder::new(2)
            .later(later)
            .stands_on("base", &[])
            .stands_on("app", &["base"])
            .stands_on("top", &["app"])
            .because("base", 0, 100, ("input", "lock"))
            .because("app", 100, 130, ("upstream", "base"))
            .because("top", 130, 135, ("upstream", "app"))
            .because("side", 0, 10, ("dockerfile", ""))
            .run()
    }

    #[test]
    fn a_child_is_built_for_the_cause_of_its_parent() {
        let run = run(0);
        let links = Links::of(&run);
        let name = |at: usize| links.turns[at].stage.as_str();
        let found = roots(&links);
        let found: Vec<(&str, Vec<&str>)> = found
            .iter()
            .enumerate()
            .map(|(own, roots)| (name(own), roots.iter().map(|at| name(*at)).collect()))
            .collect();
        let expected = [
            ("side", vec!["side"]),
            ("base", vec!["base"]),
            ("app", vec!["base"]),
            ("top", vec!["base"]),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn causes_are_counted_over_runs_with_the_time_of_all_that_they_had_built() {
        let all = causes(&[run(0), run(60_000)]);
        let told: Vec<(&str, usize, usize, u64)> = all
            .iter()
            .map(|cause| (&*cause.change.name, cause.runs, cause.builds, cause.ms))
            .collect();
        assert_eq!(
            told,
            [("lock", 2, 6, 270), ("the dockerfile of side", 2, 2, 20)]
        );
        assert!(all[0].stages.iter().eq(["base"]));
    }
}
