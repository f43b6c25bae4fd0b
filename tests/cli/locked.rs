//! How `plan` and `build` use the lock: first builds, `--locked`, `--offline`.

use crate::lock::{lock, one, plan, project, two};
use crate::support::registry::{Image, Play, Registry};

#[test]
fn a_plan_writes_no_lock_and_asks_no_registry() {
    let registry = Registry::start();
    registry.put("one:1", &Image::of("1"));
    let (project, _engine) = one(&format!("FROM {}\n", registry.reference("one:1")));
    plan(&project);
    assert!(!project.path("build-graph.lock").exists());
    assert_eq!(registry.lines(), Vec::<String>::new());
}

#[test]
fn locked_refuses_what_the_lock_does_not_cover_and_names_all_of_it() {
    let registry = Registry::start();
    registry.put("one:1", &Image::of("1"));
    registry.put("two:1", &Image::of("2"));
    let (project, _engine) = two(&registry);
    for command in [&["plan", "--locked"] as &[&str], &["build", "--locked"]] {
        project
            .run(command)
            .ends(2)
            .says(&registry.reference("one:1"))
            .says(&registry.reference("two:1"))
            .says("cargo xtask lock");
    }
    // The lock need only cover the wanted stages.
    let text = {
        project.run(&["lock"]).ends(0);
        lock(&project)
    };
    let without_two = text
        .split("[base.\"")
        .filter(|part| !part.contains("/two:1"));
    let without_two = without_two.collect::<Vec<_>>().join("[base.\"");
    project.write("build-graph.lock", without_two);
    project.run(&["plan", "--locked", "a"]).ends(0);
    let refused = project.run(&["plan", "--locked"]).ends(2);
    assert!(!refused.stderr.contains("one:1"), "{}", refused.stderr);
    assert_eq!(
        registry
            .lines()
            .iter()
            .filter(|l| l.starts_with("HEAD"))
            .count(),
        2
    );
    // A base whose name the text does not tell cannot be covered.
    let (open, _engine) = one("ARG X\nFROM x-$X\n");
    open.run(&["plan", "--locked"])
        .ends(2)
        .says("does not tell all its images");
    open.run(&["lock"])
        .ends(0)
        .says("may use images that are not locked");
}

#[test]
fn offline_names_what_is_missing_and_asks_no_registry() {
    let registry = Registry::start();
    registry.put("one:1", &Image::of("1"));
    registry.put("two:1", &Image::of("2"));
    let (project, engine) = two(&registry);
    let missing = project.run(&["build", "--offline", "--keep-going"]).ends(3);
    missing
        .says("one:1")
        .says("two:1")
        .says("--offline")
        .says("docker pull");
    project.run(&["lock"]).ends(0);
    registry.asked();
    // The image is locked, but not on this machine.
    let missing = project.run(&["build", "--offline", "a"]).ends(3);
    missing.says("one:1@sha256:").says("not on this machine");
    // The image is on this machine: the build goes on until it needs docker.
    let text = lock(&project);
    let digest = text.split("digest = \"").nth(1).unwrap();
    let digest = digest.split('"').next().unwrap();
    engine.hold(
        &format!("{}@{digest}", registry.reference("one:1")),
        "sha256:0123",
    );
    let ran = project.run(&["build", "--offline", "a"]).ends(3);
    assert!(
        !ran.stderr.contains("not on this machine"),
        "{}",
        ran.stderr
    );
    assert_eq!(registry.lines(), Vec::<String>::new());
}

