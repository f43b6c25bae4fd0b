//! Stages, bases, targets, named contexts, ONBUILD.

use super::support::{ask, bases, context, of, paths};
use crate::{BaseKind, ContextNeed, DockerfileError};

const THREE: &str = "FROM a AS x\nCOPY x /\nFROM b AS y\nCOPY y /\nFROM c\nCOPY --from=x /x /\n";

#[test]
fn the_last_stage_is_the_target_and_only_what_it_reaches_counts() {
    let reading = of(THREE);
    assert_eq!(bases(&reading), ["c", "a"]);
    assert_eq!(paths(&reading.context), ["x"]);
    assert_eq!((reading.target, reading.target_name), (2, None));
}

#[test]
fn a_target_is_found_by_name_in_any_case() {
    let reading = ask().target("Y").of(THREE);
    assert_eq!(paths(&reading.context), ["y"]);
    assert_eq!(reading.target_name.as_deref(), Some("y"));
}

#[test]
fn an_unknown_target_is_an_error_that_names_what_there_is() {
    let error = ask()
        .target("builder")
        .read("FROM a AS build\nFROM b AS other\n")
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown target `builder`: up to line 2 the Dockerfile has the stages `build`, `other`; did you mean `build`?"
    );
    let error = ask().target("z").read("FROM a\n").unwrap_err();
    assert!(
        matches!(&error, DockerfileError::UnknownTarget { names, .. } if names.is_empty()),
        "{error}"
    );
}

#[test]
fn a_target_is_never_a_number() {
    assert!(ask().target("0").read("FROM a AS x\n").is_err());
}

#[test]
fn a_from_finds_earlier_stages_only() {
    assert_eq!(bases(&of("FROM a AS x\nFROM x\n")), ["a"]);
    assert_eq!(bases(&of("FROM x AS y\nFROM a AS x\nFROM y\n")), ["x"]);
    assert_eq!(
        bases(&of("FROM alpine AS alpine\nFROM alpine\n")),
        ["alpine"]
    );
    assert_eq!(bases(&of("FROM a AS Xy\nFROM xy\n")), ["a"]);
    // Docker 26 takes `XY` for an image, whose name may have no capitals.
    assert!(!of("FROM a AS Xy\nFROM XY\n").undecided.is_empty());
}

#[test]
fn a_name_given_twice_stands_for_the_last() {
    let text =
        "FROM a AS x\nCOPY one /\nFROM b AS x\nCOPY two /\nFROM scratch\nCOPY --from=x /f /\n";
    assert_eq!(context(text), ["two"]);
}

#[test]
fn copy_counts_stages_from_zero() {
    assert_eq!(
        context("FROM a\nCOPY x /\nFROM b\nCOPY y /\nFROM c\nCOPY --from=0 /x /\n"),
        ["x"]
    );
    assert_eq!(
        context("FROM a\nCOPY x /\nFROM b\nCOPY y /\nFROM c\nCOPY --from=1 /x /\n"),
        ["y"]
    );
    assert_eq!(context("FROM a\nFROM c\nCOPY --from=7 /x /\n"), ["WHOLE"]);
}

#[test]
fn a_stage_shadows_an_image_of_its_name() {
    let reading = of("FROM a AS busybox\nFROM c\nCOPY --from=busybox /x /\n");
    assert_eq!(bases(&reading), ["c", "a"]);
}

#[test]
fn scratch_is_no_base() {
    assert!(of("FROM scratch\nCOPY a /\n").bases.is_empty());
    assert_eq!(bases(&of("FROM scratch:1\n")), ["scratch:1"]);
}

