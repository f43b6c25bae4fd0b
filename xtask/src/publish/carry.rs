//! Carries content into a registry by digest: what is there already stays, what the same host has
//! elsewhere is mounted, and only the rest is sent.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Error, ErrorKind, Read};

use rayon::prelude::*;

use super::ContentOrigin;
use super::release::{Release, ReleasedImage};
use crate::fault::{Fault, Result};
use crate::freshness::pins;
use crate::freshness::planner::Workspace;
use crate::graphfile::spec::publishing::Target;
use crate::outside::index::ManifestEntry;
use crate::outside::layout::AnyManifest;
use crate::outside::push::{self, MANIFEST};
use reference::Reference;
use registry::{Effort, Mount, Registries};

/// How deep indexes may be nested.
const DEPTH: usize = 3;
/// The type of the artifact with a release.
const RELEASE: &str = "application/vnd.dify.xtask.release.v1+json";
/// The media type of the content of a configuration that has none.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// All that an image is made of.
#[derive(Default)]
struct Content {
    /// The media types and the bytes of the manifests, by digest: the top, those that it lists, and
    /// so on.
    manifests: Vec<BTreeMap<String, (String, Vec<u8>)>>,
    /// The blobs, by digest.
    blobs: BTreeMap<String, ManifestEntry>,
}

/// Carries content from one place to many.
pub struct Carrier<'w> {
    work: &'w Workspace,
    registries: &'w Registries,
    origin: &'w ContentOrigin,
}

impl<'w> Carrier<'w> {
    /// Content comes from `origin`.
    pub fn new(work: &'w Workspace, origin: &'w ContentOrigin) -> Result<Self> {
        Ok(Self {
            work,
            registries: work.registries()?,
            origin,
        })
    }

    /// Puts an image with all that belongs to it into the repository `to`, by digest.
    ///
    /// A blob that several platforms have is sent once. Two uploads of one blob at the same time
    /// are not only a waste: docker's registry 2.8 writes the link to a blob anew after each, and
    /// refuses a manifest (status 400, `DIGEST_INVALID`) if it reads the link in the middle of that.
    pub fn carry(&self, image: &ReleasedImage, to: &str) -> Result<()> {
        let from = self.sources(&image.image, to)?;
        let to = push::reference(to)?;
        let mut content = Content::default();
        // A release of earlier is often nowhere but where it goes.
        let with_itself: Vec<Reference> = from.iter().chain([&to]).cloned().collect();
        self.collect(&image.top, &with_itself, 0, &mut content)?;
        pins::at_once(|| {
            let blobs = content.blobs.par_iter();
            blobs
                .map(|(_, blob)| self.blob(&to, blob, &from))
                .collect::<Result<()>>()?;
            // A registry takes an index only when it has what the index lists.
            for manifests in content.manifests.iter().rev() {
                let manifests = manifests.par_iter();
                manifests
                    .map(|(digest, (media_type, bytes))| self.put(&to, digest, media_type, bytes))
                    .collect::<Result<()>>()?;
            }
            Ok(())
        })
    }

    /// The other repositories that may have the content of an image already.
    fn sources(&self, image: &str, to: &str) -> Result<Vec<Reference>> {
        let mut names = Vec::new();
        match self.origin {
            ContentOrigin::Itself => {}
            ContentOrigin::Target(target) => names.push(target.name_of(image)),
            ContentOrigin::Here => {
                names.extend(self.work.shared_images());
                if let Some(staging) = &self.work.spec.publishing.staging {
                    let staging = Target {
                        to: Some(staging.clone()),
                    };
                    names.push(staging.name_of(image));
                }
            }
        }
        names.retain(|name| name != to);
        names.iter().map(|name| push::reference(name)).collect()
    }

    /// Adds a manifest and all that is below it.
    fn collect(
        &self,
        entry: &ManifestEntry,
        from: &[Reference],
        depth: usize,
        content: &mut Content,
    ) -> Result<()> {
        if depth > DEPTH {
            return Err(Fault::failed(format!(
                "the index {} is nested too deeply",
                entry.digest
            )));
        }
        let bytes = self.manifest(&entry.digest, from)?;
        let manifest = AnyManifest::read(&bytes).map_err(|error| self.unread(&error))?;
        for below in &manifest.manifests {
            self.collect(below, from, depth + 1, content)?;
        }
        for blob in manifest.blobs() {
            content.blobs.insert(blob.digest.clone(), blob.clone());
        }
        if content.manifests.len() <= depth {
            content.manifests.resize_with(depth + 1, BTreeMap::new);
        }
        if let Some(level) = content.manifests.get_mut(depth) {
            level.insert(entry.digest.clone(), (entry.media_type.clone(), bytes));
        }
        Ok(())
    }

    fn put(&self, to: &Reference, digest: &str, media_type: &str, bytes: &[u8]) -> Result<()> {
        let there = self.registries.has_manifest(to, digest, Effort::Full)?;
        if there.as_deref() != Some(digest) {
            self.registries
                .put_manifest(to, digest, media_type, bytes)?;
        }
        Ok(())
    }

    fn unread(&self, error: &Error) -> Fault {
        let folder = self.work.layout.folder();
        Fault::lacks(format!(
            "cannot read what is to be published in {folder}: {error}"
        ))
    }

