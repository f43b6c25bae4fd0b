//! How an image was built (slsa.dev/spec/v0.2/provenance, slsa.dev/spec/v1.1/provenance, and what
//! BuildKit writes there: its docs/attestations/slsa-definitions.md).

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::bounded::{Few, Names, Pairs};
use crate::error::Error;
use crate::predicate::PredicateType;
use crate::statement::DIGESTS;

/// The most materials of a provenance.
pub(crate) const MATERIALS: usize = 10_000;
/// The most arguments of a provenance.
const ARGUMENTS: usize = 10_000;
/// What stands before the name of a build argument (BuildKit, slsa-definitions).
const BUILD_ARGUMENT: &str = "build-arg:";

/// How an image was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// Who built it: `builder.id`, in v1 `runDetails.builder.id`. `None` if the builder was given
    /// no name; BuildKit then writes empty text.
    pub builder: Option<String>,
    /// The kind of build: `buildType`, in v1 `buildDefinition.buildType`.
    pub build_type: Option<String>,
    /// Where the build's definition came from: `invocation.configSource`, in v1
    /// `externalParameters.configSource`. `None` if it came from a local folder.
    pub source: Option<Material>,
    /// What went into the build: `materials`, in v1 `resolvedDependencies`.
    pub materials: Vec<Material>,
    /// The names of the build arguments.
    pub arguments: Arguments,
    /// When the build began, as written there.
    pub started: Option<String>,
    /// When the build ended, as written there.
    pub finished: Option<String>,
}

/// Something that went into a build (in-toto attestation spec v1, `ResourceDescriptor`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Material {
    /// Where it came from.
    pub uri: Option<String>,
    /// Its name, if it has one beside the URI.
    pub name: Option<String>,
    /// Its digests, by algorithm.
    pub digests: BTreeMap<String, String>,
}

/// Which build arguments a provenance tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arguments {
    /// It does not say. BuildKit leaves them out with `mode=min`.
    Unrecorded,
    /// The names of all arguments that it records. Their values may be secret and are not read.
    Recorded(BTreeSet<String>),
}

/// A statement, of which only the predicate is read.
#[derive(Deserialize)]
struct Body<P> {
    predicate: P,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct V02<P> {
    #[serde(default)]
    builder: Builder,
    build_type: Option<String>,
    invocation: Option<Invocation<P>>,
    #[serde(default)]
    materials: Few<Resource, MATERIALS>,
    #[serde(default)]
    metadata: Option<MetadataV02>,
}

#[derive(Deserialize, Default)]
struct Builder {
    id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Invocation<P> {
    config_source: Option<Resource>,
    parameters: Option<P>,
}

#[derive(Deserialize, Default)]
struct Parameters {
    #[serde(default)]
    args: Names<ARGUMENTS>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct MetadataV02 {
    build_started_on: Option<String>,
    build_finished_on: Option<String>,
    #[serde(default)]
    completeness: CompletenessV02,
}

#[derive(Deserialize, Default)]
struct CompletenessV02 {
    #[serde(default)]
    parameters: bool,
}

#[derive(Deserialize, Default)]
struct Resource {
    uri: Option<String>,
    name: Option<String>,
    #[serde(default)]
    digest: Pairs<DIGESTS>,
}

impl Resource {
    fn material(self) -> Material {
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        Material {
            uri: said(self.uri),
            name: said(self.name),
            digests: self.digest.0.into_iter().collect(),
        }
    }

