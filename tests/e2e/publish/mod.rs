//! `cargo xtask publish` and `verify --published`, with a real registry behind a gate.
//!
//! The images are built and verified once. They lie in the OCI layout of the state, which is below
//! the project, so a copy of the project has them, too, and publishes them without an engine.

mod at_once;
mod attached;
mod elsewhere;
mod faults;
mod killed;
mod moved;
mod path;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::Value;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::support::gate::secure::SecureRegistry;
use crate::support::gate::{Gate, Seen};
use crate::support::registry::digest;
use crate::{Project, host, registry, unique};

/// The stages: each for two platforms, `a` under two tags.
const STAGES: &str = r#"
[defaults]
output = "oci"
platforms = ["linux/amd64", "linux/arm64"]
[policy.rules]
root = "off"
[stage.a]
context = "a"
image = "images.test/it/a"
tags = ["1", "edge"]
[stage.b]
context = "b"
from = "a"
image = "images.test/it/b"
tags = ["1"]
"#;
/// The tags of the release.
const TAGS: [(&str, &str); 3] = [("a", "1"), ("a", "edge"), ("b", "1")];

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A project with the stages, whose state lies below it.
fn unbuilt(host: &str, stages: &str) -> Project {
    crate::project(host)
        .variable("XTASK_STATE", "")
        .file("build-graph.toml", format!("version = 1\n{stages}"))
        .file("a/Dockerfile", "FROM scratch\nCOPY x /x\n")
        .file("a/x", unique("a"))
        .file("b/Dockerfile", "FROM a\nCOPY y /y\n")
        .file("b/y", unique("b"))
}

/// The built and verified project, shared by all tests that run at the same time.
fn verified() -> Arc<Project> {
    static SHARED: Mutex<Weak<Project>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(project) = shared.upgrade() {
        return project;
    }
    let project = Arc::new(unbuilt(&host(), STAGES));
    project.run(&["build"]).ends(0);
    project.run(&["verify", "--policy-only"]).ends(0);
    *shared = Arc::downgrade(&project);
    project
}

/// A copy of the verified project, a gate before the registry, and a place of its own behind it.
struct World {
    project: Project,
    gate: Gate,
    direct: Direct,
    /// The path below which the images go. No other test and no earlier round uses it.
    to: String,
    /// What is in the graph file besides the stages and the target.
    more: String,
    _shared: Arc<Project>,
}

impl World {
    /// `more` is added to the graph file. `None` without a registry.
    fn new(more: &str) -> Option<Self> {
        let registry = registry()?;
        let shared = verified();
        let mut world = Self {
            // No engine is asked, as there is none.
            project: Project::new()
                .variable("XTASK_STATE", "")
                .variable("DOCKER_HOST", "unix:///nonexistent/docker.sock")
                .copy_of(&shared.path("")),
            gate: Gate::before(&registry),
            direct: Direct::at(&format!("http://{registry}")),
            to: String::new(),
            more: more.to_owned(),
            _shared: shared,
        };
        world.renew();
        Some(world)
    }

    /// Goes on with repositories in which nothing is yet.
    fn renew(&mut self) {
        self.to = unique("p");
        let target = format!(
            "[target.main]\nto = \"{}\"\n",
            self.gate.reference(&self.to)
        );
        self.graph(&target);
    }

    /// Writes the graph file with these targets.
    fn graph(&self, targets: &str) {
        let more = &self.more;
        let graph = format!("version = 1\n{more}\n{targets}{STAGES}");
        self.project.write("build-graph.toml", graph);
    }

    /// The name of a stage's image.
    fn image(&self, stage: &str) -> String {
        self.gate.reference(&self.repository(stage))
    }

    /// The path of a stage's image.
    fn repository(&self, stage: &str) -> String {
        format!("{}/{stage}", self.to)
    }

