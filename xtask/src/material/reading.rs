//! What a stage's Dockerfile says, asked with all that the graph knows of the stage.
//!
//! Knows under which names a Dockerfile may use the images of other stages. Is unaware of trees.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use crate::dockerfile::{self, Question, Reading, reference};
use crate::fault::{Fault, Result};
use crate::spec::{Context, Spec, Stage, StageId};

/// Reads the Dockerfile, and finds the names under which it uses the images of other stages.
pub(super) fn read_with_parents(
    spec: &Spec,
    stage: &Stage,
    text: &[u8],
    args: &BTreeMap<String, String>,
    platform: Option<&str>,
    path: &Utf8Path,
) -> Result<(Reading, BTreeMap<String, StageId>)> {
    let mut candidates: BTreeMap<String, StageId> = BTreeMap::new();
    if let Some(parent) = stage.from {
        candidates.insert(spec.stage(parent).name.clone(), parent);
        candidates.extend(
            spec.stage(parent)
                .references()
                .into_iter()
                .map(|reference| (reference, parent)),
        );
    }
    for (name, context) in &stage.contexts {
        if let Context::Stage(id) = context {
            candidates.insert(name.clone(), *id);
        }
    }
    let read = |candidates: &BTreeMap<String, StageId>| {
        let contexts: BTreeSet<String> = stage
            .contexts
            .keys()
            .chain(candidates.keys())
            .cloned()
            .collect();
        let unknown: BTreeSet<String> = stage.volatile.clone();
        let question = Question {
            target: stage.target.as_deref(),
            args,
            unknown: &unknown,
            platform: match stage.platforms.as_slice() {
                [] => platform,
                [one] => Some(one),
                // Several platforms: whatever depends on one has no value, which widens.
                _ => None,
            },
            build_platform: platform,
            contexts: &contexts,
        };
        dockerfile::read(text, &question).map_err(|error| Fault::usage(format!("{path}: {error}")))
    };
    let mut reading = read(&candidates)?;
    if let Some(parent) = stage.from {
        let used = |reading: &Reading, candidates: &BTreeMap<String, StageId>| {
            candidates
                .iter()
                .any(|(name, id)| *id == parent && reading.named.contains_key(name))
        };
        if !used(&reading, &candidates) {
            // The parent's image under another tag: overlays are written against a release.
            let image = spec
                .stage(parent)
                .image
                .as_deref()
                .and_then(reference::normalise);
            let sibling = reading.bases.iter().find(|base| {
                let base = reference::normalise(&base.reference);
                base.zip(image.as_ref()).is_some_and(|(base, image)| {
                    base.registry == image.registry && base.repository == image.repository
                })
            });
            let Some(sibling) = sibling else {
                return Err(stands_on_nothing(spec, stage, parent, &reading, path));
            };
            candidates.insert(sibling.reference.clone(), parent);
            reading = read(&candidates)?;
        }
    }
    candidates.retain(|name, _| reading.named.contains_key(name));
    Ok((reading, candidates))
}

fn stands_on_nothing(
    spec: &Spec,
    stage: &Stage,
    parent: StageId,
    reading: &Reading,
    path: &Utf8Path,
) -> Fault {
    let parent = spec.stage(parent);
    let wanted = parent
        .references()
        .into_iter()
        .next()
        .unwrap_or_else(|| parent.name.clone());
    let found: Vec<&str> = reading
        .bases
        .iter()
        .map(|base| base.reference.as_str())
        .collect();
    let found = if found.is_empty() {
        "no image".to_owned()
    } else {
        found.join(", ")
    };
    Fault::usage(format!(
        "stands on `{}`, but its Dockerfile {path} uses {found}: write `FROM {wanted}`, or say in `contexts` of `{}` which name the image replaces",
        parent.name, stage.name
    ))
}
