//! Runs the program without an engine, and checks exit statuses, messages, inputs and keys.

mod absent;
mod access;
mod broken;
mod chosen;
mod completions;
mod damage;
mod dockerfiles;
mod documents;
mod faults;
mod fetching;
mod guide;
mod help;
mod hostile;
mod init;
mod kill;
mod languages;
mod lock;
mod locked;
mod made;
mod mistakes;
mod near;
mod outdated;
mod own_state;
mod page;
mod platforms;
mod prepare;
mod readme;
mod rehearse;
mod report;
mod rooms;
mod schema;
mod secrets;
mod sentences;
mod setup;
mod shipped;
mod sources;
mod superseded;
#[path = "../support/mod.rs"]
mod support;
mod sync;
mod variables;
mod words;
mod workflow;
mod world;

use std::io::BufRead as _;

use support::Project;

const ONE: &str = "version = 1\n[stage.a]\ncontext = \"a\"\nimage = \"t/a\"\n";

fn one() -> Project {
    Project::new()
        .variable("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .file("build-graph.toml", ONE)
        .file("a/Dockerfile", "FROM scratch\nCOPY src /src\n")
        .file("a/src/one", "1")
        .file("a/other", "o")
}

fn key(project: &Project) -> String {
    let folder = project.path("a");
    project.inputs(&["--context", folder.to_str().unwrap()])["key"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn no_engine_is_exit_3_and_says_what_to_do() {
    one()
        .run(&["build"])
        .ends(3)
        .says("cannot reach the Docker engine")
        .says("DOCKER_HOST");
}

#[test]
fn what_is_not_there_is_exit_2_with_the_place() {
    one().run(&["build", "b"]).ends(2).says("unknown stage `b`");
    one()
        .file("build-graph.toml", "not toml [")
        .run(&["plan"])
        .ends(2)
        .says("not TOML");
    one()
        .file("build-graph.toml", ONE.replace("\"a\"", "\"nowhere\""))
        .run(&["plan"])
        .ends(2)
        .says("nowhere");
    let missing = Project::new().file("build-graph.toml", ONE).file("a/x", "");
    let ran = missing.run(&["inputs", "a"]);
    ran.ends(2).says("Dockerfile").says("does not exist");
    let graph = format!("{ONE}overlays = [\"overlays/none\"]\n");
    one()
        .file("build-graph.toml", graph)
        .run(&["inputs", "a"])
        .ends(2)
        .says("overlays/none");
    one()
        .file("build-graph.toml", ONE.replace("\"a\"", "\"nowhere\""))
        .run(&["inputs", "a"])
        .ends(2)
        .says("nowhere");
}

#[test]
fn the_graph_is_drawn_in_five_forms() {
    for (format, said) in [
        ("tree", "a (t/a:latest)"),
        ("dot", "digraph"),
        ("mermaid", "graph LR"),
        ("svg", "<svg"),
        ("json", "\"stands_on\":[]"),
    ] {
        let ran = one().run(&["graph", "--format", format]).ends(0);
        assert!(ran.stdout.contains(said), "{format}: {}", ran.stdout);
    }
}

#[test]
fn only_what_is_copied_is_an_input() {
    let project = one();
    let inputs = project.inputs(&["--context", project.path("a").to_str().unwrap()]);
    let paths: Vec<&str> = inputs["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|input| input["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["src", "src/one"]);
    assert_eq!(inputs["whole_context"], false);
}

/// One mutation of the project.
type Mutation = (&'static str, fn(&Project));

#[test]
fn whatever_can_change_the_image_changes_the_key() {
    let mutations: [Mutation; 8] = [
        ("a file's content", |p| p.write("a/src/one", "2")),
        ("a file moved between folders", |p| {
            std::fs::create_dir(p.path("a/src/sub")).unwrap();
            std::fs::rename(p.path("a/src/one"), p.path("a/src/sub/one")).unwrap();
        }),
        ("the exec bit", |p| {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(p.path("a/src/one"), std::fs::Permissions::from_mode(0o755))
                .unwrap();
        }),
        ("an empty folder", |p| {
            std::fs::create_dir(p.path("a/src/empty")).unwrap()
        }),
        ("a link", |p| {
            std::os::unix::fs::symlink("one", p.path("a/src/link")).unwrap()
        }),
        ("the ignore file", |p| {
            p.write("a/.dockerignore", "src/one\n")
        }),
        ("an ignore file of the Dockerfile's own", |p| {
            p.write("a/Dockerfile.dockerignore", "src/one\n")
        }),
        ("the Dockerfile", |p| {
            p.write("a/Dockerfile", "FROM scratch\nCOPY src /source\n")
        }),
    ];
    for (what, mutate) in mutations {
        let project = one();
        let before = key(&project);
        mutate(&project);
        assert_ne!(key(&project), before, "{what}");
    }
}

#[test]
fn a_link_that_is_retargeted_changes_the_key() {
    let project = one();
    std::os::unix::fs::symlink("one", project.path("a/src/link")).unwrap();
    let before = key(&project);
    std::fs::remove_file(project.path("a/src/link")).unwrap();
    std::os::unix::fs::symlink("two", project.path("a/src/link")).unwrap();
    assert_ne!(key(&project), before);
}

#[test]
fn what_cannot_change_the_image_keeps_the_key() {
    let mutations: [Mutation; 4] = [
        ("a file that is not copied", |p| {
            p.write("a/other", "changed")
        }),
        ("a comment in the Dockerfile", |p| {
            p.write("a/Dockerfile", "# comment\nFROM scratch\nCOPY src /src\n")
        }),
        ("an ignore line for something else", |p| {
            p.write("a/.dockerignore", "unrelated\n")
        }),
        ("a modification time", |p| {
            let file = std::fs::File::options()
                .write(true)
                .open(p.path("a/src/one"))
                .unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH)
                .unwrap();
        }),
    ];
    for (what, mutate) in mutations {
        let project = one();
        let before = key(&project);
        mutate(&project);
        assert_eq!(key(&project), before, "{what}");
    }
}

#[test]
fn a_mistake_in_an_ignore_file_is_one_only_where_the_context_is_read() {
    let project = one().file("a/.dockerignore", "!\n");
    let inputs = ["inputs", "a"];
    project
        .run(&inputs)
        .ends(2)
        .says("is an exception without a pattern");
    project.write("a/Dockerfile", "FROM scratch\nLABEL a=b\n");
    project.run(&inputs).ends(0);
}

#[test]
fn another_checkout_path_keeps_the_key() {
    assert_eq!(key(&one()), key(&one()));
}

#[test]
fn every_profile_of_the_projects_own_graph_reaches_the_stages_it_means() {
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let project = Project::new()
        .file("dify/api/Dockerfile", "FROM python:3.12-slim-bookworm\n")
        .file("dify/web/Dockerfile", "FROM node:20-alpine3.20\n")
        .file("dify/docker/.keep", "")
        .file(
            "sandbox/docker/amd64/dockerfile",
            "FROM python:3.10-slim-bookworm\n",
        );
    let graph = std::fs::read_to_string(format!("{workspace}/build-graph.toml")).unwrap();
    let overlays = project.path("overlays");
    let project = project
        .file("build-graph.toml", graph)
        .copy_into(&std::path::Path::new(workspace).join("overlays"), &overlays)
        .variable("XTASK_SOURCE_DIFY", "dify")
        .variable("XTASK_SOURCE_DIFY_SANDBOX", "sandbox");
    for (profile, told) in [
        ("china", "its node:20-alpine3.20 is stage `mirrors-node`"),
        ("china", "its ubuntu/squid:latest is "),
        (
            "corporate",
            "its python:3.12-slim-bookworm is stage `ca-python`",
        ),
        (
            "corporate",
            "its python:3.10-slim-bookworm is stage `ca-sandbox`",
        ),
    ] {
        let drawn = project.run(&["graph", "--profile", profile]).ends(0).stdout;
        assert!(drawn.contains(told), "{profile}: {told}\n{drawn}");
    }
    let plain = project.run(&["graph"]).ends(0).stdout;
    assert!(!plain.contains("its "), "{plain}");
}

#[test]
fn a_file_that_may_not_be_read_is_exit_2_with_its_place() {
    use std::os::unix::fs::PermissionsExt as _;
    let project = one();
    let mode = |path: &str, mode: u32| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(project.path(path), permissions).unwrap();
    };
    // The superuser may read everything, so the program then runs as another user. The copy is in a
    // folder that the other user can reach.
    std::fs::copy(env!("CARGO_BIN_EXE_xtask"), project.path("xtask")).unwrap();
    mode("", 0o755);
    mode("xtask", 0o755);
    for (path, said) in [
        ("a/src/one", "a/src/one"),
        ("a/src", "a/src"),
        ("a/Dockerfile", "cannot read the Dockerfile"),
        ("build-graph.toml", "cannot read the graph file"),
    ] {
        let before = std::fs::metadata(project.path(path)).unwrap().permissions();
        mode(path, 0);
        let ran = project.run_as_nobody(&["inputs", "a"]).ends(2).says(said);
        assert!(ran.stderr.contains("ermission denied"), "{}", ran.stderr);
        mode(path, before.mode() & 0o7777);
    }
    project.run_as_nobody(&["inputs", "a"]).ends(0);
}

#[test]
fn a_build_that_waits_for_another_can_be_interrupted() {
    let project = one();
    project.run(&["plan"]).ends(3);
    let state = std::fs::read_dir(project.path("state")).unwrap().next();
    let lock = state.unwrap().unwrap().path().join("build.lock");
    let held = std::fs::File::create(lock).unwrap();
    held.lock().unwrap();
    // An unknown stage is reported at once, without waiting for the lock.
    project.run(&["build", "nothing"]).ends(2).says("nothing");
    project.run(&["build", "--force", "nothing"]).ends(2);
    let mut waits = project.start(&["build"]);
    let mut said = std::io::BufReader::new(waits.stderr.take().unwrap()).lines();
    let told = said.find(|line| line.as_ref().unwrap().contains("waiting for another call"));
    assert!(told.is_some(), "it never said that it waits");
    support::interrupt(&waits);
    assert_eq!(waits.wait().unwrap().code(), Some(130));
}

#[test]
fn a_reader_who_goes_away_is_no_panic() {
    use std::io::Read as _;
    let project = one();
    for arguments in [
        &["plan"][..],
        &["build"],
        &["explain", "none"],
        &["inputs", "a"],
    ] {
        let mut command = project.command(arguments);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut run = command
            .stdout(writer.try_clone().unwrap())
            .stderr(writer)
            .spawn()
            .unwrap();
        let status = run.wait().unwrap().code();
        assert!(
            matches!(status, Some(0 | 2 | 3)),
            "{arguments:?}: {status:?}"
        );
    }
    let mut text = String::new();
    let (mut reader, writer) = std::io::pipe().unwrap();
    project.command(&["plan"]).stderr(writer).status().unwrap();
    reader.read_to_string(&mut text).unwrap();
    assert!(text.contains("Docker engine"), "{text}");
}
