//! A damaged state folder or lock. The answer is the right one, or that of an empty folder.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use camino::Utf8PathBuf;
use serde_json::Value;
use xtask::freshness::key::{self, Ingredient, IngredientKind, Key};
use xtask::freshness::record::{MADE_OF, Record, RecordStore};
use xtask::outside::state::{self, State};

use crate::support::Project;
use crate::support::engine::Engine;

const IMAGE: &str = "sha256:0123";
const GRAPH: &str = "version = 1\n[stage.a]\ncontext = \"a\"\nimage = \"t/a\"\n\
    [stage.b]\ncontext = \"b\"\nimage = \"t/b\"\n\
    [stage.c]\ncontext = \"c\"\n[stage.p]\ncontext = \"p\"\n\
    [stage.p.prepare]\nrun = [\"/bin/sh\", \"-c\", \"rm -f out; echo made > out\"]\n\
    dir = \"p\"\noutputs = [\"out\"]\n";

/// A project with four stages: `a` is fresh, `b` was built with other inputs, `c` was never built,
/// and the host command of `p` has run.
struct World {
    project: Project,
    engine: Engine,
    state: PathBuf,
}

fn key_of(project: &Project, stage: &str) -> Key {
    Key::from_hex(&plan(project)[stage].1).unwrap()
}

/// The verdict with its reason, and the key, of every stage.
type Plan = BTreeMap<String, (String, String)>;

fn plan(project: &Project) -> Plan {
    let ran = project.run(&["plan", "--json"]).ends(0);
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |stage: &Value| {
        let (verdict, reason) = (&stage["verdict"], &stage["reason"]["kind"]);
        let verdict = format!("{} {}", text(verdict), text(reason));
        (text(&stage["stage"]), (verdict, text(&stage["key"])))
    };
    let stages = plan["stages"].as_array().unwrap();
    stages.iter().map(line).collect()
}

impl World {
    fn new() -> Self {
        let project = Project::new();
        let socket = project.path("engine.sock");
        let engine = Engine::at(&socket);
        let mut project = project
            .variable("DOCKER_HOST", &format!("unix://{}", socket.display()))
            // There is no docker command, so `build` ends where buildx would begin.
            .variable("PATH", "/nonexistent")
            .file("build-graph.toml", GRAPH);
        for stage in ["a", "b", "c", "p"] {
            project = project
                .file(&format!("{stage}/Dockerfile"), "FROM scratch\nCOPY . /x\n")
                .file(&format!("{stage}/{stage}"), stage);
        }
        plan(&project);
        let graphs = fs::read_dir(project.path("state")).unwrap();
        let state = graphs.map(|entry| entry.unwrap().path()).next().unwrap();
        let world = Self {
            project,
            engine,
            state,
        };
        world.record("a", key_of(&world.project, "a"), Vec::new());
        let before = vec![Ingredient {
            what: IngredientKind::Input,
            name: b"gone".to_vec(),
            value: b"file".to_vec(),
        }];
        world.record("b", key::of_list(&before), before);
        world.project.run(&["build", "p"]).ends(3);
        world
    }

    fn record(&self, stage: &str, key: Key, made_of: Vec<Ingredient>) {
        let folder = Utf8PathBuf::from_path_buf(self.state.clone()).unwrap();
        let private = xtask::outside::private::reference("0123456789ab", stage, &key.hex());
        let public = format!("t/{stage}:latest");
        for reference in [&private, &public] {
            self.engine.hold(reference, IMAGE);
        }
        let record = Record {
            key,
            image: IMAGE.to_owned(),
            private,
            references: vec![public],
            size: 1,
            duration_ms: 1,
            ended_ms: 1,
            volatile: xtask::freshness::record::Volatile::default(),
            manifest: None,
            parts: Vec::new(),
        };
        let store = RecordStore::of(State::in_folder(folder));
        store.miss(stage, key, made_of).save(record, false).unwrap();
    }

    fn file(&self, inner: &str) -> PathBuf {
        self.state.join(inner)
    }

    fn made_of_b(&self) -> PathBuf {
        let mut files = fs::read_dir(self.file("made-of/b")).unwrap();
        files.next().unwrap().unwrap().path()
    }
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else if path.symlink_metadata().is_ok() {
        fs::remove_file(path).unwrap();
    }
}

/// Damages a file whose good content is given.
type Damage = Box<dyn Fn(&Path, &[u8])>;

