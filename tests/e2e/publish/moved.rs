//! Tags that somebody else moves, and tags that must not move.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Direct, TAGS, World, moves_tag, outcomes, tops};
use crate::registry;

#[test]
fn a_tag_that_somebody_else_moves_between_the_tags_stops_the_publish() {
    let Some(world) = World::new("") else { return };
    let release = world.planned();
    let direct = Direct::at(&format!("http://{}", registry().unwrap()));
    let repository = world.repository("b");
    let is_done = AtomicBool::new(false);
    // When the first tag is about to move, the last one goes elsewhere.
    world.gate.on_request(move |seen| {
        if moves_tag(seen) && !is_done.swap(true, Ordering::SeqCst) {
            direct.put_strange(&repository, "1");
        }
    });
    let name = format!("{}:1", world.image("b"));
    let said = format!("{name} points to sha256:");
    let ran = world.project.run(&["publish"]).ends(1);
    let ran = ran.says(&said).says("pointed to nothing when this began");
    let ran = ran.says("somebody else moved it").says("--allow-overwrite");
    ran.says("note: 2 of 3 tags point to release ");
    let strange = world.direct.digest(&world.repository("b"), "1");
    assert_ne!(strange.as_ref(), tops(&release).last());
    // Once more it still asks, and moves nothing.
    world.gate.forget();
    let ran = world.project.run(&["publish"]).ends(1);
    ran.says(&said).says("--allow-overwrite");
    assert!(!world.gate.requests().iter().any(moves_tag));
    assert_eq!(world.direct.digest(&world.repository("b"), "1"), strange);
    let answer = world.published(&["--allow-overwrite"]);
    assert_eq!(outcomes(&answer), ["already", "already", "moved"]);
    world.assert_published(&release);
}

#[test]
fn a_tag_that_somebody_else_moves_before_the_tags_stops_all_of_them() {
    let Some(world) = World::new("") else { return };
    let direct = Arc::new(Direct::at(&format!("http://{}", registry().unwrap())));
    let repository = world.repository("a");
    let is_done = AtomicBool::new(false);
    world.gate.on_request(move |seen| {
        if seen.puts_manifest() && !is_done.swap(true, Ordering::SeqCst) {
            direct.put_strange(&repository, "edge");
        }
    });
    let ran = world.project.run(&["publish"]).ends(1);
    ran.says("/a:edge points to sha256:")
        .says("somebody else moved it");
    assert!(!world.gate.requests().iter().any(moves_tag));
    let [first, _, last] = world.tags().try_into().unwrap();
    assert_eq!((first, last), (None, None));
    // The new state is what the next publish begins with.
    let answer = world.publish();
    assert_eq!(outcomes(&answer), ["moved"; 3]);
    assert!(answer["moves"][1]["before"].is_string());
    world.assert_published(&answer["release"]);
}

#[test]
fn an_immutable_tag_is_refused_before_anything_is_pushed() {
    let Some(world) = World::new("[publish]\nimmutable = [\"[0-9]*\"]\n") else {
        return;
    };
    // What is not there may come, and what is there stays.
    let first = world.publish();
    assert_eq!(outcomes(&first), ["moved"; 3]);
    assert_eq!(outcomes(&world.publish()), ["already"; 3]);
    let (stage, tag) = TAGS[2];
    world.direct.put_strange(&world.repository("a"), "edge");
    let strange = world.direct.put_strange(&world.repository(stage), tag);
    world.gate.forget();
    for flags in [&["publish"][..], &["publish", "--dry-run"]] {
        let said = format!(
            "{}:{tag} is immutable and points to {strange}",
            world.image(stage)
        );
        let ran = world.project.run(flags).ends(1);
        ran.says(&said).says("nothing was pushed");
    }
    assert!(world.writes().is_empty());
    let answer = world.published(&["--allow-overwrite"]);
    assert_eq!(outcomes(&answer), ["already", "moved", "moved"]);
    world.assert_published(&first["release"]);
}
