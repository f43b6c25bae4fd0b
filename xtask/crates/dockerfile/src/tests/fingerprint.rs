//! Which changes of a Dockerfile change the text that counts.

use super::support::{ask, of};

fn print(text: &str) -> Vec<u8> {
    of(text).fingerprint
}

const FILE: &str = "# syntax=docker/dockerfile:1\nARG V=1\nARG W=1\nFROM py:$V AS x\nRUN echo a \\\n  b\nRUN <<EOF\nhello\nEOF\n\
    FROM other AS nobody\nRUN c\nFROM x\nCOPY d /\n";

fn edited(from: &str, to: &str) -> (Vec<u8>, Vec<u8>) {
    assert!(FILE.contains(from));
    (print(FILE), print(&FILE.replacen(from, to, 1)))
}

#[test]
fn edits_that_cannot_change_the_build_do_not_count() {
    for (from, to) in [
        ("ARG V", "# a comment\n\nARG V"),
        ("  b\n", "# inside\n  b\n"),
        ("RUN c", "RUN cc"),
        ("FROM other AS nobody\nRUN c\n", ""),
        ("FROM other", "FROM $W"),
        ("ARG W=1", "ARG W=2"),
        ("ARG W=1\n", ""),
        ("COPY d /", "  COPY d /"),
        ("RUN echo a \\\n  b", "RUN echo a   b"),
    ] {
        let (before, after) = edited(from, to);
        assert!(before == after, "{from:?} -> {to:?}");
    }
}

#[test]
fn edits_that_can_change_the_build_count() {
    for (from, to) in [
        ("dockerfile:1", "dockerfile:1.7"),
        ("ARG V=1", "ARG V=2"),
        ("echo a", "echo aa"),
        ("  b\n", " b\n"),
        ("hello\n", "hello \n"),
        ("<<EOF\nhello\nEOF", "<<'EOF'\nhello\nEOF"),
        ("COPY d /", "COPY e /"),
        ("COPY d /", "COPY d /\nUSER 1"),
        ("FROM x\n", "FROM nobody\n"),
        ("RUN echo", "LABEL a=b\nRUN echo"),
    ] {
        let (before, after) = edited(from, to);
        assert!(before != after, "{from:?} -> {to:?}");
    }
}

/// The counted text of one instruction.
fn counted(instruction: &str) -> Vec<u8> {
    print(&format!("FROM scratch\n{instruction}\n"))
}

