//! Reads the images of stages where they are: in the engine, in the registry or in the OCI layout.

use camino::Utf8Path;

use super::Target;
use crate::fault::{Fault, Result};
use crate::freshness::planner::Workspace;
use crate::outside::index::INDEX;
use crate::outside::place::ImagePlace;
use crate::outside::push;
use crate::verify::layers::{ContentRule, Digest, FoundImages, Layer, Limits, Reading};
use std::sync::Arc;

/// Reads the images of `targets`, in their order.
pub(super) fn read(
    work: &Workspace,
    targets: &[Target],
    rules: &mut [Box<dyn ContentRule>],
    known: &dyn Fn(&Digest) -> Option<Arc<Layer>>,
) -> Result<Vec<FoundImages>> {
    let mut in_engine = Vec::new();
    let mut in_layout = Vec::new();
    for target in targets {
        match &target.place {
            ImagePlace::Engine(reference) => in_engine.push(reference.clone()),
            ImagePlace::Layout(digest) => in_layout.push(digest.clone()),
            ImagePlace::Registry(reference) => {
                in_layout.push(push::fetch(work.registries()?, &work.layout, reference)?);
            }
        }
    }
    let mut of_engine = if in_engine.is_empty() {
        Vec::new()
    } else {
        let reading = Reading {
            limits: Limits::default(),
            rules: &mut *rules,
            known,
        };
        reading.engine(&work.engine, &in_engine)?
    }
    .into_iter();
    let mut of_layout = if in_layout.is_empty() {
        Vec::new()
    } else {
        let reading = Reading {
            limits: Limits::default(),
            rules,
            known,
        };
        from_layout(work, &in_layout, reading)?
    }
    .into_iter();
    let in_order = targets.iter().map(|target| match target.place {
        ImagePlace::Engine(_) => of_engine.next(),
        ImagePlace::Registry(_) | ImagePlace::Layout(_) => of_layout.next(),
    });
    Ok(in_order.flatten().collect())
}

/// Reads images of the state's layout. The layout itself lists none, so the reader gets a folder
/// that lists them and leads to the same blobs.
fn from_layout(
    work: &Workspace,
    digests: &[String],
    reading: Reading<'_>,
) -> Result<Vec<FoundImages>> {
    let fault = |error: &dyn std::fmt::Display| {
        let folder = work.layout.folder();
        Fault::lacks(format!("cannot read images in {folder}: {error}"))
    };
    let calls = work.state.call_folder().map_err(|error| fault(&error))?;
    let list = |digest: &String| {
        let bytes = work.layout.read(digest)?;
        let is_index = !work.layout.manifest(digest)?.manifests.is_empty();
        let media_type = if is_index { INDEX } else { push::MANIFEST };
        Ok(serde_json::json!({"mediaType": media_type, "digest": digest, "size": bytes.len()}))
    };
    let listed: std::io::Result<Vec<_>> = digests.iter().map(list).collect();
    let listed = listed.map_err(|error| fault(&error))?;
    let top = serde_json::json!({"schemaVersion": 2, "manifests": listed}).to_string();
    let folder: &Utf8Path = calls.path();
    std::fs::write(folder.join("index.json"), top).map_err(|error| fault(&error))?;
    let blobs = std::path::absolute(work.layout.folder().join("blobs"));
    let blobs = blobs.map_err(|error| fault(&error))?;
    std::os::unix::fs::symlink(blobs, folder.join("blobs")).map_err(|error| fault(&error))?;
    Ok(reading.folder(folder, digests))
}
