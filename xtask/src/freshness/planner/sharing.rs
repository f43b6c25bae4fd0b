//! Records of other machines, for stages that this one would have to build.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, Mutex};

use super::{Upstream, Workspace};
use crate::contexts::Tracer;
use crate::fault::{Fault, Result};
use crate::freshness::key::Key;
use crate::freshness::prepare::lending::{self, MadeByCommand};
use crate::freshness::prepare::{self, Fetched};
use crate::freshness::record::{Record, Volatile};
use crate::freshness::shared::outputs::SharedOutputs;
use crate::freshness::shared::signing::Signer;
use crate::freshness::shared::{OutputsAnswer, Shared, SharedAnswer, SharedRecord};
use crate::graphfile::spec::sharing::{Sharing, Trust};
use crate::graphfile::spec::shipping::ImageOutput;
use crate::graphfile::spec::{Parts, Stage, StageId};
use crate::outside::index::{Index, ManifestEntry, OciPlatform};
use crate::outside::place::ImagePlace;
use crate::unpoisoned::Unpoisoned as _;

/// What was asked about a host command, once it was. Locked while it is asked.
pub(super) type Asked = Arc<Mutex<Option<Option<Arc<SharedOutputs>>>>>;

impl Workspace {
    /// The key with which this machine signs records, if it has one.
    pub fn signer(&self) -> Result<Option<&Signer>> {
        if let Some(known) = self.signer.get() {
            return Ok(known.as_ref());
        }
        let new = Signer::of_environment()?;
        Ok(self.signer.get_or_init(|| new).as_ref())
    }

    /// The record that somebody shared of a stage's key, if its image is in the registry.
    pub(super) fn shared_record(
        &self,
        id: StageId,
        key: Key,
        upstream: &BTreeMap<StageId, Upstream>,
    ) -> Result<Option<Record>> {
        let stage = self.spec.stage(id);
        let Some(sharing) = self.spec.registry.as_ref().filter(|_| !self.is_offline()) else {
            return Ok(None);
        };
        if let Parts::Several(parts) = &stage.parts {
            return Ok(self.whole_of_shared(stage, parts, key, upstream));
        }
        if !self.may_read(sharing)? || !self.may_be_shared(stage) {
            return Ok(None);
        }
        if let Some(known) = self.shared.lock().unpoisoned().get(&key) {
            return Ok(known.clone());
        }
        if self.registry_fails.get().is_some() {
            return Ok(None);
        }
        let shared = Shared::new(sharing, self.registries()?, self.signer()?);
        let record = match shared.look_up(key, &stage.platforms) {
            Ok(SharedAnswer::Nothing) => None,
            Ok(SharedAnswer::Found(record)) => Some(*record),
            Ok(SharedAnswer::Refused(why)) => {
                self.warn(why);
                None
            }
            Err(fault) => {
                self.note_failing(&fault);
                None
            }
        };
        self.shared.lock().unpoisoned().insert(key, record.clone());
        Ok(record)
    }

    /// Whether the registry could not be asked in this run.
    pub(super) fn has_failing_registry(&self) -> bool {
        self.registry_fails.get().is_some()
    }

    pub(super) fn note_failing(&self, fault: &Fault) {
        // One note is enough, and one wait.
        if self.registry_fails.set(()).is_ok() {
            self.warn(format!(
                "shared records cannot be read, so what they would save is built here: {fault}"
            ));
        }
    }

    /// What somebody has shared of the outputs of the host command of `of`, to stand in for them when
    /// the stage `asking` is read.
    pub(super) fn lent(
        &self,
        of: StageId,
        asking: StageId,
        tracer: &Tracer<'_>,
    ) -> Result<Option<MadeByCommand>> {
        let stage = self.spec.stage(of);
        let Some((shared, _)) = self.shared_outputs(of, asking, tracer)? else {
            return Ok(None);
        };
        let place = lending::place(&self.spec, stage, &self.cache)?;
        let (Some(folder), Some(entries)) = (place, shared.inputs()) else {
            return Ok(None);
        };
        Ok(Some(MadeByCommand {
            folder,
            outputs: lending::outputs(stage),
            entries,
        }))
    }

    /// What somebody has shared of the host command of `of`, as it serves the stage `asking`, with the
    /// processor of the machine that made it.
    fn shared_outputs(
        &self,
        of: StageId,
        asking: StageId,
        tracer: &Tracer<'_>,
    ) -> Result<Option<(Arc<SharedOutputs>, &'static str)>> {
        let Some(sharing) = self.spec.registry.as_ref().filter(|_| !self.is_offline()) else {
            return Ok(None);
        };
        if !self.may_read(sharing)? {
            return Ok(None);
        }
        let stage = self.spec.stage(of);
        for processor in lending::processors(&self.spec.stage(asking).platforms) {
            let Some(question) = lending::question(&self.spec, stage, tracer, processor)? else {
                return Ok(None);
            };
            if let Some(found) = self.answer(sharing, stage, question)? {
                return Ok(Some((found, processor)));
            }
        }
        Ok(None)
    }

