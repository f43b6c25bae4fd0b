//! What changes the inputs of a context, and what does not.

use std::fs;
use std::os::unix::net::UnixListener;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode};

use super::tree::{
    TestTree, attribute, chmod, copy, listed, paths, read, read_anew, try_read, whole,
};
use crate::contexts::{EntryKind, Ignore, Inputs, InputsError, Layers};
use dockerfile::ContextNeed;

/// The inputs before and after something was done to the tree.
fn around(tree: &TestTree, act: impl FnOnce(&TestTree)) -> (Inputs, Inputs) {
    let before = read(tree, &whole());
    act(tree);
    (before, read(tree, &whole()))
}

fn sample() -> TestTree {
    TestTree::new()
        .file("api/app.py", "print()")
        .file("api/run.sh", "#!")
        .link("api/latest", "app.py")
}

#[test]
fn all_entries_are_sorted_bytewise_with_their_kinds() {
    let tree = TestTree::new()
        .files(&["a/x", "a.b", "a-b/y", "Z"])
        .link("a/l", "../Z")
        .dir("e");
    let inputs = read(&tree, &whole());
    assert_eq!(
        paths(&inputs),
        ["Z", "a/", "a-b/", "a-b/y", "a.b", "a/l", "a/x", "e/"]
    );
    assert_eq!(inputs.bytes, 1 + 3 + 3 + 5);
    assert_eq!(inputs.whole.as_deref(), Some("a test wants it"));
    let file = &inputs.entries[0];
    assert_eq!(file.hash, Some(*blake3::hash(b"Z").as_bytes()));
}

#[test]
fn a_changed_file_changes_the_inputs() {
    let (before, after) = around(&sample(), |tree| tree.write("api/app.py", "print "));
    assert_ne!(before, after);
}

#[test]
fn moving_a_file_between_folders_changes_the_inputs() {
    let tree = sample().dir("web");
    let (before, after) = around(&tree, |tree| {
        fs::rename(tree.at("api/app.py"), tree.at("web/app.py")).unwrap();
    });
    assert_ne!(before, after);
}

#[test]
fn a_link_retargeted_changes_the_inputs() {
    let (before, after) = around(&sample(), |tree| {
        fs::remove_file(tree.at("api/latest")).unwrap();
        std::os::unix::fs::symlink("run.sh", tree.at("api/latest")).unwrap();
    });
    assert_ne!(before, after);
}

#[test]
fn the_executable_bit_and_setuid_change_the_inputs() {
    let (before, after) = around(&sample(), |tree| chmod(&tree.at("api/run.sh"), 0o755));
    assert_ne!(before, after);
    let (before, after) = around(&sample(), |tree| chmod(&tree.at("api/run.sh"), 0o4644));
    assert_ne!(before, after);
    assert_eq!(after.entries[3].mode, 0o4644);
}

#[test]
fn extended_attributes_that_buildkit_looks_at_change_the_inputs() {
    let set = |name: &'static str, value: &'static str| {
        around(&sample(), |tree| {
            attribute(&tree.at("api/app.py"), name, value)
        })
    };
    let (before, after) = set("user.note", "1");
    assert_ne!(before, after);
    assert_ne!(after, set("user.note", "2").1);
    assert_ne!(after, set("user.other", "1").1);
    // More than the first buffer holds.
    let long = around(&sample(), |tree| {
        for number in 0..30 {
            let name = format!("user.{number:020}");
            attribute(&tree.at("api/app.py"), &name, "x");
        }
    });
    assert_ne!(long.0, long.1);
}

#[test]
fn a_folders_extended_attributes_do_not_matter() {
    let (before, after) = around(&sample(), |tree| {
        attribute(&tree.at("api"), "user.note", "1");
    });
    assert_eq!(before, after);
}

#[test]
fn an_empty_folder_added_changes_the_inputs() {
    let (before, after) = around(&sample(), |tree| {
        fs::create_dir(tree.at("api/empty")).unwrap();
    });
    assert_ne!(before, after);
}

#[test]
fn a_fifo_added_changes_the_inputs() {
    let (before, after) = around(&sample(), |tree| {
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(CWD, tree.at("fifo"), FileType::Fifo, mode, 0).unwrap();
    });
    assert_ne!(before, after);
    assert_eq!(after.entries.last().unwrap().kind, EntryKind::Fifo);
}

#[test]
fn a_socket_counts_as_buildkit_sends_an_empty_file_for_it() {
    let tree = sample();
    let _listener = UnixListener::bind(tree.at("socket")).unwrap();
    let inputs = read(&tree, &whole());
    let socket = inputs.entries.last().unwrap();
    assert_eq!((&socket.kind, socket.hash), (&EntryKind::Socket, None));
}

