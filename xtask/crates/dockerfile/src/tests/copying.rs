//! COPY and ADD.

use super::support::{ask, bases, context, of, paths};
use crate::{ContextNeed, RemoteKind};

fn copied(instruction: &str) -> Vec<String> {
    context(format!("FROM scratch\n{instruction}\n"))
}

#[test]
fn every_source_but_not_the_destination_is_needed() {
    assert_eq!(copied("COPY a b/c /app/"), ["a", "b/c"]);
    assert_eq!(copied("ADD a b.tar /app/"), ["a", "b.tar"]);
}

#[test]
fn paths_are_cleaned_and_never_leave_the_context() {
    assert_eq!(copied("COPY ./a//b/../c /x"), ["a/c"]);
    assert_eq!(copied("COPY ../../x /y /z"), ["x", "y"]);
    assert_eq!(copied("COPY . /x"), [""]);
    assert_eq!(copied("COPY / /x"), [""]);
}

#[test]
fn the_json_form_keeps_spaces_in_names() {
    assert_eq!(copied(r#"COPY ["a b", "c", "/x/"]"#), ["a b", "c"]);
    assert_eq!(copied(r#"COPY --link ["a b", "/x/"]"#), ["a b"]);
    assert_eq!(copied(r#"COPY ["a" /x]"#), ["*:[a"]);
    assert_eq!(copied(r#"COPY ["a", 1]"#), ["WHOLE"]);
    assert_eq!(copied(r#"COPY ["a", "b"] c"#), ["WHOLE"]);
}

#[test]
fn quotes_and_escapes_are_resolved_in_the_plain_form() {
    assert_eq!(copied(r#"COPY "a" 'b' c\d /x/"#), ["a", "b", "cd"]);
}

#[test]
fn wildcards_are_patterns_and_plain_names_are_not() {
    assert_eq!(
        copied("COPY *.txt a? b[0-9] c /x/"),
        ["*:*.txt", "*:a?", "*:b[0-9]", "c"]
    );
    assert_eq!(copied("COPY a/../*.txt /x/"), ["*:*.txt"]);
}

#[test]
fn a_backslash_counts_as_an_escape_only_where_a_pattern_is() {
    assert_eq!(copied(r"COPY a\\b /x"), [r"a\b"]);
    assert_eq!(copied(r"COPY a\\b/* /x"), [r"*:a\\b/*"]);
    assert_eq!(copied(r"COPY a\\*b* /x"), [r"*:a\*b*"]);
}

#[test]
fn excludes_are_kept_as_far_as_every_version_reads_them_alike() {
    let excludes = |text: &str| match of(format!("FROM scratch\n{text}\n")).context {
        ContextNeed::Paths(needs) => {
            let shown = needs[0]
                .exclude
                .iter()
                .map(|e| String::from_utf8_lossy(e).into_owned());
            shown.collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(
        excludes("COPY --exclude=*.md --exclude=t . /x"),
        ["*.md", "t"]
    );
    assert_eq!(excludes("ADD --exclude=*.md . /x"), ["*.md"]);
    assert_eq!(excludes("COPY --exclude=$X --exclude=t . /x"), ["t"]);
    assert!(excludes("COPY --exclude=* --exclude=!$X . /x").is_empty());
    assert!(excludes("COPY . /x").is_empty());
}

#[test]
fn parents_keeps_the_pivot_and_stops_at_patterns_of_another_kind() {
    assert_eq!(copied("COPY --parents a/./b/c /x"), ["a/b/c"]);
    assert_eq!(copied("COPY --parents a/b /x"), ["a/b"]);
    assert_eq!(
        copied("COPY --parents */package.json /x"),
        ["*:*/package.json"]
    );
    assert_eq!(copied("COPY --parents a/./**/package.json /x"), ["a"]);
    assert_eq!(copied("COPY --parents **/package.json /x"), ["WHOLE"]);
    assert_eq!(copied("COPY --parents . /x"), [""]);
    assert_eq!(copied("COPY --parents a/[b]/c /x"), ["a"]);
    assert_eq!(copied("COPY --parents=false a/**/c /x"), ["*:a/**/c"]);
}

#[test]
fn flags_that_change_only_the_outcome_change_no_need() {
    assert_eq!(copied("COPY --link --chown=1:2 --chmod=644 a /x"), ["a"]);
    assert_eq!(copied("COPY --link=false a /x"), ["a"]);
}

#[test]
fn a_flag_nobody_knows_takes_everything() {
    assert_eq!(copied("COPY --new=1 a /x"), ["WHOLE"]);
    assert_eq!(copied("ADD --from=x a /x"), ["WHOLE"]);
    assert_eq!(copied("COPY --chown=1 --chown=2 a /x"), ["WHOLE"]);
    assert_eq!(copied("COPY --link=perhaps a /x"), ["WHOLE"]);
    assert_eq!(copied("COPY a"), ["WHOLE"]);
}

#[test]
fn heredoc_sources_read_nothing_from_the_context() {
    assert_eq!(
        copied("COPY <<EOF /x\nCOPY secret /y\nEOF"),
        Vec::<String>::new()
    );
    assert_eq!(
        copied("COPY a <<EOF <<-END b /x/\nCOPY s /\nEOF\n\tEND\nCOPY c /"),
        ["a", "b", "c"]
    );
}

#[test]
fn urls_and_repositories_are_remote_sources_of_add() {
    let reading = of(
        "FROM scratch\nADD --checksum=sha256:1 https://e.x/a.tgz /a\n\
        ADD https://github.com/o/r.git#v1:sub /b\nADD git@github.com:o/r.git /c\nADD git://h/r local /d/\n",
    );
    let remotes: Vec<_> = reading
        .remotes
        .iter()
        .map(|r| (r.url.as_str(), r.kind, r.line))
        .collect();
    assert_eq!(
        remotes,
        [
            ("https://e.x/a.tgz", RemoteKind::Http, 2),
            ("https://github.com/o/r.git#v1:sub", RemoteKind::Git, 3),
            ("git@github.com:o/r.git", RemoteKind::Git, 4),
            ("git://h/r", RemoteKind::Git, 5),
        ]
    );
    assert_eq!(reading.remotes[0].checksum.as_deref(), Some("sha256:1"));
    assert!(reading.remotes.iter().all(|r| r.known));
    assert_eq!(paths(&reading.context), ["git@github.com:o/r.git", "local"]);
}

#[test]
fn a_remote_source_with_an_open_variable_is_remote_but_not_known() {
    let reading = of("FROM a\nADD https://e.x/$V.tgz /a\n");
    assert!(!reading.remotes[0].known);
    assert_eq!(paths(&reading.context), Vec::<String>::new());
    let reading = of("FROM a\nARG V=1\nADD https://e.x/$V.tgz /a\n");
    assert_eq!(reading.remotes[0].url, "https://e.x/1.tgz");
    assert!(reading.remotes[0].known);
    assert_eq!(context("FROM a\nADD $V /a\n"), ["WHOLE"]);
}

#[test]
fn a_remote_source_is_fixed_by_its_checksum_or_a_whole_commit() {
    let is_fixed = |add: &str| {
        let reading = of(format!("FROM a\nADD {add} /x\n"));
        reading.remotes.iter().all(|remote| remote.is_fixed)
    };
    let commit = "ca19bd31d42fb87c83b91541c473ebae85e9d14e";
    for fixed in [
        "--checksum=sha256:1 https://e.x/a".to_owned(),
        format!("https://e.x/r.git#{commit}"),
        format!("https://e.x/r.git#{commit}:sub"),
        format!("git@e.x:o/r.git#{commit}"),
        "vendor/a".to_owned(),
        "vendor/$OPEN/a".to_owned(),
    ] {
        assert!(is_fixed(&fixed), "{fixed}");
    }
    for moving in [
        "https://e.x/a".to_owned(),
        "--checksum=sha256:$OPEN https://e.x/a".to_owned(),
        format!("https://e.x/a#{commit}"),
        "https://e.x/r.git".to_owned(),
        "https://e.x/r.git#v1:sub".to_owned(),
        format!("https://e.x/r.git#{}", &commit[1..]),
        format!("https://e.x/r.git#v1:{commit}"),
        "git@e.x:o/r.git".to_owned(),
        "git://e.x/r".to_owned(),
        "e.x/r.git".to_owned(),
        "--checksum= https://e.x/a".to_owned(),
        "$OPEN/a".to_owned(),
        "e.x/$OPEN".to_owned(),
        "e.x/$OPEN/r.git".to_owned(),
        "http$OPEN://e.x/a".to_owned(),
    ] {
        assert!(!is_fixed(&moving), "{moving}");
    }
}

#[test]
fn a_repository_without_a_scheme_is_a_path_too() {
    assert_eq!(copied("ADD github.com/o/r.git /x"), ["github.com/o/r.git"]);
    let reading = of("FROM scratch\nADD vendor/r.git /x\n");
    assert_eq!(paths(&reading.context), ["vendor/r.git"]);
    assert_eq!(reading.remotes.len(), 1);
    assert!(
        of("FROM scratch\nADD ./vendor/r.git /x\n")
            .remotes
            .is_empty()
    );
}

#[test]
fn a_copy_from_elsewhere_needs_nothing_of_the_context() {
    let reading = of("FROM scratch\nCOPY --from=busybox:1 /bin/sh /sh\n");
    assert_eq!(bases(&reading), ["busybox:1"]);
    assert_eq!(reading.context, ContextNeed::Nothing);
}

#[test]
fn a_copy_from_a_named_context_needs_its_paths_there() {
    let reading = ask()
        .context("src")
        .of("FROM scratch\nCOPY --from=src a b /x/\n");
    assert_eq!(paths(&reading.named["src"]), ["a", "b"]);
    assert_eq!(reading.context, ContextNeed::Nothing);
    assert!(reading.bases.is_empty());
}

#[test]
fn on_windows_paths_are_not_understood() {
    let text = "FROM a\nCOPY a\\b /x\n";
    assert_eq!(
        paths(&ask().platform("windows/amd64").of(text).context),
        ["WHOLE"]
    );
    assert_eq!(
        paths(&ask().platform("linux/amd64").of(text).context),
        ["ab"]
    );
}

#[test]
fn the_same_need_twice_is_kept_once_with_its_first_line() {
    let reading = of("FROM scratch\nCOPY a /x\nCOPY b /y\nCOPY a /z\n");
    let ContextNeed::Paths(needs) = reading.context else {
        panic!()
    };
    let lines: Vec<_> = needs.iter().map(|n| n.line).collect();
    assert_eq!(lines, [2, 3]);
}
