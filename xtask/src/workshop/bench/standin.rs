//! A stand-in for an engine that answers from memory.
//!
//! Ten thousand real images would take hours to build, and would measure the engine, not this
//! program. So for the cases in which the number of stages or files matters, a thread of the bench
//! serves the few requests that a build makes, on a socket of its own. It has every image that it
//! was ever asked for by a private reference, because the `docker` that goes with it does nothing
//! and succeeds.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, MutexGuard};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fault::{Fault, Result};
use crate::outside::private;
use crate::unpoisoned::Unpoisoned as _;

/// The beginning of the public image names in the bench's graphs.
const PUBLIC: &str = "xtask-bench/";

/// A running stand-in. It ends with the process.
#[derive(Debug)]
pub struct StandIn {
    run: TempDir,
    memory: Utf8PathBuf,
    known: Arc<Mutex<Known>>,
}

impl StandIn {
    /// Starts a stand-in that has the images listed in `memory`.
    pub fn start(memory: &Utf8Path) -> Result<Self> {
        let fault = |error: io::Error| {
            Fault::lacks(format!("cannot start the stand-in for an engine: {error}"))
        };
        let run = tempfile::tempdir().map_err(fault)?;
        let docker = run.path().join("docker");
        std::fs::write(&docker, "#!/bin/sh\nexit 0\n").map_err(fault)?;
        std::fs::set_permissions(&docker, std::fs::Permissions::from_mode(0o755)).map_err(fault)?;
        let references = std::fs::read_to_string(memory).unwrap_or_default();
        let known = Arc::new(Mutex::new(Known {
            references: references.lines().map(str::to_owned).collect(),
            list: None,
        }));
        let listener = UnixListener::bind(run.path().join("engine.sock")).map_err(fault)?;
        let served = Arc::clone(&known);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let known = Arc::clone(&served);
                // A client that goes away ends its own thread only.
                std::thread::spawn(move || serve(stream, &known));
            }
        });
        Ok(Self {
            run,
            memory: memory.to_owned(),
            known,
        })
    }

    /// For DOCKER_HOST.
    pub fn host(&self) -> String {
        format!("unix://{}", self.run.path().join("engine.sock").display())
    }

    /// For `PATH`: a search path on which the stand-in's `docker` comes first.
    pub fn path(&self) -> std::ffi::OsString {
        let others = std::env::var_os("PATH").unwrap_or_default();
        let mut path = self.run.path().as_os_str().to_owned();
        path.push(":");
        path.push(others);
        path
    }

    /// Writes the list of images to `memory`, for the next run.
    pub fn save(&self) -> Result<()> {
        let references = lock(&self.known).references.clone();
        let text: Vec<String> = references.into_iter().collect();
        std::fs::write(&self.memory, text.join("\n"))
            .map_err(|error| Fault::lacks(format!("cannot write {}: {error}", self.memory)))
    }
}

#[derive(Debug)]
struct Known {
    references: BTreeSet<String>,
    /// The answer to a request for all images, until an image is added.
    list: Option<Arc<Vec<u8>>>,
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unpoisoned()
}

fn serve(stream: UnixStream, known: &Mutex<Known>) -> io::Result<()> {
    let mut requests = BufReader::new(stream.try_clone()?);
    let mut answers = stream;
    let mut line = String::new();
    while requests.read_line(&mut line)? > 0 {
        let (status, body) = lock(known).answer(&line);
        // The headers of a request do not matter here, and it has no body.
        while line.trim_end() != "" {
            line.clear();
            requests.read_line(&mut line)?;
        }
        line.clear();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        answers.write_all(head.as_bytes())?;
        answers.write_all(&body)?;
    }
    Ok(())
}

