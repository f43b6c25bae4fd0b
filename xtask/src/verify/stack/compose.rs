//! The calls of `docker compose`: resolving a compose file independently of the variables of the
//! user's shell, and making its containers.
//!
//! `watch` starts the containers. Compose could only wait for them without a word, and would wait
//! for ever for a container that crashes again and again.

use std::collections::BTreeMap;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use super::child::{Effect, Ended, LiveChildren};
use crate::fault::{Fault, Result};
use crate::outside::ask;

/// The longest time for making all containers.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(300);

/// A compose file on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComposeFile {
    /// The path in the graph file.
    pub shown: Utf8PathBuf,
    /// The absolute path.
    pub path: Utf8PathBuf,
    /// The file's folder, with links resolved.
    pub folder: Utf8PathBuf,
    /// The file that replaces the `.env` beside it.
    pub env_file: Option<Utf8PathBuf>,
    /// The override file, as an absolute path.
    pub override_file: Option<Utf8PathBuf>,
    /// Whether only git has written to the folder.
    pub is_fetched: bool,
}

fn docker(variables: &BTreeMap<String, String>) -> Command {
    let mut command = ask::docker();
    command.envs(variables);
    command
}

fn no_docker(error: &std::io::Error) -> Fault {
    Fault::lacks(format!(
        "cannot run `docker`: {error}; install the Docker command and its compose plugin"
    ))
}

/// Whether docker's complaint means that it has no `compose`.
fn lacks_plugin(complaint: &str) -> bool {
    complaint.contains("is not a docker command")
        || complaint.contains("unknown shorthand flag")
        || complaint.contains("unknown flag: --format")
}

/// The compose file with every variable filled in. `scratch` is a folder of the run's own.
pub fn resolve(
    file: &ComposeFile,
    variables: &BTreeMap<String, String>,
    scratch: &Utf8Path,
    live: &LiveChildren<'_>,
) -> Result<Value> {
    let folder = match &file.env_file {
        None => file.folder.clone(),
        Some(env_file) => shadow(&file.folder, env_file, scratch).map_err(|error| {
            Fault::lacks(format!(
                "cannot put {env_file} in the place of {}/.env: {error}",
                file.folder
            ))
        })?,
    };
    let name = file.path.file_name().unwrap_or_default();
    let mut command = docker(variables);
    command.args(["compose", "--file"]).arg(folder.join(name));
    if let Some(file) = &file.override_file {
        command.arg("--file").arg(file);
    }
    command.args(["config", "--format", "json"]);
    command.current_dir(&folder);
    let ended = live
        .run(&mut command, Effect::Asks, None, None)
        .map_err(|error| no_docker(&error))?;
    let Ended::Done(said) = ended else {
        return Err(Fault::interrupted());
    };
    let complaint = said.complaint();
    if !said.status.success() {
        if lacks_plugin(&complaint) {
            return Err(Fault::lacks(
                "`docker` has no `compose`, or an old one: install Docker's compose plugin, 2.20 or later",
            ));
        }
        return Err(Fault::usage(refusal(file, &complaint)));
    }
    let mut config = serde_json::from_slice(&said.stdout).map_err(|error| {
        Fault::lacks(format!(
            "`docker compose config` did not print JSON for {}: {error}",
            file.shown
        ))
    })?;
    if folder != file.folder {
        rename(&mut config, folder.as_str(), file.folder.as_str());
    }
    Ok(config)
}

/// Why compose refuses a file, with a remedy if one is known.
fn refusal(file: &ComposeFile, complaint: &str) -> String {
    let lines = complaint
        .lines()
        .filter(|line| !line.contains("level=warning"));
    let why = lines.collect::<Vec<_>>().join(" ");
    let mut message = format!("compose refuses {}: {}", file.shown, why.trim());
    if why.contains(".env") && why.contains("not found") && file.env_file.is_none() {
        message.push_str(
            "; name a file to use in its place in `[stack]`, as in env-file = \"docker/.env.example\"",
        );
    }
    message
}

/// Makes a folder that shows everything in another folder, with another `.env`.
fn shadow(
    folder: &Utf8Path,
    env_file: &Utf8Path,
    scratch: &Utf8Path,
) -> std::io::Result<Utf8PathBuf> {
    // Unless the project is named otherwise, compose names it after this folder.
    let shadow = scratch
        .join("compose")
        .join(folder.file_name().unwrap_or("stack"));
    std::fs::create_dir_all(&shadow)?;
    for entry in folder.read_dir_utf8()? {
        let entry = entry?;
        if entry.file_name() != ".env" {
            std::os::unix::fs::symlink(entry.path(), shadow.join(entry.file_name()))?;
        }
    }
    std::os::unix::fs::symlink(env_file, shadow.join(".env"))?;
    Ok(shadow)
}

