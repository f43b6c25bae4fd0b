//! Images on their way between an engine and an OCI layout, as archives.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;

use super::engine::Engine;
use super::index::{Digester, INDEX, Index, ManifestEntry, OciPlatform};
use super::interrupt;
use super::layout::{AnyManifest, Layout};
use super::push::{Interruptible, MANIFEST};
use super::state::{self, State};
use crate::fault::{Fault, Result};

/// How the media types of layers end that are compressed.
const COMPRESSED: [&str; 3] = ["gzip", "zstd", "+encrypted"];
/// The most bytes of a document, such as a manifest.
const DOCUMENT: u64 = 8 << 20;

/// An image that was taken out of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Its manifest.
    pub descriptor: ManifestEntry,
    /// The digest of its configuration.
    pub config: String,
}

/// The file that says under which digest an image of an engine was exported, by its identity.
pub fn export_note(state: &State, identity: &str) -> Utf8PathBuf {
    let name = identity.replace(':', "-");
    state.path("exports").join(name)
}

/// The manifest under which an image of an engine was exported before, by its identity.
pub fn exported_before(state: &State, identity: &str) -> Option<ManifestEntry> {
    let bytes = state::read(&export_note(state, identity)).ok()??;
    serde_json::from_slice(&bytes).ok()
}

/// Takes an image out of an engine into a layout. Layers that the engine does not compress are
/// compressed with gzip. The configuration, and so the identity of the image, stays as it is.
///
/// Of an index of several images, the one for `platform` is taken.
pub fn export(
    engine: &Engine,
    name: &str,
    platform: Option<&str>,
    layout: &Layout,
) -> Result<Exported> {
    taken_out(engine, name, layout, |own, listed| {
        let exported = compressed(own, listed, platform)?;
        Ok((exported.descriptor.digest.clone(), exported))
    })
}

/// Takes an image out of an engine into a layout, with its layers as they are, and gives the digest
/// of its manifest. Of an index of several images, the one for `platform` is taken.
pub fn export_as_it_is(
    engine: &Engine,
    name: &str,
    platform: Option<&str>,
    layout: &Layout,
) -> Result<String> {
    taken_out(engine, name, layout, |own, listed| {
        let (digest, _) = one_image(own, listed, platform)?;
        Ok((digest.clone(), digest))
    })
}

/// Takes an image out of an engine. `choose` gives the digest to keep of what the engine lists.
fn taken_out<T>(
    engine: &Engine,
    name: &str,
    layout: &Layout,
    choose: impl FnOnce(&Layout, &str) -> io::Result<(String, T)>,
) -> Result<T> {
    let fault = |error: io::Error| {
        if interrupt::is_wanted() {
            return Fault::interrupted();
        }
        Fault::lacks(format!(
            "cannot take {name} out of the engine into {}: {error}",
            layout.folder()
        ))
    };
    layout.make().map_err(fault)?;
    let scratch = tempfile::tempdir_in(layout.folder()).map_err(fault)?;
    let scratch = Utf8Path::from_path(scratch.path())
        .ok_or_else(|| fault(io::Error::other("its path is not UTF-8")))?;
    let own = Layout::in_folder(scratch.to_owned());
    own.make().map_err(fault)?;
    let body = engine.export(&[name.to_owned()])?;
    let listed = unpack(body, &own).map_err(fault)?;
    let (digest, chosen) = choose(&own, &listed).map_err(fault)?;
    layout.take(&digest, &own).map_err(fault)?;
    Ok(chosen)
}

/// Writes images of a layout, by digest and name, into an archive that every engine loads: one with
/// the containerd store reads `index.json`, one with the classic store `manifest.json`.
pub fn write(layout: &Layout, images: &[(&str, &str)], to: &Utf8Path) -> Result<()> {
    written(layout, images, to).map_err(|error| {
        let folder = layout.folder();
        let digests: Vec<&str> = images.iter().map(|(digest, _)| *digest).collect();
        Fault::lacks(format!(
            "cannot write {} of {folder} into {to}: {error}",
            digests.join(", ")
        ))
    })
}

