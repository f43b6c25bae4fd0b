//! Where instructions begin and end.

use super::support::{ask, context, of, paths};
use crate::DockerfileError;

#[test]
fn continuations_join_and_comments_inside_them_vanish() {
    assert_eq!(
        context("FROM scratch\nCOPY a \\\n  # COPY no /\n\n  b \\\n\t/x/\n"),
        ["a", "b"]
    );
    assert_eq!(context("FROM scratch\nCOPY a \\  \n b /x/\n"), ["a", "b"]);
    assert_eq!(context("FROM scratch\nCO\\\nPY a /x/\n"), ["a"]);
}

#[test]
fn a_doubled_escape_sign_does_not_continue() {
    assert_eq!(context("FROM scratch\nRUN echo \\\\\nCOPY a /x\n"), ["a"]);
    assert_eq!(
        context("FROM scratch\nRUN echo \\\nCOPY a /x\n"),
        Vec::<String>::new()
    );
}

#[test]
fn the_escape_directive_changes_the_sign() {
    assert_eq!(
        context("# escape=`\nFROM scratch\nCOPY a `\n b /x/\nCOPY c\\d /\n"),
        ["a", "b", "c\\d"]
    );
    assert_eq!(
        context("FROM scratch\n# escape=`\nCOPY a b` /x/\n"),
        ["a", "b`"]
    );
    assert_eq!(context("# escape=x\nFROM scratch\nCOPY a /\n"), ["WHOLE"]);
    for no_space in ['\u{a0}', '\u{85}', '\u{b}'] {
        let text = format!("#{no_space}escape=`\nFROM scratch\nCOPY a` /\n");
        assert_eq!(context(&text), ["a`"], "{no_space:?}");
    }
    assert_eq!(
        context("# a comment\n# escape=`\nFROM scratch\nCOPY a` /\n"),
        ["a`"]
    );
}

#[test]
fn keywords_have_no_case_and_lines_may_be_indented_or_end_in_crlf() {
    assert_eq!(
        context("from scratch\r\n  copy a /x\r\nCoPy b \\\r\n /y\r\n"),
        ["a", "b"]
    );
    assert_eq!(context("\u{feff}FROM scratch\nCOPY a /x"), ["a"]);
}

#[test]
fn heredocs_of_run_hide_their_lines_wherever_they_start() {
    for run in [
        "RUN <<EOF",
        "RUN cat <<EOF > /x",
        "RUN --mount=type=cache,target=/c cat <<'EOF'",
        "RUN 3<<\"EOF\" cat",
        "RUN cat <<E\\OF",
        "RUN python3 <<EOF && echo",
        "run cat \\\n <<EOF",
        "RUN <<-EOF",
    ] {
        let text = format!("FROM scratch\n{run}\nCOPY hidden /\nEOF\nCOPY seen /\n");
        assert_eq!(context(text), ["seen"], "{run}");
    }
}

#[test]
fn what_only_looks_like_a_heredoc_hides_nothing() {
    for run in [
        "RUN cat <<<EOF",
        "RUN echo \"<<EOF\"",
        "RUN echo '<<EOF'",
        "RUN cat<<EOF",
        "RUN [\"cat\", \"<<EOF\"]",
        "CMD cat <<EOF",
        "RUN echo $((1<<2))",
        "RUN echo $((1 << 2))",
        "RUN cat \\<<EOF",
    ] {
        let text = format!("FROM scratch\n{run}\nCOPY seen /\nEOF=1\n").replace("EOF=1\n", "");
        assert_eq!(context(text), ["seen"], "{run}");
    }
}

#[test]
fn two_heredocs_follow_each_other() {
    let text = "FROM scratch\nRUN cat <<A <<B\nCOPY x /\nA\nCOPY y /\nB\nCOPY z /\n";
    assert_eq!(context(text), ["z"]);
}

#[test]
fn a_space_behind_the_arrows_is_a_heredoc_where_no_version_can_read_it_otherwise() {
    assert_eq!(
        context("FROM scratch\nRUN cat << EOF\nhidden\nEOF\nCOPY z /\n"),
        ["z"]
    );
    assert_eq!(
        context("FROM scratch\nRUN cat << EOF\nCOPY maybe /\nEOF\nCOPY z /\n"),
        ["WHOLE"]
    );
}

#[test]
fn a_heredoc_that_does_not_end_takes_everything() {
    let reading = of("FROM a\nRUN <<EOF\nCOPY a /\n");
    assert_eq!(paths(&reading.context), ["WHOLE"]);
    assert!(!reading.bases_complete);
    assert_eq!(
        reading.undecided,
        ["line 2 cannot be read: a heredoc is not ended"]
    );
}