/// Replaces one folder by another at the beginning of every path.
fn rename(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) => {
            let rest = text.strip_prefix(from);
            if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
                *text = format!("{to}{rest}");
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| rename(value, from, to)),
        Value::Object(object) => object
            .values_mut()
            .for_each(|value| rename(value, from, to)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Makes all networks, volumes and containers of a model, and starts nothing. The model goes
/// through a pipe, as it contains the values of environments.
pub fn create(
    project: &str,
    model: &Value,
    folder: &Utf8Path,
    live: &LiveChildren<'_>,
) -> Result<()> {
    let mut command = docker(&BTreeMap::new());
    command.args(["compose", "--project-name", project, "--project-directory"]);
    command.arg(folder);
    // All profiles: the model contains only services that were asked for.
    command.args(["--profile", "*", "--file", "-", "create", "--no-build"]);
    command.current_dir(folder);
    let text = serde_json::to_vec(model)
        .map_err(|error| Fault::failed(format!("cannot write the stack down: {error}")))?;
    let until = std::time::Instant::now() + PATIENCE;
    let ended = live
        .run(&mut command, Effect::Makes, Some(&text), Some(until))
        .map_err(|error| no_docker(&error))?;
    match ended {
        Ended::Halted => Err(Fault::interrupted()),
        Ended::Done(said) if said.status.success() => Ok(()),
        Ended::Done(said) => Err(Fault::failed(format!(
            "the stack's containers cannot be made: {}",
            last_words(&said.complaint())
        ))),
        Ended::TimedOut(said) => Err(Fault::failed(format!(
            "the stack's containers are not made after {} s: {}",
            PATIENCE.as_secs(),
            last_words(&said.complaint())
        ))),
    }
}

/// The last lines of compose's output, without its progress.
fn last_words(complaint: &str) -> String {
    const DONE: [&str; 4] = ["Creating", "Created", "Recreate", "Recreated"];
    let is_progress = |line: &&str| DONE.iter().any(|word| line.ends_with(word));
    let lines = complaint.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !is_progress(line));
    lines.collect::<Vec<_>>().join(" ")
}

/// Stops and removes the containers and networks of a project. Its volumes stay. Programs get some
/// time to write what they have in memory.
pub fn take_containers(project: &str, live: &LiveChildren<'_>) -> Result<()> {
    let mut command = docker(&BTreeMap::new());
    command.args(["compose", "--project-name", project, "down"]);
    let until = std::time::Instant::now() + PATIENCE;
    let ended = live
        .run(&mut command, Effect::Makes, None, Some(until))
        .map_err(|error| no_docker(&error))?;
    match ended {
        Ended::Halted => Err(Fault::interrupted()),
        Ended::Done(said) if said.status.success() => Ok(()),
        Ended::Done(said) | Ended::TimedOut(said) => Err(Fault::failed(format!(
            "the stack's containers cannot be removed: {}",
            last_words(&said.complaint())
        ))),
    }
}

/// Copies an archive into a container that does not run yet.
pub fn copy_into(
    container: &str,
    target: &str,
    archive: &[u8],
    live: &LiveChildren<'_>,
) -> Result<()> {
    let mut command = docker(&BTreeMap::new());
    command
        .args(["cp", "-"])
        .arg(format!("{container}:{target}"));
    let ended = live
        .run(&mut command, Effect::Makes, Some(archive), None)
        .map_err(|error| no_docker(&error))?;
    match ended {
        Ended::Done(said) if said.status.success() => Ok(()),
        Ended::Done(said) | Ended::TimedOut(said) => Err(Fault::failed(format!(
            "cannot fill the volume at {target}: {}",
            said.complaint()
        ))),
        Ended::Halted => Err(Fault::interrupted()),
    }
}

/// Pulls an image.
pub fn pull(image: &str, live: &LiveChildren<'_>) -> Result<Result<(), String>> {
    let mut command = docker(&BTreeMap::new());
    command.args(["pull", "--quiet", "--", image]);
    let ended = live
        .run(&mut command, Effect::Asks, None, None)
        .map_err(|error| no_docker(&error))?;
    match ended {
        Ended::Done(said) if said.status.success() => Ok(Ok(())),
        Ended::Done(said) | Ended::TimedOut(said) => Ok(Err(said.complaint())),
        Ended::Halted => Err(Fault::interrupted()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_the_folder_are_renamed() {
        let mut value =
            serde_json::json!({"a": ["/s/docker/x", "/s/docker", "/s/docker2", "x/s/docker"]});
        rename(&mut value, "/s/docker", "/r");
        assert_eq!(
            value,
            serde_json::json!({"a": ["/r/x", "/r", "/s/docker2", "x/s/docker"]})
        );
    }

    #[test]
    fn a_missing_env_file_is_told_with_the_line_that_stands_for_it() {
        let file = ComposeFile {
            shown: "docker/docker-compose.yaml".into(),
            path: "/r/docker/docker-compose.yaml".into(),
            folder: "/r/docker".into(),
            env_file: None,
            override_file: None,
            is_fetched: true,
        };
        let said = "time=\"x\" level=warning msg=\"A is not set\"\nenv file /r/docker/.env not found: stat /r/docker/.env: no such file or directory";
        let message = refusal(&file, said);
        assert!(!message.contains("warning"), "{message}");
        assert!(
            message.ends_with("env-file = \"docker/.env.example\""),
            "{message}"
        );
    }

    #[test]
    fn progress_is_no_complaint() {
        let said = " Network a  Creating\n Network a  Created\n Container b  Creating\nError response from daemon: no such image\n";
        assert_eq!(
            last_words(said),
            "Error response from daemon: no such image"
        );
    }
}
