//! What a stage's Dockerfile says, read with all that the graph knows of the stage.
//!
//! Finds the names under which a Dockerfile may use the images of other stages. Reads no trees.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use crate::fault::{Fault, Result};
use crate::graphfile::spec::{Context, Spec, Stage, StageId};
use crate::outside::proxies;
use dockerfile::{ImageFacts, Question, Reading, TakenFrom};

/// The names under which a Dockerfile may use the images of other stages.
fn candidates(spec: &Spec, stage: &Stage, text: &[u8]) -> BTreeMap<String, StageId> {
    let mut candidates: BTreeMap<String, StageId> = BTreeMap::new();
    if let Some(parent) = stage.from {
        // If a Dockerfile stage has the name, the Dockerfile means that one.
        let stages = dockerfile::names_of_stages(text);
        let given = spec.whole(parent);
        let names = std::iter::once(given.name.clone()).chain(given.references());
        let names = names.filter(|name| !stages.contains(&dockerfile::context_key(name)));
        candidates.extend(names.map(|name| (name, parent)));
    }
    for (name, context) in &stage.contexts {
        if let Context::Stage(id) = context {
            candidates.insert(name.clone(), *id);
        }
    }
    candidates
}

fn with_contexts(candidates: &BTreeMap<String, StageId>, stage: &Stage) -> BTreeSet<String> {
    let names = stage.contexts.keys().chain(candidates.keys());
    names.cloned().collect()
}

/// All names in a stage's Dockerfile that a named context may replace.
pub(super) fn names_of_contexts(spec: &Spec, stage: &Stage, text: &[u8]) -> BTreeSet<String> {
    with_contexts(&candidates(spec, stage, text), stage)
}

/// A Dockerfile, and what is known of the stage that is built from it.
pub(super) struct StageReading<'a> {
    pub(super) stage: &'a Stage,
    pub(super) text: &'a [u8],
    pub(super) args: &'a BTreeMap<String, String>,
    /// The engine's own platform.
    pub(super) platform: Option<&'a str>,
    /// The Dockerfile's path, for people.
    pub(super) path: &'a Utf8Path,
}

impl StageReading<'_> {
    fn read(
        &self,
        candidates: &BTreeMap<String, StageId>,
        facts: &BTreeMap<String, ImageFacts>,
    ) -> Result<Reading> {
        let Self { stage, path, .. } = self;
        let contexts = with_contexts(candidates, stage);
        let mut unknown = Cow::Borrowed(&stage.volatile);
        // A given value takes precedence over docker's configuration.
        let proxies = proxies::given().keys();
        let proxies = proxies.filter(|name| !stage.args.contains_key(**name));
        for proxy in proxies {
            unknown.to_mut().insert((*proxy).to_owned());
        }
        let question = Question {
            target: stage.target.as_deref(),
            args: self.args,
            unknown: &unknown,
            platform: match stage.platforms.as_slice() {
                [] => self.platform,
                [one] => Some(one),
                // With several platforms, whatever depends on the platform has no value. If that
                // leaves something undecided, each platform is asked by itself.
                _ => None,
            },
            build_platform: self.platform,
            contexts: &contexts,
        };
        let read = |question: &Question<'_>| {
            dockerfile::read_knowing(self.text, question, facts)
                .map_err(|error| Fault::usage(error.of(path)))
        };
        let reading = read(&question)?;
        if stage.platforms.len() < 2 || reading.undecided.is_empty() {
            return Ok(reading);
        }
        let of_each = stage.platforms.iter().map(|platform| {
            read(&Question {
                platform: Some(platform),
                ..question
            })
        });
        let together = dockerfile::together(of_each.collect::<Result<_>>()?);
        Ok(together.unwrap_or(reading))
    }

    /// The ONBUILD triggers that the stage leaves to stages that stand on it. `None` if its
    /// Dockerfile does not decide them, as when the image of a named context is the stage's own.
    pub(super) fn triggers(&self, spec: &Spec) -> Result<Option<Vec<String>>> {
        let reading = self.read(&candidates(spec, self.stage, self.text), &BTreeMap::new())?;
        let is_decided = reading.undecided.is_empty() && !reading.target_is_context;
        Ok(is_decided.then_some(reading.triggers))
    }
}

