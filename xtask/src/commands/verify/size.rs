//! `cargo xtask verify --size`: what the bytes of images are.
//!
//! Reads the same images in the same way as the policy does, but judges nothing.

use std::collections::BTreeMap;

use serde::Serialize;

use super::images::Below;
use super::makers;
use super::reading;
use super::summaries::Summaries;
use super::{Session, Target};
use crate::fault::{Fault, Result};
use crate::freshness::stage_inputs;
use crate::graphfile::spec::StageId;
use crate::report::words;
use crate::verify::finding::{Answer, AnswerOutcome, Origin};
use crate::verify::kept;
use crate::verify::layers::{Digest, LayeredImage, PlatformPart};
use crate::verify::policy::Subject;
use crate::verify::size::{self, ImageSize, KeptSizes, Told};

/// What `--json` prints of one platform of a stage.
#[derive(Serialize)]
struct Row<'s> {
    stage: &'s str,
    image: &'s str,
    dockerfile: &'s str,
    #[serde(flatten)]
    size: ImageSize,
    /// The first stage that it stands on.
    #[serde(skip)]
    parent: Option<&'s str>,
}

impl Session<'_> {
    /// Measures the stages that were asked for.
    pub(super) fn size(&self) -> Result<()> {
        run(self)
    }

    /// Keeps the sizes of the images that passed, for the next `--size`.
    pub(super) fn keep_sizes(&self, answer: &Answer, mut sizes: Summaries) {
        let names: Vec<&str> = self.targets.iter().map(|id| self.name(*id)).collect();
        for target in &self.fresh {
            let name = self.name(target.id);
            let has_passed = self.targets.contains(&target.id)
                && answer.outcome_of(name, &names) == AnswerOutcome::Passed;
            let Some(platforms) = sizes.0.remove(&target.id).filter(|_| has_passed) else {
                continue;
            };
            let kept = KeptSizes {
                image: target.image.clone(),
                at: self.now.clone(),
                platforms,
            };
            if let Err(error) = kept.save(&self.work.state, name) {
                crate::tell!("note: the sizes of {name} cannot be kept: {error}");
            }
        }
    }
}

fn run(session: &Session<'_>) -> Result<()> {
    crate::tell!("reading {}", words::count(session.fresh.len(), "image"));
    let kept = kept::KeptLayers::of(&session.work.state);
    let known = |digest: &Digest| kept.get(digest, &[]);
    let found = reading::read(session.work, &session.fresh, &mut [], &known)?;
    let mut below: BTreeMap<StageId, Vec<Below>> = BTreeMap::new();
    let mut rows: BTreeMap<StageId, Vec<Row<'_>>> = BTreeMap::new();
    for (target, found) in session.fresh.iter().zip(&found) {
        for part in &found.parts {
            let PlatformPart::Whole(image) = part else {
                unread(session, target, part)?;
                continue;
            };
            let (size, layers) = measure(session, target, image, &below);
            below.entry(target.id).or_default().push(layers);
            if let Some(size) = size {
                let parent = session.work.spec.stands_on(target.id).into_iter().next();
                rows.entry(target.id).or_default().push(Row {
                    stage: session.name(target.id),
                    image: &target.image,
                    dockerfile: session.work.spec.stage(target.id).dockerfile.as_str(),
                    size,
                    parent: parent.map(|id| session.name(id)),
                });
            }
        }
    }
    // In the order in which the user named the stages.
    let mut all: Vec<Row<'_>> = Vec::new();
    for id in &session.targets {
        all.extend(rows.remove(id).unwrap_or_default());
    }
    if session.flags.json {
        return crate::commands::print_json(&serde_json::json!({ "stages": all }));
    }
    let told = all.iter().map(|row| Told {
        stage: row.stage,
        dockerfile: row.dockerfile,
        size: &row.size,
        against: row.parent,
    });
    let told: Vec<Told<'_>> = told.collect();
    let mut text: Vec<String> = told.iter().map(size::text).collect();
    if told.len() > 1 {
        text.push(size::comparison(&told));
    }
    crate::commands::print(&text.join("\n"));
    Ok(())
}

/// Handles a part that was not read whole, as its size is not known.
fn unread(session: &Session<'_>, target: &Target, part: &PlatformPart) -> Result<()> {
    let name = session.name(target.id);
    match part {
        PlatformPart::Whole(_) => {}
        PlatformPart::Absent { platform, .. } => {
            crate::tell!("note: {name}: the engine has no image for {platform}");
        }
        PlatformPart::Unread(unread) => {
            let build = format!("build --force={name} {name}");
            return Err(Fault::failed(format!(
                "{name}: {unread}; `{}` builds it again",
                session.work.spec.call.command(&build)
            )));
        }
    }
    Ok(())
}

/// The size of one image, if its stage was asked for, and its layers as its children see them.
fn measure(
    session: &Session<'_>,
    target: &Target,
    image: &LayeredImage,
    below: &BTreeMap<StageId, Vec<Below>>,
) -> (Option<ImageSize>, Below) {
    let spec = &session.work.spec;
    let platform = reference::platform::normal(&image.facts.platform());
    let part = spec.part_for(target.id, platform.as_deref());
    let steps = stage_inputs::steps(spec, part, platform.as_deref());
    let parents = spec.stands_on_any(target.id).into_iter();
    let under = parents.filter_map(|id| below.get(&id)).flatten();
    let under = under.filter(|layers| {
        let mut pairs = layers.iter().zip(&image.layers);
        layers.len() <= image.layers.len()
            && pairs.all(|((parent, _), own)| parent.diff_id == own.diff_id)
    });
    let under = under.max_by_key(|layers| layers.len());
    let subject = Subject::new(image, steps.as_deref(), under.map_or(&[], Vec::as_slice));
    let layers = image.layers.iter().zip(&subject.made);
    let layers = layers.map(|(layer, made)| {
        let from = match made.from {
            Origin::Base => Origin::Base,
            Origin::Parent | Origin::Own => Origin::Parent,
        };
        (layer.clone(), from)
    });
    let layers = layers.collect();
    if !session.targets.contains(&target.id) {
        return (None, layers);
    }
    let mut size = ImageSize::of(image, &subject.view, &makers::of(&subject));
    let kept = KeptSizes::recall(&session.work.state, session.name(target.id));
    size.since = kept.and_then(|kept| kept.since(&target.image, &size));
    (Some(size), layers)
}