#[test]
fn one_image_used_twice_is_one_base_per_platform() {
    let text = "FROM python AS a\nFROM docker.io/library/python:latest\nCOPY --from=a /x /\nCOPY --from=python /y /\n";
    let reading = of(text);
    assert_eq!(bases(&reading), ["python"]);
    assert_eq!(
        (reading.bases[0].line, reading.bases[0].kind),
        (2, BaseKind::From)
    );
    assert_eq!(reading.bases[0].written, "docker.io/library/python:latest");
    let text = "FROM --platform=linux/amd64 python AS a\nFROM python\nCOPY --from=a /x /\n";
    assert_eq!(of(text).bases.len(), 2);
}

#[test]
fn a_platform_is_expanded_and_an_open_one_is_told() {
    let text = "FROM --platform=$BUILDPLATFORM a\nCOPY x /\n";
    let known = ask().build_platform("linux/x86_64").of(text);
    assert_eq!(known.bases[0].platform.as_deref(), Some("linux/amd64"));
    assert!(known.bases_complete);
    let open = of(text);
    assert_eq!(open.bases[0].platform, None);
    assert!(!open.bases_complete);
    assert_eq!(paths(&open.context), ["x"]);
}

#[test]
fn an_open_from_takes_everything() {
    let reading = ask()
        .context("ctx")
        .of("ARG B\nFROM a AS x\nCOPY x /\nFROM $NO\n");
    assert_eq!(paths(&reading.context), ["WHOLE"]);
    assert_eq!(paths(&reading.named["ctx"]), ["WHOLE"]);
    assert!(!reading.bases_complete);
    assert_eq!(context("FROM $NO AS x\nFROM scratch\nCOPY a /\n"), ["a"]);
}

#[test]
fn a_variable_in_copy_from_takes_everything() {
    let reading = of("ARG V=a\nFROM scratch\nARG V\nCOPY --from=$V /x /\n");
    assert_eq!(paths(&reading.context), ["WHOLE"]);
    assert!(!reading.bases_complete);
}

#[test]
fn a_context_named_like_a_stage_takes_its_place() {
    let text = "FROM a AS x\nCOPY one /\nFROM b\nCOPY --from=x /f /\nCOPY two /\n";
    let reading = ask().context("x").of(text);
    assert_eq!(bases(&reading), ["b"]);
    assert_eq!(paths(&reading.context), ["two"]);
    assert_eq!(paths(&reading.named["x"]), ["f"]);
}

#[test]
fn a_context_named_like_an_image_takes_its_place_in_any_spelling() {
    for name in [
        "python:3.12",
        "docker.io/library/python:3.12",
        "library/python:3.12",
    ] {
        let reading = ask().context(name).of("FROM python:3.12\nCOPY a /\n");
        assert!(reading.bases.is_empty());
        assert_eq!(paths(&reading.named[name]), ["WHOLE"]);
        assert_eq!(paths(&reading.context), ["a"]);
    }
    assert!(
        ask()
            .context("python")
            .of("FROM python:latest\n")
            .bases
            .is_empty()
    );
    assert_eq!(
        ask()
            .context("python:3.11")
            .of("FROM python:3.12\n")
            .bases
            .len(),
        1
    );
}

#[test]
fn a_context_that_replaces_the_target_is_needed_whole() {
    let reading = ask()
        .context("x")
        .target("x")
        .of("FROM a AS x\nCOPY one /\n");
    assert_eq!(paths(&reading.named["x"]), ["WHOLE"]);
    assert_eq!(reading.context, ContextNeed::Nothing);
    assert!(reading.bases.is_empty());
    assert!(reading.undecided.is_empty());
}

#[test]
fn a_stage_on_a_replaced_stage_needs_all_of_the_context() {
    let reading = ask().context("x").of("FROM a AS x\nFROM x\nRUN true\n");
    assert_eq!(paths(&reading.named["x"]), ["WHOLE"]);
}

#[test]
fn a_context_nobody_uses_has_no_need() {
    assert!(ask().context("unused").of("FROM a\n").named.is_empty());
}

