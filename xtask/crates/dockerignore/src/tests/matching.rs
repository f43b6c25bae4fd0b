//! Which paths Docker leaves out, checked against Moby's own answers and cases made by hand.

use proptest::prelude::*;

use crate::{Above, Handing, Ignore, Judged};

#[derive(serde::Deserialize)]
struct Case {
    dockerignore: String,
    path: String,
    excluded: bool,
}

fn excludes(file: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> bool {
    Ignore::parse(file.as_ref())
        .unwrap()
        .excludes(path.as_ref())
}

/// Both of Docker's answers for a path.
fn judged(ignore: &Ignore, path: &[u8]) -> Judged {
    let mut above = Above::default();
    for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
        let (out, below) = ignore.judge(&path[..at], &above).unwrap();
        if out.by_walk && !ignore.may_reach_below(&path[..at]) {
            return Judged {
                by_walk: true,
                by_request: ignore.excludes(path),
            };
        }
        above = below;
    }
    ignore.judge(path, &above).unwrap().0
}

#[test]
fn every_case_that_moby_answered_has_the_same_answer() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/cases.jsonl");
    let text = std::fs::read_to_string(file).unwrap();
    let mut wrong = Vec::new();
    for line in text.lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let ignore = Ignore::parse(case.dockerignore.as_bytes()).unwrap();
        let path = case.path.as_bytes();
        let judged = judged(&ignore, path);
        let is_input = judged.handing().is_some();
        if ignore.excludes(path) != case.excluded
            || judged.by_request != case.excluded
            || is_input == case.excluded
        {
            wrong.push(line);
        }
    }
    assert!(text.lines().count() >= 1500);
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_file_is_read_line_by_line_as_docker_reads_it() {
    assert!(!excludes("#a", "#a"), "a comment");
    assert!(excludes(" #a", "#a"), "a comment only in the first column");
    assert!(excludes("/#a", "#a"));
    assert!(
        excludes(b"\xef\xbb\xbfa\r\n", "a"),
        "a byte order mark and a carriage return"
    );
    assert!(
        !excludes(b"b\n\xef\xbb\xbfa", "a"),
        "the mark counts only at the beginning"
    );
    assert!(excludes("\u{3000}a\u{a0}\t", "a"), "Unicode space");
    assert!(excludes("a b", "a b"), "inner space");
    assert!(excludes("./a/../b//c/", "b/c"), "cleaned");
    assert!(excludes("a", "a/b/c"), "all below a folder");
    assert!(!excludes("", "a"));
    assert!(!excludes(".", "a"));
}

#[test]
fn the_last_pattern_that_matches_decides() {
    let file = "*.md\n!README.md\nREADME.md\n!docs/README.md\n";
    assert!(excludes(file, "README.md") && excludes(file, "x.md"));
    assert!(!excludes(file, "docs/README.md"));
    assert!(!excludes("a\n! a/b\n", "a/b") && excludes("a\n! a/b\n", "a/c"));
    assert!(
        excludes("a\n!!a\n", "a"),
        "an exception for a file named !a"
    );
}

#[test]
fn an_exception_is_cleaned_together_with_its_mark() {
    assert!(excludes("!../../a", "a"), "which makes it no exception");
    assert!(!excludes("a\n!../a", "x/a") && excludes("a\n!../a", "a"));
    assert!(excludes("b\n/!a\n!b", "b/c") == excludes("b\n!a\n!b", "b/c"));
}

#[test]
fn wildcards_match_as_moby_translates_them() {
    let cases: &[(&str, &str, bool)] = &[
        ("*.py", "a.py", true),
        ("*.py", "d/a.py", false),
        ("**/*.py", "d/e/a.py", true),
        ("**/*.py", "a.py", true),
        ("**/b", "a/b/c", true),
        ("**.x", "d/a.x", true),
        ("a/**", "a/b/c", true),
        ("a/**", "a", false),
        ("a/**/b", "a/b", true),
        ("a/**/b", "a/x/y/b", true),
        ("a**b", "a/x/b", true),
        ("a**b", "axb", false),
        ("a**", "ab/c", true),
        ("?", "é", true),
        ("a?c", "a/c", false),
        ("[a-c]", "b", true),
        ("[^a-c]", "d", true),
        ("[a-]", "-", false),
        ("\\*", "*", true),
        ("\\*", "a", false),
        ("a.b", "aXb", false),
        ("a+*", "a+", true),
        ("**", "anything/at/all", true),
        ("*", "a/b", true),
        ("a/./b/*", "a/b/c", true),
    ];
    for (pattern, path, excluded) in cases {
        if let Ok(ignore) = Ignore::parse(pattern.as_bytes()) {
            assert_eq!(
                ignore.excludes(path.as_bytes()),
                *excluded,
                "{pattern} {path}"
            );
        }
    }
}