#[test]
fn what_the_parser_drops_does_not_count() {
    for (one, two) in [
        ("COPY a b /x/", "copy  a\tb \\\n\n  # inside\n   /x/  "),
        (
            "COPY --link --chmod=1 a /x",
            "COPY   --link  --chmod=\"1\"   a  /x",
        ),
        (r#"COPY ["a b", "/x"]"#, r#"COPY [ "a b","/x" ]"#),
        (r#"RUN ["a", "b  c"]"#, r#"run ["a",   "b  c"]"#),
        ("RUN a  b", "run   \\\n a  b "),
        ("ADD a /x", "Add a   /x"),
        ("ENV A=1 B=2", "ENV  A=1   B=2"),
        ("ENV A b  c", "env  A b  c "),
        ("LABEL a=b c=d", "LABEL a=b \\\n  c=d"),
        ("ARG A=1", "arg   A=1"),
        ("EXPOSE 1 2", "EXPOSE 1  2"),
        ("ENV A='1  2' B=\"3  4\"", "ENV A='1  2'\t B=\"3  4\""),
        (
            "COPY <<'A' <<B /x\na\nA\nb\nB",
            "COPY  <<'A'   <<B /x\na\nA\nb\nB",
        ),
        ("USER a", "user   a"),
        ("ONBUILD COPY a /x", "  onbuild   COPY a /x"),
    ] {
        assert!(counted(one) == counted(two), "{one:?} and {two:?}");
    }
    assert!(print("FROM a AS b\n") == print("from  a   AS  b\n"));
}

#[test]
fn what_the_parser_keeps_counts() {
    for (one, two) in [
        ("RUN a  b", "RUN a b"),
        ("RUN a", "RUN A"),
        ("RUN <<EOF\na  b\nEOF", "RUN <<EOF\na b\nEOF"),
        ("COPY <<A /x\na\nA", "COPY <<'A' /x\na\nA"),
        ("COPY << A /x\na\nA", "COPY <<  A /x\na\nA"),
        ("RUN cat  <<A\na\nA", "RUN cat <<A\na\nA"),
        (r#"RUN ["a", "b  c"]"#, r#"RUN ["a", "b c"]"#),
        (r#"RUN ["a", "b"]"#, r#"RUN ["a b"]"#),
        (r#"RUN ["a", "b"]"#, "RUN a b"),
        ("CMD a  b", "CMD a b"),
        ("WORKDIR /a  b", "WORKDIR /a b"),
        ("ENV A b  c", "ENV A b c"),
        ("ENV A=\"b  c\"", "ENV A=\"b c\""),
        ("ENV A=b\\  B=c", "ENV A=b\\ B=c"),
        ("ENV A=1 B='2  3'", "ENV A=1 B='2 3'"),
        ("LABEL a=b c=d", "LABEL a=b\u{a0}c=d"),
        ("ONBUILD COPY a  /x", "ONBUILD COPY a /x"),
        ("ONBUILD COPY a /x", "ONBUILD copy a /x"),
        ("ONBUILD COPY a /x", "ONBUILD\u{b}COPY a /x"),
        ("ONBUILD COPY a /x", "ONBUILD \u{a0}COPY a /x"),
        (r#"VOLUME ["/v 4"]"#, "VOLUME [\"/v\t4\"]"),
        (r#"COPY ["a b","/x/"]"#, "COPY [\"a\tb\",\"/x/\"]"),
        ("COPY a b /x/", "COPY b a /x/"),
        ("COPY --link a /x", "COPY a --link /x"),
        ("COPY -- --link a /x/", "COPY --link a /x/"),
        (r#"COPY ["a b", "/x"]"#, "COPY a b /x"),
    ] {
        assert!(counted(one) != counted(two), "{one:?} and {two:?}");
    }
}

#[test]
fn how_stages_are_named_does_not_count_and_which_are_meant_does() {
    let file = |a: &str, b: &str, from: &str| {
        print(&format!(
            "FROM scratch AS {a}\nCOPY 1 /\nFROM scratch AS {b}\nCOPY 2 /\n\
             FROM {a}\nCOPY --from={b} / /\nCOPY --from={from} / /\n"
        ))
    };
    let print = file("x", "y", "x");
    for same in [
        file("z", "x", "z"),
        file("x", "y", "0"),
        file("x", "y", "X"),
    ] {
        assert!(same == print);
    }
    assert!(file("x", "y", "y") != print);
    assert!(file("x", "y", "1") != print);
    assert!(file("x", "y", "elsewhere") != print);
}

#[test]
fn a_variable_in_a_from_counts_by_what_it_stands_for() {
    let file = |from: &str| print(&format!("ARG V=1\nFROM {from}\n"));
    assert!(file("a:1") != file("a:2"));
    assert!(file("--platform=linux/arm64 a:1") != file("a:1"));
    let bare = |from: &str| print(&format!("FROM {from}\n"));
    assert!(bare("${V:-a}") == bare("a"));
}

#[test]
fn a_setting_counts_only_where_it_gets_into_the_image() {
    let file = |of_tools: &str, of_base: &str| {
        print(&format!(
            "FROM a AS tools\n{of_tools}\nFROM b AS base\n{of_base}\nFROM base\nCOPY --from=tools /x /\n"
        ))
    };
    let plain = file("USER 1", "USER 1");
    for setting in [
        "CMD x",
        "ENTRYPOINT [\"x\"]",
        "EXPOSE 1",
        "HEALTHCHECK NONE",
        "label a=b",
        "STOPSIGNAL 9",
        "VOLUME /v",
    ] {
        let with = format!("USER 1\n{setting}");
        assert!(file(&with, "USER 1") == plain, "{setting}");
        assert!(file("USER 1", &with) != plain, "{setting}");
    }
    for step in ["USER 2", "SHELL [\"x\"]", "WORKDIR /w", "ONBUILD USER 3"] {
        let with = format!("USER 1\n{step}");
        assert!(file(&with, "USER 1") != plain, "{step}");
    }
}

#[test]
fn a_variable_counts_only_where_something_sees_it() {
    let file = |variable: &str, tools: &str, above: &str| {
        print(&format!(
            "FROM a AS tools\n{variable}\n{tools}\nFROM tools AS above\n{above}\n\
             FROM b\nCOPY --from=tools /x /\nCOPY --from=above /x /\n"
        ))
    };
    let seen = [
        ("RUN x", "USER 1"),
        ("USER 1", "RUN x"),
        ("COPY $B /", "USER 1"),
        ("USER 1", "COPY ${B:-x} /"),
        ("COPY <<E /\n$B\nE", "USER 1"),
        ("ONBUILD RUN x", "USER 1"),
    ];
    for variable in ["ENV A=1", "ENV A 1", "ARG A=1", "ARG A"] {
        let unseen = |variable| file(variable, "COPY x /\nLABEL x=$A", "WORKDIR /w\nENV C=$A");
        assert!(unseen(variable) == unseen("ENV Z=2"), "{variable}");
        for (tools, above) in seen {
            let before = file("ENV Z=2", tools, above);
            assert!(
                before != file(variable, tools, above),
                "{variable} {tools} {above}"
            );
        }
        let heeded = variable.replace('A', "SOURCE_DATE_EPOCH");
        assert!(unseen(&heeded) != unseen("ENV Z=2"), "{heeded}");
    }
}

#[test]
fn a_variable_of_the_image_counts() {
    for variable in ["ENV A=1", "ARG A=1"] {
        assert!(counted(variable) != print("FROM scratch\n"), "{variable}");
    }
}

#[test]
fn a_global_default_that_a_stage_takes_over_counts() {
    let file = |v: &str| {
        print(&format!(
            "ARG A={v}\nARG B=$A\nFROM a\nARG B\nRUN echo $B\n"
        ))
    };
    assert!(file("1") != file("2"));
}

#[test]
fn the_target_is_part_of_it() {
    let text = "FROM a AS x\nFROM x AS y\n";
    assert!(ask().target("x").of(text).fingerprint != ask().target("y").of(text).fingerprint);
}

/// Each text is built from two stages that are also reached by number, whatever their names.
#[test]
fn a_name_that_the_text_has_as_it_is_written_counts() {
    let both = "COPY --from=0 / /\nCOPY --from=1 / /\n";
    let file = |a: &str, b: &str, text: &str| {
        ask().of(format!(
            "FROM scratch AS {a}\nCOPY 1 /\nFROM scratch AS {b}\nCOPY 2 /\n{text}{both}"
        ))
    };
    let swapped = |text: &str| {
        let (one, two) = (file("x", "y", text), file("y", "x", text));
        one.fingerprint != two.fingerprint
    };
    for text in [
        "FROM a\nRUN --mount=from=x,target=/x cp /x/1 /\n",
        "FROM a\nRUN --mount=type=bind,target=/x,from=X cp /x/1 /\n",
        "FROM scratch AS z\nONBUILD COPY --from=x /1 /\nFROM z\n",
        "FROM scratch AS z\nONBUILD RUN --mount=from=\"x\",target=/x cp /x/1 /\nFROM z\n",
        "FROM a\nARG U=1\nCOPY --from=x --chown=\"${U:+1 2}0:0\" /1 /\n",
    ] {
        assert!(swapped(text), "{text}");
    }
    assert!(!swapped("FROM a\nRUN --mount=from=w,target=/x cp /x/1 /\n"));
    assert!(!swapped("FROM scratch\nCOPY --from=w:x /1 /\n"));
    // A trigger of an image: the names in this file decide which stage it means.
    let one = |a: &str, b: &str| {
        let text = format!(
            "FROM scratch AS {a}\nCOPY 1 /\nFROM scratch AS {b}\nCOPY 2 /\nFROM base\n{both}"
        );
        let asked = ask().context("base");
        let asked = asked.image("base", &[], &["COPY --from=x /1 /"]);
        asked.of(text).fingerprint
    };
    assert!(one("x", "y") != one("y", "x"));
    assert!(one("x", "y") == one("x", "z"));
}

#[test]
fn what_a_text_resolves_to_is_not_what_another_one_says() {
    let copy = |line: &str| {
        let text =
            format!("FROM a AS u\nFROM b\nCOPY --from=stage . /all/\nCOPY --from=u g /\n{line}\n");
        ask().context("stage").of(text).fingerprint
    };
    assert!(copy("COPY --from=u f /out/") != copy("COPY --from=stage 0 f /out/"));
    let run = |flag: &str| {
        print(&format!(
            "FROM a\nRUN --mount=type=tmpfs,target={flag} ; echo A >/o\n"
        ))
    };
    assert!(run(r"/x\'\\\' \' ' true #'") != run(r"/x'\' \' ' true #'"));
}

#[test]
fn swapped_stages_that_are_reached_by_number_count() {
    let one = "FROM a\nFROM b\nFROM scratch\nCOPY --from=0 /x /\nCOPY --from=1 /y /\n";
    let two = "FROM b\nFROM a\nFROM scratch\nCOPY --from=0 /x /\nCOPY --from=1 /y /\n";
    assert!(print(one) != print(two));
}

#[test]
fn where_text_ends_cannot_be_moved_between_records() {
    assert!(
        print("FROM a\nRUN <<A <<B\nx\nA\ny\nB\n") != print("FROM a\nRUN <<A <<B\nx\ny\nA\nB\n")
    );
}

#[test]
fn in_doubt_every_byte_counts() {
    let one = print("# syntax=mine\nFROM a\n# a\n");
    let two = print("# syntax=mine\nFROM a\n# b\n");
    assert!(one != two);
}

#[test]
fn lines_are_told_for_people() {
    let lines: Vec<usize> = of(FILE)
        .counted
        .iter()
        .map(|c| c.line)
        .filter(|l| *l > 0)
        .collect();
    assert_eq!(lines, [2, 4, 5, 7, 12, 13]);
}
