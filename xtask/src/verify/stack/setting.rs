//! What surrounds a stack: the compose file on this machine, its variables, the roles of services,
//! and the containers that compose made for them.

use std::collections::BTreeMap;

use camino::Utf8Path;
use serde_json::Value;

use super::config::{self, Condition, entries, flag, list, text};
use super::judge::Role;
use super::member::Member;
use super::{compose, rewrite, trials};
use crate::build::executor::redact::Redactor;
use crate::fault::{Fault, Result};
use crate::graphfile::source;
use crate::graphfile::spec::stack::{Ask, Probe, Stack, Variable};
use crate::graphfile::spec::{Place, Spec};
use crate::outside::engine::Engine;

/// The label in which compose writes a container's service.
const SERVICE: &str = "com.docker.compose.service";

/// The compose file on this machine.
pub(super) fn file(spec: &Spec, stack: &Stack) -> Result<compose::ComposeFile> {
    let root = source::root(spec, stack.source)?;
    let find = |root: &Utf8Path, path: &Utf8Path, what: &str| {
        let whole = root.join(path);
        if whole.is_file() {
            Ok(whole)
        } else {
            Err(Fault::usage(format!(
                "{what} {path} of `[stack]` in {} is not there: {whole} is not a file",
                spec.file
            )))
        }
    };
    let path = find(&root, &stack.compose, "the compose file")?;
    let env_file = stack.env_file.as_deref();
    let env_file = env_file
        .map(|path| find(&root, path, "the env-file"))
        .transpose()?;
    let override_file = match &stack.override_file {
        Some(path) => Some(find(&source::root(spec, None)?, path, "the override")?),
        None => None,
    };
    let folder = path.parent().unwrap_or(&root);
    let folder = folder
        .canonicalize_utf8()
        .map_err(|error| Fault::lacks(format!("cannot find the folder of {path}: {error}")))?;
    let place = stack.source.map(|id| &spec.sources[id.index()].place);
    Ok(compose::ComposeFile {
        shown: stack.compose.clone(),
        folder,
        env_file,
        override_file,
        is_fetched: matches!(place, Some(Place::Fetched { .. })),
        path,
    })
}

/// The variables for the compose file, and the redactor that hides the secret ones.
pub(super) fn variables(stack: &Stack) -> Result<(BTreeMap<String, String>, Redactor)> {
    let (mut all, mut secret) = (BTreeMap::new(), Vec::new());
    for (name, variable) in &stack.env {
        let value = match variable {
            Variable::Text(text) => text.clone(),
            Variable::Secret(from) => {
                let value = std::env::var(from).map_err(|_| {
                    Fault::lacks(format!(
                        "the environment has no variable {from}, from which `[stack]` takes {name}: export {from}=…"
                    ))
                })?;
                secret.push(value.clone().into_bytes());
                value
            }
        };
        all.insert(name.clone(), value);
    }
    Ok((all, Redactor::of_values(secret)))
}

/// Names the variables that the compose file does not mention, and that therefore change nothing.
pub(super) fn unused(stack: &Stack, file: &compose::ComposeFile) -> Option<String> {
    let text = std::fs::read_to_string(&file.path).ok()?;
    // Variables may be used in other files, which are not read here.
    if text.contains("include:") || text.contains("extends:") {
        return None;
    }
    let names = stack.env.keys();
    let unused = names.filter(|name| !name.starts_with("COMPOSE_") && !text.contains(*name));
    let unused: Vec<&str> = unused.map(String::as_str).collect();
    (!unused.is_empty()).then(|| {
        format!(
            "`env` of `[stack]` sets {}, which {} does not mention",
            unused.join(", "),
            file.shown
        )
    })
}

/// Whether the engine has `start_interval` of health checks, which came with Docker 25.
pub(super) fn has_early_checks(version: &str) -> bool {
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    major.is_some_and(|major| major >= 25)
}

/// The role of each service.
pub(super) fn roles(
    model: &Value,
    needs: &config::StartOrder,
    probes: &[Probe],
) -> BTreeMap<String, Role> {
    let is_needed =
        |name: &str, wanted: Condition| needs.values().any(|own| own.get(name) == Some(&wanted));
    let mut roles = BTreeMap::new();
    for (name, service) in entries(model, "services") {
        let completes = is_needed(name, Condition::Completed);
        let check = service.get("healthcheck");
        let has_check = check.is_some_and(|check| !check.is_null() && !flag(check, "disable"));
        let is_probed = probes.iter().any(|probe| {
            probe.service == name && !matches!(probe.ask, Ask::Log { .. } | Ask::Uid { .. })
        });
        let serves = has_check
            || is_probed
            || list(service, "ports").next().is_some()
            || matches!(text(service, "restart"), "always" | "unless-stopped")
            || is_needed(name, Condition::Healthy);
        roles.insert(
            name.to_owned(),
            Role {
                completes,
                serves: serves && !completes,
            },
        );
    }
    roles
}

pub(super) type Containers = (Vec<Member>, Vec<(trials::Trial, String)>);

/// The containers that compose made: those of services, and those for probes.
pub(super) fn containers(
    engine: &Engine,
    label: &str,
    plan: &rewrite::StackPlan,
) -> Result<Containers> {
    let (mut members, mut trials) = (Vec::new(), Vec::new());
    for id in engine.labelled(label)?.containers {
        let Some(container) = engine.container(&id)? else {
            continue;
        };
        let service = container.label(SERVICE).unwrap_or_default().to_owned();
        match plan.trials.iter().find(|trial| trial.name == service) {
            Some(trial) => trials.push((trial.clone(), id)),
            None => members.push(Member { service, id }),
        }
    }
    members.sort_by(|a, b| (&a.service, &a.id).cmp(&(&b.service, &b.id)));
    let is_there = |name: &&String| members.iter().any(|member| member.service == **name);
    match plan.needs.keys().find(|name| !is_there(name)) {
        Some(missing) => Err(Fault::failed(format!(
            "compose made no container for the service `{missing}`"
        ))),
        None => Ok((members, trials)),
    }
}

/// The addresses at which the ports of running services are reached.
pub(super) fn addresses(engine: &Engine, members: &[Member]) -> Vec<(String, u16, String)> {
    let mut all = Vec::new();
    for member in members {
        let Ok(Some(container)) = engine.container(&member.id) else {
            continue;
        };
        for (port, published) in &container.network_settings.ports {
            let number = port.split('/').next().and_then(|port| port.parse().ok());
            let published = published.iter().flatten().next();
            if let (Some(number), Some(published)) = (number, published) {
                let address = format!("{}:{}", published.host_ip, published.host_port);
                all.push((member.service.clone(), number, address));
            }
        }
    }
    all
}