fn written(layout: &Layout, images: &[(&str, &str)], to: &Utf8Path) -> io::Result<()> {
    fn add_all(
        layout: &Layout,
        digest: &str,
        archive: &mut tar::Builder<File>,
        added: &mut BTreeSet<String>,
    ) -> io::Result<AnyManifest> {
        let manifest = layout.manifest(digest)?;
        let blobs = manifest.blobs().map(|blob| blob.digest.as_str());
        for blob in blobs.chain([digest]) {
            if added.insert(blob.to_owned()) {
                let mut file = File::open(layout.blob(blob)?)?;
                archive.append_file(in_archive(blob), &mut file)?;
            }
        }
        for below in &manifest.manifests {
            add_all(layout, &below.digest, archive, added)?;
        }
        Ok(manifest)
    }
    let mut archive = tar::Builder::new(File::create(to)?);
    archive.mode(tar::HeaderMode::Deterministic);
    let (mut added, mut listed, mut saved) = (BTreeSet::new(), Vec::new(), Vec::new());
    for (digest, name) in images {
        let manifest = add_all(layout, digest, &mut archive, &mut added)?;
        let media_type = if manifest.manifests.is_empty() {
            MANIFEST
        } else {
            INDEX
        };
        listed.push((
            ManifestEntry {
                media_type: media_type.to_owned(),
                digest: (*digest).to_owned(),
                size: layout.read(digest)?.len() as u64,
                platform: None,
                annotations: BTreeMap::new(),
            },
            *name,
        ));
        if let Some(config) = &manifest.config {
            let layers = manifest.layers.iter();
            let layers = layers.map(|layer| in_archive(&layer.digest));
            saved.push(json!({
                "Config": in_archive(&config.digest),
                "RepoTags": [name],
                "Layers": layers.collect::<Vec<_>>(),
            }));
        }
    }
    list(&mut archive, &listed)?;
    if !saved.is_empty() {
        let saved = serde_json::Value::from(saved).to_string();
        add(&mut archive, "manifest.json", saved.as_bytes())?;
    }
    archive.into_inner()?.sync_data()
}

/// An archive that has an index alone, under a name. An engine that has its images takes it.
pub fn of_index(index: &Index, name: &str) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    list(&mut archive, &[(index.entry(), name)])?;
    add(&mut archive, &in_archive(&index.digest), &index.bytes)?;
    archive.into_inner()
}

/// Adds what says that an archive is an OCI layout, and which images it has under which names.
fn list(
    archive: &mut tar::Builder<impl Write>,
    images: &[(ManifestEntry, &str)],
) -> io::Result<()> {
    let entries = images.iter().map(|(entry, name)| {
        json!({
            "mediaType": entry.media_type,
            "digest": entry.digest,
            "size": entry.size,
            // The name that containerd gives the image.
            "annotations": { "io.containerd.image.name": name },
        })
    });
    let top = json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": entries.collect::<Vec<_>>(),
    });
    add(archive, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    add(archive, "index.json", top.to_string().as_bytes())
}

fn add(archive: &mut tar::Builder<impl Write>, path: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, path, bytes)
}

/// The path of a blob in an archive.
fn in_archive(digest: &str) -> String {
    digest.replacen("sha256:", "blobs/sha256/", 1)
}

/// Unpacks the blobs of an engine's archive into a layout, and gives the digest that the archive
/// lists.
fn unpack(archive: impl Read, into: &Layout) -> io::Result<String> {
    let mut archive = tar::Archive::new(archive);
    let mut top = None;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        if path == "index.json" {
            let mut bytes = Vec::new();
            (&mut entry).take(DOCUMENT).read_to_end(&mut bytes)?;
            top = Some(AnyManifest::read(&bytes)?);
        } else if let Some(hex) = path.strip_prefix("blobs/sha256/")
            && entry.header().entry_type().is_file()
        {
            let digest = format!("sha256:{hex}");
            let file = into.blob(&digest)?;
            let mut sink = Digester::new(File::create(file)?);
            io::copy(&mut entry, &mut sink)?;
            if sink.finish()?.0 != digest {
                return Err(bad("a blob does not have the digest that names it"));
            }
        }
    }
    let top = top.ok_or_else(|| bad("the engine lists no image: Docker 25 or later does"))?;
    let mut listed = top.manifests.into_iter();
    match (listed.next(), listed.next()) {
        (Some(one), None) => Ok(one.digest),
        _ => Err(bad("the engine does not list exactly one image")),
    }
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The one image, or the one for a platform, with the digest of its manifest.
fn one_image(
    layout: &Layout,
    digest: &str,
    platform: Option<&str>,
) -> io::Result<(String, AnyManifest)> {
    let manifest = layout.manifest(digest)?;
    if let [only] = manifest.manifests.as_slice() {
        return one_image(layout, &only.digest, platform);
    }
    let wanted = platform.and_then(reference::platform::normal);
    let is_wanted = |entry: &&ManifestEntry| {
        let own = entry.platform.as_ref().and_then(OciPlatform::normal);
        own.is_some() && own == wanted
    };
    if let Some(own) = manifest.manifests.iter().find(is_wanted) {
        return one_image(layout, &own.digest, platform);
    }
    Ok((digest.to_owned(), manifest))
}

