//! Registries that break off, stall, lie and refuse. If asking again helps, they are asked again.
//! If not, the message has a remedy. The lock is complete or unchanged.

use std::fs;

use crate::lock::{lock, one};
use crate::support::Project;
use crate::support::registry::{Image, Play, Registry, digest};

fn world() -> (Registry, Project, crate::support::engine::Engine) {
    let registry = Registry::start();
    registry.put("team/one:1", &Image::of("1"));
    let (project, engine) = one(&format!("FROM {}\n", registry.reference("team/one:1")));
    // Some faults only end with the time limit.
    let project = project.variable("XTASK_REGISTRY_TIMEOUT", "1");
    (registry, project, engine)
}

/// The parts of a look-up: the tag's HEAD, the index and the manifests, the configurations.
const PARTS: [&str; 3] = [
    "HEAD ",
    "GET /v2/team/one/manifests/",
    "GET /v2/team/one/blobs/",
];

#[test]
fn a_fault_that_passes_is_asked_again_and_leaves_no_trace() {
    let (registry, project, _engine) = world();
    project.run(&["lock"]).ends(0);
    let right = lock(&project);
    let bodies = [
        ("500", Play::status(500)),
        ("503 with a wait", Play::wait(503, "1")),
        ("429 with a wait", Play::wait(429, "1")),
        ("a reset", Play::Reset),
        ("a closed connection", Play::Close),
        ("another protocol", Play::Noise),
        ("a body that breaks off", Play::Cut),
        ("a truncated body", Play::Truncated),
        ("another body", Play::Other(b"{}".to_vec())),
        ("a slow body", Play::Drip),
        ("no answer", Play::Hang),
    ];
    for (what, play) in bodies {
        for part in PARTS {
            // A HEAD has no body to break.
            if part == "HEAD "
                && matches!(
                    play,
                    Play::Cut | Play::Truncated | Play::Other(_) | Play::Drip
                )
            {
                continue;
            }
            fs::remove_file(project.path("build-graph.lock")).unwrap();
            registry.play(part, 1, play.clone());
            let ran = project.run(&["lock"]);
            assert_eq!(ran.status, 0, "{what} at {part}: {}", ran.stderr);
            assert!(
                ran.stderr.contains("attempt 2 of 4"),
                "{what} at {part}: {}",
                ran.stderr
            );
            assert_eq!(lock(&project), right, "{what} at {part}");
            registry.mend();
        }
    }
}

#[test]
fn a_fault_that_stays_is_a_sentence_with_a_remedy_and_the_lock_is_as_it_was() {
    let (registry, project, _engine) = world();
    project.run(&["lock"]).ends(0);
    let before = lock(&project);
    registry.put("team/one:1", &Image::of("2"));
    let plays = [
        (
            Play::status(500),
            "status 500, as played",
            "try again later",
        ),
        (Play::status(404), "has no", "correct the name or the tag"),
        (Play::status(403), "status 403", "docker login"),
        (Play::status(418), "status 418", "is it a registry"),
        (
            Play::wait(429, "3600"),
            "it asks to wait 3600 s",
            "docker login",
        ),
        (Play::status(429), "status 429", "registry-mirrors"),
        (Play::Reset, "cannot reach", "check the network"),
        (
            Play::Cut,
            "closes the connection in the middle",
            "check the network",
        ),
        (Play::Truncated, "it should have the digest", "try again"),
        (
            Play::Other(b"<html>".to_vec()),
            "it should have the digest",
            "proxy",
        ),
        (Play::Drip, "does not answer in time", "check the network"),
        (
            Play::Redirect("http://reg.example/x".into()),
            "redirects to reg.example",
            "is the name right?",
        ),
        (
            Play::Redirect("//x".into()),
            "redirects without a valid address",
            "is the name right?",
        ),
    ];
    for (play, says, remedy) in plays {
        registry.play("manifests/sha256:", 100, play);
        let ran = project
            .run(&["lock", "--update"])
            .ends(3)
            .says(says)
            .says(remedy);
        assert!(ran.stderr.contains("team/one:1"), "{}", ran.stderr);
        assert_eq!(lock(&project), before);
        registry.mend();
    }
    // After a fault that does not pass, nothing is asked again.
    registry.asked();
    registry.play("HEAD ", 100, Play::status(404));
    project.run(&["lock", "--update"]).ends(3);
    assert_eq!(registry.lines().len(), 1);
}

