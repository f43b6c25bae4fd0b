//! Hostile ignore files. If work grew faster than the file, these tests would take minutes or
//! gigabytes.

use proptest::prelude::*;

use crate::{Above, Ignore};

fn read(text: impl AsRef<[u8]>) -> Ignore {
    Ignore::parse(text.as_ref()).unwrap()
}

fn refused(text: impl AsRef<[u8]>) -> String {
    Ignore::parse(text.as_ref()).unwrap_err().to_string()
}

#[test]
fn a_line_of_a_megabyte_is_refused_as_docker_refuses_it() {
    for text in [b"a", b" ", b"*", b"[", b"#", b"!"] {
        assert!(refused(text.repeat(1 << 20)).contains("too long"));
    }
    assert!(read(b"\n ".repeat(1 << 20)).is_empty());
    assert!(read([b"#".repeat(60_000), b"\n#".repeat(1 << 20)].concat()).is_empty());
}

#[test]
fn a_hundred_thousand_patterns_of_each_kind_are_found_without_trying_all() {
    let lines = |at| format!("d{at}/*.log\n**/n{at}\n!e{at}\np{at}/**\n");
    let ignore = read((0..100_000).map(lines).collect::<String>());
    for at in 0..100_000 {
        assert!(ignore.excludes(format!("d{at}/x.log").as_bytes()));
        assert!(ignore.excludes(format!("a/b/n{at}").as_bytes()));
        assert!(ignore.excludes(format!("p{at}/x").as_bytes()));
        assert!(!ignore.excludes(format!("e{at}").as_bytes()));
        assert!(ignore.may_reach_below(b"n") == ignore.may_reach_below(b"m"));
    }
    let same = read("a/b\n".repeat(100_000));
    assert!(same.excludes(b"a/b/c") && !same.excludes(b"a/c"));
    let signs = read("a*\n!a*\n".repeat(100_000));
    let (out, _) = signs.judge(b"ab", &Above::default()).unwrap();
    assert!(!out.by_walk && !out.by_request);
}

#[test]
fn a_long_pattern_takes_time_by_its_length_and_the_paths() {
    assert!(!read(b"*a".repeat(32_000)).excludes(&b"a".repeat(1_000)));
    assert!(!read(b"**/a/".repeat(10_000)).excludes(&b"a/".repeat(500)));
    assert!(read(b"?".repeat(4_000)).excludes(&b"a".repeat(4_000)));
    let choices = read(b"*a|".repeat(20_000));
    assert!(
        choices.excludes(b"xa") && choices.excludes(b"b"),
        "the last is empty"
    );
    let names = (1..1_000).map(|n| format!("**/{}\n", "a/".repeat(n)));
    assert!(read(names.collect::<String>()).excludes(&b"a/".repeat(500)));
}

#[test]
fn brackets_and_braces_that_never_end_are_not_searched_for_again_and_again() {
    let braces = format!("*{}\n", "{".repeat(60_000)).repeat(100);
    assert!(!read(&braces).excludes(b"{{"));
    let digits = format!("*{{{}\n", "1".repeat(60_000)).repeat(100);
    assert!(!read(digits).excludes(b"a"));
    let names = format!("[{}x]\n", "[:".repeat(30_000)).repeat(100);
    assert!(read(names).excludes(b":"));
    let classes = format!("{}\n", "[[:alpha:]]".repeat(5_000)).repeat(100);
    assert!(read(classes).excludes(&b"a".repeat(5_000)));
    let quotes = format!("*{}\n", "\\Qa".repeat(20_000)).repeat(100);
    assert!(!read(quotes).excludes(b"a"));
}

#[test]
fn repetitions_do_not_fill_the_memory() {
    let line = |pattern: &str, times| format!("{}\n", pattern.repeat(times));
    let many = line("[a]{1000}", 1_000).repeat(1_000);
    assert!(refused(many).contains("has too many repetitions, with the patterns before it"));
    let optional = line("[a]{0,1000}", 5_000).repeat(20);
    // Go's compiler refuses each pattern, so Moby fails when it first tries one.
    assert!(read(&optional).judge(b"a", &Above::default()).is_err());
    let wide = format!("[{}]{{1000}}\n", "\\w".repeat(30_000)).repeat(100);
    assert!(
        read(wide).excludes("a_9".repeat(400).as_bytes())
            == read("[\\w]{1000}").excludes("a_9".repeat(400).as_bytes())
    );
    let apart: String = (0u32..18_000)
        .map(|at| char::from_u32(0x3000 + 2 * at).unwrap_or('x'))
        .collect();
    let apart = format!("[{apart}]{{0,1000}}\n").repeat(100);
    assert!(read(&apart).excludes("\u{3000}".repeat(1_000).as_bytes()));
    assert!(!read(&apart).excludes("\u{3001}".repeat(1_000).as_bytes()));
}

/// The parts of patterns, in any order.
const ODD: &str =
    r"([*?!/\[\]^\\a\-{},|0-9#.\n]|\*\*/?|\\[dwsbBAzQEx]|\[:\^?alpha:\]|\{2,?3?\}|é){0,24}";

proptest! {
    #[test]
    fn nothing_that_a_file_or_a_path_holds_makes_it_panic(
        file in proptest::collection::vec(any::<u8>(), 0..60),
        odd in ODD,
        path in proptest::collection::vec(any::<u8>(), 0..20),
        odd_path in "[a-c/.*\\[é]{0,12}",
    ) {
        for file in [&file, odd.as_bytes()] {
            let Ok(ignore) = Ignore::parse(file) else { continue };
            for path in [&path, odd_path.as_bytes()] {
                let excluded = ignore.excludes(path);
                let judged = ignore.judge(path, &Above::default());
                ignore.may_reach_below(path);
                // At the root there is no folder above, so the two answers cannot differ.
                if let (Ok((out, _)), false) = (judged, path.contains(&b'/')) {
                    prop_assert!(excluded || !out.by_walk);
                }
            }
        }
    }
}
