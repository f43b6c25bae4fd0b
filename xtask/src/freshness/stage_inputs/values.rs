//! The values of a stage's arguments and labels, which may mention facts of its source.

use std::collections::BTreeMap;

use crate::fault::Result;
use crate::freshness::record::Volatile;
use crate::graphfile::source::facts::fact;
use crate::graphfile::spec::template::Template;
use crate::graphfile::spec::{Spec, Stage};

/// The arguments with their values: the volatile ones, or the others.
pub fn expand(spec: &Spec, stage: &Stage, volatile: bool) -> Result<BTreeMap<String, String>> {
    values(spec, stage, &stage.args, volatile)
}

/// The labels with their values: the volatile ones, or the others.
pub fn labels(spec: &Spec, stage: &Stage, volatile: bool) -> Result<BTreeMap<String, String>> {
    values(spec, stage, &stage.labels, volatile)
}

/// The volatile values of a stage.
pub fn volatile(spec: &Spec, stage: &Stage) -> Result<Volatile> {
    Ok(Volatile {
        arguments: expand(spec, stage, true)?,
        labels: labels(spec, stage, true)?,
    })
}

/// The annotations of a stage's published index.
pub fn annotations(spec: &Spec, stage: &Stage) -> Result<BTreeMap<String, String>> {
    let value = |template: &Template| template.expand(|name| fact(spec, stage.source, name));
    let annotations = stage.annotations.iter();
    annotations
        .map(|(name, template)| Ok((name.clone(), value(template)?)))
        .collect()
}

fn values(
    spec: &Spec,
    stage: &Stage,
    templates: &BTreeMap<String, Template>,
    volatile: bool,
) -> Result<BTreeMap<String, String>> {
    let asked = templates.iter();
    let asked = asked.filter(|(name, _)| stage.volatile.contains(*name) == volatile);
    let value = |template: &Template| template.expand(|name| fact(spec, stage.source, name));
    asked
        .map(|(name, template)| Ok((name.clone(), value(template)?)))
        .collect()
}
