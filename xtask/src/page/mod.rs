//! What a build of the past was: as a page that opens in a browser without a network, and as a
//! trace.
//!
//! Reads the kept events of runs and what the state has besides: sizes, verifications, logs. Looks
//! at no tree and asks no engine, so its figures are those of the events.

pub mod causes;
pub mod compare;
pub mod evidence;
pub mod gain;
mod guard;
mod html;
pub mod lanes;
pub mod links;
pub mod logs;
pub mod past_run;
pub mod sizes;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod trace;

use crate::graphfile::call::Call;
use crate::outside::state::State;
use crate::report::kept::RunFolder;
use evidence::Evidence;
use logs::ShownLog;
use past_run::{PastRun, StageTurn};
use sizes::StageSizes;

/// Who has written a page or a trace.
const WRITER: &str = "cargo xtask report";
/// What every page has in it.
pub const MARK: &str = "<meta name=\"generator\" content=\"cargo xtask report\">";
/// What every trace has in it.
pub const TRACE_MARK: &str = "\"writer\":\"cargo xtask report\"";

/// What a page is made of.
#[derive(Debug)]
pub struct Material<'m> {
    /// The graph file, as a person writes it.
    pub graph: &'m str,
    /// The run that the page is about.
    pub run: &'m PastRun,
    /// The earlier run that it is compared with.
    pub before: Option<&'m PastRun>,
    /// All kept runs, the earliest first.
    pub runs: &'m [PastRun],
    /// The sizes of its images.
    pub sizes: Vec<StageSizes<'m>>,
    /// The evidence of verifications.
    pub evidence: Evidence,
    /// The logs of its stages.
    pub logs: Vec<(&'m StageTurn, ShownLog)>,
    /// How to call this program again on the same graph.
    pub call: &'m Call,
}

/// All runs that a state has kept, the earliest first. What cannot be read is left out.
pub fn kept_runs(state: &State) -> Vec<PastRun> {
    let folder = RunFolder::of(state);
    let runs = folder.runs().into_iter();
    runs.filter_map(|name| {
        let events = folder.read(&name)?;
        PastRun::of(name, events)
    })
    .collect()
}

/// A run as Chrome's trace events.
pub fn trace(run: &PastRun) -> serde_json::Value {
    trace::trace(&guard::guarded(run))
}

/// The page about a run of this state.
pub fn page(
    state: &State,
    (graph, call): (&str, &Call),
    runs: &[PastRun],
    run: &PastRun,
    before: Option<&PastRun>,
) -> String {
    let run = &guard::guarded(run);
    let before = before.map(guard::guarded);
    let before = before.as_ref();
    html::page(&Material {
        graph,
        run,
        before,
        runs,
        sizes: sizes::sizes(state, run),
        evidence: Evidence::of(state, run),
        logs: logs::logs(run),
        call,
    })
}
