//! Writes a provenance of one's own (slsa.dev/spec/v1.1/provenance).

use serde_json::{Map, Value, json};

use crate::error::{Error, Problem, shown};
use crate::provenance::{MATERIALS, Material};
use crate::statement::DIGESTS;

/// A SLSA v1 provenance to be written. Its type is [`NewProvenance::TYPE`].
///
/// ```
/// let provenance = attestation::NewProvenance {
///     builder: "https://ci.example/runner".to_owned(),
///     build_type: "https://example.org/build/v1".to_owned(),
///     ..Default::default()
/// };
/// let predicate = provenance.predicate()?;
/// assert_eq!(predicate["runDetails"]["builder"]["id"], "https://ci.example/runner");
/// # Ok::<(), attestation::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewProvenance {
    /// The URI of the builder, `runDetails.builder.id`.
    pub builder: String,
    /// The URI of the kind of build, `buildDefinition.buildType`. It says what the parameters mean.
    pub build_type: String,
    /// What the user chose: `buildDefinition.externalParameters`.
    pub parameters: Map<String, Value>,
    /// What went into the build: `buildDefinition.resolvedDependencies`.
    pub dependencies: Vec<Material>,
    /// When the build began, as RFC 3339 in UTC.
    pub started: Option<String>,
    /// When the build ended, as RFC 3339 in UTC.
    pub finished: Option<String>,
}

impl NewProvenance {
    /// The URI of the predicate type.
    pub const TYPE: &str = crate::predicate::PROVENANCE_V1;

    /// The predicate. Builder and kind of build are required and are URIs; a dependency has a URI
    /// or a digest; times end in `Z` (in-toto attestation spec v1, "Timestamp").
    pub fn predicate(&self) -> Result<Value, Error> {
        for (name, text) in [("builder", &self.builder), ("build type", &self.build_type)] {
            if !is_uri(text) {
                let clause = format!("has the {name} '{}', which is not a URI", shown(text));
                return Err(Error::unfit(PLACE, clause));
            }
        }
        if self.dependencies.len() > MATERIALS {
            return Err(Error::new(PLACE, Problem::TooMany { limit: MATERIALS }));
        }
        let dependencies = self.dependencies.iter().enumerate();
        let dependencies = dependencies.map(|(at, dependency)| resource(at, dependency));
        let dependencies = dependencies.collect::<Result<Vec<Value>, Error>>()?;
        let started = moment("start", self.started.as_deref())?;
        let finished = moment("end", self.finished.as_deref())?;
        if let (Some(started), Some(finished)) = (started, finished)
            && finished < started
        {
            return Err(Error::unfit(PLACE, "ends before it starts"));
        }
        let mut metadata = Map::new();
        for (name, time) in [("startedOn", &self.started), ("finishedOn", &self.finished)] {
            if let Some(time) = time {
                metadata.insert(name.to_owned(), json!(time));
            }
        }
        let mut run = Map::new();
        run.insert("builder".to_owned(), json!({ "id": self.builder }));
        if !metadata.is_empty() {
            run.insert("metadata".to_owned(), Value::Object(metadata));
        }
        Ok(json!({
            "buildDefinition": {
                "buildType": self.build_type,
                "externalParameters": self.parameters,
                "resolvedDependencies": dependencies,
            },
            "runDetails": run,
        }))
    }
}

const PLACE: &str = "the new provenance";

/// Whether a text has a scheme and something behind it, and no spaces (RFC 3986, 3).
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let in_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(in_scheme)
        && !rest.is_empty()
        && !rest.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// A dependency (in-toto attestation spec v1, `ResourceDescriptor`).
fn resource(at: usize, material: &Material) -> Result<Value, Error> {
    let place = || format!("dependency {at} of {PLACE}");
    if material.uri.is_none() && material.digests.is_empty() {
        return Err(Error::unfit(place(), "has neither URI nor digest"));
    }
    if material.digests.len() > DIGESTS {
        return Err(Error::new(place(), Problem::TooMany { limit: DIGESTS }));
    }
    let mut fields = Map::new();
    for (name, text) in [("name", &material.name), ("uri", &material.uri)] {
        if let Some(text) = text {
            fields.insert(name.to_owned(), json!(text));
        }
    }
    if !material.digests.is_empty() {
        fields.insert("digest".to_owned(), json!(material.digests));
    }
    Ok(Value::Object(fields))
}

/// The seconds of a time.
fn moment(name: &str, time: Option<&str>) -> Result<Option<i64>, Error> {
    let Some(time) = time else { return Ok(None) };
    let seconds = Some(time).filter(|time| time.ends_with('Z'));
    match seconds.and_then(calendar::rfc3339) {
        Some(seconds) => Ok(Some(seconds)),
        None => {
            let clause = format!("has the {name} '{}', which is not a UTC time", shown(time));
            Err(Error::unfit(PLACE, clause))
        }
    }
}
