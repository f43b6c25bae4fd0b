//! What compose files build and run, as `docker compose config` resolves them
//! (docs.docker.com/reference/cli/docker/compose/config).
//!
//! Variables stay as they are written: their values may be secrets of whoever runs this.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Map, Value};

use super::found::{
    BuildSecret, Found, FoundContext, FoundPlace, FoundStage, Witness, split_reference,
};
use super::repository::{Repository, is_yaml};
use super::services::Service;
use super::values::interpolate;
use crate::outside::ask;
use crate::outside::interrupt::Interrupt;

/// The names that compose looks for, in its order.
const NAMES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];

/// Adds what the compose files of a tree build. Returns all their services.
pub fn add(tree: &Repository, found: &mut Found, interrupt: &Interrupt) -> Vec<Service> {
    let is_compose = |name: &str| {
        let is_named = name.starts_with("docker-compose") || name.starts_with("compose.");
        is_yaml(name) && is_named && !name.contains("override")
    };
    let mut files: Vec<&Utf8Path> = tree.named(is_compose).collect();
    // The file that compose takes by itself says more than those beside it.
    let rank = |path: &&Utf8Path| {
        let place = NAMES
            .iter()
            .position(|name| path.file_name() == Some(*name));
        (place.unwrap_or(NAMES.len()), path.components().count())
    };
    files.sort_by_key(rank);
    let mut services = Vec::new();
    for file in files {
        match resolved(tree, file, interrupt) {
            Ok(config) => {
                found.read.insert(tree.shown(file));
                one(tree, file, &config, found, &mut services);
            }
            Err(why) => {
                let why = format!("{}: {why}", tree.shown(file));
                found.cannot_read(why, super::works(&["compose", "version"], interrupt));
            }
        }
    }
    services
}

/// The file as compose resolves it, with its override.
fn resolved(tree: &Repository, file: &Utf8Path, interrupt: &Interrupt) -> Result<Value, String> {
    let folder = file.parent().unwrap_or(Utf8Path::new(""));
    let mut command = ask::docker();
    command
        .arg("compose")
        .arg("--file")
        .arg(tree.root.join(file));
    let stem = file.file_stem().unwrap_or_default();
    for extension in ["yaml", "yml"] {
        let over = tree
            .root
            .join(folder)
            .join(format!("{stem}.override.{extension}"));
        if NAMES.iter().any(|name| file.file_name() == Some(*name)) && over.is_file() {
            command.arg("--file").arg(over);
        }
    }
    // Nothing is fetched that the file includes from elsewhere.
    command.env("COMPOSE_EXPERIMENTAL_GIT_REMOTE", "false");
    command.env("COMPOSE_EXPERIMENTAL_OCI_REMOTE", "false");
    command.args(["config", "--no-interpolate", "--format", "json"]);
    command.current_dir(tree.root.join(folder));
    let said = ask::ask(command, interrupt);
    if !said.good {
        return Err(format!(
            "`docker compose config` cannot read it: {}",
            said.why()
        ));
    }
    serde_json::from_str(&said.stdout).map_err(|error| error.to_string())
}

fn one(
    tree: &Repository,
    file: &Utf8Path,
    config: &Value,
    found: &mut Found,
    all: &mut Vec<Service>,
) {
    let project = config["name"].as_str().unwrap_or_default();
    let text = std::fs::read_to_string(tree.root.join(file)).unwrap_or_default();
    let written: Value = serde_saphyr::from_str(&text).unwrap_or_default();
    let empty = Map::new();
    let services = config["services"].as_object().unwrap_or(&empty);
    for (service, says) in services {
        let is_built = says["build"].is_object();
        let image = says["image"]
            .as_str()
            .filter(|_| !is_built)
            .map(str::to_owned);
        all.push(Service {
            file: file.to_owned(),
            name: service.clone(),
            image,
        });
        if is_built {
            match built(tree, file, (project, service), says, config, found) {
                Ok(mut stage) => {
                    ask_of_unset(&written["services"][service]["build"], &mut stage);
                    found.add(stage);
                }
                Err(why) => found.left.push(format!(
                    "service `{service}` of {}: {why}",
                    tree.shown(file)
                )),
            }
        }
    }
}