/// All damages to a file, each with its name. `other` is another file of the same kind.
fn damages(other: &Path) -> Vec<(String, Damage)> {
    let other = fs::read(other).unwrap();
    let mut all: Vec<(String, Damage)> = vec![
        ("empty".into(), Box::new(|at, _| fs::write(at, "").unwrap())),
        (
            "garbage".into(),
            Box::new(|at, _| fs::write(at, "\x7fELF\0\n{[").unwrap()),
        ),
        (
            "a megabyte".into(),
            Box::new(|at, _| fs::write(at, "x".repeat(1 << 20)).unwrap()),
        ),
        (
            "newer".into(),
            Box::new(|at, _| fs::write(at, state::seal(MADE_OF, 99, b"")).unwrap()),
        ),
        (
            "another's".into(),
            Box::new(move |at, _| fs::write(at, &other).unwrap()),
        ),
        (
            "a folder".into(),
            Box::new(|at, _| fs::create_dir(at).unwrap()),
        ),
        (
            "a link to nowhere".into(),
            Box::new(|at, _| symlink("nowhere", at).unwrap()),
        ),
        (
            "a link to itself".into(),
            Box::new(|at, _| symlink(at, at).unwrap()),
        ),
    ];
    for part in 0..8 {
        let flip = move |at: &Path, good: &[u8]| {
            let mut bytes = good.to_vec();
            let at_byte = part * (bytes.len() - 1) / 7;
            bytes[at_byte] ^= 1;
            fs::write(at, bytes).unwrap();
        };
        all.push((format!("flipped at {part}/7"), Box::new(flip)));
        let cut = move |at: &Path, good: &[u8]| {
            fs::write(at, &good[..part * good.len() / 8]).unwrap();
        };
        all.push((format!("cut at {part}/8"), Box::new(cut)));
    }
    all
}

/// Plans with each damage to a file, and checks the name of the damage with the plan. Memos are
/// removed, as they would hide the damage.
fn plan_with(world: &World, file: &Path, other: &Path, check: impl Fn(&str, &Plan)) {
    let good = fs::read(file).unwrap();
    for (what, damage) in damages(other) {
        remove(&world.file("memos"));
        remove(file);
        damage(file, &good);
        check(&what, &plan(&world.project));
    }
    remove(file);
    fs::write(file, good).unwrap();
}

#[test]
fn a_good_state_is_believed() {
    let world = World::new();
    let plan = plan(&world.project);
    assert_eq!(plan["a"].0, "fresh ");
    assert_eq!(plan["b"].0, "stale dockerfile_changed");
    assert_eq!(plan["c"].0, "stale no_record");
    assert_eq!(plan["p"].0, "stale no_record");
}

#[test]
fn a_damaged_record_makes_its_stage_one_that_was_never_built() {
    let world = World::new();
    let good = plan(&world.project);
    let (a, b) = (world.file("records/a.json"), world.file("records/b.json"));
    plan_with(&world, &a, &b, |what, plan| {
        // With the record of `b` in its place, `a` has a record of another key.
        let told = ["stale no_record", "stale dockerfile_changed"];
        assert!(told.contains(&&*plan["a"].0), "{what}: {plan:?}");
        assert_eq!(plan["a"].1, good["a"].1, "{what}: the key");
        for other in ["b", "c", "p"] {
            assert_eq!(plan[other], good[other], "{what}");
        }
    });
    fs::write(&a, "garbage").unwrap();
    let ran = world.project.run(&["plan"]).ends(0);
    ran.says("is not a file of this program")
        .says("counts as never built");
    assert_eq!(plan(&world.project)["c"].0, "stale no_record");
}

#[test]
fn damaged_ingredients_explain_nothing_and_change_no_verdict() {
    let world = World::new();
    let good = plan(&world.project);
    let (file, other) = (world.made_of_b(), world.file("records/a.json"));
    plan_with(&world, &file, &other, |what, plan| {
        assert_eq!(plan["b"].0, "stale no_record", "{what}");
        assert_eq!(plan["a"].0, "fresh ", "{what}");
        assert_eq!(plan["b"].1, good["b"].1, "{what}: the key");
    });
}