    /// What somebody has shared under a question about a stage's host command.
    fn answer(
        &self,
        sharing: &Sharing,
        stage: &Stage,
        question: String,
    ) -> Result<Option<Arc<SharedOutputs>>> {
        if self.registry_fails.get().is_some() {
            return Ok(None);
        }
        // The parts of a stage often ask the same at the same time.
        let known = Arc::clone(
            self.lent
                .lock()
                .unpoisoned()
                .entry(question.clone())
                .or_default(),
        );
        let mut known = known.lock().unpoisoned();
        if let Some(known) = known.as_ref() {
            return Ok(known.clone());
        }
        let shared = Shared::new(sharing, self.registries()?, self.signer()?);
        let found = match shared.outputs(&question, &lending::outputs(stage)) {
            Ok(OutputsAnswer::Nothing) => None,
            Ok(OutputsAnswer::Found(found)) => Some(Arc::from(found)),
            Ok(OutputsAnswer::Refused(why)) => {
                self.warn(why);
                None
            }
            Err(fault) => {
                self.note_failing(&fault);
                None
            }
        };
        *known = Some(found.clone());
        Ok(found)
    }

    /// Fetches what the host command of `of` would make for the stage `asking`, and puts it into its
    /// place. `None` if that cannot be had, so that the command must run.
    pub fn fetch_outputs(&self, of: StageId, asking: StageId) -> Result<Option<Fetched>> {
        let stage = self.spec.stage(of);
        let states = self.state.beside().as_std_path();
        let tracer = Tracer::forgetful(&self.cache).beside(states);
        let (Some(sharing), Some((outputs, processor)), Some(folder)) = (
            self.spec.registry.as_ref(),
            self.shared_outputs(of, asking, &tracer)?,
            lending::place(&self.spec, stage, &self.cache)?,
        ) else {
            return Ok(None);
        };
        let Some(entries) = outputs.inputs() else {
            return Ok(None);
        };
        let shared = Shared::new(sharing, self.registries()?, self.signer()?);
        let fetch = || {
            let fault = |error: std::io::Error| {
                Fault::lacks(format!("cannot put it into {folder}: {error}"))
            };
            let calls = self.state.call_folder().map_err(fault)?;
            let archive = calls.path().join("outputs");
            let mut file = File::create(&archive).map_err(fault)?;
            shared.fetch_outputs(&outputs, &mut file)?;
            let file = File::open(&archive).map_err(fault)?;
            let outputs_here = lending::outputs(stage);
            let scratch = calls.path().join("unpacked");
            outputs
                .unpack(
                    file,
                    scratch.as_std_path(),
                    folder.as_std_path(),
                    &outputs_here,
                )
                .map_err(fault)
        };
        match fetch() {
            Ok(()) => Ok(Some(Fetched {
                question: outputs.question().to_owned(),
                processor,
                entries,
            })),
            Err(fault) => {
                self.warn(format!(
                    "what the host command of `{}` made elsewhere cannot be fetched, so it runs here: {fault}",
                    stage.name
                ));
                Ok(None)
            }
        }
    }

    /// Shares what a stage's host command has made here, unless it is shared already.
    fn share_outputs(&self, sharing: &Sharing, stage: &Stage) -> Result<Option<String>> {
        let tracer = Tracer::forgetful(&self.cache).beside(self.state.beside().as_std_path());
        let here = std::env::consts::ARCH;
        let Some(question) = lending::question(&self.spec, stage, &tracer, here)? else {
            return Ok(None);
        };
        let shared = Shared::new(sharing, self.registries()?, self.signer()?);
        // What is there and would not be believed is replaced.
        let there = shared.outputs(&question, &lending::outputs(stage))?;
        if matches!(there, OutputsAnswer::Found(_)) {
            return Ok(None);
        }
        let fault =
            |error: std::io::Error| Fault::lacks(format!("cannot pack what it made: {error}"));
        let Some(made) = lending::made(&self.spec, stage, &self.cache)? else {
            return Ok(None);
        };
        let calls = self.state.call_folder().map_err(fault)?;
        let archive = calls.path().join("outputs");
        let packed = SharedOutputs::pack(
            question.clone(),
            made.folder.as_std_path(),
            &made.entries,
            archive.as_std_path(),
        );
        let Some(packed) = packed.map_err(fault)? else {
            return Ok(Some(format!(
                "what the host command of `{}` makes is not shared: it is more than files and folders",
                stage.name
            )));
        };
        // What was read and made must still be what the question and the list say.
        let again = lending::question(&self.spec, stage, &tracer, here)?;
        let still = lending::made(&self.spec, stage, &self.cache)?;
        if again.as_ref() != Some(&question)
            || still.is_none_or(|still| still.entries != made.entries)
            || prepare::must_run(&self.spec, stage, &self.state, &tracer)?.is_some()
        {
            return Ok(Some(format!(
                "what the host command of `{}` made is not shared: it changed meanwhile",
                stage.name
            )));
        }
        shared.put_outputs(&packed, archive.as_std_path())?;
        Ok(None)
    }

