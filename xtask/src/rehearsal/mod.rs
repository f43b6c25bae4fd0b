//! A graph on another revision of a source, before anybody moves to it: which stages would be built
//! again and why, and what no longer fits.
//!
//! The revision lies in a folder of its own, and the graph is opened once more with that folder as
//! the source. Nothing is built, pinned or recorded.

mod fits;

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use rayon::prelude::*;
use serde::Serialize;

use crate::contexts::Tracer;
use crate::fault::Result;
use crate::freshness::planner::Workspace;
use crate::freshness::stage_inputs::{self, StageInputs};
use crate::freshness::verdict::{self, Reason};
use crate::graphfile::spec::{SourceId, Spec, Stage, StageId};
use crate::outside::interrupt::Interrupt;

/// What a rehearsal found.
#[derive(Debug, Serialize)]
pub struct Rehearsal {
    /// All stages that are no parts, in build order.
    pub stages: Vec<Rehearsed>,
    /// What no longer fits.
    pub misfits: Vec<Misfit>,
}

/// What becomes of one stage.
#[derive(Debug, Serialize)]
pub struct Rehearsed {
    /// Which.
    pub stage: String,
    /// Why it would be built again; `None` if it stays the same.
    pub why: Option<RebuildCause>,
}

/// Why a stage would be built again.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RebuildCause {
    /// It is made of something else.
    Own(Reason),
    /// This parent of it is built again.
    Parent(String),
    /// A host command runs first, and what it reads has changed or cannot be told.
    Prepare,
    /// Its trees cannot be read there.
    Unreadable,
}

/// Something that no longer fits.
#[derive(Debug, Serialize)]
pub struct Misfit {
    /// The stage.
    pub stage: String,
    /// What is wrong.
    pub what: String,
    /// The lines in which files differ, if that is it.
    pub difference: Vec<String>,
}

/// The two trees of the source.
pub struct Sides<'s> {
    /// The graph.
    pub spec: &'s Spec,
    /// The source as it is now.
    pub before: &'s Utf8Path,
    /// The other revision.
    pub after: &'s Utf8Path,
}

/// Compares the graph `now` with the same graph on the other revision, `then`.
pub fn rehearse(
    now: &Workspace,
    then: &Workspace,
    of: SourceId,
    sides: &Sides<'_>,
    interrupt: &Interrupt,
) -> Result<Rehearsal> {
    let wanted = now.closure(&[]);
    let (before, after) = (inputs(now, &wanted), inputs(then, &wanted));
    let mut rehearsal = Rehearsal {
        stages: Vec::new(),
        misfits: Vec::new(),
    };
    let mut changes: BTreeMap<StageId, RebuildCause> = BTreeMap::new();
    for id in &wanted {
        let stage = now.spec.stage(*id);
        let has_to_prepare = fits::has_to_prepare(sides, stage, of);
        let why = match (before.get(id), after.get(id)) {
            // Nobody knows what it would make.
            (Some(_), Some(_)) if has_to_prepare => Some(RebuildCause::Prepare),
            (Some(Ok(before)), Some(Ok(after))) => own_change(now, then, *id, before, after),
            (Some(Err(_)), Some(_)) if stage.prepare.is_some() => Some(RebuildCause::Prepare),
            (_, Some(Err(_))) => Some(RebuildCause::Unreadable),
            _ => None,
        };
        let why = why.or_else(|| {
            let parent = stage
                .upstream()
                .into_iter()
                .find(|it| changes.contains_key(it))?;
            // A stage of several platforms changes as its parts do.
            Some(if now.spec.whole_id(parent) == *id {
                changes.get(&parent)?.clone()
            } else {
                RebuildCause::Parent(now.spec.whole(parent).name.clone())
            })
        });
        changes.extend(why.clone().map(|why| (*id, why)));
        let whole = now.spec.whole(*id);
        if let Some(after) = after.get(id) {
            let was = before.get(id).and_then(|it| it.as_ref().ok());
            // What cannot be read may be what the host command makes.
            if after.is_ok() || !has_to_prepare {
                let of = (stage, whole.name.as_str());
                misfits(of, was, after, sides, &mut rehearsal.misfits);
            }
        }
        if stage.source == Some(of) {
            let more = fits::of_stage(sides, stage, &whole.name, interrupt);
            rehearsal.misfits.extend(more);
        }
        if stage.is_part() {
            continue;
        }
        rehearsal.stages.push(Rehearsed {
            stage: stage.name.clone(),
            why,
        });
    }
    // Each platform of a stage finds the same.
    let mut seen = BTreeSet::new();
    rehearsal
        .misfits
        .retain(|one| seen.insert((one.stage.clone(), one.what.clone())));
    Ok(rehearsal)
}

fn inputs(work: &Workspace, wanted: &[StageId]) -> BTreeMap<StageId, Result<StageInputs>> {
    let states = work.state.beside().as_std_path();
    let look = |id: &StageId| {
        let tracer = Tracer::forgetful(&work.cache).beside(states);
        let platform = work.engine.platform();
        (
            *id,
            stage_inputs::gather(&work.spec, *id, platform, &tracer),
        )
    };
    let is_read = |id: &&StageId| !work.spec.stage(**id).is_assembled();
    wanted.par_iter().filter(is_read).map(look).collect()
}

/// What differs in what the stage itself is made of.
fn own_change(
    now: &Workspace,
    then: &Workspace,
    id: StageId,
    before: &StageInputs,
    after: &StageInputs,
) -> Option<RebuildCause> {
    let (before, after) = (now.made_of(id, before), then.made_of(id, after));
    let reason = verdict::differences(Some(&before), &after);
    (!reason.changes.is_empty()).then_some(RebuildCause::Own(reason))
}

/// What the Dockerfile of a stage, which has this name for people, no longer finds.
fn misfits(
    (stage, name): (&Stage, &str),
    before: Option<&StageInputs>,
    after: &Result<StageInputs>,
    sides: &Sides<'_>,
    all: &mut Vec<Misfit>,
) {
    let mut add = |what: &str| {
        all.push(Misfit {
            stage: name.to_owned(),
            what: fits::without_place(what, sides.after),
            difference: Vec::new(),
        });
    };
    let after = match after {
        Ok(after) => after,
        Err(fault) => {
            if before.is_some() {
                add(&fault.message);
            }
            return;
        }
    };
    let known: BTreeSet<String> = before
        .into_iter()
        .flat_map(|it| it.absent.iter().map(|it| &it.told).chain(&it.unused))
        .map(|told| fits::without_place(told, sides.before))
        .collect();
    let absent = after.absent.iter().filter(|it| !fits::is_made(stage, it));
    for told in absent.map(|it| &it.told).chain(&after.unused) {
        if !known.contains(&fits::without_place(told, sides.after)) {
            add(told);
        }
    }
}
