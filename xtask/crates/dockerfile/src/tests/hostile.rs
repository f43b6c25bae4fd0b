//! Hostile text. If work grew faster than the text, these tests would take minutes.

use proptest::prelude::*;

use super::support::{ask, paths};
use crate::{ContextNeed, DockerfileError, Reading, has_from};

fn read(text: impl AsRef<[u8]>) -> Result<Reading, DockerfileError> {
    ask().platform("linux/amd64").context("x").read(text)
}

fn of(text: impl AsRef<[u8]>) -> Reading {
    read(text).unwrap()
}

fn repeated(times: usize, line: impl Fn(usize) -> String) -> String {
    (0..times).fold(String::new(), |text, n| text + &line(n))
}

/// The same instructions in lines that are short enough for BuildKit.
fn folded(text: &str) -> String {
    let line = |line: &str| {
        let pieces: Vec<&[u8]> = line.as_bytes().chunks(60_000).collect();
        String::from_utf8(pieces.join(&b"\\\n"[..])).unwrap()
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn needs(reading: &Reading) -> usize {
    match &reading.context {
        ContextNeed::Paths(needs) => needs.len(),
        _ => 0,
    }
}

fn is_whole(reading: &Reading) -> bool {
    matches!(reading.context, ContextNeed::Whole { .. })
}

#[test]
fn a_line_of_a_megabyte_is_read() {
    let of = |text: String| of(folded(&text));
    let run = of(format!("FROM a\nRUN {}\n", "x ".repeat(1 << 19)));
    assert_eq!(run.context, ContextNeed::Nothing);
    let copy = of(format!("FROM a\nCOPY {} /\n", "x ".repeat(1 << 19)));
    assert_eq!(paths(&copy.context), ["x"]);
    let up = of(format!("FROM a\nCOPY {} /\n", "../".repeat(1 << 18)));
    assert_eq!(paths(&up.context), [""]);
    let heredocs = of(format!("FROM a\nRUN cat {}\n", "<<E ".repeat(1 << 16)));
    assert!(is_whole(&heredocs), "they are never ended");
    let continued = of(format!("FROM a\nRUN {}", "\\\n".repeat(1 << 18)));
    assert_eq!(continued.bases.len(), 1);
    let brackets = of(format!("FROM a\nCOPY {}\n", "[".repeat(1 << 20)));
    assert!(is_whole(&brackets), "a COPY without a destination");
    assert_eq!(read("[".repeat(1 << 20)), Err(DockerfileError::Empty));
    let in_one = read(format!("FROM a\nCOPY {} /\n", "x ".repeat(1 << 19))).unwrap();
    assert!(is_whole(&in_one), "BuildKit refuses such a line");
    let variables = of(format!("FROM a\nCOPY {} /\n", "$A".repeat(1 << 19)));
    assert!(is_whole(&variables));
}

#[test]
fn a_hundred_thousand_lines_are_read() {
    let text = format!("FROM a\n{}", "ENV A=$A$A\n".repeat(100_000));
    assert_eq!(of(text).context, ContextNeed::Nothing);
    let text = format!("FROM scratch\n{}", "COPY a b\n".repeat(100_000));
    assert_eq!(needs(&of(text)), 1);
    assert_eq!(of("FROM a\n".repeat(100_000)).target, 99_999);
    let many = repeated(50_000, |n| format!("FROM s{n} AS s{}\nENV V{n}=x\n", n + 1));
    assert_eq!(of(format!("FROM a AS s0\n{many}")).bases.len(), 1);
    let named = repeated(100_000, |n| format!("COPY f{n} /\n"));
    assert_eq!(needs(&of(format!("FROM a\n{named}"))), 100_000);
    let variables = repeated(30_000, |n| {
        format!("ENV V{n}=$V{}{}\n", n / 2, "x".repeat(20))
    });
    let reading = of(format!("FROM scratch\n{variables}"));
    assert_eq!(reading.context, ContextNeed::Nothing);
    let mentions = repeated(50_000, |n| {
        format!("FROM a AS n{n}\nCOPY --from=n{} /x /\n", n / 2)
    });
    assert_eq!(of(mentions).target, 49_999);
}

#[test]
fn a_hundred_thousand_images_and_doubts_are_noted_once_each() {
    let images = repeated(100_000, |n| format!("COPY --from=some/image:{n} / /\n"));
    let reading = of(format!("FROM scratch\n{images}{images}"));
    assert_eq!(reading.bases.len(), 100_000);
    let stages = repeated(50_000, |n| format!("FROM some/image:{n} AS s{n}\n"));
    let uses = repeated(50_000, |n| format!("COPY --from=s{n} / /\n"));
    let reading = of(format!("{stages}FROM scratch\n{uses}"));
    assert_eq!(reading.onbuild_unknown.len(), 50_000);
    let open = "COPY $OPEN /\n".repeat(100_000);
    assert_eq!(of(format!("FROM a\n{open}")).undecided.len(), 100_000);
    let unreadable = "COPY nothing\n".repeat(100_000);
    assert_eq!(of(format!("FROM a\n{unreadable}")).undecided.len(), 100_000);
}

#[test]
fn a_hundred_thousand_heredocs_that_never_end_are_not_searched_for_one_by_one() {
    let apart = repeated(100_000, |n| format!("RUN cat << E{n}\n"));
    assert_eq!(of(format!("FROM a\n{apart}")).bases.len(), 1);
    let ended = repeated(100_000, |n| format!("RUN cat <<E{n}\nx\nE{n}\n"));
    assert_eq!(of(format!("FROM a\n{ended}")).counted.len(), 100_003);
}

#[test]
fn stages_that_stand_on_one_with_many_variables_or_triggers_do_not_multiply_them() {
    let children = |base: &str| {
        let stages = repeated(50_000, |n| format!("FROM {base} AS s{n}\n"));
        let uses = repeated(50_000, |n| format!("COPY --from=s{n} / /\n"));
        format!("{stages}FROM scratch\n{uses}")
    };
    let variables = repeated(50_000, |n| format!("ENV V{n}=x\n"));
    let reading = of(format!(
        "FROM scratch AS b\nARG V0=y\n{variables}{}",
        children("b")
    ));
    assert_eq!(reading.context, ContextNeed::Nothing);
    let triggers = repeated(50_000, |n| format!("ONBUILD COPY f{n} /\n"));
    let reading = of(format!("FROM scratch AS b\n{triggers}{}", children("b")));
    assert!(is_whole(&reading), "some triggers were not looked at");
}

#[test]
fn many_sources_with_many_excludes_or_a_long_checksum_do_not_multiply_them() {
    let excludes = repeated(40_000, |n| format!("--exclude=e{n} "));
    let sources = repeated(100_000, |n| format!("f{n} "));
    let reading = of(folded(&format!("FROM a\nCOPY {excludes}{sources}/\n")));
    assert_eq!(needs(&reading), 100_000);
    let urls = repeated(50_000, |n| format!("https://h/{n} "));
    let sum = "0".repeat(1 << 19);
    let reading = of(folded(&format!(
        "FROM a\nADD --checksum=sha256:{sum} {urls}/\n"
    )));
    assert_eq!(reading.remotes.len(), 50_000);
}

#[test]
fn a_long_value_that_is_trimmed_or_replaced_often_ends() {
    let long = "ab".repeat(30_000);
    for form in ["${A#*b}", "${A%%a*}", "${A//a*b/c}", "${A/b/c}", "${A:+x}"] {
        let uses = format!("ARG B={form}\n").repeat(100_000);
        let reading = of(format!("FROM scratch\nENV A={long}\n{uses}COPY x$B /\n"));
        assert!(is_whole(&reading), "{form}");
    }
    let short = "ENV B=${A//a/b}\n".repeat(10_000);
    let reading = of(format!("FROM scratch\nENV A=a-a\n{short}COPY $B /\n"));
    assert_eq!(paths(&reading.context), ["b-b"]);
}

#[test]
fn deep_nesting_ends() {
    let (open, close) = ("${A:-".repeat(100_000), "}".repeat(100_000));
    assert!(is_whole(&of(format!("FROM a\nCOPY {open}{close} /\n"))));
    assert!(is_whole(&of(format!("FROM a\nRUN {open}<<E\n"))));
    let quoted = "\"${A:-".repeat(100_000);
    assert!(is_whole(&of(format!("FROM a\nCOPY {quoted} /\n"))));
    let stars = "a*".repeat(2_000);
    let long = "a".repeat(5_000);
    let text = format!("FROM scratch\nENV A={long}\nCOPY ${{A//{stars}/}} /\n");
    assert!(is_whole(&of(text)));
    let arrays = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    assert!(is_whole(&of(format!("FROM a\nCOPY {arrays}\n"))));
    let objects = "{\"syntax\":".repeat(100_000);
    assert_eq!(read(objects), Err(DockerfileError::Empty));
}

fn line() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("FROM".to_owned()),
        Just("COPY".to_owned()),
        Just("RUN".to_owned()),
        Just("ARG".to_owned()),
        Just("ENV".to_owned()),
        Just("ONBUILD".to_owned()),
        Just("AS".to_owned()),
        Just("<<EOF".to_owned()),
        Just("EOF".to_owned()),
        Just("\\\n".to_owned()),
        Just("--from=0".to_owned()),
        Just("--parents".to_owned()),
        Just("--mount=".to_owned()),
        Just("type=bind,from=a".to_owned()),
        Just("A=$B".to_owned()),
        Just("${A:-$B}".to_owned()),
        Just("# escape=`".to_owned()),
        Just("[\"a\",\"b\"]".to_owned()),
        Just("\n".to_owned()),
        "\\PC{0,4}",
        "[$\\{\\}:#%/?+'\"\\\\<`*-]{0,6}",
    ];
    proptest::collection::vec((word, prop_oneof![Just(" "), Just("\n"), Just("")]), 0..30)
        .prop_map(|parts| parts.into_iter().map(|(word, gap)| word + gap).collect())
}

