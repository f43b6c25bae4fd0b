//! Images, assembled from their blobs after all blobs were read.

use std::collections::HashMap;
use std::sync::Arc;

use super::digest::Digest;
use super::error::{Cause, Unread};
use super::layer::Layer;
use super::limits::Limits;
use super::model::{Descriptor, ImageFacts, Instruction, Manifest, Saved};
use super::shelf::Blob;

/// An image that was read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayeredImage {
    /// The digest of the manifest, if the source has one. The classic store makes up a manifest for
    /// the export, which differs from the one that a push would make.
    pub manifest: Option<Digest>,
    /// The digest of the configuration. In the classic store this is the image's id.
    pub config: Digest,
    /// The platform in the index that lists the image, if there is one and it names a platform.
    pub listed_platform: Option<String>,
    /// What the configuration says.
    pub facts: ImageFacts,
    /// The layers, lowest first.
    pub layers: Vec<Arc<Layer>>,
}

impl LayeredImage {
    /// The instruction that made a layer, if the history names it.
    pub fn instruction(&self, layer: usize) -> Option<&Instruction> {
        let number = *self.facts.instructions().get(layer)?;
        self.facts.history.get(number?)
    }
}

/// One platform of a named image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlatformPart {
    /// The image was read whole.
    Whole(Box<LayeredImage>),
    /// The image was not read whole.
    Unread(Unread),
    /// The index lists the platform, but the source has nothing of it.
    Absent {
        /// The platform as the index has it: `linux/arm64`.
        platform: String,
        /// The digest of the platform's manifest.
        manifest: Digest,
    },
}

/// All platforms of a named image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundImages {
    /// The name by which the image was asked for.
    pub name: String,
    /// The digest that the name has in the source: of an index or a manifest.
    pub digest: Option<Digest>,
    /// The platforms; at least one.
    pub parts: Vec<PlatformPart>,
}

impl FoundImages {
    pub(super) fn unread(name: &str, cause: Cause) -> Self {
        let unread = Unread {
            image: name.to_owned(),
            layer: None,
            cause,
        };
        Self {
            name: name.to_owned(),
            digest: None,
            parts: vec![PlatformPart::Unread(unread)],
        }
    }

    /// The images that were read whole.
    pub fn images(&self) -> impl Iterator<Item = &LayeredImage> {
        self.parts.iter().filter_map(|part| match part {
            PlatformPart::Whole(image) => Some(&**image),
            _ => None,
        })
    }

    /// Why platforms could not be read whole.
    pub fn faults(&self) -> impl Iterator<Item = &Unread> {
        self.parts.iter().filter_map(|part| match part {
            PlatformPart::Unread(unread) => Some(unread),
            _ => None,
        })
    }
}

/// Annotations with the name of an image: containerd's holds the whole name, OCI's a tag.
const NAMES: [&str; 2] = [
    "io.containerd.image.name",
    "org.opencontainers.image.ref.name",
];
/// How deep indexes may be nested.
const DEPTH: usize = 4;
/// How many manifests one name may have.
const MANIFESTS: usize = 500;

/// Everything that was read, ready to be assembled.
pub(super) struct Blobs {
    pub(super) limits: Limits,
    pub(super) blobs: HashMap<Digest, Blob>,
    pub(super) misnamed: HashMap<Digest, Digest>,
    /// The layers, in the order in which they were read.
    pub(super) layers: Vec<Result<Arc<Layer>, Cause>>,
    /// Digests of files by their names in the source.
    pub(super) names: HashMap<String, Digest>,
}

/// Where the images of a source are listed.
#[derive(Default)]
pub(super) struct Lists {
    /// `index.json`.
    pub(super) index: Option<Vec<u8>>,
    /// `manifest.json`.
    pub(super) saved: Option<Vec<u8>>,
}

/// An image as its source lists it.
enum Root {
    Oci(Descriptor),
    Saved(Saved),
}

