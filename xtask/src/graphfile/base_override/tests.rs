use crate::graphfile::options::GraphOptions;
use camino::Utf8PathBuf;

use camino::Utf8Path;

use super::*;

/// A graph of one folder per stage, each with a Dockerfile.
struct Tree {
    _folder: tempfile::TempDir,
    file: Utf8PathBuf,
}

fn tree(graph: &str, dockerfiles: &[(&str, &str)]) -> Tree {
    let folder = tempfile::tempdir().unwrap();
    let root = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
    for (stage, text) in dockerfiles {
        std::fs::create_dir(root.join(stage)).unwrap();
        std::fs::write(root.join(stage).join("Dockerfile"), text).unwrap();
    }
    let file = root.join("build-graph.toml");
    std::fs::write(&file, format!("version = 1\n{graph}")).unwrap();
    Tree {
        _folder: folder,
        file,
    }
}

/// As `open`, without a state folder; these graphs have no sources.
fn read(file: &Utf8Path, profile: Option<&str>) -> Result<(Spec, Graph)> {
    let mut spec = spec::load(file, &GraphOptions::profile(profile))?;
    apply(&mut spec)?;
    let graph = Graph::of(&spec)?;
    Ok((spec, graph))
}

fn of<'s>(spec: &'s Spec, name: &str) -> &'s Stage {
    spec.stage(spec.find(name).unwrap())
}

const GRAPH: &str = r#"
[stage.web]
context = "web"
[stage.api]
context = "api"
[stage.ca]
context = "ca"
[base."docker.io/library/python:3.12"]
image = "mirror.example/python:3.12"
stage = "ca"
"#;

#[test]
fn a_stage_takes_a_bases_place_only_where_the_base_is_used() {
    let tree = tree(
        GRAPH,
        &[
            ("web", "FROM node:20\n"),
            ("api", "FROM python:3.12 AS base\nFROM base\n"),
            ("ca", "FROM python:3.12\n"),
        ],
    );
    let (spec, graph) = read(&tree.file, None).unwrap();
    let (ca, api) = (spec.find("ca").unwrap(), spec.find("api").unwrap());
    let name = "docker.io/library/python:3.12";
    assert_eq!(of(&spec, "api").contexts[name], Context::Stage(ca));
    assert!(of(&spec, "web").contexts.is_empty());
    assert_eq!(graph.children(ca).collect::<Vec<_>>(), [api]);
}

#[test]
fn the_overlay_itself_gets_the_mirrors_image() {
    let tree = tree(
        GRAPH,
        &[
            ("web", "FROM scratch\n"),
            ("api", "FROM scratch\n"),
            ("ca", "FROM python:3.12\n"),
        ],
    );
    let (spec, _) = read(&tree.file, None).unwrap();
    let contexts = &of(&spec, "ca").contexts;
    let image = Context::Image("mirror.example/python:3.12".to_owned());
    assert_eq!(contexts.values().collect::<Vec<_>>(), [&image]);
}

#[test]
fn what_a_stage_says_itself_holds() {
    let own = GRAPH.replace(
        "context = \"api\"\n",
        "context = \"api\"\ncontexts = { \"python:3.12\" = { image = \"own.example/p:1\" } }\n",
    );
    let tree = tree(&own, &[("api", "FROM python:3.12\n")]);
    let (spec, _) = read(&tree.file, None).unwrap();
    let api = of(&spec, "api");
    assert_eq!(api.contexts.len(), 1);
    assert!(api.replaced.is_empty());
}

#[test]
fn a_base_that_an_argument_names_is_found() {
    let with = GRAPH.replace(
        "context = \"api\"\n",
        "context = \"api\"\nargs = { TAG = \"3.12\" }\n",
    );
    let tree = tree(&with, &[("api", "ARG TAG=3.11\nFROM python:${TAG}\n")]);
    let (spec, _) = read(&tree.file, None).unwrap();
    assert_eq!(of(&spec, "api").replaced.len(), 1);
}