    /// Whether any record would be believed.
    fn may_read(&self, sharing: &Sharing) -> Result<bool> {
        let may = match &sharing.trust {
            Trust::Anybody => true,
            Trust::Keys(keys) => !keys.is_empty(),
            Trust::Own => self.signer()?.is_some(),
        };
        if !may {
            self.warn(format!(
                "records in {} are not read, as nobody is trusted: write `trust = [\"ed25519:…\"]` into `[registry]`",
                sharing.records()
            ));
        }
        Ok(may)
    }

    /// Only a stage that names its platforms is the same everywhere.
    fn may_be_shared(&self, stage: &Stage) -> bool {
        let names_one = stage.platforms.len() == 1;
        if !names_one {
            self.warn(format!(
                "`{}` names no platform, so its records are not shared: write `platforms = [\"linux/amd64\"]`, for it or in `[defaults]`",
                stage.name
            ));
        }
        names_one
    }

    /// The record of a stage all of whose parts are in the registry: its index follows from theirs,
    /// and a build puts it there if it is missing.
    fn whole_of_shared(
        &self,
        stage: &Stage,
        parts: &[StageId],
        key: Key,
        upstream: &BTreeMap<StageId, Upstream>,
    ) -> Option<Record> {
        let images = self.shared_images()?;
        let mut entries = Vec::new();
        let mut identities = Vec::new();
        let (mut size, mut ended_ms) = (0, 0);
        for part in parts {
            let Some(Upstream::Image(record)) = upstream.get(part) else {
                return None;
            };
            let platform = self.spec.stage(*part).platforms.first();
            let is_there = match (record.place(), stage.shipping.output) {
                (ImagePlace::Registry(_), _) => true,
                // It was fetched in this run.
                (ImagePlace::Layout(_), output) => output == ImageOutput::Oci,
                (ImagePlace::Engine(_), _) => false,
            };
            let manifest = record.manifest.as_ref().filter(|_| is_there)?;
            entries.push(ManifestEntry {
                platform: platform.map(|it| OciPlatform::of(it)),
                annotations: BTreeMap::new(),
                ..manifest.descriptor.clone()
            });
            identities.push(record.identity());
            size += record.size;
            ended_ms = ended_ms.max(record.ended_ms);
        }
        let digest = Index::of(&entries).digest;
        Some(Record {
            key,
            private: ImagePlace::Registry(format!("{images}@{digest}")).handle(),
            image: digest,
            references: stage.engine_references(),
            size,
            duration_ms: 0,
            ended_ms,
            volatile: Volatile::default(),
            manifest: None,
            parts: identities,
        })
    }

    /// Shares a record whose image is in the registry. What goes wrong is a note: the build itself
    /// is done.
    pub fn share(&self, id: StageId, record: &Record) {
        let stage = self.spec.stage(id);
        let Some(sharing) = &self.spec.registry else {
            return;
        };
        let Some(record) = SharedRecord::of(&stage.name, &stage.platforms, record) else {
            return;
        };
        let put = || {
            let shared = Shared::new(sharing, self.registries()?, self.signer()?);
            if let Some(why) = shared.obstacle() {
                return Ok(Some(why));
            }
            if stage.prepare.is_some()
                && let Some(why) = self.share_outputs(sharing, stage)?
            {
                return Ok(Some(why));
            }
            shared.put(&record).map(|()| None)
        };
        match put() {
            Ok(None) => {}
            Ok(Some(why)) => self.warn(why),
            Err(fault) => self.warn(format!(
                "the record of `{}` is not shared: {fault}",
                stage.name
            )),
        }
    }
}

/// A record as what children know of their parent.
pub fn known(record: &Record) -> Upstream {
    Upstream::Image(Arc::new(record.clone()))
}
