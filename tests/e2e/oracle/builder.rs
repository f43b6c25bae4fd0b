//! What BuildKit does with a state: which steps it runs, and which image it makes.
//!
//! Buildx's raw progress and the OCI archive are read by readers of this module, as the program's
//! own readers are under test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::program::nonce;
use super::show;
use super::state::State;
use crate::support::process::ended;

/// The result of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The steps that BuildKit ran and did not have in its cache.
    pub ran: Vec<String>,
    /// The digest of the image's config, which also covers its layers.
    pub image: String,
    /// The config without its history, which contains the text of the instructions.
    pub effect: String,
}

impl Built {
    /// The digests of the image's layers, as tar archives.
    pub fn layers(&self) -> Vec<String> {
        let config: Value = serde_json::from_str(&self.effect).unwrap();
        let layers = config["rootfs"]["diff_ids"].as_array().unwrap().iter();
        layers
            .map(|layer| layer.as_str().unwrap().to_owned())
            .collect()
    }
}

pub enum Outcome {
    Built(Built),
    /// BuildKit refuses the state. The text is its reason, shortened.
    Refused(String),
}

/// Builds as the program would. `base` is the reference of the base's image.
///
/// The context is sent under a name that no other build has. Under a known name, `BuildKit` does
/// not take a file again if it knows its size and time, so it would not see the change.
pub fn build(host: &str, root: &Path, state: &State, base: &str) -> Outcome {
    let mut before = Vec::new();
    let mut refused = String::new();
    for _ in 0..TRIES {
        let output = match call(host, root, state, base) {
            Ok(output) => output,
            // An engine that never answers says nothing about the state, so the build is tried
            // again. The program's own calls get no second try.
            Err(why) => {
                show(&format!("oracle: buildx: {why}"));
                assert!(refused.is_empty(), "buildx never ends");
                refused = why;
                continue;
            }
        };
        let said = String::from_utf8_lossy(&output.stderr);
        // The steps of a failed try are cached for the next, so they count as run.
        before.extend(ran(&said));
        if output.status.success() {
            let (image, effect) = image(&output.stdout);
            before.sort();
            before.dedup();
            return Outcome::Built(Built {
                ran: before,
                image,
                effect,
            });
        }
        let mut lines = said.lines().rev();
        let why = lines.find(|line| REFUSALS.iter().any(|start| line.starts_with(start)));
        let why = why.unwrap_or_else(|| panic!("buildx failed: {said}"));
        why.clone_into(&mut refused);
        if !PASSING.iter().any(|passing| why.contains(passing)) {
            break;
        }
    }
    // A cache that names a lost snapshot fails until a build runs without the cache. Here such a
    // build would hide which steps ran.
    Outcome::Refused(refused)
}

/// The beginnings of buildx's messages that the state itself cannot be built.
const REFUSALS: [&str; 2] = [
    "ERROR: failed to solve: ",
    "ERROR: failed to run Build function: ",
];

/// How often a build is tried when the engine itself fails, and the engine's messages then.
const TRIES: u32 = 4;
const PASSING: [&str; 2] = ["failed to stat active key", "error reading from server"];

fn call(host: &str, root: &Path, state: &State, base: &str) -> Result<Output, String> {
    let program = std::env::var("XTASK_TEST_DOCKER").unwrap_or_else(|_| "docker".into());
    let mut command = Command::new(program);
    command.args([
        "buildx",
        "build",
        "--builder=default",
        "--progress=rawjson",
        "--provenance=false",
        "--output=type=oci,dest=-",
    ]);
    command.arg(format!("--build-context=base=docker-image://{base}"));
    command
        .arg("--file")
        .arg(root.join(state.place.dockerfile()));
    for (name, value) in &state.args {
        command.arg(format!("--build-arg={name}={value}"));
    }
    if let Some(target) = &state.target {
        command.arg(format!("--target={target}"));
    }
    let link = root.join(nonce());
    std::os::unix::fs::symlink("ctx", &link).unwrap();
    command.arg("--").arg(&link);
    command.env("DOCKER_HOST", host);
    command.env("DOCKER_CONFIG", root.join("docker-config"));
    command.env_remove("SOURCE_DATE_EPOCH");
    let output = ended(&mut command);
    std::fs::remove_file(&link).unwrap();
    output
}