#[test]
fn a_base_that_any_of_the_platforms_names_is_found() {
    let with = GRAPH.replace("python:3.12", "python-arm64:3.12");
    let text = "FROM --platform=$BUILDPLATFORM node AS js\nFROM python-$TARGETARCH:3.12\n";
    let of_platforms = |platforms: &str| {
        let all = format!("[defaults]\nplatforms = {platforms}\n{with}");
        let tree = tree(&all, &[("api", text)]);
        let (spec, _) = read(&tree.file, None).unwrap();
        of(&spec, "api").replaced.len()
    };
    assert_eq!(of_platforms("['linux/amd64', 'linux/arm64']"), 1);
    assert_eq!(of_platforms("['linux/amd64', 'linux/s390x']"), 0);
    assert_eq!(of_platforms("[]"), 1, "the engine's own is not known");
}

#[test]
fn a_dockerfile_that_a_host_command_makes_may_use_any_base() {
    let of_output = |output: &str| {
        let prepare =
            format!("prepare = {{ dir = \"api\", run = [\"x\"], outputs = [\"{output}\"] }}\n");
        let with = GRAPH.replace(
            "context = \"api\"\n",
            &format!("context = \"api\"\n{prepare}"),
        );
        let tree = tree(&with, &[("api", "FROM other\n")]);
        let (spec, _) = read(&tree.file, None).unwrap();
        of(&spec, "api").replaced.len()
    };
    assert_eq!(of_output("Dockerfile"), 1);
    assert_eq!(of_output("main"), 0);
}

#[test]
fn an_overlay_for_other_platforms_is_refused() {
    let with = GRAPH.replace(
        "context = \"api\"\n",
        "context = \"api\"\nplatforms = [\"linux/arm64\"]\n",
    );
    let tree = tree(&with, &[("api", "FROM python:3.12\n")]);
    let fault = read(&tree.file, None).unwrap_err();
    assert_eq!(fault.class, crate::fault::Class::Usage);
    assert!(fault.message.contains("stage `ca`"), "{fault}");
}

#[test]
fn overlays_that_stand_on_each_other_are_a_cycle_with_its_path() {
    let graph = r#"
[stage.a]
context = "a"
[stage.b]
context = "b"
[base."x"]
stage = "a"
[base."y"]
stage = "b"
"#;
    let tree = tree(graph, &[("a", "FROM y\n"), ("b", "FROM x\n")]);
    let fault = read(&tree.file, None).unwrap_err();
    assert!(fault.message.contains("a -> b -> a"), "{fault}");
}

#[test]
fn a_profile_brings_overlays_of_its_own() {
    let graph = r#"
[stage.api]
context = "api"
[profile.corporate.stage.ca]
context = "ca"
[profile.corporate.base."python:3.12"]
stage = "ca"
"#;
    let dockerfiles = [("api", "FROM python:3.12\n"), ("ca", "FROM python:3.12\n")];
    let tree = tree(graph, &dockerfiles);
    assert_eq!(read(&tree.file, None).unwrap().0.stages.len(), 1);
    let (spec, _) = read(&tree.file, Some("corporate")).unwrap();
    assert_eq!(of(&spec, "api").replaced.len(), 1);
}

#[test]
fn an_image_that_a_dockerfile_names_only_later_is_overlooked_unless_it_stays_as_it_is() {
    let dockerfiles = [
        ("web", "FROM node:20\n"),
        ("api", "FROM python:3.12\n"),
        ("ca", "FROM python:3.12\n"),
    ];
    let tree = tree(GRAPH, &dockerfiles);
    let (spec, _) = read(&tree.file, None).unwrap();
    let found = |stage: &str, names: &[&'static str]| {
        let id = spec.find(stage).unwrap();
        overlooked(&spec, id, names.iter().copied())
    };
    let later = &["node:20", "python:3.12"];
    assert_eq!(found("web", later), Some("python:3.12"));
    assert_eq!(found("web", &["node:20", "python:3"]), None);
    // `api` has the override's context already.
    assert_eq!(found("api", later), None);
}
