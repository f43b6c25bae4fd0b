//! Assembles the image of a stage with several platforms from the images of its parts.
//!
//! The engine has the images of all parts. It is given an index that names them, which takes it a
//! fraction of a second (ENGINE.md, *Image stores*).

use std::collections::BTreeMap;
use std::time::Instant;

use super::Run;
use super::bring::bring;
use super::turn::Turn;
use crate::fault::{Fault, Result};
use crate::freshness::key::{Ingredient, Key};
use crate::freshness::record::{Record, Volatile};
use crate::graphfile::spec::shipping::ImageOutput;
use crate::graphfile::spec::{Parts, StageId};
use crate::outside::archive;
use crate::outside::clock;
use crate::outside::index::{Index, ManifestEntry, OciPlatform};
use crate::outside::place::ImagePlace;
use crate::outside::private;
use crate::report::event::Outcome;

impl Run<'_> {
    /// Refuses a stage of several platforms on an engine that cannot hold one.
    pub(super) fn refuse_without_index(&self, id: StageId) -> Result<()> {
        let (work, stage) = (self.work, self.work.spec.whole(id));
        if !stage.is_assembled() {
            return Ok(());
        }
        if stage.shipping.output != ImageOutput::Engine {
            return Ok(());
        }
        let about = work.engine.about();
        if about.is_ok_and(|about| !about.containerd) {
            return Err(Fault::lacks(format!(
                "`{}` is built for {}, and the engine's classic image store holds an image for one platform only: \
                 turn on the containerd image store (`{}` says how), write `output = \"registry\"` or `output = \"oci\"`, or build one platform with `--platform`",
                stage.name,
                stage.platforms.join(", "),
                work.spec.call.command("setup --check"),
            )));
        }
        Ok(())
    }

    /// Assembles a stage from its parts, and records the image.
    pub(super) fn assemble(&self, id: StageId, key: Key, made_of: Vec<Ingredient>) -> Result<Turn> {
        let (work, stage) = (self.work, self.work.spec.stage(id));
        let fault = |error: &dyn std::fmt::Display| {
            Fault::lacks(format!(
                "cannot write the index of `{}` in {}: {error}",
                stage.name,
                work.layout.folder()
            ))
        };
        let began = Instant::now();
        let parts = self.manifests_of_parts(id)?;
        let index = Index::of(&parts.iter().map(|it| it.entry.clone()).collect::<Vec<_>>());
        let (private, size) = match stage.shipping.output {
            ImageOutput::Engine => {
                let state = work.state.id().map_err(|error| fault(&error))?;
                let private = private::reference(&state, &stage.name, &key.hex());
                let size = self.load_index(id, &index, &private)?;
                (private, size)
            }
            ImageOutput::Registry | ImageOutput::Oci => {
                work.layout.make().map_err(|error| fault(&error))?;
                work.layout
                    .add(&index.bytes)
                    .map_err(|error| fault(&error))?;
                let size = parts.iter().map(|part| part.size).sum();
                (self.place_from_layout(stage, key, &index.entry())?, size)
            }
        };
        let record = Record {
            key,
            image: index.digest.clone(),
            private,
            references: stage.engine_references(),
            size,
            duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            ended_ms: u64::try_from(clock::now().as_millis()).unwrap_or(u64::MAX),
            volatile: Volatile::default(),
            manifest: None,
            parts: parts.into_iter().map(|part| part.identity).collect(),
        };
        self.save(id, made_of, &record)?;
        Ok(Turn::good(Outcome::Built, record))
    }

    /// Loads an index into the engine, and gives its size there in bytes.
    fn load_index(&self, id: StageId, index: &Index, private: &str) -> Result<u64> {
        let (work, stage) = (self.work, self.work.spec.stage(id));
        let fault = |error: &dyn std::fmt::Display| {
            Fault::lacks(format!(
                "cannot write the index of `{}` in {}: {error}",
                stage.name,
                work.state.path("calls")
            ))
        };
        // The engine must have the images that the index names.
        for part in stage.upstream() {
            let record = self.now().records.get(&part).cloned();
            if let Some(record) = record.filter(|it| !matches!(it.place(), ImagePlace::Engine(_))) {
                bring(work, part, &record)?;
            }
        }
        let calls = work.state.call_folder().map_err(|error| fault(&error))?;
        let file = calls.path().join("index.tar");
        let bytes = archive::of_index(index, private).map_err(|error| fault(&error))?;
        std::fs::write(&file, bytes).map_err(|error| fault(&error))?;
        work.engine.load(&file)?;
        for reference in &stage.engine_references() {
            self.tag(private, reference)?;
        }
        let asked = vec![private.to_owned()];
        let found = work.images(&asked)?;
        let image = found.get(private).cloned().flatten();
        let image = image.filter(|image| image.id == index.digest).ok_or_else(|| {
            Fault::failed(format!(
                "the engine was given the index {} as {private} and does not have it under that name",
                index.digest
            ))
        })?;
        self.held.extend(found);
        for platform in &stage.platforms {
            if work.engine.has_platform(private, platform)? == Some(false) {
                return Err(Fault::failed(format!(
                    "its image was assembled for {}, but is not there for {platform}",
                    stage.platforms.join(", ")
                )));
            }
        }
        Ok(image.size)
    }

    fn manifests_of_parts(&self, id: StageId) -> Result<Vec<PartImage>> {
        let Parts::Several(parts) = &self.work.spec.stage(id).parts else {
            return Err(Fault::failed("it has no parts"));
        };
        let now = self.now();
        let parts = parts.iter().map(|part| {
            let stage = self.work.spec.stage(*part);
            let record = now.records.get(part);
            let record = record.ok_or_else(|| Fault::failed("a part of it has no image"))?;
            let known = record.manifest.as_ref().ok_or_else(|| {
                Fault::failed(format!(
                    "buildx did not name the manifest of `{}`: `{}` builds it again; if that does not help, update buildx",
                    stage.name,
                    self.work.spec.call.command(&format!("build --force={}", stage.name))
                ))
            })?;
            if record.image != known.descriptor.digest {
                return Err(Fault::failed(format!(
                    "the image of `{}` is not the one that buildx made, {}: another build named it meanwhile; run this once more",
                    stage.name, known.descriptor.digest
                )));
            }
            Ok(PartImage {
                entry: ManifestEntry {
                    platform: stage.platforms.first().map(|it| OciPlatform::of(it)),
                    annotations: BTreeMap::new(),
                    ..known.descriptor.clone()
                },
                identity: record.identity(),
                size: record.size,
            })
        });
        parts.collect()
    }
}

/// The image of a part.
struct PartImage {
    entry: ManifestEntry,
    identity: String,
    /// In bytes.
    size: u64,
}
