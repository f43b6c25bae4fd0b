//! Records, images and files on this machine.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use camino::Utf8PathBuf;
use serde_json::json;
use xtask::freshness::key::Key;
use xtask::freshness::record::{Record, RecordStore, Volatile};
use xtask::outside::clock;
use xtask::outside::index::digest;
use xtask::outside::private;
use xtask::outside::state::State;
use xtask::workshop::testbed::ImageStore;

use super::pruned;
use crate::{
    OwnEngine, Project, content, docker, docker_says, load_built, project, state_of, unique,
    with_base,
};

/// How many old images a state has.
const OLD: u8 = 24;
/// How often a prune is killed.
const KILLS: u32 = 6;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Loads one tiny image for each of these names.
fn load(host: &str, names: &[String], salt: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("images.tar");
    let mut archive = tar::Builder::new(File::create(&file).unwrap());
    let add = |archive: &mut tar::Builder<File>, path: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, bytes).unwrap();
    };
    let mut list = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let mut layer = tar::Builder::new(Vec::new());
        let text = format!("{salt} {at}");
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        layer
            .append_data(&mut header, "x", text.as_bytes())
            .unwrap();
        let layer = layer.into_inner().unwrap();
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
        })
        .to_string();
        let (layer_at, config_at) = (format!("{at}/layer.tar"), format!("{at}.json"));
        add(&mut archive, &layer_at, &layer);
        add(&mut archive, &config_at, config.as_bytes());
        list.push(json!({ "Config": config_at, "RepoTags": [name], "Layers": [layer_at] }));
    }
    add(
        &mut archive,
        "manifest.json",
        json!(list).to_string().as_bytes(),
    );
    archive.into_inner().unwrap().flush().unwrap();
    docker(
        host,
        &["load", "--quiet", "--input", file.to_str().unwrap()],
    );
}

/// The private reference of a stage and an invented key.
fn name_of(state: &State, stage: &str, key: u8) -> String {
    private::reference(&state.id().unwrap(), stage, &Key([key; 32]).hex())
}

/// Saves a record of an invented key that is so many days old.
fn record(state: &State, stage: &str, key: u8, days: u64) -> String {
    let private = name_of(state, stage, key);
    let store = RecordStore::of(state.clone());
    let key = Key([key; 32]);
    let now = u64::try_from(clock::now().as_millis()).unwrap();
    let record = Record {
        key,
        image: format!("sha256:{key}"),
        private: private.clone(),
        references: Vec::new(),
        size: 1,
        duration_ms: 1,
        ended_ms: now - days * DAY_MS,
        volatile: Volatile::default(),
        manifest: None,
        parts: Vec::new(),
    };
    let miss = store.miss(stage, key, Vec::new());
    miss.save(record, false).unwrap();
    private
}

/// The private references of a state on an engine.
fn names(host: &str, state: &State) -> BTreeSet<String> {
    let pattern = format!("{}*", private::of_state(&state.id().unwrap()));
    let filter = format!("--filter=reference={pattern}");
    let format = "--format={{.Repository}}:{{.Tag}}";
    let listed = docker(host, &["image", "ls", &filter, format]);
    listed.lines().map(str::to_owned).collect()
}

/// Logs, and how many days ago they were written. The graph has `a` alone.
const LOGS: [(&str, u64); 4] = [
    ("gone0.log", 20),
    ("gone9.prepare.log", 20),
    ("new.log", 1),
    ("a.log", 20),
];

fn old_logs(state: &State) -> Utf8PathBuf {
    let logs = state.path("logs");
    for (name, days) in LOGS {
        let file = File::create(logs.join(name)).unwrap();
        let ago = Duration::from_secs(days * 24 * 60 * 60);
        let modified = std::time::SystemTime::now() - ago;
        file.set_modified(modified).unwrap();
    }
    logs
}