#[test]
fn one_image_that_cannot_be_had_leaves_all_others_out_of_the_lock_too() {
    let (registry, project, _engine) = world();
    let other = registry.reference("team/none:1");
    project.write(
        "a/Dockerfile",
        format!(
            "FROM {}\nCOPY --from={other} /x /x\nCOPY --from={other}b /x /x\n",
            registry.reference("team/one:1")
        ),
    );
    let ran = project.run(&["lock"]).ends(3);
    let errors = ran
        .stderr
        .lines()
        .filter(|line| line.starts_with("error: "));
    assert_eq!(errors.count(), 2, "each is told: {}", ran.stderr);
    assert!(!project.path("build-graph.lock").exists());
}

#[test]
fn a_digest_that_the_registry_makes_up_is_not_believed() {
    let (registry, project, _engine) = world();
    // The HEAD names a digest that no content has.
    registry.play("HEAD ", 1, Play::Misnamed);
    project.run(&["lock"]).ends(3).says("status 404");
    registry.mend();
    // If the HEAD names no digest, the registry is asked for the body.
    registry.play("HEAD ", 1, Play::status(405));
    project.run(&["lock"]).ends(0);
    fs::remove_file(project.path("build-graph.lock")).unwrap();
    registry.play("HEAD ", 1, Play::status(405));
    registry.play("GET /v2/team/one/manifests/1", 100, Play::Misnamed);
    project
        .run(&["lock"])
        .ends(3)
        .says("it should have the digest");
    assert!(!project.path("build-graph.lock").exists());
}

#[test]
fn what_is_no_image_is_refused_whatever_it_claims_to_be() {
    let (registry, project, _engine) = world();
    let kind = "application/vnd.oci.image.index.v1+json";
    let image = registry.put("team/one:1", &Image::single("1")).0;
    let entry = |digest: &str| {
        format!(r#"{{"digest":"{digest}","platform":{{"os":"linux","architecture":"amd64"}}}}"#)
    };
    let index = |entries: &[String]| {
        format!(
            r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
            entries.join(",")
        )
    };
    let inner = index(&[entry(&image)]);
    registry.put_manifest("team/one", "inner", kind, inner.as_bytes());
    let config = registry.put_blob("team/one", b"[1]");
    let many: Vec<String> = (0..200).map(|_| entry(&image)).collect();
    for (body, says) in [
        ("{}".to_owned(), "it is not a manifest"),
        (
            r#"{"schemaVersion":1,"fsLayers":[]}"#.to_owned(),
            "old schema 1",
        ),
        (index(&[]), "lists no image"),
        (index(&[entry(&digest(inner.as_bytes()))]), "another index"),
        (index(&many), "lists 200 images"),
        (index(&[entry("sha256:../../x")]), "SHA-256"),
        (
            format!(r#"{{"schemaVersion":2,"config":{{"digest":"{config}"}}}}"#),
            "configuration",
        ),
        ("[".repeat(100_000), "it is not a manifest"),
        (" ".repeat(5 << 20), "it is too long"),
    ] {
        registry.put_manifest("team/one", "1", kind, body.as_bytes());
        let ran = project.run(&["lock"]).ends(3).says(says);
        assert!(ran.stderr.len() < 2000, "{}", ran.stderr.len());
        assert!(!project.path("build-graph.lock").exists());
    }
    // A registry's text cannot control the terminal.
    registry.play("HEAD ", 100, Play::Status(418, vec![("X", "y".into())]));
    let noise = "{\"errors\":[{\"message\":\"\\u001b[2Jgone\"}]}";
    registry.play("", 0, Play::Other(noise.into()));
    let ran = project.run(&["lock"]).ends(3);
    assert!(!ran.stderr.contains('\u{1b}'));
}

#[test]
fn a_registry_that_sends_in_circles_is_left() {
    let (registry, project, _engine) = world();
    let back = format!("http://{}/v2/team/one/manifests/1", registry.address());
    registry.play("HEAD ", 100, Play::Redirect(back));
    project.run(&["lock"]).ends(3).says("redirects too often");
    assert!(registry.lines().len() < 10);
}

#[test]
fn a_time_limit_that_is_none_is_refused() {
    let (_registry, project, _engine) = world();
    let project = project.variable("XTASK_REGISTRY_TIMEOUT", "soon");
    project
        .run(&["lock"])
        .ends(2)
        .says("XTASK_REGISTRY_TIMEOUT");
}
