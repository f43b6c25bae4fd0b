//! Folders laid over each other.
//!
//! Knows how two trees become one: folders of the same name are merged, of anything else the
//! later layer's entry stands in place of the earlier one. Links are never followed. Is unaware
//! of what is ignored or needed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use camino::Utf8PathBuf;

use super::InputsError;

/// A context: the folder itself first, then its overlays, the last of which wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layers {
    /// Absolute, at least one.
    pub folders: Vec<Utf8PathBuf>,
}

/// One entry of the merged tree.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The layers that a folder is merged from, ascending; the one layer of anything else.
    pub layers: Vec<u16>,
    /// What the file system says of it; of a folder, in the last layer.
    pub meta: Metadata,
}

impl Entry {
    /// The layer that decides.
    pub fn layer(&self) -> u16 {
        self.layers.last().copied().unwrap_or(0)
    }

    fn cover(below: Option<Self>, layer: u16, meta: Metadata) -> Self {
        match below {
            Some(mut below) if below.meta.is_dir() && meta.is_dir() => {
                below.layers.push(layer);
                Self {
                    layers: below.layers,
                    meta,
                }
            }
            _ => Self {
                layers: vec![layer],
                meta,
            },
        }
    }
}

impl Layers {
    /// The numbers of all layers: those that the root is merged from.
    pub fn all(&self) -> Vec<u16> {
        (0..self.folders.len())
            .filter_map(|at| u16::try_from(at).ok())
            .collect()
    }

    /// Where an entry of a layer is.
    pub fn place(&self, layer: u16, path: &[u8]) -> PathBuf {
        let folder = self
            .folders
            .get(usize::from(layer))
            .map_or(Path::new(""), |folder| folder.as_std_path());
        if path.is_empty() {
            folder.to_owned()
        } else {
            folder.join(OsStr::from_bytes(path))
        }
    }

    /// The entries of a folder that is merged from `layers`, sorted by name.
    pub fn list(
        &self,
        layers: &[u16],
        folder: &[u8],
    ) -> Result<BTreeMap<Vec<u8>, Entry>, InputsError> {
        let mut entries: BTreeMap<Vec<u8>, Entry> = BTreeMap::new();
        for layer in layers {
            let place = self.place(*layer, folder);
            let unreadable = |error| InputsError::Unreadable(place.clone(), error);
            for entry in place.read_dir().map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                let name = entry.file_name().into_vec();
                let meta = entry
                    .metadata()
                    .map_err(|error| InputsError::Unreadable(entry.path(), error))?;
                let below = entries.remove(&name);
                entries.insert(name, Entry::cover(below, *layer, meta));
            }
        }
        Ok(entries)
    }

    /// One entry of a folder that is merged from `layers`.
    pub fn look(&self, layers: &[u16], path: &[u8]) -> Result<Option<Entry>, InputsError> {
        let mut found = None;
        for layer in layers {
            let place = self.place(*layer, path);
            match place.symlink_metadata() {
                Ok(meta) => found = Some(Entry::cover(found, *layer, meta)),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename
                    ) => {}
                Err(error) => return Err(InputsError::Unreadable(place, error)),
            }
        }
        Ok(found)
    }
}
