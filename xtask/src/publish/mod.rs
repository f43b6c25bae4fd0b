//! Publishes a release set: all images of it, or none.
//!
//! 1. `set` decides what the set is: images that are fresh and verified, with what is attached.
//! 2. `carry` puts everything into every target by digest.
//! 3. Only when every digest answers, `moves` lets the tags point to them, in the order of the
//!    graph, with a journal.
//!
//! Moves of several tags cannot be one step, so a publish that was cut off is completed by the next
//! one. That needs no journal: a tag that points where it should is done. The journal says in
//! addition what a tag was before, so that a tag which somebody else moved meanwhile is noticed.

mod attach;
mod carry;
mod journal;
mod moves;
mod platform_image;
pub mod release;
mod set;
mod sign;

use std::collections::BTreeMap;

use crate::fault::{Fault, Result};
use crate::freshness::planner::Workspace;
use crate::graphfile::spec::StageId;
use crate::graphfile::spec::publishing::Target;
use crate::outside::interrupt;
use carry::Carrier;
pub use carry::release_tag;
pub use moves::{Move, MoveOutcome, Moved};
use release::{Release, ReleasedImage};
pub use set::built;

/// What the command line asks of a publish.
#[derive(Debug, Clone, Default)]
pub struct PublishWishes {
    /// The stages, in build order.
    pub stages: Vec<StageId>,
    /// The names of the targets; all of them if empty.
    pub targets: Vec<String>,
    /// Why images are published that were not verified.
    pub unverified: Option<String>,
    /// Whether a tag may move that the graph calls immutable.
    pub allow_overwrite: bool,
    /// Whether nothing is pushed and no tag moved.
    pub dry_run: bool,
}

/// Where the content of a release comes from.
#[derive(Debug, Clone)]
pub enum ContentOrigin {
    /// The OCI layout of this state.
    Here,
    /// A target of an earlier publish, from which it is promoted.
    Target(Target),
    /// Each target has it already, from an earlier publish to which it is rolled back.
    Itself,
}

/// Publishes a release: everything by digest, then the tags. Gives the moves of tags, in order.
pub fn publish(
    work: &Workspace,
    release: &Release,
    origin: &ContentOrigin,
    wishes: &PublishWishes,
) -> Result<Vec<Moved>> {
    let targets = targets(work, &wishes.targets)?;
    let moves = moves::planned(work, release, &targets)?;
    let journal = journal::Journal::open(work, release)?;
    let moves = journal.with_befores(moves);
    if !wishes.allow_overwrite {
        moves::refuse_immutable(work, &moves)?;
    }
    if wishes.dry_run {
        return Ok(moves.into_iter().map(Moved::planned).collect());
    }
    let carrier = Carrier::new(work, origin)?;
    // A release from a file is believed only where a publish has left the very same.
    match origin {
        ContentOrigin::Here => {}
        ContentOrigin::Target(target) => carrier.refuse_unpublished(release, target)?,
        ContentOrigin::Itself => {
            for target in targets.values() {
                carrier.refuse_unpublished(release, target)?;
            }
        }
    }
    if let Some(staging) = &work.spec.publishing.staging
        && matches!(origin, ContentOrigin::Here)
    {
        let staging = Target {
            to: Some(staging.clone()),
        };
        carry_all(&carrier, "the staging repository", release, &staging)?;
    }
    for (name, target) in &targets {
        carry_all(&carrier, &format!("target `{name}`"), release, target)?;
    }
    for (name, target) in &targets {
        for image in &release.images {
            carrier.refuse_incomplete(name, image, target)?;
        }
    }
    if !matches!(origin, ContentOrigin::Itself) {
        for target in targets.values() {
            for image in &release.images {
                carrier.attach_release(release, image, target)?;
            }
        }
    }
    sign::sign(work, release, &targets)?;
    stop_if_wanted()?;
    let moved = journal.carry_out(work, moves, wishes.allow_overwrite)?;
    // The newest file is the release that the tags point to now, also after a rollback.
    release.save(work)?;
    journal.close()?;
    Ok(moved)
}

fn carry_all(carrier: &Carrier<'_>, place: &str, release: &Release, target: &Target) -> Result<()> {
    for image in &release.images {
        stop_if_wanted()?;
        let to = target.name_of(&image.image);
        crate::tell!("pushing {} to {to} ({place})", image.stage);
        carrier.carry(image, &to)?;
    }
    Ok(())
}

fn stop_if_wanted() -> Result<()> {
    if interrupt::is_wanted() {
        return Err(Fault::interrupted());
    }
    Ok(())
}

/// The targets with these names; without names, all. A graph without any has one: every image's own
/// name.
pub fn targets(work: &Workspace, names: &[String]) -> Result<BTreeMap<String, Target>> {
    let mut all = work.spec.publishing.targets.clone();
    if all.is_empty() {
        all.insert("default".to_owned(), Target::default());
    }
    if names.is_empty() {
        return Ok(all);
    }
    let known: Vec<String> = all.keys().cloned().collect();
    let mut chosen = BTreeMap::new();
    for name in names {
        let target = all.get(name).ok_or_else(|| {
            Fault::usage(format!(
                "unknown target `{}`: {} has {}",
                name.escape_debug(),
                work.spec.file,
                known.join(", ")
            ))
        })?;
        chosen.insert(name.clone(), target.clone());
    }
    Ok(chosen)
}

/// The top manifests of a release by their places in a target, for a rollback.
pub fn of_target<'r>(
    release: &'r Release,
    target: &'r Target,
) -> impl Iterator<Item = (String, &'r ReleasedImage)> {
    let images = release.images.iter();
    images.map(|image| (target.name_of(&image.image), image))
}
