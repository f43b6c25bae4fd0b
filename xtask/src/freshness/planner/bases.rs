//! What is known of the external images of a stage: pins, the images that the engine has, and what
//! about an image no key can follow.

use std::collections::{BTreeMap, BTreeSet};

use super::ImageCache;
use super::{StageSummary, Workspace};

use crate::fault::{Class, Fault, Result};
use crate::freshness::key::IngredientKind;
use crate::freshness::pins::platforms;
use crate::freshness::stage_inputs::Taken;
use crate::freshness::verdict::{self, Change, Changed};
use crate::graphfile::spec::{Stage, StageId};
use crate::outside::engine::Image;
use crate::unpoisoned::Unpoisoned as _;

impl Workspace {
    /// The digest of every external image: its pin, or else the image that the engine has.
    pub(super) fn base_digests(
        &self,
        summary: &StageSummary,
        held: &ImageCache,
    ) -> Result<BTreeMap<String, String>> {
        let externals = &summary.externals;
        let whole = BTreeSet::new();
        let mut digests = BTreeMap::new();
        for reference in externals.references.iter().map(String::as_str) {
            // A frontend runs on the builder, whatever platform the build is for.
            let is_frontend = externals.frontend.as_deref() == Some(reference);
            let platforms = if is_frontend {
                &whole
            } else {
                &externals.platforms
            };
            let pinned = self
                .lock
                .lock()
                .ok()
                .and_then(|lock| lock.digest_for(reference, platforms));
            let digest = match pinned {
                Some(digest) => digest,
                None => {
                    let name = reference.to_owned();
                    held.ask_for(self, std::iter::once(&name))?;
                    match (held.get(reference), externals.near_stages.get(reference)) {
                        (Some(image), _) => format!("engine {}", image.id),
                        (None, near) => {
                            near.into_iter().for_each(|near| self.warn(near.clone()));
                            verdict::NOT_LOCKED.to_owned()
                        }
                    }
                }
            };
            digests.insert(reference.to_owned(), digest);
        }
        Ok(digests)
    }

    /// Refuses a stage that builds on an image which surely lacks a platform. Warns of other uses
    /// of such an image.
    pub fn check_platforms(&self, id: StageId, summary: &StageSummary) -> Result<()> {
        let stage = self.spec.stage(id);
        let entry = |taken: &Taken| {
            let lock = self.lock.lock().unpoisoned();
            Ok(lock.base(&taken.reference).and_then(platforms::of_entry))
        };
        let notes = platforms::check(
            (stage, self.spec.whole(id)),
            &summary.externals.takes,
            entry,
        );
        let notes = notes.map_err(|fault| stage.fault(fault))?;
        notes.into_iter().for_each(|note| self.warn(note));
        self.check_platforms_of_parents(stage, summary)
    }

    /// Refuses a stage for the engine's own platform if a parent is not built for that. If the
    /// graph file names the stage's platforms, `spec` checks them.
    fn check_platforms_of_parents(&self, stage: &Stage, summary: &StageSummary) -> Result<()> {
        let parents = summary.parents().map(|(_, parent)| self.spec.stage(parent));
        let is_named = |parent: &&Stage| stage.platforms.is_empty() && !parent.platforms.is_empty();
        for parent in parents.filter(is_named) {
            let own = self.engine.platform();
            let is_served = |own| {
                let mut platforms = parent.platforms.iter();
                platforms.any(|platform| reference::platform::serves(platform, own))
            };
            if let Some(own) = own.filter(|own| !is_served(own)) {
                return Err(Fault::usage(format!(
                    "`{}` is built for {own}, the engine's own platform, and `{}`, which it stands on, is built for {}: \
                     give both the same `platforms`, or put them into `[defaults]`",
                    stage.name,
                    parent.name,
                    parent.platforms.join(", ")
                )));
            }
        }
        Ok(())
    }