/// Reads the Dockerfile, and finds the names under which it uses the images of other stages.
/// `facts` gives what must be known of a parent's image to read a Dockerfile that is built on it.
pub(super) fn read_with_parents(
    spec: &Spec,
    asked: &StageReading<'_>,
    facts: &mut dyn FnMut(StageId) -> Result<Option<ImageFacts>>,
) -> Result<(Reading, BTreeMap<String, StageId>)> {
    let (stage, path) = (asked.stage, asked.path);
    let mut candidates = candidates(spec, stage, asked.text);
    let nothing = BTreeMap::new();
    let read = |candidates: &BTreeMap<String, StageId>| asked.read(candidates, &nothing);
    let mut reading = read(&candidates)?;
    if let Some(parent) = stage.from {
        let used = |reading: &Reading, candidates: &BTreeMap<String, StageId>| {
            candidates
                .iter()
                .any(|(name, id)| *id == parent && reading.named.contains_key(name))
        };
        if !used(&reading, &candidates) {
            // The parent's image may be named with another tag: overlays are written against a
            // release.
            let image = spec
                .whole(parent)
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
    let mut known = BTreeMap::new();
    for (name, parent) in &candidates {
        if reading.named.contains_key(name)
            && let Some(facts) = facts(*parent)?
        {
            known.insert(name.clone(), facts);
        }
    }
    if !known.is_empty() {
        reading = asked.read(&candidates, &known)?;
    }
    refuse_taken_names(asked, &reading, &candidates)?;
    refuse_other_platforms(spec, asked, &reading, &candidates)?;
    candidates.retain(|name, _| reading.named.contains_key(name));
    Ok((reading, candidates))
}

/// Refuses a Dockerfile that takes the image of another stage for another platform than it is
/// built for: a part of a stage is built on parts for its own platform.
fn refuse_other_platforms(
    spec: &Spec,
    asked: &StageReading<'_>,
    reading: &Reading,
    parents: &BTreeMap<String, StageId>,
) -> Result<()> {
    let [own] = asked.stage.platforms.as_slice() else {
        return Ok(());
    };
    let own = reference::platform::normal(own);
    for take in &reading.takes {
        let TakenFrom::Context(name) = &take.from else {
            continue;
        };
        let parent = parents.get(name).filter(|id| spec.stage(**id).is_part());
        let other = take.platform.as_ref();
        let other = other.filter(|other| reference::platform::normal(other) != own);
        if let (Some(parent), Some(other)) = (parent, other) {
            return Err(Fault::usage(format!(
                "{}: line {} takes the image of `{}` for {other}, but a stage with several platforms is built on its parents for the same platform: \
                 let another stage, with `platforms = [\"{other}\"]`, make what it needs",
                asked.path,
                take.line,
                spec.whole(*parent).name
            )));
        }
    }
    Ok(())
}

/// Refuses a Dockerfile in which a stage has the name of an image that this program replaces with a
/// named context, even if only to pin it. BuildKit would replace the Dockerfile stage, too, and
/// drop what it does (tried with Docker 26.1.5).
fn refuse_taken_names(
    asked: &StageReading<'_>,
    reading: &Reading,
    candidates: &BTreeMap<String, StageId>,
) -> Result<()> {
    let (stage, path) = (asked.stage, asked.path);
    let stages = dockerfile::names_of_stages(asked.text);
    let is_asked_for =
        |name: &&String| stage.contexts.contains_key(*name) && !stage.replaced.contains(*name);
    let written = reading.bases.iter().map(|base| &base.reference);
    let names = written.chain(candidates.keys()).chain(&stage.replaced);
    let mut names = names.filter(|name| !is_asked_for(name));
    match names.find(|name| stages.contains(&dockerfile::context_key(name))) {
        None => Ok(()),
        Some(name) => Err(Fault::usage(format!(
            "{path}: the image `{name}` and a Dockerfile stage have the same name, and BuildKit would take the image \
             for the stage: rename the stage (`AS`), or use a tag other than `latest`",
        ))),
    }
}

fn stands_on_nothing(
    spec: &Spec,
    stage: &Stage,
    parent: StageId,
    reading: &Reading,
    path: &Utf8Path,
) -> Fault {
    let parent = spec.whole(parent);
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
