//! What is remembered, and what is not.

use crate::graphfile::options::GraphOptions;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use camino::Utf8Path;

use super::*;
use crate::contexts::{StatCache, Tracer};
use crate::freshness::key::Ingredients;
use crate::freshness::stage_inputs::Externals;
use crate::graphfile::spec;

const GRAPH: &str =
    "version = 1\n[stage.a]\ncontext = \"a\"\nargs = { X = \"1\" }\n[stage.b]\ncontext = \"b\"\n";

fn read(graph: &str, profile: Option<&str>) -> Spec {
    spec::read(
        "g.toml".into(),
        "/r".into(),
        graph,
        &GraphOptions::profile(profile),
    )
    .unwrap()
}

/// A folder with a file that was read, and the file of memos.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("seen"), "1").unwrap();
        Self { folder }
    }

    fn root(&self) -> &Utf8Path {
        Utf8Path::from_path(self.folder.path()).unwrap()
    }

    fn file(&self) -> Utf8PathBuf {
        self.root().join("memos")
    }

    fn load(&self, world: Question) -> Memos {
        let (memos, warning) = Memos::read(self.file());
        assert_eq!(warning, None);
        memos.of_world(world)
    }

    fn memo(&self, stage: &str, question: Question, inputs: usize) -> Memo {
        let cache = StatCache::in_memory();
        let tracer = Tracer::new(&cache);
        let nothing = self.root().join("nothing");
        tracer.looked_up(nothing.as_std_path(), None);
        let sightings = tracer.into_trace().unwrap();
        Memo::new(stage, &question, &summary(inputs), sightings).unwrap()
    }
}

fn summary(inputs: usize) -> StageSummary {
    let text = serde_json::json!({
        "own": Ingredients::default().own(), "inputs": inputs, "input_bytes": 0, "proxies": [], "with_triggers": [], "moving": null, "policy": {}, "looked_at": null, "parents": {},
        "externals": Externals::default(),
    });
    serde_json::from_value(text).unwrap()
}

const HERE: Question = [1; 32];
const ASKED: Question = [2; 32];

#[test]
fn the_answer_to_the_same_question_is_recalled_while_what_was_seen_is_as_it_was() {
    let world = World::new();
    world.load(HERE).save(&[world.memo("a", ASKED, 7)]).unwrap();
    let memos = world.load(HERE);
    assert_eq!(memos.recall("a", &ASKED), Some(summary(7)));
    assert_eq!(memos.recall("a", &[3; 32]), None);
    assert_eq!(memos.recall("b", &ASKED), None);
    fs::write(world.root().join("nothing"), "something").unwrap();
    assert_eq!(world.load(HERE).recall("a", &ASKED), None);
}

#[test]
fn another_world_has_no_memos_and_replaces_them() {
    let world = World::new();
    let save = |here, stage| {
        world
            .load(here)
            .save(&[world.memo(stage, ASKED, 1)])
            .unwrap()
    };
    save(HERE, "a");
    assert_eq!(world.load([9; 32]).recall("a", &ASKED), None);
    save([9; 32], "b");
    assert_eq!(world.load([9; 32]).recall("a", &ASKED), None);
    assert_eq!(world.load([9; 32]).recall("b", &ASKED), Some(summary(1)));
    assert_eq!(world.load(HERE).recall("b", &ASKED), None);
}

#[test]
fn a_new_memo_takes_the_place_of_its_stages_old_one_and_leaves_the_others() {
    let world = World::new();
    let memo = |stage, inputs| world.memo(stage, ASKED, inputs);
    world
        .load(HERE)
        .save(&[memo("a", 1), memo("b", 2), memo("c", 3)])
        .unwrap();
    world.load(HERE).save(&[memo("b", 20)]).unwrap();
    let memos = world.load(HERE);
    for (stage, inputs) in [("a", 1), ("b", 20), ("c", 3)] {
        assert_eq!(
            memos.recall(stage, &ASKED),
            Some(summary(inputs)),
            "{stage}"
        );
    }
}

#[test]
fn a_file_that_is_cut_or_altered_has_no_memos_and_is_told_of() {
    let world = World::new();
    world.load(HERE).save(&[world.memo("a", ASKED, 7)]).unwrap();
    let whole = fs::read(world.file()).unwrap();
    let mut damaged: Vec<Vec<u8>> = (0..whole.len()).map(|end| whole[..end].to_vec()).collect();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        damaged.push(flipped);
    }
    damaged.push(b"garbage".to_vec());
    for bytes in damaged {
        fs::write(world.file(), bytes).unwrap();
        let (memos, warning) = Memos::read(world.file());
        let memos = memos.of_world(HERE);
        assert_eq!(memos.recall("a", &ASKED), None);
        assert!(warning.unwrap().contains("all trees are read again"));
        memos.save(&[world.memo("b", ASKED, 1)]).unwrap();
        assert_eq!(world.load(HERE).recall("b", &ASKED), Some(summary(1)));
    }
}