impl Known {
    fn answer(&mut self, request: &str) -> (&'static str, Arc<Vec<u8>>) {
        let mut words = request.split_whitespace();
        let (method, path) = (words.next(), words.next().unwrap_or_default());
        let json = |value: Value| Arc::new(value.to_string().into_bytes());
        let not_found = || ("404 Not Found", json(json!({"message": "not here"})));
        match (method, path) {
            (Some("GET"), "/_ping") => ("200 OK", Arc::new(b"OK".to_vec())),
            (Some("GET"), "/version") => (
                "200 OK",
                json(json!({"Os": "linux", "Arch": architecture()})),
            ),
            // A client that filters the list checks the answer itself.
            (Some("GET"), path) if path.split('?').next() == Some("/images/json") => {
                ("200 OK", self.list())
            }
            (Some("GET"), path) => {
                let reference = path
                    .strip_prefix("/images/")
                    .and_then(|path| path.strip_suffix("/json"));
                match reference.and_then(|reference| Some((reference, stage_of(reference)?))) {
                    Some((reference, stage)) => {
                        self.add(reference.to_owned());
                        self.add(format!("{PUBLIC}{stage}:latest"));
                        ("200 OK", json(image(stage)))
                    }
                    None => not_found(),
                }
            }
            (Some("POST"), path) => {
                let tag = path
                    .split_once("/tag?repo=")
                    .and_then(|(_, tag)| tag.split_once("&tag="));
                match tag {
                    Some((repository, tag)) => {
                        self.add(format!("{repository}:{tag}"));
                        ("201 Created", Arc::default())
                    }
                    None => not_found(),
                }
            }
            _ => not_found(),
        }
    }

    fn add(&mut self, reference: String) {
        if self.references.insert(reference) {
            self.list = None;
        }
    }

    fn list(&mut self) -> Arc<Vec<u8>> {
        if let Some(list) = &self.list {
            return Arc::clone(list);
        }
        let mut tags: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for reference in &self.references {
            if let Some(stage) = stage_of(reference) {
                tags.entry(stage).or_default().push(reference);
            }
        }
        let images: Vec<Value> = tags
            .into_iter()
            .map(|(stage, tags)| {
                let mut image = image(stage);
                image["RepoTags"] = json!(tags);
                image
            })
            .collect();
        let list = Arc::new(Value::Array(images).to_string().into_bytes());
        self.list = Some(Arc::clone(&list));
        list
    }
}

/// The stage whose image a reference names.
fn stage_of(reference: &str) -> Option<&str> {
    let name = reference
        .strip_prefix(private::PREFIX)
        .or_else(|| reference.strip_prefix(PUBLIC))?;
    let name = name.split_once(':')?.0;
    // The stage's name follows the state's id.
    Some(name.rsplit_once('/').map_or(name, |(_, stage)| stage))
}

/// What an engine says of an image, including fields that this program skips.
fn image(stage: &str) -> Value {
    let id = format!("sha256:{}", blake3::hash(stage.as_bytes()).to_hex());
    json!({
        "Containers": -1,
        "Created": 1_700_000_000,
        "Id": id,
        "Labels": null,
        "ParentId": "",
        "RepoDigests": [format!("{PUBLIC}{stage}@{id}")],
        "SharedSize": -1,
        "Size": 1_000_000,
    })
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        Known {
            references: BTreeSet::new(),
            list: None,
        }
    }

    #[test]
    fn an_image_that_was_asked_for_is_listed_under_both_its_names() {
        let mut known = known();
        let (status, _) = known.answer("GET /images/localhost:1/xtask/a:12/json HTTP/1.1\r\n");
        assert_eq!(status, "200 OK");
        let list: Value = serde_json::from_slice(&known.list()).unwrap();
        let tags = json!(["localhost:1/xtask/a:12", "xtask-bench/a:latest"]);
        assert_eq!(list[0]["RepoTags"], tags);
        let (status, some) = known.answer("GET /images/json?filters=x HTTP/1.1\r\n");
        assert_eq!((status, some), ("200 OK", known.list()));
        let (_, one) = known.answer("GET /images/xtask-bench/a:latest/json HTTP/1.1\r\n");
        let one: Value = serde_json::from_slice(&one).unwrap();
        assert_eq!(one["Id"], list[0]["Id"]);
    }

    #[test]
    fn a_tag_that_is_given_is_there_and_what_is_no_image_of_the_bench_is_not() {
        let mut known = known();
        let tag = "POST /images/sha256:12/tag?repo=xtask-bench/b&tag=latest HTTP/1.1\r\n";
        assert_eq!(known.answer(tag).0, "201 Created");
        assert!(known.references.contains("xtask-bench/b:latest"));
        let (status, _) = known.answer("GET /images/alpine:latest/json HTTP/1.1\r\n");
        assert_eq!(status, "404 Not Found");
    }
}
