//! Everything that a stack is given besides the images of stages.
//!
//! An answer about a stack holds as long as its compose file, its variables, the files that it
//! mounts and the images of its other services stay the same. All of them can be checked here
//! without `docker compose`, which takes longer than everything else.

use std::collections::BTreeMap;

use std::os::unix::fs::MetadataExt as _;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::compose::ComposeFile;
use super::config::{entries, flag, list, text};
use super::filling::Filling;
use super::{Pinned, Resolved, Run, fill, setting, stack_of};
use crate::graphfile::spec::Spec;
use crate::outside::ask;
use crate::outside::engine::Engine;
use crate::outside::interrupt::Interrupt;

/// What to check. It contains names only, so it may be saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// By service: the reference of an image that no stage built.
    references: BTreeMap<String, String>,
    /// Files and folders of this machine that containers see.
    binds: Vec<Bind>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Bind {
    path: String,
    /// Whether containers see the folder itself, and not a copy of the files of the checkout.
    is_seen_whole: bool,
}

/// Keywords that refer to further files, which only compose finds.
const OTHERS: [&str; 4] = ["include", "extends", "env_file", "label_file"];

impl Given {
    /// What a resolved compose file is given.
    fn of(config: &Value, images: &BTreeMap<String, Pinned>) -> Self {
        let references = images.iter().filter(|(_, image)| image.stage.is_none());
        let references = references.map(|(name, image)| (name.clone(), image.reference.clone()));
        let mounts = entries(config, "services").flat_map(|(_, service)| list(service, "volumes"));
        let mounts = mounts.filter(|mount| text(mount, "type") == "bind");
        let mounts = mounts.map(|mount| Bind {
            path: text(mount, "source").to_owned(),
            is_seen_whole: flag(mount, "read_only"),
        });
        let files = ["configs", "secrets"].into_iter();
        let files = files.flat_map(|kind| entries(config, kind));
        let files = files.filter(|(_, file)| !text(file, "file").is_empty());
        let files = files.map(|(_, file)| Bind {
            path: text(file, "file").to_owned(),
            is_seen_whole: true,
        });
        let mut binds: Vec<Bind> = mounts.chain(files).collect();
        binds.sort();
        binds.dedup();
        Self {
            references: references.collect(),
            binds,
        }
    }

    /// The content of the binds. `None` if a folder is too large to be read.
    fn content(&self, is_fetched: bool, interrupt: &Interrupt) -> Option<Value> {
        let mut all = serde_json::Map::new();
        for bind in &self.binds {
            let content = content(bind, is_fetched, interrupt)?;
            let key = format!("{} {}", bind.is_seen_whole, bind.path);
            all.insert(key, content);
        }
        Some(Value::Object(all))
    }
}

fn content(bind: &Bind, is_fetched: bool, interrupt: &Interrupt) -> Option<Value> {
    let path = std::path::Path::new(&bind.path);
    let Ok(meta) = path.metadata() else {
        return Some("absent".into());
    };
    let owner = (meta.mode(), meta.uid(), meta.gid());
    if meta.is_file() {
        let bytes = std::fs::read(path).ok()?;
        let hash = blake3::hash(&bytes).to_hex();
        return Some(json!([hash.as_str(), owner]));
    }
    if !meta.is_dir() {
        return Some("special".into());
    }
    let filling = Filling::Folder {
        path: bind.path.as_str().into(),
        for_group: false,
    };
    let archive = fill::archive(&filling, is_fetched || bind.is_seen_whole, interrupt).ok()?;
    match archive {
        // The archive has no entry for the folder itself.
        Some(bytes) => Some(json!([blake3::hash(&bytes).to_hex().as_str(), owner])),
        // A volume starts empty if the folder is too large or has no files of the checkout.
        None if !bind.is_seen_whole => Some("empty".into()),
        None => {
            let mut entries = path.read_dir().ok()?;
            entries.next().is_none().then(|| "empty".into())
        }
    }
}

/// What an answer about this stack depends on, with what compose says of the stack. `None` if it
/// depends on something that cannot be read, such as a folder that is too large.
pub fn asked(run: &Run<'_>, resolved: &Resolved) -> Option<(Given, Value)> {
    let file = setting::file(run.spec, stack_of(run.spec).ok()?).ok()?;
    // The content of external volumes and of volumes with driver options cannot be read.
    let mut volumes = entries(&resolved.config, "volumes");
    if volumes.any(|(_, volume)| flag(volume, "external") || volume.get("driver_opts").is_some()) {
        return None;
    }
    let given = Given::of(&resolved.config, &resolved.images);
    let images = resolved.images.iter();
    let images: BTreeMap<&String, &String> =
        images.map(|(name, image)| (name, &image.id)).collect();
    let asked = json!({
        "config": resolved.config,
        "images": images,
        "binds": given.content(file.is_fetched, run.interrupt)?,
    });
    Some((given, asked))
}

/// What the answer depends on, as seen without compose. The value stays the same as long as nothing
/// has changed. `None` if only compose can tell.
pub fn glance(spec: &Spec, engine: &Engine, interrupt: &Interrupt, given: &Given) -> Option<Value> {
    let stack = stack_of(spec).ok()?;
    let (variables, _) = setting::variables(stack).ok()?;
    // With such variables compose reads other files.
    if variables.keys().any(|name| name.starts_with("COMPOSE_")) {
        return None;
    }
    let file = setting::file(spec, stack).ok()?;
    let texts = texts(&file)?;
    let references: Vec<String> = given.references.values().cloned().collect();
    let found = engine.images(&references).ok()?;
    let id = |reference: &String| found.get(reference)?.as_ref().map(|image| image.id.clone());
    let others = given.references.iter();
    let others: BTreeMap<&String, String> = others
        .map(|(service, reference)| Some((service, id(reference)?)))
        .collect::<Option<_>>()?;
    Some(json!({
        "environment": ask::environment().filter(|(name, _)| is_read(name, &texts)).collect::<BTreeMap<_, _>>(),
        "files": texts,
        "variables": variables,
        "images": others,
        "binds": given.content(file.is_fetched, interrupt)?,
    }))
}

/// Whether compose may read a variable that these texts do not set. `~` means HOME.
fn is_read(name: &str, texts: &[Option<String>]) -> bool {
    name == "HOME" || texts.iter().flatten().any(|text| text.contains(name))
}

/// The texts that compose reads. `None` if they refer to further files.
fn texts(file: &ComposeFile) -> Option<Vec<Option<String>>> {
    let read = |path: &Utf8Path| std::fs::read_to_string(path).ok();
    let mut composes = vec![read(&file.path)?];
    if let Some(path) = &file.override_file {
        composes.push(read(path)?);
    }
    let names_others = |text: &String| OTHERS.iter().any(|word| text.contains(word));
    if composes.iter().any(names_others) {
        return None;
    }
    let beside = file
        .env_file
        .clone()
        .unwrap_or_else(|| file.folder.join(".env"));
    let composes = composes.into_iter().map(Some);
    Some(composes.chain([read(&beside)]).collect())
}
