//! `sync` with local repositories: what is fetched, pinned and refused.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Mutex;
use xtask::graphfile::options::GraphOptions;

use camino::Utf8PathBuf;
use xtask::build::fetching::{Drift, Fetcher};
use xtask::graphfile::lock::Lock;
use xtask::graphfile::spec::SourceId;
use xtask::outside::interrupt::Interrupt;
use xtask::outside::state::State;

use crate::support::Ran;
use crate::support::remote::{Remote, git};
use crate::world::World;

/// Two servers: one gives single commits, the other, like older servers, only what has a name.
const SERVERS: [&str; 2] = ["", "[protocol]\nversion = 0\n"];

#[test]
fn an_annotated_tag_is_fetched_without_its_history_and_pinned_to_its_commit() {
    let remote = Remote::new();
    remote.write("api/src/two", "2\n");
    let commit = remote.commit();
    remote.git(&["tag", "--annotate", "--message=2.0", "2.0"]);
    remote.push();
    let world = World::of(remote, "2.0", "");
    let ran = world.sync().ends(0).says("is in the lock file now");
    assert!(ran.stdout.contains("s  fetched") && ran.stdout.contains(&commit));
    assert_eq!(world.pinned(), Some(commit.clone()));
    assert_eq!(world.trees(), BTreeSet::from([commit.clone()]));
    let objects = world.folder().join("objects.git");
    assert_eq!(git(&objects, &["rev-list", "--count", &commit]), "1");
    let content = fs::read_to_string(world.tree().join("api/src/two")).unwrap();
    assert_eq!(content, "2\n");
    assert!(!world.tree().join(".git").exists());
    let inputs = world.project.run(&["inputs", "a"]).ends(0).stdout;
    assert_eq!(inputs, "src/\nsrc/one\nsrc/two\n");
}

#[test]
fn what_is_here_is_neither_fetched_nor_asked_for_again() {
    let world = World::new().with_git("");
    world.sync().ends(0);
    let before = world.calls();
    assert!(before.contains("fetch"));
    let again = world.sync().ends(0);
    assert!(again.stdout.contains("s  here"), "{}", again.stdout);
    assert_eq!(world.calls(), before);
}

#[test]
fn a_tree_that_was_removed_is_made_again_without_asking_anybody() {
    let world = World::new();
    world.sync().ends(0);
    fs::remove_dir_all(world.tree()).unwrap();
    fs::remove_dir_all(world.remote.path()).unwrap();
    world.project.run(&["sync", "--offline"]).ends(0);
    assert!(world.tree().join("api/src/one").exists());
}

#[test]
fn a_branch_that_went_on_is_still_the_pinned_commit() {
    for server in SERVERS {
        let world = World::of(Remote::new(), "main", "");
        world.project.write("gitconfig", server);
        world.sync().ends(0);
        let commit = world.pinned();
        for content in ["2", "3"] {
            world.remote.write("api/src/one", content);
            world.remote.commit();
        }
        world.remote.push();
        world.on_another_machine();
        world.sync().ends(0);
        assert_eq!(world.pinned(), commit, "{server}");
        let content = fs::read_to_string(world.tree().join("api/src/one")).unwrap();
        assert_eq!(content, "1\n", "{server}");
        let checked = world.project.run(&["sync", "--check"]).ends(0).stdout;
        assert!(checked.contains("main moved from commit"), "{checked}");
    }
}

#[test]
fn a_commit_is_fetched_from_any_server_even_in_the_middle_of_a_branch() {
    for server in SERVERS {
        let remote = Remote::new();
        let commit = remote.git(&["rev-parse", "HEAD"]);
        for content in ["2", "3"] {
            remote.write("api/src/one", content);
            remote.commit();
        }
        remote.git(&["tag", "--delete", "1.0"]);
        remote.push();
        let world = World::of(remote, &commit, "");
        world.project.write("gitconfig", server);
        world.sync().ends(0);
        assert_eq!(world.pinned(), Some(commit), "{server}");
        let content = fs::read_to_string(world.tree().join("api/src/one")).unwrap();
        assert_eq!(content, "1\n", "{server}");
    }
}

#[test]
fn a_tag_that_moved_is_refused_with_both_commits() {
    let world = World::new();
    world.sync().ends(0);
    let before = world.pinned().unwrap();
    world.remote.write("api/src/one", "other");
    let after = world.remote.commit();
    world.remote.git(&["tag", "--force", "1.0"]);
    world.remote.push();
    // No server is asked for a commit that is here.
    world.sync().ends(0);
    let refused = |ran: Ran| {
        ran.ends(2)
            .says("tag 1.0 of")
            .says("moved")
            .says(&before)
            .says(&after)
            .says("cargo xtask lock --update s")
    };
    refused(world.project.run(&["sync", "--check"]));
    world.on_another_machine();
    refused(world.sync());
    refused(world.project.run(&["build"]));
    assert_eq!(world.pinned(), Some(before));
    assert!(world.trees().is_empty());
}

