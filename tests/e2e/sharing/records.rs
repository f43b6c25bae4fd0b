//! Records in a registry: what another machine needs of them, and what is not believed.

use std::process::Command;

use serde_json::Value;

use super::super::support::Project;
use super::super::support::gate::{Effect, Fault};
use super::super::{builds, host};
use super::{Team, parts, runs, without_engine};

#[test]
fn a_machine_without_an_engine_finds_everything_fresh_with_two_small_requests_a_part() {
    let Some(team) = Team::new() else { return };
    let first = team.checkout(&host());
    first.run(&["build", "--profile", "ci"]).ends(0);
    let made = runs(&first);
    assert!(made > 0);
    for profile in ["ci", "none"] {
        let graph = format!("{}[profile.none]\n", team.graph());
        let second = without_engine(team.checkout(&host()));
        second.write("build-graph.toml", graph);
        team.gate.forget();
        let ran = second
            .run(&["plan", "--json", "--profile", profile])
            .ends(0);
        let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
        let verdicts: Vec<&str> = plan["stages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|stage| stage["verdict"].as_str().unwrap())
            .collect();
        assert_eq!(verdicts, ["fresh", "fresh"], "{}", ran.stderr);
        let seen = team.gate.requests();
        let count = |method: &str| seen.iter().filter(|it| it.method == method).count();
        // One GET of the record and one HEAD of the image for each of the four parts. For what the
        // host command makes, one GET for this processor, and one for that of the other part.
        assert_eq!((count("GET"), count("HEAD")), (6, 4), "{seen:?}");
        assert!(
            seen.iter().all(|it| !it.path.contains("/blobs/")),
            "{seen:?}"
        );
        assert_eq!(runs(&second), 0);
        assert!(!second.path("a/made").exists());
        if profile == "ci" {
            assert_eq!(parts(&second, "ci", "b"), parts(&first, "ci", "b"));
        }
    }
}

/// The registry's own answer, without the gate.
fn registry_call(arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--fail"])
        .args(arguments);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// The address of a record's manifest, without the gate.
fn record(team: &Team, key: &str) -> String {
    let registry = super::super::registry().unwrap();
    format!("http://{registry}/v2/{}/records/manifests/{key}", team.path)
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn put(address: &str, manifest: &Value) {
    let kind = format!("Content-Type: {MANIFEST}");
    let body = manifest.to_string();
    registry_call(&[
        "--request",
        "PUT",
        "--header",
        &kind,
        "--data-binary",
        &body,
        address,
    ]);
}

fn keys(project: &Project) -> Vec<String> {
    let plan = project.run(&["plan", "--json"]).ends(0).stdout;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let stages = plan["stages"].as_array().unwrap().iter();
    let parts = stages.flat_map(|stage| stage["parts"].as_array().unwrap());
    parts
        .map(|part| part["key"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_poisoned_record_is_told_and_never_believed() {
    let Some(team) = Team::new() else { return };
    let host = host();
    team.checkout(&host)
        .run(&["build", "--profile", "ci"])
        .ends(0);
    let fresh = without_engine(team.checkout(&host));
    let keys = keys(&fresh);
    let address = record(&team, &keys[0]);
    let accept = format!("Accept: {MANIFEST}");
    let good: Value =
        serde_json::from_slice(&registry_call(&["--header", &accept, &address])).unwrap();
    let text = good["annotations"]["xtask.record"]
        .as_str()
        .unwrap()
        .to_owned();
    let said: Value = serde_json::from_str(&text).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut record = said.clone();
        change(&mut record);
        let mut manifest = good.clone();
        manifest["annotations"]["xtask.record"] = Value::String(record.to_string());
        manifest
    };
    let absent = format!("sha256:{}", "1".repeat(64));
    let poisons: Vec<(Value, &str)> = vec![
        (
            with(&|it| it["key"] = keys[1].clone().into()),
            "it is the record of another key",
        ),
        (
            with(&|it| it["manifest"]["digest"] = absent.clone().into()),
            "is not there",
        ),
        (
            with(&|it| it["platform"] = "linux/s390x".into()),
            "its image is for linux/s390x",
        ),
        (
            with(&|it| it["repository"] = "registry.example/evil".into()),
            "which is not below",
        ),
        (
            with(&|it| it["config"] = "latest".into()),
            "it does not name its image by digest",
        ),
        (with(&|it| it["version"] = 99.into()), "it is of version 99"),
        (
            {
                let mut manifest = good.clone();
                manifest["artifactType"] = "application/x".into();
                manifest
            },
            "it is something else",
        ),
        (
            {
                let mut manifest = good.clone();
                manifest["annotations"]["xtask.record"] = "{".into();
                manifest
            },
            "what it says is not a record",
        ),
    ];
    for (manifest, why) in poisons {
        put(&address, &manifest);
        let ran = fresh.run(&["plan", "--json"]).ends(0).says(why);
        ran.says("is not believed");
        let told = fresh.planned("a");
        assert_eq!(told["parts"][0]["verdict"], "stale", "{why}");
        assert_eq!(told["parts"][1]["verdict"], "fresh", "{why}");
    }
    put(&address, &good);
    assert_eq!(fresh.planned("a")["verdict"], "fresh");
    // A registry that answers nothing useful costs a note, not the plan.
    team.gate
        .fail(Fault::when(|_| true, Effect::status(500)).times(1000));
    let ran = fresh.run(&["plan", "--json"]).ends(0);
    assert!(
        ran.stderr.contains("shared records cannot be read"),
        "{}",
        ran.stderr
    );
    team.gate.mend();
}

#[test]
fn only_who_is_trusted_is_believed_and_who_has_no_key_writes_nothing() {
    let Some(mut team) = Team::new() else { return };
    let host = host();
    let keys = Project::new();
    let key = |name: &str| {
        let path = keys.path(name);
        let path = path.to_str().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let output = command.args(["key", path]).output().unwrap();
        assert!(output.status.success());
        let public = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        (path.to_owned(), public)
    };
    let ((own, public), (other, _)) = (key("own"), key("other"));
    team.more = format!("trust = [\"{public}\"]\n");
    // A fork builds and pushes what it may, and shares no record.
    let fork = team.checkout(&host);
    team.gate.forget();
    fork.run(&["build", "--profile", "ci"])
        .ends(0)
        .says("records are not shared, as this machine has no key");
    let writes = |path: &str| {
        let seen = team.gate.requests();
        seen.iter()
            .any(|it| it.path.contains(path) && it.method != "GET" && it.method != "HEAD")
    };
    assert!(writes("/images/") && !writes("/records/"));
    // Somebody with another key is not believed.
    let stranger = team
        .checkout(&host)
        .variable("XTASK_SIGNING_KEY_FILE", &other);
    stranger.run(&["build", "--profile", "ci"]).ends(0);
    let reader = without_engine(team.checkout(&host));
    reader
        .run(&["plan"])
        .ends(0)
        .says("nobody whom `trust` names signed it");
    // Host commands do not get the key, and CI's records are believed by a fork.
    let ci = team
        .checkout(&host)
        .variable("XTASK_SIGNING_KEY_FILE", &own);
    let make = std::fs::read_to_string(ci.path("a/make.sh")).unwrap();
    ci.write("a/make.sh", format!("{make}env > ../environment\n"));
    ci.run(&["build", "--profile", "ci"])
        .ends(0)
        .never_says(&own);
    let seen = std::fs::read_to_string(ci.path("environment")).unwrap();
    assert!(!seen.contains("XTASK_SIGNING_KEY"), "{seen}");
    let reader = without_engine(team.checkout(&host));
    reader.write("a/make.sh", format!("{make}env > ../environment\n"));
    let verdicts = reader.verdicts();
    assert!(
        verdicts.values().all(|verdict| verdict == "fresh"),
        "{verdicts:?}"
    );
}

#[test]
fn a_registry_that_is_gone_costs_one_note_and_images_come_into_the_layout_if_asked_for() {
    let Some(team) = Team::new() else { return };
    let machine = team.checkout(&host());
    machine.run(&["build", "--profile", "ci"]).ends(0);
    let second = team.checkout(&host());
    let ran = second
        .run(&["build", "a", "--json", "--profile", "oci"])
        .ends(0);
    assert_eq!(ran.those("fresh"), ["a"]);
    assert_eq!(builds(&second), 0);
    let states = std::fs::read_dir(second.path("state")).unwrap();
    let state = states.map(|it| it.unwrap().path()).next().unwrap();
    for digest in parts(&second, "oci", "a") {
        let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
        assert!(state.join("oci/blobs/sha256").join(hex).exists());
    }
    team.gate
        .fail(Fault::when(|_| true, Effect::Reset).times(100_000));
    let ran = machine.run(&["build", "--json"]).ends(0);
    assert_eq!(ran.those("built"), ["a", "b"], "{}", ran.stderr);
    let notes = ran.stdout.matches("shared records cannot be read").count();
    assert_eq!(notes, 1, "{}", ran.stdout);
    team.gate.mend();
}

#[test]
fn ten_machines_at_once_tear_no_record() {
    let Some(team) = Team::new() else { return };
    let host = host();
    let machines: Vec<Project> = (0..10).map(|_| team.checkout(&host)).collect();
    let children: Vec<_> = machines
        .iter()
        .map(|machine| machine.start(&["build", "--json", "--profile", "ci"]))
        .collect();
    for child in children {
        Project::finish(child).ends(0);
    }
    let fresh = without_engine(team.checkout(&host));
    let ran = fresh.run(&["plan", "--json"]).ends(0);
    assert!(!ran.stderr.contains("not believed"), "{}", ran.stderr);
    let verdicts = fresh.verdicts();
    assert!(
        verdicts.values().all(|verdict| verdict == "fresh"),
        "{verdicts:?}"
    );
    // Each machine's own records hold, too.
    for machine in &machines {
        let plan = machine
            .run(&["plan", "--json", "--profile", "ci"])
            .ends(0)
            .stdout;
        let plan: Value = serde_json::from_str(&plan).unwrap();
        for stage in plan["stages"].as_array().unwrap() {
            assert_eq!(stage["verdict"], "fresh", "{plan}");
        }
    }
}

#[test]
fn buildkits_cache_is_kept_for_each_stage_and_platform_if_the_graph_wants_it() {
    let Some(mut team) = Team::new() else { return };
    team.more = "trust = [\"any\"]\ncache = \"max\"\n".to_owned();
    let machine = team.checkout(&host());
    machine.run(&["build", "a", "--profile", "ci"]).ends(0);
    let registry = super::super::registry().unwrap();
    let tags = format!("http://{registry}/v2/{}/cache/tags/list", team.path);
    let tags: Value = serde_json::from_slice(&registry_call(&[&tags])).unwrap();
    let mut tags: Vec<&str> = tags["tags"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    tags.sort_unstable();
    assert_eq!(tags, ["a-linux-amd64", "a-linux-arm64"]);
    let calls = std::fs::read_to_string(machine.path("calls")).unwrap();
    assert!(calls.contains("--cache-from=type=registry"), "{calls}");
}
