//! Finds the attestations of an index, in both forms (BuildKit, attestation-storage).

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Problem, ReadError, shown};
use crate::oci::{
    self, Descriptor, Entry, IN_TOTO, MANIFEST_LIMIT, Manifest, PREDICATE_TYPE, RawDescriptor,
    STATEMENT_LIMIT, TOTAL_LAYERS, TOTAL_LIMIT,
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
    fetch: impl FnMut(Part, &Descriptor) -> Result<Option<Vec<u8>>, E>,
) -> Result<Reading, ReadError<E>> {
    let (mut images, attestations) = sorted(oci::read_index(index)?.entries);
    let places: BTreeMap<String, usize> = images
        .iter()
        .enumerate()
        .map(|(at, image)| (image.descriptor.digest.clone(), at))
        .collect();
    let mut faults = Vec::new();
    let mut reader = Reader {
        question,
        fetch,
        bytes: TOTAL_LIMIT,
        layers: TOTAL_LAYERS,
    };
    for (descriptor, about) in attestations {
        let place = manifest_place(&descriptor);
        let manifest = apart(reader.manifest(&place, &descriptor))?;
        // Only BuildKit's older form depends on the annotation.
        let about = match (about, &manifest) {
            (None, Ok(manifest)) => manifest.subject.clone(),
            (about, _) => about,
        };
        let at = about.as_ref().and_then(|about| places.get(about));
        let Some(image) = at.and_then(|at| images.get_mut(*at)) else {
            let problem = match about {
                Some(about) => {
                    let about = shown(&about);
                    Problem::Unfit(format!("is about {about}, which the index does not have"))
                }
                None => Problem::NoSubject,
            };
            faults.push(Error::new(place, problem));
            continue;
        };
        match manifest.and_then(|manifest| agreed(&place, manifest, &image.descriptor)) {
            Ok(manifest) => reader.statements(image, &descriptor, &manifest)?,
            Err(fault) => image.faults.push(fault),
        }
    }
    Ok(Reading { images, faults })
}

/// The images of an index, and its attestation manifests with the digests that they are about;
/// each once.
fn sorted(entries: Vec<Entry>) -> (Vec<Image>, Vec<(Descriptor, Option<String>)>) {
    let (mut images, mut attestations) = (Vec::<Image>::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for entry in entries {
        match entry {
            Entry::Image {
                descriptor,
                platform,
            } => {
                if seen.insert(descriptor.digest.clone()) {
                    images.push(Image {
                        descriptor,
                        platform,
                        statements: Vec::new(),
                        faults: Vec::new(),
                    });
                }
            }
            Entry::Attestation { descriptor, about } => {
                let attestation = (descriptor, about);
                if !attestations.contains(&attestation) {
                    attestations.push(attestation);
                }
            }
            Entry::Foreign => {}
        }
    }
    (images, attestations)
}

/// Refuses an attestation manifest whose subject is another manifest than its entry says.
pub(crate) fn agreed(
    place: &str,
    manifest: Manifest,
    about: &Descriptor,
) -> Result<Manifest, Error> {
    match &manifest.subject {
        Some(subject) if *subject != about.digest => {
            let problem = Problem::OtherSubject {
                wanted: about.digest.clone(),
                named: vec![subject.clone()],
            };
            Err(Error::new(place, problem))
        }
        Some(_) | None => Ok(manifest),
    }
}

/// Parts a fault of the content from an error of the caller.
fn apart<T, E>(result: Result<T, ReadError<E>>) -> Result<Result<T, Error>, ReadError<E>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(ReadError::Content(fault)) => Ok(Err(fault)),
        Err(ReadError::Fetch(error)) => Err(ReadError::Fetch(error)),
    }
}

/// Fetches what one reading needs, up to a limit.
struct Reader<'a, F> {
    question: &'a Question,
    fetch: F,
    /// How many more bytes of statements it takes.
    bytes: u64,
    /// How many more layers it takes.
    layers: usize,
}

impl<E, F: FnMut(Part, &Descriptor) -> Result<Option<Vec<u8>>, E>> Reader<'_, F> {
    fn manifest(&mut self, place: &str, from: &Descriptor) -> Result<Manifest, ReadError<E>> {
        let bytes = fetched(place, Part::Manifest, from, MANIFEST_LIMIT, &mut self.fetch)?;
        Ok(oci::read_manifest(place, &bytes)?)
    }

    /// Adds the statements of an attestation manifest to its image.
    fn statements(
        &mut self,
        image: &mut Image,
        from: &Descriptor,
        manifest: &Manifest,
    ) -> Result<(), ReadError<E>> {
        for (at, layer) in manifest.layers.iter().enumerate() {
            // Unknown media types are to be ignored.
            let annotated = layer.annotation(PREDICATE_TYPE);
            if !layer.is(IN_TOTO) || annotated.is_some_and(|uri| !self.picks(&self.kind(uri))) {
                continue;
            }
            let place = format!("layer {at} of {}", manifest_place(from));
            match apart(self.layer(&place, layer, &image.descriptor.digest))? {
                Ok((read, digest, bytes)) => {
                    let predicate_type = self.kind(&read.uri);
                    if self.picks(&predicate_type) {
                        image.statements.push(Statement {
                            predicate_type,
                            uri: read.uri,
                            subject: read.subject,
                            form: manifest.form,
                            manifest: from.digest.clone(),
                            digest,
                            bytes,
                        });
                    }
                }
                Err(fault) => image.faults.push(fault),
            }
        }
        Ok(())
    }

    fn kind(&self, uri: &str) -> PredicateType {
        PredicateType::of(uri, self.question.own.as_deref())
    }

    fn picks(&self, kind: &PredicateType) -> bool {
        match &self.question.pick {
            Pick::All => true,
            Pick::Only(kinds) => kinds.contains(kind),
        }
    }

    /// Reads the statement of a layer: what it says of itself, its digest and its bytes.
    fn layer(
        &mut self,
        place: &str,
        layer: &RawDescriptor,
        about: &str,
    ) -> Result<(statement::Read, String, Vec<u8>), ReadError<E>> {
        let too_much = |limit: String| {
            let clause = format!("is too much: all attestations together may have {limit}");
            Error::unfit(place, clause)
        };
        let descriptor = layer.checked(place)?;
        let layers = self.layers.checked_sub(1);
        self.layers = layers.ok_or_else(|| too_much(format!("{TOTAL_LAYERS} layers")))?;
        oci::limit(place, descriptor.size, STATEMENT_LIMIT)?;
        let bytes = self.bytes.checked_sub(descriptor.size);
        self.bytes = bytes.ok_or_else(|| too_much(format!("{TOTAL_LIMIT} bytes")))?;
        let fetch = &mut self.fetch;
        let bytes = fetched(place, Part::Blob, &descriptor, STATEMENT_LIMIT, fetch)?;
        let read = statement::read(place, &bytes, about)?;
        let annotated = layer.annotation(PREDICATE_TYPE);
        if let Some(annotated) = annotated.filter(|uri| *uri != read.uri) {
            let problem = Problem::OtherType {
                annotated: shown(annotated),
                stated: shown(&read.uri),
            };
            return Err(Error::new(place, problem).into());
        }
        Ok((read, descriptor.digest, bytes))
    }
}

pub(crate) fn manifest_place(descriptor: &Descriptor) -> String {
    format!("attestation manifest {}", descriptor.digest)
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
