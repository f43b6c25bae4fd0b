//! Which stages are built on the images of other stages: their Dockerfiles name them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::found::{Found, FoundContext, FoundStage, split_reference};
use super::repository::Repository;
use dockerfile::{BaseKind, Question};

/// Adds the parents of all stages, and the contexts of those that their files call by other names.
pub fn add(trees: &[Repository], found: &mut Found) {
    rename(found);
    let images: Vec<(String, String, Vec<String>)> = found
        .stages
        .iter()
        .filter_map(|stage| {
            let image = reference::normalise(stage.image.as_ref()?)?;
            let tags = match stage.tags.as_slice() {
                [] => vec!["latest".to_owned()],
                tags => tags.to_vec(),
            };
            Some((
                stage.name.clone(),
                split_reference(&image.canonical()).0.to_owned(),
                tags,
            ))
        })
        .collect();
    let names: Vec<String> = found
        .stages
        .iter()
        .map(|stage| stage.name.clone())
        .collect();
    for stage in &mut found.stages {
        let Some(tree) = trees.iter().find(|tree| tree.source == stage.source) else {
            continue;
        };
        for base in bases(tree, stage) {
            let is_context = stage.contexts.contains_key(&base.written);
            if is_context {
                continue;
            }
            let is_bare = !base.written.contains(['/', ':', '@']);
            let named = is_bare && names.contains(&base.written) && base.written != stage.name;
            if named {
                link(stage, &base.written, &base.written, base.is_from, true);
                continue;
            }
            let Some(own) = reference::normalise(&base.written) else {
                continue;
            };
            let own = own.canonical();
            let (image, tag) = split_reference(&own);
            let made = images
                .iter()
                .find(|(name, made, _)| made == image && *name != stage.name);
            let Some((parent, _, tags)) = made else {
                continue;
            };
            let has_tag = tags.iter().any(|own| own == tag.unwrap_or("latest"));
            link(stage, parent, &base.written, base.is_from, has_tag);
            if !has_tag {
                stage.ask(format!(
                    "its Dockerfile names `{}`, and the stage `{parent}` makes that image under other tags: is that image meant? If not, remove it from `contexts`",
                    base.written
                ));
            }
        }
    }
}

/// Gives a parent the platforms of its children: a child is built on the parent's image for the
/// same platform.
pub fn share_platforms(found: &mut Found) {
    // A parent's parent may lack them, too. Each round adds a platform, so this ends.
    loop {
        let mut lacking: Vec<(String, String, BTreeSet<String>)> = Vec::new();
        for child in &found.stages {
            let contexts = child.contexts.values().filter_map(|context| match context {
                FoundContext::Stage(name) => Some(name),
                FoundContext::Image(_) | FoundContext::Folder(_) => None,
            });
            for parent in child.from.iter().chain(contexts) {
                let own = found.stages.iter().find(|it| it.name == *parent);
                let lacks = own.map(|own| &child.platforms - &own.platforms);
                if let Some(lacks) = lacks.filter(|lacks| !lacks.is_empty()) {
                    lacking.push((child.name.clone(), parent.clone(), lacks));
                }
            }
        }
        let Some((child, parent, lacks)) = lacking.into_iter().next() else {
            return;
        };
        let Some(own) = found.stages.iter_mut().find(|it| it.name == parent) else {
            return;
        };
        let named: Vec<&str> = lacks.iter().map(String::as_str).collect();
        own.ask(format!(
            "its child `{child}` is built for {}, so this stage is, too: is that right?",
            named.join(", ")
        ));
        own.platforms.extend(lacks);
    }
}

/// An image that a Dockerfile names.
struct Named {
    written: String,
    is_from: bool,
}

fn bases(tree: &Repository, stage: &FoundStage) -> Vec<Named> {
    let Ok(text) = fs::read(tree.root.join(&stage.dockerfile)) else {
        return Vec::new();
    };
    // A value with a variable in it would only mislead.
    let args: BTreeMap<String, String> = stage
        .args
        .iter()
        .filter(|(_, value)| !value.contains('$'))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let question = Question {
        target: stage.target.as_deref(),
        args: &args,
        ..Question::default()
    };
    let Ok(reading) = dockerfile::read(&text, &question) else {
        return Vec::new();
    };
    let bases = reading.bases.into_iter().map(|base| Named {
        written: base.written,
        is_from: base.kind == BaseKind::From,
    });
    bases.collect()
}

/// Lets the image of `parent` take the place of the one that the Dockerfile names.
fn link(stage: &mut FoundStage, parent: &str, written: &str, is_from: bool, is_exact: bool) {
    if is_from && is_exact && stage.from.is_none() {
        stage.from = Some(parent.to_owned());
    } else if stage.from.as_deref() != Some(parent) {
        let context = FoundContext::Stage(parent.to_owned());
        stage.contexts.insert(written.to_owned(), context);
    }
}

/// Names of compose's services and bake's targets become those of the stages that they are.
fn rename(found: &mut Found) {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for stage in &found.stages {
        for name in &stage.called {
            known
                .entry(name.clone())
                .or_insert_with(|| stage.name.clone());
        }
    }
    for stage in &mut found.stages {
        let mut gone = Vec::new();
        for (name, context) in &mut stage.contexts {
            if let FoundContext::Stage(other) = context {
                match known.get(other) {
                    Some(own) => own.clone_into(other),
                    None => gone.push((name.clone(), other.clone())),
                }
            }
        }
        for (name, other) in gone {
            stage.contexts.remove(&name);
            stage.ask(format!("the named context `{name}` is the image of `{other}`, which nothing here builds: which one is it?"));
        }
    }
    for members in found.groups.values_mut() {
        let named = members.iter().filter_map(|name| known.get(name).cloned());
        *members = named.collect();
    }
    found.groups.retain(|name, members| {
        !members.is_empty() && found.stages.iter().all(|stage| stage.name != *name)
    });
}
