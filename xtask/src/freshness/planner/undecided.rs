//! The verdict of a stage whose upstream has no image yet.
//!
//! Such an upstream decides nothing by itself.

use std::collections::BTreeMap;

use super::{StageSummary, Upstream, Workspace};
use crate::freshness::key::IngredientKind;
use crate::freshness::verdict::{Change, Reason, ReasonKind, Verdict};
use crate::graphfile::spec::StageId;

/// The verdict of a stage that stands on an unbuilt one: stale by its own changes, or not known
/// yet. `compared` has the differences from each record, the last record's last.
pub(super) fn undecided(
    work: &Workspace,
    upstream: &BTreeMap<StageId, Upstream>,
    summary: &StageSummary,
    mut compared: Vec<Reason>,
) -> Verdict {
    // A parent that is not built yet always differs from the recorded one. That alone decides
    // nothing.
    for reason in &mut compared {
        reason
            .changes
            .retain(|change| change.what != IngredientKind::Upstream);
    }
    let may_fit =
        |reason: &Reason| reason.kind != ReasonKind::NoRecord && reason.changes.is_empty();
    if !compared.iter().any(may_fit) {
        return Verdict::Stale(match compared.pop() {
            Some(last) if last.kind != ReasonKind::NoRecord => Reason::of(last.changes),
            _ => Reason::plain(ReasonKind::NoRecord),
        });
    }
    let parents = summary.parents().map(|(_, parent)| parent);
    let waits = parents.filter(|parent| matches!(upstream.get(parent), Some(Upstream::Unbuilt(_))));
    let mut names: Vec<String> = waits
        .map(|parent| work.spec.stage(parent).name.clone())
        .collect();
    names.sort();
    names.dedup();
    let changes = names
        .into_iter()
        .map(|name| Change::unknown(IngredientKind::Upstream, name))
        .collect();
    Verdict::Unknown(Reason::of(changes))
}