    /// The digests that the tags point to.
    fn tags(&self) -> Vec<Option<String>> {
        let now = |(stage, tag): &(&str, &str)| self.direct.digest(&self.repository(stage), tag);
        TAGS.iter().map(now).collect()
    }

    /// Asserts that no tag is there.
    #[track_caller]
    fn assert_untagged(&self) {
        assert_eq!(self.tags(), [None, None, None]);
    }

    /// Asserts that all tags point to their images of this release, each of which is whole.
    #[track_caller]
    fn assert_published(&self, release: &Value) {
        let tops = tops(release);
        let [a, b] = tops.as_slice() else {
            panic!("{release:#}")
        };
        let expected = [Some(a.clone()), Some(a.clone()), Some(b.clone())];
        assert_eq!(self.tags(), expected);
        self.assert_whole(release);
    }

    /// Asserts that every digest of a release answers.
    #[track_caller]
    fn assert_whole(&self, release: &Value) {
        for (stage, digest) in digests(release) {
            let there = self.direct.digest(&self.repository(&stage), &digest);
            assert_eq!(there.as_ref(), Some(&digest), "{stage}");
        }
    }

    /// Publishes, and gives the release and its moves.
    #[track_caller]
    fn publish(&self) -> Value {
        self.published(&[])
    }

    #[track_caller]
    fn published(&self, arguments: &[&str]) -> Value {
        let all = [&["publish", "--json"], arguments].concat();
        serde_json::from_str(&self.project.run(&all).ends(0).stdout).unwrap()
    }

    /// The release that a publish would make.
    #[track_caller]
    fn planned(&self) -> Value {
        self.published(&["--dry-run"])["release"].clone()
    }

    /// The requests that write.
    fn writes(&self) -> Vec<Seen> {
        let reads = ["GET", "HEAD"];
        let mut all = self.gate.requests();
        all.retain(|seen| !reads.contains(&seen.method.as_str()));
        all
    }

    /// The folder of the state.
    fn state(&self) -> PathBuf {
        state_of(&self.project)
    }
}

fn state_of(project: &Project) -> PathBuf {
    let folders = project.path("target/xtask").read_dir().unwrap();
    let folders = folders.map(|entry| entry.unwrap().path());
    let mut states: Vec<PathBuf> = folders.filter(|path| path.is_dir()).collect();
    assert_eq!(states.len(), 1, "{states:?}");
    states.remove(0)
}

/// Whether a request moves a tag of an image. The tags under which a release is found are none.
fn moves_tag(seen: &Seen) -> bool {
    let is_release = seen.path.ends_with(".release") || seen.path.contains("/manifests/release-");
    seen.moves_tag() && !is_release
}

/// How often each outcome is among the moves.
fn outcomes(answer: &Value) -> Vec<&str> {
    let moves = answer["moves"].as_array().unwrap().iter();
    moves.map(|it| it["outcome"].as_str().unwrap()).collect()
}

/// The digests of the indexes of a release.
fn tops(release: &Value) -> Vec<String> {
    let images = release["images"].as_array().unwrap().iter();
    let top = |image: &Value| image["top"]["digest"].as_str().unwrap().to_owned();
    images.map(top).collect()
}

/// The stages of a release with all digests of manifests that belong to them.
fn digests(release: &Value) -> BTreeSet<(String, String)> {
    let mut all = BTreeSet::new();
    for image in release["images"].as_array().unwrap() {
        let stage = image["stage"].as_str().unwrap();
        let platforms = image["platforms"].as_array().unwrap().iter();
        let platforms = platforms.map(|platform| &platform["manifest"]);
        let attached = image["attached"].as_array().unwrap();
        for digest in platforms.chain(attached).chain([&image["top"]["digest"]]) {
            all.insert((stage.to_owned(), digest.as_str().unwrap().to_owned()));
        }
    }
    all
}

/// A registry, asked past the gate.
struct Direct {
    base: String,
    agent: Agent,
    authorization: Option<String>,
}

