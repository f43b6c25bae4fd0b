//! An override for a compose file, which points its services at the images of the graph by digest;
//! and the check that every image which the file names can be had.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::fault::{Fault, Result};
use crate::freshness::pins;
use crate::freshness::planner::Workspace;
use crate::freshness::verdict::Verdict;
use crate::graphfile::spec::StageId;
use crate::graphfile::spec::publishing::Target;
use crate::graphfile::spec::stack::Stack;
use crate::outside::place::ImagePlace;
use crate::outside::push;
use crate::publish;
use crate::publish::release::Release;
use ::registry::{Effort, RegistryError};

/// What the file has in it and no hand writes.
pub const MARK: &str = "# Written by `cargo xtask export compose`";

/// Which digests are meant.
#[derive(Debug, Default)]
pub struct ComposeWishes {
    /// The release whose images are meant: its name or its file.
    pub release: Option<String>,
    /// The target that has the release.
    pub target: Option<String>,
}

/// The stack of a graph.
pub fn stack(work: &Workspace) -> Result<&Stack> {
    let none = || {
        Fault::usage(format!(
            "{} has no `[stack]`, so no compose file is known: write `[stack]` with `compose = \"docker/docker-compose.yaml\"`, and `services` for its stages",
            work.spec.file
        ))
    };
    work.spec.stack.as_ref().ok_or_else(none)
}

/// The image of each service that a stage makes, by its digest in a registry.
pub fn images(work: &Workspace, wishes: &ComposeWishes) -> Result<BTreeMap<String, String>> {
    let stack = stack(work)?;
    let release = match &wishes.release {
        Some(name) => Some(Release::read(work, name)?),
        None => newest(work),
    };
    let by_stage = match &release {
        Some(release) => {
            release.refuse_foreign(work)?;
            crate::tell!("images of release {}", release.name);
            of_release(release, &target(work, wishes)?)
        }
        None if wishes.target.is_some() => {
            return Err(Fault::usage(
                "`--from` names a target, and nothing was published from here: name a release with `--release RELEASE`",
            ));
        }
        None => of_records(work, stack)?,
    };
    let mut images = BTreeMap::new();
    for (service, id) in &stack.services {
        let stage = &work.spec.stage(*id).name;
        let image = by_stage.get(stage).ok_or_else(|| match &release {
            Some(release) => Fault::failed(format!(
                "release {} has no image of `{stage}`, which the service `{service}` uses: name another one with `--release RELEASE`, or publish all of the stack's images by `{}`",
                release.name,
                work.spec.call.command("publish")
            )),
            None => Fault::failed(format!(
                "no registry is known to have the image of `{stage}`, which the service `{service}` uses: publish it by `{}`, or build it into the registry by `{}`",
                work.spec.call.command("publish"),
                work.spec.call.command(&format!("build {stage} --output registry"))
            )),
        })?;
        images.insert(service.clone(), image.clone());
    }
    let all: BTreeSet<&String> = images.values().collect();
    for image in all {
        let Some((name, digest)) = image.split_once('@') else {
            continue;
        };
        let at = push::reference(name)?;
        if work
            .registries()?
            .has_manifest(&at, digest, Effort::Full)?
            .is_none()
        {
            return Err(Fault::failed(format!(
                "{name} does not have {digest}: publish it there, or name another target with `--from TARGET`"
            )));
        }
    }
    Ok(images)
}

/// The release that was published last from this state.
fn newest(work: &Workspace) -> Option<Release> {
    let files = fs::read_dir(work.state.path("releases")).ok()?;
    let dated = files.flatten().filter_map(|file| {
        let time = file.metadata().ok()?.modified().ok()?;
        Some((time, Release::parse(&fs::read(file.path()).ok()?)?))
    });
    let newest = dated.max_by_key(|(time, _)| *time);
    newest.map(|(_, release)| release)
}

/// Where the images of a release are taken from.
fn target(work: &Workspace, wishes: &ComposeWishes) -> Result<Target> {
    let names: Vec<String> = wishes.target.iter().cloned().collect();
    let mut targets = publish::targets(work, &names)?.into_iter();
    match (targets.next(), targets.next()) {
        (Some((_, one)), None) => Ok(one),
        _ => Err(Fault::usage(format!(
            "{} has several targets: name the one to take images from with `--from TARGET`",
            work.spec.file
        ))),
    }
}