/// A stage, and another one of a profile.
fn two_stages(host: &str) -> Project {
    let graph = format!(
        "version = 1\n[stage.a]\ncontext = \"a\"\nimage = \"{}\"\n\
         [profile.more.stage.b]\ncontext = \"b\"\nimage = \"{}\"\n",
        unique("a"),
        unique("b")
    );
    project(host)
        .file("build-graph.toml", graph)
        .file("a/Dockerfile", "FROM scratch\nCOPY x /x\n")
        .file("a/x", unique("a"))
        .file("b/Dockerfile", "FROM scratch\nCOPY x /x\n")
        .file("b/x", unique("b"))
}

#[test]
fn what_the_graph_a_tag_another_state_or_a_container_needs_stays() {
    let own = OwnEngine::start(ImageStore::Containerd, &[]);
    let host = own.engine.host();
    let project = two_stages(&host);
    project.build(&[]).ends(0);
    project.run(&["build", "--profile", "more"]).ends(0);
    let state = state_of(&project);
    let of_a = record(&state, "a", 100, 20);
    // The current key is that of the last record again.
    project.build(&["--force"]).ends(0);
    let needed = names(&host, &state);
    assert_eq!(needed.len(), 2, "{needed:?}");

    // Old images of stages that are gone, of an old key of `a`, and of none.
    let mut old: Vec<String> = (0..OLD)
        .map(|key| record(&state, &format!("gone{}", key % 4), key, 20))
        .collect();
    let current = project.planned("a")["key"].clone();
    old.push(name_of(&state, "gone0", 200));
    let part = name_of(&state, "gone0@linux-arm64", 201);
    old.push(part.clone());
    let young = record(&state, "young", 101, 2);
    load(
        &host,
        &[&old[..], &[of_a.clone(), young.clone()]].concat(),
        &unique("old"),
    );
    // One has a tag, and a container runs on another one.
    docker(&host, &["tag", &old[0], "mine:1"]);
    let folder = with_base(Project::new());
    let used = record(&state, "gone1", 102, 20);
    load_built(&host, &folder.path("base"), &used);
    let container = docker(&host, &["run", "--detach", &used, "/bin/sleep", "1000"]);
    // Another state has an image of the same age.
    let other = two_stages(&host);
    other.build(&[]).ends(0);
    let others = record(&state_of(&other), "gone2", 103, 20);
    load(&host, std::slice::from_ref(&others), &unique("other"));
    let logs = old_logs(&state);

    // Nobody agrees, so nothing goes.
    let before = names(&host, &state);
    let asked = project.run(&["prune"]).ends(3);
    let said = "nothing was changed on this machine: to go ahead, run `cargo xtask prune --older 14 --yes --graph";
    assert!(asked.stderr.contains(said), "{}", asked.stderr);
    assert!(
        asked
            .stdout
            .contains(&format!("{} of {} records here", OLD + 2, OLD + 5)),
        "{}",
        asked.stdout
    );
    assert_eq!(names(&host, &state), before);

    let answer = pruned(&project, &[]);
    assert_eq!(answer["local"]["records"]["goes"], OLD + 2);
    assert_eq!(answer["local"]["images"]["goes"], OLD + 3);
    assert_eq!(answer["local"]["files"]["goes"], 2);
    let stay = &needed | &BTreeSet::from([young, used]);
    assert_eq!(names(&host, &state), stay);
    assert!(docker_says(&host, &["image", "inspect", &part]).is_err());
    docker(&host, &["image", "inspect", "mine:1"]);
    docker(&host, &["image", "inspect", &others]);
    docker(&host, &["exec", &container, "/bin/true"]);
    for (name, days) in LOGS {
        let is_gone = days > 14 && name != "a.log";
        assert_eq!(logs.join(name).exists(), !is_gone, "{name}");
    }
    assert_eq!(project.planned("a")["key"], current);
    assert!(project.verdicts().values().all(|it| it == "fresh"));
    let more = project.run(&["plan", "--profile", "more"]).ends(0);
    assert!(
        more.stdout.contains("2 of 2 stages fresh"),
        "{}",
        more.stdout
    );
    assert!(other.verdicts().values().all(|it| it == "fresh"));

    // The container ends, and its image goes with the next call. Then there is nothing to remove.
    docker(&host, &["rm", "--force", &container]);
    let answer = pruned(&project, &[]);
    assert_eq!(answer["local"]["images"]["goes"], 1);
    project.run(&["prune"]).ends(0);

    // A young record goes if nothing is young enough.
    let answer = pruned(&project, &["--older", "0"]);
    assert_eq!(answer["local"]["records"]["goes"], 1);
    assert_eq!(names(&host, &state), needed);
}