proptest! {
    #[test]
    fn any_bytes_get_an_answer_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = ask().read(&bytes);
    }

    #[test]
    fn anything_like_a_dockerfile_gets_an_answer_or_an_error(text in line()) {
        let _ = ask().platform("linux/amd64").context("a").read(&text);
        let _ = ask().target("a").read(format!("FROM a AS a\n{text}"));
    }

    #[test]
    fn nothing_without_a_from_gets_an_answer_unless_another_frontend_reads_it(text in line()) {
        for text in [text.replace('\n', "\r"), text] {
            if let Ok(reading) = ask().read(&text) {
                prop_assert!(has_from(text.as_bytes()) || reading.syntax.is_some());
            }
        }
    }

    #[test]
    fn a_reading_depends_on_nothing_but_text_and_question(text in line()) {
        let text = format!("FROM a AS a\n{text}");
        prop_assert_eq!(ask().read(&text), ask().read(&text));
    }

    #[test]
    fn a_comment_at_the_end_changes_no_fingerprint(text in line()) {
        let text = format!("FROM a\n{text}\n");
        if let (Ok(one), Ok(two)) = (ask().read(&text), ask().read(format!("{text}# x\n"))) {
            let plain = one.undecided.is_empty() && two.undecided.is_empty();
            prop_assert!(!plain || one.fingerprint == two.fingerprint);
        }
    }
}
