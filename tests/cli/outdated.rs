//! `outdated`: images and sources that moved upstream since they were locked.

use serde_json::Value;

use crate::lock::{lock, two};
use crate::support::Project;
use crate::support::registry::{Image, Play, Registry};
use crate::support::remote::Remote;
use crate::world::World;

fn outdated(project: &Project) -> Value {
    let ran = project.run(&["outdated", "--json"]).ends(0);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn outdated_says_what_moved_since_when_and_what_would_be_built_again() {
    let registry = Registry::start();
    let (before, _) = registry.put("one:1", &Image::of("1"));
    let ageless = Image::of("2").created("1970-01-01T00:00:00Z");
    registry.put("two:1", &ageless);
    let (project, _engine) = two(&registry);
    let unlocked = outdated(&project);
    assert_eq!(unlocked["checked"], 0);
    assert_eq!(unlocked["unlocked"].as_array().unwrap().len(), 2);
    project.run(&["lock"]).ends(0);
    assert_eq!(outdated(&project)["outdated"], Value::Array(Vec::new()));

    let (after, _) = registry.put(
        "one:1",
        &Image::of("1b").created("2026-11-22T08:30:00+01:00"),
    );
    registry.put("two:1", &ageless.platform("linux/arm64", "x"));
    let text = lock(&project);
    let found = outdated(&project);
    assert_eq!(lock(&project), text, "it writes nothing");
    let rows = found["outdated"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["name"], registry.reference("one:1"));
    assert_eq!(
        (&rows[0]["locked"], &rows[0]["current"]),
        (&Value::from(before), &Value::from(after))
    );
    assert_eq!(rows[0]["since"], "2026-11-22T07:30:00Z");
    assert_eq!(rows[0]["stages"], Value::from(vec!["a"]));
    assert_eq!(rows[0]["rebuilds"], Value::from(vec!["a"]));
    assert_eq!(rows[1]["rebuilds"], Value::Array(Vec::new()));
    // If an image hides its age, the time at which the registry received it is used.
    assert_eq!(rows[1]["since"], "2015-10-21T07:28:00Z");
    let table = project.run(&["outdated"]).ends(0).stdout;
    assert!(
        table.contains("2026-11-22") && table.contains("2 of 2 locked images and sources moved"),
        "{table}"
    );
    // After an edit by hand, the manifests of an entry may belong to another image.
    let edited = text.replacen("onbuild = false", "onbuild = true", 1);
    project.write("build-graph.lock", edited.as_str());
    let found = outdated(&project);
    assert_eq!(found["edited"].as_array().unwrap().len(), 1, "{found}");
    project
        .run(&["outdated"])
        .ends(0)
        .says("edited by hand in the lock");
}

#[test]
fn outdated_names_a_stage_that_is_built_in_parts_once() {
    let registry = Registry::start();
    registry.put("one:1", &Image::of("1"));
    registry.put("two:1", &Image::of("2"));
    let (project, _engine) = two(&registry);
    let graph = std::fs::read_to_string(project.path("build-graph.toml")).unwrap();
    let both = "[stage.a]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n";
    project.write("build-graph.toml", graph.replace("[stage.a]\n", both));
    project.run(&["lock"]).ends(0);
    registry.put("one:1", &Image::of("1b"));
    let row = &outdated(&project)["outdated"][0];
    assert_eq!(row["stages"], Value::from(vec!["a"]), "{row}");
    assert_eq!(row["rebuilds"], Value::from(vec!["a"]), "{row}");
}

#[test]
fn outdated_shows_what_it_could_ask_when_one_registry_is_gone() {
    let (good, bad) = (Registry::start(), Registry::start());
    good.put("one:1", &Image::of("1"));
    bad.put("two:1", &Image::of("2"));
    let (project, _engine) = two(&good);
    let project = project.file("b/Dockerfile", format!("FROM {}\n", bad.reference("two:1")));
    project.run(&["lock"]).ends(0);
    good.put("one:1", &Image::of("1b"));
    bad.play("", 100, Play::status(404));
    let ran = project.run(&["outdated", "--json"]).ends(3).says("has no");
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found["outdated"].as_array().unwrap().len(), 1);
    assert_eq!(found["failed"][0]["name"], bad.reference("two:1"));
}

#[test]
fn a_source_that_went_on_lists_only_the_stages_whose_key_that_changes() {
    let remote = Remote::new();
    remote.write(
        "web/Dockerfile",
        "FROM scratch\nARG COMMIT\nENV C=$COMMIT\nCOPY page /\n",
    );
    remote.write("web/page", "1");
    remote.commit();
    remote.push();
    let world = World::of(remote, "main", "");
    let graph = std::fs::read_to_string(world.project.path("build-graph.toml")).unwrap();
    // If the commit is in an argument that counts, every commit gives another key.
    let web = "[stage.web]\nsource = \"s\"\ncontext = \"web\"\n";
    let named = "[stage.named]\nsource = \"s\"\ncontext = \"web\"\nargs = { COMMIT = \"${source.commit}\" }\n";
    world
        .project
        .write("build-graph.toml", format!("{graph}{web}{named}"));
    world.project.run(&["lock"]).ends(0);
    let (locked, text) = (world.pinned(), lock(&world.project));
    let rebuilds = |path: &str, content: &str| {
        world.remote.write(path, content);
        world.remote.commit();
        world.remote.push();
        let row = outdated(&world.project)["outdated"][0].clone();
        assert_eq!(row["stages"], Value::from(vec!["a", "named", "web"]));
        row["rebuilds"].clone()
    };
    assert_eq!(rebuilds("README.md", "x"), Value::from(vec!["named"]));
    assert_eq!(rebuilds("web/page", "2"), Value::from(vec!["named", "web"]));
    let all = Value::from(vec!["a", "named", "web"]);
    assert_eq!(rebuilds("api/src/one", "2"), all);
    // `outdated` only looks: neither the source nor the lock changed.
    assert_eq!((world.pinned(), lock(&world.project)), (locked, text));
    // Without its Dockerfile, a stage could not be built from the new commit.
    world.remote.git(&["rm", "--quiet", "api/Dockerfile"]);
    assert_eq!(rebuilds("x", "x"), all);
    // If the commit cannot be fetched, all stages are listed, with the reason.
    world.remote.write("x", "y");
    world.remote.commit();
    world.remote.push();
    world
        .project
        .write("gitconfig", "[uploadpack]\npackObjectsHook = false\n");
    let ran = world.project.run(&["outdated", "--json"]).ends(0);
    let ran = ran.says("note: all stages of source `s` are listed");
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found["outdated"][0]["rebuilds"], all);
}