#[test]
fn the_graph_its_profile_its_place_and_the_platform_are_the_world() {
    let profiled = format!("{GRAPH}[profile.p.stage.a]\nargs = {{ X = \"2\" }}\n");
    let here = world(&read(GRAPH, None), Some("linux/amd64"));
    assert_eq!(here, world(&read(GRAPH, None), Some("linux/amd64")));
    let elsewhere = spec::read(
        "g.toml".into(),
        "/s".into(),
        GRAPH,
        &GraphOptions::default(),
    )
    .unwrap();
    let others = [
        world(&read(&format!("{GRAPH}\n"), None), Some("linux/amd64")),
        world(&read(GRAPH, None), Some("linux/arm64")),
        world(&read(GRAPH, None), None),
        world(&read(&profiled, None), Some("linux/amd64")),
        world(&read(&profiled, Some("p")), Some("linux/amd64")),
        world(&elsewhere, Some("linux/amd64")),
    ];
    for (at, other) in others.iter().enumerate() {
        assert_ne!(*other, here);
        assert!(!others[..at].contains(other), "{at}");
    }
}

#[test]
fn platforms_of_the_command_line_and_contexts_of_base_tables_are_in_the_question() {
    let mut spec = read(GRAPH, None);
    let plain = question(&spec, &spec.stages[0]).unwrap();
    assert_ne!(plain, question(&spec, &spec.stages[1]).unwrap());
    spec.stages[0].platforms = vec!["linux/arm64".to_owned()];
    let foreign = question(&spec, &spec.stages[0]).unwrap();
    assert_ne!(plain, foreign);
    let image = spec::Context::Image("mirror.example/x:1".to_owned());
    spec.stages[0].contexts.insert("x:1".to_owned(), image);
    assert_ne!(foreign, question(&spec, &spec.stages[0]).unwrap());
}

#[test]
fn names_of_any_bytes_survive() {
    let world = World::new();
    let odd = std::ffi::OsStr::from_bytes(b"a\n\xff");
    let cache = StatCache::in_memory();
    let tracer = Tracer::new(&cache);
    tracer.looked_up(&world.folder.path().join(odd), None);
    let sightings = tracer.into_trace().unwrap();
    let memo = Memo::new("a", &ASKED, &summary(0), sightings).unwrap();
    world.load(HERE).save(&[memo]).unwrap();
    assert!(world.load(HERE).recall("a", &ASKED).is_some());
    fs::write(world.folder.path().join(odd), "").unwrap();
    assert!(world.load(HERE).recall("a", &ASKED).is_none());
}

#[test]
fn memos_of_a_clock_that_was_set_back_since_are_void() {
    let world = World::new();
    world.load(HERE).save(&[world.memo("a", ASKED, 1)]).unwrap();
    let sealed = fs::read(world.file()).unwrap();
    let bundle = Bundle::of_bytes(MEMOS, FORMAT, sealed).unwrap();
    assert!(world_of(bundle.head(), now()).is_some());
    let hour = 3_600_000_000_000;
    assert!(world_of(bundle.head(), now() - hour).is_none());
}

#[test]
fn what_was_seen_ahead_is_not_looked_at_again_unless_it_must_be() {
    let world = World::new();
    world.load(HERE).save(&[world.memo("a", ASKED, 7)]).unwrap();
    let mut memos = world.load(HERE);
    memos.look_until(&AtomicBool::new(false));
    fs::write(world.root().join("nothing"), "something").unwrap();
    assert_eq!(memos.recall("a", &ASKED), Some(summary(7)));
    memos.look_again();
    assert_eq!(memos.recall("a", &ASKED), None);
}

#[test]
fn nothing_is_seen_ahead_once_somebody_asked() {
    let world = World::new();
    world.load(HERE).save(&[world.memo("a", ASKED, 7)]).unwrap();
    let memos = world.load(HERE);
    memos.look_until(&AtomicBool::new(true));
    fs::write(world.root().join("nothing"), "something").unwrap();
    assert_eq!(memos.recall("a", &ASKED), None);
}
