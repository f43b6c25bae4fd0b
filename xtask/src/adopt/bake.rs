//! What bake files build, as `docker buildx bake --print` resolves them
//! (docs.docker.com/build/bake/reference).
//!
//! The call gets no environment, so variables have the defaults of the file.

use std::collections::BTreeSet;

use camino::Utf8Path;
use serde_json::Value;

use super::found::{
    BuildSecret, Found, FoundContext, FoundPlace, FoundStage, Witness, split_reference,
};
use super::repository::Repository;
use super::values::plain;
use crate::outside::ask;
use crate::outside::interrupt::Interrupt;

/// Adds what the bake files of a tree build.
pub fn add(tree: &Repository, found: &mut Found, interrupt: &Interrupt) {
    let is_bake = |name: &str| {
        [
            "docker-bake.hcl",
            "docker-bake.json",
            "docker-bake.override.hcl",
            "docker-bake.override.json",
        ]
        .contains(&name)
    };
    let mut folders: Vec<&Utf8Path> = tree.named(is_bake).filter_map(Utf8Path::parent).collect();
    folders.dedup();
    for folder in folders {
        let here = |path: &&Utf8Path| path.parent() == Some(folder);
        let files: Vec<&Utf8Path> = tree.named(is_bake).filter(here).collect();
        let shown: Vec<String> = files.iter().map(|file| tree.shown(file)).collect();
        match printed(tree, folder, &files, interrupt) {
            Ok(config) => {
                let shown_first = shown[0].clone();
                found.read.extend(shown);
                one(tree, folder, &shown_first, &config, found);
            }
            Err(why) => {
                let why = format!("{}: {why}", shown.join(", "));
                found.cannot_read(why, super::works(&["buildx", "version"], interrupt));
            }
        }
    }
}

fn printed(
    tree: &Repository,
    folder: &Utf8Path,
    files: &[&Utf8Path],
    interrupt: &Interrupt,
) -> Result<Value, String> {
    let mut names = Vec::new();
    let mut command = ask::docker();
    command.args(["buildx", "bake"]);
    for file in files {
        let path = tree.root.join(file);
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        names.extend(targets_in(&text));
        command.arg("--file").arg(path);
    }
    names.sort();
    names.dedup();
    command.arg("--print").arg("--").args(&names);
    command.current_dir(tree.root.join(folder));
    let said = ask::ask(command, interrupt);
    if !said.good {
        return Err(format!(
            "`docker buildx bake --print` cannot read it: {}",
            said.why()
        ));
    }
    serde_json::from_str(&said.stdout).map_err(|error| error.to_string())
}

/// The names of the targets and groups of a file. Bake prints only those that it is asked for.
fn targets_in(text: &str) -> Vec<String> {
    if let Ok(json) = serde_json::from_str::<Value>(text) {
        let tables = [&json["target"], &json["group"]];
        let tables = tables.into_iter().filter_map(Value::as_object);
        return tables.flat_map(|table| table.keys().cloned()).collect();
    }
    let name = |line: &str| {
        let line = line.trim_start();
        let rest = line
            .strip_prefix("target")
            .or_else(|| line.strip_prefix("group"))?;
        let rest = rest.trim_start().strip_prefix('"')?;
        let (name, rest) = rest.split_once('"')?;
        let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let is_block = rest.trim_start().starts_with('{');
        (is_block && name.chars().all(is_safe)).then(|| name.to_owned())
    };
    text.lines().filter_map(name).collect()
}

fn one(tree: &Repository, folder: &Utf8Path, file: &str, config: &Value, found: &mut Found) {
    let targets = config["target"].as_object();
    for (name, says) in targets.into_iter().flatten() {
        match target(tree, folder, file, name, says) {
            Ok(stage) => found.add(stage),
            Err(why) => found.left.push(format!("target `{name}` of {file}: {why}")),
        }
    }
    let groups = config["group"].as_object();
    for (name, _) in groups.into_iter().flatten() {
        let mut members = BTreeSet::new();
        gather(config, name, &mut BTreeSet::new(), &mut members);
        let is_target = config["target"].get(name).is_some();
        // All that there is has no need of a name.
        if name != "default" && !is_target && !members.is_empty() {
            found.groups.insert(name.clone(), members);
        }
    }
}

/// The targets of a group, with those of the groups in it.
fn gather(
    config: &Value,
    group: &str,
    seen: &mut BTreeSet<String>,
    members: &mut BTreeSet<String>,
) {
    if !seen.insert(group.to_owned()) {
        return;
    }
    let names = config["group"][group]["targets"].as_array();
    for name in names.into_iter().flatten().filter_map(Value::as_str) {
        if config["target"].get(name).is_some() {
            members.insert(name.to_owned());
        } else {
            gather(config, name, seen, members);
        }
    }
}

