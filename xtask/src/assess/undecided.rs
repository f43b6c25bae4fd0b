//! The verdict of a stage whose upstream has no image yet.
//!
//! Knows that such an upstream decides nothing by itself. Is unaware of keys.

use std::collections::BTreeMap;

use super::{Outline, Upstream, Workspace};
use crate::spec::StageId;
use crate::verdict::{Change, Kind, Reason, Verdict};

/// A stage that stands on an unbuilt one: stale by its own doing, or not known yet.
pub(super) fn undecided(
    work: &Workspace,
    upstream: &BTreeMap<StageId, Upstream>,
    outline: &Outline,
    compared: Option<Reason>,
) -> Verdict {
    let Some(mut reason) = compared else {
        return Verdict::Stale {
            reason: Reason::plain(Kind::NoRecord),
            healable: None,
        };
    };
    if reason.kind == Kind::NoRecord {
        return Verdict::Stale {
            reason,
            healable: None,
        };
    }
    // A parent that is not built yet always differs from the one before; that alone decides nothing.
    reason.changes.retain(|change| change.what != "upstream");
    if !reason.changes.is_empty() {
        return Verdict::Stale {
            reason: Reason::of(reason.changes),
            healable: None,
        };
    }
    let parents = outline.parents().map(|(_, parent)| parent);
    let waits = parents.filter(|parent| matches!(upstream.get(parent), Some(Upstream::Unbuilt(_))));
    let mut names: Vec<String> = waits
        .map(|parent| work.spec.stage(parent).name.clone())
        .collect();
    names.sort();
    names.dedup();
    let changes = names
        .into_iter()
        .map(|name| Change {
            what: "upstream",
            name,
            before: None,
            after: None,
        })
        .collect();
    Verdict::Unknown(Reason::of(changes))
}
