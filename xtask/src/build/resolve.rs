//! From a stage's inputs to its buildx call: which folder is sent, and what each named context and
//! each external image stands for.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::Run;
use super::bring::bring;
use super::builders::Other;
use crate::build::action::{self, Action, CachePlace, CallParts, Destination};
use crate::contexts::{self, Tracer};
use crate::fault::{Fault, Result};
use crate::freshness::planner::SOURCE_DATE_EPOCH;
use crate::freshness::record::Record;
use crate::freshness::secrets;
use crate::freshness::stage_inputs::{self, StageInputs};
use crate::graphfile::spec::sharing::SharedCache;
use crate::graphfile::spec::shipping::ImageOutput;
use crate::graphfile::spec::{Context, Stage, StageId};
use crate::outside::place::ImagePlace;
use crate::outside::private;

impl Run<'_> {
    /// The buildx call that builds a stage on a builder from the folder `context` and the named
    /// contexts `folders`. The call may write to `own`.
    pub(super) fn action(
        &self,
        id: StageId,
        builder: Option<&Other<'_>>,
        stage_inputs: &StageInputs,
        destination: Destination<'_>,
        (context, folders): (&Utf8Path, &BTreeMap<String, Utf8PathBuf>),
        own: &Utf8Path,
    ) -> Result<Action> {
        let (work, stage) = (self.work, self.work.spec.stage(id));
        let mut args = stage_inputs.args.clone();
        let mut labels = stage_inputs.labels.clone();
        let volatile = stage_inputs::volatile(&work.spec, stage)?;
        args.extend(volatile.arguments);
        labels.extend(volatile.labels);
        args.extend(self.frontend(stage_inputs)?);
        if let Some(epoch) = work.epoch(id)? {
            args.insert(SOURCE_DATE_EPOCH.to_owned(), epoch);
        }
        let mut contexts = self.contexts(stage_inputs, stage, builder)?;
        let folders = folders.iter();
        contexts.extend(folders.map(|(name, folder)| (name.clone(), folder.to_string())));
        Ok(action::build(&CallParts {
            spec: &work.spec,
            stage,
            program: match builder {
                Some(builder) => builder.remote.call("build"),
                None => action::program(work.engine.context()),
            },
            platform: builder.and_then(|_| self.builders.platform()),
            dockerfile: &stage_inputs.dockerfile,
            context,
            args: &args,
            labels: &labels,
            absent: secrets::absent(&work.spec, stage).collect(),
            contexts,
            destination,
            cache: self.cache_place(stage, builder),
            metadata: &own.join("metadata.json"),
        }))
    }

    /// Where BuildKit's cache of a stage is kept in the registry. Only a build that puts its image
    /// there, too, writes it. The docker driver with the classic store knows no such cache.
    fn cache_place(&self, stage: &Stage, builder: Option<&Other<'_>>) -> Option<CachePlace> {
        let sharing = self.work.spec.registry.as_ref()?;
        let mode = match sharing.cache {
            SharedCache::None => return None,
            SharedCache::Min => "min",
            SharedCache::Max => "max",
        };
        let is_classic =
            || builder.is_none() && self.work.engine.about().is_ok_and(|it| !it.containerd);
        if self.wishes.offline || is_classic() {
            return None;
        }
        let platform = match (stage.is_part(), stage.platforms.first()) {
            (false, Some(platform)) => format!("-{}", platform.replace('/', "-")),
            _ => String::new(),
        };
        let tag = format!("{}{platform}", stage.name.replace('@', "-"));
        Some(CachePlace {
            reference: format!("{}:{tag}", sharing.cache()),
            write: (stage.shipping.output == ImageOutput::Registry).then_some(mode),
        })
    }

    /// The folder that buildx is given: the stage's own context, or a folder in which the overlays
    /// lie over it.
    pub(super) fn laid_out(&self, id: StageId, stage_inputs: &StageInputs) -> Result<Utf8PathBuf> {
        let folder = &stage_inputs.context;
        if let [only] = folder.layers.folders.as_slice() {
            return Ok(only.clone());
        }
        let into = self.work.state.path("merged").join(self.name(id));
        let states = self.work.state.beside();
        contexts::materialise(&folder.layers, &folder.ignore, states, &into)
            .map_err(|error| Fault::failed(error.to_string()))?;
        Ok(into)
    }

    /// The folders of the named contexts that the stage uses.
    pub(super) fn folders(
        &self,
        id: StageId,
        stage_inputs: &StageInputs,
    ) -> Result<BTreeMap<String, Utf8PathBuf>> {
        let (work, stage) = (self.work, self.work.spec.stage(id));
        let mut folders = BTreeMap::new();
        for (name, given) in &stage.contexts {
            if let (Context::Folder(source, path), true) =
                (given, stage_inputs.folders.contains_key(name))
            {
                let tracer = Tracer::forgetful(&work.cache);
                let folder =
                    stage_inputs::folder_of_context(&work.spec, *source, path, name, &tracer)?;
                folders.insert(name.clone(), folder);
            }
        }
        Ok(folders)
    }

    /// The other named contexts: parents by their private reference, pinned bases by their digest.
    fn contexts(
        &self,
        stage_inputs: &StageInputs,
        stage: &Stage,
        builder: Option<&Other<'_>>,
    ) -> Result<BTreeMap<String, String>> {
        let mut contexts = BTreeMap::new();
        for base in &stage_inputs.reading.bases {
            if let Some(context) = self.external(&base.reference, stage, builder)? {
                contexts.insert(base.reference.clone(), context);
            }
        }
        for (name, reference) in &stage_inputs.images {
            let context = self.external(reference, stage, builder)?;
            let context = context.unwrap_or_else(|| format!("docker-image://{reference}"));
            contexts.insert(name.clone(), context);
        }
        let work = self.work;
        for (name, parent) in &stage_inputs.parents {
            let record = self.now().records.get(parent).cloned();
            let record =
                record.ok_or_else(|| Fault::failed("a stage that it stands on has no image"))?;
            let context = match (builder, record.place()) {
                (Some(builder), ImagePlace::Engine(reference)) => {
                    builder.lend(&reference, &record.image, None, work)?
                }
                (builder, _) => self.handed_over(*parent, &record, builder.is_some())?,
            };
            contexts.insert(name.clone(), context);
        }
        Ok(contexts)
    }

    /// What buildx takes for an external image, if it needs to be told: the pinned digest, or what
    /// the engine has. Another builder sees nothing of the engine's.
    fn external(
        &self,
        reference: &str,
        stage: &Stage,
        builder: Option<&Other<'_>>,
    ) -> Result<Option<String>> {
        let is_pinned = self.pin_of(reference).is_some();
        if let (false, Some(builder), Some(held)) = (is_pinned, builder, self.held.get(reference)) {
            let platform = stage.platforms.first().map(String::as_str);
            let platform = platform.or(self.builders.platform());
            let lent = builder.lend(reference, &held.id, platform, self.work)?;
            return Ok(Some(lent));
        }
        let exact = self.exact(reference)?;
        Ok(exact.map(|exact| format!("docker-image://{exact}")))
    }

    /// What buildx takes for the image of a parent. A layout that has the image serves before the
    /// registry does: it is nearer, and children of both outputs find the same steps in BuildKit's
    /// cache. Builders of an engine with the classic store know no layout.
    fn handed_over(&self, parent: StageId, record: &Record, is_elsewhere: bool) -> Result<String> {
        let work = self.work;
        let folder = work.layout.folder();
        let place = record.place();
        if matches!(place, ImagePlace::Engine(_)) {
            return Ok(place.context(folder));
        }
        let is_here = work
            .layout
            .size_of_image(&record.image)
            .ok()
            .flatten()
            .is_some();
        let is_classic = !is_elsewhere && work.engine.about().is_ok_and(|about| !about.containerd);
        Ok(match place {
            ImagePlace::Layout(_) if is_classic => {
                let brought = bring(work, parent, record)?;
                ImagePlace::Engine(brought.reference).context(folder)
            }
            ImagePlace::Registry(_) if is_here && !is_classic => {
                ImagePlace::Layout(record.image.clone()).context(folder)
            }
            place => place.context(folder),
        })
    }

    /// The argument that makes BuildKit take exactly the frontend that is in the key
    /// (docs.docker.com/build/buildkit/frontend, `BUILDKIT_SYNTAX`).
    fn frontend(&self, stage_inputs: &StageInputs) -> Result<Option<(String, String)>> {
        let Some(reference) = &stage_inputs.externals.frontend else {
            return Ok(None);
        };
        let exact = self.exact(reference)?;
        Ok(exact.map(|exact| ("BUILDKIT_SYNTAX".to_owned(), exact)))
    }

    /// Whether an image that only the engine has cannot be lent to another builder, for a build for
    /// `platform`: BuildKit takes a frontend from a registry or from the engine that it is in, and
    /// an image is lent for one platform.
    pub(super) fn cannot_be_lent(
        &self,
        stage_inputs: &StageInputs,
        platform: Option<&str>,
    ) -> bool {
        let externals = &stage_inputs.externals;
        let is_only_here = |it: &String| self.pin_of(it).is_none() && self.held.get(it).is_some();
        let is_other = |own: &String| reference::platform::normal(own).as_deref() != platform;
        let mut others = externals
            .takes
            .iter()
            .filter(|taken| taken.platforms.iter().any(is_other));
        externals.frontend.as_ref().is_some_and(is_only_here)
            || others.any(|taken| is_only_here(&taken.reference))
    }

    fn pin_of(&self, reference: &str) -> Option<String> {
        let lock = self.work.lock.lock().ok();
        lock.and_then(|lock| lock.digest(reference))
    }

    /// The exact name of an external image. If there is no pin, the engine's image gets this name
    /// now.
    fn exact(&self, reference: &str) -> Result<Option<String>> {
        let pin = self.pin_of(reference);
        let held = self.held.get(reference);
        let id = held.as_ref().map(|image| image.id.as_str());
        if let (None, Some(id)) = (&pin, id) {
            self.work.engine.tag(id, &private::base(id))?;
        }
        Ok(action::exact_base(reference, pin.as_deref(), id))
    }
}
