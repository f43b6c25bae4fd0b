//! A merged context as BuildKit finds it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use super::tree::{TestTree, attribute, chmod, one, paths, read_anew, whole};
use crate::contexts::{Ignore, Inputs, InputsError, materialise};

fn merge(tree: &TestTree, layers: &[&str], ignore: &str) -> Result<(), InputsError> {
    let ignore = Ignore::parse(ignore.as_bytes()).unwrap();
    let into = tree.root().join("state/merged");
    materialise(
        &tree.layers(layers),
        &ignore,
        &tree.root().join("up/own"),
        &into,
    )
}

fn merged(tree: &TestTree) -> Inputs {
    let into = one(&tree.root().join("state/merged"));
    read_anew(&into, &Ignore::default(), &whole()).unwrap()
}

fn sample() -> TestTree {
    let tree = TestTree::new()
        .files(&["up/api/a", "up/api/b", "up/node_modules/x", "up/sub/keep/y"])
        .link("up/api/l", "../nowhere")
        .dir("up/empty")
        .mode("up/api/a", 0o4755)
        .file("over/api/b", "patched")
        .file("over/new\nname/c", "c");
    attribute(&tree.at("up/api/a"), "user.note", "1");
    tree
}

#[test]
fn the_laid_out_folder_has_the_inputs_of_the_layers() {
    let tree = sample();
    let ignore = "node_modules\nsub\n!sub/keep\n";
    merge(&tree, &["up", "over"], ignore).unwrap();
    let ignore = Ignore::parse(ignore.as_bytes()).unwrap();
    let layers = tree.layers(&["up", "over"]);
    let mut wanted = read_anew(&layers, &ignore, &whole()).unwrap();
    for input in &mut wanted.entries {
        input.layer = 0;
    }
    assert_eq!(merged(&tree), wanted);
}

#[test]
fn an_ignored_folder_with_nothing_left_in_it_is_not_laid_out() {
    let tree = TestTree::new().files(&["up/a/b", "up/c"]);
    merge(&tree, &["up"], "a\n!a/x\n").unwrap();
    assert_eq!(paths(&merged(&tree)), ["c"]);
}

#[test]
fn the_programs_own_state_is_not_laid_out() {
    let own = "up/own/graph-0123456789ab";
    let tree = TestTree::new().files(&["up/a", "up/own/b", &format!("{own}/c")]);
    merge(&tree, &["up"], "").unwrap();
    assert_eq!(paths(&merged(&tree)), ["a", "own/", "own/b"]);
    // Here the merged context lies in the state folder.
    let into = tree.root().join(own).join("merged/x");
    let states = tree.root().join("up/own");
    materialise(&tree.layers(&["up"]), &Ignore::default(), &states, &into).unwrap();
    let merged = read_anew(&one(&into), &Ignore::default(), &whole()).unwrap();
    assert_eq!(paths(&merged), ["a", "own/", "own/b"]);
}

#[test]
fn what_was_there_before_is_replaced() {
    let tree = sample().file("state/merged/old", "");
    merge(&tree, &["up"], "").unwrap();
    let first = merged(&tree);
    assert!(!paths(&first).contains(&"old".to_owned()));
    merge(&tree, &["up"], "").unwrap();
    assert_eq!(merged(&tree), first);
    assert_eq!(fs::read_dir(tree.at("state")).unwrap().count(), 1);
}

#[test]
fn what_a_killed_run_laid_out_halfway_is_replaced() {
    let tree = sample()
        .files(&["state/.merging-merged/half/a"])
        .mode("state/.merging-merged/half", 0o555);
    merge(&tree, &["up"], "").unwrap();
    assert!(
        !paths(&merged(&tree))
            .iter()
            .any(|path| path.contains("half"))
    );
    assert_eq!(fs::read_dir(tree.at("state")).unwrap().count(), 1);
}

#[test]
fn upstreams_own_files_are_not_touched() {
    let tree = sample();
    let before = fs::metadata(tree.at("up/api/a")).unwrap();
    merge(&tree, &["up", "over"], "").unwrap();
    fs::write(tree.at("state/merged/api/a"), "changed").unwrap();
    let after = fs::metadata(tree.at("up/api/a")).unwrap();
    let of = |meta: &fs::Metadata| (meta.nlink(), meta.ctime(), meta.ctime_nsec(), meta.size());
    assert_eq!(of(&before), of(&after));
}

#[test]
fn times_and_a_folders_bits_are_kept() {
    let tree = sample();
    let old = SystemTime::UNIX_EPOCH + Duration::from_millis(1_234_567);
    fs::File::open(tree.at("up/api/b"))
        .unwrap()
        .set_modified(old)
        .unwrap();
    fs::File::open(tree.at("up/empty"))
        .unwrap()
        .set_modified(old)
        .unwrap();
    chmod(&tree.at("up/empty"), 0o2750);
    merge(&tree, &["up"], "").unwrap();
    for path in ["state/merged/api/b", "state/merged/empty"] {
        assert_eq!(
            fs::metadata(tree.at(path)).unwrap().modified().unwrap(),
            old
        );
    }
    assert_eq!(
        fs::metadata(tree.at("state/merged/empty")).unwrap().mode() & 0o7777,
        0o2750
    );
}

#[test]
fn a_layer_that_is_not_there_leaves_nothing_behind() {
    let tree = sample();
    let error = merge(&tree, &["up", "gone"], "").unwrap_err();
    assert!(error.to_string().contains("gone"), "{error}");
    assert_eq!(fs::read_dir(tree.at("state")).unwrap().count(), 0);
}

#[test]
fn a_folder_that_is_read_only_can_be_replaced() {
    let tree = TestTree::new()
        .files(&["up/locked/a"])
        .mode("up/locked", 0o555);
    merge(&tree, &["up"], "").unwrap();
    merge(&tree, &["up"], "").unwrap();
    assert_eq!(paths(&merged(&tree)), ["locked/", "locked/a"]);
    chmod(&tree.at("up/locked"), 0o755);
    chmod(&tree.at("state/merged/locked"), 0o755);
}

#[test]
fn an_ignore_file_that_leaves_itself_out_is_laid_out_for_buildkit() {
    let tree = TestTree::new()
        .files(&["up/api/a", "up/api/b", "up/sub/.dockerignore"])
        .file("up/.dockerignore", "api/b\n.dockerignore\nsub\n")
        .file("over/api/a", "patched");
    let ignore = "api/b\n.dockerignore\nsub\n";
    merge(&tree, &["up", "over"], ignore).unwrap();
    assert_eq!(paths(&merged(&tree)), [".dockerignore", "api/", "api/a"]);
}
