//! `init` where nothing but the files themselves can be asked.

use super::Project;

fn empty() -> Project {
    Project::new().variable("PATH", "/nonexistent")
}

const WORKFLOW: &str = "
on: push
env:
  API: ${{ vars.API || 'ex/api' }}
jobs:
  build:
    strategy:
      matrix:
        include:
          - { platform: linux/amd64, context: '{{defaultContext}}', file: api/Dockerfile, name: API }
          - { platform: linux/arm64, context: '{{defaultContext}}', file: api/Dockerfile, name: API }
          - { platform: linux/amd64, context: '{{defaultContext}}:tools', file: docker/Dockerfile }
    steps:
      - uses: docker/build-push-action@0000000000000000000000000000000000000000
        with:
          context: ${{ matrix.context }}
          file: ${{ matrix.file }}
          platforms: ${{ matrix.platform }}
          build-args: |
            COMMIT=${{ github.ref_name }}
            PRICE=$5
            REVISION=${{ github.sha }}
            UNKNOWN=1
          outputs: type=image,name=${{ env[matrix.name] }},push=true
  made:
    strategy:
      matrix: ${{ fromJSON(needs.x.outputs.y) }}
    steps:
      - uses: docker/build-push-action@v6
";

#[test]
fn the_matrix_of_a_workflow_says_contexts_platforms_and_names() {
    let project = empty()
        .file(".github/workflows/images.yml", WORKFLOW)
        .file(
            "api/Dockerfile",
            "FROM scratch\nARG PRICE\nARG COMMIT\nCOPY api/main.py /\n",
        )
        .file("api/main.py", "")
        .file("tools/docker/Dockerfile", "FROM scratch\nCOPY tool /\n")
        .file("tools/tool", "");
    let said = project.run_in("", &["init"]).ends(0);
    let graph = std::fs::read_to_string(project.path("build-graph.toml")).unwrap();
    for lines in [
        "[stage.api]\ncontext = \".\"\ndockerfile = \"api/Dockerfile\"\nimage = \"ex/api\"\n\
         platforms = [\"linux/amd64\", \"linux/arm64\"]\nargs = { PRICE = \"$$5\" }\n",
        "[stage.tools]\ncontext = \"tools\"\ndockerfile = \"tools/docker/Dockerfile\"\n\
         platforms = [\"linux/amd64\"]\n",
        "# ? a run gives the argument `COMMIT` the value of `github.ref_name`: what should it be here?\n",
    ] {
        assert!(graph.contains(lines), "{lines}\n{graph}");
    }
    // The other Dockerfile takes none of the arguments, so nothing is asked about them.
    assert!(
        said.stdout.contains("2 stages, 1 question\n"),
        "{}",
        said.stdout
    );
    let left = "not taken: job `made` of .github/workflows/images.yml: a run makes its matrix";
    assert!(said.stdout.contains(left), "{}", said.stdout);
    project.run_in("", &["inputs", "api"]).ends(0);
    project.run_in("", &["init", "--check"]).ends(0);

    std::fs::remove_file(project.path("tools/docker/Dockerfile")).unwrap();
    let drifted = project.run_in("", &["init", "--check"]).ends(1);
    let gone = "stage `tools`: what it was made from is not there any more\n";
    assert_eq!(drifted.stdout, gone);
}

#[test]
fn a_compose_file_that_cannot_be_read_is_told_and_the_rest_is_taken() {
    let project = empty()
        .file("compose.yaml", "services: { api: { build: api } }\n")
        .file("api/Dockerfile", "FROM scratch\n");
    let said = project.run_in("", &["init"]).ends(0);
    let left = "not taken: compose.yaml: `docker compose config` cannot read it";
    assert!(said.stdout.contains(left), "{}", said.stdout);
    assert!(
        said.stdout
            .contains("wrote build-graph.toml: 1 stage, 0 questions")
    );
    // What it says now is not known, so nothing is said to be gone.
    let told = "cannot tell what has changed: compose.yaml";
    project.run_in("", &["init", "--check"]).ends(3).says(told);
}

#[test]
fn a_folder_without_images_gets_no_graph_file() {
    let project = empty().file("README.md", "");
    project
        .run_in("", &["init"])
        .ends(2)
        .says("there is no Dockerfile");
    assert!(!project.path("build-graph.toml").exists());
    project
        .run_in("", &["init", "--check"])
        .ends(2)
        .says("init` writes one");
    project
        .run_in("", &["init", "--source", "Bad Name=x"])
        .ends(2);
}

#[test]
fn a_checkout_elsewhere_becomes_a_source() {
    let project = empty()
        .file("up/api/Dockerfile", "FROM scratch\nCOPY a /\n")
        .file("up/api/a", "")
        .file("own/x", "");
    let source = format!("up={}", project.path("up").display());
    project
        .run_in("own", &["init", "--source", &source])
        .ends(0);
    let graph = std::fs::read_to_string(project.path("own/build-graph.toml")).unwrap();
    assert!(graph.contains("[source.up]\npath = "), "{graph}");
    assert!(
        graph.contains("[stage.up-api]\nsource = \"up\"\ncontext = \"api\"\n"),
        "{graph}"
    );
    project
        .run_in("own", &["inputs", "up-api"])
        .ends(0)
        .says("1 input");
    project.run_in("own", &["init", "--check"]).ends(0);
}

#[test]
fn names_of_files_write_nothing_into_the_graph() {
    let evil =
        "z\nversion = 1\n[stage.evil]\ncontext = \"a\"\nprepare.run = [\"touch\", \"PWNED\"]\n#";
    let project = empty()
        .file("a/Dockerfile", "FROM scratch\nCOPY x /\n")
        .file("a/x", "")
        .file(&format!("{evil}/Dockerfile"), "FROM scratch\nCOPY y /\n")
        .file(&format!("{evil}/y"), "");
    let ran = project.run_in("", &["init"]).ends(0);
    assert!(!ran.stdout.contains("\n[stage"), "{}", ran.stdout);
    let graph = std::fs::read_to_string(project.path("build-graph.toml")).unwrap();
    let graph: toml::Table = graph.parse().unwrap();
    let stages = graph["stage"].as_table().unwrap();
    assert!(stages.contains_key("a") && !stages.contains_key("evil"));
    assert!(stages.values().all(|stage| stage.get("prepare").is_none()));
}

#[test]
fn where_the_state_of_the_caller_lies_does_not_decide_where_that_of_the_graph_does() {
    let project = empty()
        .file("Dockerfile", "FROM scratch\nCOPY . /\n")
        .file("x", "");
    let states = tempfile::tempdir().unwrap();
    let project = project.variable("XTASK_STATE", states.path().to_str().unwrap());
    project.run_in("", &["init"]).ends(0);
    let graph = std::fs::read_to_string(project.path("build-graph.toml")).unwrap();
    assert!(graph.contains("\nstate = \"cache\"\n"), "{graph}");
    assert!(!project.path("target").exists());
}
