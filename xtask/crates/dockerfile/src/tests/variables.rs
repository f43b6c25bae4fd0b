//! ARG, ENV, and the values of variables.

use super::support::{ask, bases, context, of, paths};

#[test]
fn global_args_serve_from_and_nothing_else() {
    assert_eq!(bases(&of("ARG V=1\nARG I=py:$V\nFROM $I\n")), ["py:1"]);
    assert_eq!(context("ARG D=d\nFROM scratch\nCOPY x$D /\n"), ["x"]);
    assert_eq!(
        context("ARG D=d\nFROM scratch\nARG D\nCOPY x$D /\n"),
        ["xd"]
    );
}

#[test]
fn a_given_value_wins_where_the_name_is_declared() {
    let text = "ARG V=1\nFROM py:$V\nARG D=dir\nCOPY $D /\n";
    let reading = ask().arg("V", "2").arg("D", "other").of(text);
    assert_eq!(bases(&reading), ["py:2"]);
    assert_eq!(paths(&reading.context), ["other"]);
    let undeclared = ask().arg("D", "other").of("FROM scratch\nCOPY x$D /\n");
    assert_eq!(paths(&undeclared.context), ["x"]);
    assert!(undeclared.args.is_empty());
}

#[test]
fn args_are_those_that_count_with_their_values() {
    let text = "ARG TAG=1\nARG UNUSED=2\nARG PART=3\nARG WHOLE=$PART\nFROM py:$TAG AS x\nARG A=a\nARG B\nARG C\nARG WHOLE\n\
        FROM q AS nobody\nARG Z=z\nFROM x\nRUN y\n";
    let reading = ask().arg("C", "c").of(text);
    let args: Vec<_> = reading
        .args
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_deref()))
        .collect();
    assert_eq!(
        args,
        [
            ("A", Some("a")),
            ("B", None),
            ("C", Some("c")),
            ("PART", Some("3")),
            ("TAG", Some("1")),
            ("WHOLE", Some("3"))
        ]
    );
}

#[test]
fn arguments_buildkit_heeds_unasked_count_always() {
    let reading = ask()
        .arg("SOURCE_DATE_EPOCH", "0")
        .arg("BUILDKIT_INLINE_CACHE", "1")
        .arg("HTTP_PROXY", "p")
        .of("FROM a\n");
    assert_eq!(
        reading.args.into_keys().collect::<Vec<_>>(),
        ["BUILDKIT_INLINE_CACHE", "SOURCE_DATE_EPOCH"]
    );
    let declared = ask()
        .arg("HTTP_PROXY", "p")
        .of("FROM a\nARG HTTP_PROXY\nRUN x\n");
    assert_eq!(declared.args["HTTP_PROXY"].as_deref(), Some("p"));
}

#[test]
fn env_is_seen_by_what_follows_and_by_children() {
    assert_eq!(
        context("FROM a AS x\nENV D=d E=$D\nCOPY $D /\nFROM x\nCOPY $D/2 /\n"),
        ["d", "d/2"]
    );
    assert_eq!(
        context("FROM a AS x\nENV D=d\nFROM a\nCOPY $D /\n"),
        ["WHOLE"]
    );
    assert_eq!(context("FROM scratch\nCOPY x$D /\nENV D=d\n"), ["x"]);
}

#[test]
fn env_expands_all_of_itself_before_it_sets_any() {
    assert_eq!(
        context("FROM scratch\nENV A=1\nENV A=2 B=$A\nCOPY $B /\n"),
        ["1"]
    );
    assert_eq!(
        context("FROM scratch\nENV A one two\nCOPY \"$A\" /\n"),
        ["one two"]
    );
    assert_eq!(
        context("FROM scratch\nENV A=\"one two\" B='$A'\nCOPY $A $B /\n"),
        ["one two", "$A"]
    );
}

#[test]
fn one_arg_that_uses_another_of_its_line_is_open() {
    assert_eq!(
        context("FROM scratch\nARG A=1 B=x$A\nCOPY $B /\n"),
        ["WHOLE"]
    );
    assert_eq!(
        context("FROM scratch\nARG A=1\nARG B=x$A\nCOPY $B /\n"),
        ["x1"]
    );
}