#[test]
fn what_a_pattern_smuggles_into_the_expression_counts() {
    assert!(
        excludes("[*]x", "[[]x"),
        "a star in a bracket ends the bracket"
    );
    assert!(!excludes("[*]x", "*x"));
    assert!(excludes("\\d?", "7x") && !excludes("\\d?", "dx"));
    assert!(excludes("[[:alpha:]]*", "q]") == excludes("[a-zA-Z]*", "q]"));
    assert!(excludes("[\\w]*", "_x"));
    assert!(
        !excludes("a^b*", "a^b"),
        "an anchor in the middle never holds"
    );
    assert!(
        excludes("a^b", "a^b"),
        "but without wildcards it is a plain name"
    );
    assert!(
        excludes("a|b*", "ax/y") && excludes("a|b*", "xb"),
        "`|` is an alternative"
    );
    assert!(excludes("*.{js,ts}", "x.{js,ts}") && !excludes("*.{js,ts}", "x.js"));
    assert!(excludes("[0-9]{2}", "42") && !excludes("[0-9]{2}", "4{2}"));
    assert!(
        excludes("*\\Qab", "xab$y"),
        "a quoted text swallows the end"
    );
    assert!(excludes("\\x41*", "Az") && excludes("\\101?", "Az"));
    assert!(
        excludes(b"\xff*", b"\xfex"),
        "bytes that are not UTF-8 are all alike"
    );
    assert!(!excludes(b"\xff", b"\xfe"), "but for a plain name");
}

#[test]
fn a_dot_does_not_match_a_line_feed_but_a_star_does() {
    assert!(excludes("a*", "a\nb") && excludes("a?b", "a\nb"));
    assert!(!excludes("**/b*", "a\nx/b") && excludes("**/b", "a\nx/b"));
}

#[test]
fn patterns_that_docker_refuses_are_refused() {
    for bad in [
        "[a", "a\\", "!", "! ", "!/", "[]a]", "[-a]", "[a-]", "[^", "[\\", "a[", "*[",
    ] {
        let error = Ignore::parse(bad.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("the pattern `"), "{error}");
    }
    assert!(Ignore::parse(&b"a".repeat(65_536)).is_err());
    assert!(Ignore::parse(&b"a".repeat(65_535)).is_ok());
}

#[test]
fn a_pattern_that_cannot_be_compiled_fails_only_when_it_is_tried() {
    for bad in [
        "[b-a]",
        "\\y",
        "\\pL",
        "*{2}",
        "a*[",
        "[[:nope:]]",
        "[a-\\d]",
    ] {
        let ignore = Ignore::parse(bad.as_bytes()).unwrap();
        assert!(ignore.judge(b"x", &Above::default()).is_err(), "{bad}");
        assert!(!ignore.excludes(b"x"), "{bad}");
        let never = Ignore::parse(format!("!{bad}\nx\n").as_bytes()).unwrap();
        let judged = never.judge(b"x", &Above::default()).unwrap().0;
        assert!(judged.by_both(), "{bad}");
    }
}

#[test]
fn docker_s_two_answers_are_told_apart() {
    let judged = |file: &str| judged(&Ignore::parse(file.as_bytes()).unwrap(), b"a/b");
    // The walk does not note `a*` for the folder, as `a` has excluded it already.
    let listed = judged("a\n!a/b\na*\n");
    assert_eq!(listed.handing(), Some(Handing::Withheld));
    // The walk forgets that the exception matched the folder.
    let unlisted = judged("a/b\n!a\n");
    assert_eq!(unlisted.handing(), Some(Handing::Unsent));
    assert!(judged("a\n").by_both());
    assert_eq!(judged("c\n"), Judged::default());
}

#[test]
fn an_excluded_folder_need_only_be_entered_for_an_exception_below_it() {
    let reaches = |file: &str, folder: &str| {
        Ignore::parse(file.as_bytes())
            .unwrap()
            .may_reach_below(folder.as_bytes())
    };
    assert!(!reaches("*\n", "api"));
    assert!(reaches("*\n!api/src\n", "api"));
    assert!(!reaches("*\n!api/src\n", "web"));
    assert!(!reaches("*\n!api\n", "api-x") && !reaches("*\n!api\n", "ap"));
    assert!(reaches("*\n!api/**\n", "api/src"));
    assert!(!reaches("*\n!api/*/x\n", "web"));
    assert!(reaches("*\n!**/x\n", "web/deep"));
}

