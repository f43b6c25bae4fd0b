//! Names of images in a Dockerfile that are, or may well be meant to be, names of stages.
//!
//! Compares them with the Dockerfile's own stages and with those of the graph. A name that only
//! looks like a stage's may still be an image: that is not looked up here.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use crate::fault::{Fault, Result};
use crate::graphfile::spec::{Spec, Stage, mistakes};
use dockerfile::{BaseKind, BaseUse, Reading};

/// Refuses an image that has the name of another stage of the graph: no registry has the image that
/// is meant.
pub(super) fn refuse_unsaid_stages(
    spec: &Spec,
    stage: &Stage,
    reading: &Reading,
    path: &Utf8Path,
) -> Result<()> {
    for base in bare(reading) {
        let name = &base.written;
        // A stage may be built on the image that it is named after.
        let own = spec.name_in_file(stage);
        if name == own || !spec.stages.iter().any(|other| other.name == *name) {
            continue;
        }
        let line = if base.kind == BaseKind::From && stage.from.is_none() {
            format!("add `from = \"{name}\"` to `[stage.{own}]`")
        } else if stage.contexts.is_empty() {
            format!("add `contexts = {{ {name} = {{ stage = \"{name}\" }} }}` to `[stage.{own}]`")
        } else {
            format!("add `{name} = {{ stage = \"{name}\" }}` to the `contexts` of `[stage.{own}]`")
        };
        return Err(Fault::usage(format!(
            "{} names the stage `{name}`, and the graph does not say that `{own}` stands on it: {line}; \
             for an image of a registry write `{name}:latest`",
            place(base, path)
        )));
    }
    Ok(())
}

/// A sentence on each image that has nearly the name of a stage, by reference: where it is named,
/// and which stage may be meant.
pub(super) fn near_stages(
    spec: &Spec,
    stage: &Stage,
    text: &[u8],
    reading: &Reading,
    path: &Utf8Path,
) -> BTreeMap<String, String> {
    let mut own: Option<BTreeSet<String>> = None;
    let mut near = BTreeMap::new();
    for base in bare(reading) {
        let own = own.get_or_insert_with(|| dockerfile::names_of_stages(text));
        let name = &base.written;
        let others = spec.stages.iter().filter(|other| !other.is_part());
        let others = others.map(|other| other.name.as_str());
        let others = others.filter(|other| *other != spec.name_in_file(stage));
        let which = if let Some(own) = mistakes::nearest(name, own.iter().map(String::as_str)) {
            format!("no stage has this name; did you mean the Dockerfile stage `{own}`?")
        } else if let Some(other) = mistakes::nearest(name, others) {
            format!("no stage has this name; did you mean the stage `{other}` of the graph?")
        } else {
            continue;
        };
        let place = place(base, path);
        near.insert(base.reference.clone(), format!("{place}: {which}"));
    }
    near
}

/// The images that are named without host, folder, tag and digest, if the text surely names them.
fn bare(reading: &Reading) -> impl Iterator<Item = &BaseUse> {
    let bases = reading.bases.iter().filter(|_| reading.references_complete);
    bases.filter(|base| !base.written.contains(['/', ':', '@']))
}

/// `Dockerfile:3: COPY --from=buidler`.
fn place(base: &BaseUse, path: &Utf8Path) -> String {
    let name = &base.written;
    let instruction = match base.kind {
        BaseKind::From => format!("FROM {name}"),
        BaseKind::CopyFrom => format!("COPY --from={name}"),
        BaseKind::MountFrom => format!("RUN --mount=from={name}"),
    };
    format!("{path}:{}: `{instruction}`", base.line)
}