/// The stage that a service builds.
fn built(
    tree: &Repository,
    file: &Utf8Path,
    (project, service): (&str, &str),
    says: &Value,
    config: &Value,
    found: &mut Found,
) -> Result<FoundStage, String> {
    let build = &says["build"];
    if build.get("dockerfile_inline").is_some() {
        return Err("it has its Dockerfile inline; write it into a file of its own".into());
    }
    let folder = file.parent().unwrap_or(Utf8Path::new(""));
    let context = text(build, "context").unwrap_or_else(|| ".".into());
    let context = inside(tree, folder, &context, "context")?;
    let dockerfile = text(build, "dockerfile").unwrap_or_else(|| "Dockerfile".into());
    let dockerfile = inside(tree, &context, &dockerfile, "dockerfile")?;
    if !tree.root.join(&dockerfile).is_file() {
        return Err(format!("its Dockerfile `{dockerfile}` is not there"));
    }
    let mut stage = FoundStage {
        evidence: Witness::Compose,
        name: service.to_owned(),
        called: BTreeSet::from([service.to_owned()]),
        origins: vec![format!("{}, service `{service}`", tree.shown(file))],
        source: tree.source.clone(),
        context,
        dockerfile,
        target: text(build, "target"),
        shm_size: text(build, "shm_size"),
        network: text(build, "network")
            .filter(|name| ["none", "host", "default"].contains(&name.as_str())),
        ssh: texts(build, "ssh").into_iter().collect(),
        services: BTreeSet::from([service.to_owned()]),
        ..FoundStage::default()
    };
    let mut template = |text: &str, stage: &mut FoundStage| match interpolate(text, &mut found.vars)
    {
        Ok(template) => Some(template),
        Err(why) => {
            stage.ask(format!("{why}: what should it be here?"));
            None
        }
    };
    for (name, value) in pairs(build, "args") {
        let value = value.and_then(|value| template(&value, &mut stage));
        stage.args.extend(value.map(|value| (name, value)));
    }
    for (name, value) in pairs(build, "labels") {
        let value = template(&value.unwrap_or_default(), &mut stage);
        stage.labels.extend(value.map(|value| (name, value)));
    }
    // Without a name of its own, compose runs the image under this one.
    let own = format!("{project}-{service}");
    let image = text(says, "image").unwrap_or(own);
    if let Some(image) = template(&image, &mut stage) {
        stage.name_image(&image);
    }
    for tag in texts(build, "tags") {
        let (image, tag) = split_reference(&tag);
        if stage.image.as_deref() == Some(image) {
            stage.tags.extend(tag.map(str::to_owned));
        }
    }
    stage.platforms = texts(build, "platforms").into_iter().collect();
    for (name, value) in pairs(build, "additional_contexts") {
        let value = value.unwrap_or_default();
        let context = if let Some(other) = value.strip_prefix("service:") {
            Some(FoundContext::Stage(other.to_owned()))
        } else if let Some(image) = value.strip_prefix("docker-image://") {
            Some(FoundContext::Image(image.to_owned()))
        } else {
            inside(tree, folder, &value, "context")
                .ok()
                .map(FoundContext::Folder)
        };
        match context {
            Some(context) => {
                stage.contexts.insert(name, context);
            }
            None => stage.ask(format!("the named context `{name}` is `{value}`, which is outside this repository: where should it be taken from?")),
        }
    }
    secrets(tree, folder, build, config, &mut stage);
    for (name, address) in hosts(build) {
        stage.add_hosts.insert(name, address);
    }
    if let Some(limits) = build["ulimits"].as_object() {
        stage.ulimit = limits
            .iter()
            .filter_map(|(name, limit)| ulimit(name, limit))
            .collect();
    }
    Ok(stage)
}