    /// Refuses a stage that builds on an image which only the engine has and which lacks a
    /// platform. Warns of other uses of such an image.
    pub fn check_platforms_of_engine(
        &self,
        id: StageId,
        summary: &StageSummary,
        held: &ImageCache,
    ) -> Result<()> {
        let stage = self.spec.stage(id);
        let notes = platforms::check(
            (stage, self.spec.whole(id)),
            &summary.externals.takes,
            |taken| {
                let lock = self.lock.lock().unpoisoned();
                let is_locked = lock.digest(&taken.reference).is_some();
                drop(lock);
                if is_locked {
                    return Ok(None);
                }
                let reference = &taken.reference;
                held.ask_for(self, std::iter::once(reference))?;
                let image = held.get(reference);
                let Some(shown) = image.as_deref().and_then(Image::platform) else {
                    return Ok(None);
                };
                let mut has = vec![shown];
                // An engine shows one platform of an image, which may have several.
                for wanted in platforms::missing(taken, &has.clone()) {
                    match self.engine.has_platform(reference, wanted)? {
                        Some(false) => {}
                        Some(true) => has.push(wanted.to_owned()),
                        None => return Ok(None),
                    }
                }
                Ok(Some(has))
            },
        )?;
        notes.into_iter().for_each(|note| self.warn(note));
        Ok(())
    }

    /// The same for a plan: an engine that gives no answer stops a build, not a plan.
    pub(super) fn check_platforms_to_plan(
        &self,
        id: StageId,
        summary: &StageSummary,
        held: &ImageCache,
    ) -> Result<()> {
        match self.check_platforms_of_engine(id, summary, held) {
            Err(fault) if fault.class == Class::Usage => Err(self.spec.stage(id).fault(fault)),
            _ => Ok(()),
        }
    }

    /// What a key cannot follow. A stage with such a thing is never fresh, and BuildKit's own cache
    /// decides. Only its server knows what is at an address without a checksum, and only buildx
    /// knows what a policy looks at beside its own text.
    pub(super) fn unfollowed(
        &self,
        summary: &StageSummary,
        held: &ImageCache,
    ) -> Result<Option<Change>> {
        let remote = summary.moving.as_ref();
        let remote = remote.map(|url| Change::unknown(IngredientKind::Remote, url));
        let policy = summary.looked_at.as_ref();
        let policy = policy.map(|told| Change::unknown(Changed::Policy, told));
        match remote.or(policy) {
            Some(unfollowed) => Ok(Some(unfollowed)),
            None => self.unfollowed_base(summary, held),
        }
    }

    /// What no key can follow about external images. An image whose name the text does not tell
    /// cannot be in a key, and triggers of an image may read files that no instruction of the
    /// Dockerfile names.
    pub fn unfollowed_base(
        &self,
        summary: &StageSummary,
        held: &ImageCache,
    ) -> Result<Option<Change>> {
        let base = |name: String| Change::unknown(IngredientKind::Base, name);
        if summary.externals.open.is_some() {
            return Ok(Some(base(
                "whose name the Dockerfile alone does not tell".to_owned(),
            )));
        }
        if let Some(parent) = summary.with_triggers.first() {
            return Ok(Some(base(format!(
                "`{parent}`, which may have ONBUILD instructions"
            ))));
        }
        for reference in &summary.externals.references {
            let is_edited = self.lock.lock().is_ok_and(|lock| {
                let base = lock.base(reference);
                base.is_some_and(crate::graphfile::lock::Base::is_edited)
            });
            if is_edited {
                return Ok(Some(base(format!(
                    "{reference}, whose entry in the lock was edited by hand (`{}` makes it whole)",
                    self.spec.call.command("lock --update")
                ))));
            }
            let known = self
                .lock
                .lock()
                .ok()
                .and_then(|lock| lock.has_triggers(reference));
            let triggers = match known {
                Some(triggers) => triggers,
                None => self.engine_says_triggers(reference, held)?,
            };
            if triggers {
                return Ok(Some(base(format!("{reference} with ONBUILD instructions"))));
            }
        }
        Ok(None)
    }

    /// Whether the engine's image has ONBUILD triggers. An image that is neither pinned nor in the
    /// engine is in no record either, and is looked at before a stage is built on it.
    fn engine_says_triggers(&self, reference: &str, held: &ImageCache) -> Result<bool> {
        let listed = held.get(reference);
        if listed.is_some_and(|image| image.config.is_none()) {
            held.forget(reference);
        }
        let name = reference.to_owned();
        held.ask_for(self, std::iter::once(&name))?;
        let image = held.get(reference);
        Ok(image
            .as_deref()
            .and_then(Image::has_triggers)
            .unwrap_or(false))
    }
}
