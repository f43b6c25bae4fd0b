//! Indexes, manifests and descriptors (opencontainers/image-spec 1.1: "Image Index",
//! "Image Manifest", "Content Descriptors"), as far as attestations need them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use reference::is_sha256;
use ring::digest::SHA256;
use serde::{Deserialize, Serialize};

use crate::bounded::{Few, Pairs};
use crate::error::{Error, Problem};

/// The media type of an index (OCI image-spec 1.1, "Image Index").
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The media type of a manifest (OCI image-spec 1.1, "Image Manifest").
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an image's configuration (OCI image-spec 1.1, "Image Configuration").
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The media type of the empty descriptor (OCI image-spec 1.1, "Guidance for an Empty Descriptor").
pub(crate) const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The media type of a layer that holds a statement (BuildKit, attestation-storage).
pub(crate) const IN_TOTO: &str = "application/vnd.in-toto+json";
/// The artifact type of an attestation manifest since BuildKit 0.32 (attestation-storage).
pub(crate) const ARTIFACT: &str = "application/vnd.docker.attestation.manifest.v1+json";
/// The annotation of a layer that says its predicate type (BuildKit, attestation-storage).
pub(crate) const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";
/// The annotation of an entry that says what it is (BuildKit, attestation-storage).
pub(crate) const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
/// The value of [`REFERENCE_TYPE`] of an attestation manifest. Any other value means that the
/// entry is to be ignored.
pub(crate) const ATTESTS: &str = "attestation-manifest";
/// The annotation of an entry that says which manifest it is about.
pub(crate) const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// The largest index or manifest in bytes: what the distribution spec asks registries to accept.
pub(crate) const MANIFEST_LIMIT: u64 = 4 << 20;
/// The largest statement in bytes. BuildKit takes predicates of up to 40 MiB.
pub(crate) const STATEMENT_LIMIT: u64 = 41 << 20;
/// The most bytes of statements that one reading takes.
pub(crate) const TOTAL_LIMIT: u64 = 256 << 20;
/// The most layers that one reading looks at.
pub(crate) const TOTAL_LAYERS: usize = 4096;
/// The most entries of an index.
pub(crate) const ENTRIES: usize = 1024;
/// The most layers of an attestation manifest.
pub(crate) const LAYERS: usize = 64;
/// The most annotations of an index.
const ANNOTATIONS: usize = 1024;

/// What identifies a blob or a manifest (OCI image-spec 1.1, "Content Descriptors").
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The media type of the content.
    pub media_type: String,
    /// The digest of the content, `sha256:…`.
    pub digest: String,
    /// The size of the content in bytes.
    pub size: u64,
}

/// Bytes to be stored or pushed under their digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// The media type.
    pub media_type: String,
    /// The digest of the bytes, `sha256:…`.
    pub digest: String,
    /// The content.
    pub bytes: Vec<u8>,
}

impl Blob {
    pub(crate) fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: digest(&bytes),
            bytes,
        }
    }

    /// The descriptor of the bytes.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor {
            media_type: self.media_type.clone(),
            digest: self.digest.clone(),
            size: self.bytes.len() as u64,
        }
    }
}

/// The digest of bytes (OCI image-spec 1.1, "Digests").
pub fn digest(bytes: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in ring::digest::digest(&SHA256, bytes).as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

pub(crate) type Annotations = BTreeMap<String, String>;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawDescriptor {
    media_type: String,
    digest: String,
    size: u64,
    annotations: Option<Annotations>,
    platform: Option<RawPlatform>,
}

#[derive(Debug, Clone, Deserialize)]
struct RawPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

impl RawDescriptor {
    pub(crate) fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(name).map(String::as_str)
    }

    pub(crate) fn is(&self, media_type: &str) -> bool {
        self.media_type == media_type
    }

    /// The descriptor, if its digest is one.
    pub(crate) fn checked(&self, place: &str) -> Result<Descriptor, Error> {
        if !is_sha256(&self.digest) {
            let text = crate::error::shown(&self.digest);
            return Err(Error::new(place, Problem::NoDigest(text)));
        }
        Ok(Descriptor {
            media_type: self.media_type.clone(),
            digest: self.digest.clone(),
            size: self.size,
        })
    }

    /// The platform in normal form.
    fn platform(&self) -> Option<String> {
        let RawPlatform {
            os,
            architecture,
            variant,
        } = self.platform.as_ref()?;
        let whole = match variant.as_deref() {
            None | Some("") => format!("{os}/{architecture}"),
            Some(variant) => format!("{os}/{architecture}/{variant}"),
        };
        reference::platform::normal(&whole)
    }

    fn is_of_no_platform(&self) -> bool {
        let unknown = |is: &RawPlatform| is.os == "unknown" && is.architecture == "unknown";
        self.platform.as_ref().is_some_and(unknown)
    }
}