#[test]
fn a_damaged_stat_cache_changes_no_answer() {
    let world = World::new();
    let (file, other) = (world.file("stats"), world.file("records/a.json"));
    let good = plan(&world.project);
    // A file is remembered only once it is no longer racy.
    while !file.exists() {
        assert_eq!(plan(&world.project), good);
    }
    let inputs = world.project.run(&["inputs", "a"]).ends(0).stdout;
    plan_with(&world, &file, &other, |what, plan| {
        assert_eq!(*plan, good, "{what}");
        let again = world.project.run(&["inputs", "a"]).ends(0).stdout;
        assert_eq!(again, inputs, "{what}");
    });
}

#[test]
fn damaged_memos_change_no_answer() {
    let world = World::new();
    let (file, other) = (world.file("memos"), world.file("records/a.json"));
    let good = plan(&world.project);
    world.project.settle();
    assert_eq!(plan(&world.project), good);
    let memos = fs::read(&file).unwrap();
    plan_with(&world, &file, &other, |what, plan| {
        assert_eq!(*plan, good, "{what}");
    });
    assert_eq!(fs::read(&file).unwrap(), memos);
    world.project.write("a/added", "");
    assert_ne!(plan(&world.project)["a"], good["a"]);
}

#[test]
fn a_damaged_note_of_the_engines_platform_makes_it_asked_again() {
    let world = World::new();
    let (file, other) = (world.file("engine"), world.file("records/a.json"));
    let good = plan(&world.project);
    plan_with(&world, &file, &other, |what, plan| {
        assert_eq!(*plan, good, "{what}");
    });
    fs::write(
        &file,
        state::seal("xtask-engine", 1, b"linux/arm64 elsewhere"),
    )
    .unwrap();
    assert_eq!(plan(&world.project), good);
}

#[test]
fn a_damaged_note_of_a_host_command_makes_it_run_again() {
    let world = World::new();
    let (file, other) = (world.file("prepared/p"), world.file("records/a.json"));
    assert!(file.exists(), "the command has run");
    plan_with(&world, &file, &other, |what, plan| {
        assert_eq!(plan["p"].0, "stale inputs_changed", "{what}");
        assert_eq!(plan["a"].0, "fresh ", "{what}");
    });
    assert_eq!(plan(&world.project)["p"].0, "stale no_record");
}

#[test]
fn what_may_not_be_read_or_written_is_no_fault_of_a_plan() {
    let world = World::new();
    let good = plan(&world.project);
    for inner in [
        "records/a.json",
        "stats",
        "memos",
        "engine",
        "records",
        "made-of/b",
    ] {
        let path = world.file(inner);
        if !path.exists() {
            continue;
        }
        let mode = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        let now = plan(&world.project);
        fs::set_permissions(&path, mode).unwrap();
        for (stage, (_, key)) in &good {
            assert_eq!(now[stage].1, *key, "{inner}");
        }
        // The superuser may read the file in spite of its mode.
        let told = ["fresh ", "stale no_record"];
        assert!(told.contains(&&*now["a"].0), "{inner}: {now:?}");
    }
}

#[test]
fn no_damage_to_the_lock_makes_a_stage_fresh_whose_image_has_triggers() {
    let world = World::new();
    let project = &world.project;
    project.write("c/Dockerfile", "FROM base\nCOPY . /x\n");
    let lock = |onbuild: bool| {
        let digest = format!("sha256:{}", "a".repeat(64));
        format!(
            "version = 1\n\n[base.\"docker.io/library/base:latest\"]\nonbuild = {onbuild}\ndigest = \"{digest}\"\n"
        )
    };
    project.write("build-graph.lock", lock(false));
    world.record("c", key_of(project, "c"), Vec::new());
    assert_eq!(plan(project)["c"].0, "fresh ");
    let good = lock(true).into_bytes();
    project.write("build-graph.lock", &good);
    assert_eq!(plan(project)["c"].0, "stale base_moved");
    let mut damaged: Vec<Vec<u8>> = (0..good.len()).map(|at| good[..at].to_vec()).collect();
    damaged.extend((0..good.len()).map(|at| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    }));
    for bytes in damaged {
        project.write("build-graph.lock", &bytes);
        let ran = project.run(&["plan", "c"]);
        let shown = String::from_utf8_lossy(&bytes);
        match ran.status {
            0 => assert!(
                ran.stdout.contains("0 of 1 stage fresh"),
                "{shown}\n{}",
                ran.stdout
            ),
            _ => drop(ran.ends(2).says("build-graph.lock")),
        }
    }
}
