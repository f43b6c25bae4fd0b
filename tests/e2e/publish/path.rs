//! The way from built images to tags, without faults.

use std::collections::BTreeSet;

use super::{STAGES, TAGS, World, moves_tag, outcomes, tops, unbuilt};
use crate::support::gate::Gate;
use crate::{hosts, registry, unique};

#[test]
fn what_is_verified_is_published_once_and_found_whole_from_outside() {
    let Some(world) = World::new("") else { return };
    let planned = world.published(&["--dry-run"]);
    assert_eq!(outcomes(&planned), ["planned"; 3]);
    assert!(world.writes().is_empty(), "{:?}", world.writes());

    let answer = world.publish();
    let release = &answer["release"];
    assert_eq!(&planned["release"], release);
    assert_eq!(outcomes(&answer), ["moved"; 3]);
    world.assert_published(release);
    // A blob that both platforms have is sent once.
    let writes = world.writes();
    let sent: Vec<(&str, &str)> = writes
        .iter()
        .filter(|seen| seen.method == "PUT" && seen.path.contains("/blobs/"))
        .map(|seen| {
            let repository = seen.path.split("/blobs/").next().unwrap();
            (repository, seen.path.rsplit("digest=").next().unwrap())
        })
        .collect();
    let unique: BTreeSet<_> = sent.iter().collect();
    assert_eq!(sent.len(), unique.len(), "{sent:?}");
    // The tags come last, in the order of the graph.
    let first = writes.iter().position(moves_tag).unwrap();
    let (before, tags) = writes.split_at(first);
    assert!(!before.iter().any(moves_tag));
    let expected =
        TAGS.map(|(stage, tag)| format!("/v2/{}/manifests/{tag}", world.repository(stage)));
    let moved: Vec<&str> = tags.iter().map(|seen| seen.path.as_str()).collect();
    assert_eq!(moved, expected);

    // The index has both platforms, and an attestation of each.
    let index = world.direct.json(&world.repository("b"), "1");
    let entries = index["manifests"].as_array().unwrap();
    let platforms: Vec<String> = entries
        .iter()
        .map(|entry| {
            let platform = &entry["platform"];
            let text = |name: &str| platform[name].as_str().unwrap_or("none").to_owned();
            format!("{}/{}", text("os"), text("architecture"))
        })
        .collect();
    let unknown = "unknown/unknown";
    assert_eq!(platforms, ["linux/amd64", "linux/arm64", unknown, unknown]);
    let about = |place: usize| &entries[place]["annotations"]["vnd.docker.reference.digest"];
    assert_eq!(about(2), &entries[0]["digest"]);
    assert_eq!(about(3), &entries[1]["digest"]);

    // The same once more writes nothing.
    let name = release["name"].as_str().unwrap();
    let file = world.state().join(format!("releases/{name}.json"));
    let saved = std::fs::read(&file).unwrap();
    assert_eq!(
        &serde_json::from_slice::<serde_json::Value>(&saved).unwrap(),
        release
    );
    world.gate.forget();
    let again = world.publish();
    assert_eq!(&again["release"], release);
    assert_eq!(outcomes(&again), ["already"; 3]);
    assert!(world.writes().is_empty(), "{:?}", world.writes());
    assert!(!world.state().join("publish.journal").exists());

    // Seen from outside, also by a machine that has none of it.
    let name = format!("{}:1", world.image("b"));
    for _ in 0..2 {
        let ran = world.project.run(&["verify", "--published", &name]).ends(0);
        for line in [
            "whole for linux/amd64, linux/arm64",
            "linux/arm64: built by",
            "linux/arm64: verified by the policy of its publisher",
            "is whole: 2 images",
        ] {
            assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
        }
        let oci = world.state().join("oci");
        if oci.exists() {
            super::remove(&oci);
        }
    }
}

