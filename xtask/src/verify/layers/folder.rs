//! OCI layouts as folders (opencontainers/image-spec, image-layout).
//!
//! Documents are read first, as they name the layers that are needed. Only layers that the caller
//! does not have are opened.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read as _};

use camino::Utf8Path;

use super::digest::Digest;
use super::error::Cause;
use super::image::{Blobs, Lists};
use super::limits::Limits;
use super::model::Manifest;
use super::shelf::{Blob, Shelf};

const BUFFER: usize = 256 << 10;

/// Takes the blobs of the images with these names.
pub(super) fn read(
    folder: &Utf8Path,
    limits: Limits,
    names: &[String],
    shelf: &mut Shelf<'_>,
) -> Result<(Lists, HashMap<String, Digest>), Cause> {
    let path = folder.join("index.json");
    let failed = |error| Cause::Source {
        why: format!("cannot read {path}: {error}"),
    };
    let mut index = Vec::new();
    let file = open(&path).map_err(failed)?;
    file.take(limits.document)
        .read_to_end(&mut index)
        .map_err(failed)?;
    let mut waiting = links(&index);
    let mut seen = HashSet::new();
    while let Some(digest) = waiting.pop() {
        if seen.insert(digest)
            && take(folder, digest, limits.document, shelf)?
            && let Some(Blob::Document(bytes)) = shelf.blobs.get(&digest)
        {
            waiting.extend(links(bytes));
        }
    }
    let lists = Lists {
        index: Some(index),
        saved: None,
    };
    let blobs = Blobs {
        limits,
        blobs: std::mem::take(&mut shelf.blobs),
        misnamed: HashMap::new(),
        layers: Vec::new(),
        names: HashMap::new(),
    };
    let needed = blobs.needed(&lists, names);
    shelf.blobs = blobs.blobs;
    for digest in needed {
        if !seen.insert(digest) {
            continue;
        }
        match shelf.known(&digest) {
            Some(layer) => drop(shelf.blobs.insert(digest, Blob::Known(layer))),
            None => drop(take(folder, digest, u64::MAX, shelf)?),
        }
    }
    Ok((lists, HashMap::new()))
}

/// The documents that a document names: manifests and configurations.
fn links(document: &[u8]) -> Vec<Digest> {
    let descriptors = match Manifest::read(document) {
        Ok(Manifest::Index(children)) => children,
        Ok(Manifest::Image { config, .. }) => vec![config],
        Err(_) => return Vec::new(),
    };
    let named = descriptors.iter().filter(|child| !child.is_attestation());
    named.filter_map(|child| child.digest().ok()).collect()
}

/// Takes a blob. `false` if there is none.
fn take(
    folder: &Utf8Path,
    digest: Digest,
    most: u64,
    shelf: &mut Shelf<'_>,
) -> Result<bool, Cause> {
    let path = folder.join("blobs/sha256").join(digest.hex());
    let failed = |error| Cause::Source {
        why: format!("cannot read {path}: {error}"),
    };
    let file = match open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    if file.metadata().map_err(failed)?.len() > most {
        shelf.blobs.insert(digest, Blob::TooLong);
        return Ok(true);
    }
    shelf.take(Some(digest), BufReader::with_capacity(BUFFER, file))?;
    Ok(true)
}

/// Opens a file. Anything else is an error, as opening a pipe could block.
fn open(path: &Utf8Path) -> std::io::Result<File> {
    if path.metadata()?.is_file() {
        File::open(path)
    } else {
        Err(std::io::Error::other("it is not a file"))
    }
}
