//! Compares what a graph uses and what registries say with what its lock must hold.
//!
//! Says which images need an entry, and finds images by name. `lock` writes the file, and the
//! library `registry` asks the registries.

pub mod platforms;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rayon::prelude::*;

use crate::fault::{Fault, Result};
use crate::freshness::stage_inputs::{self, Externals, Taken};
use crate::graphfile::lock::{Base, Lock};
use crate::graphfile::spec::{Place, Spec, StageId, mistakes};
use crate::outside::engine::{self, Engine, Images};
use crate::shown;
use reference::Reference;
use registry::{Effort, Found, Patience, Registries, RegistryError};

/// An external image of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// The reference, parsed.
    pub reference: Reference,
    /// The reference in the short spelling, as `Reading` has it.
    pub name: String,
    /// The stages that use it, in build order, and for which platforms. A frontend has none, as all
    /// of its image counts.
    pub by: Vec<(StageId, BTreeSet<String>)>,
    /// A sentence on where it is named, if a stage is likely to be meant.
    pub near_stage: Option<String>,
}

impl Used {
    /// How hard to try. A registry is asked only once for a name that is likely to be no image.
    pub fn effort(&self) -> Effort {
        match self.near_stage {
            Some(_) => Effort::Brief,
            None => Effort::Full,
        }
    }
}

/// All external images of a graph, by canonical reference.
#[derive(Debug, Clone, Default)]
pub struct Uses {
    /// The images, by canonical reference.
    pub images: BTreeMap<String, Used>,
    /// Stages whose Dockerfiles do not tell all their images, and why.
    pub open: Vec<(StageId, String)>,
    /// Where each stage takes an image from.
    pub takes: Vec<(StageId, Vec<Taken>)>,
}

/// The stages without those that are assembled from parts.
fn with_dockerfiles(spec: &Spec, stages: &[StageId]) -> Vec<StageId> {
    let stages = stages.iter().copied();
    stages
        .filter(|id| !spec.stage(*id).is_assembled())
        .collect()
}

impl Uses {
    /// Reads the Dockerfiles of `stages`, and nothing else.
    pub fn of(spec: &Spec, stages: &[StageId], platform: Option<&str>) -> Result<Self> {
        let stages = with_dockerfiles(spec, stages);
        let read = stages
            .par_iter()
            .map(|id| stage_inputs::externals(spec, *id, platform));
        let mut uses = Self::default();
        for (id, externals) in stages.iter().zip(read.collect::<Result<Vec<_>>>()?) {
            uses.add(*id, externals);
        }
        Ok(uses)
    }

    /// The same for all stages, without those that cannot be read yet because their source is not
    /// here.
    pub fn of_readable(spec: &Spec, platform: Option<&str>) -> Self {
        let stages = with_dockerfiles(spec, &spec.ids().collect::<Vec<_>>());
        let read = stages
            .par_iter()
            .map(|id| stage_inputs::externals(spec, *id, platform).ok());
        let mut uses = Self::default();
        for (id, externals) in stages.iter().zip(read.collect::<Vec<_>>()) {
            externals.into_iter().for_each(|it| uses.add(*id, it));
        }
        uses
    }

    /// Adds what one stage uses.
    pub fn add(&mut self, id: StageId, externals: Externals) {
        self.open.extend(externals.open.map(|why| (id, why)));
        self.takes.push((id, externals.takes));
        let mut near_stages = externals.near_stages;
        for name in externals.references {
            let near_stage = near_stages.remove(&name);
            let Some(reference) = reference::normalise(&name) else {
                continue;
            };
            let is_frontend = externals.frontend.as_ref() == Some(&name);
            let platforms = if is_frontend {
                BTreeSet::new()
            } else {
                externals.platforms.clone()
            };
            let used = self
                .images
                .entry(reference.canonical())
                .or_insert_with(|| Used {
                    reference,
                    name,
                    by: Vec::new(),
                    near_stage: None,
                });
            used.near_stage = used.near_stage.take().or(near_stage);
            used.by.push((id, platforms));
        }
    }