#[test]
fn an_images_environment_is_open_unless_it_is_given() {
    let text = "FROM a\nCOPY x$HOME /\n";
    assert_eq!(context(text), ["WHOLE"]);
    let name = "docker.io/library/a:latest";
    assert_eq!(
        paths(&ask().image(name, &[("HOME", "/r")], &[]).of(text).context),
        ["x/r"]
    );
    assert_eq!(paths(&ask().image(name, &[], &[]).of(text).context), ["x"]);
}

#[test]
fn a_parents_env_comes_before_its_arg_in_a_child() {
    let text = "FROM scratch AS x\nENV D=env\nARG D=arg\nCOPY 1$D /\nFROM x\nCOPY 2$D /\n";
    assert_eq!(context(text), ["1arg", "2env"]);
    assert_eq!(
        context("FROM scratch AS x\nARG D=arg\nFROM x\nCOPY 2$D /\n"),
        ["2arg"]
    );
    assert_eq!(
        context("FROM a AS x\nARG D=arg\nFROM x\nCOPY 2$D /\n"),
        ["WHOLE"]
    );
}

#[test]
fn platform_arguments_need_a_platform() {
    let text = "FROM scratch\nARG TARGETARCH TARGETVARIANT\nARG TARGETOS\nCOPY b-$TARGETOS-$TARGETARCH$TARGETVARIANT /\n";
    assert_eq!(context(text), ["WHOLE"]);
    assert_eq!(
        paths(&ask().platform("linux/amd64").of(text).context),
        ["b-linux-amd64"]
    );
    assert_eq!(
        paths(&ask().platform("linux/arm64/v8").of(text).context),
        ["b-linux-arm64"]
    );
    assert_eq!(
        paths(&ask().platform("linux/arm").of(text).context),
        ["b-linux-armv7"]
    );
    assert_eq!(
        paths(
            &ask()
                .platform("linux/amd64")
                .arg("TARGETARCH", "x")
                .of(text)
                .context
        ),
        ["b-linux-x"]
    );
    let undeclared = "FROM scratch\nCOPY b$TARGETARCH /\n";
    assert_eq!(
        paths(&ask().platform("linux/amd64").of(undeclared).context),
        ["b"]
    );
}

#[test]
fn a_platform_argument_redeclared_without_a_value_is_open() {
    let text = "ARG TARGETARCH\nFROM scratch\nARG TARGETARCH\nCOPY b-$TARGETARCH /\n";
    assert_eq!(
        paths(&ask().platform("linux/amd64").of(text).context),
        ["WHOLE"]
    );
}

#[test]
fn modifiers_expand_as_in_a_shell() {
    let with = |expr: &str| {
        context(format!(
            "FROM scratch\nENV S=a.b.c E=\"\"\nCOPY p{expr} /\n"
        ))
    };
    for (expr, path) in [
        ("$S", "pa.b.c"),
        ("${S}", "pa.b.c"),
        ("$NO", "p"),
        ("${NO:-d}", "pd"),
        ("${E:-d}", "pd"),
        ("${E-d}", "p"),
        ("${NO-d}", "pd"),
        ("${S:-d}", "pa.b.c"),
        ("${S:+d}", "pd"),
        ("${E:+d}", "p"),
        ("${E+d}", "pd"),
        ("${NO+d}", "p"),
        ("${S:?m}", "pa.b.c"),
        ("${S#*.}", "pb.c"),
        ("${S##*.}", "pc"),
        ("${S%.*}", "pa.b"),
        ("${S%%.*}", "pa"),
        ("${S/./-}", "pa-b.c"),
        ("${S//./-}", "pa-b-c"),
        ("${S//./\\/}", "pa\\/b\\/c"),
        ("${NO:-${E:-${S}}}", "pa.b.c"),
        ("${NO:-\"q q\"}", "pq"),
        ("\\$S", "p$S"),
        ("'$S'", "p$S"),
        ("\"$S\"", "pa.b.c"),
        ("$", "p$"),
        ("${S}${S}", "pa.b.ca.b.c"),
    ] {
        if expr.contains(' ') {
            continue;
        }
        assert_eq!(with(expr), [path], "{expr}");
    }
    for refused in [
        "${NO:?m}", "${NO?m}", "${E:?m}", "${S", "${}", "${S:#x}", "${S#\\x}", "'", "${S^}",
    ] {
        assert_eq!(with(refused), ["WHOLE"], "{refused}");
    }
}