/// The image for a platform with all its layers compressed.
fn compressed(layout: &Layout, digest: &str, platform: Option<&str>) -> io::Result<Exported> {
    let (_, manifest) = one_image(layout, digest, platform)?;
    let config = manifest
        .config
        .ok_or_else(|| bad("it is an index of several images"))?;
    let mut layers = Vec::new();
    for layer in manifest.layers {
        let is_compressed = COMPRESSED.iter().any(|end| layer.media_type.ends_with(end));
        layers.push(if is_compressed {
            ManifestEntry {
                media_type: oci(&layer.media_type),
                ..layer
            }
        } else {
            gzipped(layout, &layer)?
        });
    }
    let config = ManifestEntry {
        media_type: "application/vnd.oci.image.config.v1+json".to_owned(),
        ..config
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": layers,
    });
    let bytes = manifest.to_string().into_bytes();
    let digest = layout.add(&bytes)?;
    Ok(Exported {
        descriptor: ManifestEntry {
            media_type: MANIFEST.to_owned(),
            digest,
            size: bytes.len() as u64,
            platform: None,
            annotations: BTreeMap::new(),
        },
        config: config.digest,
    })
}

/// A media type of Docker's for a layer, as OCI has it.
fn oci(media_type: &str) -> String {
    match media_type {
        "application/vnd.docker.image.rootfs.diff.tar.gzip" => {
            "application/vnd.oci.image.layer.v1.tar+gzip".to_owned()
        }
        other => other.to_owned(),
    }
}

fn gzipped(layout: &Layout, layer: &ManifestEntry) -> io::Result<ManifestEntry> {
    let plain = layout.blob(&layer.digest)?;
    let temporary: Utf8PathBuf = plain.with_extension("gz");
    let sink = Digester::new(File::create(&temporary)?);
    let mut gzip = flate2::write::GzEncoder::new(sink, flate2::Compression::default());
    let mut source = Interruptible(BufReader::with_capacity(1 << 20, File::open(&plain)?));
    io::copy(&mut source, &mut gzip)?;
    let (digest, size) = gzip.finish()?.finish()?;
    std::fs::rename(&temporary, layout.blob(&digest)?)?;
    Ok(ManifestEntry {
        media_type: "application/vnd.oci.image.layer.v1.tar+gzip".to_owned(),
        digest,
        size,
        ..layer.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::index;

    #[test]
    fn an_archive_becomes_an_image_with_compressed_layers_and_the_same_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let layout = Layout::in_folder(folder.join("a"));
        layout.make().unwrap();
        let blob = |media_type: &str, bytes: &[u8]| json!({"mediaType": media_type, "digest": index::digest(bytes), "size": bytes.len()});
        let (plain, config) = (b"layer".repeat(100), b"{}".to_vec());
        let manifest = json!({
            "config": blob("c", &config),
            "layers": [
                blob("application/vnd.oci.image.layer.v1.tar", &plain),
                blob("application/vnd.docker.image.rootfs.diff.tar.gzip", b"z"),
            ],
        });
        let manifest = manifest.to_string().into_bytes();
        let top = json!({"manifests": [blob(MANIFEST, &manifest)]}).to_string();
        let archive = |blobs: &[&[u8]]| {
            let mut archive = tar::Builder::new(Vec::new());
            let mut add = |path: &str, bytes: &[u8]| {
                let mut header = tar::Header::new_ustar();
                header.set_size(bytes.len() as u64);
                header.set_entry_type(tar::EntryType::Regular);
                archive.append_data(&mut header, path, bytes).unwrap();
            };
            for bytes in blobs {
                let digest = index::digest(bytes);
                add(&digest.replace("sha256:", "blobs/sha256/"), bytes);
            }
            add("index.json", top.as_bytes());
            archive.into_inner().unwrap()
        };
        let whole = archive(&[&plain, b"z", &config, &manifest]);
        let listed = unpack(whole.as_slice(), &layout).unwrap();
        let image = compressed(&layout, &listed, None).unwrap();
        assert_eq!(image.config, index::digest(&config));
        let read = layout.manifest(&image.descriptor.digest).unwrap();
        assert!(
            read.layers
                .iter()
                .all(|it| it.media_type.ends_with("tar+gzip"))
        );
        assert!(
            layout
                .size_of_image(&image.descriptor.digest)
                .unwrap()
                .is_some()
        );
        // The same image again is the same manifest.
        assert_eq!(compressed(&layout, &listed, None).unwrap(), image);
        let mut damaged = archive(&[&plain]);
        let at = damaged
            .windows(5)
            .position(|bytes| bytes == b"layer")
            .unwrap();
        damaged[at] = b'L';
        assert!(unpack(damaged.as_slice(), &layout).is_err());
    }

    #[test]
    fn an_archive_of_an_index_has_it_alone() {
        let index = Index::of(&[]);
        let archive = of_index(&index, "localhost:1/x:1").unwrap();
        let mut archive = tar::Archive::new(archive.as_slice());
        let paths = archive.entries().unwrap().map(|entry| {
            let path = entry.unwrap().path().unwrap().into_owned();
            path.to_str().unwrap().to_owned()
        });
        let wanted = ["oci-layout", "index.json", &in_archive(&index.digest)];
        assert_eq!(paths.collect::<Vec<_>>(), wanted);
    }
}
