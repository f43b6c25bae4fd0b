//! Tags that are to point to a release.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::release::Release;
use crate::fault::{Fault, Result};
use crate::freshness::planner::Workspace;
use crate::graphfile::spec::publishing::Target;
use crate::outside::index::ManifestEntry;
use crate::outside::push;
use registry::Effort;

/// One tag in one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The target's name.
    pub target: String,
    /// The repository: `host/path`.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// What it points to before; `None` if there is no such tag.
    pub before: Option<String>,
    /// What it is to point to.
    pub after: ManifestEntry,
}

/// A tag after a publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// The move.
    #[serde(flatten)]
    pub tag: Move,
    /// How it went.
    pub outcome: MoveOutcome,
}

/// How a move went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveOutcome {
    /// The tag was there already.
    Already,
    /// It was moved.
    Moved,
    /// It would be moved.
    Planned,
}

impl Moved {
    /// A move that is not carried out.
    pub fn planned(tag: Move) -> Self {
        let outcome = if tag.is_done() {
            MoveOutcome::Already
        } else {
            MoveOutcome::Planned
        };
        Self { tag, outcome }
    }
}

impl Move {
    /// Whether the tag pointed where it should already.
    pub fn is_done(&self) -> bool {
        self.before.as_deref() == Some(&self.after.digest)
    }

    /// The tag for people: `host/path:tag`.
    pub fn shown(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }
}

/// The tag moves of a release, in its order, with what the tags point to now.
pub fn planned(
    work: &Workspace,
    release: &Release,
    targets: &BTreeMap<String, Target>,
) -> Result<Vec<Move>> {
    let mut moves = Vec::new();
    for image in &release.images {
        for (name, target) in targets {
            let repository = target.name_of(&image.image);
            for tag in &image.tags {
                moves.push(Move {
                    target: name.clone(),
                    before: now(work, &repository, tag)?,
                    repository: repository.clone(),
                    tag: tag.clone(),
                    after: image.top.clone(),
                });
            }
        }
    }
    refuse_two_for_one(&moves)?;
    Ok(moves)
}

/// Refuses a set of which two images would get one tag in one repository.
fn refuse_two_for_one(moves: &[Move]) -> Result<()> {
    let mut known: BTreeMap<(&str, &str), &Move> = BTreeMap::new();
    for it in moves {
        let before = known.insert((&it.repository, &it.tag), it);
        if let Some(before) = before.filter(|before| before.after.digest != it.after.digest) {
            return Err(Fault::usage(format!(
                "two images of the set would be {}: {} and {} (targets `{}` and `{}`); give one of them another `image` or other `tags`, or publish them by targets of their own",
                it.shown(),
                before.after.digest,
                it.after.digest,
                before.target,
                it.target
            )));
        }
    }
    Ok(())
}

/// What a tag points to now.
pub fn now(work: &Workspace, repository: &str, tag: &str) -> Result<Option<String>> {
    let reference = push::reference(repository)?;
    Ok(work
        .registries()?
        .has_manifest(&reference, tag, Effort::Full)?)
}

/// Refuses to move a tag that the graph calls immutable and that points to something else.
pub fn refuse_immutable(work: &Workspace, moves: &[Move]) -> Result<()> {
    let is_refused = |it: &&Move| {
        it.before.is_some() && !it.is_done() && work.spec.publishing.is_immutable(&it.tag)
    };
    let Some(first) = moves.iter().find(is_refused) else {
        return Ok(());
    };
    Err(Fault::failed(format!(
        "{} is immutable and points to {}, not to {}: nothing was pushed; publish under another tag, or run this with `--allow-overwrite`",
        first.shown(),
        first.before.as_deref().unwrap_or_default(),
        first.after.digest
    )))
}
