//! The values of a stage's arguments and labels, which may mention facts of its source.

use std::collections::BTreeMap;

use crate::fault::Result;
use crate::graphfile::source;
use crate::graphfile::spec::{Spec, Stage};

/// The arguments with their values: the volatile ones, or the others.
pub fn expand(spec: &Spec, stage: &Stage, volatile: bool) -> Result<BTreeMap<String, String>> {
    stage
        .args
        .iter()
        .filter(|(name, _)| stage.volatile.contains(*name) == volatile)
        .map(|(name, value)| Ok((name.clone(), value.expand(|name| fact(spec, stage, name))?)))
        .collect()
}

/// The labels with their values.
pub fn labels(spec: &Spec, stage: &Stage) -> Result<BTreeMap<String, String>> {
    stage
        .labels
        .iter()
        .map(|(name, value)| Ok((name.clone(), value.expand(|name| fact(spec, stage, name))?)))
        .collect()
}

/// The value of `${source.commit}` or `${source.rev}`. It is asked for only if a value mentions it,
/// as that may cost a process.
fn fact(spec: &Spec, stage: &Stage, name: &str) -> Result<String> {
    let git = stage
        .source
        .and_then(|id| spec.sources[id.index()].git.as_ref());
    match git {
        Some(git) if name == "source.rev" => Ok(git.rev.clone()),
        _ => source::commit(spec, stage.source),
    }
}