/// Asks about arguments that take their values from the environment. Compose leaves them out of
/// what it resolves if they have none there.
fn ask_of_unset(written: &Value, stage: &mut FoundStage) {
    for (name, value) in pairs(written, "args") {
        if value.is_none() {
            stage.args.remove(&name);
            stage.ask(format!(
                "compose takes the argument `{name}` from the environment; if it is not a secret, write `{name} = {{ env = \"{name}\" }}` under [vars] and `{name} = \"${{{name}}}\"` into `args`"
            ));
        }
    }
}

/// The secrets of a build, whose places the top of the file names.
fn secrets(
    tree: &Repository,
    folder: &Utf8Path,
    build: &Value,
    config: &Value,
    stage: &mut FoundStage,
) {
    let named = build["secrets"].as_array().into_iter().flatten();
    for secret in named {
        let source = text(secret, "source").or_else(|| secret.as_str().map(str::to_owned));
        let Some(source) = source else {
            continue;
        };
        let id = text(secret, "target").unwrap_or_else(|| source.clone());
        let says = &config["secrets"][&source];
        let place = if let Some(variable) = text(says, "environment") {
            Some(FoundPlace::Env(variable))
        } else {
            let file = text(says, "file");
            let file = file.and_then(|file| inside(tree, folder, &file, "secret").ok());
            file.map(FoundPlace::File)
        };
        match place {
            Some(place) => stage.secrets.push(BuildSecret { id, place }),
            None => stage.ask(format!("where is the value of the secret `{id}`? `secrets = [{{ id = \"{id}\", env = \"VARIABLE\" }}]`")),
        }
    }
}

/// `nofile=1024:2048`.
fn ulimit(name: &str, limit: &Value) -> Option<String> {
    if let Some(number) = limit.as_i64() {
        return Some(format!("{name}={number}"));
    }
    let part = |which: &str| limit[which].as_i64();
    Some(format!("{name}={}:{}", part("soft")?, part("hard")?))
}

/// Hosts are `NAME=ADDRESS` or `NAME:ADDRESS`, in a list or a table.
fn hosts(build: &Value) -> Vec<(String, String)> {
    let split = |host: &str| {
        let (name, address) = host.split_once(['=', ':'])?;
        Some((name.to_owned(), address.to_owned()))
    };
    let listed = build["extra_hosts"].as_array().into_iter().flatten();
    let listed = listed.filter_map(|host| split(host.as_str()?));
    let tabled = build["extra_hosts"].as_object().into_iter().flatten();
    let tabled = tabled.flat_map(|(name, address)| {
        let many = address.as_array().into_iter().flatten();
        let one = std::iter::once(address);
        let all = one.chain(many).filter_map(Value::as_str);
        all.map(|address| (name.clone(), address.to_owned()))
            .collect::<Vec<_>>()
    });
    listed.chain(tabled).collect()
}

/// A path of the repository. One with a variable, a URL and one outside are refused.
fn inside(
    tree: &Repository,
    from: &Utf8Path,
    path: &str,
    what: &str,
) -> Result<Utf8PathBuf, String> {
    let is_url = path.contains("://") || path.starts_with("git@") || path.contains(".git#");
    if path.contains('$') || is_url {
        return Err(format!(
            "its {what} is `{path}`, which is not a path in this repository"
        ));
    }
    let inner = tree.inner(from, path);
    inner.ok_or_else(|| format!("its {what} `{path}` is outside this repository"))
}

fn text(of: &Value, name: &str) -> Option<String> {
    match &of[name] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn texts(of: &Value, name: &str) -> Vec<String> {
    let list = of[name].as_array().into_iter().flatten();
    list.filter_map(|one| Some(one.as_str()?.to_owned()))
        .collect()
}

/// A table of texts, or a list of `NAME=VALUE`. A name may have no value.
fn pairs(of: &Value, name: &str) -> Vec<(String, Option<String>)> {
    let value = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let tabled = of[name].as_object().into_iter().flatten();
    let tabled = tabled.map(|(name, own)| (name.clone(), value(own)));
    let listed = of[name].as_array().into_iter().flatten();
    let listed = listed.filter_map(|pair| {
        let pair = pair.as_str()?;
        Some(match pair.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (pair.to_owned(), None),
        })
    });
    tabled.chain(listed).collect()
}