#[test]
fn an_alternative_that_is_not_taken_may_be_open() {
    let with = |expr: &str| context(format!("FROM a\nENV S=s\nCOPY p{expr} /\n"));
    assert_eq!(with("${S:-$OPEN}"), ["ps"]);
    assert_eq!(with("${S:+$OPEN}"), ["WHOLE"]);
    assert_eq!(with("${OPEN:-x}"), ["WHOLE"]);
}

#[test]
fn a_global_arg_without_a_value_is_blank() {
    assert_eq!(bases(&of("ARG V\nFROM py:${V:-3}\n")), ["py:3"]);
    assert_eq!(bases(&of("ARG V\nFROM py$V\n")), ["py"]);
    assert!(!of("ARG V\nFROM py:${V-3}\n").bases_complete);
}

#[test]
fn the_reason_names_the_line_and_the_variable() {
    let reading = of("FROM a\n\nCOPY $X /\n");
    assert_eq!(
        reading.undecided,
        ["`COPY $X /` on line 3: the Dockerfile does not decide the value of `X`"]
    );
}

#[test]
fn nothing_may_hang_on_an_argument_that_must_not_count() {
    let text = "ARG V=1\nFROM scratch\nARG SHA=none\nARG V\nCOPY x$SHA /\nCOPY y$V /\n";
    let reading = ask().unknown("SHA").of(text);
    assert_eq!(paths(&reading.context), ["WHOLE"]);
    assert_eq!(reading.args.into_keys().collect::<Vec<_>>(), ["V"]);
    let unused = ask()
        .unknown("SHA")
        .of("FROM scratch\nARG SHA=none\nENV S=$SHA\nCOPY y /\n");
    assert_eq!(paths(&unused.context), ["y"]);
    assert!(!ask().unknown("V").of("ARG V=1\nFROM a:$V\n").bases_complete);
}

#[test]
fn an_argument_with_an_odd_name_takes_everything() {
    assert_eq!(context("FROM scratch\nARG 'A'\nCOPY a /\n"), ["WHOLE"]);
    assert_eq!(context("FROM scratch\nARG $A=1\nCOPY a /\n"), ["WHOLE"]);
    assert_eq!(context("FROM scratch\nARG A_1.x-y=1\nCOPY a /\n"), ["a"]);
}

#[test]
fn a_global_epoch_counts_without_any_use() {
    let one = of("ARG SOURCE_DATE_EPOCH=1\nFROM a\n");
    let two = of("ARG SOURCE_DATE_EPOCH=2\nFROM a\n");
    assert_eq!(one.args["SOURCE_DATE_EPOCH"].as_deref(), Some("1"));
    assert!(one.fingerprint != two.fingerprint);
}

#[test]
fn the_value_of_an_argument_counts_only_where_something_sees_it() {
    let args = |text: &str| ask().arg("A", "1").of(text).args;
    for unseen in [
        "FROM a\nARG A\nCOPY x /\n",
        "FROM a AS x\nARG A\nLABEL a=$A\nENV B=$A\nFROM b\nCOPY --from=x /y /\n",
        "FROM a\nARG A\nCOPY $B /\n",
    ] {
        assert!(!args(unseen).contains_key("A"), "{unseen}");
    }
    for seen in [
        "FROM a\nARG A\nRUN x\n",
        "FROM a AS x\nARG A\nFROM x\nRUN y\n",
        "FROM a\nARG A\nCOPY ${A:+x} /\n",
        "FROM a\nARG A\nENV B=$A\n",
        "FROM a\nARG A\nARG B=${B:-$A}\nCOPY $B /\n",
        "FROM a\nARG A\nCOPY <<E /\n$A\nE\n",
        "FROM a AS x\nARG A\nONBUILD RUN y\nFROM x\n",
        // BuildKit sees these names only after it removed quotes, escapes and JSON.
        "FROM a\nARG A\nCOPY [\"x\", \"\\u0024A\"]\n",
        "FROM a\nARG A\nCOPY [\"x\", \"$\\u0041\"]\n",
        "FROM a\nARG A\nVOLUME [\"/\\u0024A\"]\n",
        "FROM a\nARG A\nCOPY --chown=$\\A x /\n",
        "FROM a\nARG A\nCOPY --chown=$\"A\" x /\n",
        "FROM a\nARG A\nCOPY --chown=$'A' x /\n",
        "FROM a\nARG A\nADD --chmod=\"$\"A x /\n",
        "FROM a AS x\nARG A\nCOPY --chown=$'A' y /y\nFROM b\nCOPY --from=x /y /\n",
        // These may fail the build.
        "FROM a AS x\nARG A\nENV B=${A:?}\nFROM b\nCOPY --from=x /y /\n",
        "FROM a AS x\nARG A\nEXPOSE $A\nFROM b\nCOPY --from=x /y /\n",
        "FROM a AS x\nARG A\nENV B=$A\nSTOPSIGNAL $B\nFROM b\nCOPY --from=x /y /\n",
    ] {
        assert!(args(seen).contains_key("A"), "{seen}");
    }
}

