//! Makes attestation manifests (BuildKit, `exporter/containerimage/writer.go`; the order of the
//! fields is its order, so the same statements give the same digest).

use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{Error, Problem};
use crate::oci::{
    ARTIFACT, ATTESTS, Blob, CONFIG, Descriptor, EMPTY, Form, IN_TOTO, LAYERS, MANIFEST,
    MANIFEST_LIMIT, PREDICATE_TYPE, REFERENCE_DIGEST, REFERENCE_TYPE, limit,
};
use crate::statement::{self, Subject};

/// A statement to be attached.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// A predicate, of which a statement is made.
    Predicate {
        /// The name of the image in the statement. BuildKit writes a package URL, or `_`.
        subject: String,
        /// The URI of the predicate type.
        predicate_type: String,
        /// The predicate, an object.
        predicate: Value,
    },
    /// A whole statement. It must name the manifest that it is attached to.
    Whole(Vec<u8>),
}

/// An attestation manifest, with all that is to be pushed before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestation {
    /// The manifest.
    pub manifest: Blob,
    /// The configuration and the new statements. Statements that are kept from an earlier
    /// attestation manifest are not here: they are where they were.
    pub blobs: Vec<Blob>,
    /// The entry for an index, as JSON.
    pub entry: String,
}

/// A statement that is ready to become a layer.
pub(crate) struct Ready {
    pub uri: String,
    pub blob: Blob,
}

/// A layer of an attestation manifest.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Layer {
    /// A layer of an earlier manifest, with all its fields.
    Kept(Map<String, Value>),
    /// A layer of a new statement.
    New {
        #[serde(flatten)]
        descriptor: Descriptor,
        annotations: Map<String, Value>,
    },
}

impl Layer {
    fn digest(&self) -> &str {
        match self {
            Self::Kept(fields) => fields.get("digest").and_then(Value::as_str),
            Self::New { descriptor, .. } => Some(descriptor.digest.as_str()),
        }
        .unwrap_or_default()
    }
}

/// Makes an attestation manifest about a platform's manifest.
pub fn attestation_manifest(
    target: &Descriptor,
    claims: &[Claim],
    form: Form,
) -> Result<Attestation, Error> {
    assemble(target, Vec::new(), ready(target, claims)?, form)
}

/// Makes the statements about a manifest, and refuses those about another.
pub(crate) fn ready(target: &Descriptor, claims: &[Claim]) -> Result<Vec<Ready>, Error> {
    let about = &target.digest;
    let made = claims.iter().enumerate().map(|(at, claim)| {
        let place = format!("new statement {at} about {about}");
        let bytes = match claim {
            Claim::Predicate {
                subject,
                predicate_type,
                predicate,
            } => statement::statement(subject, about, predicate_type, predicate)?,
            Claim::Whole(bytes) => bytes.clone(),
        };
        let read = statement::read(&place, &bytes, about)?;
        match read.subject {
            Subject::Named => Ok(Ready {
                uri: read.uri,
                blob: Blob::new(IN_TOTO, bytes),
            }),
            Subject::Unnamed => Err(Error::new(place, Problem::NoSubject)),
        }
    });
    made.collect()
}

/// Puts layers together to an attestation manifest.
pub(crate) fn assemble(
    target: &Descriptor,
    kept: Vec<Map<String, Value>>,
    ready: Vec<Ready>,
    form: Form,
) -> Result<Attestation, Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Manifest<'a> {
        schema_version: u32,
        media_type: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        artifact_type: Option<&'a str>,
        config: Config,
        layers: &'a [Layer],
        #[serde(skip_serializing_if = "Option::is_none")]
        subject: Option<&'a Descriptor>,
    }
    #[derive(Serialize)]
    struct Config {
        #[serde(flatten)]
        descriptor: Descriptor,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'static str>,
    }
    let place = format!("the new attestation manifest about {}", target.digest);
    if !reference::is_sha256(&target.digest) {
        let text = crate::error::shown(&target.digest);
        return Err(Error::new(place, Problem::NoDigest(text)));
    }
    if kept.is_empty() && ready.is_empty() {
        return Err(Error::unfit(place, "has no statement"));
    }
    if kept.len() + ready.len() > LAYERS {
        return Err(Error::new(place, Problem::TooMany { limit: LAYERS }));
    }
    let new = ready.iter().map(|ready| Layer::New {
        descriptor: ready.blob.descriptor(),
        annotations: texts([(PREDICATE_TYPE, ready.uri.as_str())]),
    });
    let layers: Vec<Layer> = kept.into_iter().map(Layer::Kept).chain(new).collect();
    // The empty descriptor carries its content, `{}` (OCI image-spec 1.1, "Embedded Content").
    let (config, artifact_type, data, subject) = match form {
        Form::Image => (configuration(&place, &layers)?, None, None, None),
        Form::Artifact => {
            let empty = Blob::new(EMPTY, b"{}".to_vec());
            (empty, Some(ARTIFACT), Some("e30="), Some(target))
        }
    };
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST,
        artifact_type,
        config: Config {
            descriptor: config.descriptor(),
            data,
        },
        layers: &layers,
        subject,
    };
    let bytes =
        serde_json::to_vec_pretty(&manifest).map_err(|error| Error::json(&place, &error))?;
    limit(&place, bytes.len() as u64, MANIFEST_LIMIT)?;
    let manifest = Blob::new(MANIFEST, bytes);
    let entry = entry(&place, &manifest.descriptor(), &target.digest)?;
    let mut blobs = vec![config];
    blobs.extend(ready.into_iter().map(|ready| ready.blob));
    Ok(Attestation {
        manifest,
        blobs,
        entry,
    })
}

/// The configuration of [`Form::Image`]. It says nothing and is there for old tools.
fn configuration(place: &str, layers: &[Layer]) -> Result<Blob, Error> {
    let diffs: Vec<&str> = layers.iter().map(Layer::digest).collect();
    let config = serde_json::json!({
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": diffs },
    });
    let bytes = serde_json::to_vec(&config).map_err(|error| Error::json(place, &error))?;
    Ok(Blob::new(CONFIG, bytes))
}

/// The entry of an index for an attestation manifest. Its platform keeps runtimes from running it.
fn entry(place: &str, manifest: &Descriptor, about: &str) -> Result<String, Error> {
    #[derive(Serialize)]
    struct Entry<'a> {
        #[serde(flatten)]
        descriptor: &'a Descriptor,
        annotations: Map<String, Value>,
        platform: Map<String, Value>,
    }
    let entry = Entry {
        descriptor: manifest,
        annotations: texts([(REFERENCE_DIGEST, about), (REFERENCE_TYPE, ATTESTS)]),
        platform: texts([("architecture", "unknown"), ("os", "unknown")]),
    };
    serde_json::to_string_pretty(&entry).map_err(|error| Error::json(place, &error))
}

fn texts<const N: usize>(pairs: [(&str, &str); N]) -> Map<String, Value> {
    let pairs = pairs.into_iter();
    pairs
        .map(|(name, text)| (name.to_owned(), Value::from(text)))
        .collect()
}
