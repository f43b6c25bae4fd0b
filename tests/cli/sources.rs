//! Local and fetched checkouts of sources give the same result.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::Value;

use crate::support::Project;
use crate::support::engine::Engine;
use crate::support::remote::{Remote, git};
use crate::world::World;

fn clone(world: &World, name: &str) -> String {
    let to = world.project.path(name).display().to_string();
    git(
        &world.project.path(""),
        &["clone", "--quiet", &world.remote.url(), &to],
    );
    to
}

fn with_engine(world: World) -> (World, Engine) {
    let socket = world.project.path("engine.sock");
    let engine = Engine::at(&socket);
    let host = format!("unix://{}", socket.display());
    let project = world.project.variable("DOCKER_HOST", &host);
    (World { project, ..world }, engine)
}

fn pointing(world: World, at: &str) -> World {
    let project = world.project.variable("XTASK_SOURCE_S", at);
    World { project, ..world }
}

#[track_caller]
fn key(project: &Project) -> String {
    let ran = project.run(&["plan", "--json"]).ends(0);
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    plan["stages"][0]["key"].as_str().unwrap().to_owned()
}

#[test]
fn a_local_checkout_is_used_as_it_is_and_never_locked() {
    let world = World::new();
    let checkout = clone(&world, "checkout");
    fs::write(world.project.path("checkout/api/src/new"), "not committed").unwrap();
    let world = pointing(world, &checkout);
    let inputs = world.project.run(&["inputs", "a"]).ends(0).stdout;
    assert_eq!(inputs, "src/\nsrc/new\nsrc/one\n");
    let ran = world
        .project
        .run(&["sync", "--locked", "--offline"])
        .ends(0);
    let line = format!("s  local    used as it is  {checkout}\n");
    assert_eq!(ran.stdout, line);
    world
        .project
        .run(&["build", "--locked"])
        .ends(3)
        .says("Docker engine");
    assert!(!world.project.path("build-graph.lock").exists());
    assert_eq!(
        git(checkout.as_ref(), &["status", "--porcelain"]),
        "?? api/src/new"
    );
}

#[test]
fn the_environment_comes_before_the_files_path_and_the_path_before_git() {
    let world = World::new();
    world.sync().ends(0);
    for name in ["by-path", "by-variable"] {
        world.project.write(
            &format!("{name}/api/Dockerfile"),
            "FROM scratch\nCOPY . /\n",
        );
        world.project.write(&format!("{name}/api/{name}"), "");
    }
    let inputs = |world: &World| world.project.run(&["inputs", "a"]).ends(0).stdout;
    assert_eq!(inputs(&world), "src/\nsrc/one\n");
    world.graph(&world.remote.url(), "1.0", "path = \"by-path\"");
    assert!(inputs(&world).contains("by-path"));
    let other = world.project.path("by-variable").display().to_string();
    assert!(inputs(&pointing(world, &other)).contains("by-variable"));
}

#[test]
fn a_variable_that_points_nowhere_is_told() {
    for (value, status, said) in [
        ("", 2, "XTASK_SOURCE_S holds no path"),
        (
            "/nonexistent",
            3,
            "source `s` is not where XTASK_SOURCE_S says",
        ),
        ("/etc/passwd", 3, "is not a folder"),
    ] {
        let world = pointing(World::new(), value);
        world.project.run(&["inputs", "a"]).ends(status).says(said);
        world.sync().ends(status).says(said);
    }
}

#[test]
fn a_source_without_the_layout_of_the_graph_is_refused_wherever_it_is() {
    let world = World::new();
    let lines = "layout = [\"api\", \"web\"]";
    world.graph(&world.remote.url(), "1.0", lines);
    let said = "has no folder `web`, which `layout` in";
    world.sync().ends(3).says(said);
    world.project.run(&["inputs", "a"]).ends(3).says(said);
    let checkout = clone(&world, "checkout");
    let world = pointing(world, &checkout);
    world.project.run(&["inputs", "a"]).ends(3).says(said);
    fs::create_dir(world.project.path("checkout/web")).unwrap();
    world.project.run(&["inputs", "a"]).ends(0);
}

/// A repository with a submodule and a git-lfs pointer, both in folders that are copied.
fn with_gaps() -> Remote {
    let remote = Remote::new();
    let other = Remote::new();
    remote.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        &other.url(),
        "api/src/sub",
    ]);
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 7\n",
        "a".repeat(64)
    );
    remote.write("api/src/model.bin", pointer);
    remote.commit();
    remote.git(&["tag", "2.0"]);
    remote.push();
    remote
}

#[test]
fn submodules_and_lfs_pointers_of_a_fetched_source_are_named() {
    let world = World::of(with_gaps(), "2.0", "");
    world
        .sync()
        .ends(0)
        .says("has nothing in its submodules api/src/sub")
        .says("has git-lfs pointers in place of api/src/model.bin")
        .says("set XTASK_SOURCE_S to a checkout that has them");
}

