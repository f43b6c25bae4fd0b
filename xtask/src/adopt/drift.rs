//! What has changed in a repository since its graph file was written.

use std::collections::{BTreeMap, BTreeSet};

use super::found::{Found, FoundStage};
use super::write;
use crate::graphfile::spec::{Spec, Stage};

/// How a line begins that names a Dockerfile that no stage shall build.
const LEFT_OUT: &str = "# init: leaves out ";

/// Sentences on everything that differs between what is found now (`found`, and as a graph
/// `today`) and the graph `spec` with the text `text`.
pub fn of(found: &Found, today: &Spec, spec: &Spec, text: &str) -> Vec<String> {
    let marks = marks(text);
    let left_out: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix(LEFT_OUT))
        .map(str::trim)
        .collect();
    let mut told = Vec::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for new in &found.stages {
        let same_name = stage_of(spec, &new.name);
        let Some(own) = same_name.or_else(|| same_build(spec, new)) else {
            if !left_out.contains(new.dockerfile.as_str()) {
                let from = new.origins.join("; ");
                told.push(format!(
                    "no stage builds {path}: it comes from {from}; if none shall, write the line `{LEFT_OUT}{path}`",
                    path = new.dockerfile
                ));
            }
            continue;
        };
        known.insert(&own.name);
        // What a person changed since is theirs. It counts only what init would write today.
        if marks
            .get(&own.name)
            .is_some_and(|mark| *mark == write::hash(&write::body(new)))
        {
            continue;
        }
        let Some(today) = stage_of(today, &new.name) else {
            continue;
        };
        told.extend(differences(new, today, own));
    }
    for (name, _) in marks
        .iter()
        .filter(|(name, _)| !known.contains(name.as_str()))
    {
        if stage_of(spec, name).is_some() {
            told.push(format!(
                "stage `{name}`: what it was made from is not there any more"
            ));
        }
    }
    told
}

fn stage_of<'s>(spec: &'s Spec, name: &str) -> Option<&'s Stage> {
    spec.stages.iter().find(|stage| stage.name == name)
}

/// The stage of another name that is the same build.
fn same_build<'s>(spec: &'s Spec, new: &FoundStage) -> Option<&'s Stage> {
    spec.stages.iter().find(|stage| {
        let source = stage.source.map(|id| &spec.sources[id.index()].name);
        source == new.source.as_ref()
            && stage.dockerfile == new.dockerfile
            && stage.context == new.context
            && stage.target == new.target
    })
}

/// The hash above each stage, by the stage's name.
fn marks(text: &str) -> BTreeMap<String, String> {
    let mut marks = BTreeMap::new();
    let mut mark: Option<&str> = None;
    for line in text.lines().map(str::trim) {
        if let Some(hash) = line.strip_prefix(write::MARK.trim_end()) {
            mark = Some(hash.trim());
        } else if let Some(name) = line.strip_prefix("[stage.") {
            let name = name.trim_end_matches(']').trim_matches(['"', '\'']);
            if let Some(mark) = mark.take() {
                marks.insert(name.to_owned(), mark.to_owned());
            }
        } else if !line.starts_with('#') && !line.is_empty() {
            mark = None;
        }
    }
    marks
}

/// What the files of the repository say of a stage, and its graph says otherwise. What only the
/// graph says is its own.
fn differences(new: &FoundStage, today: &Stage, own: &Stage) -> Vec<String> {
    let mut told = Vec::new();
    let mut compare = |field: &str, new_value: String, own_value: String| {
        if new_value != own_value {
            let shown = |value: &str| {
                if value.is_empty() {
                    "nothing".to_owned()
                } else {
                    format!("`{value}`")
                }
            };
            told.push(format!(
                "stage `{}`: {field} is {} in {}, and {} in the graph",
                own.name,
                shown(&new_value),
                new.origins.join("; "),
                shown(&own_value)
            ));
        }
    };
    compare(
        "`context`",
        today.context.to_string(),
        own.context.to_string(),
    );
    compare(
        "`dockerfile`",
        today.dockerfile.to_string(),
        own.dockerfile.to_string(),
    );
    let text = |of: &Option<String>| of.clone().unwrap_or_default();
    if today.target.is_some() {
        compare("`target`", text(&today.target), text(&own.target));
    }
    if today.image.is_some() {
        compare("`image`", text(&today.image), text(&own.image));
    }
    if !new.tags.is_empty() {
        compare("`tags`", today.tags.join(", "), own.tags.join(", "));
    }
    if !today.platforms.is_empty() {
        compare(
            "`platforms`",
            today.platforms.join(", "),
            own.platforms.join(", "),
        );
    }
    for (name, value) in &today.args {
        let before = own.args.get(name).map(ToString::to_string);
        compare(
            &format!("the argument `{name}`"),
            value.to_string(),
            before.unwrap_or_default(),
        );
    }
    let lacking = |all: &[String], own: &[String]| {
        let lacking = all.iter().filter(|one| !own.contains(one));
        lacking.cloned().collect::<Vec<_>>().join(", ")
    };
    let services = lacking(&today.services, &own.services);
    if !services.is_empty() {
        compare("a service of it", services, String::new());
    }
    for name in today
        .contexts
        .keys()
        .filter(|name| !own.contexts.contains_key(*name))
    {
        compare("a named context", name.clone(), String::new());
    }
    for id in today
        .secrets
        .keys()
        .filter(|id| !own.secrets.contains_key(*id))
    {
        compare("a secret", id.clone(), String::new());
    }
    told
}
