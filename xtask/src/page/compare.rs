//! Two runs beside each other, stage by stage.

use super::past_run::PastRun;
use crate::report::kept::KeptOutcome;

/// A stage in two runs.
#[derive(Debug, PartialEq, Eq)]
pub struct ComparedStage<'r> {
    /// The stage, or a part of one.
    pub stage: &'r str,
    /// What it was in the earlier run; `None` if it was not in it.
    pub before: Option<StageFigures>,
    /// What it was in the later run.
    pub after: Option<StageFigures>,
    /// Why it was not fresh in the later run.
    pub why: Option<&'r str>,
}

/// A stage in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageFigures {
    /// How it ended; `None` if the run broke before.
    pub outcome: Option<KeptOutcome>,
    /// How long it took.
    pub ms: u64,
}

impl StageFigures {
    /// The word for how it ended.
    pub const fn word(self) -> &'static str {
        match self.outcome {
            Some(outcome) => outcome.word(),
            None => "not ended",
        }
    }
}

impl ComparedStage<'_> {
    /// By how much longer it took.
    pub fn delta_ms(&self) -> i64 {
        let ms = |figures: Option<StageFigures>| {
            i64::try_from(figures.map_or(0, |figures| figures.ms)).unwrap_or(i64::MAX)
        };
        ms(self.after) - ms(self.before)
    }
}

/// All stages of two runs, the greatest differences in time first.
pub fn compared<'r>(before: &'r PastRun, after: &'r PastRun) -> Vec<ComparedStage<'r>> {
    let mut names = before.stages();
    names.extend(after.stages());
    let row = |stage: &'r str| ComparedStage {
        stage,
        before: figures(before, stage),
        after: figures(after, stage),
        why: after
            .turns
            .iter()
            .find(|turn| turn.stage == stage)
            .and_then(|turn| Some(turn.reason.as_ref()?.clause.as_str())),
    };
    let mut rows: Vec<ComparedStage<'r>> = names.into_iter().map(row).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.delta_ms().unsigned_abs()));
    rows
}

fn figures(run: &PastRun, stage: &str) -> Option<StageFigures> {
    if let Some(turn) = run.turns.iter().find(|turn| turn.stage == stage) {
        return Some(StageFigures {
            outcome: turn.outcome,
            ms: turn.took_ms(),
        });
    }
    let is_fresh = run.fresh.iter().any(|fresh| fresh.stage == stage);
    let outcome = run.outcome.get(stage).copied();
    let outcome = outcome.or(is_fresh.then_some(KeptOutcome::Fresh))?;
    Some(StageFigures {
        outcome: Some(outcome),
        ms: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::testing::RunBuilder;

    #[test]
    fn what_changed_most_comes_first_and_what_is_new_has_no_before() {
        let before = RunBuilder::new(2)
            .built("api", 0, 100)
            .built("web", 0, 50)
            .fresh("old", 5)
            .run();
        let after = RunBuilder::new(2)
            .fresh("api", 100)
            .built("web", 0, 70)
            .failed("new", 0, 30)
            .run();
        let rows = compared(&before, &after);
        let told: Vec<(&str, i64)> = rows.iter().map(|it| (it.stage, it.delta_ms())).collect();
        assert_eq!(told, [("api", -100), ("new", 30), ("web", 20), ("old", 0)]);
        let words = |figures: Option<StageFigures>| figures.map(StageFigures::word);
        assert_eq!(words(rows[0].after), Some("fresh"));
        assert_eq!(
            (words(rows[1].before), words(rows[1].after)),
            (None, Some("failed"))
        );
        assert_eq!(
            (words(rows[3].before), words(rows[3].after)),
            (Some("fresh"), None)
        );
        assert_eq!(rows[2].why, Some("src/main.rs changed"));
    }
}
