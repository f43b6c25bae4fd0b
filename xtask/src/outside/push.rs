//! Images on their way between an OCI layout and a registry.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, Mutex};

use rayon::prelude::*;

use super::index::ManifestEntry;
use super::interrupt;
use super::layout::{AnyManifest, Layout};
use crate::fault::{Fault, Result};
use crate::unpoisoned::Unpoisoned as _;
use reference::Reference;
use registry::{Effort, Registries};

/// The media type of an image's manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Reads `host/path@sha256:…`.
pub fn reference(text: &str) -> Result<Reference> {
    reference::normalise(text).ok_or_else(|| {
        Fault::usage(format!(
            "`{}` is not the reference of an image: write it like HOST/NAME:TAG",
            text.escape_debug()
        ))
    })
}

/// Puts an image of a layout into a registry under its digest: first what is missing of its blobs,
/// then the manifest. The images of an index must be there already.
pub fn push(
    registries: &Registries,
    layout: &Layout,
    to: &Reference,
    entry: &ManifestEntry,
) -> Result<()> {
    let unread = |error: io::Error| {
        let folder = layout.folder();
        Fault::lacks(format!("cannot read {} in {folder}: {error}", entry.digest))
    };
    let bytes = layout.read(&entry.digest).map_err(unread)?;
    let manifest = AnyManifest::read(&bytes).map_err(unread)?;
    let blobs: Vec<&ManifestEntry> = manifest.blobs().collect();
    let one = |blob: &&ManifestEntry| push_blob(registries, layout, to, blob);
    blobs.par_iter().map(one).collect::<Result<()>>()?;
    registries.put_manifest(to, &entry.digest, &entry.media_type, &bytes)?;
    Ok(())
}

/// Blobs that this process uploads now. Stages beside each other often share layers, and two
/// uploads of one blob into one repository disturb each other.
static UPLOADS: Mutex<BTreeMap<String, Arc<Mutex<()>>>> = Mutex::new(BTreeMap::new());

fn push_blob(
    registries: &Registries,
    layout: &Layout,
    to: &Reference,
    blob: &ManifestEntry,
) -> Result<()> {
    let name = format!("{}/{} {}", to.registry, to.repository, blob.digest);
    let upload = Arc::clone(UPLOADS.lock().unpoisoned().entry(name).or_default());
    let _turn = upload.lock().unpoisoned();
    if registries.has_blob(to, &blob.digest, Effort::Full)? {
        return Ok(());
    }
    let path = layout.blob(&blob.digest).map_err(|error| {
        let folder = layout.folder();
        Fault::lacks(format!("cannot read {} in {folder}: {error}", blob.digest))
    })?;
    let open = || -> io::Result<Box<dyn Read + Send>> {
        let file = File::open(&path)?;
        Ok(Box::new(Interruptible(file)))
    };
    registries.upload_blob(to, &blob.digest, blob.size, &open)?;
    Ok(())
}

/// Fetches an image, or all images of an index, from a registry into a layout, unless they are
/// there. Layers that are `known` are left out. Gives the digest.
pub fn fetch(
    registries: &Registries,
    layout: &Layout,
    image: &str,
    known: &(dyn Fn(&str) -> bool + Sync),
) -> Result<String> {
    let from = reference(image)?;
    let digest = from.digest.clone().unwrap_or_default();
    let fault = |error: io::Error| {
        let folder = layout.folder();
        Fault::lacks(format!("cannot keep {image} in {folder}: {error}"))
    };
    layout.make().map_err(fault)?;
    if layout.size_of_image(&digest).map_err(fault)?.is_none() {
        fetch_below(registries, layout, &from, &digest, known, 0)?;
    }
    Ok(digest)
}

fn fetch_below(
    registries: &Registries,
    layout: &Layout,
    from: &Reference,
    digest: &str,
    known: &(dyn Fn(&str) -> bool + Sync),
    depth: usize,
) -> Result<()> {
    let fault = |error: io::Error| {
        let folder = layout.folder();
        Fault::lacks(format!("cannot keep {digest} in {folder}: {error}"))
    };
    let missing = || {
        let (registry, path) = (&from.registry, &from.repository);
        Fault::failed(format!("{registry} has no {digest} in `{path}`"))
    };
    if depth > 3 {
        return Err(Fault::failed(format!(
            "the index {digest} is nested too deeply"
        )));
    }
    let body = registries.manifest(from, digest, Effort::Full)?;
    let body = body.ok_or_else(missing)?;
    let manifest = AnyManifest::read(&body.bytes).map_err(fault)?;
    for below in &manifest.manifests {
        fetch_below(registries, layout, from, &below.digest, known, depth + 1)?;
    }
    let layers = manifest.layers.iter();
    let unknown = layers.filter(|layer| !known(&layer.digest));
    let blobs: Vec<&ManifestEntry> = manifest.config.iter().chain(unknown).collect();
    let one = |blob: &&ManifestEntry| fetch_blob(registries, layout, from, &blob.digest);
    blobs.par_iter().map(one).collect::<Result<()>>()?;
    // The manifest comes last: where it is, the rest is.
    layout.add(&body.bytes).map_err(fault)?;
    Ok(())
}

/// Fetches a blob into a layout, unless it is there.
pub fn fetch_blob(
    registries: &Registries,
    layout: &Layout,
    from: &Reference,
    digest: &str,
) -> Result<()> {
    let fault = |error: io::Error| {
        let folder = layout.folder();
        Fault::lacks(format!("cannot keep {digest} in {folder}: {error}"))
    };
    let path = layout.blob(digest).map_err(fault)?;
    if path.exists() {
        return Ok(());
    }
    // The name comes with the rename, so a file of this name is whole.
    let temporary = tempfile::NamedTempFile::new_in(layout.folder()).map_err(fault)?;
    registries.read_blob(from, digest, &mut temporary.as_file())?;
    temporary
        .persist(&path)
        .map_err(|error| fault(error.error))?;
    Ok(())
}

/// A source whose reads end when the user wants to stop.
pub struct Interruptible<R>(pub R);

impl<R: Read> Read for Interruptible<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if interrupt::is_wanted() {
            return Err(io::Error::other("interrupted"));
        }
        self.0.read(buffer)
    }
}
