//! The repository's own graph, unchanged, on a machine whose only network is loopback.

use std::path::Path;

use crate::lock::{lock, project};
use crate::support::registry::{Image, Registry};
use crate::support::remote::Remote;

const DIFY: &str = "https://github.com/langgenius/dify.git";
const SANDBOX: &str = "https://github.com/langgenius/dify-sandbox.git";

/// A repository with these Dockerfiles, at a tag.
fn remote(files: &[(&str, &str)], tag: &str) -> Remote {
    let remote = Remote::new();
    for (path, content) in files {
        remote.write(path, content);
    }
    remote.commit();
    remote.git(&["tag", "--annotate", "--message=x", tag]);
    remote.push();
    remote
}

#[test]
fn lock_fills_the_lock_of_the_shipped_graph_and_a_second_one_changes_nothing() {
    let workspace = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let dify = remote(
        &[
            (
                "api/Dockerfile",
                "FROM python:3.12-slim-bookworm AS base\nFROM base\nCOPY . .\n",
            ),
            ("api/poetry.lock", ""),
            (
                "web/Dockerfile",
                "FROM node:20-alpine3.20 AS base\nFROM base\nCOPY . .\n",
            ),
            ("docker/docker-compose.yaml", ""),
        ],
        "0.15.3",
    );
    let dockerfile = "FROM python:3.10-slim-bookworm\nCOPY main env /\n";
    let sandbox = remote(&[("docker/amd64/dockerfile", dockerfile)], "0.2.10");
    // Docker Hub's images come from the engine's mirror.
    let hub = Registry::start();
    let images = [
        "library/node:20-alpine3.20",
        "library/python:3.10-slim-bookworm",
        "library/python:3.12-slim-bookworm",
        "ubuntu/squid:latest",
    ];
    let digests = images.map(|name| (name, hub.put(name, &Image::of(name)).0));
    let graph = std::fs::read_to_string(workspace.join("build-graph.toml")).unwrap();
    let (project, engine) = project(&graph);
    engine.tell(&format!(r#"{{"Mirrors":["http://{}/"]}}"#, hub.address()));
    let rewritten =
        |from: &str, to: &Remote| format!("[url \"{}\"]\n\tinsteadOf = {from}\n", to.url());
    let settings = rewritten(DIFY, &dify) + &rewritten(SANDBOX, &sandbox);
    let overlays = project.path("overlays");
    let at = project.path("gitconfig").display().to_string();
    let project = project
        .copy_into(&workspace.join("overlays"), &overlays)
        .file("gitconfig", settings)
        .variable("GIT_CONFIG_GLOBAL", &at)
        .variable("GIT_CONFIG_NOSYSTEM", "1")
        .variable("PATH", &std::env::var("PATH").unwrap());

    project
        .run(&["plan", "--locked"])
        .ends(3)
        .says("cargo xtask sync");
    let ran = project.run(&["lock"]).ends(0);
    let said = "4 external images; 4 new, 0 moved, 0 dropped; commit it";
    assert!(ran.stdout.contains(said), "{}", ran.stdout);
    let text = lock(&project);
    for (name, remote, tag) in [
        ("dify", &dify, "0.15.3"),
        ("dify-sandbox", &sandbox, "0.2.10"),
    ] {
        let commit = remote.git(&["rev-parse", &format!("{tag}^{{commit}}")]);
        let (table, pin) = (format!("[source.{name}]"), format!("commit = \"{commit}\""));
        assert!(
            text.contains(&table) && text.contains(&pin),
            "{name}: {text}"
        );
    }
    for (name, digest) in &digests {
        let entry = format!("[base.\"docker.io/{name}\"]");
        assert!(
            text.contains(&entry) && text.contains(digest),
            "{name}: {text}"
        );
    }
    // All images and sources that a build of the graph needs are pinned.
    let wanted = ["api-custom", "web-custom", "ssrf-proxy"];
    let locked = [&["plan", "--locked", "--json"][..], &wanted].concat();
    // A host command makes the api's lock file first, so its stages are not fresh. None is refused.
    project.run(&locked).ends(0);
    project.run(&["sync", "--locked", "--offline"]).ends(0);
    hub.asked();
    let again = project.run(&["lock"]).ends(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    assert_eq!(lock(&project), text);
    assert_eq!(hub.lines(), Vec::<String>::new());
}

#[test]
fn both_readmes_say_whose_first_command_the_lock_is() {
    for name in ["README.md", "README.zh-CN.md"] {
        let path = format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let first = text.split("    cargo xtask lock\n").nth(1);
        assert!(
            first.is_some_and(|rest| rest.contains("git add build-graph.lock")),
            "{name}"
        );
    }
}
