//! What an instruction's sources take.

use proptest::prelude::*;

use super::tree::{TestTree, copy, listed, read, try_read, whole};
use dockerfile::{ContextNeed, Need};

fn taken(tree: &TestTree, sources: &[&str]) -> Vec<String> {
    listed(tree, "", &copy(sources))
}

fn need(path: &str, wildcard: bool, exclude: &[&str]) -> ContextNeed {
    let exclude = exclude
        .iter()
        .map(|pattern| pattern.as_bytes().to_vec())
        .collect();
    ContextNeed::Paths(vec![Need {
        path: path.into(),
        wildcard,
        exclude,
        line: 3,
    }])
}

#[test]
fn no_need_takes_nothing() {
    let tree = TestTree::new().files(&["a"]);
    assert!(read(&tree, &ContextNeed::Nothing).entries.is_empty());
    assert!(taken(&tree, &[]).is_empty());
    assert!(taken(&tree, &["b", "a/b", "*/x"]).is_empty());
}

#[test]
fn a_file_is_taken_alone_and_a_folder_with_all_below_it() {
    let tree = TestTree::new()
        .files(&["api/a", "api/sub/b", "web/c"])
        .dir("api/empty");
    assert_eq!(taken(&tree, &["api/a"]), ["api/a"]);
    assert_eq!(
        taken(&tree, &["api"]),
        ["api/", "api/a", "api/empty/", "api/sub/", "api/sub/b"]
    );
    assert_eq!(
        taken(&tree, &["api/sub", "web/c"]),
        ["api/sub/", "api/sub/b", "web/c"]
    );
    assert_eq!(taken(&tree, &[""]).len(), 7);
}

#[test]
fn a_file_outside_the_needs_does_not_matter() {
    let tree = TestTree::new().files(&["api/a", "web/c"]);
    let before = read(&tree, &copy(&["api"]));
    tree.write("web/c", "changed");
    tree.write("new", "file");
    assert_eq!(read(&tree, &copy(&["api"])), before);
}

#[test]
fn wildcards_match_name_by_name() {
    let tree = TestTree::new().files(&["a.txt", "b.txt", "c.md", "d/a.txt", "e.txt/in"]);
    assert_eq!(
        taken(&tree, &["*.txt"]),
        ["a.txt", "b.txt", "e.txt/", "e.txt/in"]
    );
    assert_eq!(taken(&tree, &["*/*.txt"]), ["d/a.txt"]);
    assert_eq!(taken(&tree, &["[ab].txt"]), ["a.txt", "b.txt"]);
    assert_eq!(taken(&tree, &["?.md"]), ["c.md"]);
}

#[test]
fn a_bracket_that_may_match_a_slash_takes_all_that_it_could_reach() {
    let tree = TestTree::new().files(&["d/a/b", "d/c", "e"]);
    assert_eq!(taken(&tree, &["d/a[^x]b"]), ["d/", "d/a/", "d/a/b", "d/c"]);
}

#[test]
fn a_bind_mount_takes_its_source_literally() {
    let tree = TestTree::new().files(&["*", "a"]);
    assert_eq!(listed(&tree, "", &need("*", false, &[])), ["*"]);
    assert_eq!(listed(&tree, "", &need("*", true, &[])), ["*", "a"]);
}

#[test]
fn a_backslash_takes_the_name_with_it_and_without() {
    let tree = TestTree::new().files(&["a\\*", "a*", "ab"]);
    assert_eq!(taken(&tree, &["a\\*"]), ["a*", "a\\*"]);
}

#[test]
fn a_name_that_is_a_pattern_is_not_taken_by_itself() {
    let tree = TestTree::new().files(&["[id]", "i", "x"]);
    assert_eq!(taken(&tree, &["[id]"]), ["i"]);
    assert_eq!(taken(&tree, &["[[]id]"]), ["[id]"]);
}

#[test]
fn links_on_the_way_count_and_are_followed_inside_the_context() {
    let tree = TestTree::new()
        .files(&["real/dir/f", "real/g"])
        .link("l", "real/dir")
        .link("abs", "/real")
        .link("file", "real/g")
        .link("up/out", "../../../../real/g");
    assert_eq!(taken(&tree, &["l/f"]), ["l", "real/dir/f"]);
    assert_eq!(taken(&tree, &["l"]), ["l", "real/dir/", "real/dir/f"]);
    assert_eq!(
        taken(&tree, &["abs/dir"]),
        ["abs", "real/dir/", "real/dir/f"]
    );
    assert_eq!(taken(&tree, &["file"]), ["file", "real/g"]);
    assert_eq!(taken(&tree, &["up/out"]), ["real/g", "up/out"]);
    assert_eq!(taken(&tree, &["fi*"]), ["file", "real/g"]);
}

#[test]
fn links_inside_a_taken_folder_are_taken_as_links() {
    let tree = TestTree::new().files(&["lib/f"]).link("api/lib", "../lib");
    assert_eq!(taken(&tree, &["api"]), ["api/", "api/lib"]);
}

#[test]
fn links_that_go_round_end() {
    let tree = TestTree::new()
        .link("a", "b")
        .link("b", "a")
        .link("self", "self/x")
        .link("here", ".")
        .files(&["f"]);
    assert_eq!(taken(&tree, &["a/x"]), ["a", "b"]);
    assert_eq!(taken(&tree, &["self"]), ["self"]);
    assert_eq!(taken(&tree, &["*/*/f"]), ["a", "b", "f", "here", "self"]);
}