/// A second implementation of a pattern's meaning, which tries everything.
fn slow_match(pattern: &[char], path: &[char]) -> bool {
    let Some((first, rest)) = pattern.split_first() else {
        return path.is_empty();
    };
    let not_slash = |at: usize| path.get(at).is_some_and(|c| *c != '/');
    match first {
        '*' if rest.first() == Some(&'*') => {
            let rest = if rest.get(1) == Some(&'/') {
                &rest[2..]
            } else {
                &rest[1..]
            };
            if rest.is_empty() {
                return true;
            }
            slow_match(rest, path)
                || (0..path.len()).any(|at| path[at] == '/' && slow_match(rest, &path[at + 1..]))
        }
        '*' => {
            let run = (0..path.len()).take_while(|at| not_slash(*at)).count();
            (0..=run).any(|taken| slow_match(rest, &path[taken..]))
        }
        '?' => not_slash(0) && slow_match(rest, &path[1..]),
        '\\' => path.first() == rest.first() && slow_match(&rest[1..], &path[1..]),
        c => path.first() == Some(c) && slow_match(rest, &path[1..]),
    }
}

/// `**x` by itself matches any end of a path, not only whole names.
fn slow_pattern(pattern: &str, path: &str) -> bool {
    if let Some(end) = pattern.strip_prefix("**")
        && !end.contains(['*', '?', '\\'])
    {
        return path.ends_with(end) || end.strip_prefix('/') == Some(path);
    }
    let chars = |text: &str| text.chars().collect::<Vec<_>>();
    slow_match(&chars(pattern), &chars(path))
}

fn slow_excludes(patterns: &[(bool, String)], path: &str) -> bool {
    let names: Vec<&str> = path.split('/').collect();
    patterns
        .iter()
        .fold(false, |excluded, (exception, pattern)| {
            let matches =
                (1..=names.len()).any(|end| slow_pattern(pattern, &names[..end].join("/")));
            if matches { !exception } else { excluded }
        })
}

/// The walk's answer. The walk goes from folder to folder and keeps what it noted in each
/// (moby/patternmatcher, `MatchesUsingParentResults`).
fn slow_walk(patterns: &[(bool, String)], path: &str) -> bool {
    let names: Vec<&str> = path.split('/').collect();
    let mut noted = vec![false; patterns.len()];
    let mut excluded = false;
    for end in 1..=names.len() {
        let path = names[..end].join("/");
        let above = std::mem::replace(&mut noted, vec![false; patterns.len()]);
        excluded = false;
        for (at, (exception, pattern)) in patterns.iter().enumerate() {
            noted[at] = above[at] || *exception == excluded && slow_pattern(pattern, &path);
            if noted[at] {
                excluded = !exception;
            }
        }
    }
    excluded
}

fn some_path() -> impl Strategy<Value = String> {
    proptest::collection::vec("[ab.é]{1,3}", 1..5).prop_map(|names| names.join("/"))
}

fn some_patterns() -> impl Strategy<Value = Vec<(bool, String)>> {
    let name = r"(\*\*|\*|\?|a|b|é|\\\*|\.a){1,3}";
    let pattern = proptest::collection::vec(name, 1..4).prop_map(|names| names.join("/"));
    let stays = |pattern: &String| !pattern.contains("***") && !pattern.ends_with("/..");
    proptest::collection::vec((any::<bool>(), pattern.prop_filter("plain", stays)), 1..6)
}

proptest! {
    #[test]
    fn the_answer_is_that_of_a_slow_reference(patterns in some_patterns(), path in some_path()) {
        let line = |(exception, pattern): &(bool, String)| {
            format!("{}{pattern}\n", if *exception { "!" } else { "" })
        };
        let file: String = patterns.iter().map(line).collect();
        let ignore = Ignore::parse(file.as_bytes()).unwrap();
        let slow = slow_excludes(&patterns, &path);
        prop_assert_eq!(ignore.excludes(path.as_bytes()), slow);
        prop_assert_eq!(judged(&ignore, path.as_bytes()).by_request, slow);
        prop_assert_eq!(judged(&ignore, path.as_bytes()).by_walk, slow_walk(&patterns, &path));
    }

    #[test]
    fn nothing_below_a_closed_folder_is_taken_in_again(
        patterns in some_patterns(),
        folder in some_path(),
        below in some_path(),
    ) {
        let line = |(exception, pattern): &(bool, String)| {
            format!("{}{pattern}\n", if *exception { "!" } else { "" })
        };
        let file: String = patterns.iter().map(line).collect();
        let ignore = Ignore::parse(file.as_bytes()).unwrap();
        if ignore.excludes(folder.as_bytes()) && !ignore.may_reach_below(folder.as_bytes()) {
            let path = [folder.as_str(), "/", &below].concat();
            prop_assert!(ignore.excludes(path.as_bytes()));
        }
    }
}
