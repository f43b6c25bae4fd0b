//! What a release set is made of: images that are fresh, verified as they are now, and whole.

use std::collections::BTreeMap;

use super::platform_image::PlatformImage;
use super::release::{Release, ReleasedImage, ReleasedPlatform, VerifiedAs};
use super::{PublishWishes, attach};
use crate::fault::{Fault, Result};
use crate::freshness::planner::{Assessment, Workspace};
use crate::freshness::record::Record;
use crate::freshness::stage_inputs;
use crate::freshness::verdict::Verdict;
use crate::graphfile::source::facts;
use crate::graphfile::spec::{Parts, Stage, StageId};
use crate::outside::index::{Index, ManifestEntry, OciPlatform};
use crate::outside::place::ImagePlace;
use crate::outside::{archive, push, state};
use crate::report::reasons;
use crate::verify::at_place;
use crate::verify::noted::{self, Standing};

/// The release set of the wanted stages, from what was built. Every image is in the layout then.
pub fn built(work: &Workspace, wishes: &PublishWishes) -> Result<Release> {
    let plan = work.plan(&work.closure(&wishes.stages), |_| false)?;
    let mut records = BTreeMap::new();
    for own in &plan {
        if let Verdict::Fresh(record) = &own.verdict {
            records.insert(own.id, record);
        }
    }
    for id in &wishes.stages {
        refuse_stale(work, &plan, *id)?;
    }
    let mut images = Vec::new();
    for id in &wishes.stages {
        let stage = work.spec.stage(*id);
        let Some(record) = records.get(id) else {
            continue;
        };
        let verified = standing(work, *id, record, wishes)?;
        let parts = match &stage.parts {
            Parts::Several(parts) => parts.clone(),
            Parts::One | Parts::Of(_) => vec![*id],
        };
        let mut platforms = Vec::new();
        for part in parts {
            let record = records.get(&part).ok_or_else(|| {
                Fault::failed(format!("`{}` has no image", work.spec.stage(part).name))
            })?;
            platforms.push(platform_image(work, part, record)?);
        }
        refuse_changed(work, stage, &platforms)?;
        images.push(image(work, *id, &platforms, verified)?);
    }
    Ok(Release::of(images))
}

fn refuse_stale(work: &Workspace, plan: &[Assessment], id: StageId) -> Result<()> {
    let name = &work.spec.stage(id).name;
    let own = plan.iter().find(|own| own.id == id);
    let Some(reason) = own.and_then(Assessment::reason) else {
        return Ok(());
    };
    Err(Fault::failed(format!(
        "stage `{name}` is not fresh ({}): only what was built is published; `{}` builds it",
        reasons::clause(reason),
        work.spec.call.command(&format!("build {name}"))
    )))
}

/// Whether a stage's image was verified as it is now, under the policy of now.
fn standing(
    work: &Workspace,
    id: StageId,
    record: &Record,
    wishes: &PublishWishes,
) -> Result<VerifiedAs> {
    let stage = work.spec.stage(id);
    let why_not = match noted::now(work, id, &record.identity()) {
        None => "it was never verified here".to_owned(),
        Some((noted, standing)) => {
            let wants_stack = work.spec.stack.is_some() && !stage.services.is_empty();
            match standing {
                Standing::Holds | Standing::StackUnseen if wants_stack && noted.stack.is_none() => {
                    "only its policy was verified, not the stack".to_owned()
                }
                // Whether the stack around it is the same can be seen by `verify` alone.
                Standing::Holds | Standing::StackUnseen => return Ok(VerifiedAs::At(noted.at)),
                other => other.clause().to_owned(),
            }
        }
    };
    match &wishes.unverified {
        Some(why) if why.is_empty() => Ok(VerifiedAs::Not(why_not)),
        Some(why) => Ok(VerifiedAs::Not(why.clone())),
        None => Err(Fault::failed(format!(
            "`{}` is not published, as {why_not}: `{}` verifies it; `--unverified=WHY` publishes it all the same",
            stage.name,
            work.spec.call.command(&format!("verify {}", stage.name))
        ))),
    }
}