impl Blobs {
    /// The images with these names, or all listed images if there are no names.
    pub(super) fn found(&self, lists: &Lists, wanted: &[String]) -> Vec<FoundImages> {
        let roots = match roots(lists) {
            Ok(roots) => roots,
            Err(cause) if wanted.is_empty() => {
                return vec![FoundImages::unread("of the source", cause)];
            }
            Err(cause) => {
                let all = wanted.iter();
                return all
                    .map(|name| FoundImages::unread(name, cause.clone()))
                    .collect();
            }
        };
        if wanted.is_empty() {
            return roots
                .iter()
                .map(|root| self.parts(&root.title(), root))
                .collect();
        }
        let find = |name: &String| {
            let root = roots.iter().find(|root| self.is_named(root, name));
            root.map_or_else(
                || FoundImages::unread(name, Cause::NoImage),
                |root| self.parts(name, root),
            )
        };
        wanted.iter().map(find).collect()
    }

    /// The digests of all layers that these images need, as far as the documents name them.
    pub(super) fn needed(&self, lists: &Lists, wanted: &[String]) -> Vec<Digest> {
        let mut needed = Vec::new();
        for root in roots(lists).unwrap_or_default() {
            if let Root::Oci(descriptor) = &root
                && (wanted.is_empty() || wanted.iter().any(|name| self.is_named(&root, name)))
            {
                self.needed_by(descriptor, 0, &mut needed);
            }
        }
        needed
    }

    fn needed_by(&self, descriptor: &Descriptor, depth: usize, needed: &mut Vec<Digest>) {
        if depth > DEPTH || needed.len() > MANIFESTS * self.limits.layers {
            return;
        }
        match self.manifest(descriptor) {
            Ok((_, Manifest::Index(children))) => {
                for child in children.iter().filter(|child| !child.is_attestation()) {
                    self.needed_by(child, depth + 1, needed);
                }
            }
            Ok((_, Manifest::Image { layers, .. })) => {
                needed.extend(layers.iter().filter_map(|layer| layer.digest().ok()));
            }
            Err(_) => {}
        }
    }

    fn is_named(&self, root: &Root, wanted: &str) -> bool {
        match root {
            Root::Oci(descriptor) => {
                let named = NAMES.iter().filter_map(|key| descriptor.annotation(key));
                let digest = wanted.rsplit_once('@').map_or(wanted, |(_, digest)| digest);
                let config = || match self.manifest(descriptor).ok()?.1 {
                    Manifest::Image { config, .. } => Some(config.digest),
                    Manifest::Index(_) => None,
                };
                let mut named = named.map(|name| name == wanted || normal(name) == normal(wanted));
                named.any(|is| is)
                    || descriptor.digest == digest
                    || digest.starts_with("sha256:") && config().as_deref() == Some(digest)
            }
            Root::Saved(saved) => {
                let mut tags = saved.repo_tags.iter();
                tags.any(|tag| normal(tag) == normal(wanted))
                    || self
                        .names
                        .get(&saved.config)
                        .is_some_and(|id| id.to_string() == wanted)
            }
        }
    }

    fn parts(&self, name: &str, root: &Root) -> FoundImages {
        let mut parts = Vec::new();
        let digest = match root {
            Root::Oci(descriptor) => {
                self.collect(name, descriptor, 0, &mut parts);
                descriptor.digest().ok()
            }
            Root::Saved(saved) => {
                parts.push(part(name, self.saved(saved)));
                None
            }
        };
        if parts
            .iter()
            .all(|part| matches!(part, PlatformPart::Absent { .. }))
        {
            let cause = Cause::document("its index", "has no image that is present");
            parts.push(part(name, Err((None, cause))));
        }
        FoundImages {
            name: name.to_owned(),
            digest,
            parts,
        }
    }

    fn collect(
        &self,
        name: &str,
        descriptor: &Descriptor,
        depth: usize,
        parts: &mut Vec<PlatformPart>,
    ) {
        let digest = match descriptor.digest() {
            Ok(digest) => digest,
            Err(why) => {
                let cause =
                    Cause::document("its index", format!("names a manifest wrongly: {why}"));
                return parts.push(part(name, Err((None, cause))));
            }
        };
        if depth > DEPTH || parts.len() >= MANIFESTS {
            let cause = Cause::TooMuch {
                what: "manifests",
                limit: MANIFESTS as u64,
            };
            return parts.push(part(name, Err((None, cause))));
        }
        let is_there = self.blobs.contains_key(&digest) || self.misnamed.contains_key(&digest);
        if depth > 0 && !is_there {
            let platform = descriptor.platform.as_ref();
            let platform =
                platform.map_or_else(|| "unknown".to_owned(), super::model::Platform::text);
            return parts.push(PlatformPart::Absent {
                platform,
                manifest: digest,
            });
        }
        match self.manifest(descriptor) {
            Err(cause) => parts.push(part(name, Err((None, cause)))),
            Ok((_, Manifest::Index(children))) => {
                for child in children.iter().filter(|child| !child.is_attestation()) {
                    self.collect(name, child, depth + 1, parts);
                }
            }
            Ok((digest, Manifest::Image { config, layers })) => {
                let image = self.image(&config, &layers).map(|image| LayeredImage {
                    manifest: Some(digest),
                    listed_platform: descriptor
                        .platform
                        .as_ref()
                        .map(super::model::Platform::text),
                    ..image
                });
                parts.push(part(name, image));
            }
        }
    }

