//! What is attached to a published image: how it was built, a bill of materials, how it was
//! verified.
//!
//! All of it is attached after the verification and without a rebuild: the manifests of the images
//! stay as they are, and the index gets further entries. The same records give the same bytes, so a
//! repeated publish changes nothing.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use attestation::{
    Addition, Change, Claim, Earlier, Form, Material, NewProvenance, ReadError, attach,
};
use serde_json::{Value, json};

use super::platform_image::PlatformImage;
use super::release::VerifiedAs;

use crate::fault::{Fault, Result};
use crate::freshness::key::IngredientKind;
use crate::freshness::planner::Workspace;
use crate::graphfile::source::facts;
use crate::graphfile::spec::Stage;
use crate::graphfile::spec::publishing::Attest;
use crate::outside::index::{INDEX, Index, ManifestEntry};
use crate::outside::state;
use crate::verify::at_place;
use crate::verify::noted::Noted;
use crate::verify::record::{self, VerifyRecords};

/// Who builds: this program, by its version.
const BUILDER: &str = concat!(
    "https://github.com/langgenius/dify/xtask@",
    env!("CARGO_PKG_VERSION")
);
/// How: with buildx, from a stage of a graph.
const BUILD_TYPE: &str = "https://github.com/langgenius/dify/xtask/stage/v1";
/// The type of an SPDX document as a predicate.
const SPDX: &str = "https://spdx.dev/Document";
/// The type of a `CycloneDX` document as a predicate.
const CYCLONE_DX: &str = "https://cyclonedx.org/bom";

/// The fault of a layout that cannot be written.
pub fn unwritten(work: &Workspace, error: &std::io::Error) -> Fault {
    let folder = work.layout.folder();
    Fault::lacks(format!("cannot write in {folder}: {error}"))
}