#[test]
fn what_is_ignored_cannot_be_taken() {
    let tree = TestTree::new().files(&["a/x", "a/y", "b/x"]).link("l", "a");
    assert_eq!(
        listed(&tree, "a/y\nb\n", &copy(&["a", "b", "b/x"])),
        ["a/", "a/x"]
    );
    assert_eq!(listed(&tree, "*\n!a/x\n", &copy(&["a"])), ["a/", "a/x"]);
    assert_eq!(listed(&tree, "*\n!a/x\n", &copy(&["a/x", "b"])), ["a/x"]);
    assert!(listed(&tree, "l\n", &copy(&["l/x"])).is_empty());
}

#[test]
fn an_exclusion_sees_paths_below_the_source() {
    let tree = TestTree::new().files(&["api/a.py", "api/t/b.py", "api/t/c.md", "a.py"]);
    let without = |exclude: &[&str]| listed(&tree, "", &need("api", true, exclude));
    assert_eq!(without(&["t"]), ["api/", "api/a.py"]);
    assert_eq!(without(&["**/*.py"]), ["api/", "api/t/", "api/t/c.md"]);
    assert_eq!(
        without(&["t", "!t/c.md"]),
        ["api/", "api/a.py", "api/t/", "api/t/c.md"]
    );
    assert_eq!(
        without(&["api"]),
        ["api/", "api/a.py", "api/t/", "api/t/b.py", "api/t/c.md"]
    );
    assert_eq!(
        listed(&tree, "", &need("*", true, &["t"])),
        ["a.py", "api/", "api/a.py"]
    );
    assert_eq!(listed(&tree, "", &need("", true, &["api"])), ["a.py"]);
}

#[test]
fn a_place_taken_twice_is_taken_as_widely_as_either_says() {
    let tree = TestTree::new().files(&["api/a", "api/b", "api/c"]);
    let one = |path: &str, exclude: &[&str]| match need(path, true, exclude) {
        ContextNeed::Paths(mut needs) => needs.remove(0),
        _ => unreachable!(),
    };
    let both = |a, b| listed(&tree, "", &ContextNeed::Paths(vec![a, b]));
    assert_eq!(
        both(one("api", &["a"]), one("api", &["b"])),
        ["api/", "api/a", "api/b", "api/c"]
    );
    assert_eq!(
        both(one("api", &["*"]), one("api/b", &[])),
        ["api/", "api/b"]
    );
    assert_eq!(both(one("api", &["a"]), one("", &[])).len(), 4);
}

#[test]
fn an_exclusion_that_docker_refuses_names_its_line() {
    let tree = TestTree::new().files(&["a"]);
    let error = try_read(&tree, "", &need("a", true, &["[a"])).unwrap_err();
    assert!(error.to_string().contains("line 3"), "{error}");
}

#[test]
fn a_link_is_cleaned_as_text_before_it_is_followed() {
    let tree = TestTree::new()
        .files(&["file", "b", "real/deep/x", "real/b"])
        .link("over-a-file", "file/../b")
        .link("over-nothing", "none/../b")
        .link("door", "real/deep")
        .link("over-a-link", "door/../b");
    assert_eq!(taken(&tree, &["over-a-file"]), ["b", "over-a-file"]);
    assert_eq!(taken(&tree, &["over-nothing"]), ["b", "over-nothing"]);
    // Both ways that the link may lead.
    assert_eq!(
        taken(&tree, &["over-a-link"]),
        ["b", "door", "over-a-link", "real/b"]
    );
    assert_eq!(taken(&tree, &["file/../b"]), ["b"]);
}

#[test]
fn overlays_take_part_in_links_and_wildcards() {
    let tree = TestTree::new()
        .files(&["up/real/a", "over/real/b"])
        .link("over/l", "real");
    let ignore = crate::contexts::Ignore::default();
    let layers = tree.layers(&["up", "over"]);
    let inputs = super::tree::read_anew(&layers, &ignore, &copy(&["l/*"])).unwrap();
    assert_eq!(super::tree::paths(&inputs), ["l", "real/a", "real/b"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_taken_is_always_part_of_the_whole(
        source in r"(a|b|\*|\?|\[ab\]|l|a\*){1,2}(/(a|b|\*|l|\.\.)){0,3}",
        exclude in proptest::collection::vec(r"!?(a|b|\*|\*\*/b|l)", 0..3),
        ignore in r"((!?)(a|b|l|\*|a/\*|\*\*/b)\n){0,3}",
        target in r"(\.\./){0,2}(a|b|\.|l)(/a)?",
    ) {
        let tree = TestTree::new()
            .files(&["a/a", "a/b/a", "a/b/b", "b/a/l", "b/b", "ab"])
            .link("l", &target)
            .link("a/l", &target)
            .dir("b/a/a");
        let all = try_read(&tree, &ignore, &whole()).unwrap();
        let exclude: Vec<&str> = exclude.iter().map(String::as_str).collect();
        let some = try_read(&tree, &ignore, &need(&source, true, &exclude)).unwrap();
        prop_assert!(some.entries.is_sorted_by(|a, b| a.path < b.path));
        for input in &some.entries {
            prop_assert!(all.entries.contains(input), "{:?}", String::from_utf8_lossy(&input.path));
        }
    }
}
