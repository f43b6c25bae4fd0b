//! Arguments that a stage gives and its Dockerfile does not take.
//!
//! Such an argument changes nothing, which its author surely did not mean. Arguments that BuildKit
//! takes itself are left out.

use camino::Utf8Path;

use crate::graphfile::spec::{Stage, mistakes};
use crate::outside::proxies;
use dockerfile::Reading;

/// A sentence on each such argument.
pub(super) fn told(
    stage: &Stage,
    text: &[u8],
    reading: &Reading,
    dockerfile: &Utf8Path,
) -> Vec<String> {
    if stage.own_args.is_empty() || stage.args.contains_key("BUILDKIT_SYNTAX") {
        return Vec::new();
    }
    let Some(declared) = dockerfile::names_of_args(text) else {
        return Vec::new();
    };
    // A trigger of the image that the stage stands on may declare more.
    let is_seen = |name: &String| {
        declared.contains(name)
            || reading.args.contains_key(name)
            || reading.unknown_seen.contains(name)
    };
    let names = stage.own_args.iter();
    names
        .filter(|name| !is_seen(name) && !is_buildkits(name))
        .map(|name| {
            let near = mistakes::nearest(name, declared.iter().map(String::as_str));
            let hint = near.map_or_else(
                || "remove it from `args`, or declare it there".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            format!(
                "`{}` gives the argument `{name}`, and {dockerfile} has no `ARG {name}`: {hint}",
                stage.name
            )
        })
        .collect()
}

/// Whether BuildKit takes an argument without a declaration (docs.docker.com/reference/dockerfile,
/// *Predefined ARGs* and *`BuildKit` built-in build args*).
fn is_buildkits(name: &str) -> bool {
    name.starts_with("BUILDKIT_") || name == "SOURCE_DATE_EPOCH" || proxies::is_one(name)
}