/// The index of a stage's images with all that is attached, and the digests of the attestation
/// manifests. `None` if nothing is attached.
pub fn attached(
    work: &Workspace,
    stage: &Stage,
    name: &str,
    platforms: &[PlatformImage<'_>],
    annotations: &BTreeMap<String, String>,
    verified: &VerifiedAs,
) -> Result<Option<(ManifestEntry, Vec<String>)>> {
    let form = match work.spec.publishing.attest {
        Attest::None if annotations.is_empty() => return Ok(None),
        Attest::None | Attest::Image => Form::Image,
        Attest::Artifact => Form::Artifact,
    };
    let mut additions = Vec::new();
    if work.spec.publishing.attest != Attest::None {
        for image in platforms {
            let claims = claims(work, stage, name, image, verified)?;
            if !claims.is_empty() {
                additions.push(Addition {
                    about: image.entry.digest.clone(),
                    claims,
                });
            }
        }
    }
    if additions.is_empty() && annotations.is_empty() {
        return Ok(None);
    }
    let entries: Vec<ManifestEntry> = platforms.iter().map(|it| it.entry.clone()).collect();
    let bare = Index::of(&entries);
    let change = Change {
        form,
        earlier: Earlier::Keep,
        additions,
        annotations: annotations.clone().into_iter().collect(),
    };
    let fetch = |_, wanted: &attestation::Descriptor| work.layout.read(&wanted.digest).map(Some);
    let attached = attach(&bare.bytes, &change, fetch).map_err(|error| {
        let why = match error {
            ReadError::Content(error) => error.to_string(),
            ReadError::Fetch(error) => error.to_string(),
        };
        Fault::failed(format!(
            "nothing can be attached to `{}`: {why}",
            stage.name
        ))
    })?;
    let mut digests = Vec::new();
    for made in &attached.attestations {
        for blob in made.blobs.iter().chain([&made.manifest]) {
            work.layout
                .add(&blob.bytes)
                .map_err(|error| unwritten(work, &error))?;
        }
        digests.push(made.manifest.digest.clone());
    }
    let index = &attached.index;
    work.layout
        .add(&index.bytes)
        .map_err(|error| unwritten(work, &error))?;
    let top = ManifestEntry {
        media_type: INDEX.to_owned(),
        digest: index.digest.clone(),
        size: index.bytes.len() as u64,
        platform: None,
        annotations: BTreeMap::new(),
    };
    Ok(Some((top, digests)))
}

fn claims(
    work: &Workspace,
    stage: &Stage,
    name: &str,
    image: &PlatformImage<'_>,
    verified: &VerifiedAs,
) -> Result<Vec<Claim>> {
    let mut claims = Vec::new();
    let mut claim = |predicate_type: &str, predicate: Value| {
        claims.push(Claim::Predicate {
            subject: name.to_owned(),
            predicate_type: predicate_type.to_owned(),
            predicate,
        });
    };
    if stage.attached.provenance {
        claim(NewProvenance::TYPE, provenance(work, stage, image)?);
    }
    if stage.attached.sbom {
        let bill = bill_of_materials(work, stage, image)?;
        let kind = if bill.get("spdxVersion").is_some() {
            SPDX
        } else {
            CYCLONE_DX
        };
        claim(kind, bill);
    }
    if let VerifiedAs::At(at) = verified {
        claim(
            record::PREDICATE,
            kept_verification(work, stage, image, at)?,
        );
    }
    Ok(claims)
}

/// How an image was built, as its record tells it.
fn provenance(work: &Workspace, stage: &Stage, image: &PlatformImage<'_>) -> Result<Value> {
    let record = image.record;
    let own = &work.spec.stage(image.id).name;
    let mut parameters = serde_json::Map::new();
    parameters.insert("stage".to_owned(), json!(stage.name));
    parameters.insert("platform".to_owned(), json!(image.platform));
    parameters.insert("key".to_owned(), json!(record.key.hex()));
    parameters.insert("dockerfile".to_owned(), json!(stage.dockerfile.as_str()));
    if let Some(target) = &stage.target {
        parameters.insert("target".to_owned(), json!(target));
    }
    let mut dependencies = Vec::new();
    if let Ok(commit) = facts::fact(&work.spec, stage.source, "source.commit") {
        let source = stage.source.map(|id| &work.spec.sources[id.index()]);
        let git = source.and_then(|source| source.git.as_ref());
        dependencies.push(Material {
            uri: git.map(|git| format!("git+{}", git.url)),
            name: Some(source.map_or_else(|| "source".to_owned(), |source| source.name.clone())),
            digests: BTreeMap::from([("gitCommit".to_owned(), commit)]),
        });
    }
    for ingredient in work.store.made_of(own, record.key).unwrap_or_default() {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (name, value) = (text(&ingredient.name), text(&ingredient.value));
        let hex = value.strip_prefix("sha256:").filter(|hex| hex.len() == 64);
        let (is_image, hex) = match (ingredient.what, hex) {
            (IngredientKind::Base, Some(hex)) => (true, hex),
            (IngredientKind::Upstream, Some(hex)) => (false, hex),
            _ => continue,
        };
        dependencies.push(Material {
            uri: is_image.then(|| format!("docker://{name}")),
            name: Some(name.clone()),
            digests: BTreeMap::from([("sha256".to_owned(), hex.to_owned())]),
        });
    }
    let moment = |ms: u64| {
        let (_, time) = calendar::shown(i64::try_from(ms / 1000).unwrap_or_default());
        time
    };
    let started = record.ended_ms.saturating_sub(record.duration_ms);
    let provenance = NewProvenance {
        builder: BUILDER.to_owned(),
        build_type: BUILD_TYPE.to_owned(),
        parameters,
        dependencies,
        started: Some(moment(started)),
        finished: Some(moment(record.ended_ms)),
    };
    provenance
        .predicate()
        .map_err(|error| Fault::failed(format!("the provenance of `{}`: {error}", stage.name)))
}

/// How an image was verified, as it was first published: a later verification of the same image under
/// the same policy says the same at another moment, and would give another index.
fn kept_verification(
    work: &Workspace,
    stage: &Stage,
    image: &PlatformImage<'_>,
    at: &str,
) -> Result<Value> {
    let noted = Noted::read(&work.state, &stage.name);
    let asked = noted.map(|noted| (noted.policy, noted.parts));
    let name = blake3::hash(format!("{} {asked:?}", image.config).as_bytes());
    let kept = work.state.path("verified-as").join(&name.to_hex()[..32]);
    if let Ok(Some(bytes)) = state::read(&kept)
        && let Ok(predicate) = serde_json::from_slice(&bytes)
    {
        return Ok(predicate);
    }
    let predicate = verification(work, stage, image, at);
    state::write_atomically(&kept, predicate.to_string().as_bytes())
        .map_err(|error| unwritten(work, &error))?;
    Ok(predicate)
}

/// How an image was verified: what the record of the verification says, if it is of this image, else
/// what is noted of it.
fn verification(work: &Workspace, stage: &Stage, image: &PlatformImage<'_>, at: &str) -> Value {
    let hex = image.config.strip_prefix("sha256:").unwrap_or_default();
    let is_about_it = |statement: &Value| {
        let subjects = statement.get("subject").and_then(Value::as_array);
        let digest = |subject: &Value| {
            let digest = subject.get("digest")?.get("sha256")?;
            Some(digest.as_str() == Some(hex))
        };
        subjects.is_some_and(|all| all.iter().any(|it| digest(it) == Some(true)))
    };
    let names: Vec<&str> = work
        .spec
        .declared
        .iter()
        .map(|id| work.spec.stage(*id))
        .filter(|stage| !stage.is_part())
        .map(|stage| stage.name.as_str())
        .collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    for stages in [vec![stage.name.as_str()], names, sorted] {
        for parts in ["all", "policy"] {
            let records = VerifyRecords::of(&work.state, &stages, parts).ok();
            let statement = records.and_then(|records| Some(records.read()?.statement));
            if let Some(statement) = statement.filter(is_about_it)
                && let Some(predicate) = statement.get("predicate")
            {
                return predicate.clone();
            }
        }
    }
    let noted = Noted::read(&work.state, &stage.name);
    json!({
        "outcome": "passed",
        "at": at,
        "parts": noted.as_ref().map(|noted| noted.parts.clone()),
        "policy": noted.map(|noted| noted.policy),
        "verifier": BUILDER,
    })
}

/// A bill of materials, made by the graph's own command and kept for the next publish: two calls of
/// a generator seldom give the same bytes.
fn bill_of_materials(work: &Workspace, stage: &Stage, image: &PlatformImage<'_>) -> Result<Value> {
    let generator = &work.spec.publishing.generator;
    let Some((program, arguments)) = generator.split_first() else {
        return Err(Fault::usage(format!(
            "`{}` wants `sbom`, and no command makes one: write `sbom-generator = [\"syft\", \"scan\", \"oci-dir:{{layout}}\", \"--output\", \"spdx-json\"]` into `[publish]`",
            stage.name
        )));
    };
    let command = generator.join("\0");
    let name = blake3::hash(format!("{}\0{command}", image.entry.digest).as_bytes());
    let kept = work.state.path("bills").join(&name.to_hex()[..32]);
    if let Ok(Some(bytes)) = state::read(&kept)
        && let Ok(bill) = serde_json::from_slice(&bytes)
    {
        return Ok(bill);
    }
    let fault = |why: String| {
        Fault::failed(format!(
            "`{program}`, which makes the bill of materials of `{}`, {why}",
            stage.name
        ))
    };
    let listed = at_place::listed(work, std::slice::from_ref(&image.entry.digest))?;
    let arguments = arguments
        .iter()
        .map(|argument| argument.replace("{layout}", listed.path().as_str()));
    let output = Command::new(program)
        .args(arguments)
        .current_dir(&work.spec.root)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| fault(format!("cannot be started: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        return Err(fault(format!("ended with {}: {last}", output.status)));
    }
    let bill: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| fault(format!("printed no JSON: {error}")))?;
    if bill.get("spdxVersion").is_none() && bill.get("bomFormat").is_none() {
        return Err(fault("printed neither SPDX nor CycloneDX".to_owned()));
    }
    state::write_atomically(&kept, &output.stdout).map_err(|error| unwritten(work, &error))?;
    Ok(bill)
}
