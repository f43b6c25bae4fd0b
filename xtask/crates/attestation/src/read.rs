//! Finds the attestations of an index, in both forms (BuildKit, attestation-storage).

use std::collections::BTreeMap;

use crate::error::{Error, Problem, ReadError, shown};
use crate::oci::{
    self, Descriptor, Entry, IN_TOTO, Index, MANIFEST_LIMIT, PREDICATE_TYPE, RawDescriptor,
    STATEMENT_LIMIT, TOTAL_LIMIT,
};
use crate::predicate::PredicateType;
use crate::statement::{self, Statement};

/// What is to be fetched: registries keep blobs and manifests apart (distribution spec, "Pull").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A manifest.
    Manifest,
    /// A blob.
    Blob,
}

/// Which statements are to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Pick {
    /// All.
    #[default]
    All,
    /// Those of some types. Others are not even fetched if an annotation tells their type.
    Only(Vec<PredicateType>),
}

/// How an index is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// The URI of the caller's own predicate type.
    pub own: Option<String>,
    /// Which statements are to be read.
    pub pick: Pick,
}

/// The attestations of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The platforms' manifests, in the order of the index, each once.
    pub images: Vec<Image>,
    /// Faults of attestations that belong to no manifest of the index.
    pub faults: Vec<Error>,
}

/// The manifest of a platform, and what is stated about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The manifest.
    pub descriptor: Descriptor,
    /// The platform in normal form. `None` if the index does not say it.
    pub platform: Option<String>,
    /// The statements that are intact and about no other image.
    pub statements: Vec<Statement>,
    /// What is wrong with other attestations of this manifest. They are not believed.
    pub faults: Vec<Error>,
}

/// Reads the attestations of an index. `fetch` gets a manifest or a blob; `None` says that there
/// is none. What it gets is checked against the digest. A fault in one attestation does not hide
/// the others; an error of `fetch` ends the reading.
pub fn read<E>(
    index: &[u8],
    question: &Question,
    mut fetch: impl FnMut(Part, &Descriptor) -> Result<Option<Vec<u8>>, E>,
) -> Result<Reading, ReadError<E>> {
    let Index { entries, .. } = oci::read_index(index)?;
    let mut reading = Reading {
        images: Vec::new(),
        faults: Vec::new(),
    };
    let mut places = BTreeMap::new();
    let mut attestations = Vec::new();
    for entry in entries {
        match entry {
            Entry::Image {
                descriptor,
                platform,
            } => {
                let next = reading.images.len();
                if *places.entry(descriptor.digest.clone()).or_insert(next) == next {
                    reading.images.push(Image {
                        descriptor,
                        platform,
                        statements: Vec::new(),
                        faults: Vec::new(),
                    });
                }
            }
            Entry::Attestation { descriptor, about } => attestations.push((descriptor, about)),
            Entry::Foreign => {}
        }
    }
    let mut left = TOTAL_LIMIT;
    for (descriptor, about) in attestations {
        let place = manifest_place(&descriptor);
        let bytes = match fetched(
            &place,
            Part::Manifest,
            &descriptor,
            MANIFEST_LIMIT,
            &mut fetch,
        ) {
            Ok(bytes) => Ok(bytes),
            Err(ReadError::Content(fault)) => Err(fault),
            Err(error @ ReadError::Fetch(_)) => return Err(error),
        };
        let manifest = bytes.and_then(|bytes| oci::read_manifest(&place, &bytes));
        // Only BuildKit's older form depends on the annotation.
        let about = match (&about, &manifest) {
            (None, Ok(manifest)) => manifest.subject.clone(),
            _ => about,
        };
        let Some(image) = about
            .as_ref()
            .and_then(|about| places.get(about))
            .and_then(|at| reading.images.get_mut(*at))
        else {
            let problem = match about {
                Some(about) => {
                    let about = shown(&about);
                    Problem::Unfit(format!("is about {about}, which the index does not have"))
                }
                None => Problem::NoSubject,
            };
            reading.faults.push(Error::new(place, problem));
            continue;
        };
        let manifest = match manifest {
            Ok(manifest) => manifest,
            Err(fault) => {
                image.faults.push(fault);
                continue;
            }
        };
        let wanted = &image.descriptor.digest;
        if let Some(subject) = manifest.subject.filter(|subject| subject != wanted) {
            let problem = Problem::OtherSubject {
                wanted: wanted.clone(),
                named: vec![subject],
            };
            image.faults.push(Error::new(place, problem));
            continue;
        }
        for (at, layer) in manifest.layers.iter().enumerate() {
            if !is_picked(layer, question) {
                continue;
            }
            let place = format!("layer {at} of {place}");
            match read_layer(&place, layer, wanted, &mut left, &mut fetch) {
                Ok((read, digest, bytes)) => image.statements.push(Statement {
                    predicate_type: PredicateType::of(&read.uri, question.own.as_deref()),
                    uri: read.uri,
                    subject: read.subject,
                    form: manifest.form,
                    manifest: descriptor.digest.clone(),
                    digest,
                    bytes,
                }),
                Err(ReadError::Content(fault)) => image.faults.push(fault),
                Err(error @ ReadError::Fetch(_)) => return Err(error),
            }
        }
        if let Pick::Only(types) = &question.pick {
            image
                .statements
                .retain(|statement| types.contains(&statement.predicate_type));
        }
    }
    Ok(reading)
}

