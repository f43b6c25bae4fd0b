//! Turns the user's compose file into a project of its own.
//!
//! Every container, network and volume gets a label by which it is found again. Images are pinned,
//! the engine chooses ports on 127.0.0.1, and own volumes replace the user's folders. Makes
//! nothing: the result is a plan.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use serde_json::{Map, Value, json};

use super::config::{self, StartOrder, duration, entries, list, object, text};
use super::filling::{FileContent, Fill, PrivateFile};
use super::mounts::{self, Binds};
use super::trials::{self, Trial};
use crate::fault::{Fault, Result};
use crate::graphfile::spec::stack::Probe;

/// The label of everything that a run makes. Its value is the project's name.
pub const LABEL: &str = "xtask.verify.stack";

/// A health check with a longer interval than this gets a shorter one at the start.
const SLOW_CHECK: std::time::Duration = std::time::Duration::from_secs(2);

/// What a project is made from, besides the compose file.
#[derive(Debug)]
pub struct Wanted<'w> {
    /// The project's name.
    pub name: &'w str,
    /// The compose file's folder.
    pub folder: &'w Utf8Path,
    /// A folder of the run's own, for files that containers are given.
    pub private: &'w Utf8Path,
    /// The image that each service runs.
    pub images: &'w BTreeMap<String, String>,
    /// The variables of the compose file, for configs and secrets that take their content from one.
    pub variables: &'w BTreeMap<String, String>,
    /// The probes of the services.
    pub probes: &'w [Probe],
    /// Whether the engine can check health more often at the start (25.0 and later).
    pub early_checks: bool,
}

/// A project, ready to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct StackPlan {
    /// The compose file for `docker compose -f -`.
    pub model: Value,
    /// What was changed, one sentence for each change.
    pub rewritten: Vec<String>,
    /// Files that are written into the private folder before anything is made.
    pub files: Vec<PrivateFile>,
    /// Content that is copied into volumes before anything starts.
    pub fills: Vec<Fill>,
    /// Services that only probes start.
    pub trials: Vec<Trial>,
    /// What each service waits for. Trials are not listed.
    pub needs: StartOrder,
}

/// Makes the plan. `config` must have passed the check for refused settings.
pub fn plan(config: &Value, wanted: &Wanted<'_>) -> Result<StackPlan> {
    let mut model = config.as_object().cloned().unwrap_or_default();
    // Extension fields may contain secrets, and nothing uses them any more.
    model.retain(|key, _| !key.starts_with("x-") && key != "version");
    model.insert("name".into(), wanted.name.into());
    let mut rewritten = Vec::new();
    let mut binds = Binds::new(wanted.folder, wanted.private);
    let mut files = config_files(&mut model, wanted)?;
    check_probes(config, wanted.probes)?;
    let names: Vec<String> = entries(config, "services")
        .map(|(name, _)| name.to_owned())
        .collect();
    let needs = config::needs(config);
    for name in &names {
        let image = wanted
            .images
            .get(name)
            .ok_or_else(|| Fault::failed(format!("no image was found for the service `{name}`")))?;
        let services = object(&mut model, "services");
        let service = object(services, name);
        service.insert("image".into(), image.as_str().into());
        service.insert("pull_policy".into(), "never".into());
        let mut say = |what: &str| rewritten.push(format!("service `{name}`: {what}"));
        drop_names(service, &mut say);
        keep_known_needs(service, &names);
        let ports = probed_ports(wanted.probes, name);
        publish(service, &ports, &mut say);
        if wanted.early_checks {
            check_early(service);
        }
        label(service, wanted.name);
        mounts::rewrite(name, service, &mut binds, &mut say);
    }
    let own_volumes = binds.volumes();
    let volumes = object(&mut model, "volumes");
    for name in own_volumes {
        volumes.insert(name, json!({}));
    }
    files.append(&mut binds.files);
    let mut fills = std::mem::take(&mut binds.fills);
    let trials = trials::add(&mut model, wanted.probes, &mut fills);
    for (name, network) in object(&mut model, "networks") {
        own_network(name, network, wanted.name, &mut rewritten);
    }
    for (_, volume) in object(&mut model, "volumes") {
        own(volume, wanted.name);
    }
    Ok(StackPlan {
        model: Value::Object(model),
        rewritten,
        files,
        fills,
        trials,
        needs,
    })
}

