//! Graph files that `init` writes for repositories as they are: `plan` runs on each of them without
//! an edit.

use std::path::Path;

use super::support::Ran;
use super::{Project, host, project};

/// Writes the graph, and plans with it. Returns what `init` said.
fn adopted(project: &Project, stages: &[&str]) -> Ran {
    let said = project.run_in("", &["init"]).ends(0);
    let planned = project.run_in("", &["plan", "--json"]).ends(0);
    let plan: serde_json::Value = serde_json::from_str(&planned.stdout).unwrap();
    let names: Vec<&str> = plan["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| stage["stage"].as_str().unwrap())
        .collect();
    assert_eq!(names, stages, "{}", graph(project));
    project.run_in("", &["init", "--check"]).ends(0);
    said
}

fn graph(project: &Project) -> String {
    std::fs::read_to_string(project.path("build-graph.toml")).unwrap()
}

fn has(project: &Project, lines: &[&str]) {
    let text = graph(project);
    for line in lines {
        assert!(text.lines().any(|own| own == *line), "{line}\n{text}");
    }
}

#[test]
fn the_sample_is_adopted_as_it_is() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/sample");
    let project = project(&host()).copy_of(&sample);
    std::fs::remove_file(project.path("build-graph.toml")).unwrap();
    let said = adopted(
        &project,
        &[
            "api",
            "bases",
            "bases-arm64",
            "db",
            "api-custom",
            "ssrf-proxy",
            "web-custom",
            "redis",
            "sandbox",
            "services",
            "web",
        ],
    );
    // The sandbox's programs are made on the host.
    assert!(
        said.stdout.contains("`main` is not in the context"),
        "{}",
        said.stdout
    );
    // It never overwrites.
    let before = graph(&project);
    project.run_in("", &["init"]).ends(2).says("init --check");
    assert_eq!(graph(&project), before);
}

#[test]
fn compose_files_are_adopted_with_their_variables_and_services() {
    let compose = r#"
name: shop
services:
  api: &api
    image: ex/api:${TAG:-1.0}
    build:
      context: ../api
      args: { MODE: "${MODE:-prod}", PRICE: "$$5", TOKEN: }
      secrets: [token]
      additional_contexts: { common: "service:base" }
  worker: *api
  base:
    build: { context: ../base, target: run, extra_hosts: ["db=10.0.0.1"] }
  web:
    build: ../web
  inline:
    build: { context: ../web, dockerfile_inline: "FROM scratch" }
  db:
    image: postgres:16
secrets:
  token: { environment: API_TOKEN }
"#;
    let project = project(&host())
        .variable("MODE", "secret-of-mine")
        .file("deploy/compose.yaml", compose)
        .file(
            "deploy/compose.override.yaml",
            "services:\n  web:\n    image: ex/web:2\n",
        )
        .file(
            "api/Dockerfile",
            "FROM common\nARG MODE\nARG PRICE\nARG TOKEN\nCOPY a /\n",
        )
        .file("api/a", "a")
        .file(
            "base/Dockerfile",
            "FROM scratch AS run\nCOPY b /\nFROM scratch\n",
        )
        .file("base/b", "b")
        .file("web/Dockerfile", "FROM ex/api:1.0\nCOPY w /\n")
        .file("web/w", "w");
    let said = adopted(&project, &["base", "api", "web"]);
    has(
        &project,
        &[
            "MODE = { env = \"MODE\", default = \"prod\" }",
            "TAG = { env = \"TAG\", default = \"1.0\" }",
            "tags = [\"${TAG}\"]",
            "args = { MODE = \"${MODE}\", PRICE = \"$$5\" }",
            "contexts = { common = { stage = \"base\" } }",
            "secrets = [{ id = \"token\", env = \"API_TOKEN\" }]",
            "services = [\"api\", \"worker\"]",
            "add-hosts = { db = \"10.0.0.1\" }",
            "target = \"run\"",
            "image = \"ex/web\"",
            "compose = \"deploy/compose.yaml\"",
        ],
    );
    let text = graph(&project);
    assert!(!text.contains("secret-of-mine"), "{text}");
    for line in [
        "? compose takes the argument `TOKEN` from the environment",
        "not taken: service `inline` of deploy/compose.yaml: it has its Dockerfile inline",
    ] {
        assert!(said.stdout.contains(line), "{line}\n{}", said.stdout);
    }

    // What a person changes is theirs. What compose changes has drifted.
    project.write(
        "build-graph.toml",
        graph(&project).replace("PRICE = \"$$5\"", "PRICE = \"6\""),
    );
    project.run_in("", &["init", "--check"]).ends(0);
    let changed = compose
        .replace("target: run", "target: other")
        .replace("  inline:", "  more:\n    build: ../more\n  inline:");
    project.write("deploy/compose.yaml", changed);
    project.write("more/Dockerfile", "FROM scratch\n");
    let drifted = project.run_in("", &["init", "--check"]).ends(1);
    for line in [
        "stage `base`: `target` is `other` in deploy/compose.yaml, service `base`, and `run` in the graph",
        "no stage builds more/Dockerfile: it comes from deploy/compose.yaml, service `more`; if none shall, write the line `# init: leaves out more/Dockerfile`",
    ] {
        assert!(drifted.stdout.contains(line), "{line}\n{}", drifted.stdout);
    }
    assert_eq!(drifted.stdout.lines().count(), 2, "{}", drifted.stdout);
}