#[test]
fn an_instruction_nobody_knows_takes_everything_but_keeps_the_bases() {
    let reading = of("FROM a\nNEW thing\n");
    assert_eq!(paths(&reading.context), ["WHOLE"]);
    assert_eq!(super::support::bases(&reading), ["a"]);
    assert!(!reading.bases_complete);
}

#[test]
fn dockers_own_frontends_are_trusted_and_others_take_everything() {
    for known in [
        "docker/dockerfile:1",
        "docker/dockerfile:1.7-labs",
        "docker.io/docker/dockerfile:1.4.0",
        "docker/dockerfile-upstream:master",
        "docker/dockerfile:1-labs",
    ] {
        let reading = of(format!("# syntax={known}\nFROM scratch\nCOPY a /\n"));
        assert_eq!(paths(&reading.context), ["a"], "{known}");
        assert_eq!(reading.syntax.as_deref(), Some(known));
    }
    for other in [
        "docker/dockerfile:2",
        "docker/dockerfile:1.2",
        "mine/dockerfile:1",
        "docker/dockerfile:10",
        "docker/dockerfile",
        "ghcr.io/docker/dockerfile:1",
    ] {
        let reading = of(format!("#syntax = {other} more\nFROM scratch\nCOPY a /\n"));
        assert_eq!(paths(&reading.context), ["WHOLE"], "{other}");
        assert_eq!(reading.syntax.as_deref(), Some(other));
    }
}

#[test]
fn the_syntax_is_found_where_buildkit_finds_it() {
    let syntax = |text: &str| of(text).syntax;
    assert_eq!(syntax("#!/x\n# syntax=a\nFROM b\n").as_deref(), Some("a"));
    assert_eq!(
        syntax("# escape=\\\n# SYNTAX=a\nFROM b\n").as_deref(),
        Some("a")
    );
    assert_eq!(syntax("// syntax=a\nwhatever\n").as_deref(), Some("a"));
    assert_eq!(syntax("{\"syntax\": \"a\"}").as_deref(), Some("a"));
    assert_eq!(syntax("# hello\n# syntax=a\nFROM b\n"), None);
    assert_eq!(syntax("\n# syntax=a\nFROM b\n"), None);
    let asked = ask()
        .arg("BUILDKIT_SYNTAX", "other:1")
        .of("# syntax=a\nFROM b\n");
    assert_eq!(asked.syntax.as_deref(), Some("other:1"));
}

#[test]
fn a_directive_twice_takes_everything() {
    assert_eq!(
        context("# syntax=docker/dockerfile:1\n# syntax=docker/dockerfile:1\nFROM scratch\n"),
        ["WHOLE"]
    );
}

#[test]
fn a_file_without_anything_to_build_is_an_error() {
    for text in ["", "# nothing\n", "ARG X\n", "\n\n"] {
        assert_eq!(ask().read(text), Err(DockerfileError::Empty), "{text:?}");
    }
}

#[test]
fn only_arg_may_stand_before_from() {
    assert_eq!(
        ask().read("ARG A\nRUN x\nFROM a\n"),
        Err(DockerfileError::BeforeFrom { line: 2 })
    );
    assert!(ask().read("ARG A\nFROM a\n").is_ok());
}

#[test]
fn text_that_is_not_utf8_counts_byte_for_byte() {
    let one = of(b"FROM a\nRUN echo \xff\n");
    let two = of(b"FROM a\nRUN echo \xfe\n");
    assert_ne!(one.fingerprint, two.fingerprint);
    assert_eq!(paths(&one.context), ["WHOLE"]);
}

#[test]
fn a_directive_behind_check_is_read_differently_by_versions() {
    let reading = of("# check=skip=all\n# escape=`\nFROM scratch\nCOPY f \\\nCOPY g /\n");
    assert!(!reading.undecided.is_empty());
    let alone = of("# escape=`\n# check=skip=all\nFROM scratch\nCOPY f /\n");
    assert_eq!(alone.undecided, [""; 0]);
}

#[test]
fn a_line_that_buildkit_may_find_too_long_takes_everything() {
    for (before, after) in [("# ", "\n"), ("RUN <<E\n", "\nE\n"), ("RUN ", "\n")] {
        let with = |length: usize| {
            let line = "x".repeat(length);
            of(format!("FROM scratch\n{before}{line}{after}")).undecided
        };
        assert!(with(60_000).is_empty(), "{before}");
        assert_eq!(with(65_536).len(), 1, "{before}");
    }
}
