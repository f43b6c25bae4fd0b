//! The chapters in `docs`: their commands are commands of this program, their stages are in the graphs, and what they add to a
//! graph is accepted.

use std::collections::BTreeSet;
use std::path::Path;

use clap::Parser as _;
use toml::{Table, Value};
use xtask::cli::{Cli, Command};

use super::documents::{read, texts};
use super::readme::{commands, words};
use super::support::Project;

/// The chapters of both languages.
fn chapters() -> Vec<(String, String)> {
    let all = texts(&["md"]).into_iter();
    let named = all.map(|(path, text)| (path.to_str().unwrap().to_owned(), text));
    let chapters: Vec<_> = named
        .filter(|(path, _)| path.starts_with("docs/"))
        .collect();
    assert!(chapters.len() >= 20, "{}", chapters.len());
    chapters
}

fn graph(file: &str) -> Table {
    read(file).parse().unwrap()
}

/// The stages that a command names, and the graph that it means.
fn stages(command: Command) -> (Vec<String>, Option<String>) {
    let (stages, at) = match command {
        Command::Build(it) => (it.stages, it.at),
        Command::Plan(it) => (it.stages, it.at),
        Command::Verify(it) => (it.stages, it.at),
        Command::Publish(it) => (it.stages, it.at),
        Command::Explain(it) => (vec![it.stage], it.at),
        Command::Inputs(it) => (it.stage.into_iter().collect(), it.at),
        _ => return (Vec::new(), None),
    };
    (stages, at.graph.map(String::from))
}

#[test]
fn every_command_of_the_guide_is_one_of_this_program_on_stages_of_its_graph() {
    let mut count = 0;
    for (path, text) in chapters() {
        let all = commands(&text);
        assert!(!all.is_empty(), "{path} has no command");
        for command in all {
            let parsed = Cli::try_parse_from(words(&command));
            let parsed = parsed.unwrap_or_else(|error| panic!("{path}: {command}: {error}"));
            let (named, file) = stages(parsed.command);
            let graph = graph(file.as_deref().unwrap_or("build-graph.toml"));
            for stage in named {
                let name = stage.split('@').next().unwrap();
                let known = graph["stage"].as_table().unwrap().contains_key(name);
                assert!(known, "{path}: {command}: no stage {name}");
                count += 1;
            }
        }
    }
    assert!(count > 40, "only {count} stages");
}

/// The blocks of one kind, without their fences.
fn blocks(text: &str, kind: &str) -> Vec<String> {
    let fence = format!("```{kind}\n");
    let begun = text.split(&fence).skip(1);
    begun
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

/// Lays an addition over a graph as its reader would write it into the file.
fn add(graph: &mut Table, addition: Table) {
    for (name, value) in addition {
        match (graph.get_mut(&name), value) {
            (Some(Value::Table(there)), Value::Table(more)) => add(there, more),
            (Some(Value::Array(there)), Value::Array(more))
                if more.iter().all(Value::is_table) && there.iter().all(Value::is_table) =>
            {
                there.extend(more);
            }
            (_, value) => drop(graph.insert(name, value)),
        }
    }
}

/// Both graphs without the real sources: only Dockerfiles with the FROM of upstream's, where a table of the graph asks for one.
fn project() -> Project {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let project = Project::new()
        .variable("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .variable("XTASK_SOURCE_DIFY", "dify")
        .variable("XTASK_SOURCE_DIFY_SANDBOX", "sandbox")
        .variable("XTASK_SOURCE_DIFY_PLUGIN_DAEMON", "daemon")
        .file("dify/api/Dockerfile", "FROM python:3.12-slim-bookworm\n")
        .file("dify/web/Dockerfile", "FROM node:20-alpine3.20\n")
        .file("dify/dify-agent/Dockerfile", "FROM scratch\n")
        .file(
            "dify/dify-agent/docker/local-sandbox/Dockerfile",
            "FROM scratch\n",
        )
        .file("dify/docker/ssrf_proxy/squid.conf.template", "")
        .file("daemon/docker/local.dockerfile", "FROM scratch\n")
        .file("daemon/docker/serverless.dockerfile", "FROM scratch\n")
        .file("sandbox/docker/amd64/dockerfile", "FROM scratch\n")
        .file("sandbox/docker/arm64/dockerfile", "FROM scratch\n");
    let overlays = project.path("overlays");
    project.copy_into(&root.join("overlays"), &overlays)
}

/// Makes the folders of overlays that a chapter tells its reader to make.
fn folders(project: &Project, addition: &Table) {
    let stages = addition.get("stage").and_then(Value::as_table);
    for stage in stages.into_iter().flat_map(Table::values) {
        let context = stage.get("context").and_then(Value::as_str);
        if let Some(context) = context.filter(|it| it.starts_with("overlays/")) {
            project.write(&format!("{context}/Dockerfile"), "FROM scratch\n");
        }
        let overlays = stage.get("overlays").and_then(Value::as_array);
        for overlay in overlays.into_iter().flatten().filter_map(Value::as_str) {
            project.write(&format!("{overlay}/.keep"), "");
        }
    }
}

#[test]
fn every_table_of_the_guide_can_be_added_to_its_graph() {
    let mut count = 0;
    for (path, text) in chapters() {
        for block in blocks(&text, "toml") {
            // The first half of a key that anybody has.
            let block = block.replace("ed25519:…", &format!("ed25519:{}=", "A".repeat(43)));
            let newer = "build-graph.1.14.toml";
            let file = if block.starts_with(&format!("# {newer}\n")) {
                newer
            } else {
                "build-graph.toml"
            };
            let addition: Table = block
                .parse()
                .unwrap_or_else(|error| panic!("{path}: {error}\n{block}"));
            let project = project();
            folders(&project, &addition);
            let mut whole = graph(file);
            add(&mut whole, addition.clone());
            project.write("build-graph.toml", toml::to_string(&whole).unwrap());
            let profiles = addition.get("profile").and_then(Value::as_table);
            let profiles: BTreeSet<&String> = profiles.into_iter().flat_map(Table::keys).collect();
            let mut arguments = vec!["graph"];
            arguments.extend(
                profiles
                    .iter()
                    .flat_map(|name| ["--profile", name.as_str()]),
            );
            let ran = project.run(&arguments);
            assert!(ran.status == 0, "{path}:\n{block}\n{}", ran.stderr);
            count += 1;
        }
    }
    assert!(count >= 30, "only {count} tables");
}

#[test]
fn an_unknown_field_in_a_table_of_the_guide_would_be_found() {
    let project = project();
    let mut whole = graph("build-graph.toml");
    add(&mut whole, "[stage.api]\nplatfroms = []\n".parse().unwrap());
    project.write("build-graph.toml", toml::to_string(&whole).unwrap());
    project.run(&["graph"]).ends(2).says("platfroms");
}
