//! Messages in situations that the tools' own errors do not explain.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

use crate::lock::{one, project};
use crate::support::Project;
use crate::support::engine::Engine;
use crate::support::registry::{Image, Registry};
use crate::support::remote::git;
use crate::world::World;

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A project with one stage that needs no other image, and a docker command with this script.
fn with_docker(script: &str) -> (Project, Engine) {
    let (project, engine) = one("FROM scratch\nCOPY x /\n");
    let bin = project.path("bin");
    let project = project
        .file("a/x", "x")
        .script("bin/docker", &format!("#!/bin/sh\n{script}\n"))
        .variable("PATH", &bin.display().to_string());
    (project, engine)
}

#[test]
fn a_folder_of_buildx_that_cannot_be_written_is_told_with_both_variables() {
    // The message of buildx 0.13.1.
    let script =
        "echo \"ERROR: mkdir $DOCKER_CONFIG/buildx/instances: permission denied\" >&2; exit 1";
    let (own, _engine) = with_docker(script);
    own.run(&["build"])
        .ends(3)
        .says("buildx/instances: permission denied")
        .says("set BUILDX_CONFIG to a folder that can be written, or DOCKER_CONFIG");
    // The same error for a file of the build is not about buildx's folder.
    let script = "echo 'ERROR: open /elsewhere/x: permission denied' >&2; exit 1";
    let (other, _engine) = with_docker(script);
    other.run(&["build"]).ends(1).never_says("BUILDX_CONFIG");
}

#[test]
fn a_source_policy_is_told_of_as_it_does_not_see_tags() {
    let (project, _engine) = one("FROM scratch\n");
    let said = "its rules cannot match the images of FROM by tag";
    project.run(&["plan"]).ends(0).never_says(said);
    let project = project.variable("EXPERIMENTAL_BUILDKIT_SOURCE_POLICY", "/nonexistent");
    project.run(&["plan"]).ends(0).says(said);
}