/// Checks that every probe asks a service that exists.
fn check_probes(config: &Value, probes: &[Probe]) -> Result<()> {
    let names: Vec<&str> = entries(config, "services").map(|(name, _)| name).collect();
    for probe in probes {
        if !names.contains(&probe.service.as_str()) {
            let whose = format!("a probe of kind `{}` asks", probe.ask.kind());
            return Err(unknown_service(&probe.service, &whose, &names));
        }
    }
    Ok(())
}

/// The fault for a service that the compose file does not start.
pub(super) fn unknown_service(name: &str, who: &str, names: &[&str]) -> Fault {
    use crate::graphfile::spec::mistakes::nearest;
    let hint = match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it starts {}", names.join(", ")),
    };
    Fault::usage(format!(
        "{who} the service `{name}`, which the compose file does not start (a service with `profiles` wants COMPOSE_PROFILES in `env` of `[stack]`); {hint}"
    ))
}

fn probed_ports(probes: &[Probe], service: &str) -> BTreeSet<u16> {
    let own = probes.iter().filter(|probe| probe.service == service);
    own.filter_map(|probe| probe.ask.port()).collect()
}

/// Removes names that another project on the engine may have too, and what compose would do itself.
fn drop_names(service: &mut Map<String, Value>, say: &mut impl FnMut(&str)) {
    for (key, what) in [
        ("container_name", "has no name of its own"),
        ("build", "is not built: its image is given"),
        ("deploy", ""),
        ("develop", ""),
        ("scale", ""),
    ] {
        let value = service.remove(key);
        if key == "deploy" {
            limits(service, value);
        } else if value.is_some_and(|value| !value.is_null()) && !what.is_empty() {
            say(what);
        }
    }
    let driver = service
        .get("logging")
        .map(|logging| text(logging, "driver"));
    if let Some(driver) = driver
        && !matches!(driver, "" | "json-file" | "local" | "journald")
    {
        let driver = driver.to_owned();
        service.remove("logging");
        say(&format!("logs to the engine, not to `{driver}`"));
    }
    if matches!(
        service.get("network_mode").and_then(Value::as_str),
        Some("bridge" | "default")
    ) {
        service.remove("network_mode");
        service.insert("networks".into(), json!({"default": null}));
        say("is in the stack's own network, not in the engine's");
    }
    if let Some(Value::Object(networks)) = service.get_mut("networks") {
        let mut had_address = false;
        for network in networks.values_mut().filter_map(Value::as_object_mut) {
            for key in [
                "ipv4_address",
                "ipv6_address",
                "link_local_ips",
                "mac_address",
            ] {
                had_address |= network.remove(key).is_some();
            }
        }
        if had_address {
            say("has the address that the engine gives it, not one of its own choice");
        }
    }
}

/// Removes needs of services that are not started: compose accepts an optional need of a service
/// that no profile starts, and then refuses it in its own output (2.26).
fn keep_known_needs(service: &mut Map<String, Value>, names: &[String]) {
    if let Some(Value::Object(needs)) = service.get_mut("depends_on") {
        needs.retain(|name, _| names.contains(name));
    }
}

/// Keeps the part of `deploy` that holds for one container.
fn limits(service: &mut Map<String, Value>, deploy: Option<Value>) {
    let Some(deploy) = deploy else { return };
    let mut kept = Map::new();
    for key in ["resources", "restart_policy"] {
        if let Some(value) = deploy.get(key) {
            kept.insert(key.into(), value.clone());
        }
    }
    if !kept.is_empty() {
        service.insert("deploy".into(), Value::Object(kept));
    }
}

