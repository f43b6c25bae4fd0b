//! `lock`: which images are pinned, and which digests move.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde_json::Value;

use crate::support::engine::Engine;
use crate::support::registry::{Image, Play, Registry};
use crate::support::{Project, Ran};

/// A project with an engine without images, and without buildx.
pub fn project(graph: &str) -> (Project, Engine) {
    let project = Project::new();
    let socket = project.path("engine.sock");
    let engine = Engine::at(&socket);
    let project = project
        .variable("DOCKER_HOST", &format!("unix://{}", socket.display()))
        .variable("PATH", "/nonexistent")
        .file("build-graph.toml", graph);
    (project, engine)
}

/// A project with one stage, `a`, that has this Dockerfile.
pub fn one(dockerfile: &str) -> (Project, Engine) {
    let (project, engine) = project("version = 1\n[stage.a]\ncontext = \"a\"\n");
    (project.file("a/Dockerfile", dockerfile), engine)
}

pub fn lock(project: &Project) -> String {
    fs::read_to_string(project.path("build-graph.lock")).unwrap_or_default()
}

/// A project with two stages, `a` on the image `one:1` and `b` on `two:1`.
pub fn two(registry: &Registry) -> (Project, Engine) {
    let graph = "version = 1\n[stage.a]\ncontext = \"a\"\n[stage.b]\ncontext = \"b\"\n";
    let (project, engine) = project(graph);
    let from = |name: &str| format!("FROM {}\n", registry.reference(name));
    let project = project
        .file("a/Dockerfile", from("one:1"))
        .file("b/Dockerfile", from("two:1"));
    (project, engine)
}

pub fn plan(project: &Project) -> Value {
    let ran = project.run(&["plan", "--json"]).ends(0);
    serde_json::from_str(&ran.stdout).unwrap()
}