    /// The images without an entry in the lock, by canonical reference.
    pub fn missing<'u>(&'u self, lock: &Lock) -> BTreeMap<&'u str, &'u Used> {
        let missing = self
            .images
            .iter()
            .filter(|(name, _)| lock.base(name).is_none());
        missing.map(|(name, used)| (name.as_str(), used)).collect()
    }

    /// The images that `names` mean, each in its short or its whole spelling. Without names: all
    /// images with a tag that can move. The fault suggests a similar name.
    pub fn named(&self, names: &[String]) -> Result<BTreeSet<String>> {
        if names.is_empty() {
            let movable = self.images.iter();
            let movable = movable.filter(|(_, used)| used.reference.digest.is_none());
            return Ok(movable.map(|(name, _)| name.clone()).collect());
        }
        let found = names.iter().map(|name| {
            let canonical = reference::normalise(name).map(|reference| reference.canonical());
            canonical
                .filter(|canonical| self.images.contains_key(canonical))
                .ok_or_else(|| self.unknown(name))
        });
        found.collect()
    }

    fn unknown(&self, name: &str) -> Fault {
        let known = self.images.iter();
        let known: Vec<&str> = known
            .flat_map(|(canonical, used)| [used.name.as_str(), canonical])
            .collect();
        let all = self.images.values().map(|used| used.name.as_str());
        Fault::usage(format!(
            "no stage of this graph uses the external image `{}`; {}",
            shown::short(name),
            hint(name, &known, all)
        ))
    }
}

/// Suggests a similar name, or lists all names.
fn hint<'n>(name: &str, known: &[&str], all: impl Iterator<Item = &'n str>) -> String {
    let all: Vec<&str> = all.collect();
    match mistakes::nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if all.is_empty() => "it uses none".to_owned(),
        None => format!("it uses {}", all.join(", ")),
    }
}

/// Refuses a name for `lock --update` that is neither a source nor an image, as far as that is
/// known before anything is fetched. An image that only a missing source uses has no pin to renew,
/// unless it is in the lock.
pub fn refuse_unknown(spec: &Spec, uses: &Uses, lock: &Lock, wanted: &[String]) -> Result<()> {
    for name in wanted {
        if let Some(source) = spec.sources.iter().find(|source| source.name == *name) {
            if matches!(source.place, Place::Local { .. }) {
                return Err(Fault::usage(format!(
                    "source `{name}` is a checkout of yours and is used as it is: nothing is pinned, so nothing can be updated"
                )));
            }
            continue;
        }
        let canonical = reference::normalise(name).map(|reference| reference.canonical());
        let is_known =
            |name: &String| uses.images.contains_key(name) || lock.bases().contains_key(name);
        if canonical.as_ref().is_some_and(is_known) {
            continue;
        }
        let sources = || spec.sources.iter().map(|source| source.name.as_str());
        let images = || uses.images.values().map(|used| used.name.as_str());
        let spelt = uses
            .images
            .keys()
            .map(String::as_str)
            .chain(lock.references());
        let known: Vec<&str> = sources().chain(images()).chain(spelt).collect();
        return Err(Fault::usage(format!(
            "`{}` is neither a source nor an external image of this graph; {}",
            shown::short(name),
            hint(name, &known, sources().chain(images()))
        )));
    }
    Ok(())
}

/// Refuses stages whose external images `lock` does not cover.
pub fn refuse_uncovered(spec: &Spec, uses: &Uses, lock: &Lock) -> Result<()> {
    let missing = uses.missing(lock);
    if !missing.is_empty() {
        let names: Vec<String> = missing
            .values()
            .map(|used| format!("`{}`", used.name))
            .collect();
        let verb = if names.len() == 1 { "has" } else { "have" };
        return Err(Fault::usage(format!(
            "{} {verb} no entry in {}, and `--locked` was given: run `{}` and commit the file",
            names.join(", "),
            lock.path(),
            spec.call.command("lock")
        )));
    }
    match uses.open.first() {
        None => Ok(()),
        Some((id, why)) => Err(Fault::usage(format!(
            "no lock can cover stage `{}`, and `--locked` was given: its Dockerfile does not tell all its images, as {why}",
            spec.stage(*id).name
        ))),
    }
}

/// The variable that sets the time limit of one exchange with a registry, in seconds.
const TIMEOUT: &str = "XTASK_REGISTRY_TIMEOUT";

/// The usual patience, with the time limit that the environment sets.
fn patience() -> Result<Patience> {
    let usual = Patience::default();
    let Some(text) = std::env::var_os(TIMEOUT).filter(|text| !text.is_empty()) else {
        return Ok(usual);
    };
    let seconds = text.to_str().and_then(|text| text.parse().ok());
    match seconds.filter(|seconds| (1..=3600).contains(seconds)) {
        Some(seconds) => Ok(Patience {
            exchange: Duration::from_secs(seconds),
            ..usual
        }),
        None => Err(Fault::usage(format!(
            "{TIMEOUT} is not a number of seconds from 1 to 3600: correct or remove it"
        ))),
    }
}

