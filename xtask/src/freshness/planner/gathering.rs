//! From a stage's inputs to the ingredients of its key. `key` decides what counts and in which
//! order.

use std::collections::{BTreeMap, BTreeSet};

use super::{StageSummary, Upstream};
use crate::contexts::Inputs;
use crate::freshness::key::{Around, Ingredients};
use crate::freshness::secrets;
use crate::freshness::stage_inputs::StageInputs;
use crate::graphfile::spec::{Spec, Stage, StageId};
use crate::outside::proxies;
use crate::outside::state;
use dockerfile::Reading;

/// The ingredients that are a stage's own.
pub fn own<'m>(spec: &'m Spec, id: StageId, stage_inputs: &'m StageInputs) -> Ingredients<'m> {
    let stage = spec.stage(id);
    let mut ingredients = of_inputs(stage_inputs);
    ingredients.platforms = &stage.platforms;
    ingredients.dockerfile_path = stage.dockerfile.as_str();
    ingredients.target = target(&stage_inputs.reading, stage.target.as_deref());
    ingredients
        .args
        .retain(|name, _| !stage.volatile.contains(*name));
    ingredients.labels = stage_inputs
        .labels
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    ingredients.secrets = stage.secrets.keys().map(String::as_str).collect();
    ingredients.ssh = stage.ssh.iter().map(String::as_str).collect();
    for (name, reference) in &stage_inputs.images {
        ingredients
            .contexts
            .insert(name, format!("image {reference}"));
    }
    ingredients.contexts.extend(
        stage_inputs
            .parents
            .keys()
            .map(|name| (name.as_str(), "stage".to_owned())),
    );
    ingredients
}

/// The own ingredients of a stage that is assembled from parts.
pub fn of_assembled(stage: &Stage) -> Ingredients<'_> {
    Ingredients {
        platforms: &stage.platforms,
        ..Ingredients::default()
    }
}

/// The variable, and the argument, that gives files and images their time
/// (docs.docker.com/build/ci/github-actions/reproducible-builds).
pub const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// The ingredients that are not a stage's own. `epoch` is the time for a reproducible image, unless
/// the environment gives another.
pub fn around(
    (spec, id): (&Spec, StageId),
    summary: &StageSummary,
    bases: BTreeMap<String, String>,
    upstream: &BTreeMap<StageId, Upstream>,
    epoch: Option<String>,
) -> Around {
    let digest = |parent| match upstream.get(&parent) {
        Some(Upstream::Image(record)) => record.identity(),
        Some(Upstream::Unbuilt(key)) => format!("unbuilt {key}"),
        None => "unknown".to_owned(),
    };
    // Buildx passes this variable to the build by itself
    // (docs.docker.com/build/ci/github-actions/reproducible-builds).
    let given = std::env::var(SOURCE_DATE_EPOCH).ok();
    let epoch = given.or(epoch);
    let epoch = epoch.map(|epoch| (SOURCE_DATE_EPOCH.to_owned(), epoch));
    let is_called = !spec.stage(id).is_assembled();
    let epoch = epoch.filter(|_| is_called);
    let proxies = summary.proxies.iter().filter_map(|name| {
        let told = proxies::given().get(name.as_str())?;
        Some((name.clone(), told.clone()))
    });
    let policy = summary.policy.clone();
    let stage = spec.stage(id);
    let absent = secrets::absent(spec, stage);
    let absent = absent.map(|id| (format!("secret {id}"), "absent".to_owned()));
    let rewritten = stage.shipping.reproducible;
    let rewritten = rewritten.then(|| ("rewrite-timestamp".to_owned(), "true".to_owned()));
    let rewritten = rewritten.into_iter();
    Around {
        settings: proxies
            .chain(epoch)
            .chain(source_policy().filter(|_| is_called))
            .chain(default_policy().filter(|_| is_called))
            .chain(policy)
            .chain(absent.filter(|_| is_called))
            .chain(stage.run.ingredients().filter(|_| is_called))
            .chain(rewritten.filter(|_| is_called))
            .collect(),
        bases,
        upstream: summary
            .parents()
            .map(|(name, parent)| (name.to_owned(), digest(parent)))
            .collect(),
    }
}

const SOURCE_POLICY: &str = "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY";

/// The source policy: a file by which buildx makes BuildKit take other sources than the Dockerfile
/// names (docker/buildx, `EXPERIMENTAL_BUILDKIT_SOURCE_POLICY`). A file that cannot be read fails
/// the build.
fn source_policy() -> Option<(String, String)> {
    let path = source_policy_file()?;
    let policy = state::read(path.as_str().into()).ok().flatten();
    let told = policy.map_or_else(|| path, |policy| blake3::hash(&policy).to_hex().to_string());
    Some((SOURCE_POLICY.to_owned(), told))
}

fn source_policy_file() -> Option<String> {
    let path = std::env::var(SOURCE_POLICY).ok();
    path.filter(|path| !path.is_empty())
}

/// A note on the source policy, if there is one. BuildKit compares the rules of the policy with
/// what it is sent, which is no tag (tried: a rule for `docker.io/library/x:1` does not apply).
pub fn policy_note() -> Option<String> {
    source_policy_file().map(|_| {
        format!(
            "{SOURCE_POLICY} is set, but its rules cannot match the images of FROM by tag, as they are sent with their locked digests; to replace such an image, write `[base.\"REFERENCE\"]` in the graph file"
        )
    })
}

