//! Where a build puts its image, and what it finds there afterwards.
//!
//! BuildKit writes an image for the registry into an OCI layout, and this program pushes it from
//! there. So both outputs give the same manifest, and a push can be repeated. The classic image
//! store has no OCI exporter: there the image goes into the engine first.

use std::collections::BTreeMap;

use camino::Utf8Path;
use serde::Deserialize;

use super::Run;
use super::builders::Other;
use crate::build::action::Destination;
use crate::build::executor::MadeImage;
use crate::fault::{Fault, Result};
use crate::freshness::key::Key;
use crate::freshness::record::RecordedManifest;
use crate::freshness::stage_inputs::StageInputs;
use crate::graphfile::spec::Stage;
use crate::graphfile::spec::shipping::ImageOutput;
use crate::outside::index::ManifestEntry;
use crate::outside::layout::Layout;
use crate::outside::place::ImagePlace;
use crate::outside::{archive, private, push};

/// The way that an image takes out of BuildKit.
pub(super) enum Put {
    /// Into the engine's store, under a private reference.
    Engine {
        /// The reference.
        private: String,
    },
    /// Into the OCI layout.
    Layout,
}

/// An image that was put where it belongs.
pub(super) struct PutImage {
    pub(super) image: String,
    pub(super) handle: String,
    /// In bytes.
    pub(super) size: u64,
    pub(super) platform: Option<String>,
    pub(super) manifest: Option<RecordedManifest>,
}

/// The layout that a single call writes to, in the call's own folder.
pub(super) fn call_layout(call: &Utf8Path) -> Layout {
    Layout::in_folder(call.join("oci"))
}