/// The facts about one step in the stream.
#[derive(Default)]
struct Step {
    name: String,
    /// The times at which it began.
    began: BTreeSet<String>,
    /// Whether it has no step below it.
    is_first: bool,
    cached: bool,
}

impl Step {
    /// Whether the step was run. A step without another below it begins once for the look in the
    /// cache (moby/buildkit `solver/jobs.go`, `CacheMap`), and a second time when it is run.
    fn ran(&self) -> bool {
        !self.cached && self.began.len() > usize::from(self.is_first)
    }

    /// Whether the step comes from the Dockerfile. Loading, exporting and resolving a base do not.
    fn is_of_dockerfile(&self) -> bool {
        let outside = ["[internal]", "exporting", "[context base]"];
        let is_base = self
            .name
            .split_once("] ")
            .is_some_and(|(_, text)| text.starts_with("FROM "));
        !is_base && !outside.iter().any(|start| self.name.starts_with(start))
    }
}

/// The steps of a Dockerfile that were run and not taken from the cache.
fn ran(progress: &str) -> Vec<String> {
    let mut steps: BTreeMap<String, Step> = BTreeMap::new();
    for status in objects(progress) {
        let Some(vertexes) = status["vertexes"].as_array() else {
            continue;
        };
        for vertex in vertexes {
            let text = |field: &str| vertex[field].as_str().map(str::to_owned);
            let step = steps.entry(text("digest").unwrap()).or_default();
            step.name = text("name").unwrap_or_default();
            step.began.extend(text("started"));
            step.is_first = vertex["inputs"].as_array().is_none_or(Vec::is_empty);
            step.cached |= vertex["cached"] == true;
        }
    }
    let ran = steps.into_values().filter(Step::ran);
    ran.filter(Step::is_of_dockerfile)
        .map(|step| step.name)
        .collect()
}

/// The pretty-printed objects of the stream. Lines between them are messages.
fn objects(progress: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut object = String::new();
    for line in progress.lines() {
        if object.is_empty() && !line.starts_with('{') {
            continue;
        }
        object.push_str(line);
        if line.starts_with('}') {
            all.push(serde_json::from_str(&object).unwrap_or_else(|why| panic!("{why}: {object}")));
            object.clear();
        }
    }
    assert!(object.is_empty(), "half an object: {object}");
    all
}

/// The digest of the config in an OCI archive, and the config without history and times.
fn image(archive: &[u8]) -> (String, String) {
    let files = files(archive);
    let json = |name: &str| -> Value { serde_json::from_slice(files[name]).unwrap() };
    let blob = |digest: &Value| {
        let digest = digest.as_str().unwrap().to_owned();
        let content = json(&format!("blobs/{}", digest.replace(':', "/")));
        (digest, content)
    };
    let (_, manifest) = blob(&json("index.json")["manifests"][0]["digest"]);
    let (digest, mut config) = blob(&manifest["config"]["digest"]);
    let fields = config.as_object_mut().unwrap();
    fields.remove("history");
    (digest, config.to_string())
}

/// The files of a tar archive with short names.
fn files(archive: &[u8]) -> BTreeMap<String, &[u8]> {
    let text = |field: &[u8]| {
        let end = field.iter().position(|byte| *byte == 0);
        String::from_utf8_lossy(&field[..end.unwrap_or(field.len())]).into_owned()
    };
    let mut files = BTreeMap::new();
    let mut at = 0;
    while archive.get(at).is_some_and(|byte| *byte != 0) {
        let size = text(&archive[at + 124..at + 136]);
        let size = usize::from_str_radix(size.trim(), 8).unwrap();
        let content = &archive[at + 512..at + 512 + size];
        files.insert(text(&archive[at..at + 100]), content);
        at += 512 + size.next_multiple_of(512);
    }
    files
}