impl From<RegistryError> for Fault {
    fn from(error: RegistryError) -> Self {
        Self::lacks(error.to_string())
    }
}

/// The registries as this machine reaches them. Sends no request yet.
pub fn registries(notice: impl Fn(&str) + Send + Sync + 'static) -> Result<Registries> {
    Ok(Registries::new(
        patience()?,
        engine::config_folder(),
        || Engine::find().registry_settings(),
        notice,
    ))
}

/// How many requests to registries run at once. They wait for a network, so the number of cores
/// does not matter.
const AT_ONCE: usize = 8;

/// Runs `ask` in a `rayon` pool with that many threads.
pub fn at_once<T: Send>(ask: impl FnOnce() -> T + Send) -> T {
    match rayon::ThreadPoolBuilder::new().num_threads(AT_ONCE).build() {
        Ok(pool) => pool.install(ask),
        // With fewer threads it only takes longer.
        Err(_) => ask(),
    }
}

/// Asks for several images at once.
pub fn look_up<'u>(
    registries: &Registries,
    wanted: &[(&'u str, &Reference, Effort)],
) -> Vec<(&'u str, Result<Found, RegistryError>)> {
    let ask = |(name, reference, effort): &(&'u str, &Reference, Effort)| {
        (*name, registries.look_up(reference, *effort))
    };
    at_once(|| wanted.par_iter().map(ask).collect())
}

/// Whether the engine has an image under the name. If the registry does not know that name, the
/// image cannot be had elsewhere.
pub fn is_held(images: &Images, name: &str) -> bool {
    images.get(name).is_some_and(Option::is_some)
}

impl From<Found> for Base {
    fn from(found: Found) -> Self {
        Self::new(found.onbuild, found.digest, found.platforms)
    }
}

/// Several faults of registries, one line each. If none of the images exists and all have nearly
/// the name of a stage, the Dockerfiles are wrong.
pub fn together<'e>(
    errors: impl IntoIterator<Item = (&'e RegistryError, Option<&'e str>)>,
) -> Fault {
    let mut is_usage = true;
    let told = errors.into_iter().map(|(error, near_stage)| {
        is_usage &= near_stage.is_some() && error.is_absence();
        match near_stage {
            Some(near) => format!("{near} (as an image: {error})"),
            None => error.to_string(),
        }
    });
    let lines: Vec<String> = told.collect();
    let message = match lines.as_slice() {
        [only] => only.clone(),
        lines => {
            let headed = lines.iter().map(|line| format!("error: {line}"));
            headed.collect::<Vec<_>>().join("\n")
        }
    };
    if is_usage {
        Fault::usage(message)
    } else {
        Fault::lacks(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(names: &[&str]) -> Uses {
        let mut uses = Uses::default();
        let externals = Externals {
            references: names.iter().map(|&name| name.to_owned()).collect(),
            ..Externals::default()
        };
        uses.add(StageId(0), externals);
        uses
    }

    #[test]
    fn an_image_is_found_by_either_spelling_and_a_wrong_one_has_a_near_one() {
        let uses = uses(&["python:3.12-slim-bookworm", "node"]);
        let canonical = "docker.io/library/python:3.12-slim-bookworm";
        for name in ["python:3.12-slim-bookworm", canonical] {
            let found = uses.named(&[name.to_owned()]).unwrap();
            assert_eq!(found, BTreeSet::from([canonical.to_owned()]));
        }
        for (wrong, hint) in [
            (
                "python:3.12-slim-bokworm",
                "did you mean `python:3.12-slim-bookworm`?",
            ),
            ("zzz", "it uses node, python:3.12-slim-bookworm"),
            ("--x\u{1b}", "\\u{1b}"),
        ] {
            let fault = uses.named(&[wrong.to_owned()]).unwrap_err();
            assert!(fault.message.contains(hint), "{}", fault.message);
        }
        let none = Uses::default().named(&["x".to_owned()]).unwrap_err();
        assert!(none.message.contains("it uses none"));
    }

    #[test]
    fn all_are_those_that_can_move() {
        let fixed = format!("alpine@sha256:{}", "a".repeat(64));
        let all = uses(&["node", &fixed]).named(&[]).unwrap();
        assert_eq!(
            all,
            BTreeSet::from(["docker.io/library/node:latest".to_owned()])
        );
    }
}