fn of_release(release: &Release, target: &Target) -> BTreeMap<String, String> {
    let images = publish::of_target(release, target);
    let named = images.map(|(name, image)| {
        let reference = format!("{name}@{}", image.top.digest);
        (image.stage.clone(), reference)
    });
    named.collect()
}

/// The images of fresh stages that are in the registry of the graph's records.
fn of_records(work: &Workspace, stack: &Stack) -> Result<BTreeMap<String, String>> {
    let targets: Vec<_> = stack.services.values().copied().collect();
    let plan = work.plan(&work.closure(&targets), |_| false)?;
    let there = plan.iter().filter_map(|own| match &own.verdict {
        Verdict::Fresh(record) => match record.place() {
            ImagePlace::Registry(reference) => {
                Some((work.spec.stage(own.id).name.clone(), reference))
            }
            ImagePlace::Engine(_) | ImagePlace::Layout(_) => None,
        },
        Verdict::Restorable(..) | Verdict::Stale(_) | Verdict::Unknown(_) => None,
    });
    Ok(there.collect())
}

/// The text of the override.
pub fn text(images: &BTreeMap<String, String>) -> String {
    let mut text = format!("{MARK} from the build graph.\nservices:\n");
    let scalar = |text: &str| Value::from(text).to_string();
    for (service, image) in images {
        let _ = writeln!(text, "  {}:\n    image: {}", scalar(service), scalar(image));
    }
    text
}

/// An image of a compose file, and whether it can be had.
#[derive(Debug)]
pub struct Checked {
    /// As the file names it.
    pub image: String,
    /// The services that use it.
    pub services: Vec<String>,
    /// Why it cannot be had; `None` if it can.
    pub lacks: Option<String>,
}

/// Asks whether every image that a resolved compose file and these images name is in its registry:
/// for the platforms of its stage, or of all stages if it is of none.
pub fn check(
    work: &Workspace,
    config: &Value,
    images: &BTreeMap<String, String>,
) -> Result<Vec<Checked>> {
    let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let services = config["services"].as_object().into_iter().flatten();
    for (service, of) in services {
        if let Some(image) = of["image"].as_str() {
            users.entry(image).or_default().insert(service);
        }
    }
    for (service, image) in images {
        users.entry(image).or_default().insert(service);
    }
    let stack = stack(work)?;
    let of_stages = |ids: &mut dyn Iterator<Item = StageId>| -> BTreeSet<String> {
        let platforms = ids.flat_map(|id| &work.spec.stage(id).platforms);
        platforms
            .filter_map(|it| reference::platform::normal(it))
            .collect()
    };
    let all = of_stages(&mut stack.services.values().copied());
    let read: BTreeMap<&str, _> = users
        .keys()
        .map(|image| (*image, reference::normalise(image)))
        .collect();
    let wanted: Vec<_> = read
        .iter()
        .filter_map(|(image, read)| Some((*image, read.as_ref()?, Effort::Full)))
        .collect();
    let answers = pins::look_up(work.registries()?, &wanted);
    let mut answers: BTreeMap<&str, _> = answers.into_iter().collect();
    let mut checked = Vec::new();
    for (image, services) in users {
        let lacks = match answers.remove(image) {
            None => Some("its name is none that docker takes".to_owned()),
            Some(Ok(found)) => {
                let mut own = services
                    .iter()
                    .filter_map(|it| stack.services.get(*it))
                    .copied();
                let own = of_stages(&mut own);
                let platforms = if own.is_empty() { &all } else { &own };
                let has = |platform: &&String| found.platforms.contains_key(*platform);
                let missing: Vec<&str> = platforms
                    .iter()
                    .filter(|platform| !has(platform))
                    .map(String::as_str)
                    .collect();
                (!missing.is_empty()).then(|| format!("not for {}", missing.join(", ")))
            }
            Some(Err(error)) => Some(lacking(error)?),
        };
        checked.push(Checked {
            image: image.to_owned(),
            services: services.into_iter().map(str::to_owned).collect(),
            lacks,
        });
    }
    Ok(checked)
}

/// Why an image cannot be had. A registry that does not answer says nothing about its images.
fn lacking(error: RegistryError) -> Result<String> {
    if error.is_absence() {
        return Ok(error.to_string());
    }
    Err(error.into())
}
