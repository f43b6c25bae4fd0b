//! What the images of a run are made of, as the last verification of each has kept it.

use super::past_run::PastRun;
use crate::outside::state::State;
use crate::verify::size::KeptSizes;

/// The sizes of a stage's image.
#[derive(Debug)]
pub struct StageSizes<'r> {
    /// The stage.
    pub stage: &'r str,
    /// The sizes, for each platform.
    pub kept: KeptSizes,
    /// Whether they are those of the image that the run made; `None` if the run made none.
    pub is_of_run: Option<bool>,
}

/// The sizes of all stages of a run that were verified.
pub fn sizes<'r>(state: &State, run: &'r PastRun) -> Vec<StageSizes<'r>> {
    let of = |stage: &'r String| {
        let kept = KeptSizes::recall(state, stage)?;
        let turn = run.turns.iter().find(|turn| turn.stage == *stage);
        let image = turn.and_then(|turn| turn.image.as_ref());
        Some(StageSizes {
            stage,
            is_of_run: image.map(|image| *image == kept.image),
            kept,
        })
    };
    run.outcome.keys().filter_map(of).collect()
}