impl Run<'_> {
    /// The way that a stage's image takes out of BuildKit.
    pub(super) fn way_of(
        &self,
        stage: &Stage,
        private: &str,
        builder: Option<&Other<'_>>,
    ) -> Result<Put> {
        let engine = Put::Engine {
            private: private.to_owned(),
        };
        if stage.shipping.output == ImageOutput::Engine && builder.is_none() {
            return Ok(engine);
        }
        if stage.shipping.output == ImageOutput::Registry && self.wishes.offline {
            return Err(Fault::usage(format!(
                "`--offline` asks no registry, and the image of `{}` is put into one: choose another `output`, or build without `--offline`",
                stage.name
            )));
        }
        if builder.is_some() {
            // It has neither this machine's engine nor its logins.
            return Ok(Put::Layout);
        }
        let about = self.work.engine.about();
        if about.is_ok_and(|about| !about.containerd) {
            if stage.shipping.reproducible {
                return Err(Fault::lacks(format!(
                    "`{}` is to be reproducible, and BuildKit rewrites no times of files where the engine has its classic image store: \
                     turn on the containerd image store (`{}` says how), or remove `reproducible`",
                    stage.name,
                    self.work.spec.call.command("setup --check"),
                )));
            }
            return Ok(engine);
        }
        Ok(Put::Layout)
    }

    /// Where a call puts the image.
    pub(super) fn destination<'l>(
        &self,
        stage: &Stage,
        put: &Put,
        layout: &'l Layout,
    ) -> Result<Destination<'l>> {
        match put {
            Put::Engine { private } => Ok(Destination::Engine {
                references: stage
                    .engine_references()
                    .into_iter()
                    .chain([private.clone()])
                    .collect(),
                compression: stage.shipping.compression(),
            }),
            Put::Layout => {
                // BuildKit does not send what is there already, such as the layers of a parent.
                let lent = self.work.layout.lend(layout);
                lent.map_err(|error| cannot_write(&self.work.layout, &error))?;
                Ok(Destination::Layout {
                    folder: layout.folder(),
                    shipping: stage.shipping,
                })
            }
        }
    }

    /// Takes the image of a call into the layout of the state.
    pub(super) fn take_from(&self, layout: &Layout, made: &MadeImage) -> Result<()> {
        let manifest = made.manifest().ok_or_else(unnamed)?;
        let taken = self.work.layout.take(&manifest.descriptor.digest, layout);
        taken.map_err(|error| cannot_write(&self.work.layout, &error))
    }

    /// Puts the image of a call where it belongs. Says, too, whether nothing disturbed the build: the
    /// image is the one that buildx made, and the stages that it stands on still have the images
    /// that are in its key. A call of a killed build may go on and name its image at any time, and
    /// so may a build of another checkout.
    pub(super) fn put(
        &self,
        stage: &Stage,
        key: Key,
        stage_inputs: &StageInputs,
        put: &Put,
        made: &MadeImage,
    ) -> Result<(PutImage, bool)> {
        let mut expected = BTreeMap::new();
        {
            let now = self.now();
            for parent in stage_inputs.parents.values() {
                if let Some(record) = now.records.get(parent) {
                    expected.insert(record.private.clone(), record.image.clone());
                }
            }
        }
        let private = match put {
            Put::Engine { private } => Some(private.clone()),
            Put::Layout => None,
        };
        let asked: Vec<String> = expected.keys().cloned().chain(private).collect();
        let found = self.work.images(&asked)?;
        let held = |handle: &str| found.get(handle).cloned().flatten();
        let parents_stayed = expected
            .iter()
            .all(|(handle, image)| held(handle).is_some_and(|now| now.id == *image));
        let (put, is_own) = match put {
            Put::Layout => {
                let manifest = made.manifest().ok_or_else(unnamed)?;
                let put = match stage.shipping.output {
                    ImageOutput::Engine => self.load(stage, key, manifest)?,
                    ImageOutput::Registry | ImageOutput::Oci => {
                        self.settle(stage, key, manifest)?
                    }
                };
                (put, true)
            }
            Put::Engine { private } => {
                let Some(image) = held(private) else {
                    return Err(Fault::failed(format!(
                        "buildx succeeded, but the engine does not have {private}: is a builder other than the engine's own in use?"
                    )));
                };
                let is_own = made.is(&image.id);
                let put = if stage.shipping.output == ImageOutput::Engine {
                    PutImage {
                        image: image.id.clone(),
                        handle: private.clone(),
                        size: image.size,
                        platform: image.platform(),
                        manifest: made.manifest(),
                    }
                } else {
                    let exported =
                        archive::export(&self.work.engine, private, None, &self.work.layout)?;
                    let manifest = RecordedManifest {
                        descriptor: exported.descriptor,
                        config: exported.config,
                    };
                    // The name has served its purpose. If it stays, a later build removes it.
                    let _ = self.work.engine.untag(private);
                    self.settle(stage, key, manifest)?
                };
                (put, is_own)
            }
        };
        self.held.extend(found);
        Ok((put, parents_stayed && is_own))
    }

    /// The size of an image in the layout, which has all its blobs.
    fn size_in_layout(&self, digest: &str) -> Result<u64> {
        let layout = &self.work.layout;
        let size = layout.size_of_image(digest);
        let size = size.map_err(|error| cannot_read(layout, digest, &error))?;
        size.ok_or_else(|| {
            let _ = layout.discard_damaged(digest);
            Fault::failed(format!(
                "a blob of the image {digest} in {} was missing or damaged: run this once more, which writes it again",
                layout.folder()
            ))
        })
    }

    /// Loads an image of the layout, which another builder has made, into the engine, and gives it
    /// its names there.
    fn load(&self, stage: &Stage, key: Key, manifest: RecordedManifest) -> Result<PutImage> {
        let work = self.work;
        let fault = |error: std::io::Error| {
            let folder = work.state.path("calls");
            Fault::lacks(format!("cannot make a folder in {folder}: {error}"))
        };
        let state = work.state.id().map_err(fault)?;
        let private = private::reference(&state, &stage.name, &key.hex());
        let call = work.state.call_folder().map_err(fault)?;
        let file = call.path().join("image.tar");
        let digest = &manifest.descriptor.digest;
        self.size_in_layout(digest)?;
        archive::write(&work.layout, &[(digest, &private)], &file)?;
        if let Err(fault) = work.engine.load(&file) {
            // An engine may have named an image that it could not take whole.
            let _ = work.engine.untag(&private);
            return Err(fault);
        }
        let asked = [private.clone()];
        let found = work.images(&asked)?;
        let image = found.get(&private).cloned().flatten();
        // An engine names an image by its manifest or by its configuration.
        let image = image.filter(|it| it.id == *digest || it.id == manifest.config);
        let image = image.ok_or_else(|| {
            Fault::failed(format!(
                "the engine was given the image {digest} of `{}` and does not have it as {private}",
                stage.name
            ))
        })?;
        self.held.extend(found);
        for reference in &stage.engine_references() {
            self.tag(&private, reference)?;
        }
        Ok(PutImage {
            image: image.id.clone(),
            handle: private,
            size: image.size,
            platform: image.platform(),
            manifest: Some(manifest),
        })
    }

    /// An image in the layout, put where it belongs.
    fn settle(&self, stage: &Stage, key: Key, manifest: RecordedManifest) -> Result<PutImage> {
        let layout = &self.work.layout;
        let digest = manifest.descriptor.digest.clone();
        let config = layout.read(&manifest.config);
        let config = config.map_err(|error| cannot_read(layout, &manifest.config, &error))?;
        let size = self.size_in_layout(&digest)?;
        let handle = self.place_from_layout(stage, key, &manifest.descriptor)?;
        Ok(PutImage {
            image: digest,
            handle,
            size,
            platform: platform_of(&config),
            manifest: Some(manifest),
        })
    }

    /// The handle of an image, or index, in the layout, after it was pushed if it belongs into the
    /// registry.
    pub(super) fn place_from_layout(
        &self,
        stage: &Stage,
        key: Key,
        entry: &ManifestEntry,
    ) -> Result<String> {
        let (work, digest) = (self.work, &entry.digest);
        let place = match (stage.shipping.output, work.shared_images()) {
            (ImageOutput::Registry, Some(images)) => {
                let to = push::reference(&format!("{images}@{digest}"))?;
                push::push(work.registries()?, &work.layout, &to, entry)?;
                // Registries remove manifests that no tag names.
                let bytes = work.layout.read(digest);
                let bytes = bytes.map_err(|error| cannot_read(&work.layout, digest, &error))?;
                work.registries()?
                    .put_manifest(&to, &key.hex(), &entry.media_type, &bytes)?;
                ImagePlace::Registry(format!("{images}@{digest}"))
            }
            _ => ImagePlace::Layout(digest.clone()),
        };
        Ok(place.handle())
    }
}

fn unnamed() -> Fault {
    Fault::failed("buildx did not name the image that it made: update buildx to 0.13 or later")
}

fn cannot_write(layout: &Layout, error: &std::io::Error) -> Fault {
    let folder = layout.folder();
    Fault::lacks(format!("cannot write an image in {folder}: {error}"))
}

fn cannot_read(layout: &Layout, digest: &str, error: &std::io::Error) -> Fault {
    let folder = layout.folder();
    Fault::lacks(format!("cannot read {digest} in {folder}: {error}"))
}

/// The platform that an image's configuration says.
fn platform_of(config: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Config {
        os: String,
        architecture: String,
        #[serde(default)]
        variant: String,
    }
    let Config {
        os,
        architecture,
        variant,
    } = serde_json::from_slice(config).ok()?;
    reference::platform::normal(format!("{os}/{architecture}/{variant}").trim_end_matches('/'))
}