#[test]
fn modification_times_do_not_matter() {
    let (before, after) = around(&sample(), |tree| {
        let yesterday = SystemTime::now() - Duration::from_hours(24);
        for path in ["api/app.py", "api"] {
            fs::File::open(tree.at(path))
                .unwrap()
                .set_modified(yesterday)
                .unwrap();
        }
    });
    assert_eq!(before, after);
}

#[test]
fn a_folders_permission_bits_do_not_matter() {
    let (before, after) = around(&sample(), |tree| chmod(&tree.at("api"), 0o700));
    assert_eq!(before, after);
}

#[test]
fn another_place_of_the_same_tree_does_not_matter() {
    assert_eq!(read(&sample(), &whole()), read(&sample(), &whole()));
}

#[test]
fn what_is_ignored_does_not_matter() {
    let tree = sample().files(&["web/app.js", "api/app.pyc"]);
    let ignore = "web\n**/*.pyc\n";
    assert_eq!(
        listed(&tree, ignore, &whole()),
        ["api/", "api/app.py", "api/latest", "api/run.sh"]
    );
}

#[test]
fn an_ignored_folder_is_there_only_for_what_is_excepted_below_it() {
    let tree = sample()
        .files(&["web/src/a.ts", "web/b.ts", "docs/x"])
        .dir("api/none");
    let ignore = "*\n!api\n!web/src\napi/none\n";
    let expected = [
        "api/",
        "api/app.py",
        "api/latest",
        "api/run.sh",
        "web/",
        "web/src/",
        "web/src/a.ts",
    ];
    assert_eq!(listed(&tree, ignore, &whole()), expected);
    assert_eq!(listed(&tree, "*\n!docs/y\n", &whole()), [""; 0]);
}

#[test]
fn a_file_that_an_exception_for_its_folder_does_not_bring_back_is_told_from_one_that_is_sent() {
    let inputs = |ignore: &str| try_read(&sample(), ignore, &whole()).unwrap();
    let (sent, unsent) = (inputs("!api\n"), inputs("api/app.py\n!api\n"));
    assert_eq!(paths(&sent), paths(&unsent));
    assert_eq!(unsent.entries[1].kind, EntryKind::Unsent);
    assert_ne!(sent, unsent);
}

#[test]
fn a_file_that_is_sent_without_its_content_is_told_from_one_that_is_sent() {
    let inputs = |ignore: &str| try_read(&sample(), ignore, &whole()).unwrap();
    let (sent, withheld) = (
        inputs("api\n!api/app.py\n"),
        inputs("api\n!api/app.py\napi\n"),
    );
    assert_eq!(paths(&sent), paths(&withheld));
    assert_ne!(sent, withheld);
    assert_eq!(withheld.entries[1].kind, EntryKind::Withheld);
    assert_eq!(withheld.entries[1].hash, sent.entries[1].hash);
}

#[test]
fn an_excluded_folder_is_never_entered() {
    let tree = sample().file("secret/key", "x").mode("secret", 0o000);
    let walked = listed(&tree, "secret", &whole());
    chmod(&tree.at("secret"), 0o755);
    assert_eq!(walked, ["api/", "api/app.py", "api/latest", "api/run.sh"]);
}

#[test]
fn links_are_never_followed_in_a_walk() {
    let tree = sample()
        .link("api/up", "..")
        .link("api/gone", "nowhere")
        .link("out", "/etc");
    let all = paths(&read(&tree, &whole()));
    let expected = [
        "api/",
        "api/app.py",
        "api/gone",
        "api/latest",
        "api/run.sh",
        "api/up",
        "out",
    ];
    assert_eq!(all, expected);
}

#[test]
fn names_with_line_feeds_spaces_and_broken_utf_8_are_kept() {
    let tree = TestTree::new()
        .raw_file(b"a\nb/c d", "1")
        .raw_file(b"\xff\xfe(x)[y]", "2");
    let inputs = read(&tree, &whole());
    let all: Vec<&[u8]> = inputs.entries.iter().map(|input| &input.path[..]).collect();
    assert_eq!(all, [&b"a\nb"[..], b"a\nb/c d", b"\xff\xfe(x)[y]"]);
}

#[test]
fn an_overlay_replaces_files_and_adds_to_folders() {
    let tree = TestTree::new()
        .files(&["up/api/a", "up/api/b", "up/web/x", "up/lib"])
        .file("over/api/b", "patched")
        .files(&["over/api/c", "over/web", "over/lib/new"]);
    let layers = tree.layers(&["up", "over"]);
    let inputs = read_anew(&layers, &Ignore::default(), &whole()).unwrap();
    assert_eq!(
        paths(&inputs),
        ["api/", "api/a", "api/b", "api/c", "lib/", "lib/new", "web"]
    );
    let from: Vec<u16> = inputs.entries.iter().map(|input| input.layer).collect();
    assert_eq!(from, [0, 0, 1, 1, 1, 1, 1]);
    assert_eq!(inputs.entries[2].size, 7);
}