    /// The bytes of a manifest: from the layout, else from where it may be.
    fn manifest(&self, digest: &str, from: &[Reference]) -> Result<Vec<u8>> {
        match self.work.layout.read(digest) {
            Ok(bytes) => return Ok(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(self.unread(&error)),
        }
        for source in from {
            if let Some(body) = self.registries.manifest(source, digest, Effort::Full)? {
                return Ok(body.bytes);
            }
        }
        Err(self.nowhere(digest))
    }

    fn nowhere(&self, digest: &str) -> Fault {
        Fault::failed(format!(
            "{digest} is neither in {} nor in the registry that should have it: `{}` makes it again",
            self.work.layout.folder(),
            self.work.spec.call.command("build")
        ))
    }

    fn blob(&self, to: &Reference, blob: &ManifestEntry, from: &[Reference]) -> Result<()> {
        let digest = &blob.digest;
        if self.registries.has_blob(to, digest, Effort::Full)? {
            return Ok(());
        }
        let path = self
            .work
            .layout
            .blob(digest)
            .map_err(|error| self.unread(&error))?;
        for source in from.iter().filter(|source| source.registry == to.registry) {
            // A registry that cannot mount begins an upload, which is used below.
            if self.registries.has_blob(source, digest, Effort::Full)?
                && self.registries.mount_blob(to, digest, &source.repository)? == Mount::Mounted
            {
                return Ok(());
            }
        }
        if !path.exists() {
            self.fetch(blob, from)?;
        }
        let open = || -> std::io::Result<Box<dyn Read + Send>> {
            Ok(Box::new(push::Interruptible(File::open(&path)?)))
        };
        self.registries.upload_blob(to, digest, blob.size, &open)?;
        Ok(())
    }

    /// Fetches a blob into the layout.
    fn fetch(&self, blob: &ManifestEntry, from: &[Reference]) -> Result<()> {
        self.work
            .layout
            .make()
            .map_err(|error| super::attach::unwritten(self.work, &error))?;
        for source in from {
            if self
                .registries
                .has_blob(source, &blob.digest, Effort::Full)?
            {
                return push::fetch_blob(self.registries, &self.work.layout, source, &blob.digest);
            }
        }
        Err(self.nowhere(&blob.digest))
    }

    /// Attaches `release.json` to an image in a target, where it is found by the image's digest.
    pub fn attach_release(
        &self,
        release: &Release,
        image: &ReleasedImage,
        target: &Target,
    ) -> Result<()> {
        let to = push::reference(&target.name_of(&image.image))?;
        let json = release.json();
        let empty = b"{}".to_vec();
        for bytes in [&json, &empty] {
            let digest = crate::outside::index::digest(bytes);
            if !self.registries.has_blob(&to, &digest, Effort::Full)? {
                let open = || -> std::io::Result<Box<dyn Read + Send>> {
                    Ok(Box::new(std::io::Cursor::new(bytes.clone())))
                };
                self.registries
                    .upload_blob(&to, &digest, bytes.len() as u64, &open)?;
            }
        }
        let descriptor = |media_type: &str, bytes: &[u8]| {
            serde_json::json!({
                "mediaType": media_type,
                "digest": crate::outside::index::digest(bytes),
                "size": bytes.len(),
            })
        };
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": RELEASE,
            "config": descriptor(EMPTY, &empty),
            "layers": [descriptor(RELEASE, &json)],
            "subject": {
                "mediaType": image.top.media_type,
                "digest": image.top.digest,
                "size": image.top.size,
            },
        });
        let bytes = manifest.to_string().into_bytes();
        let digest = crate::outside::index::digest(&bytes);
        for tag in [of_release(release), release_tag(&image.top.digest)] {
            let there = self.registries.has_manifest(&to, &tag, Effort::Full)?;
            if there.as_deref() != Some(&digest) {
                self.registries.put_manifest(&to, &tag, MANIFEST, &bytes)?;
            }
        }
        Ok(())
    }

    /// Refuses a release unless a target has the very same `release.json` for every image, as a
    /// publish has left it.
    pub fn refuse_unpublished(&self, release: &Release, target: &Target) -> Result<()> {
        let json = crate::outside::index::digest(&release.json());
        for image in &release.images {
            let place = target.name_of(&image.image);
            let at = push::reference(&place)?;
            let tag = of_release(release);
            let body = self.registries.manifest(&at, &tag, Effort::Full)?;
            let manifest = body.and_then(|body| AnyManifest::read(&body.bytes).ok());
            let layer = manifest.and_then(|it| it.layers.into_iter().next());
            if layer.is_none_or(|layer| layer.digest != json) {
                return Err(Fault::failed(format!(
                    "{place} has no release {} as its file says it: only what `publish` has put there can be moved back or promoted",
                    release.name
                )));
            }
        }
        Ok(())
    }

    /// Refuses to go on unless every digest of an image answers in a target.
    pub fn refuse_incomplete(
        &self,
        name: &str,
        image: &ReleasedImage,
        target: &Target,
    ) -> Result<()> {
        let place = target.name_of(&image.image);
        let to = push::reference(&place)?;
        let platforms = image.platforms.iter().map(|it| &it.manifest);
        let all = platforms.chain(&image.attached).chain([&image.top.digest]);
        for digest in all {
            let there = self.registries.has_manifest(&to, digest, Effort::Full)?;
            if there.as_deref() != Some(digest) {
                return Err(Fault::failed(format!(
                    "{place} (target `{name}`) does not answer for {digest}, which was just pushed: no tag was moved; run this once more"
                )));
            }
        }
        Ok(())
    }
}

/// The tag of the artifact with a release, in the repository of each of its images.
fn of_release(release: &Release) -> String {
    format!("release-{}", release.name)
}

/// The tag under which a release is found by the digest of one of its images. Registries without
/// the referrers API have no other way (distribution-spec, *Referrers Tag Schema*).
pub fn release_tag(digest: &str) -> String {
    format!("{}.release", digest.replace(':', "-"))
}
