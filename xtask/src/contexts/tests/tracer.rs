//! Whether the looks of a tracer prove that reading again would give the same.

use std::fs;
use std::os::unix::fs::symlink;

use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode};

use super::tree::{TestTree, chmod, copy, one, whole};
use crate::contexts::statcache::tests::settle;
use crate::contexts::{
    Ignore, Inputs, InputsError, Snapshot, StatCache, Sum, Trace, Tracer, collect, is_current,
    read_own_file,
};
use dockerfile::ContextNeed;

/// Reads the folder `in` of a tree, with a cache in its folder `state`.
fn read(
    tree: &TestTree,
    ignore: &str,
    need: &ContextNeed,
) -> Result<(Inputs, Option<Trace>), InputsError> {
    let cache = StatCache::in_file(&tree.root().join("state/stats"));
    let tracer = Tracer::new(&cache);
    let ignore = Ignore::parse(ignore.as_bytes()).unwrap();
    let inputs = collect(&one(&tree.root().join("in")), &ignore, need, &tracer)?;
    Ok((inputs, tracer.into_trace()))
}

fn holds(parts: &[Vec<u8>]) -> bool {
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    is_current(&parts)
}

/// The trace of a tree whose last change is not racy.
fn seen(tree: &TestTree, ignore: &str, need: &ContextNeed) -> Trace {
    settle(&tree.root().join("state"));
    let (_, parts) = read(tree, ignore, need).unwrap();
    parts.expect("nothing is doubtful")
}

fn sample() -> TestTree {
    TestTree::new()
        .files(&["in/a/one", "in/a/two", "in/b/three", "in/b/deep/three"])
        .files(&["in/out", "in/deep/er/file"])
        .link("in/link", "a")
        .dir("in/empty")
        .dir("state")
}