fn keys(project: &Project) -> Vec<String> {
    let plan = plan(project);
    let stages = plan["stages"].as_array().unwrap().iter();
    stages
        .map(|stage| stage["key"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_place_that_names_an_image_is_locked_with_its_index_and_platforms() {
    let registry = Registry::start();
    let mut digests = Vec::new();
    for name in ["from:1", "copy:1", "mount:1", "front:1", "context:1"] {
        digests.push((name, registry.put(name, &Image::of(name))));
    }
    let at = |name: &str| registry.reference(name);
    let graph = format!(
        "version = 1\n[stage.a]\ncontext = \"a\"\ncontexts = {{ \"replaced:1\" = {{ image = \"{}\" }} }}\n",
        at("context:1")
    );
    let (project, _engine) = project(&graph);
    let dockerfile = format!(
        "# syntax={}\nFROM {}\nCOPY --from={} /x /x\nRUN --mount=from={},target=/y true\nCOPY --from=replaced:1 /z /z\n",
        at("front:1"),
        at("from:1"),
        at("copy:1"),
        at("mount:1")
    );
    let project = project.file("a/Dockerfile", dockerfile);
    let ran = project.run(&["lock"]).ends(0);
    assert!(
        ran.stdout.contains("5 new, 0 moved, 0 dropped"),
        "{}",
        ran.stdout
    );
    let text = lock(&project);
    for (name, (whole, platforms)) in digests {
        let amd64 = &platforms["linux/amd64"];
        let arm64 = &platforms["linux/arm64"];
        let name = at(name);
        let entry = format!("[base.\"{name}\"]\nonbuild = false\ndigest = \"{whole}\"\ncheck = \"");
        assert!(text.contains(&entry), "{entry}\nis not in:\n{text}");
        let entry = format!(
            "[base.\"{name}\".platforms]\n\"linux/amd64\" = \"{amd64}\"\n\"linux/arm64\" = \"{arm64}\"\n"
        );
        assert!(text.contains(&entry), "{entry}\nis not in:\n{text}");
    }
    assert!(!text.contains("replaced"), "{text}");
    let asked = registry.lines();
    // Only a HEAD names a tag. Everything else is asked for by digest.
    for line in &asked {
        assert!(
            line.starts_with("HEAD ") || line.contains("sha256:"),
            "{asked:?}"
        );
    }
}

#[test]
fn a_lock_with_nothing_to_do_asks_nobody_and_writes_nothing() {
    let registry = Registry::start();
    registry.put("one:1", &Image::of("1"));
    let (project, _engine) = one(&format!("FROM {}\n", registry.reference("one:1")));
    project.run(&["lock"]).ends(0);
    let before = fs::metadata(project.path("build-graph.lock")).unwrap();
    registry.asked();
    registry.put("one:1", &Image::of("2"));
    let ran = project.run(&["lock"]).ends(0);
    assert!(ran.stdout.contains("nothing to do"), "{}", ran.stdout);
    project.run(&["plan", "--locked"]).ends(0);
    project.run(&["explain", "a"]).ends(0);
    assert_eq!(registry.lines(), Vec::<String>::new());
    let after = fs::metadata(project.path("build-graph.lock")).unwrap();
    assert_eq!(after.modified().unwrap(), before.modified().unwrap());
    assert_eq!(after.ino(), before.ino());
    // A graph without external images gets no lock file.
    let (scratch, _engine) = one("FROM scratch\n");
    scratch.run(&["lock"]).ends(0);
    assert!(!scratch.path("build-graph.lock").exists());
}

#[test]
fn another_path_gives_the_same_lock_and_the_same_keys() {
    let registry = Registry::start();
    registry.put("one:1", &Image::of("1"));
    registry.put("two:1", &Image::single("2"));
    let lock_and_keys = || {
        let (project, _engine) = two(&registry);
        project.run(&["lock"]).ends(0);
        (lock(&project), keys(&project))
    };
    let (text, keys) = lock_and_keys();
    assert!(text.contains("two:1"), "{text}");
    assert_eq!(lock_and_keys(), (text, keys));
}

#[test]
fn an_update_moves_what_is_named_and_nothing_else() {
    let registry = Registry::start();
    let (one_before, _) = registry.put("one:1", &Image::of("1"));
    let (two_before, _) = registry.put("two:1", &Image::of("2"));
    let (project, _engine) = two(&registry);
    project.run(&["lock"]).ends(0);
    let (one_after, _) = registry.put("one:1", &Image::of("1b"));
    let (two_after, _) = registry.put("two:1", &Image::of("2b"));
    assert!(lock(&project).contains(&one_before));

    let name = registry.reference("one:1");
    let wrong = name.replace("one:1", "onne:1");
    let refused = update(&project, &[&wrong]).ends(2);
    assert!(
        refused.stderr.contains(&format!("did you mean `{name}`?")),
        "{}",
        refused.stderr
    );
    let ran = update(&project, &[&name]).ends(0);
    assert!(
        ran.stdout.contains("0 new, 1 moved, 0 dropped"),
        "{}",
        ran.stdout
    );
    let text = lock(&project);
    assert!(
        text.contains(&one_after) && !text.contains(&one_before),
        "{text}"
    );
    assert!(
        text.contains(&two_before) && !text.contains(&two_after),
        "{text}"
    );
    update(&project, &[]).ends(0);
    assert!(lock(&project).contains(&two_after));
    // If a tag did not move, its manifest is not read.
    registry.asked();
    let ran = update(&project, &[]).ends(0);
    assert!(ran.stdout.contains("nothing to do"), "{}", ran.stdout);
    assert!(
        registry
            .lines()
            .iter()
            .all(|line| line.starts_with("HEAD "))
    );
}

fn update(project: &Project, names: &[&str]) -> Ran {
    let mut arguments = vec!["lock", "--update"];
    arguments.extend(names);
    project.run(&arguments)
}

#[test]
fn an_index_that_moved_for_another_platform_keeps_the_key_and_one_for_ours_does_not() {
    let registry = Registry::start();
    registry.put("one:1", &Image::of("1"));
    let (project, _engine) = one(&format!("FROM {}\n", registry.reference("one:1")));
    let frontend = format!("# syntax={0}\nFROM {0}\n", registry.reference("one:1"));
    let (fronted, _engine) = one(&frontend);
    for project in [&project, &fronted] {
        project.run(&["lock"]).ends(0);
    }
    let (before, of_frontend) = (keys(&project), keys(&fronted));
    let old = lock(&project);
    registry.put("one:1", &Image::of("1").platform("linux/arm64", "other"));
    for project in [&project, &fronted] {
        update(project, &[]).ends(0);
    }
    assert_ne!(lock(&project), old);
    assert_eq!(keys(&project), before);
    // The frontend runs on the builder's platform, so all its platforms count.
    assert_ne!(keys(&fronted), of_frontend);
    registry.put("one:1", &Image::of("1").platform("linux/amd64", "other"));
    update(&project, &[]).ends(0);
    assert_ne!(keys(&project), before);
    // If a stage has several platforms, each counts.
    let several = project.file(
        "build-graph.toml",
        "version = 1\n[stage.a]\ncontext = \"a\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n",
    );
    let before = keys(&several);
    registry.put("one:1", &Image::of("3").platform("linux/amd64", "other"));
    update(&several, &[]).ends(0);
    assert_ne!(keys(&several), before);
}

#[test]
fn entries_that_no_profile_uses_are_dropped_with_a_line_and_others_are_kept() {
    let registry = Registry::start();
    registry.put("one:1", &Image::of("1"));
    registry.put("mirror:1", &Image::of("1"));
    let plain = "version = 1\n[stage.a]\ncontext = \"a\"\n";
    let (one_at, mirror) = (registry.reference("one:1"), registry.reference("mirror:1"));
    let profile = format!(
        "{plain}[profile.m.stage.a]\ncontexts = {{ \"{one_at}\" = {{ image = \"{mirror}\" }} }}\n"
    );
    let (project, _engine) = project(&profile);
    let project = project.file("a/Dockerfile", format!("FROM {one_at}\n"));
    project.run(&["lock"]).ends(0);
    let ran = project.run(&["lock", "--profile", "m"]).ends(0);
    assert!(
        ran.stdout.contains("1 new, 0 moved, 0 dropped"),
        "{}",
        ran.stdout
    );
    project.run(&["lock"]).ends(0);
    let both = lock(&project);
    assert!(
        both.contains("one:1") && both.contains("mirror:1"),
        "{both}"
    );
    project.write("build-graph.toml", plain);
    let ran = project.run(&["lock"]).ends(0);
    assert!(
        ran.stdout
            .contains(&format!("dropped  {mirror}: no stage uses it")),
        "{}",
        ran.stdout
    );
    let rest = lock(&project);
    assert!(
        rest.contains("one:1") && !rest.contains("mirror:1"),
        "{rest}"
    );
}

#[test]
fn an_image_that_only_the_engine_has_is_told_and_is_no_fault() {
    let registry = Registry::start();
    registry.put("one:1", &Image::of("1"));
    let (project, engine) = two(&registry);
    let own = registry.reference("two:1");
    engine.hold(&own, "sha256:0123");
    project
        .run(&["lock"])
        .ends(0)
        .says("in the engine alone")
        .says(&own);
    let text = lock(&project);
    assert!(text.contains("one:1") && !text.contains("two:1"), "{text}");
    project.run(&["plan", "--locked"]).ends(2).says(&own);
    // An image that a registry has is locked, whatever the engine has: keys must not differ.
    engine.hold(&registry.reference("one:1"), "sha256:4567");
    fs::remove_file(project.path("build-graph.lock")).unwrap();
    project.run(&["lock"]).ends(0);
    assert!(lock(&project).contains("one:1"));
}

#[test]
fn a_digest_is_kept_as_it_is_and_looked_at_for_its_platforms() {
    let registry = Registry::start();
    let (whole, platforms) = registry.put("one:1", &Image::of("1").with_triggers());
    let reference = format!("{}@{whole}", registry.reference("one:1"));
    let (project, _engine) = one(&format!("FROM {reference}\n"));
    project.run(&["plan", "--locked"]).ends(2);
    project.run(&["lock"]).ends(0);
    let text = lock(&project);
    assert!(
        text.contains("onbuild = true") && text.contains(&platforms["linux/arm64"]),
        "{text}"
    );
    registry.put("one:1", &Image::of("2"));
    registry.asked();
    update(&project, &[]).ends(0);
    let ran = project.run(&["outdated", "--json"]).ends(0);
    assert!(ran.stdout.contains("\"checked\":0"), "{}", ran.stdout);
    assert_eq!(registry.lines(), Vec::<String>::new());
    assert_eq!(lock(&project), text);
}

#[test]
fn a_lock_that_is_killed_leaves_the_old_one_whole() {
    let registry = Registry::start();
    registry.put("one:1", &Image::of("1"));
    registry.put("two:1", &Image::of("2"));
    let (project, _engine) = two(&registry);
    project.run(&["lock"]).ends(0);
    let before = lock(&project);
    registry.put("one:1", &Image::of("1b"));
    registry.put("two:1", &Image::of("2b"));
    registry.asked();
    registry.play("/two/", 100, Play::Hang);
    let mut child = project.start(&["lock", "--update"]);
    // The first image was found, and the second is being asked for.
    while registry.lines().iter().all(|line| !line.contains("/two/")) {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(lock(&project), before);
    assert_eq!(
        beside(&project.path("")),
        ["build-graph.lock", "build-graph.toml"]
    );
    registry.mend();
    update(&project, &[]).ends(0);
    assert_ne!(lock(&project), before);
}

/// The files whose names begin with `build-graph`, and unfinished files.
fn beside(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names
        .filter(|name| name.starts_with("build-graph") || name.starts_with(".new"))
        .collect();
    names.sort();
    names
}

#[test]
fn of_two_locks_at_once_one_waits_and_both_are_whole() {
    let registry = Registry::start();
    registry.put("one:1", &Image::of("1"));
    registry.put("two:1", &Image::of("2"));
    let (project, _engine) = two(&registry);
    let children: Vec<_> = (0..4).map(|_| project.start(&["lock"])).collect();
    let ran: Vec<Ran> = children.into_iter().map(Project::finish).collect();
    assert!(ran.iter().all(|ran| ran.status == 0));
    let new = ran.iter().filter(|ran| ran.stdout.contains("2 new"));
    assert_eq!(new.count(), 1, "the others found it done");
    project.run(&["plan", "--locked"]).ends(0);
}