#[test]
fn an_update_pins_what_the_revision_is_now_and_fetches_nothing() {
    let world = World::new();
    world.sync().ends(0);
    let before = world.pinned();
    world.remote.write("api/src/one", "other");
    let after = world.remote.commit();
    world.remote.git(&["tag", "--force", "1.0"]);
    world.remote.push();
    let graph = Utf8PathBuf::from_path_buf(world.project.path("build-graph.toml")).unwrap();
    let state = world.folder().join("../..").canonicalize().unwrap();
    let spec = xtask::graphfile::spec::load(&graph, &GraphOptions::default()).unwrap();
    let lock = Mutex::new(Lock::beside(&graph).unwrap());
    let (events, told) = std::sync::mpsc::channel();
    let sync = Fetcher {
        spec: &spec,
        state: &State::in_folder(Utf8PathBuf::from_path_buf(state).unwrap()),
        lock: &lock,
        interrupt: &Interrupt::default(),
        events: &events,
        locked: false,
        offline: false,
    };
    let drift = Drift {
        source: SourceId(0),
        is_tag: true,
        locked: before.clone(),
        now: after.clone(),
    };
    assert_eq!(sync.drifted(&[SourceId(0)]), Ok(vec![drift.clone()]));
    assert_eq!(world.pinned(), before);
    assert_eq!(sync.update(&[SourceId(0)]), Ok(vec![drift]));
    assert_eq!(world.pinned(), Some(after.clone()));
    assert_eq!(sync.update(&[SourceId(0)]), Ok(Vec::new()));
    let told: Vec<_> = told.try_iter().collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(world.trees(), before.iter().cloned().collect());
    world.sync().ends(0);
    assert_eq!(world.trees(), BTreeSet::from([before.unwrap(), after]));
}

#[test]
fn what_the_repository_does_not_have_is_refused_with_a_remedy() {
    let commit = "0123456789".repeat(4);
    for server in SERVERS {
        for (rev, said) in [
            ("1.1", "has neither a tag nor a branch `1.1`"),
            ("0123456789", "write a commit with all its digits"),
            (&commit, "does not have commit 0123456789"),
        ] {
            let world = World::of(Remote::new(), rev, "");
            world.project.write("gitconfig", server);
            world.sync().ends(2).says(said).says("correct `rev` in");
            assert_eq!(world.pinned(), None, "{server} {rev}");
            assert!(world.trees().is_empty(), "{server} {rev}");
        }
    }
}

#[test]
fn a_pinned_commit_that_is_nowhere_any_more_is_refused_with_a_remedy() {
    for server in SERVERS {
        let world = World::of(Remote::new(), "main", "");
        world.project.write("gitconfig", server);
        world.sync().ends(0);
        let commit = world.pinned().unwrap();
        let remote = &world.remote;
        remote.git(&["tag", "--delete", "1.0"]);
        remote.git(&["checkout", "--quiet", "--orphan", "new"]);
        remote.write("api/src/one", "other");
        remote.commit();
        remote.git(&["branch", "--force", "main", "HEAD"]);
        remote.push();
        git(&remote.path(), &["gc", "--quiet", "--prune=now"]);
        world.on_another_machine();
        world
            .sync()
            .ends(2)
            .says(&format!("does not have commit {commit}"))
            .says("cargo xtask lock --update s");
    }
}

#[test]
fn mirrors_are_asked_in_their_order_before_the_repository_itself() {
    let remote = Remote::new();
    let mirror = remote.mirror();
    let lines = format!("mirrors = [\"file:///nonexistent/m\", \"{mirror}\"]");
    let world = World::of(remote, "1.0", &lines);
    fs::remove_dir_all(world.remote.path()).unwrap();
    let ran = world.sync().ends(0).says("file:///nonexistent/m: ");
    let order = [
        "fetching from file:///nonexistent/m",
        &format!("fetching from {mirror}"),
    ];
    let at = order.map(|text| ran.stderr.find(text).unwrap());
    assert!(at[0] < at[1], "{}", ran.stderr);
    ran.never_says(&format!("fetching from {}", world.remote.url()));
}

#[test]
fn where_all_repositories_fail_every_reason_is_told() {
    let lines = "mirrors = [\"file:///nonexistent/m\", \"/nonexistent/n\"]";
    let world = World::of(Remote::new(), "1.0", lines);
    fs::remove_dir_all(world.remote.path()).unwrap();
    let reason =
        |url: &str, path: &str| format!("{url}: '{path}' does not appear to be a git repository");
    let path = world.remote.path();
    let ran = world.sync().ends(3).says("XTASK_SOURCE_S");
    let last = ran.stderr.lines().last().unwrap();
    for told in [
        reason("file:///nonexistent/m", "/nonexistent/m"),
        reason("/nonexistent/n", "/nonexistent/n"),
        reason(&world.remote.url(), path.to_str().unwrap()),
    ] {
        assert!(last.contains(&told), "{told}: {last}");
    }
}

#[test]
fn a_mirror_that_lacks_the_tag_is_passed_over() {
    let remote = Remote::new();
    let mirror = remote.mirror();
    remote.git(&["tag", "1.1"]);
    remote.push();
    let world = World::of(remote, "1.1", &format!("mirrors = [\"{mirror}\"]"));
    world
        .sync()
        .ends(0)
        .says("has neither a tag nor a branch `1.1`");
    assert!(world.pinned().is_some());
}

#[test]
fn several_sources_are_fetched_and_each_failure_is_told() {
    let world = World::new();
    let graph = fs::read_to_string(world.project.path("build-graph.toml")).unwrap();
    let more = "[source.t]\ngit = \"file:///nonexistent/t\"\nrev = \"1\"\n\
        [source.u]\ngit = \"file:///nonexistent/u\"\nrev = \"1\"\n";
    world
        .project
        .write("build-graph.toml", format!("{graph}{more}"));
    let ran = world.sync().ends(3);
    for name in ["t", "u"] {
        let told = format!("error: source `{name}` cannot be fetched");
        assert!(ran.stderr.contains(&told), "{}", ran.stderr);
    }
    assert!(world.pinned().is_some());
    world.project.run(&["sync", "s"]).ends(0);
    world
        .project
        .run(&["sync", "tt"])
        .ends(2)
        .says("did you mean `t`?");
}