/// Changes of the sample, each of which must be noticed after all of it was read.
#[test]
fn every_change_of_what_was_read_is_noticed() {
    type Change = (&'static str, fn(&TestTree));
    let changes: [Change; 12] = [
        ("content", |tree| tree.write("in/a/one", "other")),
        ("content of the same size and time", |tree| {
            let path = tree.at("in/a/one");
            let time = fs::metadata(&path).unwrap().modified().unwrap();
            fs::write(&path, "IN/A/ONE").unwrap();
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(time).unwrap();
        }),
        ("mode", |tree| chmod(&tree.at("in/a/one"), 0o755)),
        ("added", |tree| tree.write("in/b/new", "")),
        ("removed", |tree| {
            fs::remove_file(tree.at("in/b/three")).unwrap();
        }),
        ("moved", |tree| {
            fs::rename(tree.at("in/a/one"), tree.at("in/b/one")).unwrap();
        }),
        ("renamed", |tree| {
            fs::rename(tree.at("in/a/one"), tree.at("in/a/eno")).unwrap();
        }),
        ("link", |tree| {
            fs::remove_file(tree.at("in/link")).unwrap();
            symlink("b", tree.at("in/link")).unwrap();
        }),
        ("empty folder added", |tree| {
            fs::create_dir(tree.at("in/empty/er")).unwrap();
        }),
        ("empty folder removed", |tree| {
            fs::remove_dir(tree.at("in/empty")).unwrap();
        }),
        ("folder replaced by a link to where it went", |tree| {
            fs::rename(tree.at("in/a"), tree.at("c")).unwrap();
            symlink("../c", tree.at("in/a")).unwrap();
        }),
        ("context gone", |tree| {
            fs::rename(tree.at("in"), tree.at("was")).unwrap();
        }),
    ];
    let samples: Vec<_> = changes.iter().map(|_| sample()).collect();
    for ((what, change), tree) in changes.iter().zip(samples) {
        let parts = seen(&tree, "", &whole());
        assert!(holds(&parts), "before {what}");
        change(&tree);
        assert!(!holds(&parts), "{what}");
    }
}

/// More folders than a thread takes at a time, in few parents: each of those is opened once.
#[test]
fn every_change_of_many_small_folders_is_noticed() {
    type Change = (&'static str, fn(&TestTree));
    let changes: [Change; 6] = [
        ("nothing", |_| {}),
        ("content", |tree| tree.write("in/a/b/70/f", "other")),
        ("added", |tree| tree.write("in/a/c/99/g", "")),
        ("folder gone", |tree| {
            fs::rename(tree.at("in/a/b/0"), tree.at("was")).unwrap();
        }),
        ("folder of folders gone", |tree| {
            fs::rename(tree.at("in/a/c"), tree.at("was")).unwrap();
        }),
        (
            "folder of folders replaced by one with the same names",
            |tree| {
                fs::rename(tree.at("in/a/c"), tree.at("was")).unwrap();
                fs::rename(tree.at("in/a/b"), tree.at("in/a/c")).unwrap();
                fs::rename(tree.at("was"), tree.at("in/a/b")).unwrap();
            },
        ),
    ];
    for (what, change) in changes {
        let tree = TestTree::new().dir("state");
        for folder in ["b", "c"] {
            for at in 0..100 {
                tree.write(format!("in/a/{folder}/{at}/f"), "");
                tree.write(format!("in/a/{folder}/{at}/more"), folder);
            }
        }
        let parts = seen(&tree, "", &whole());
        assert!(holds(&parts), "before {what}");
        change(&tree);
        assert_eq!(holds(&parts), what == "nothing", "{what}");
    }
}

/// A snapshot of the sample, and the sum of the folders above it, which only a tracer without a
/// trace needs.
fn snapshot(tree: &TestTree) -> (Snapshot, Sum) {
    let cache = StatCache::in_memory();
    // A fetched source lies in the folder of the states.
    let tracer = Tracer::forgetful(&cache).beside(tree.root().as_std_path());
    tracer.rooted(tree.root().as_std_path());
    // Only one test has this file.
    let _ = read_own_file(&tree.root().join("state/own"), &tracer);
    let need = copy(&["a", "link", "b/nothing", "deep/er/file"]);
    collect(
        &one(&tree.root().join("in")),
        &Ignore::default(),
        &need,
        &tracer,
    )
    .unwrap();
    let snapshot = tracer.snapshot();
    let above = snapshot.above();
    (snapshot, above)
}

#[test]
fn what_is_written_beside_a_file_of_the_own_state_is_no_touch() {
    let tree = sample();
    tree.write("state/own", "");
    let before = snapshot(&tree);
    tree.write("state/of-another-stage", "");
    assert!(snapshot(&tree) == before);
    tree.write("state/own", "other");
    assert!(snapshot(&tree) != before);
}

#[test]
fn what_was_touched_and_put_back_does_not_have_the_same_sum() {
    type Touch = (&'static str, fn(&TestTree));
    /// Another folder takes this one's place for a while.
    fn replaced(tree: &TestTree, place: &str) {
        let (place, was) = (tree.at(place), tree.at("state/was"));
        fs::rename(&place, &was).unwrap();
        fs::create_dir(&place).unwrap();
        fs::remove_dir(&place).unwrap();
        fs::rename(&was, &place).unwrap();
    }
    let touches: [Touch; 8] = [
        ("content", |tree| {
            let path = tree.at("in/a/one");
            let time = fs::metadata(&path).unwrap().modified().unwrap();
            fs::write(&path, "other").unwrap();
            fs::write(&path, "in/a/one").unwrap();
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(time).unwrap();
        }),
        ("a name that comes and goes", |tree| {
            tree.write("in/a/new", "");
            fs::remove_file(tree.at("in/a/new")).unwrap();
        }),
        ("link", |tree| {
            fs::remove_file(tree.at("in/link")).unwrap();
            symlink("b", tree.at("in/link")).unwrap();
            fs::remove_file(tree.at("in/link")).unwrap();
            symlink("a", tree.at("in/link")).unwrap();
        }),
        ("mode", |tree| {
            chmod(&tree.at("in/a/one"), 0o755);
            chmod(&tree.at("in/a/one"), 0o644);
        }),
        ("all of it replaced", |tree| replaced(tree, "in")),
        ("a folder above replaced", |tree| replaced(tree, "in/deep")),
        ("a folder further down replaced", |tree| {
            replaced(tree, "in/deep/er");
        }),
        ("what was not there comes and goes", |tree| {
            tree.write("in/b/nothing", "");
            fs::remove_file(tree.at("in/b/nothing")).unwrap();
        }),
    ];
    for (what, touch) in touches {
        let tree = sample();
        let before = snapshot(&tree);
        assert_eq!(snapshot(&tree), before);
        tree.write("in/b/three", "not looked at");
        tree.write("in/b/deep/three", "not looked at");
        assert_eq!(snapshot(&tree), before);
        // Within a tick a touch does not show, but nothing can be sent to BuildKit in that time
        // either.
        settle(&tree.root().join("state"));
        touch(&tree);
        assert_ne!(snapshot(&tree), before, "{what}");
    }
}

#[test]
fn the_sum_does_not_show_how_many_threads_read() {
    let tree = sample();
    for name in 0..600 {
        tree.write(format!("in/a/{name}"), "");
    }
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| snapshot(&tree))
    };
    assert_eq!(with(1), with(4));
}

#[test]
fn what_was_not_looked_at_may_change() {
    let tree = sample();
    let parts = seen(&tree, "b\n", &copy(&["a", "b", "nothing"]));
    tree.write("in/b/three", "other");
    tree.write("in/b/new", "");
    tree.write("in/out", "other");
    tree.write("in/new", "");
    fs::remove_dir(tree.at("in/empty")).unwrap();
    assert!(holds(&parts));
}

#[test]
fn a_source_that_was_not_there_is_noticed_when_it_comes() {
    let tree = sample();
    for source in ["nothing", "a/nothing", "none/at/all", "b/n*"] {
        let parts = seen(&tree, "", &copy(&[source]));
        tree.write(format!("in/{}", source.replace('*', "ew")), "");
        assert!(!holds(&parts), "{source}");
    }
}

#[test]
fn a_link_on_the_way_is_noticed_when_it_leads_elsewhere() {
    let tree = sample();
    let parts = seen(&tree, "", &copy(&["link/one"]));
    fs::remove_file(tree.at("in/link")).unwrap();
    symlink("b", tree.at("in/link")).unwrap();
    assert!(!holds(&parts));
}

#[test]
fn what_changed_within_a_tick_is_not_believed() {
    let tree = sample();
    settle(&tree.root().join("state"));
    tree.write("in/a/one", "in/a/eno");
    let (_, parts) = read(&tree, "", &copy(&["a/one"])).unwrap();
    assert_eq!(parts, None);
    settle(&tree.root().join("state"));
    tree.write("in/b/new", "");
    // Only the folder itself has changed so recently.
    let (_, parts) = read(&tree, "b/new\n", &copy(&["b"])).unwrap();
    assert_eq!(parts, None);
}

#[test]
fn damaged_bytes_prove_nothing_and_do_no_harm() {
    let tree = sample();
    let parts = seen(&tree, "", &whole());
    assert!(!is_current(&[]));
    for part in 0..parts.len() {
        for length in 0..parts[part].len() {
            let mut cut = parts.clone();
            cut[part].truncate(length);
            // This must not panic. A piece without its last entries is still a piece, and may hold.
            let _ = holds(&cut);
        }
        for at in 0..parts[part].len() {
            let mut flipped = parts.clone();
            flipped[part][at] ^= 0x81;
            let _ = holds(&flipped);
        }
    }
}

/// Makes one change as far as possible.
fn alter(tree: &TestTree, kind: u8, path: &str, other: &str) {
    let (path, other) = (
        tree.at(format!("in/{path}")),
        tree.at(format!("in/{other}")),
    );
    if kind < 2 && !path.is_file() && path.exists() {
        // Writing to a pipe would wait for ever.
        return;
    }
    let _ = match kind {
        0 => fs::write(&path, "new"),
        1 => fs::write(&path, path.as_os_str().as_encoded_bytes()),
        2 => fs::create_dir_all(&path),
        3 => fs::remove_file(&path),
        4 => fs::remove_dir_all(&path),
        5 => fs::rename(&path, &other),
        6 => fs::rename(&path, &other).and_then(|()| symlink(&other, &path)),
        7 => symlink(other.file_name().unwrap(), &path),
        8 => rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR, 0).map_err(Into::into),
        _ => {
            if path.exists() {
                chmod(&path, 0o755);
            }
            Ok(())
        }
    };
}

