//! The attestations of images: what is stated about them, beside them in their index.
//!
//! BuildKit stores statements in an attestation manifest for each platform (its
//! docs/attestations/attestation-storage.md). Up to 0.31 this is an image ([`Form::Image`]), since
//! 0.32 an OCI artifact ([`Form::Artifact`]). This crate reads both, and writes both. It does no
//! I/O: the caller fetches manifests and blobs, and pushes what is made here.
//!
//! ```
//! use attestation::{Addition, Change, Claim, Descriptor, Earlier, Form, Part, Question};
//!
//! let image = attestation::digest(b"the manifest of an image");
//! let index = format!(
//!     r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[
//!     {{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{image}","size":24,
//!       "platform":{{"architecture":"amd64","os":"linux"}}}}]}}"#
//! );
//! let own = "https://example.org/verification/v1";
//! let change = Change {
//!     form: Form::Artifact,
//!     earlier: Earlier::Replace,
//!     additions: vec![Addition {
//!         about: image.clone(),
//!         claims: vec![Claim::Predicate {
//!             subject: "_".to_owned(),
//!             predicate_type: own.to_owned(),
//!             predicate: serde_json::json!({ "passed": true }),
//!         }],
//!     }],
//!     annotations: vec![("org.opencontainers.image.revision".to_owned(), "f00".to_owned())],
//! };
//! let nothing = |_: Part, _: &Descriptor| Ok::<_, std::convert::Infallible>(None);
//! let new = attestation::attach(index.as_bytes(), &change, nothing)?;
//!
//! // A registry would have these now.
//! let made = &new.attestations[0];
//! let stored = |_: Part, wanted: &Descriptor| {
//!     let mut all = made.blobs.iter().chain([&made.manifest]);
//!     let found = all.find(|blob| blob.digest == wanted.digest);
//!     Ok::<_, std::convert::Infallible>(found.map(|blob| blob.bytes.clone()))
//! };
//! let question = Question { own: Some(own.to_owned()), ..Question::default() };
//! let read = attestation::read(&new.index.bytes, &question, stored)?;
//! let statement = &read.images[0].statements[0];
//! assert_eq!(read.images[0].descriptor.digest, image);
//! assert_eq!(statement.predicate_type, attestation::PredicateType::Own);
//! assert_eq!(statement.subject, attestation::Subject::Named);
//! # Ok::<(), attestation::ReadError<std::convert::Infallible>>(())
//! ```
//!
//! Nothing that is read is trusted. Every manifest and statement is checked against its digest, and
//! a statement about another image is a fault. Signatures are not looked at: a statement is worth
//! as much as the place that the index came from.

mod attach;
mod bounded;
mod build;
mod error;
mod oci;
mod packages;
mod predicate;
mod provenance;
mod read;
mod splice;
mod statement;
#[cfg(test)]
mod tests;
mod write;

pub use attach::{Addition, Attached, Change, Earlier, attach};
pub use build::NewProvenance;
pub use error::{Error, Problem, ReadError};
pub use oci::{Blob, Descriptor, Form, digest};
pub use packages::{BillFormat, Package, Packages};
pub use predicate::PredicateType;
pub use provenance::{Arguments, Material, Provenance};
pub use read::{Image, Part, Pick, Question, Reading, read};
pub use statement::{Statement, Subject, statement};
pub use write::{Attestation, Claim, attestation_manifest};
