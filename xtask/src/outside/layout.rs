//! A folder of images in the OCI layout (github.com/opencontainers/image-spec, `image-layout.md`):
//! every blob is a file named by its digest.
//!
//! A blob gets its name by a rename, so a file of this name is whole. Images are found by digest
//! alone: `index.json` is there because the format wants it, and lists nothing.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Error, ErrorKind, Result};

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use super::index::{self, ManifestEntry};
use super::state;

/// How deep indexes may be nested.
const DEPTH: usize = 3;

/// A layout.
#[derive(Debug, Clone)]
pub struct Layout {
    folder: Utf8PathBuf,
}

/// A manifest: of an image, or of several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnyManifest {
    /// The configuration of an image.
    pub config: Option<ManifestEntry>,
    /// The layers of an image.
    #[serde(default)]
    pub layers: Vec<ManifestEntry>,
    /// The manifests of an index.
    #[serde(default)]
    pub manifests: Vec<ManifestEntry>,
}

impl AnyManifest {
    /// Reads the JSON.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|_| bad("a manifest is not readable"))
    }

    /// The blobs of an image: its configuration and its layers.
    pub fn blobs(&self) -> impl Iterator<Item = &ManifestEntry> {
        self.config.iter().chain(&self.layers)
    }
}

fn bad(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, why)
}

impl Layout {
    /// The layout in this folder, which need not exist.
    pub const fn in_folder(folder: Utf8PathBuf) -> Self {
        Self { folder }
    }

    /// Its folder.
    pub fn folder(&self) -> &Utf8Path {
        &self.folder
    }