#[test]
fn a_docker_that_is_podman_is_told_to_be_one() {
    // The messages of podman 4.3.1, which podman-docker installs under the name of docker.
    let script = "case $1 in\n--version) echo 'podman version 4.3.1' ;;\n\
                  *) echo 'Error: unknown flag: --progress' >&2; exit 125 ;;\nesac";
    let (project, _engine) = with_docker(script);
    let said = "`docker` is podman here (podman 4.3.1), which has no BuildKit: install Docker's own command";
    project.run(&["build"]).ends(3).says(said);
    let checked = project.run(&["setup", "--check"]).ends(3).stdout;
    let line = "missing  docker: podman 4.3.1 under the name of docker";
    assert!(checked.contains(line), "{checked}");
    // Most of these machines have no socket of podman's either.
    let project = project.variable("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    project
        .run(&["plan"])
        .ends(3)
        .says("cannot reach")
        .says(said);
}

#[test]
fn a_checkout_of_another_owner_is_told_with_gits_own_exception() {
    let (project, _engine) = project(
        "version = 1\n[source.s]\npath = \"checkout\"\n[stage.a]\nsource = \"s\"\ncontext = \"a\"\n\
         args = { COMMIT = \"${source.commit}\" }\n",
    );
    let settings = project.path("gitconfig").display().to_string();
    let path = std::env::var("PATH").unwrap();
    let project = project
        .variable("GIT_CONFIG_GLOBAL", &settings)
        .variable("GIT_CONFIG_NOSYSTEM", "1")
        .variable("PATH", &path)
        .file("gitconfig", "")
        .file("checkout/a/Dockerfile", "FROM scratch\nARG COMMIT\n");
    let checkout = project.path("checkout");
    git(&checkout, &["init", "--quiet"]);
    git(&checkout, &["add", "--all"]);
    git(&checkout, &["commit", "--quiet", "--message=x"]);
    project.run(&["inputs", "a"]).ends(0);
    // Only the superuser can give the checkout away.
    if fs::metadata(&checkout).unwrap().uid() != 0 {
        return;
    }
    for inner in [&checkout, &checkout.join(".git")] {
        chown(inner, Some(65_534), None).unwrap();
    }
    let real = checkout.canonicalize().unwrap();
    let line = format!(
        "run `git config --global --add safe.directory {}`",
        real.display()
    );
    project
        .run(&["inputs", "a"])
        .ends(3)
        .says("dubious ownership")
        .says(&line);
}

#[test]
fn a_repository_that_cannot_be_written_and_has_no_lock_wants_to_be_locked_first() {
    let registry = Registry::start();
    registry.put("one:1", &Image::of("1"));
    let (project, _engine) = one(&format!("FROM {}\n", registry.reference("one:1")));
    fs::copy(env!("CARGO_BIN_EXE_xtask"), project.path("xtask")).unwrap();
    fs::create_dir(project.path("state-of-nobody")).unwrap();
    mode(&project.path("xtask"), 0o755);
    mode(&project.path("engine.sock"), 0o777);
    mode(&project.path(""), 0o555);
    let refused = project.run_as_nobody(&["build"]);
    mode(&project.path(""), 0o755);
    let graph = project.path("build-graph.toml");
    let line = format!(
        "so lock first: run `cargo xtask lock --graph {}`",
        graph.display()
    );
    refused
        .ends(3)
        .says("build-graph.lock: Permission denied")
        .says(&line);
}

#[test]
fn an_argument_that_the_dockerfile_does_not_take_is_told() {
    let graph = "version = 1\n[defaults]\nargs = { FOR_OTHERS = \"1\" }\n[stage.a]\ncontext = \"a\"\n\
        args = { VERSOIN = \"1\", ALONE = \"1\", OTHER = \"1\", HTTP_PROXY = \"\", BUILDKIT_INLINE_CACHE = \"1\", COMMIT = \"1\" }\n\
        volatile = [\"COMMIT\", \"ALONE\"]\n";
    let (project, _engine) = project(graph);
    let text = "ARG VERSION\nFROM scratch AS other\nARG OTHER\nFROM scratch\nARG COMMIT\n";
    let project = project.file("a/Dockerfile", text);
    for command in [&["plan"][..], &["explain", "a"]] {
        project
            .run(command)
            .ends(0)
            .says("`a` gives the argument `VERSOIN`")
            .says("has no `ARG VERSOIN`: did you mean `VERSION`?")
            .says("has no `ARG ALONE`: remove it from `args`, or declare it there")
            .never_says("`OTHER`")
            .never_says("FOR_OTHERS")
            .never_says("`ARG HTTP_PROXY`")
            .never_says("BUILDKIT_INLINE_CACHE")
            .never_says("`COMMIT`");
    }
    // Another frontend may take other arguments.
    project.write("a/Dockerfile", format!("# syntax=example/own\n{text}"));
    project.run(&["plan"]).ends(0).never_says("VERSOIN");
}

#[test]
fn tags_without_an_image_are_told_with_their_line() {
    let graph = "version = 1\n[defaults]\ntags = [\"1\"]\n[stage.a]\ncontext = \"a\"\n\
        [stage.b]\ncontext = \"a\"\ntags = [\"2\"]\n";
    let (project, _engine) = project(graph);
    let project = project.file("a/Dockerfile", "FROM scratch\n");
    let told = project.run(&["plan"]).ends(0);
    assert_eq!(told.stderr.matches("has `tags` and no `image`").count(), 1);
    told.says("build-graph.toml:8: stage `b` has `tags` and no `image`, so nothing gets them");
    let with = graph.replace("tags = [\"2\"]", "tags = [\"2\"]\nimage = \"b\"");
    project.write("build-graph.toml", with);
    project.run(&["plan"]).ends(0).never_says("no `image`");
}

#[test]
fn a_platform_that_nothing_is_made_for_is_refused_with_the_likely_one() {
    let (flagged, _engine) = one("FROM scratch\n");
    let said = "names the unknown architecture `amd65`: did you mean `amd64`?";
    for command in ["plan", "build"] {
        let ran = flagged.run(&[command, "--platform", "linux/arm64,linux/amd65"]);
        ran.ends(2).says("`--platform linux/amd65`").says(said);
    }
    let by_docker = one("FROM scratch\n");
    let by_docker = by_docker
        .0
        .variable("DOCKER_DEFAULT_PLATFORM", "linux/amd65");
    by_docker.run(&["plan"]).ends(2).says(said);
    let graph = "version = 1\n[stage.a]\ncontext = \"a\"\nplatforms = [\"linux/amd65\"]\n";
    let (written, _engine) = project(graph);
    written
        .run(&["graph"])
        .ends(2)
        .says(said)
        .says("build-graph.toml:4");
}

#[test]
fn a_name_to_update_is_looked_at_before_anything_is_fetched() {
    let world = World::new().with_git("");
    let update = |name: &str| world.project.run(&["lock", "--update", name]).ends(2);
    update("nope")
        .says("`nope` is neither a source nor an external image of this graph; it uses s");
    update("ss").says("did you mean `s`?");
    assert_eq!(world.calls(), "");
    assert_eq!(world.pinned(), None);
    // While a source is not fetched, its image is known only by its entry in the lock.
    let registry = Registry::start();
    registry.put("one:1", &Image::of("1"));
    let name = registry.reference("one:1");
    world
        .remote
        .write("api/Dockerfile", format!("FROM {name}\n"));
    world.remote.commit();
    world.remote.git(&["tag", "--force", "1.0"]);
    world.remote.push();
    world.project.run(&["lock"]).ends(0);
    let locked = fs::read(world.project.path("build-graph.lock")).unwrap();
    world.on_another_machine();
    update("nope").says("it uses s");
    world.project.run(&["lock", "--update", &name]).ends(0);
    assert_eq!(
        fs::read(world.project.path("build-graph.lock")).unwrap(),
        locked
    );
    // A checkout of the user's own is not pinned.
    fs::create_dir_all(world.project.path("own/api")).unwrap();
    let World { project, .. } = world;
    let project = project.variable("XTASK_SOURCE_S", "own");
    project
        .run(&["lock", "--update", "s"])
        .ends(2)
        .says("is a checkout of yours");
}