/// Publishes every published or probed port on 127.0.0.1, at a number that the engine chooses.
fn publish(service: &mut Map<String, Value>, probed: &BTreeSet<u16>, say: &mut impl FnMut(&str)) {
    let mode = service.get("network_mode").and_then(Value::as_str);
    if mode.is_some_and(|mode| !mode.is_empty()) {
        service.remove("ports");
        return;
    }
    let asked = Value::Object(std::mem::take(service));
    let mut ports: Vec<(u64, String)> = probed
        .iter()
        .map(|&port| (u64::from(port), "tcp".to_owned()))
        .collect();
    for port in list(&asked, "ports") {
        let protocol = match text(port, "protocol") {
            "" => "tcp",
            protocol => protocol,
        };
        let Some(target) = port.get("target").and_then(Value::as_u64) else {
            continue;
        };
        let published = text(port, "published");
        if !published.is_empty() {
            say(&format!(
                "port {target} is published at a free port of 127.0.0.1, not at {published}"
            ));
        }
        ports.push((target, protocol.to_owned()));
    }
    ports.sort();
    ports.dedup();
    if let Value::Object(object) = asked {
        *service = object;
    }
    let ports: Vec<Value> = ports
        .into_iter()
        .map(|(target, protocol)| {
            json!({"mode": "ingress", "host_ip": "127.0.0.1", "target": target, "protocol": protocol})
        })
        .collect();
    if ports.is_empty() {
        service.remove("ports");
    } else {
        service.insert("ports".into(), Value::Array(ports));
    }
}

/// A check that runs every 30 s says nothing for 30 s. So in its first interval it runs every
/// second, and failures do not count. After that it runs as the file says.
fn check_early(service: &mut Map<String, Value>) {
    let Some(Value::Object(check)) = service.get_mut("healthcheck") else {
        return;
    };
    let is_off = check.get("disable").and_then(Value::as_bool) == Some(true);
    let no_test = check.get("test").is_none_or(Value::is_null);
    if is_off || no_test || check.contains_key("start_interval") {
        return;
    }
    let time = |key: &str| check.get(key).and_then(Value::as_str).and_then(duration);
    // Docker's default.
    let interval = time("interval").unwrap_or(std::time::Duration::from_secs(30));
    if interval <= SLOW_CHECK {
        return;
    }
    let start = time("start_period").unwrap_or_default().max(interval);
    check.insert(
        "start_period".into(),
        format!("{}s", start.as_secs()).into(),
    );
    check.insert("start_interval".into(), "1s".into());
}

fn label(entry: &mut Map<String, Value>, project: &str) {
    object(entry, "labels").insert(LABEL.into(), project.into());
}

/// Makes a volume or network the project's own.
fn own(entry: &mut Value, project: &str) {
    if entry.get("external").and_then(Value::as_bool) == Some(true) {
        return;
    }
    if !entry.is_object() {
        *entry = json!({});
    }
    if let Value::Object(entry) = entry {
        entry.remove("name");
        label(entry, project);
    }
}

fn own_network(name: &str, network: &mut Value, project: &str, rewritten: &mut Vec<String>) {
    own(network, project);
    let Value::Object(network) = network else {
        return;
    };
    if network.get("external").and_then(Value::as_bool) == Some(true) {
        return;
    }
    let fixed = network
        .remove("ipam")
        .is_some_and(|ipam| list(&ipam, "config").next().is_some());
    if fixed {
        rewritten.push(format!(
            "network `{name}` has addresses that the engine chooses"
        ));
    }
    if let Some(Value::Object(options)) = network.get_mut("driver_opts") {
        options.remove("com.docker.network.bridge.name");
    }
}

/// Turns configs and secrets whose content is in the file or in a variable into files: compose
/// copies such content into containers at a moment that differs between releases.
fn config_files(model: &mut Map<String, Value>, wanted: &Wanted<'_>) -> Result<Vec<PrivateFile>> {
    let mut files = Vec::new();
    for kind in ["configs", "secrets"] {
        for (name, entry) in object(model, kind) {
            let content = text(entry, "content");
            let variable = text(entry, "environment");
            let content = if !content.is_empty() {
                // The text is no longer interpolated, so that `$$` must become `$`.
                content.replace("$$", "$")
            } else if variable.is_empty() {
                if let Value::Object(entry) = entry {
                    entry.remove("name");
                }
                continue;
            } else {
                let found = wanted.variables.get(variable).ok_or_else(|| {
                    Fault::usage(format!(
                        "`{name}` of `{kind}` in the compose file takes its content from the variable {variable}: give it in `[stack]`, as in env = {{ {variable} = {{ secret = \"{variable}\" }} }}"
                    ))
                })?;
                found.clone()
            };
            let path = wanted
                .private
                .join(format!("{kind}-{}", mounts::plain(name)));
            *entry = json!({"file": path.as_str()});
            files.push(PrivateFile {
                path,
                content: FileContent::Text(content),
            });
        }
        if object(model, kind).is_empty() {
            model.remove(kind);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
