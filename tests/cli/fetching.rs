//! When sources are fetched, which other commands fetch them, and which settings of the machine
//! reach git.

use std::fs;
use std::path::PathBuf;

use crate::support::remote::{Remote, git};
use crate::world::World;

#[test]
fn locked_and_offline_take_only_what_is_pinned_and_here() {
    let world = World::new();
    world
        .project
        .run(&["sync", "--locked"])
        .ends(2)
        .says("source `s` at 1.0")
        .says("no entry in the lock file");
    world
        .project
        .run(&["build", "--offline"])
        .ends(3)
        .says("source `s` is not on this machine, and `--offline` was given");
    assert_eq!(world.pinned(), None);
    world.sync().ends(0);
    world.on_another_machine();
    world.project.run(&["sync", "--locked"]).ends(0);
    world.project.run(&["sync", "--offline"]).ends(0);
    // The pin does not hold for another revision.
    world.graph(&world.remote.url(), "main", "");
    world.project.run(&["sync", "--locked"]).ends(2);
    world.sync().ends(0).says("main is commit");
}

#[test]
fn a_plan_says_what_fetches_a_missing_source() {
    let world = World::new();
    world
        .project
        .run(&["inputs", "a"])
        .ends(3)
        .says("source `s` is not on this machine")
        .says("cargo xtask sync")
        .says("XTASK_SOURCE_S");
}

#[test]
fn a_build_fetches_the_sources_of_the_wanted_stages_only() {
    let world = World::new();
    let graph = fs::read_to_string(world.project.path("build-graph.toml")).unwrap();
    let more = "[source.t]\ngit = \"file:///nonexistent/t\"\nrev = \"1\"\n\
        [stage.b]\nsource = \"t\"\ncontext = \"b\"\n";
    world
        .project
        .write("build-graph.toml", format!("{graph}{more}"));
    // The build ends where it would ask the engine.
    let ran = world
        .project
        .run(&["build", "a"])
        .ends(3)
        .says("Docker engine");
    ran.says("s: fetching from").never_says("t: fetching from");
    assert!(world.tree().join("api/src/one").exists());
    world
        .project
        .run(&["build"])
        .ends(3)
        .says("source `t` cannot be fetched");
}

#[test]
fn the_answer_in_json_names_every_source() {
    let world = World::new();
    let ran = world.project.run(&["sync", "--json"]).ends(0);
    let said: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let source = &said["sources"][0];
    assert_eq!(source["source"], "s");
    assert_eq!(source["state"], "fetched");
    assert_eq!(source["commit"].as_str(), world.pinned().as_deref());
    assert!(
        source["path"]
            .as_str()
            .unwrap()
            .ends_with(&world.pinned().unwrap())
    );
}

#[test]
fn the_settings_and_hooks_of_the_machine_do_not_reach_the_tree() {
    let remote = Remote::new();
    remote.write(".gitattributes", "*.bin filter=lfs\n*.big filter=own\n");
    remote.write("api/src/a.bin", "kept");
    remote.write("api/src/b.big", "kept");
    remote.write("api/src/lines", "a\nb\n");
    remote.commit();
    remote.git(&["tag", "2.0"]);
    remote.push();
    let world = World::of(remote, "2.0", "");
    let ran = world.project.path("ran").display().to_string();
    world.project.write(
        "gitconfig",
        format!(
            "[core]\nautocrlf = true\nsymlinks = false\nhooksPath = {0}\nfsmonitor = \"touch {1}\"\n\
             [filter \"lfs\"]\nsmudge = \"touch {1}; cat\"\nrequired = true\n[filter \"own\"]\nsmudge = \"touch {1}; tr k K\"\n\
             [init]\ntemplateDir = {0}\n",
            world.project.path("template").display(),
            ran
        ),
    );
    let filter = format!("[filter \"own\"]\nsmudge = \"touch {ran}; cat\"\n");
    let mut project = world.project.file("template/config", filter);
    for hook in [
        "post-checkout",
        "reference-transaction",
        "hooks/reference-transaction",
        "hooks/post-checkout",
    ] {
        let script = format!("#!/bin/sh\ntouch {ran}\n");
        project = project.script(&format!("template/{hook}"), &script);
    }
    let world = World { project, ..world };
    world.sync().ends(0);
    assert!(
        !PathBuf::from(ran).exists(),
        "something of the machine's was run"
    );
    for (file, content) in [("a.bin", "kept"), ("b.big", "kept"), ("lines", "a\nb\n")] {
        let path = world.tree().join("api/src").join(file);
        assert_eq!(fs::read_to_string(path).unwrap(), content, "{file}");
    }
}

#[test]
fn a_repository_in_the_environment_is_not_taken_for_the_sources_own() {
    let world = World::new();
    let other = Remote::new();
    let path = other.path().display().to_string();
    let project = world
        .project
        .variable("GIT_DIR", &path)
        .variable("GIT_INDEX_FILE", "/dev/null");
    let world = World { project, ..world };
    let before = git(&other.path(), &["for-each-ref"]);
    world.sync().ends(0);
    assert!(world.tree().join("api/src/one").exists());
    assert_eq!(git(&other.path(), &["for-each-ref"]), before);
}

#[test]
fn lock_pins_sources_too_and_follows_a_tag_only_when_told_to() {
    let world = World::new();
    world.project.run(&["lock"]).ends(0);
    let before = world.pinned().unwrap();
    assert!(world.tree().join("api/src/one").exists());
    world.remote.write("api/src/two", "2\n");
    let after = world.remote.commit();
    world.remote.git(&["tag", "--force", "1.0"]);
    world.remote.push();
    world.project.run(&["lock"]).ends(0);
    assert_eq!(world.pinned().as_ref(), Some(&before));
    let found = world.project.run(&["outdated", "--json"]).ends(0).stdout;
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    let row = &found["outdated"][0];
    assert_eq!(row["kind"], "source");
    assert_eq!(row["name"], "s");
    assert_eq!(row["locked"], before.as_str());
    assert_eq!(row["current"], after.as_str());
    assert_eq!(row["rebuilds"], serde_json::json!(["a"]));
    let moved = world.project.run(&["lock", "--update", "s"]).ends(0).stdout;
    assert!(
        moved.contains(&format!("moved    source s: {before} -> {after}")),
        "{moved}"
    );
    assert_eq!(world.pinned(), Some(after));
    assert!(world.tree().join("api/src/two").exists());
    world
        .project
        .run(&["lock", "--update", "none"])
        .ends(2)
        .says("none");
}