#[test]
fn submodules_and_lfs_pointers_of_a_checkout_are_named_until_they_are_there() {
    let world = World::of(with_gaps(), "2.0", "");
    let checkout = clone(&world, "checkout");
    let (world, _engine) = with_engine(pointing(world, &checkout));
    // A build ends where buildx would begin.
    let project = world.project.variable("PATH", "/nonexistent");
    let told = [
        format!("`git -C {checkout} submodule update --init` fetches them"),
        format!("`git -C {checkout} lfs pull` fetches them"),
    ];
    for command in ["sync", "build"] {
        let ran = project.run(&[command]);
        assert!(
            told.iter().all(|told| ran.stderr.contains(told)),
            "{}",
            ran.stderr
        );
    }
    project
        .run(&["build"])
        .says("stage `a` has nothing in its submodules api/src/sub");
    project
        .run(&["build"])
        .says("stage `a` has git-lfs pointers in place of src/model.bin");
    project.write("checkout/api/src/sub/file", "");
    project.write("checkout/api/src/model.bin", "a model");
    for command in ["sync", "build"] {
        project.run(&[command]).never_says("fetches them");
    }
    // Files that reach no image do not matter.
    project.write("checkout/api/Dockerfile", "FROM scratch\nCOPY src/one /\n");
    fs::remove_file(project.path("checkout/api/src/sub/file")).unwrap();
    project.run(&["build"]).never_says("fetches them");
}

#[test]
fn another_machine_gets_the_same_keys_and_the_same_lock() {
    let remote = Remote::new();
    remote.write("api/src/run", "#!/bin/sh\n");
    remote.git(&["add", "--all"]);
    remote.git(&["update-index", "--chmod=+x", "api/src/run"]);
    remote.link("run", "api/src/link");
    remote.git(&["add", "api/src/link"]);
    remote.git(&["commit", "--quiet", "--message=2"]);
    remote.git(&["tag", "2.0"]);
    remote.push();
    let (world, _engine) = with_engine(World::of(remote, "2.0", ""));
    world.sync().ends(0);
    let (key_here, lock_here) = (key(&world.project), world.project.path("build-graph.lock"));

    let url = world.remote.url();
    for umask in ["000", "077"] {
        let (other, _engine) = with_engine(World::new());
        other.graph(&url, "2.0", "");
        let settings = "[core]\nautocrlf = true\nfileMode = false\nsharedRepository = world\n";
        other.project.write("gitconfig", settings);
        let sync = other.project.command(&["sync"]);
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"])
            .arg(sync.get_program())
            .args(sync.get_args());
        shell.envs(
            sync.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        assert!(shell.output().unwrap().status.success());
        assert_eq!(key(&other.project), key_here, "umask {umask}");
        let lock = fs::read(other.project.path("build-graph.lock")).unwrap();
        assert_eq!(lock, fs::read(&lock_here).unwrap());
    }
    let checkout = clone(&world, "checkout");
    assert_eq!(key(&pointing(world, &checkout).project), key_here);
}

#[test]
fn another_commit_is_another_key_where_the_image_is_told_it() {
    let lines = "[stage.a.args]\nCOMMIT = \"${source.commit}\"";
    let (world, _engine) = with_engine(World::new());
    let remote = &world.remote;
    remote.write(
        "api/Dockerfile",
        "FROM scratch\nARG COMMIT\nCOPY src /src\nENV C=$COMMIT\n",
    );
    for tag in ["2.0", "3.0"] {
        remote.commit();
        remote.write("elsewhere", tag);
        remote.git(&["tag", tag]);
    }
    remote.push();
    let keys = ["2.0", "3.0"].map(|rev| {
        world.graph(&remote.url(), rev, lines);
        world.sync().ends(0);
        key(&world.project)
    });
    assert_ne!(keys[0], keys[1]);
    // The commit of a fetched source is known without git.
    let project = world.project.variable("PATH", "/nonexistent");
    assert_eq!(key(&project), keys[1]);
}

#[test]
fn the_commit_of_a_checkout_is_its_own_even_in_a_git_hook() {
    let lines = "[stage.a.args]\nCOMMIT = \"${source.commit}\"";
    let (world, _engine) = with_engine(World::new());
    let remote = &world.remote;
    remote.write(
        "api/Dockerfile",
        "FROM scratch\nARG COMMIT\nENV C=$COMMIT\n",
    );
    remote.commit();
    remote.push();
    world.graph(&remote.url(), "main", lines);
    let checkout = clone(&world, "checkout");
    let world = pointing(world, &checkout);
    let before = key(&world.project);
    let other = Remote::new();
    let project = world
        .project
        .variable("GIT_DIR", other.path().to_str().unwrap());
    assert_eq!(key(&project), before);
    git(
        checkout.as_ref(),
        &["commit", "--quiet", "--allow-empty", "--message=x"],
    );
    assert_ne!(key(&project), before);
}

#[test]
fn a_checkout_may_be_reached_by_a_link() {
    let world = World::new();
    let checkout = clone(&world, "checkout");
    let link = world.project.path("link");
    symlink(&checkout, &link).unwrap();
    let world = pointing(world, link.to_str().unwrap());
    world.project.run(&["inputs", "a"]).ends(0);
}

#[test]
fn two_sources_cannot_share_the_variable_that_points_them_elsewhere() {
    let source = |name| format!("[source.{name}]\npath = \"a\"\n");
    let stage = "[stage.api]\ncontext = \"a\"\n";
    for other in ["my_fork", "\"my.fork\"", "My-Fork"] {
        let graph = ["version = 1\n", &source("my-fork"), &source(other), stage].concat();
        super::one()
            .file("build-graph.toml", graph)
            .run(&["graph"])
            .ends(2)
            .says("share the variable `XTASK_SOURCE_MY_FORK`");
    }
}
