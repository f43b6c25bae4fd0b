//! `sync` when it is interrupted or killed, when it finds what other runs left, and several at
//! once.

use std::fs;
use std::io::BufRead as _;
use std::path::PathBuf;
use std::process::Child;

use crate::support::{Project, interrupt};
use crate::world::{World, noise, until_said};

#[test]
fn a_transfer_that_breaks_is_tried_again() {
    let world = World::large();
    let broken = world.project.path("broken").display().to_string();
    world.with_server(&format!(
        "if [ -e {broken} ]; then exec \"$@\"; fi\ntouch {broken}\n\"$@\" | head -c 100000"
    ));
    world.sync().ends(0);
    assert!(world.tree().join("noise").exists());
    assert!(PathBuf::from(broken).exists(), "the first transfer broke");
}

#[test]
fn a_git_that_was_killed_in_the_middle_leaves_nothing_that_counts_or_hinders() {
    let world = World::large();
    // The whole process group of git dies at once, with a part of the pack on the disk.
    let part = world
        .project
        .path("state/*/sources/s/objects.git/objects/pack/tmp_pack_*");
    world.with_server(&format!(
        "\"$@\" | head -c 100000\nuntil ls {} >/dev/null 2>&1; do :; done\nkill -KILL 0",
        part.display()
    ));
    world.sync().ends(3).says("SIGKILL");
    assert_eq!(world.pinned(), None);
    assert!(world.trees().is_empty());
    let left = fs::read_dir(world.folder().join("objects.git/objects/pack")).unwrap();
    assert!(left.count() > 0, "nothing was left half done");
    world.project.write("gitconfig", "");
    world.sync().ends(0);
    assert_eq!(world.trees(), world.pinned().into_iter().collect());
    assert!(world.tree().join("noise").exists());
}

#[test]
fn leftovers_of_a_killed_process_are_removed() {
    let world = World::new();
    world.sync().ends(0);
    let folder = world.folder();
    let tree = world.tree();
    fs::create_dir_all(folder.join(".new-killed/tree/api")).unwrap();
    let objects = folder.join("objects.git");
    for left in [
        "shallow.lock",
        "config.lock",
        "objects/pack/tmp_pack_1",
        "refs/xtask/a.lock",
    ] {
        fs::write(objects.join(left), "").unwrap();
    }
    world.remote.write("api/src/one", "2");
    world.remote.commit();
    world.remote.git(&["tag", "2.0"]);
    world.remote.push();
    world.graph(&world.remote.url(), "2.0", "");
    world.sync().ends(0);
    assert!(world.tree() != tree && tree.exists());
    assert_eq!(world.trees().len(), 2);
    assert!(!objects.join("objects/pack/tmp_pack_1").exists());
}

#[test]
fn damaged_objects_are_fetched_again() {
    let world = World::large();
    world.sync().ends(0);
    fs::remove_dir_all(world.tree()).unwrap();
    let packs = fs::read_dir(world.folder().join("objects.git/objects/pack")).unwrap();
    let mut packs = packs.map(|entry| entry.unwrap().path());
    let pack = packs
        .find(|path| path.extension().is_some_and(|end| end == "pack"))
        .unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 1000].fill(0);
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, bytes).unwrap();
    world.sync().ends(0);
    assert!(fs::read(world.tree().join("noise")).unwrap() == noise());
}

#[test]
fn a_file_in_place_of_a_tree_is_replaced() {
    let world = World::new();
    world.sync().ends(0);
    let tree = world.tree();
    fs::remove_dir_all(&tree).unwrap();
    std::os::unix::fs::symlink("/etc", &tree).unwrap();
    world
        .project
        .run(&["inputs", "a"])
        .ends(3)
        .says("cargo xtask sync");
    world.sync().ends(0);
    assert!(tree.join("api/src/one").exists());
}

#[test]
fn an_interrupt_ends_git_and_keeps_nothing_half_done() {
    let world = World::new();
    let pid = world.project.path("pid");
    let script = format!(
        "case \"$*\" in *fetch*) echo $$ > {}; echo 'fatal: now' >&2; exec sleep 600;; esac",
        pid.display()
    );
    let world = world.with_git(&script);
    let mut child = world.project.start(&["sync"]);
    let _said = until_said(&mut child, "fetching from");
    while !fs::read_to_string(&pid).is_ok_and(|pid| pid.ends_with('\n')) {
        std::thread::yield_now();
    }
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let pid = fs::read_to_string(pid).unwrap();
    let process = PathBuf::from("/proc").join(pid.trim()).join("stat");
    let state = fs::read_to_string(process).unwrap_or_default();
    assert!(
        state.is_empty() || state.contains(") Z "),
        "git runs on: {state}"
    );
    assert_eq!(world.pinned(), None);
    assert!(world.trees().is_empty());
}

#[test]
fn of_two_at_once_one_waits_and_a_killed_one_is_not_waited_for() {
    let world = World::new();
    let go = world.project.path("go").display().to_string();
    let script = format!("while [ ! -e {go} ]; do :; done");
    let world = world.with_git(&script);
    let mut killed = world.project.start(&["sync"]);
    let _said = until_said(&mut killed, "fetching from");
    let mut waits = world.project.start(&["sync"]);
    let said = until_said(&mut waits, "waiting for another sync of this graph");
    killed.kill().unwrap();
    killed.wait().unwrap();
    fs::write(&go, "").unwrap();
    let rest: Vec<String> = said.lines().map(Result::unwrap).collect();
    assert_eq!(waits.wait().unwrap().code(), Some(0), "{rest:?}");
    assert_eq!(world.trees(), world.pinned().into_iter().collect());
}

#[test]
fn of_many_at_once_one_fetches_for_all() {
    let world = World::new().with_git("");
    let started: Vec<Child> = (0..4).map(|_| world.project.start(&["sync"])).collect();
    for child in started {
        Project::finish(child).ends(0);
    }
    assert_eq!(world.trees(), world.pinned().into_iter().collect());
    for asked in ["ls-remote", "fetch --progress", "read-tree"] {
        assert_eq!(world.calls().matches(asked).count(), 1, "{asked}");
    }
}