/// The policy beside a Dockerfile as settings, with what it sees of the build that might not count
/// otherwise: the target as it was asked for, and arguments that no instruction uses.
pub fn policy(stage: &Stage, stage_inputs: &StageInputs) -> BTreeMap<String, String> {
    let Some(policy) = &stage_inputs.policy else {
        return BTreeMap::new();
    };
    let name = &policy.name;
    let used = &stage_inputs.reading.args;
    let unused = stage_inputs
        .args
        .iter()
        .filter(|(name, _)| !used.contains_key(*name));
    let seen = unused.map(|(argument, value)| (format!("argument {argument} of {name}"), value));
    let target = stage.target.iter();
    let target = target.map(|target| (format!("target of {name}"), target));
    let whole = std::iter::once((name.clone(), &policy.hash));
    let all = whole.chain(seen).chain(target);
    all.map(|(name, value)| (name, value.clone())).collect()
}

/// The variable that makes buildx evaluate its built-in policy (docker/buildx `policy/default.go`
/// as of v0.36.0; Go's `strconv.ParseBool`).
fn default_policy() -> Option<(String, String)> {
    const VARIABLE: &str = "BUILDX_DEFAULT_POLICY";
    let value = std::env::var(VARIABLE).ok()?;
    let is_on = ["1", "t", "T", "TRUE", "true", "True"].contains(&value.as_str());
    is_on.then(|| (VARIABLE.to_owned(), "true".to_owned()))
}

/// The proxies of docker's configuration that a Dockerfile declares. BuildKit does not compare the
/// others.
pub fn proxies(stage: &Stage, reading: &Reading) -> BTreeSet<String> {
    let is_given = |name: &str| stage.args.contains_key(name);
    let seen = reading.unknown_seen.iter();
    seen.filter(|name| proxies::given().contains_key(name.as_str()) && !is_given(name))
        .cloned()
        .collect()
}

/// The target that stands for the last stage. No stage can have this name.
const LAST: &str = "the last stage";

/// The Dockerfile target as it counts: the name of its stage, however the target is spelt. The last
/// stage counts as `LAST`, since the build is the same whether it is named or not. If the text does
/// not decide everything, or uses the name (`TARGETSTAGE`, which newer versions of BuildKit set),
/// the target counts as it was asked for.
fn target<'m>(reading: &'m Reading, asked: Option<&'m str>) -> Option<&'m str> {
    if !reading.undecided.is_empty() || reading.args.contains_key("TARGETSTAGE") {
        return asked;
    }
    if reading.target_is_last {
        return Some(LAST);
    }
    reading.target_name.as_deref().or(asked)
}

/// The part of the ingredients that a folder and a Dockerfile alone decide.
pub fn of_inputs(stage_inputs: &StageInputs) -> Ingredients<'_> {
    let reading = &stage_inputs.reading;
    // The inputs of a named context are listed under names that begin with NUL, so they sort first.
    let named = stage_inputs
        .folders
        .iter()
        .map(|(name, folder)| (name.as_str(), &folder.inputs));
    let main: (&str, &Inputs) = ("", &stage_inputs.context.inputs);
    Ingredients {
        dockerfile: &reading.fingerprint,
        args: reading
            .args
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()))
            .collect(),
        contexts: stage_inputs
            .folders
            .keys()
            .map(|name| (name.as_str(), "folder".to_owned()))
            .collect(),
        remotes: reading
            .remotes
            .iter()
            .map(|remote| {
                (
                    remote.url.clone(),
                    remote.checksum.clone().unwrap_or_default(),
                )
            })
            .collect(),
        inputs: named.chain([main]).collect(),
        ..Ingredients::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dockerfile::Question;

    fn counts(text: &str, asked: Option<&str>) -> Option<String> {
        let question = Question {
            target: asked,
            ..Question::default()
        };
        let reading = dockerfile::read(text.as_bytes(), &question).unwrap();
        target(&reading, asked).map(str::to_owned)
    }

    #[test]
    fn a_target_counts_as_the_stage_that_it_means() {
        let text = "FROM scratch AS Zero\nFROM scratch AS one\nFROM scratch AS Two\n";
        assert_eq!(counts(text, Some("one")).as_deref(), Some("one"));
        for asked in ["zero", "ZERO"] {
            assert_eq!(counts(text, Some(asked)).as_deref(), Some("zero"));
        }
        for asked in [None, Some("two"), Some("TWO")] {
            assert_eq!(counts(text, asked).as_deref(), Some(LAST));
        }
        assert_eq!(counts("FROM scratch\n", None).as_deref(), Some(LAST));
    }

    #[test]
    fn a_target_whose_name_is_used_counts_as_it_is_written() {
        let text = "FROM scratch AS one\nARG TARGETSTAGE\nLABEL of=$TARGETSTAGE\n";
        assert_eq!(counts(text, Some("ONE")).as_deref(), Some("ONE"));
        assert_eq!(counts(text, None), None);
    }

    #[test]
    fn a_target_that_another_frontend_finds_counts_as_it_is_written() {
        let text = "# syntax=mine\nFROM scratch AS one\n";
        assert_eq!(counts(text, Some("One")).as_deref(), Some("One"));
        assert_eq!(counts(text, None), None);
    }
}