/// A tree, what is read of it, and the changes after that.
#[derive(Debug, Clone)]
struct Case {
    files: Vec<String>,
    links: Vec<(String, String)>,
    ignore: String,
    sources: Vec<String>,
    changes: Vec<(u8, String, String)>,
}

fn case() -> impl Strategy<Value = Case> {
    let path = || "[abc](/[abc]){0,2}";
    let files = proptest::collection::vec(path(), 0..8);
    let links = proptest::collection::vec((path(), r"(\.\./)?[abc](/[abc])?"), 0..3);
    let sources = proptest::collection::vec(r"([abc*]|\?|\.)(/[abc*]){0,2}", 0..4);
    let changes = proptest::collection::vec((0u8..10, path(), path()), 1..6);
    let ignore = r"((!?)(a|b|c/a|\*|\*\*/b|a/\*)\n){0,3}";
    (files, links, ignore, sources, changes).prop_map(|(files, links, ignore, sources, changes)| {
        Case {
            files,
            links,
            ignore,
            sources,
            changes,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// Many trees at a time, so that all of them wait for the same tick.
    #[test]
    fn while_everything_holds_reading_again_gives_the_same(cases in proptest::collection::vec(case(), 60)) {
        let trees: Vec<TestTree> = cases.iter().map(|case| {
            let tree = TestTree::new().dir("in").dir("state");
            for file in &case.files {
                let folder = tree.at(format!("in/{file}"));
                let _ = fs::create_dir_all(folder.parent().unwrap());
                alter(&tree, 1, file, file);
            }
            for (link, target) in &case.links {
                let _ = symlink(target, tree.at(format!("in/{link}")));
            }
            tree
        }).collect();
        settle(&trees[0].root().join("state"));
        for (case, tree) in cases.iter().zip(&trees) {
            let sources: Vec<&str> = case.sources.iter().map(String::as_str).collect();
            let need = if sources.is_empty() { whole() } else { copy(&sources) };
            let Ok((before, parts)) = read(tree, &case.ignore, &need) else { continue };
            let parts = parts.expect("nothing is doubtful");
            prop_assert!(holds(&parts), "{case:?}");
            for (kind, path, other) in &case.changes {
                alter(tree, *kind, path, other);
                if holds(&parts) {
                    let after = read(tree, &case.ignore, &need).map(|(inputs, _)| inputs).ok();
                    prop_assert_eq!(after.as_ref(), Some(&before), "{:?}", case);
                }
            }
        }
    }
}
