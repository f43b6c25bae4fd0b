//! The folders that BuildKit reads from.
//!
//! Knows how a context, the overlays over it and its ignore file come together. Is unaware of
//! Dockerfiles but for where they lie.

use camino::{Utf8Path, Utf8PathBuf};

use crate::dockerfile::ContextNeed;
use crate::fault::{Fault, Result};
use crate::inputs::{self, Ignore, Inputs, InputsError, Layers, StatCache};
use crate::source;
use crate::spec::{SourceId, Spec};

/// A folder that BuildKit reads from, with what lies over it and what it leaves out.
#[derive(Debug)]
pub struct Folder {
    /// The folder itself first, then the context overlays.
    pub layers: Layers,
    /// What is never sent.
    pub ignore: Ignore,
    /// What can change the image.
    pub inputs: Inputs,
    need: ContextNeed,
}

impl Folder {
    /// Reads the folder once more.
    pub fn collect_again(&self, cache: &StatCache) -> Result<Inputs, InputsError> {
        inputs::collect(&self.layers, &self.ignore, &self.need, cache)
    }
}

/// The folder behind a named context.
pub fn folder_of_context(
    spec: &Spec,
    source: Option<SourceId>,
    path: &Utf8Path,
    name: &str,
) -> Result<Utf8PathBuf> {
    let root = source::root(spec, source)?;
    folder_inside(&root, path, &format!("named context `{name}`"))
}

pub(super) fn folder_inside(root: &Utf8Path, path: &Utf8Path, what: &str) -> Result<Utf8PathBuf> {
    let folder = source::inside(root, path, what)?;
    if folder.is_dir() {
        Ok(folder)
    } else {
        Err(Fault::usage(format!("{what} {folder} is not a folder")))
    }
}

pub(super) fn read(path: &Utf8Path, what: &str) -> Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|error| Fault::usage(format!("cannot read the {what} {path}: {error}")))
}

/// `<Dockerfile>.dockerignore` replaces the context's own
/// (docs.docker.com/build/concepts/context, "Filename and location"); a context overlay may bring one.
pub(super) fn ignore_of(layers: &Layers, dockerfile: Option<&Utf8Path>) -> Result<Ignore> {
    let beside = dockerfile.and_then(|path| {
        let name = format!("{}.dockerignore", path.file_name()?);
        Some((path.parent()?, name))
    });
    let own = layers.folders.iter().rev();
    let own = own.map(|folder| (folder.as_path(), ".dockerignore".to_owned()));
    for (folder, name) in beside.into_iter().chain(own) {
        let path = folder.join(&name);
        let Ok(meta) = path.symlink_metadata() else {
            continue;
        };
        if meta.is_symlink() {
            // BuildKit sees this folder only: it would not ignore what a file elsewhere says.
            let target = path.read_link_utf8().unwrap_or_default();
            if target.is_absolute() {
                return Err(Fault::usage(format!(
                    "ignore file {path} is a link to {target}, which BuildKit cannot see: write its lines into a file there"
                )));
            }
            source::inside(folder, Utf8Path::new(&name), "ignore file")?;
        }
        if path.is_file() {
            let text = read(&path, "ignore file")?;
            return Ignore::parse(&text).map_err(|error| Fault::usage(format!("{path}: {error}")));
        }
    }
    Ok(Ignore::default())
}

pub(super) fn collect(
    layers: Layers,
    ignore: Ignore,
    need: ContextNeed,
    cache: &StatCache,
) -> Result<Folder> {
    let inputs = inputs::collect(&layers, &ignore, &need, cache)
        .map_err(|error| Fault::usage(error.to_string()))?;
    Ok(Folder {
        layers,
        ignore,
        inputs,
        need,
    })
}
