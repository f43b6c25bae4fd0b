//! Unreached stages: an instruction counts if BuildKit may refuse the whole file for it.

use super::support::{ask, of};

fn print(text: &str) -> Vec<u8> {
    of(text).fingerprint
}

#[test]
fn what_buildkit_may_refuse_counts_where_nothing_else_does() {
    let unreached = |line: &str| print(&format!("FROM a AS x\n{line}\nFROM b\n"));
    let copied = |line: &str| {
        print(&format!(
            "FROM a AS x\nCOPY y /y\n{line}\nFROM b\nCOPY --from=x /y /\n"
        ))
    };
    let replaced = |line: &str| {
        let text = format!("FROM a AS x\n{line}\nFROM b\nCOPY --from=x /y /\n");
        ask().context("x").of(text).fingerprint
    };
    for line in [
        "LABEL a",
        "HEALTHCHECK nonsense",
        "STOPSIGNAL",
        "EXPOSE x/y",
    ] {
        assert!(unreached(line) != unreached(""), "{line}");
        assert!(copied(line) != copied(""), "{line}");
        assert!(replaced(line) != replaced(""), "{line}");
    }
    for line in ["LABEL a=b", "HEALTHCHECK NONE", "STOPSIGNAL 9", "EXPOSE 1"] {
        assert!(unreached(line) == unreached(""), "{line}");
        assert!(copied(line) == copied(""), "{line}");
        assert!(replaced(line) == replaced(""), "{line}");
    }
}

/// BuildKit resolves all names in a file before it builds one stage.
#[test]
fn what_names_nothing_counts_in_a_stage_that_nobody_reaches() {
    let unreached = |text: &str| {
        let text = format!("ARG I=i\nFROM scratch AS b\n{text}\nFROM a\nCOPY --from=b / /\n");
        ask().arg("GIVEN", "g").of(text).fingerprint
    };
    let plain = unreached("FROM i AS c");
    for text in [
        "FROM ${NOTHING} AS c",
        "FROM a@b AS c",
        "FROM SCRATCH AS c",
        "FROM B AS c",
        "FROM --platform=foo/bar/baz/q i AS c",
        "FROM i AS c\nCOPY --from=7 / /",
        "FROM i AS c\nCOPY --from=1 / /",
        "FROM i AS c\nCOPY --from=a@b / /",
        "FROM i AS c\nRUN --mount=from=a@b,target=/x make",
        "FROM i AS c\nRUN --mount=from=c,target=/x make",
        "FROM --platform=nonsense i AS c",
        "FROM --platform=linux/a.b i AS c",
    ] {
        assert!(unreached(text) != plain, "{text}");
    }
    for text in [
        "FROM ${I} AS c",
        "FROM localhost:5000/a/b-c:1.2-x AS c",
        "FROM --platform=linux/arm64/v8 i AS c",
        "FROM b AS c",
        "FROM i AS c\nCOPY --from=0 / /",
        "FROM i AS c\nCOPY --from=b / /",
        "FROM i AS c\nRUN --mount=from=j:1,target=/x make",
    ] {
        assert!(unreached(text) == plain, "{text}");
    }
}

#[test]
fn what_an_unreached_stage_stands_on_counts_where_it_may_be_refused() {
    let text = "ARG A\nFROM $A AS x\nFROM scratch\nCOPY f /\n";
    let given = |value: &str| ask().arg("A", value).of(text).fingerprint;
    assert!(given("a__b") != given("a___b"));
    assert!(given("a") == given("b"));
}

#[test]
fn a_line_that_goes_to_another_stage_counts() {
    for line in [
        "EXPOSE 8000-8002",
        "HEALTHCHECK --start-interval=5s CMD x",
        "COPY --from=a__b /f /2",
    ] {
        let here = print(&format!(
            "FROM scratch AS u\nFROM scratch\nCOPY f /\n{line}\n"
        ));
        let there = print(&format!(
            "FROM scratch AS u\n{line}\nFROM scratch\nCOPY f /\n"
        ));
        assert!(here != there, "{line}");
    }
}