#[test]
fn what_is_not_verified_as_it_is_now_is_refused_before_anything_is_sent() {
    let Some(world) = World::new("") else { return };
    let refused = |why: &str| {
        world.gate.forget();
        world
            .project
            .run(&["publish"])
            .ends(1)
            .says(why)
            .says("`cargo xtask verify a --graph ");
        assert!(world.gate.requests().is_empty());
    };
    let notes = world.state().join("verified/stages");
    let kept = world.project.path("kept");
    std::fs::rename(&notes, &kept).unwrap();
    refused("`a` is not published, as it was never verified here");
    std::fs::rename(&kept, &notes).unwrap();
    // Another policy.
    let graph = std::fs::read_to_string(world.project.path("build-graph.toml")).unwrap();
    let changed = graph.replace("root = \"off\"", "root = \"warn\"");
    world.project.write("build-graph.toml", &changed);
    refused("its policy has changed");
    // With a reason it is published all the same, and the release keeps the reason.
    let answer = world.published(&["--unverified=the fire brigade waits"]);
    for image in answer["release"]["images"].as_array().unwrap() {
        assert_eq!(image["verified"]["not"], "the fire brigade waits");
    }
    world.assert_published(&answer["release"]);
    let answer = world.published(&["--unverified"]);
    let why = &answer["release"]["images"][0]["verified"]["not"];
    assert_eq!(why, "its policy has changed");
    // Nothing attached says that it was verified.
    let name = format!("{}:1", world.image("b"));
    let ran = world.project.run(&["verify", "--published", &name]);
    let said = "linux/amd64: nothing attached says that it was verified";
    assert!(ran.stdout.contains(said), "{}{}", ran.stdout, ran.stderr);
    // What is not fresh is not published in any case.
    world.project.write("build-graph.toml", &graph);
    world.project.settle();
    world.project.write("b/y", "other");
    world.gate.forget();
    world
        .project
        .run(&["publish", "--unverified=x"])
        .ends(1)
        .says("stage `b` is not fresh")
        .says("`cargo xtask build b --graph ");
    assert!(world.gate.requests().is_empty());
}

/// The images are in the engine, and go from there into the layout.
#[test]
fn images_of_the_engine_are_published_and_a_new_image_is_verified_first() {
    let Some(registry) = registry() else { return };
    // The classic store keeps layers without compression.
    let host = hosts().pop().unwrap();
    let gate = Gate::before(&registry);
    let to = gate.reference(&unique("p"));
    let stages = STAGES
        .replace("output = \"oci\"\n", "")
        .replace("from = \"a\"\n", "");
    let stages = stages.replace(", \"linux/arm64\"", "");
    let stages = format!("[target.t]\nto = \"{to}\"\n{stages}");
    let project = unbuilt(&host, &stages).file("b/Dockerfile", "FROM scratch\nCOPY y /y\n");
    project.run(&["build"]).ends(0);
    project
        .run(&["publish"])
        .ends(1)
        .says("never verified here");
    assert!(gate.requests().is_empty());
    project.run(&["verify", "--policy-only"]).ends(0);
    let publish = || {
        let ran = project.run(&["publish", "--json"]).ends(0);
        let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        answer
    };
    let first = publish();
    assert_eq!(outcomes(&first), ["moved"; 3]);
    assert_eq!(outcomes(&publish()), ["already"; 3]);
    // It is exported once, and again the same if the note of the export is gone.
    for folder in ["exports", "oci"] {
        super::remove(&super::state_of(&project).join(folder));
    }
    let again = publish();
    assert_eq!(outcomes(&again), ["already"; 3]);
    assert_eq!(tops(&again["release"]), tops(&first["release"]));
    project
        .run(&["verify", "--published", &format!("{to}/a:1")])
        .ends(0);
    project.settle();
    project.write("a/x", unique("new"));
    project.run(&["build"]).ends(0);
    project
        .run(&["publish"])
        .ends(1)
        .says("`a` is not published, as the image has changed");
}