#[test]
fn a_folder_that_was_replaced_on_the_way_up_does_not_come_back() {
    let tree = TestTree::new().files(&["1/d/a", "2/d", "3/d/c"]);
    let layers = tree.layers(&["1", "2", "3"]);
    let inputs = read_anew(&layers, &Ignore::default(), &whole()).unwrap();
    assert_eq!(paths(&inputs), ["d/", "d/c"]);
}

#[test]
fn a_context_that_is_no_folder_is_named() {
    let tree = TestTree::new().file("file", "");
    for name in ["file", "nothing"] {
        let layers = tree.layers(&[name]);
        for need in [whole(), copy(&["a"]), ContextNeed::Nothing] {
            let result = read_anew(&layers, &Ignore::default(), &need);
            let error = result.unwrap_err();
            assert!(matches!(error, InputsError::NoFolder { .. }), "{error}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}

#[test]
fn a_pattern_that_go_cannot_compile_fails_only_where_docker_would_try_it() {
    let tree = sample();
    let error = try_read(&tree, "[b-a]", &whole()).unwrap_err();
    assert!(error.to_string().contains("[b-a]"), "{error}");
    assert_eq!(listed(&tree, "![b-a]\n", &whole()).len(), 4);
}

#[test]
fn a_tree_a_thousand_folders_deep_is_read() {
    let tree = TestTree::new().file(vec!["d"; 1500].join("/"), "x");
    assert_eq!(read(&tree, &whole()).entries.len(), 1500);
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let tree = (0..300).fold(TestTree::new(), |tree, at| {
        tree.file(format!("{}/{}/f{at}", at % 7, at % 3), &at.to_string())
    });
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| read(&tree, &whole()))
    };
    assert_eq!(with(1), with(8));
}

fn some_tree() -> impl Strategy<Value = Vec<(String, String)>> {
    // Two dots would lead out of the test's folder.
    let name = "[ab.é ]{1,3}|x y".prop_filter("no name", |name| name != "..");
    let path = proptest::collection::vec(name, 1..4);
    let path = path.prop_map(|names| names.join("/"));
    proptest::collection::vec((path, "[a-z]{0,3}"), 0..12)
}

/// Writes the files that can be written: a path may need a folder where a file is.
fn grow(tree: &TestTree, files: &[(String, String)]) {
    for (path, text) in files {
        let path = tree.at(path);
        let folder = path.parent().unwrap();
        if fs::create_dir_all(folder).is_ok() && !path.is_dir() {
            let _ = fs::write(&path, text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn neither_threads_nor_times_nor_layers_of_the_same_tree_matter(
        files in some_tree(),
        ignore in r"((!?)(a|b|\*|\*\*/a|a/\*|x y)\n){0,4}",
    ) {
        let (tree, twin) = (TestTree::new(), TestTree::new());
        grow(&tree, &files);
        grow(&twin, &files);
        for path in walk(twin.root().as_std_path()) {
            let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
            fs::File::open(path).unwrap().set_modified(old).unwrap();
        }
        let ignore = Ignore::parse(ignore.as_bytes()).unwrap();
        let with = |threads, folders: &[&TestTree]| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let folders = folders.iter().map(|tree| tree.root().to_owned()).collect();
            let layers = Layers { folders };
            let mut inputs = pool.install(|| read_anew(&layers, &ignore, &whole())).unwrap();
            for input in &mut inputs.entries {
                input.layer = 0;
            }
            inputs
        };
        let plain = with(1, &[&tree]);
        prop_assert_eq!(&with(4, &[&twin]), &plain);
        prop_assert_eq!(&with(2, &[&tree, &twin, &tree]), &plain);
        for input in &plain.entries {
            // The folders above an exception are inputs, too.
            let excepted = input.kind == EntryKind::Dir;
            prop_assert!(excepted || !ignore.excludes(&input.path) || ignore_is_split(&ignore, &input.path));
        }
    }
}

/// Whether Docker's two answers differ for this path.
fn ignore_is_split(ignore: &Ignore, path: &[u8]) -> bool {
    let mut above = dockerignore::Above::default();
    for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
        above = ignore.judge(&path[..at], &above).unwrap().1;
    }
    !ignore.judge(path, &above).unwrap().0.by_both()
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}