#[test]
fn bake_files_are_adopted_with_groups_and_parents() {
    let bake = r#"
variable "TAG" { default = "dev" }
group "default" { targets = ["api", "web"] }
group "front" { targets = ["web", "tool"] }
target "base" { context = "base" }
target "api" {
  context = "api"
  tags = ["ex/api:${TAG}", "ex/api:latest"]
  contexts = { parent = "target:base" }
  args = { A = "$5" }
  platforms = ["linux/amd64"]
}
target "web" {
  context = "web"
  dockerfile = "prod.Dockerfile"
  platforms = ["linux/amd64", "linux/arm64"]
}
target "tool" {
  inherits = ["web"]
  name = "tool-${v}"
  matrix = { v = ["1", "2"] }
  target = "t${v}"
}
"#;
    let project = project(&host())
        .variable("TAG", "of-my-shell")
        .file("docker-bake.hcl", bake)
        .file("base/Dockerfile", "FROM scratch\n")
        .file("api/Dockerfile", "FROM parent\nARG A\n")
        .file(
            "web/prod.Dockerfile",
            "FROM scratch AS t1\nFROM scratch AS t2\nFROM scratch\n",
        );
    adopted(&project, &["base", "api", "tool-1", "tool-2", "web"]);
    has(
        &project,
        &[
            "tags = [\"dev\", \"latest\"]",
            "args = { A = \"$$5\" }",
            "contexts = { parent = { stage = \"base\" } }",
            // bake builds a parent for the platforms of its children without a word in the file.
            "# ? its child `api` is built for linux/amd64, so this stage is, too: is that right?",
            "dockerfile = \"web/prod.Dockerfile\"",
            "platforms = [\"linux/amd64\", \"linux/arm64\"]",
            "target = \"t2\"",
            "front = [\"tool-1\", \"tool-2\", \"web\"]",
        ],
    );
}

#[test]
fn dockerfiles_alone_are_adopted_also_with_the_whole_folder_as_their_context() {
    let project = project(&host())
        .file("go.mod", "module x\n")
        // What the test's own docker writes while it runs.
        .file(".dockerignore", "calls\ndocker-config\n")
        .file("docker/server.dockerfile", "FROM scratch\nCOPY . /app\n")
        .file("api/Dockerfile", "FROM scratch\nCOPY main.py /\n")
        .file("api/main.py", "")
        .file("node_modules/x/Dockerfile", "FROM scratch\n");
    // The state would lie in the context.
    let cache = tempfile::tempdir().unwrap();
    let project = project
        .variable("XTASK_STATE", "")
        .variable("XDG_CACHE_HOME", cache.path().to_str().unwrap());
    let said = adopted(&project, &["api", "server"]);
    has(
        &project,
        &[
            "state = \"cache\"",
            "dockerfile = \"docker/server.dockerfile\"",
        ],
    );
    assert!(
        said.stdout
            .contains("? it copies its whole context: does that start at `.`?")
    );
    assert!(cache.path().join("xtask").is_dir());
    assert!(!project.path("target").exists());
    project.run_in("", &["build"]).ends(0);
    project.run_in("", &["plan", "--exit-code"]).ends(0);
}