/// What an entry of an index is.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    /// The manifest of a platform.
    Image {
        descriptor: Descriptor,
        platform: Option<String>,
    },
    /// An attestation manifest.
    Attestation {
        descriptor: Descriptor,
        /// The digest of the manifest that it is about, if an annotation says it.
        about: Option<String>,
    },
    /// Anything else that no container runs.
    Foreign,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawIndex {
    schema_version: u32,
    media_type: Option<String>,
    manifests: Few<RawDescriptor, ENTRIES>,
    #[serde(default)]
    annotations: Pairs<ANNOTATIONS>,
}

/// An index, read.
pub(crate) struct Index {
    pub media_type: Option<String>,
    pub entries: Vec<Entry>,
    /// The annotations in their order.
    pub annotations: Vec<(String, String)>,
}

/// Reads an index. Docker's older lists have the same fields.
pub(crate) fn read_index(bytes: &[u8]) -> Result<Index, Error> {
    limit("the index", bytes.len() as u64, MANIFEST_LIMIT)?;
    let raw: RawIndex =
        serde_json::from_slice(bytes).map_err(|error| Error::json("the index", &error))?;
    if raw.schema_version != 2 {
        let clause = format!("has schema {}, not 2", raw.schema_version);
        return Err(Error::unfit("the index", clause));
    }
    let entries = raw.manifests.0.iter().enumerate().map(|(at, raw)| {
        let descriptor = raw.checked(&format!("entry {at} of the index"))?;
        Ok(match raw.annotation(REFERENCE_TYPE) {
            Some(ATTESTS) => Entry::Attestation {
                descriptor,
                about: raw.annotation(REFERENCE_DIGEST).map(str::to_owned),
            },
            Some(_) => Entry::Foreign,
            None if raw.is_of_no_platform() => Entry::Foreign,
            None => Entry::Image {
                descriptor,
                platform: raw.platform(),
            },
        })
    });
    Ok(Index {
        media_type: raw.media_type,
        entries: entries.collect::<Result<_, Error>>()?,
        annotations: raw.annotations.0,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawManifest {
    schema_version: u32,
    artifact_type: Option<String>,
    layers: Few<RawDescriptor, LAYERS>,
    subject: Option<RawDescriptor>,
}

/// How an attestation manifest is stored (BuildKit, attestation-storage).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An image with a configuration of platform unknown/unknown: BuildKit up to 0.31, and later
    /// with `oci-artifact=false`.
    Image,
    /// An OCI artifact with a subject and the empty configuration: BuildKit since 0.32.
    Artifact,
}

/// An attestation manifest, read.
pub(crate) struct Manifest {
    pub form: Form,
    pub layers: Vec<RawDescriptor>,
    /// The digest in its field `subject`.
    pub subject: Option<String>,
}

/// Reads an attestation manifest.
pub(crate) fn read_manifest(place: &str, bytes: &[u8]) -> Result<Manifest, Error> {
    let raw: RawManifest =
        serde_json::from_slice(bytes).map_err(|error| Error::json(place, &error))?;
    if raw.schema_version != 2 {
        let clause = format!("has schema {}, not 2", raw.schema_version);
        return Err(Error::unfit(place, clause));
    }
    let form = match raw.artifact_type.as_deref() {
        None | Some("") => Form::Image,
        Some(ARTIFACT) => Form::Artifact,
        Some(other) => {
            let clause = format!("has the unknown type '{}'", crate::error::shown(other));
            return Err(Error::unfit(place, clause));
        }
    };
    let subject = match raw.subject {
        Some(subject) => Some(subject.checked(&format!("the subject of {place}"))?.digest),
        None => None,
    };
    if form == Form::Artifact && subject.is_none() {
        return Err(Error::new(place, Problem::NoSubject));
    }
    Ok(Manifest {
        form,
        layers: raw.layers.0,
        subject,
    })
}

/// Refuses what is larger than a limit.
pub(crate) fn limit(place: &str, size: u64, limit: u64) -> Result<(), Error> {
    if size > limit {
        return Err(Error::new(place, Problem::TooLarge { size, limit }));
    }
    Ok(())
}

/// Refuses bytes that are not those of the descriptor.
pub(crate) fn verify(place: &str, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() as u64 != descriptor.size || digest(bytes) != descriptor.digest {
        return Err(Error::new(place, Problem::Damaged));
    }
    Ok(())
}
