//! Adds attestations to an index. The entries of all images stay as they are, byte for byte.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::bounded::Few;
use crate::error::{Error, ReadError, shown};
use crate::oci::{
    self, Blob, Descriptor, Entry, Form, IN_TOTO, INDEX, LAYERS, MANIFEST_LIMIT, PREDICATE_TYPE,
    STATEMENT_LIMIT, limit,
};
use crate::read::{Part, agreed, fetched, manifest_place};
use crate::splice;
use crate::statement;
use crate::write::{Attestation, Claim, Ready, assemble, ready};

/// What is to be added to an index.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The form of the new attestation manifests.
    pub form: Form,
    /// What becomes of earlier statements.
    pub earlier: Earlier,
    /// The new statements, for each platform's manifest.
    pub additions: Vec<Addition>,
    /// Annotations of the index itself, such as `org.opencontainers.image.revision`
    /// (OCI image-spec 1.1, "Pre-Defined Annotation Keys"). Others of the index stay.
    pub annotations: Vec<(String, String)>,
}

/// The new statements about one manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Addition {
    /// The digest of a platform's manifest in the index.
    pub about: String,
    /// The statements.
    pub claims: Vec<Claim>,
}

/// What becomes of earlier statements about the same manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    /// All stay, and the new ones stand beside them.
    Keep,
    /// Those of the same predicate types (the same URI) go. The attestation manifest that held one
    /// leaves the index; its other statements are in the new one. It must be readable, and its
    /// entry must have the annotation `vnd.docker.reference.digest`.
    Replace,
}

/// A changed index, and what is to be pushed before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The index.
    pub index: Blob,
    /// The new attestation manifests, in the order of the additions.
    pub attestations: Vec<Attestation>,
}

/// Adds statements to an index. `fetch` gets earlier attestation manifests, and is asked only for
/// [`Earlier::Replace`]. Docker's older lists are refused, as BuildKit attaches nothing to them.
/// An entry that the index has already is not added again.
pub fn attach<E>(
    index: &[u8],
    change: &Change,
    mut fetch: impl FnMut(Part, &Descriptor) -> Result<Option<Vec<u8>>, E>,
) -> Result<Attached, ReadError<E>> {
    let read = oci::read_index(index)?;
    if let Some(other) = read.media_type.as_deref().filter(|own| *own != INDEX) {
        let clause = format!(
            "has the type '{}', which takes no attestations",
            shown(other)
        );
        return Err(Error::unfit("the index", clause).into());
    }
    let Some(spans) = splice::spans(index) else {
        return Err(Error::unfit("the index", "is not an object with manifests").into());
    };
    let mut abouts = BTreeSet::new();
    let mut dropped = Vec::new();
    let mut attestations = Vec::new();
    for Addition { about, claims } in &change.additions {
        let place = format!("the addition for {}", shown(about));
        let target = read.entries.iter().find_map(|entry| match entry {
            Entry::Image { descriptor, .. } if descriptor.digest == *about => Some(descriptor),
            _ => None,
        });
        let Some(target) = target else {
            return Err(Error::unfit(place, "is about no image of the index").into());
        };
        if !abouts.insert(about) {
            return Err(Error::unfit(place, "occurs twice").into());
        }
        let ready = ready(target, claims)?;
        let mut kept = Vec::new();
        if change.earlier == Earlier::Replace {
            for (at, entry) in read.entries.iter().enumerate() {
                let Entry::Attestation {
                    descriptor,
                    about: Some(earlier),
                } = entry
                else {
                    continue;
                };
                if earlier == about
                    && let Some(others) = others(descriptor, target, &ready, &mut fetch)?
                {
                    dropped.push(at);
                    kept.extend(others);
                }
            }
        }
        attestations.push(assemble(target, kept, ready, change.form)?);
    }
    let is_there = |attestation: &&Attestation| {
        read.entries.iter().enumerate().any(|(at, entry)| {
            let Entry::Attestation { descriptor, about } = entry else {
                return false;
            };
            !dropped.contains(&at)
                && about.is_some()
                && descriptor.digest == attestation.manifest.digest
        })
    };
    let added: Vec<&str> = attestations
        .iter()
        .filter(|attestation| !is_there(attestation))
        .map(|attestation| attestation.entry.as_str())
        .collect();
    let annotations = annotations(&read.annotations, &change.annotations)?;
    let bytes = splice::rewrite(index, &spans, &dropped, &added, annotations.as_deref());
    limit("the new index", bytes.len() as u64, MANIFEST_LIMIT)?;
    // What was written must be an index again; its entries are counted there, too.
    oci::read_index(&bytes).map_err(|error| Error {
        place: format!("in the new index, {}", error.place),
        ..error
    })?;
    Ok(Attached {
        index: Blob::new(INDEX, bytes),
        attestations,
    })
}

/// The layers of an earlier attestation manifest that stay if some types are replaced. `None` if it
/// has nothing of these types, so that it stays as a whole.
fn others<E>(
    descriptor: &Descriptor,
    about: &Descriptor,
    new: &[Ready],
    mut fetch: impl FnMut(Part, &Descriptor) -> Result<Option<Vec<u8>>, E>,
) -> Result<Option<Vec<Map<String, Value>>>, ReadError<E>> {
    #[derive(Deserialize)]
    struct Raw {
        layers: Few<Map<String, Value>, LAYERS>,
    }
    let place = manifest_place(descriptor);
    let bytes = fetched(
        &place,
        Part::Manifest,
        descriptor,
        MANIFEST_LIMIT,
        &mut fetch,
    )?;
    // What is not believed as it stands must not be carried over to a manifest that is.
    let read = agreed(&place, oci::read_manifest(&place, &bytes)?, about)?;
    let raw: Raw = serde_json::from_slice(&bytes).map_err(|error| Error::json(&place, &error))?;
    let mut stay = Vec::new();
    let mut is_changed = false;
    for (at, (layer, fields)) in read.layers.iter().zip(raw.layers.0).enumerate() {
        let place = format!("layer {at} of {place}");
        let blob = layer.checked(&place)?;
        let uri = match layer.annotation(PREDICATE_TYPE) {
            _ if !layer.is(IN_TOTO) => None,
            Some(uri) => Some(uri.to_owned()),
            None => {
                let bytes = fetched(&place, Part::Blob, &blob, STATEMENT_LIMIT, &mut fetch)?;
                Some(statement::read(&place, &bytes, &about.digest)?.uri)
            }
        };
        if uri.is_some_and(|uri| new.iter().any(|new| new.uri == uri)) {
            is_changed = true;
        } else {
            stay.push(fields);
        }
    }
    Ok(is_changed.then_some(stay))
}

/// The annotations of the new index as JSON. `None` if nothing changes.
fn annotations(
    earlier: &[(String, String)],
    new: &[(String, String)],
) -> Result<Option<String>, Error> {
    let mut all: Map<String, Value> = earlier
        .iter()
        .map(|(name, text)| (name.clone(), Value::from(text.as_str())))
        .collect();
    for (name, text) in new {
        if name.is_empty() {
            return Err(Error::unfit("a new annotation of the index", "has no name"));
        }
        all.insert(name.clone(), Value::from(text.as_str()));
    }
    if new.is_empty() {
        return Ok(None);
    }
    let json = serde_json::to_string_pretty(&all);
    json.map(Some)
        .map_err(|error| Error::json("the annotations of the index", &error))
}