    fn manifest(&self, descriptor: &Descriptor) -> Result<(Digest, Manifest), Cause> {
        let what = || format!("its manifest {}", descriptor.digest);
        let wrong = |why: String| Cause::document(what(), why);
        let digest = descriptor.digest().map_err(wrong)?;
        let bytes = self.document(digest, &what())?;
        Ok((digest, Manifest::read(bytes).map_err(wrong)?))
    }

    fn document(&self, digest: Digest, what: &str) -> Result<&[u8], Cause> {
        match self.blobs.get(&digest) {
            Some(Blob::Document(bytes)) => Ok(bytes),
            Some(Blob::TooLong) => Err(Cause::TooMuch {
                what: "bytes of a manifest or a configuration",
                limit: self.limits.document,
            }),
            Some(_) => Err(Cause::document(what, "is not a JSON document of its kind")),
            None if self.misnamed.contains_key(&digest) => Err(Cause::document(
                what,
                "has other bytes than its digest says",
            )),
            None => Err(Cause::document(what, "is absent")),
        }
    }

    fn image(&self, config: &Descriptor, layers: &[Descriptor]) -> Made {
        let wrong = |why: String| (None, Cause::document("its manifest", why));
        if layers.len() > self.limits.layers {
            let limit = self.limits.layers as u64;
            return Err((
                None,
                Cause::TooMuch {
                    what: "layers",
                    limit,
                },
            ));
        }
        let config = config.digest().map_err(wrong)?;
        let facts = self.facts(config)?;
        let mut read = Vec::with_capacity(layers.len());
        for descriptor in layers {
            let digest = descriptor.digest().map_err(wrong)?;
            let layer = self.described(descriptor, digest);
            read.push(layer.map_err(|cause| (Some(digest), cause))?);
        }
        whole(config, facts, read)
    }

    fn facts(&self, config: Digest) -> Result<ImageFacts, (Option<Digest>, Cause)> {
        let what = format!("its configuration {config}");
        let bytes = self
            .document(config, &what)
            .map_err(|cause| (None, cause))?;
        ImageFacts::read(bytes).map_err(|why| (None, Cause::document(what, why)))
    }

    fn described(&self, descriptor: &Descriptor, digest: Digest) -> Result<Arc<Layer>, Cause> {
        let media_type = &descriptor.media_type;
        if media_type.contains("+encrypted") {
            return Err(Cause::Encrypted {
                media_type: media_type.clone(),
            });
        }
        if !is_layer(media_type) {
            return Err(Cause::MediaType {
                media_type: media_type.clone(),
            });
        }
        match self.layer(digest) {
            Err(Cause::Absent) if !descriptor.urls.is_empty() || is_foreign(media_type) => {
                let url = descriptor.urls.first().cloned();
                let url = url.unwrap_or_else(|| "a place that it does not name".to_owned());
                Err(Cause::Foreign { url })
            }
            layer => layer,
        }
    }

    fn layer(&self, digest: Digest) -> Result<Arc<Layer>, Cause> {
        match self.blobs.get(&digest) {
            Some(Blob::Layer(number)) => self.layers[*number].clone(),
            Some(Blob::Known(layer)) => Ok(Arc::clone(layer)),
            Some(_) => Err(Cause::NoArchive),
            None => match self.misnamed.get(&digest) {
                Some(is) => Err(Cause::WrongDigest { is: *is }),
                None => Err(Cause::Absent),
            },
        }
    }

