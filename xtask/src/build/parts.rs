//! Assembles the image of a stage with several platforms from the images of its parts.
//!
//! The engine has the images of all parts. It is given an index that names them, which takes it a
//! fraction of a second (ENGINE.md, *Image stores*).

use std::time::Instant;

use super::Run;
use super::turn::Turn;
use crate::fault::{Fault, Result};
use crate::freshness::planner::{Assessment, Upstream};
use crate::freshness::record::{Record, Volatile};
use crate::graphfile::spec::{Parts, StageId};
use crate::outside::clock;
use crate::outside::index::{Index, ManifestEntry, OciPlatform};
use crate::outside::private;
use crate::report::event::Outcome;

impl Run<'_> {
    /// Refuses a stage of several platforms on an engine that cannot hold one.
    pub(super) fn refuse_without_index(&self, id: StageId) -> Result<()> {
        let (work, stage) = (self.work, self.work.spec.whole(id));
        if !stage.is_assembled() {
            return Ok(());
        }
        let about = work.engine.about();
        if about.is_ok_and(|about| !about.containerd) {
            return Err(Fault::lacks(format!(
                "`{}` is built for {}, and the engine's classic image store holds an image for one platform only: \
                 turn on the containerd image store (`{}` says how), or build one platform with `--platform`",
                stage.name,
                stage.platforms.join(", "),
                work.spec.call.command("setup --check"),
            )));
        }
        Ok(())
    }

    /// Assembles a stage from its parts, and records the image.
    pub(super) fn assemble(&self, id: StageId, assessment: Assessment) -> Result<Turn> {
        let (work, stage) = (self.work, self.work.spec.stage(id));
        let fault = |error: &dyn std::fmt::Display| {
            Fault::lacks(format!(
                "cannot write the index of `{}` in {}: {error}",
                stage.name,
                work.state.path("calls")
            ))
        };
        let key = assessment
            .key
            .ok_or_else(|| Fault::failed("a part of it has no image"))?;
        let state = work.state.id().map_err(|error| fault(&error))?;
        let private = private::reference(&state, &stage.name, &key.hex());
        let began = Instant::now();
        let index = Index::of(&self.manifests_of_parts(id)?);
        let calls = work.state.call_folder().map_err(|error| fault(&error))?;
        let archive = calls.path().join("index.tar");
        let bytes = index.archive(&private).map_err(|error| fault(&error))?;
        std::fs::write(&archive, bytes).map_err(|error| fault(&error))?;
        work.engine.load(&archive)?;
        let references = stage.references();
        for reference in &references {
            self.tag(&private, reference)?;
        }
        let asked = vec![private.clone()];
        let found = work.engine.images(&asked)?;
        let image = found.get(&private).cloned().flatten();
        let image = image.filter(|image| image.id == index.digest).ok_or_else(|| {
            Fault::failed(format!(
                "the engine was given the index {} as {private} and does not have it under that name",
                index.digest
            ))
        })?;
        self.held.extend(found);
        for platform in &stage.platforms {
            if work.engine.has_platform(&private, platform)? == Some(false) {
                return Err(Fault::failed(format!(
                    "its image was assembled for {}, but is not there for {platform}",
                    stage.platforms.join(", ")
                )));
            }
        }
        let record = Record {
            key,
            image: image.id.clone(),
            private,
            references,
            size: image.size,
            duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            ended_ms: u64::try_from(clock::now().as_millis()).unwrap_or(u64::MAX),
            volatile: Volatile::default(),
            manifest: None,
        };
        self.save(id, assessment.made_of, &record)?;
        Ok(Turn::good(Outcome::Built, record))
    }

    fn manifests_of_parts(&self, id: StageId) -> Result<Vec<ManifestEntry>> {
        let Parts::Several(parts) = &self.work.spec.stage(id).parts else {
            return Err(Fault::failed("it has no parts"));
        };
        let now = self.now();
        let descriptors = parts.iter().map(|part| {
            let stage = self.work.spec.stage(*part);
            let known = now.manifests.get(part).ok_or_else(|| {
                Fault::failed(format!(
                    "buildx did not name the manifest of `{}`: `{}` builds it again; if that does not help, update buildx",
                    stage.name,
                    self.work.spec.call.command(&format!("build --force={}", stage.name))
                ))
            })?;
            // The key of the stage has the image that the engine gave for the part.
            let in_key = Upstream::Image(known.descriptor.digest.clone());
            if now.upstream.get(part) != Some(&in_key) {
                return Err(Fault::failed(format!(
                    "the image of `{}` is not the one that buildx made, {}: another build named it meanwhile; run this once more",
                    stage.name, known.descriptor.digest
                )));
            }
            Ok(ManifestEntry {
                platform: stage.platforms.first().map(|it| OciPlatform::of(it)),
                ..known.descriptor.clone()
            })
        });
        descriptors.collect()
    }
}