#[test]
fn a_first_build_locks_what_it_uses_and_falls_back_on_the_engine_alone() {
    let registry = Registry::start();
    registry.put("one:1", &Image::of("1"));
    let (project, engine) = two(&registry);
    // There is no docker command, so every build ends after the locking.
    let ran = project.run(&["build", "--keep-going"]).ends(3);
    let (here, gone) = (registry.reference("one:1"), registry.reference("two:1"));
    let ran = ran.says(&format!("pinned {here} to sha256:"));
    ran.says(&format!("has no `{gone}`"))
        .says("commit that file");
    assert!(lock(&project).contains(&here) && !lock(&project).contains(&gone));
    // Once the engine has the image, that suffices, and the build does not wait for a registry.
    engine.hold(&gone, "sha256:0123");
    let ran = project.run(&["build", "b"]).ends(3);
    ran.says(&format!(
        "`{gone}` is not locked, and the engine's own image is used"
    ));
    for (play, why) in [
        (Play::status(503), "cannot answer"),
        (Play::Reset, "cannot reach"),
    ] {
        registry.play("/two/", 100, play);
        let ran = project.run(&["build", "b"]).ends(3);
        ran.says("the engine's own image is used").says(why);
        registry.mend();
    }
    // If the registry has the image but it cannot be read, the engine's image is not used.
    registry.put_manifest("two", "1", "application/json", b"{}");
    let ran = project
        .run(&["build", "b"])
        .ends(3)
        .says("it is not a manifest");
    assert!(!ran.stderr.contains("own image is used"), "{}", ran.stderr);
    assert!(!lock(&project).contains(&gone));
}

#[test]
fn an_image_of_another_stage_that_the_graph_does_not_name_is_told_of() {
    let graph = |more: &str| {
        format!(
            "version = 1\n[stage.api]\ncontext = \"a\"\nimage = \"own/api\"\ntags = [\"1\", \"latest\"]\n\
             [stage.b]\ncontext = \"b\"\n{more}"
        )
    };
    let (project, _engine) = project(&graph(""));
    let project = project
        .file("a/Dockerfile", "FROM scratch\n")
        .file("b/Dockerfile", "FROM docker.io/own/api:latest\n");
    let told = "the Dockerfile of `b` uses `own/api`, the image of stage `api`";
    project.run(&["plan"]).ends(0).says(told);
    for more in [
        "from = \"api\"\n",
        "[stage.b.contexts]\n\"own/api:latest\" = { stage = \"api\" }\n",
    ] {
        project.write("build-graph.toml", graph(more));
        project.run(&["plan"]).ends(0).never_says(told);
    }
    // Another tag is another image.
    project.write("build-graph.toml", graph(""));
    project.write("b/Dockerfile", "FROM own/api:2\n");
    project.run(&["plan"]).ends(0).never_says(told);
}

/// BuildKit identifies a named context only by its name. So a context that pins such an image would
/// also replace the stage.
#[test]
fn an_image_with_the_name_of_a_dockerfile_stage_is_refused_with_a_remedy() {
    let said = "the image `node` and a Dockerfile stage have the same name";
    let (project, engine) = one("FROM node AS node\nCOPY x /x\nFROM node AS last\nCOPY x /y\n");
    project.write("a/x", "");
    engine.hold("node", "sha256:0123");
    project
        .run(&["plan"])
        .ends(2)
        .says(said)
        .says("rename the stage");
    project.write("a/Dockerfile", "FROM other AS node\nCOPY x /x\n");
    project.run(&["plan"]).ends(0).never_says(said);
    let graph = "version = 1\n[stage.a]\ncontext = \"a\"\n";
    let base = "[base.\"node\"]\nimage = \"mirror.example/node:1\"\n";
    project.write("build-graph.toml", format!("{graph}{base}"));
    project.run(&["plan"]).ends(0).never_says(said);
    project.write("a/Dockerfile", "FROM node:latest AS Node\nCOPY x /x\n");
    project.run(&["plan"]).ends(2).says(said);
    let parent = "[stage.node]\ncontext = \"p\"\nimage = \"node\"\ntags = [\"1\", \"latest\"]\n";
    project.write("p/Dockerfile", "FROM scratch\n");
    project.write(
        "build-graph.toml",
        format!("{graph}from = \"node\"\n{parent}"),
    );
    project.run(&["plan"]).ends(2).says(said);
    project.write("a/Dockerfile", "FROM node:1 AS node\nCOPY x /x\n");
    project.run(&["plan"]).ends(0).never_says(said);
    project.write("a/Dockerfile", "FROM node:latest AS Node\nCOPY x /x\n");
    // If the graph itself gives a context of that name, it means both.
    let own = "contexts = { node = { image = \"mirror.example/node:1\" } }\n";
    project.write("build-graph.toml", format!("{graph}{own}"));
    project.run(&["plan"]).ends(0).never_says(said);
}
