//! Faults of the registry and of the way to it, in the middle of a publish.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{World, moves_tag, tops};
use crate::support::gate::{Effect, Fault, Seen};

/// How many worlds meet the faults at the same time. Most of the time they wait for a next attempt.
const AT_ONCE: usize = 3;

fn begins_upload(seen: &Seen) -> bool {
    seen.method == "POST"
}

fn sends_blob(seen: &Seen) -> bool {
    seen.method == "PUT" && seen.path.contains("/blobs/")
}

fn puts_by_digest(seen: &Seen) -> bool {
    seen.puts_manifest() && !seen.moves_tag()
}

fn asks_for_manifest(seen: &Seen) -> bool {
    seen.method == "HEAD" && seen.path.contains("/manifests/")
}

/// Runs a test for all cases, in some worlds at the same time.
fn each<T: Sync>(cases: &[T], test: impl Fn(&World, &T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let Some(mut world) = World::new("") else {
                    return;
                };
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    world.renew();
                    world.gate.forget();
                    test(&world, case);
                    world.gate.mend();
                }
            });
        }
    });
}

#[test]
fn a_fault_that_passes_is_waited_for_wherever_it_strikes() {
    let effects = [
        Effect::status(500),
        Effect::status(503),
        Effect::wait(429, "0"),
        Effect::wait(503, "1"),
        Effect::CutBefore,
        Effect::CutAfter,
        Effect::CutRequest,
        Effect::CutAnswer,
        Effect::Reset,
    ];
    each(&effects, |world, effect| {
        let kinds = [
            begins_upload,
            sends_blob,
            puts_by_digest,
            asks_for_manifest,
            moves_tag,
        ];
        for kind in kinds {
            world
                .gate
                .fail(Fault::when(kind, effect.clone()).skipping(1));
        }
        let ran = world.project.run(&["publish", "--json"]);
        assert_eq!(ran.status, 0, "{effect:?}: {}", ran.stderr);
        let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        world.assert_published(&answer["release"]);
        // Every fault has struck.
        for kind in kinds {
            let requests = world.gate.requests();
            assert!(requests.iter().filter(|seen| kind(seen)).count() > 2);
        }
    });
}

/// What fails, how, and what is said.
type Lasting = (fn(&Seen) -> bool, Effect, &'static [&'static str]);

fn full(status: u16) -> Effect {
    let body = br#"{"errors":[{"code":"UNKNOWN","message":"write /var/lib/registry: no space left on device"}]}"#;
    let kind = ("Content-Type".to_owned(), "application/json".to_owned());
    Effect::Status(status, vec![kind], body.to_vec())
}

#[test]
fn a_fault_that_lasts_is_named_moves_no_tag_and_is_no_loss() {
    let cases: [Lasting; 8] = [
        (
            puts_by_digest,
            Effect::status(500),
            &["(status 500, as played): try again later"],
        ),
        (
            begins_upload,
            Effect::wait(429, "0"),
            &["for now (status 429)", "try again later"],
        ),
        (
            begins_upload,
            Effect::wait(429, "3600"),
            &["it asks to wait 3600 s"],
        ),
        (
            moves_tag,
            Effect::status(401),
            &["refuses to take", "(status 401", "run `docker login "],
        ),
        (
            sends_blob,
            Effect::CutBefore,
            &["cannot reach", "check the network, "],
        ),
        (
            sends_blob,
            full(507),
            &["its disk is full, so free space there"],
        ),
        (
            sends_blob,
            full(500),
            &["its disk is full, so free space there"],
        ),
        (
            moves_tag,
            Effect::status(503),
            &["(status 503, as played): try again later"],
        ),
    ];
    each(&cases, |world, (kind, effect, said)| {
        let kind = *kind;
        let lasting = Fault::when(kind, effect.clone());
        world.gate.fail(lasting.times(usize::MAX));
        let ran = world.project.run(&["publish"]);
        assert!(matches!(ran.status, 1 | 3), "{effect:?}: {}", ran.status);
        let host = world.gate.address();
        let last = ran.stderr.lines().last().unwrap_or_default();
        assert!(
            last.starts_with(&format!("error: {host} ")) || last.contains(&host),
            "{last}"
        );
        for said in *said {
            assert!(last.contains(said), "{said}: {}", ran.stderr);
        }
        world.assert_untagged();
        // What cannot pass is not tried again. Eight requests run at once.
        let count = world
            .gate
            .requests()
            .iter()
            .filter(|seen| kind(seen))
            .count();
        let passes = ran.stderr.contains("attempt 4 of 4");
        assert!(passes || count <= 8, "{count}: {}", ran.stderr);
        assert!(!passes || count >= 4, "{count}: {}", ran.stderr);
        world.gate.mend();
        let answer = world.publish();
        world.assert_published(&answer["release"]);
    });
}

#[test]
fn where_a_registry_loses_what_it_took_no_tag_moves() {
    let Some(world) = World::new("") else { return };
    let lost = tops(&world.planned())[1].clone();
    let takes = move |seen: &Seen| seen.method == "PUT" && seen.path.ends_with(&lost);
    let taken = Effect::Status(201, Vec::new(), Vec::new());
    world.gate.fail(Fault::when(takes, taken));
    world
        .project
        .run(&["publish"])
        .ends(1)
        .says("does not answer for")
        .says("no tag was moved");
    world.assert_untagged();
    world.assert_published(&world.publish()["release"]);
}
