//! Whether the secrets and agents of a stage are there.
//!
//! BuildKit builds on without a missing secret, as if none had been asked for. Of a value, only
//! whether it is empty is looked at.

use camino::Utf8Path;

use crate::fault::{Fault, Result};
use crate::graphfile::spec::{Secret, SecretPlace, Spec, Stage};

/// Refuses to build a stage if a secret or an agent that it needs is missing.
pub fn refuse_missing(spec: &Spec, stage: &Stage) -> Result<()> {
    let needed = stage.secrets.iter().filter(|(_, secret)| !secret.optional);
    let secret = needed
        .filter_map(|(id, secret)| Some((id, missing(&spec.root, secret)?)))
        .map(|(id, why)| {
            format!("its secret `{id}` is not there: {why}; provide it, or write `optional = true` for it")
        })
        .next();
    let agent = stage.ssh.first().and_then(|id| {
        let why = no_agent()?;
        Some(format!(
            "its ssh agent `{id}` is not there: {why}; run `eval \"$(ssh-agent)\" && ssh-add`"
        ))
    });
    match secret.or(agent) {
        Some(why) => Err(Fault::failed(why)),
        None => Ok(()),
    }
}

/// The ids of a stage's optional secrets that are missing.
pub fn absent<'s>(spec: &'s Spec, stage: &'s Stage) -> impl Iterator<Item = &'s str> {
    let optional = stage.secrets.iter().filter(|(_, secret)| secret.optional);
    optional
        .filter(|(_, secret)| missing(&spec.root, secret).is_some())
        .map(|(id, _)| id.as_str())
}

/// Why a secret is missing; `None` if it is there. The path of its file starts at `root`.
pub fn missing(root: &Utf8Path, secret: &Secret) -> Option<String> {
    match &secret.place {
        SecretPlace::Env(name) => match std::env::var_os(name) {
            None => Some(format!("the environment variable `{name}` is not set")),
            Some(value) if value.is_empty() => {
                Some(format!("the environment variable `{name}` is empty"))
            }
            Some(_) => None,
        },
        SecretPlace::File(file) => {
            let path = root.join(file);
            match path.metadata() {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    Some(format!("the file {path} does not exist"))
                }
                Err(error) => Some(format!("the file {path}: {error}")),
                Ok(meta) if meta.is_file() && meta.len() == 0 => {
                    Some(format!("the file {path} is empty"))
                }
                Ok(_) => None,
            }
        }
    }
}

/// Why buildx finds no ssh agent.
fn no_agent() -> Option<String> {
    let socket = std::env::var_os("SSH_AUTH_SOCK").unwrap_or_default();
    if socket.is_empty() {
        return Some("the environment variable `SSH_AUTH_SOCK` is not set".to_owned());
    }
    let is_there = std::path::Path::new(&socket).exists();
    let place = socket.to_string_lossy();
    (!is_there).then(|| format!("`SSH_AUTH_SOCK` names {place}, which does not exist"))
}