/// Brings a platform's image into the layout, in the form in which it is published.
fn platform_image<'r>(
    work: &Workspace,
    id: StageId,
    record: &'r Record,
) -> Result<PlatformImage<'r>> {
    let stage = work.spec.stage(id);
    let known = |digest: &str| at_place::is_known_layer(work, digest);
    let (entry, config) = match record.place() {
        ImagePlace::Engine(reference) => exported(work, &reference, record)?,
        ImagePlace::Layout(_) => manifest_of(stage, record)?,
        ImagePlace::Registry(reference) => {
            push::fetch(work.registries()?, &work.layout, &reference, &known)?;
            manifest_of(stage, record)?
        }
    };
    let platform = stage.platforms.first().map(String::as_str);
    let platform = platform.or_else(|| work.engine.platform());
    let platform = platform.ok_or_else(|| {
        Fault::lacks(format!(
            "the platform of `{}` is not known: write `platforms` for it",
            stage.name
        ))
    })?;
    Ok(PlatformImage {
        id,
        record,
        platform: platform.to_owned(),
        entry: ManifestEntry {
            platform: Some(OciPlatform::of(platform)),
            annotations: BTreeMap::new(),
            ..entry
        },
        config,
    })
}

fn manifest_of(stage: &Stage, record: &Record) -> Result<(ManifestEntry, String)> {
    let manifest = record.manifest.as_ref().ok_or_else(|| {
        Fault::failed(format!("the record of `{}` names no manifest", stage.name))
    })?;
    Ok((manifest.descriptor.clone(), manifest.config.clone()))
}

/// An image of the engine, exported into the layout. What was exported before is known by its
/// identity.
fn exported(work: &Workspace, reference: &str, record: &Record) -> Result<(ManifestEntry, String)> {
    let identity = record.identity();
    let note = archive::export_note(&work.state, &identity);
    if let Some(entry) = archive::exported_before(&work.state, &identity)
        && work
            .layout
            .size_of_image(&entry.digest)
            .ok()
            .flatten()
            .is_some()
    {
        return Ok((entry, identity));
    }
    let exported = archive::export(&work.engine, reference, None, &work.layout)?;
    if exported.config != identity && record.image != exported.config {
        return Err(Fault::failed(format!(
            "the engine's image {reference} is not the one of its record any more: run `{}`",
            work.spec.call.command("build")
        )));
    }
    let bytes = serde_json::to_vec(&exported.descriptor).unwrap_or_default();
    // Without the note the next publish exports it again.
    let _ = state::write_atomically(&note, &bytes);
    Ok((exported.descriptor, exported.config))
}

/// Refuses layers that are not those of the configuration, which is what was verified: the digests
/// of all decompressed layers must be its diff ids.
fn refuse_changed(work: &Workspace, stage: &Stage, images: &[PlatformImage<'_>]) -> Result<()> {
    let digests: Vec<String> = images.iter().map(|it| it.entry.digest.clone()).collect();
    for found in at_place::whole(work, &digests)? {
        if let Some(unread) = found.faults().next() {
            return Err(Fault::failed(format!(
                "`{}` is not published: {unread}",
                stage.name
            )));
        }
    }
    Ok(())
}

/// A stage's image as it is published, with what is attached. Everything of it is in the layout.
fn image(
    work: &Workspace,
    id: StageId,
    platforms: &[PlatformImage<'_>],
    verified: VerifiedAs,
) -> Result<ReleasedImage> {
    let spec = &work.spec;
    let stage = spec.stage(id);
    let name = stage.image.clone().unwrap_or_default();
    let mut annotations = stage_inputs::labels(spec, stage, true)?;
    annotations.extend(stage_inputs::annotations(spec, stage)?);
    let entries: Vec<ManifestEntry> = platforms.iter().map(|it| it.entry.clone()).collect();
    let attached = attach::attached(work, stage, &name, platforms, &annotations, &verified)?;
    let (top, attached) = match (attached, entries.as_slice()) {
        (Some(attached), _) => attached,
        (None, [only]) if annotations.is_empty() => (
            ManifestEntry {
                platform: None,
                ..only.clone()
            },
            Vec::new(),
        ),
        (None, _) => {
            let index = Index::of(&entries);
            work.layout
                .add(&index.bytes)
                .map_err(|error| attach::unwritten(work, &error))?;
            (index.entry(), Vec::new())
        }
    };
    let commit = facts::fact(spec, stage.source, "source.commit").ok();
    Ok(ReleasedImage {
        stage: stage.name.clone(),
        image: name,
        tags: stage.tags.clone(),
        commit,
        top,
        platforms: platforms
            .iter()
            .map(|it| ReleasedPlatform {
                platform: it.platform.clone(),
                manifest: it.entry.digest.clone(),
                config: it.config.clone(),
            })
            .collect(),
        attached,
        verified,
    })
}
