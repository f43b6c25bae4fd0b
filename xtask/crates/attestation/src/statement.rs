//! Statements (in-toto attestation spec v1, "Statement layer specification"; BuildKit up to 0.31
//! wrote v0.1, which has the same fields).

use reference::is_sha256;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bounded::{Few, Pairs};
use crate::error::{Error, Problem, shown};
use crate::oci::{Form, STATEMENT_LIMIT, limit};
use crate::packages::{self, Packages};
use crate::predicate::PredicateType;
use crate::provenance::{self, Provenance};

/// The type of a statement (in-toto attestation spec v1).
const V1: &str = "https://in-toto.io/Statement/v1";
/// The type of a statement (in-toto attestation spec v0.1).
const V01: &str = "https://in-toto.io/Statement/v0.1";
/// The most subjects of a statement.
const SUBJECTS: usize = 10_000;
/// The most digests of one artifact.
pub(crate) const DIGESTS: usize = 16;

/// A statement about a platform's manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What it says.
    pub predicate_type: PredicateType,
    /// The URI of the predicate type, as the statement spells it.
    pub uri: String,
    /// Whether it names the manifest.
    pub subject: Subject,
    /// The form of the attestation manifest that holds it.
    pub form: Form,
    /// The digest of the attestation manifest that holds it.
    pub manifest: String,
    /// The digest of the statement.
    pub digest: String,
    /// The whole statement.
    pub bytes: Vec<u8>,
}

/// Whom a statement is about. A statement that names another image is a fault and is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// It names the manifest that it is attached to.
    Named,
    /// It names nothing. BuildKit writes this if the image is exported without a name. Only the
    /// attestation manifest says whom it is about.
    Unnamed,
}

impl Statement {
    /// Reads how the image was built. `None` if the statement is not about that.
    pub fn provenance(&self) -> Result<Option<Provenance>, Error> {
        provenance::read(&self.place(), &self.predicate_type, &self.bytes)
    }

    /// Reads how many packages the image has, and the first `few` of them. `None` if the
    /// statement is not about that.
    pub fn packages(&self, few: usize) -> Result<Option<Packages>, Error> {
        packages::read(&self.place(), &self.predicate_type, &self.bytes, few)
    }

    fn place(&self) -> String {
        format!("statement {}", self.digest)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawStatement {
    #[serde(rename = "_type")]
    kind: String,
    #[serde(default)]
    subject: Few<RawSubject, SUBJECTS>,
    predicate_type: String,
    /// Named so that a second one is refused: others might read the other one.
    #[serde(default, rename = "predicate")]
    _predicate: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct RawSubject {
    #[serde(default)]
    digest: Pairs<DIGESTS>,
}

/// What a statement says of itself.
pub(crate) struct Read {
    pub uri: String,
    pub subject: Subject,
}

/// Reads a statement and compares its subjects with the digest of a manifest. Subjects are matched
/// purely by digest (in-toto attestation spec v1, "subject").
pub(crate) fn read(place: &str, bytes: &[u8], about: &str) -> Result<Read, Error> {
    limit(place, bytes.len() as u64, STATEMENT_LIMIT)?;
    let raw: RawStatement =
        serde_json::from_slice(bytes).map_err(|error| Error::json(place, &error))?;
    if raw.kind != V1 && raw.kind != V01 {
        let clause = format!("has the unknown type '{}'", shown(&raw.kind));
        return Err(Error::unfit(place, clause));
    }
    if raw.predicate_type.is_empty() {
        return Err(Error::unfit(place, "has no predicate type"));
    }
    let subjects = &raw.subject.0;
    let all = || subjects.iter().flat_map(|subject| &subject.digest.0);
    let wanted = about.strip_prefix("sha256:").unwrap_or(about);
    let subject = if subjects.is_empty() {
        Subject::Unnamed
    } else if all().any(|(algorithm, hex)| algorithm == "sha256" && hex == wanted) {
        Subject::Named
    } else {
        let named = all().map(|(algorithm, hex)| shown(&format!("{algorithm}:{hex}")));
        let named: Vec<String> = named.take(3).collect();
        let problem = if named.is_empty() {
            Problem::NoSubject
        } else {
            let wanted = about.to_owned();
            Problem::OtherSubject { wanted, named }
        };
        return Err(Error::new(place, problem));
    };
    Ok(Read {
        uri: raw.predicate_type,
        subject,
    })
}

/// Writes a statement about one artifact (in-toto attestation spec v1). The predicate must be an
/// object.
///
/// ```
/// let digest = attestation::digest(b"a manifest");
/// let predicate = serde_json::json!({ "passed": true });
/// let bytes = attestation::statement("_", &digest, "https://example.org/v1", &predicate)?;
/// assert!(bytes.starts_with(br#"{"_type":"https://in-toto.io/Statement/v1","#));
/// # Ok::<(), attestation::Error>(())
/// ```
pub fn statement(
    subject: &str,
    digest: &str,
    predicate_type: &str,
    predicate: &Value,
) -> Result<Vec<u8>, Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Written<'a> {
        #[serde(rename = "_type")]
        kind: &'a str,
        predicate_type: &'a str,
        subject: [Artifact<'a>; 1],
        predicate: &'a Value,
    }
    #[derive(Serialize)]
    struct Artifact<'a> {
        name: &'a str,
        digest: Sha256<'a>,
    }
    #[derive(Serialize)]
    struct Sha256<'a> {
        sha256: &'a str,
    }
    let place = "the new statement";
    let Some(sha256) = digest.strip_prefix("sha256:").filter(|_| is_sha256(digest)) else {
        return Err(Error::new(place, Problem::NoDigest(shown(digest))));
    };
    if predicate_type.is_empty() {
        return Err(Error::unfit(place, "has no predicate type"));
    }
    if !predicate.is_object() {
        return Err(Error::unfit(place, "has a predicate that is not an object"));
    }
    let written = Written {
        kind: V1,
        predicate_type,
        subject: [Artifact {
            name: subject,
            digest: Sha256 { sha256 },
        }],
        predicate,
    };
    let bytes = serde_json::to_vec(&written).map_err(|error| Error::json(place, &error))?;
    limit(place, bytes.len() as u64, STATEMENT_LIMIT)?;
    Ok(bytes)
}