pub(crate) fn manifest_place(descriptor: &Descriptor) -> String {
    format!("attestation manifest {}", descriptor.digest)
}

/// Whether a layer may hold a wanted statement. Unknown media types are to be ignored.
fn is_picked(layer: &RawDescriptor, question: &Question) -> bool {
    let Pick::Only(types) = &question.pick else {
        return layer.is(IN_TOTO);
    };
    let annotated = layer.annotation(PREDICATE_TYPE);
    layer.is(IN_TOTO)
        && annotated
            .is_none_or(|uri| types.contains(&PredicateType::of(uri, question.own.as_deref())))
}

/// Reads the statement of a layer, and what it says of itself.
fn read_layer<E>(
    place: &str,
    layer: &RawDescriptor,
    about: &str,
    left: &mut u64,
    fetch: impl FnMut(Part, &Descriptor) -> Result<Option<Vec<u8>>, E>,
) -> Result<(statement::Read, String, Vec<u8>), ReadError<E>> {
    let descriptor = layer.checked(place)?;
    if descriptor.size > *left && descriptor.size <= STATEMENT_LIMIT {
        let clause = format!("is too much: all statements together may have {TOTAL_LIMIT} bytes");
        return Err(Error::unfit(place, clause).into());
    }
    let bytes = fetched(place, Part::Blob, &descriptor, STATEMENT_LIMIT, fetch)?;
    *left = left.saturating_sub(descriptor.size);
    let read = statement::read(place, &bytes, about)?;
    if let Some(annotated) = layer
        .annotation(PREDICATE_TYPE)
        .filter(|uri| *uri != read.uri)
    {
        let problem = Problem::OtherType {
            annotated: shown(annotated),
            stated: shown(&read.uri),
        };
        return Err(Error::new(place, problem).into());
    }
    Ok((read, descriptor.digest, bytes))
}

/// Fetches something, and checks it.
pub(crate) fn fetched<E>(
    place: &str,
    part: Part,
    descriptor: &Descriptor,
    limit: u64,
    mut fetch: impl FnMut(Part, &Descriptor) -> Result<Option<Vec<u8>>, E>,
) -> Result<Vec<u8>, ReadError<E>> {
    oci::limit(place, descriptor.size, limit)?;
    let Some(bytes) = fetch(part, descriptor).map_err(ReadError::Fetch)? else {
        return Err(Error::new(place, Problem::Missing).into());
    };
    oci::verify(place, descriptor, &bytes)?;
    Ok(bytes)
}