#[test]
fn all_records_of_a_stage_stay_whose_parent_is_not_built() {
    let own = OwnEngine::start(ImageStore::Containerd, &[]);
    let host = own.engine.host();
    let graph = "version = 1\n[stage.a]\ncontext = \"a\"\n[stage.b]\ncontext = \"b\"\n\
                 contexts = { parent = { stage = \"a\" } }\n";
    let project = project(&host)
        .file("build-graph.toml", graph)
        .file("a/Dockerfile", "FROM scratch\nCOPY x /x\n")
        .file("a/x", "1")
        .file("b/Dockerfile", "FROM parent\nCOPY y /y\n");
    for version in ["1", "2"] {
        project.write("b/y", version);
        project.build(&[]).ends(0);
    }
    let state = state_of(&project);
    let all = names(&host, &state);
    assert_eq!(all.len(), 3, "{all:?}");
    project.write("a/x", "2");
    assert_eq!(project.verdicts()["b"], "unknown upstream_changed");
    pruned(&project, &["--older", "0"]);
    assert_eq!(names(&host, &state), all);
    // The tree is as it was, and so is every verdict.
    project.write("a/x", "1");
    project.write("b/y", "1");
    assert!(project.verdicts().values().all(|it| it == "fresh"));
    // Now the keys are known, and what no key has goes.
    pruned(&project, &["--older", "0"]);
    assert_eq!(names(&host, &state).len(), 3, "the last one stays, too");
    project.build(&["--force"]).ends(0);
    pruned(&project, &["--older", "0"]);
    assert_eq!(names(&host, &state).len(), 2);
}

#[test]
fn after_a_prune_that_is_killed_the_next_build_is_right_and_the_next_prune_ends_it() {
    let own = OwnEngine::start(ImageStore::Containerd, &[]);
    let host = own.engine.host();
    let project = two_stages(&host);
    project.build(&[]).ends(0);
    let state = state_of(&project);
    let needed = names(&host, &state);
    for round in 0..KILLS {
        // The last image of the stage is an old one: what is current may be rebuilt, never wrong.
        let old: Vec<String> = (0..OLD)
            .map(|key| record(&state, &format!("gone{}", key % 4), key, 20))
            .collect();
        load(&host, &old, &unique("old"));
        let mut child = project
            .command(&["prune", "--yes"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // At another moment each time: before, while and after it removes.
        let moment = Duration::from_millis(u64::from(round) * 150);
        std::thread::sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(
            project.verdicts()["a"],
            "fresh",
            "round {round}, {moment:?}"
        );
        if round % 2 == 0 {
            project.write("a/x", format!("{round}"));
            project.build(&[]).ends(0);
            let graph = std::fs::read_to_string(project.path("build-graph.toml")).unwrap();
            let image = graph.split("image = \"").nth(1).unwrap();
            let image = image.split('"').next().unwrap();
            assert_eq!(content(&host, image, "/x"), format!("{round}"));
        }
        pruned(&project, &["--older", "0"]);
        let left = names(&host, &state);
        assert_eq!(left.len(), needed.len(), "round {round}: {left:?}");
        let records = RecordStore::of(state.clone()).stages().unwrap();
        assert_eq!(records, ["a"], "round {round}");
    }
}