impl Direct {
    fn at(base: &str) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).build();
        Self {
            base: base.to_owned(),
            agent: config.into(),
            authorization: None,
        }
    }

    /// A registry with TLS and a password.
    fn secure(address: &str, ca: &[u8]) -> Self {
        let ca = Certificate::from_pem(ca).unwrap().to_owned();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&[ca]))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(tls)
            .build();
        Self {
            base: format!("https://{address}"),
            agent: config.into(),
            authorization: Some(SecureRegistry::authorization()),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v2/{path}", self.base)
    }

    /// What a tag or a digest has.
    fn digest(&self, repository: &str, which: &str) -> Option<String> {
        let url = self.url(&format!("{repository}/manifests/{which}"));
        let mut asked = self.agent.head(url);
        for kind in [INDEX, MANIFEST] {
            asked = asked.header("Accept", kind);
        }
        if let Some(login) = &self.authorization {
            asked = asked.header("Authorization", login);
        }
        let answer = asked.call().unwrap();
        match answer.status().as_u16() {
            200 => Some(
                answer.headers()["docker-content-digest"]
                    .to_str()
                    .unwrap()
                    .to_owned(),
            ),
            404 => None,
            status => panic!("status {status}"),
        }
    }

    /// The bytes of a manifest.
    fn manifest(&self, repository: &str, which: &str) -> Vec<u8> {
        let url = self.url(&format!("{repository}/manifests/{which}"));
        let mut asked = self.agent.get(url);
        for kind in [INDEX, MANIFEST] {
            asked = asked.header("Accept", kind);
        }
        let mut answer = asked.call().unwrap();
        assert_eq!(answer.status(), 200, "{which}");
        answer.body_mut().read_to_vec().unwrap()
    }

    fn json(&self, repository: &str, which: &str) -> Value {
        serde_json::from_slice(&self.manifest(repository, which)).unwrap()
    }

    fn blob(&self, repository: &str, digest: &str) -> Vec<u8> {
        let url = self.url(&format!("{repository}/blobs/{digest}"));
        let mut answer = self.agent.get(url).call().unwrap();
        assert_eq!(answer.status(), 200, "{digest}");
        answer.body_mut().read_to_vec().unwrap()
    }

    /// Puts a blob, and gives its digest.
    fn put_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let url = self.url(&format!("{repository}/blobs/uploads/"));
        let begun = self.agent.post(url).send_empty().unwrap();
        let place = begun.headers()["location"].to_str().unwrap().to_owned();
        let joint = if place.contains('?') { '&' } else { '?' };
        let url = format!("{place}{joint}digest={}", digest(bytes));
        assert_eq!(self.agent.put(url).send(bytes).unwrap().status(), 201);
        digest(bytes)
    }

    /// Puts a manifest under a tag or its digest, and gives its digest.
    fn put(&self, repository: &str, which: &str, kind: &str, bytes: &[u8]) -> String {
        let url = self.url(&format!("{repository}/manifests/{which}"));
        let answer = self.agent.put(url).content_type(kind).send(bytes);
        assert_eq!(answer.unwrap().status(), 201);
        digest(bytes)
    }

    /// Lets a tag point to an index that nobody knows. Gives its digest.
    fn put_strange(&self, repository: &str, tag: &str) -> String {
        let strange = unique("strange");
        let index = serde_json::json!({
            "schemaVersion": 2, "mediaType": INDEX, "manifests": [],
            "annotations": {"test": strange},
        });
        self.put(repository, tag, INDEX, index.to_string().as_bytes())
    }

    fn delete_blob(&self, repository: &str, digest: &str) {
        let url = self.url(&format!("{repository}/blobs/{digest}"));
        assert_eq!(self.agent.delete(url).call().unwrap().status(), 202);
    }
}

/// Removes a folder that is there.
#[track_caller]
fn remove(folder: &Path) {
    std::fs::remove_dir_all(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
}
