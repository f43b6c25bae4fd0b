//! Superseded private references: the older form without a state, and an engine that removes none.

use std::fs;

use camino::Utf8PathBuf;
use xtask::freshness::key::Key;
use xtask::freshness::record::{Record, RecordStore};
use xtask::outside::state::State;

use crate::lock::project;
use crate::support::Project;
use crate::support::engine::Engine;

const IMAGE: &str = "sha256:0123";

fn world() -> (Project, Engine) {
    let (project, engine) = project("version = 1\n[stage.a]\ncontext = \"a\"\n");
    let bin = project.path("bin").display().to_string();
    // The fake docker builds nothing. The tests put the image under its name beforehand.
    let project = project
        .script("bin/docker", "#!/bin/sh\nexit 0\n")
        .variable("PATH", &bin)
        .file("a/Dockerfile", "FROM scratch\nCOPY x /x\n")
        .file("a/x", "1");
    (project, engine)
}

fn state(project: &Project) -> State {
    let mut graphs = fs::read_dir(project.path("state")).unwrap();
    let folder = graphs.next().unwrap().unwrap().path();
    State::in_folder(Utf8PathBuf::from_path_buf(folder).unwrap())
}

fn key(project: &Project) -> Key {
    Key::from_hex(project.planned("a")["key"].as_str().unwrap()).unwrap()
}

#[test]
fn a_record_whose_private_name_has_no_state_in_it_is_still_its_own() {
    let (project, engine) = world();
    let key = key(&project);
    let private = format!("localhost:1/xtask/a:{}", &key.hex()[..32]);
    engine.hold(&private, IMAGE);
    let record = Record {
        key,
        image: IMAGE.to_owned(),
        private,
        references: Vec::new(),
        size: 1,
        duration_ms: 1,
        ended_ms: 1,
        volatile: xtask::freshness::record::Volatile::default(),
        manifest: None,
        parts: Vec::new(),
    };
    let store = RecordStore::of(state(&project));
    store
        .miss("a", key, Vec::new())
        .save(record, false)
        .unwrap();
    assert_eq!(project.verdicts()["a"], "fresh");
    let ran = project.build(&[]).ends(0);
    assert_eq!(ran.those("fresh"), ["a"]);
}

#[test]
fn an_engine_that_removes_nothing_fails_no_build_and_is_told_behind_the_result() {
    let (project, engine) = world();
    let name = |project: &Project| {
        // Asking for the key creates the state, so this comes first.
        let key = key(project);
        let id = state(project).id().unwrap();
        xtask::outside::private::reference(&id, "a", &key.hex())
    };
    engine.hold(&name(&project), IMAGE);
    let ran = project.build(&[]).ends(0);
    assert_eq!(ran.those("built"), ["a"]);
    assert_eq!(ran.events().last().unwrap()["event"], "finished");
    let ran = ran.says("the next build removes them: the engine at");
    assert!(!ran.stdout.contains("removes them"), "{}", ran.stdout);
    // Each run tries again until it succeeds, even if nothing is built.
    project
        .build(&[])
        .ends(0)
        .says("the next build removes them");
    engine.list_images();
    project.build(&[]).ends(0).never_says("removes them");
    project.build(&[]).ends(0).never_says("removes them");
}