fn target(
    tree: &Repository,
    folder: &Utf8Path,
    file: &str,
    name: &str,
    says: &Value,
) -> Result<FoundStage, String> {
    let text = |name: &str| says[name].as_str().map(str::to_owned);
    let texts = |name: &str| -> Vec<String> {
        let list = says[name].as_array().into_iter().flatten();
        list.filter_map(|one| Some(one.as_str()?.to_owned()))
            .collect()
    };
    if says.get("dockerfile-inline").is_some() {
        return Err("it has its Dockerfile inline; write it into a file of its own".into());
    }
    let context = text("context").unwrap_or_else(|| ".".into());
    let outside = || format!("its context `{context}` is not a folder of this repository");
    if context.contains("://") {
        return Err(outside());
    }
    let context = tree.inner(folder, &context).ok_or_else(outside)?;
    let dockerfile = text("dockerfile").unwrap_or_else(|| "Dockerfile".into());
    let dockerfile = tree
        .inner(&context, &dockerfile)
        .filter(|path| tree.root.join(path).is_file())
        .ok_or_else(|| format!("its Dockerfile `{dockerfile}` is not there"))?;
    let mut stage = FoundStage {
        evidence: Witness::Bake,
        name: name.to_owned(),
        called: BTreeSet::from([name.to_owned()]),
        origins: vec![format!("{file}, target `{name}`")],
        source: tree.source.clone(),
        context,
        dockerfile,
        target: text("target"),
        platforms: texts("platforms").into_iter().collect(),
        ssh: texts("ssh").into_iter().collect(),
        network: text("network"),
        shm_size: text("shm-size"),
        ulimit: texts("ulimits"),
        ..FoundStage::default()
    };
    let table = |name: &str| says[name].as_object().into_iter().flatten();
    for (name, value) in table("args") {
        stage
            .args
            .extend(value.as_str().map(|value| (name.clone(), plain(value))));
    }
    for (name, value) in table("labels") {
        stage
            .labels
            .extend(value.as_str().map(|value| (name.clone(), plain(value))));
    }
    for (name, value) in table("extra-hosts") {
        stage
            .add_hosts
            .extend(value.as_str().map(|value| (name.clone(), value.to_owned())));
    }
    for tag in texts("tags") {
        let (image, version) = split_reference(&tag);
        if stage.image.as_deref().is_none_or(|own| own == image) {
            stage.image = Some(image.to_owned());
            stage.tags.extend(version.map(str::to_owned));
        } else {
            stage.ask(format!("bake gives the image the other name `{tag}`, too: publish it there with a `[target.…]`?"));
        }
    }
    for (name, value) in table("contexts") {
        let value = value.as_str().unwrap_or_default();
        let context = if let Some(other) = value.strip_prefix("target:") {
            Some(FoundContext::Stage(other.to_owned()))
        } else if let Some(image) = value.strip_prefix("docker-image://") {
            Some(FoundContext::Image(image.to_owned()))
        } else if value.contains("://") {
            None
        } else {
            tree.inner(folder, value).map(FoundContext::Folder)
        };
        match context {
            Some(context) => {
                stage.contexts.insert(name.clone(), context);
            }
            None => stage.ask(format!("the named context `{name}` is `{value}`, which is outside this repository: where should it be taken from?")),
        }
    }
    for secret in says["secret"].as_array().into_iter().flatten() {
        stage.secrets.extend(self::secret(tree, folder, secret));
    }
    Ok(stage)
}

/// `id=token,env=TOKEN`, or a table of the same fields. Without a place it is the variable of the
/// same name.
fn secret(tree: &Repository, folder: &Utf8Path, says: &Value) -> Option<BuildSecret> {
    let field = |name: &str| match says {
        Value::String(text) => {
            let field = text
                .split(',')
                .find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
            field.map(str::to_owned)
        }
        other => Some(other[name].as_str()?.to_owned()),
    };
    let id = field("id")?;
    let file = field("src").or_else(|| field("source"));
    let place = match file {
        Some(file) => FoundPlace::File(tree.inner(folder, &file)?),
        None => FoundPlace::Env(field("env").unwrap_or_else(|| id.clone())),
    };
    Some(BuildSecret { id, place })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_targets_and_groups_are_found_in_both_forms() {
        let hcl = "variable \"V\" {\n}\ntarget \"a\" {\n}\n  group \"g-1\"{ targets = [\"a\"] }\ntarget \"${x}\" {\n";
        assert_eq!(targets_in(hcl), ["a", "g-1"]);
        let json = r#"{"target": {"a": {}, "b": {}}, "group": {"g": {}}}"#;
        assert_eq!(targets_in(json), ["a", "b", "g"]);
    }
}
