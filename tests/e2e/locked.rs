//! External images on a real engine, from a real registry. They are locked at the first build, move
//! only with the lock, and are used without a network.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::support::interrupt;
use super::support::push::push;
use super::{Project, builds, docker, hosts, project, registry, unique};

const AMD64: &str = "linux/amd64";
const ARM64: &str = "linux/arm64";

/// Two stages, each on an image of its own, and a third without an image.
fn three(host: &str, one: &str, two: &str) -> Project {
    let stage = |name: &str| {
        format!(
            "[stage.{name}]\ncontext = \"{name}\"\nimage = \"{}\"\n",
            unique(name)
        )
    };
    let graph = format!("version = 1\n{}{}{}", stage("a"), stage("b"), stage("c"));
    let from = |base: &str| format!("FROM {base}\nCOPY x /x\n");
    let mut project = project(host)
        .file("build-graph.toml", graph)
        .file("a/Dockerfile", from(one))
        .file("b/Dockerfile", from(two))
        .file("c/Dockerfile", from("scratch"));
    for name in ["a", "b", "c"] {
        project = project.file(&format!("{name}/x"), unique(name));
    }
    project
}

fn lock(project: &Project) -> String {
    fs::read_to_string(project.path("build-graph.lock")).unwrap()
}

/// The content of `/id` in a stage's image.
fn id_file(host: &str, project: &Project, stage: &str) -> String {
    let graph = fs::read_to_string(project.path("build-graph.toml")).unwrap();
    let of_stage = graph.split(&format!("[stage.{stage}]")).nth(1).unwrap();
    let image = of_stage
        .split("image = \"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let container = docker(host, &["create", &format!("{image}:latest"), "/none"]);
    let copied = project.path("id");
    docker(
        host,
        &["cp", &format!("{container}:/id"), copied.to_str().unwrap()],
    );
    docker(host, &["rm", &container]);
    fs::read_to_string(copied).unwrap()
}

#[test]
fn a_moved_tag_changes_nothing_until_the_lock_is_updated_and_then_exactly_what_uses_it() {
    let Some(registry) = registry() else { return };
    for host in hosts() {
        let (one, two) = (unique("one:1"), unique("two:1"));
        let before = push(&registry, &one, &[(AMD64, "one"), (ARM64, "one")]);
        push(&registry, &two, &[(AMD64, "two")]);
        let (one_at, two_at) = (format!("{registry}/{one}"), format!("{registry}/{two}"));
        let project = three(&host, &one_at, &two_at);
        let first = project.build(&[]).ends(0);
        assert_eq!(first.those("built"), ["a", "b", "c"]);
        assert!(
            first
                .stdout
                .contains(&format!("pinned {one_at} to {before}")),
            "{}",
            first.stdout
        );
        let locked = lock(&project);
        assert_eq!(id_file(&host, &project, "a"), "one");

        let after = push(&registry, &one, &[(AMD64, "moved"), (ARM64, "one")]);
        let ran = builds(&project);
        assert_eq!(
            project.build(&["--locked"]).ends(0).those("fresh"),
            ["a", "b", "c"]
        );
        assert_eq!(builds(&project), ran);
        assert_eq!(lock(&project), locked);
        // A forced build still uses the image that the lock names.
        project.build(&["--force=a"]).ends(0);
        assert_eq!(id_file(&host, &project, "a"), "one");

        let found = project.run(&["outdated", "--json"]).ends(0).stdout;
        let found: Value = serde_json::from_str(&found).unwrap();
        assert_eq!(found["outdated"][0]["name"], one_at.as_str());
        assert_eq!(found["outdated"][0]["rebuilds"], Value::from(vec!["a"]));
        project.run(&["lock", "--update", &one_at]).ends(0);
        assert!(lock(&project).contains(&after) && !lock(&project).contains(&before));
        let verdicts = project.verdicts();
        assert_eq!(verdicts["a"], "stale base_moved");
        assert_eq!(
            (verdicts["b"].as_str(), verdicts["c"].as_str()),
            ("fresh", "fresh")
        );
        let reason = &project.planned("a")["reason"];
        let change = &reason["changes"][0];
        let digests = [&change["before"], &change["after"]].map(|v| v.as_str().unwrap().to_owned());
        assert!(
            digests.iter().all(|digest| digest.starts_with("sha256:")) && digests[0] != digests[1]
        );
        let explained = project.run(&["explain", "a"]).ends(0).stdout;
        assert!(
            digests.iter().all(|digest| explained.contains(digest)),
            "{explained}"
        );
        let built = project.build(&["--locked"]).ends(0);
        assert_eq!(built.those("built"), ["a"]);
        assert_eq!(id_file(&host, &project, "a"), "moved");

        // If only the image for another platform moved, nothing is built.
        push(&registry, &one, &[(AMD64, "moved"), (ARM64, "other")]);
        project.run(&["lock", "--update"]).ends(0);
        assert_ne!(lock(&project), locked);
        assert_eq!(
            project.build(&["--locked"]).ends(0).those("fresh"),
            ["a", "b", "c"]
        );
    }
}

#[test]
fn without_a_network_a_build_uses_what_is_here_and_names_what_is_not() {
    let Some(registry) = registry() else { return };
    for host in hosts() {
        let (one, two) = (unique("one:1"), unique("two:1"));
        push(&registry, &one, &[(AMD64, &one)]);
        push(&registry, &two, &[(AMD64, &two)]);
        let gate = Gate::to(&registry);
        let (one_at, two_at) = (
            format!("{}/{one}", gate.address),
            format!("{}/{two}", gate.address),
        );
        let project = three(&host, &one_at, &two_at);
        project.run(&["lock"]).ends(0);
        project.build(&["a"]).ends(0);
        gate.shut();
        project.write("a/x", unique("changed"));
        let ran = project.build(&["--offline", "a"]).ends(0);
        assert_eq!(ran.those("built"), ["a"]);
        // The lock names the image, but neither the engine nor its builder has it.
        let through = gate.count();
        let ran = project.build(&["--offline", "--keep-going"]).ends(3);
        assert_eq!(ran.those("failed"), ["b"]);
        assert!(
            ran.stdout.contains(&format!("{two_at}@sha256:")),
            "{}",
            ran.stdout
        );
        assert_eq!(gate.count(), through, "the engine is not made to fetch it");
    }
}

#[test]
fn an_image_that_both_the_engine_and_a_registry_have_is_locked() {
    let Some(registry) = registry() else { return };
    for host in hosts() {
        let one = unique("one:1");
        let digest = push(&registry, &one, &[(AMD64, "one")]);
        let at = format!("{registry}/{one}");
        docker(&host, &["pull", "--quiet", &at]);
        let project = three(&host, &at, "scratch");
        project.build(&[]).ends(0);
        assert!(lock(&project).contains(&digest));
        assert_eq!(id_file(&host, &project, "a"), "one");
        docker(&host, &["image", "rm", "--force", &at]);
        // The engine's copy was not part of the key.
        assert_eq!(project.verdicts()["a"], "fresh");
    }
}

#[test]
fn the_frontend_is_locked_and_handed_to_the_builder_by_its_digest() {
    let Some(registry) = registry() else { return };
    let host = super::host();
    let front = unique("front:1");
    let before = push(&registry, &front, &[(AMD64, "no program")]);
    let at = format!("{registry}/{front}");
    let project = three(&host, "scratch", "scratch").file(
        "a/Dockerfile",
        format!("# syntax={at}\nFROM scratch\nCOPY x /x\n"),
    );
    // An image without a program cannot read a Dockerfile. The error shows which image BuildKit
    // used.
    let ran = project.build(&["a"]).ends(1);
    assert!(
        ran.stdout.contains(&format!("{at}@{before}")),
        "{}",
        ran.stdout
    );
    let after = push(&registry, &front, &[(AMD64, "another")]);
    let ran = project.build(&["a"]).ends(1);
    assert!(
        ran.stdout.contains(&before) && !ran.stdout.contains(&after),
        "{}",
        ran.stdout
    );
    project.run(&["lock", "--update"]).ends(0);
    let ran = project.build(&["a"]).ends(1);
    assert!(ran.stdout.contains(&after), "{}", ran.stdout);
}

#[test]
fn an_interrupt_does_not_wait_for_a_registry() {
    let host = super::host();
    // The server accepts connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("{}/{}", silent.local_addr().unwrap(), unique("one:1"));
    let project = three(&host, &at, "scratch");
    let child = project.start(&["build", "--json", "a"]);
    let (stream, _) = silent.accept().unwrap();
    let start = std::time::Instant::now();
    interrupt(&child);
    let ran = Project::finish(child);
    assert_eq!(ran.status, 130, "{}", ran.stderr);
    assert!(start.elapsed() < std::time::Duration::from_secs(10));
    drop(stream);
}

#[test]
fn what_is_edited_while_a_registry_takes_its_time_is_built() {
    let Some(registry) = registry() else { return };
    for host in hosts() {
        let one = unique("one:1");
        push(&registry, &one, &[(AMD64, "one")]);
        let gate = Gate::to(&registry);
        let project = three(&host, &format!("{}/{one}", gate.address), "scratch");
        project.build(&["a"]).ends(0);
        // The registry's answer gives the key of the record again, if nothing is edited meanwhile.
        fs::remove_file(project.path("build-graph.lock")).unwrap();
        let (edited, text) = (project.path("a/x"), unique("edited"));
        gate.once(move || fs::write(edited, text).unwrap());
        assert_eq!(project.build(&["a"]).ends(0).those("built"), ["a"]);

        fs::remove_file(project.path("build-graph.lock")).unwrap();
        assert_eq!(project.build(&["a"]).ends(0).those("fresh"), ["a"]);
    }
}

type Hook = Box<dyn FnOnce() + Send>;

/// A proxy in front of the registry that counts connections and can be shut.
struct Gate {
    address: String,
    is_shut: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    hook: Arc<Mutex<Option<Hook>>>,
}

impl Gate {
    fn to(registry: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gate = Self {
            address: listener.local_addr().unwrap().to_string(),
            is_shut: Arc::default(),
            count: Arc::default(),
            hook: Arc::default(),
        };
        let (is_shut, count) = (Arc::clone(&gate.is_shut), Arc::clone(&gate.count));
        let hook = Arc::clone(&gate.hook);
        let registry = registry.to_owned();
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                if let Some(hook) = hook.lock().unwrap().take() {
                    hook();
                }
                if is_shut.load(Ordering::SeqCst) {
                    continue;
                }
                let mut server = TcpStream::connect(&registry).unwrap();
                let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut up, &mut down);
                    let _ = down.shutdown(std::net::Shutdown::Write);
                });
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut server, &mut client);
                    let _ = client.flush();
                });
            }
        });
        gate
    }

    fn shut(&self) {
        self.is_shut.store(true, Ordering::SeqCst);
    }

    /// Runs `hook` before the next connection gets any further.
    fn once(&self, hook: impl FnOnce() + Send + 'static) {
        *self.hook.lock().unwrap() = Some(Box::new(hook));
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}
