//! Where images may be, asked in one way: the engine's store, a registry, the OCI layout of the
//! state folder.

use std::sync::Arc;

use rayon::prelude::*;

use super::Workspace;
use crate::fault::{Class, Fault, Result};
use crate::freshness::pins;
use crate::freshness::record::Record;
use crate::graphfile::spec::Stage;
use crate::graphfile::spec::shipping::ImageOutput;
use crate::outside::engine::{Image, Images};
use crate::outside::place::ImagePlace;
use crate::unpoisoned::Unpoisoned as _;
use registry::{Effort, Registries};

impl Workspace {
    /// The images that these handles lead to. Handles without a scheme are references in the
    /// engine's store.
    pub fn images(&self, handles: &[String]) -> Result<Images> {
        let mut in_engine = Vec::new();
        let mut elsewhere = Vec::new();
        for handle in handles {
            match ImagePlace::of(handle) {
                ImagePlace::Engine(reference) => in_engine.push(reference),
                place => elsewhere.push((handle.clone(), place)),
            }
        }
        let mut images = if in_engine.is_empty() && !self.uses_engine() {
            Images::new()
        } else {
            self.images_in_engine(&in_engine)?
        };
        if !elsewhere.is_empty() {
            let ask = |(handle, place): &(String, ImagePlace)| {
                let image = self.image_elsewhere(place)?;
                Ok((handle.clone(), image.map(Arc::new)))
            };
            let found: Result<Vec<_>> = pins::at_once(|| elsewhere.par_iter().map(ask).collect());
            images.extend(found?);
        }
        Ok(images)
    }

    /// The repository of images in the shared registry.
    pub fn shared_images(&self) -> Option<String> {
        Some(self.spec.registry.as_ref()?.images())
    }

    /// The place where a stage's output wants its image, for people.
    pub fn wanted_place(&self, stage: &Stage) -> String {
        match (stage.shipping.output, self.shared_images()) {
            (ImageOutput::Registry, Some(images)) => format!("in {images}"),
            (ImageOutput::Oci, _) => format!("in {}", self.layout.folder()),
            _ => "in the engine".to_owned(),
        }
    }

    /// How well the place of a record's image serves a stage; `None` if it does not. An image in
    /// the registry serves an engine, too: what is asked for is pulled, not built.
    pub fn rank_of_place(&self, stage: &Stage, record: &Record) -> Option<u8> {
        match (record.place(), stage.shipping.output) {
            (ImagePlace::Engine(_), ImageOutput::Engine)
            | (ImagePlace::Layout(_), ImageOutput::Oci) => Some(0),
            (ImagePlace::Registry(reference), _) => {
                let shared = self.shared_images()?;
                let repository = reference.split_once('@').map(|it| it.0);
                (repository == Some(&*shared)).then_some(1)
            }
            _ => None,
        }
    }

    /// Whether any stage puts its image into the engine's store.
    fn uses_engine(&self) -> bool {
        let mut stages = self.spec.stages.iter();
        stages.any(|stage| stage.shipping.output == ImageOutput::Engine)
    }

    /// The images in the engine's store. A machine without an engine has none, if the graph shares
    /// records: those of others are enough for a plan.
    fn images_in_engine(&self, references: &[String]) -> Result<Images> {
        let none = || {
            let names = references.iter();
            names.map(|name| (name.clone(), None)).collect()
        };
        if self.no_engine.get().is_some() {
            return Ok(none());
        }
        match self.engine.images(references) {
            Err(fault) if fault.class == Class::Lacks && self.spec.registry.is_some() => {
                self.warn(format!("{fault}; only the registry counts now"));
                let _ = self.no_engine.set(fault);
                Ok(none())
            }
            answer => answer,
        }
    }

    /// Refuses to go on without the engine, if it did not answer.
    pub fn refuse_without_engine(&self) -> Result<()> {
        match self.no_engine.get() {
            Some(fault) => Err(fault.clone()),
            None => Ok(()),
        }
    }

    fn image_elsewhere(&self, place: &ImagePlace) -> Result<Option<Image>> {
        match place {
            ImagePlace::Engine(_) => Ok(None),
            // Nothing proves that it is there.
            ImagePlace::Registry(_) if self.is_offline() || self.has_failing_registry() => Ok(None),
            ImagePlace::Registry(reference) => {
                let Some(parsed) = reference::normalise(reference) else {
                    return Ok(None);
                };
                let Some(digest) = parsed.digest.clone() else {
                    return Ok(None);
                };
                let asked = self.registries()?;
                match asked.has_manifest(&parsed, &digest, Effort::Brief) {
                    Ok(there) => Ok(there.map(|digest| Image::elsewhere(digest, 0))),
                    Err(error) => {
                        // The stage can be built here.
                        self.note_failing(&error.into());
                        Ok(None)
                    }
                }
            }
            ImagePlace::Layout(digest) => {
                let size = self.layout.size_of_image(digest).map_err(|error| {
                    let folder = self.layout.folder();
                    Fault::lacks(format!(
                        "cannot read the image {digest} in {folder}: {error}; removing that folder costs time only"
                    ))
                })?;
                Ok(size.map(|size| Image::elsewhere(digest.clone(), size)))
            }
        }
    }

    /// The registries, as this machine reaches them. Their notices become warnings.
    pub fn registries(&self) -> Result<&Registries> {
        if let Some(known) = self.registries.get() {
            return Ok(known);
        }
        let warnings = Arc::clone(&self.warnings);
        let is_told_at_once = self.tells_notices.get().is_some();
        let notice = move |text: &str| {
            if is_told_at_once {
                crate::tell!("note: {text}");
            } else {
                warnings.lock().unpoisoned().push(text.to_owned());
            }
        };
        let new = pins::registries(notice)?;
        Ok(self.registries.get_or_init(|| new))
    }
}