    /// An image of an engine before version 25, whose list names files instead of digests.
    fn saved(&self, saved: &Saved) -> Made {
        let absent = |what: &str| {
            (
                None,
                Cause::document(format!("its file {}", what.escape_debug()), "is absent"),
            )
        };
        let config = *self
            .names
            .get(&saved.config)
            .ok_or_else(|| absent(&saved.config))?;
        if saved.layers.len() > self.limits.layers {
            let limit = self.limits.layers as u64;
            return Err((
                None,
                Cause::TooMuch {
                    what: "layers",
                    limit,
                },
            ));
        }
        let facts = self.facts(config)?;
        let mut read = Vec::new();
        for (position, file) in saved.layers.iter().enumerate() {
            match self.names.get(file) {
                Some(digest) => {
                    read.push(
                        self.layer(*digest)
                            .map_err(|cause| (Some(*digest), cause))?,
                    );
                }
                None => return Err((facts.diff_ids.get(position).copied(), Cause::Absent)),
            }
        }
        whole(config, facts, read)
    }
}

/// An image, or what is wrong with it and in which layer.
type Made = Result<LayeredImage, (Option<Digest>, Cause)>;

fn whole(config: Digest, facts: ImageFacts, layers: Vec<Arc<Layer>>) -> Made {
    if facts.diff_ids.len() != layers.len() {
        let why = format!(
            "names {} layers, and its manifest {}",
            facts.diff_ids.len(),
            layers.len()
        );
        return Err((None, Cause::document("its configuration", why)));
    }
    for (layer, said) in layers.iter().zip(&facts.diff_ids) {
        if layer.diff_id != *said {
            let cause = Cause::WrongDiffId {
                said: *said,
                is: layer.diff_id,
            };
            return Err((Some(layer.digest), cause));
        }
    }
    Ok(LayeredImage {
        manifest: None,
        config,
        listed_platform: None,
        facts,
        layers,
    })
}

fn part(name: &str, made: Made) -> PlatformPart {
    match made {
        Ok(image) => PlatformPart::Whole(Box::new(image)),
        Err((layer, cause)) => PlatformPart::Unread(Unread {
            image: name.to_owned(),
            layer,
            cause,
        }),
    }
}

impl Root {
    /// A name for an image that was not asked for by name.
    fn title(&self) -> String {
        match self {
            Self::Oci(descriptor) => {
                let mut named = NAMES.iter().filter_map(|key| descriptor.annotation(key));
                named
                    .next()
                    .map_or_else(|| descriptor.digest.clone(), normal)
            }
            Self::Saved(saved) => saved.repo_tags.first().unwrap_or(&saved.config).clone(),
        }
    }
}

fn roots(lists: &Lists) -> Result<Vec<Root>, Cause> {
    if let Some(bytes) = &lists.index {
        return match Manifest::read(bytes) {
            Ok(Manifest::Index(roots)) => Ok(roots.into_iter().map(Root::Oci).collect()),
            Ok(Manifest::Image { .. }) => Err(Cause::document("index.json", "is not an index")),
            Err(why) => Err(Cause::document("index.json", why)),
        };
    }
    let Some(bytes) = &lists.saved else {
        return Err(Cause::document(
            "index.json",
            "is absent, and manifest.json too",
        ));
    };
    match Saved::read(bytes) {
        Ok(saved) => Ok(saved.into_iter().map(Root::Saved).collect()),
        Err(why) => Err(Cause::document("manifest.json", why)),
    }
}

/// A reference as the docker command shows it, with a tag.
fn normal(name: &str) -> String {
    let short = name
        .strip_prefix("docker.io/")
        .or_else(|| name.strip_prefix("index.docker.io/"));
    let short = short.unwrap_or(name);
    let short = short.strip_prefix("library/").unwrap_or(short);
    let last = short.rsplit('/').next().unwrap_or(short);
    if last.contains([':', '@']) {
        short.to_owned()
    } else {
        format!("{short}:latest")
    }
}

/// Whether engines unpack layers of this media type. The bytes tell how a layer is compressed.
fn is_layer(media_type: &str) -> bool {
    const KINDS: [&str; 4] = [
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
    ];
    const COMPRESSIONS: [&str; 5] = ["", "+gzip", "+zstd", ".gzip", ".zstd"];
    KINDS.iter().any(|kind| {
        media_type
            .strip_prefix(kind)
            .is_some_and(|rest| COMPRESSIONS.contains(&rest))
    })
}

fn is_foreign(media_type: &str) -> bool {
    media_type.contains(".nondistributable.") || media_type.contains(".foreign.")
}