/// A given value holds at each place, while defaults may differ. So giving one of the defaults
/// makes another build.
#[test]
fn an_argument_counts_with_its_value_at_each_place() {
    let args = |text: &str, given: &[&str]| {
        let ask = ask().platform("linux/amd64");
        let ask = given.iter().fold(ask, |ask, value| ask.arg("A", value));
        ask.of(text).args
    };
    for text in [
        "FROM scratch AS x\nARG A=1\nCOPY a /$A\nFROM x\nARG A=2\nCOPY a /$A\n",
        "FROM a AS x\nARG A=1\nRUN x\nFROM a\nARG A=2\nRUN x\nCOPY --from=x / /\n",
        "FROM a AS x\nARG A\nRUN x\nFROM x\nARG A=2\nRUN x\n",
        "ARG A=1\nFROM a AS x\nARG A\nRUN x\nFROM x\nARG A=2\nRUN x\n",
        "FROM a\nARG A=1\nLABEL x=$A\nARG A=2\nLABEL y=$A\n",
        "FROM a AS x\nONBUILD ARG A=1\nONBUILD RUN x\nFROM x\nARG A=2\nRUN x\n",
    ] {
        let without = args(text, &[]);
        for given in ["1", "2"] {
            assert_ne!(without, args(text, &[given]), "{text} {given}");
        }
    }
    let alike = "FROM a AS x\nARG A=1\nRUN x\nFROM x\nARG A=1\nRUN x\n";
    assert_eq!(args(alike, &[]), args(alike, &["1"]));
    // An architecture is a default, too.
    let of = |ask: super::support::Ask| {
        ask.platform("linux/amd64")
            .of("FROM a AS x\nARG TARGETARCH=z\nRUN x\nFROM x\nARG TARGETARCH\nRUN x\n")
    };
    assert_ne!(of(ask()).args, of(ask().arg("TARGETARCH", "amd64")).args);
}

#[test]
fn a_list_that_buildkits_versions_read_differently_may_name_any_argument() {
    let args = |text: &str| ask().arg("A", "1").of(text).args;
    assert!(args("FROM a\nARG A\nVOLUME [\"/x\"] y\n").contains_key("A"));
    assert!(!args("FROM a\nARG A\nVOLUME /x y\n").contains_key("A"));
}

#[test]
fn a_variable_whose_absence_refuses_the_build_counts_where_nothing_else_sees_it() {
    let file = |step: &str| format!("FROM a AS x\n{step}\nFROM b\nCOPY --from=x /y /\n");
    let print = |step: &str| of(file(step)).fingerprint;
    assert!(print("ENV Y=1") == print(""));
    assert!(print("ENV Y=${X:?no}") != print(""));
    assert!(print("LABEL y=${X:?no}") != print(""));
}

#[test]
fn a_global_default_that_a_stage_takes_over_for_nothing_does_not_count() {
    let file = |v: &str, step: &str| of(format!("ARG A={v}\nFROM a\nARG A\n{step}\n")).fingerprint;
    assert!(file("1", "COPY x /") == file("2", "COPY x /"));
    assert!(file("1", "COPY $A /") != file("2", "COPY $A /"));
}

#[test]
fn a_name_that_only_unicode_ends_is_not_decided() {
    let of = |source: &str| of(format!("FROM scratch\nARG a=b\nCOPY {source} /o\n"));
    assert!(!of("a$\u{b2}b").undecided.is_empty());
    assert!(!of("$a\u{345}").undecided.is_empty());
    assert_eq!(of("$a-\u{e9}").undecided, [""; 0]);
}