    /// Makes the folder, if it is missing.
    pub fn make(&self) -> Result<()> {
        fs::create_dir_all(self.blobs_folder())?;
        for (name, content) in [
            ("oci-layout", &br#"{"imageLayoutVersion":"1.0.0"}"#[..]),
            ("index.json", &br#"{"schemaVersion":2,"manifests":[]}"#[..]),
        ] {
            let path = self.folder.join(name);
            if !path.exists() {
                state::write_atomically(&path, content)?;
            }
        }
        Ok(())
    }

    fn blobs_folder(&self) -> Utf8PathBuf {
        self.folder.join("blobs/sha256")
    }

    /// The file of a blob. Only a digest names a file.
    pub fn blob(&self, digest: &str) -> Result<Utf8PathBuf> {
        if !reference::is_sha256(digest) {
            return Err(bad("a digest is not a SHA-256 digest"));
        }
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        Ok(self.blobs_folder().join(hex))
    }

    /// Whether it has a blob of this size.
    fn has(&self, blob: &ManifestEntry) -> Result<bool> {
        match fs::metadata(self.blob(&blob.digest)?) {
            Ok(file) => Ok(file.is_file() && file.len() == blob.size),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The content of a small blob, checked against its digest.
    pub fn read(&self, digest: &str) -> Result<Vec<u8>> {
        let bytes = fs::read(self.blob(digest)?)?;
        if index::digest(&bytes) == digest {
            Ok(bytes)
        } else {
            Err(bad("a blob does not have the digest that names it"))
        }
    }

    /// The manifest with this digest.
    pub fn manifest(&self, digest: &str) -> Result<AnyManifest> {
        AnyManifest::read(&self.read(digest)?)
    }

    /// The size of an image, or of all images of an index, in bytes; `None` unless every blob is
    /// there.
    pub fn size_of_image(&self, digest: &str) -> Result<Option<u64>> {
        self.size_below(digest, 0)
    }

    fn size_below(&self, digest: &str, depth: usize) -> Result<Option<u64>> {
        if depth > DEPTH {
            return Err(bad("an index is nested too deeply"));
        }
        let manifest = match self.manifest(digest) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            manifest => manifest?,
        };
        let mut size = 0;
        for blob in manifest.blobs() {
            if !self.has(blob)? {
                return Ok(None);
            }
            size += blob.size;
        }
        for below in &manifest.manifests {
            match self.size_below(&below.digest, depth + 1)? {
                Some(more) => size += more,
                None => return Ok(None),
            }
        }
        Ok(Some(size))
    }

    /// Removes the blobs of an image that are not of the size that its manifest gives, and a manifest
    /// that is not readable. So they are written anew.
    pub fn discard_damaged(&self, digest: &str) -> Result<()> {
        let Ok(manifest) = self.manifest(digest) else {
            return fs::remove_file(self.blob(digest)?);
        };
        for blob in manifest.blobs() {
            let path = self.blob(&blob.digest)?;
            if !self.has(blob)? && path.exists() {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Adds a small blob, and gives its digest.
    pub fn add(&self, bytes: &[u8]) -> Result<String> {
        let digest = index::digest(bytes);
        state::write_atomically(&self.blob(&digest)?, bytes)?;
        Ok(digest)
    }

    /// Gives another layout all blobs of this one, as links to the same files. So a tool that fills
    /// the other one does not write them again.
    pub fn lend(&self, to: &Self) -> Result<()> {
        to.make()?;
        self.make()?;
        for entry in self.blobs_folder().read_dir_utf8()? {
            let entry = entry?;
            let link = to.blobs_folder().join(entry.file_name());
            match fs::hard_link(entry.path(), link) {
                Err(error)
                    if !matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) =>
                {
                    return Err(error);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes an image, with all its blobs, out of another layout.
    pub fn take(&self, digest: &str, from: &Self) -> Result<()> {
        self.make()?;
        for below in from.manifest(digest)?.blobs() {
            self.take_blob(&below.digest, from)?;
        }
        // The manifest comes last: where it is, the rest is.
        self.take_blob(digest, from)
    }

    fn take_blob(&self, digest: &str, from: &Self) -> Result<()> {
        let (old, new) = (from.blob(digest)?, self.blob(digest)?);
        let there = fs::metadata(&new).ok().map(|meta| meta.len());
        if there.is_some() && there == fs::metadata(&old).ok().map(|meta| meta.len()) {
            return Ok(());
        }
        fs::rename(old, new)
    }

    /// Removes all blobs but those of these images. Nothing else may use the layout meanwhile.
    pub fn keep_only(&self, images: &BTreeSet<String>) -> Result<()> {
        for (path, _) in self.others(images)? {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    /// The files of all blobs but those of these images, with their sizes in bytes.
    pub fn others(&self, images: &BTreeSet<String>) -> Result<Vec<(Utf8PathBuf, u64)>> {
        let entries = match self.blobs_folder().read_dir_utf8() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut kept = BTreeSet::new();
        for image in images {
            self.reach(image, 0, &mut kept);
        }
        let mut others = Vec::new();
        for entry in entries {
            let entry = entry?;
            if !kept.contains(entry.file_name()) {
                others.push((entry.path().to_owned(), entry.metadata()?.len()));
            }
        }
        Ok(others)
    }

    /// Adds the names of all blobs below a manifest. What cannot be read has none.
    fn reach(&self, digest: &str, depth: usize, kept: &mut BTreeSet<String>) {
        let name = |digest: &str| digest.strip_prefix("sha256:").map(str::to_owned);
        kept.extend(name(digest));
        if let (true, Ok(manifest)) = (depth <= DEPTH, self.manifest(digest)) {
            kept.extend(manifest.blobs().filter_map(|blob| name(&blob.digest)));
            for below in &manifest.manifests {
                self.reach(&below.digest, depth + 1, kept);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(layout: &Layout, bytes: &[u8]) -> serde_json::Value {
        let digest = layout.add(bytes).unwrap();
        serde_json::json!({"mediaType": "m", "digest": digest, "size": bytes.len()})
    }

    fn image(layout: &Layout, layers: &[&[u8]]) -> String {
        let layers: Vec<_> = layers.iter().map(|layer| entry(layout, layer)).collect();
        let manifest =
            serde_json::json!({"config": entry(layout, b"config"), "layers": layers}).to_string();
        layout.add(manifest.as_bytes()).unwrap()
    }

    fn layout(folder: &tempfile::TempDir, name: &str) -> Layout {
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let layout = Layout::in_folder(folder.join(name));
        layout.make().unwrap();
        layout
    }

    #[test]
    fn an_image_is_there_only_with_every_blob() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(&folder, "a");
        let one = image(&layout, &[b"layer"]);
        assert_eq!(layout.size_of_image(&one).unwrap(), Some(11));
        let other = index::digest(b"other");
        assert_eq!(layout.size_of_image(&other).unwrap(), None);
        let blob = layout.blob(&index::digest(b"layer")).unwrap();
        fs::write(&blob, b"cut").unwrap();
        assert_eq!(layout.size_of_image(&one).unwrap(), None);
        layout.discard_damaged(&one).unwrap();
        assert!(!blob.exists());
        fs::write(layout.blob(&one).unwrap(), b"{}").unwrap();
        assert!(layout.size_of_image(&one).is_err());
        assert!(layout.blob("sha256:../../x").is_err());
    }

    #[test]
    fn what_is_lent_is_taken_back_and_the_rest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (layout(&folder, "own"), layout(&folder, "other"));
        let old = image(&own, &[b"base", b"old"]);
        own.lend(&other).unwrap();
        let new = image(&other, &[b"base", b"new"]);
        own.take(&new, &other).unwrap();
        own.keep_only(&BTreeSet::from([new.clone()])).unwrap();
        assert_eq!(own.size_of_image(&new).unwrap(), Some(13));
        assert_eq!(own.size_of_image(&old).unwrap(), None);
        assert!(!own.blob(&index::digest(b"old")).unwrap().exists());
    }
}