#[test]
fn onbuild_runs_in_the_child_and_only_there() {
    let text = "FROM a AS x\nONBUILD COPY app /app\nFROM x AS y\nCOPY own /\nFROM y AS z\n";
    assert_eq!(
        paths(&ask().target("x").of(text).context),
        Vec::<String>::new()
    );
    assert_eq!(paths(&ask().target("y").of(text).context), ["app", "own"]);
    assert_eq!(paths(&ask().target("z").of(text).context), ["app", "own"]);
}

#[test]
fn onbuild_sees_the_childs_scope_and_may_reach_images() {
    let text = "FROM a AS x\nARG D=dir\nONBUILD COPY $D /app\nONBUILD COPY --from=tool:1 /t /t\n\
        ONBUILD RUN <<EOF\nCOPY no /\nEOF\nFROM x\n";
    let reading = ask().image("docker.io/library/a:latest", &[], &[]).of(text);
    assert_eq!(paths(&reading.context), ["dir"]);
    assert_eq!(bases(&reading), ["a", "tool:1"]);
}

#[test]
fn onbuild_of_a_given_image_runs_and_of_others_is_told() {
    let text = "FROM node:onbuild\nCOPY b /\n";
    let name = "docker.io/library/node:onbuild";
    let given = ask().image(name, &[], &["COPY . /app"]).of(text);
    assert_eq!(paths(&given.context), ["", "b"]);
    assert!(given.onbuild_unknown.is_empty());
    let open = of(text);
    assert_eq!(paths(&open.context), ["b"]);
    assert_eq!(open.onbuild_unknown, ["node:onbuild"]);
}

#[test]
fn the_targets_own_triggers_are_left_to_those_that_build_on_it() {
    let text =
        "FROM a AS x\nONBUILD COPY one /\nFROM x\nONBUILD COPY two /\nONBUILD RUN <<E\nhi\nE\n";
    assert_eq!(of(text).triggers, ["COPY two /", "RUN <<E\nhi\nE"]);
    assert_eq!(ask().target("x").of(text).triggers, ["COPY one /"]);
    assert!(of("FROM a\nCOPY x /\n").triggers.is_empty());
}

#[test]
fn a_stage_that_copies_from_itself_or_in_a_circle_ends() {
    let _ = of("FROM a AS x\nCOPY --from=x /a /\n");
    let _ = of("FROM a AS x\nCOPY --from=y /a /\nFROM b AS y\nCOPY --from=x /b /\n");
}

#[test]
fn a_platform_has_one_spelling() {
    let platform = |p: &str| {
        of(format!("FROM --platform={p} a\n")).bases[0]
            .platform
            .clone()
            .unwrap()
    };
    assert_eq!(platform("arm64"), "linux/arm64");
    assert_eq!(platform("linux/aarch64"), "linux/arm64");
    assert_eq!(platform("linux/arm"), "linux/arm/v7");
    assert_eq!(platform("linux"), "linux");
    assert!(!of("FROM --platform=linux a\n").bases_complete);
    assert!(of("FROM --platform=arm64 a\n").bases_complete);
}

#[test]
fn what_a_replacing_context_is_known_to_do_is_done() {
    let text = "FROM a AS x\nFROM x\nCOPY p$V /\n";
    let known = ask().context("x").image("x", &[("V", "v")], &[]).of(text);
    assert_eq!(paths(&known.context), ["pv"]);
    let triggers = ask().context("x").image("x", &[], &["COPY app /"]);
    assert_eq!(paths(&triggers.of(text).context), ["WHOLE"]);
    assert_eq!(paths(&triggers.of("FROM x\n").context), ["app"]);
    let own = ask()
        .context("x")
        .of("FROM a AS x\nONBUILD COPY b /\nFROM x\nCOPY c /\n");
    assert_eq!(paths(&own.context), ["WHOLE"]);
    let open = ask().context("x").of(text);
    assert_eq!(open.onbuild_unknown, ["x"]);
    assert_eq!(paths(&open.context), ["WHOLE"]);
}
