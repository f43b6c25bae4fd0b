//! A publish that is killed at any request: no tag ever points to what is not whole, and the next
//! publish completes it.

use std::collections::BTreeMap;
use std::process::Child;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::{TAGS, World, digests, moves_tag, remove};
use crate::Project;
use crate::support::gate::{Effect, Fault, Seen};

const LONG: Duration = Duration::from_secs(60);

/// How often both are tried at the same time. Most of the time they wait.
const AT_ONCE: usize = 4;

/// Of the requests of one kind, one in so many is tried, and of the moves of tags every one.
const STRIDE: usize = 4;

/// The numbers of the requests to try, from 1: of every kind the first, and some of the rest.
fn chosen(requests: &[Seen]) -> Vec<usize> {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let mut chosen = Vec::new();
    for (place, seen) in requests.iter().enumerate() {
        let path = seen.path.as_str();
        let what = if path.ends_with(".release") || path.contains("/manifests/release-") {
            "release"
        } else if path.contains("/manifests/sha256:") {
            "manifest"
        } else if path.contains("/manifests/") {
            "tag"
        } else if path.contains("/uploads/") {
            "upload"
        } else {
            "blob"
        };
        let count = kinds.entry(format!("{} {what}", seen.method)).or_default();
        if moves_tag(seen) || count.is_multiple_of(STRIDE) {
            chosen.push(place + 1);
        }
        *count += 1;
    }
    assert!(kinds.len() >= 8, "{kinds:?}");
    chosen
}

/// Kills a child and waits for its end.
fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

impl World {
    /// Publishes into new repositories, with the nth request held: before the registry gets it, or
    /// after the registry has done its work. Then kills it. `None` if it ended before.
    fn killed_at(&mut self, n: usize) -> Option<()> {
        self.renew();
        self.gate.forget();
        let effect = if n.is_multiple_of(2) {
            Effect::Hold
        } else {
            Effect::HoldAnswer
        };
        self.gate.fail(Fault::nth(n, effect));
        let mut child = self.project.start(&["publish"]);
        // It may end without as many requests.
        let mut is_held = false;
        while !is_held && child.try_wait().unwrap().is_none() {
            is_held = self.gate.wait_until_held(Duration::from_millis(50));
        }
        kill(child);
        self.gate.cut_held();
        self.gate.mend();
        is_held.then_some(())
    }

    /// Asserts that no tag points to what is not there, and that the tags moved in order.
    #[track_caller]
    fn assert_sound(&self, release: &Value) -> usize {
        let tags = self.tags();
        let moved = tags.iter().flatten().count();
        assert!(tags.iter().skip(moved).all(Option::is_none), "{tags:?}");
        if moved > 0 {
            self.assert_whole(release);
        }
        moved
    }
}

#[test]
fn a_publish_killed_at_any_request_leaves_no_tag_on_half_an_image_and_is_completed() {
    let Some(world) = World::new("") else { return };
    let release = world.planned();
    world.gate.forget();
    world.publish();
    let chosen = chosen(&world.gate.requests());
    let next = AtomicUsize::new(0);
    let moved = std::thread::scope(|scope| {
        let one = || {
            let mut world = World::new("").unwrap();
            let mut moved = Vec::new();
            loop {
                let next = next.fetch_add(1, Ordering::Relaxed);
                let Some(&n) = chosen.get(next) else {
                    break moved;
                };
                assert!(world.killed_at(n).is_some(), "request {n}");
                let before = world.assert_sound(&release);
                let again = world.publish();
                assert_eq!(again["release"], release, "request {n}");
                world.assert_published(&release);
                assert!(!world.state().join("publish.journal").exists());
                moved.push(before);
            }
        };
        let all: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(one)).collect();
        let all = all.into_iter().flat_map(|one| one.join().unwrap());
        all.collect::<Vec<usize>>()
    });
    assert_eq!(moved.len(), chosen.len());
    // Some were killed before any tag, between the tags, and after the last.
    for count in 0..=TAGS.len() {
        assert!(moved.contains(&count), "{count} of {moved:?}");
    }
}

/// The next publish may run on another machine, which has neither the journal nor what was
/// exported.
#[test]
fn what_was_killed_is_completed_without_the_journal_and_the_rest_of_the_state() {
    let Some(mut world) = World::new("") else {
        return;
    };
    let release = world.planned();
    world.renew();
    world
        .gate
        .fail(Fault::when(moves_tag, Effect::Hold).skipping(1));
    let child = world.project.start(&["publish"]);
    assert!(world.gate.wait_until_held(LONG));
    kill(child);
    world.gate.cut_held();
    assert_eq!(world.assert_sound(&release), 1);
    let state = world.state();
    let journal = state.join("publish.journal");
    let written = std::fs::read(&journal).unwrap();
    assert!(!state.join("releases").exists());
    std::fs::remove_file(&journal).unwrap();
    let again = world.publish();
    assert_eq!(super::outcomes(&again), ["already", "moved", "moved"]);
    world.assert_published(&release);
    // With the journal it says that it goes on.
    std::fs::write(&journal, &written).unwrap();
    remove(&state.join("releases"));
    world
        .project
        .run(&["publish"])
        .ends(0)
        .says("an earlier publish of this release did not end; it goes on from there");
    assert!(!journal.exists());
    assert!(state.join("releases").exists());
    // A journal that cannot be read counts as none.
    std::fs::write(&journal, "x").unwrap();
    world.project.run(&["publish"]).ends(0);
}

/// Ctrl-C ends a publish at once, and without a tag that was not begun.
#[test]
fn a_publish_that_is_interrupted_says_so_and_moves_no_further_tag() {
    let Some(world) = World::new("") else { return };
    let release = world.planned();
    world.gate.fail(Fault::when(moves_tag, Effect::Hold));
    let child = world.project.start(&["publish"]);
    assert!(world.gate.wait_until_held(LONG));
    crate::support::interrupt(&child);
    world.gate.release();
    let ran = Project::finish(child);
    assert_ne!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("interrupted"), "{}", ran.stderr);
    assert!(world.assert_sound(&release) < TAGS.len());
    world.publish();
    world.assert_published(&release);
    assert!(digests(&release).len() >= 10);
}