    fn source(self) -> Option<Material> {
        Some(self.material()).filter(|source| source.uri.is_some())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct V1<E> {
    build_definition: Definition<E>,
    run_details: Run,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Definition<E> {
    build_type: Option<String>,
    external_parameters: Option<E>,
    #[serde(default)]
    resolved_dependencies: Few<Resource, MATERIALS>,
}

/// The parameters as BuildKit writes them. Other builders have other fields, of any kind.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct External {
    config_source: Option<Resource>,
    request: Option<Parameters>,
}

/// The parameters of another builder say nothing here.
impl From<IgnoredAny> for External {
    fn from(_: IgnoredAny) -> Self {
        Self::default()
    }
}

impl From<IgnoredAny> for Parameters {
    fn from(_: IgnoredAny) -> Self {
        Self::default()
    }
}

#[derive(Deserialize)]
struct Run {
    #[serde(default)]
    builder: Builder,
    metadata: Option<MetadataV1>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetadataV1 {
    started_on: Option<String>,
    finished_on: Option<String>,
    #[serde(default, rename = "buildkit_completeness")]
    completeness: CompletenessV1,
}

#[derive(Deserialize, Default)]
struct CompletenessV1 {
    #[serde(default)]
    request: bool,
}

/// Reads the provenance of a statement. `None` if its type is another.
pub(crate) fn read(
    place: &str,
    kind: &PredicateType,
    bytes: &[u8],
) -> Result<Option<Provenance>, Error> {
    let told = match kind {
        PredicateType::ProvenanceV02 => either::<V02<Parameters>, V02<IgnoredAny>>(bytes),
        PredicateType::ProvenanceV1 => either::<V1<External>, V1<IgnoredAny>>(bytes),
        _ => return Ok(None),
    };
    told.map(Some)
        .map_err(|error| Error::json(format!("the provenance in {place}"), &error))
}

/// Reads a predicate of BuildKit, or else one whose parameters are of another builder.
fn either<A, B>(bytes: &[u8]) -> Result<Provenance, serde_json::Error>
where
    A: DeserializeOwned + Into<Provenance>,
    B: DeserializeOwned + Into<Provenance>,
{
    if let Ok(body) = serde_json::from_slice::<Body<A>>(bytes) {
        return Ok(body.predicate.into());
    }
    let body: Body<B> = serde_json::from_slice(bytes)?;
    Ok(body.predicate.into())
}

impl<P: Into<Parameters>> From<V02<P>> for Provenance {
    fn from(said: V02<P>) -> Self {
        let metadata = said.metadata.unwrap_or_default();
        let (source, parameters) = match said.invocation {
            Some(said) => (said.config_source, said.parameters),
            None => (None, None),
        };
        Self {
            builder: said.builder.id.filter(|id| !id.is_empty()),
            build_type: said.build_type,
            source: source.and_then(Resource::source),
            materials: materials(said.materials),
            arguments: arguments(
                parameters.map(Into::into).unwrap_or_default(),
                metadata.completeness.parameters,
            ),
            started: metadata.build_started_on,
            finished: metadata.build_finished_on,
        }
    }
}

impl<E: Into<External>> From<V1<E>> for Provenance {
    fn from(said: V1<E>) -> Self {
        let (definition, run) = (said.build_definition, said.run_details);
        let (started, finished, complete) = match run.metadata {
            Some(said) => (said.started_on, said.finished_on, said.completeness.request),
            None => (None, None, false),
        };
        let external = definition.external_parameters;
        let external: External = external.map(Into::into).unwrap_or_default();
        Self {
            builder: run.builder.id.filter(|id| !id.is_empty()),
            build_type: definition.build_type,
            source: external.config_source.and_then(Resource::source),
            materials: materials(definition.resolved_dependencies),
            arguments: arguments(external.request.unwrap_or_default(), complete),
            started,
            finished,
        }
    }
}

fn materials(raw: Few<Resource, MATERIALS>) -> Vec<Material> {
    raw.0.into_iter().map(Resource::material).collect()
}

/// The names of the build arguments. None at all means that the build had none only if the
/// provenance says that its parameters are complete.
fn arguments(parameters: Parameters, complete: bool) -> Arguments {
    let names = parameters.args.0.iter();
    let names = names.filter_map(|name| name.strip_prefix(BUILD_ARGUMENT));
    let names: BTreeSet<String> = names.map(str::to_owned).collect();
    if names.is_empty() && !complete {
        return Arguments::Unrecorded;
    }
    Arguments::Recorded(names)
}
