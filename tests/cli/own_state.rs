//! The program's own state inside a context. It changes with every run, and would get into an
//! image.

use std::fs;

use crate::lock::project;
use crate::support::Project;
use crate::support::engine::Engine;

const GRAPH: &str = "version = 1\n[stage.a]\ncontext = \".\"\n";

fn world(graph: &str) -> (Project, Engine) {
    let (project, engine) = project(graph);
    let project = project
        .file("Dockerfile", "FROM scratch\nCOPY . /\n")
        .file("sub/x", "x");
    (project, engine)
}

/// Asserts that the program refuses the state and suggests a line for an ignore file, and accepts
/// the state once the file has that line.
#[track_caller]
fn is_refused_until(project: &Project, line: &str, file: &str) {
    let path = project.path("").canonicalize().unwrap().join(file);
    let said = format!("write `{line}` as the last line of {}", path.display());
    for command in ["plan", "build"] {
        project.run(&[command]).ends(2).says(&said);
    }
    let before = fs::read_to_string(&path).unwrap_or_default();
    fs::write(&path, format!("{before}{line}\n")).unwrap();
    project.run(&["plan"]).ends(0);
}

#[test]
fn the_state_in_a_context_is_refused_with_the_line_that_leaves_it_out() {
    // XTASK_STATE is `state` beside the graph file.
    let (whole, _engine) = world(GRAPH);
    is_refused_until(&whole, "state/graph-*", ".dockerignore");
    let (own, _engine) = world(GRAPH);
    own.write("Dockerfile.dockerignore", "*.log\n");
    is_refused_until(&own, "state/graph-*", "Dockerfile.dockerignore");
    let (relative, _engine) = world(GRAPH);
    let relative = relative.variable("XTASK_STATE", "sub/../sub/state");
    is_refused_until(&relative, "sub/state/graph-*", ".dockerignore");
    let (root, _engine) = world(GRAPH);
    let folder = root.path("").display().to_string();
    is_refused_until(
        &root.variable("XTASK_STATE", &folder),
        "graph-*",
        ".dockerignore",
    );
    let (linked, _engine) = world(GRAPH);
    fs::create_dir(linked.path("sub/real")).unwrap();
    std::os::unix::fs::symlink("sub/real", linked.path("state")).unwrap();
    is_refused_until(&linked, "sub/real/graph-*", ".dockerignore");
}

#[test]
fn a_state_that_a_link_in_the_context_leads_to_is_no_input() {
    let (project, _engine) = world(GRAPH);
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), project.path("state")).unwrap();
    project.run(&["plan"]).ends(0);
    project.write("Dockerfile", "FROM scratch\nCOPY sub /\n");
    fs::remove_file(project.path("state")).unwrap();
    project.run(&["plan"]).ends(0);
}

#[test]
fn the_state_of_another_graph_beside_the_own_one_is_refused_too() {
    let (project, _engine) = world(GRAPH);
    let project = project.variable("XTASK_STATE", "sub");
    // The ignore file leaves out only the state of this graph.
    project.run(&["plan"]).ends(2);
    let own = fs::read_dir(project.path("sub")).unwrap();
    let own = own.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let own = own
        .into_iter()
        .find(|name| name.starts_with("graph-"))
        .unwrap();
    project.write(".dockerignore", format!("sub/{own}\n"));
    project.run(&["plan"]).ends(0);
    project.write("sub/graph-0123456789ab/records/a.json", "");
    is_refused_until(&project, "sub/graph-*", ".dockerignore");
}

#[test]
fn the_state_in_a_named_context_an_overlay_or_the_inputs_of_a_host_command_is_refused() {
    let named = "version = 1\n[stage.a]\ncontext = \"sub\"\ndockerfile = \"Dockerfile\"\n\
        contexts = { other = { path = \".\" } }\n";
    let (project, _engine) = world(named);
    project.write("Dockerfile", "FROM scratch\nCOPY --from=other . /\n");
    is_refused_until(&project, "state/graph-*", ".dockerignore");

    let overlay = "version = 1\n[stage.a]\ncontext = \"sub\"\ndockerfile = \"Dockerfile\"\noverlays = [\"over\"]\n";
    let (project, _engine) = world(overlay);
    let project = project.file("over/y", "").variable("XTASK_STATE", "over");
    is_refused_until(&project, "graph-*", "sub/.dockerignore");

    let prepared = "version = 1\n[stage.a]\ncontext = \"sub\"\ndockerfile = \"Dockerfile\"\n\
        [stage.a.prepare]\nrun = [\"/bin/true\"]\ninputs = [\".\"]\noutputs = [\"sub/made\"]\n";
    let (project, _engine) = world(prepared);
    let said = "add `\"state/graph-*\"` to its `ignore`";
    project.run(&["build"]).says(said);
    let ignored = format!("{prepared}ignore = [\"state/graph-*\"]\n");
    project.write("build-graph.toml", ignored);
    project
        .run(&["build"])
        .never_says(said)
        .says("did not make");
}
