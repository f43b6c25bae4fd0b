//! RUN --mount.

use super::support::{ask, bases, context, of, paths};
use crate::BaseKind;

fn mounted(mount: &str) -> Vec<String> {
    context(format!("FROM a\nRUN --mount={mount} true\n"))
}

#[test]
fn bind_is_the_default_and_reads_its_source_literally() {
    assert_eq!(mounted("target=/x,source=a/../b"), ["b"]);
    assert_eq!(mounted("type=bind,src=*.txt,dst=/x"), ["*.txt"]);
    let crate::ContextNeed::Paths(needs) =
        of("FROM a\nRUN --mount=src=*.txt,dst=/x true\n").context
    else {
        panic!()
    };
    assert!(!needs[0].wildcard);
}

#[test]
fn a_bind_without_a_source_reads_the_root() {
    assert_eq!(mounted("type=bind,target=/x"), [""]);
    assert_eq!(mounted("target=/x,readonly"), [""]);
}

#[test]
fn caches_tmpfs_secrets_and_ssh_read_nothing() {
    for mount in [
        "type=cache,target=/x",
        "type=cache,target=/x,source=y",
        "type=tmpfs,target=/x",
        "type=secret,id=s",
        "type=ssh",
    ] {
        assert_eq!(mounted(mount), Vec::<String>::new(), "{mount}");
    }
}

#[test]
fn secrets_go_by_id_source_or_the_end_of_their_target() {
    let reading = of(
        "FROM a\nRUN --mount=type=secret,id=one --mount=type=secret,source=two \
        --mount=type=secret,target=/run/three --mount=type=ssh --mount=type=ssh,id=k true\n",
    );
    assert_eq!(Vec::from_iter(reading.secrets), ["one", "three", "two"]);
    assert_eq!(Vec::from_iter(reading.ssh), ["default", "k"]);
    assert!(of("FROM a\nRUN true\n").secrets.is_empty());
}

#[test]
fn a_mount_from_an_image_is_a_base() {
    let reading = of("FROM a\nRUN --mount=from=tools:1,target=/t true\n");
    assert_eq!(bases(&reading), ["a", "tools:1"]);
    assert_eq!(reading.bases[1].kind, BaseKind::MountFrom);
    assert_eq!(reading.bases[1].line, 2);
    assert_eq!(paths(&reading.context), Vec::<String>::new());
}

#[test]
fn a_mount_from_a_stage_reaches_it() {
    let text = "FROM x AS one\nCOPY a /\nFROM y AS two\nCOPY b /\nFROM z\nRUN --mount=type=cache,from=one,target=/t true\n";
    assert_eq!(context(text), ["a"]);
}

#[test]
fn a_mount_from_a_named_context_needs_its_source_there() {
    let reading = ask()
        .context("ctx")
        .of("FROM a\nRUN --mount=from=ctx,source=s,target=/t true\n");
    assert_eq!(paths(&reading.named["ctx"]), ["s"]);
}

#[test]
fn numbers_do_not_name_stages_in_mounts() {
    let reading = of("FROM a\nCOPY x /\nFROM b\nRUN --mount=from=0,target=/t true\n");
    assert_eq!(bases(&reading), ["b", "0"]);
}

#[test]
fn quotes_hold_commas_and_fields_may_have_variables() {
    assert_eq!(mounted(r#""type=bind,source=a,target=/x""#), ["a"]);
    assert_eq!(
        context("FROM a\nARG D=dir\nRUN --mount=source=$D/f,target=/x true\n"),
        ["dir/f"]
    );
    assert_eq!(
        context("FROM a\nRUN --mount=source=$D/f,target=/x true\n"),
        ["WHOLE"]
    );
    assert_eq!(
        context("FROM a\nARG T=cache\nRUN --mount=type=$T,target=/x true\n"),
        Vec::<String>::new()
    );
}

#[test]
fn what_cannot_be_understood_takes_everything() {
    for mount in [
        "type=new,target=/x",
        "type=$T,target=/x",
        "from=$F,target=/x",
        "wrong",
        "a=b",
    ] {
        assert_eq!(mounted(mount), ["WHOLE"], "{mount}");
    }
    assert!(!of("FROM a\nRUN --mount=from=$F,target=/x true\n").bases_complete);
    assert_eq!(context("FROM a\nRUN --new=1 true\n"), ["WHOLE"]);
    assert_eq!(
        context("FROM a\nRUN --network=none --security=insecure true\n"),
        Vec::<String>::new()
    );
}

#[test]
fn several_mounts_of_one_run_all_count() {
    assert_eq!(
        context(
            "FROM a\nRUN --mount=source=a,target=/a \\\n  --mount=source=b,target=/b \\\n  true\n"
        ),
        ["a", "b"]
    );
}

#[test]
fn a_flag_behind_the_command_is_the_commands_own() {
    assert_eq!(
        context("FROM a\nRUN true --mount=source=a,target=/a\n"),
        Vec::<String>::new()
    );
}
