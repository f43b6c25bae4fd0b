//! The kinds of predicates (in-toto attestation spec, "Predicate").

/// SLSA provenance v0.2 (slsa.dev/spec/v0.2/provenance).
const PROVENANCE_V02: &str = "https://slsa.dev/provenance/v0.2";
/// SLSA provenance v1 (slsa.dev/spec/v1.1/provenance).
pub(crate) const PROVENANCE_V1: &str = "https://slsa.dev/provenance/v1";
/// SPDX (in-toto attestation spec, "Predicate type: SPDX").
const SPDX: &str = "https://spdx.dev/Document";
/// `CycloneDX` (in-toto attestation spec, "Predicate type: `CycloneDX`").
const CYCLONE_DX: &str = "https://cyclonedx.org/bom";

/// What a statement says of an image.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PredicateType {
    /// How it was built, SLSA provenance v0.2.
    ProvenanceV02,
    /// How it was built, SLSA provenance v1.
    ProvenanceV1,
    /// What it contains, as SPDX.
    Spdx,
    /// What it contains, as `CycloneDX`.
    CycloneDx,
    /// The caller's own predicate.
    Own,
    /// Any other predicate, by its URI.
    Other(String),
}

impl PredicateType {
    /// The type that a URI stands for. `own` is the URI of the caller's own predicate. SPDX and
    /// `CycloneDX` may carry a version, as in `https://cyclonedx.org/bom/v1.4`.
    pub fn of(uri: &str, own: Option<&str>) -> Self {
        let is = |base: &str| {
            let rest = uri.strip_prefix(base);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("/v"))
        };
        match uri {
            _ if own == Some(uri) => Self::Own,
            PROVENANCE_V02 => Self::ProvenanceV02,
            PROVENANCE_V1 => Self::ProvenanceV1,
            _ if is(SPDX) => Self::Spdx,
            _ if is(CYCLONE_DX) => Self::CycloneDx,
            other => Self::Other(other.to_owned()),
        }
    }
}
