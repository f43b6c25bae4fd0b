//! Text that means harm.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::support::ask;

/// Far more than any of these takes, also where the machine is busy.
const LIMIT: Duration = Duration::from_secs(20);

fn quickly(text: impl AsRef<[u8]>) {
    let begun = Instant::now();
    let _ = ask().platform("linux/amd64").context("x").read(text);
    assert!(begun.elapsed() < LIMIT);
}

fn repeated(times: usize, line: impl Fn(usize) -> String) -> String {
    (0..times).fold(String::new(), |text, n| text + &line(n))
}

#[test]
fn a_line_of_a_megabyte_is_read() {
    quickly(format!("FROM a\nRUN {}\n", "x ".repeat(1 << 19)));
    quickly(format!("FROM a\nCOPY {} /\n", "x ".repeat(1 << 19)));
    quickly(format!("FROM a\nCOPY {} /\n", "../".repeat(1 << 18)));
    quickly(format!("FROM a\nRUN cat {}\n", "<<E ".repeat(1 << 16)));
    quickly(format!("FROM a\nRUN {}", "\\\n".repeat(1 << 18)));
    quickly("[".repeat(1 << 20));
    quickly(format!("FROM a\nCOPY {}\n", "[".repeat(1 << 20)));
}

#[test]
fn a_hundred_thousand_lines_are_read() {
    quickly(format!("FROM a\n{}", "ENV A=$A$A\n".repeat(100_000)));
    quickly(format!(
        "FROM scratch\nENV A=ab\n{}",
        "ENV A=$A$A\n".repeat(100_000)
    ));
    quickly(format!("FROM scratch\n{}", "COPY a b\n".repeat(100_000)));
    quickly("FROM a\n".repeat(100_000));
    let many = repeated(50_000, |n| format!("FROM s{n} AS s{}\nENV V{n}=x\n", n + 1));
    quickly(format!("FROM a AS s0\n{many}"));
    let named = repeated(50_000, |n| format!("COPY f{n} /\n"));
    quickly(format!("FROM a\n{named}"));
    let vars = repeated(30_000, |n| {
        format!("ENV V{n}=$V{}{}\n", n / 2, "x".repeat(20))
    });
    quickly(format!("FROM scratch\n{vars}"));
    let mentions = repeated(50_000, |n| {
        format!("FROM a AS n{n}\nCOPY --from=n{} /x /\n", n / 2)
    });
    quickly(mentions);
}

#[test]
fn deep_nesting_ends() {
    quickly(format!(
        "FROM a\nCOPY {}{} /\n",
        "${A:-".repeat(100_000),
        "}".repeat(100_000)
    ));
    quickly(format!("FROM a\nRUN {}<<E\n", "${A:-".repeat(100_000)));
    quickly(format!(
        "FROM scratch\nENV A={}\nCOPY ${{A//{}/}} /\n",
        "a".repeat(5_000),
        "a*".repeat(2_000)
    ));
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
