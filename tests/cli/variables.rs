//! What a call lays over a graph file: variables, profiles, groups, and facts of a source.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use serde_json::Value;

use crate::one;
use crate::support::Project;
use crate::support::engine::Engine;

/// One stage whose file ends with `lines`.
fn with(lines: &str) -> Project {
    let project = one();
    let graph = format!("version = 1\n[stage.a]\ncontext = \"a\"\nimage = \"t/a\"\n{lines}\n");
    project.write("build-graph.toml", graph);
    project
}

/// The key that `plan` gives the stage `a`, with an engine that has no image.
fn key_of_stage(project: Project, arguments: &[&str]) -> String {
    let socket = project.path("engine.sock");
    let _engine = Engine::at(&socket);
    let project = project.variable("DOCKER_HOST", &format!("unix://{}", socket.display()));
    let call = [&["plan", "--json", "a"], arguments].concat();
    let plan: Value = serde_json::from_str(&project.run(&call).ends(0).stdout).unwrap();
    plan["stages"][0]["key"].as_str().unwrap().to_owned()
}

/// The names of the images of all stages.
fn names(project: &Project, arguments: &[&str]) -> BTreeMap<String, Vec<String>> {
    let call = [&["graph", "--format", "json"], arguments].concat();
    let ran = project.run(&call).ends(0);
    let graph: Value = serde_json::from_str(&ran.stdout).unwrap();
    let stages = graph["stages"].as_array().unwrap().iter();
    let named = stages.map(|stage| {
        let references = stage["references"].as_array().unwrap().iter();
        let references = references.map(|it| it.as_str().unwrap().to_owned());
        (
            stage["stage"].as_str().unwrap().to_owned(),
            references.collect(),
        )
    });
    named.collect()
}

fn git(project: &Project, words: &[&str]) -> String {
    let mut git = Command::new("git");
    git.current_dir(project.path(""))
        .args([
            "-c",
            "user.name=n",
            "-c",
            "user.email=e",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(words)
        .env("GIT_COMMITTER_DATE", "2026-06-01T23:30:00-01:00");
    let output = git.output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_variable_has_the_value_of_the_call_or_the_environment_or_the_file() {
    let project = with(
        "tags = [\"${v}\"]\n[vars]\nv = { env = \"TEST_TAG\", default = \"three\" }\nfixed = \"f\"",
    );
    let tag = |project: &Project, arguments: &[&str]| names(project, arguments)["a"].join(" ");
    assert_eq!(tag(&project, &[]), "t/a:three");
    let project = project.variable("TEST_TAG", "two");
    assert_eq!(tag(&project, &[]), "t/a:two");
    assert_eq!(tag(&project, &["--set", "v=one"]), "t/a:one");
    // A value may hold `=`, and an empty variable is none.
    project
        .run(&["graph", "--set", "v=a=b"])
        .ends(2)
        .says("tag `a=b` is not a tag");
    let project = project.variable("TEST_TAG", "");
    assert_eq!(tag(&project, &[]), "t/a:three");
}

#[test]
fn only_what_the_file_declares_can_be_set() {
    let project =
        with("tags = [\"${v}\"]\n[vars]\nv = \"1\"\nversion = \"2\"").variable("v", "environment");
    assert_eq!(names(&project, &[])["a"], ["t/a:1"]);
    let ran = project.run(&["graph", "--set", "verson=3"]).ends(2);
    let ran = ran.says("`--set` names the variable `verson`, which [vars] does not declare");
    ran.says("did you mean `version`?");
    project
        .run(&["graph", "--set", "v"])
        .ends(2)
        .says("NAME=VALUE");
}

#[test]
fn a_variable_without_a_value_is_told_where_it_is_used() {
    let project = with("tags = [\"${v}\"]\n[vars]\nv = { env = \"TEST_TAG_UNSET\" }");
    let ran = project.run(&["graph"]).ends(2);
    let ran = ran.says("build-graph.toml:5:");
    let ran = ran.says("tag mentions `${v}`, which has no value");
    ran.says("set TEST_TAG_UNSET, pass `--set v=VALUE`, or give it a `default`");
    assert_eq!(names(&project, &["--set", "v=1"])["a"], ["t/a:1"]);
    with("[vars]\nv = { default = \"1\" }")
        .run(&["graph"])
        .ends(2)
        .says("variable `v` has no `env`");
    with("[vars]\nv = { evn = \"1\" }")
        .run(&["graph"])
        .ends(2)
        .says("did you mean `env`?");
}

#[test]
fn a_value_counts_as_what_it_makes_of_an_argument_and_not_by_its_name() {
    let key = |arguments: &[&str]| {
        let project = with("args = { A = \"${v}\" }\n[vars]\nv = \"1\"\nother = \"x\"");
        let dockerfile = "FROM scratch\nARG A\nENV A=$A\nCOPY src /src\n";
        key_of_stage(project.file("a/Dockerfile", dockerfile), arguments)
    };
    let first = key(&[]);
    assert_ne!(key(&["--set", "v=2"]), first);
    assert_eq!(key(&["--set", "v=1"]), first);
    assert_eq!(key(&["--set", "other=y"]), first);
}

#[test]
fn profiles_are_laid_over_each_other_in_the_order_of_the_call() {
    let project = with(
        "tags = [\"${v}${w}\"]\n[vars]\nv = \"1\"\nw = \"1\"\n\
         [profile.x.vars]\nv = \"x\"\n[profile.y.vars]\nv = \"y\"\nw = \"y\"\n\
         [profile.z]\nextends = [\"y\"]\n[profile.z.vars]\nv = \"z\"\n\
         [profile.both]\nextends = [\"z\", \"y\", \"x\"]",
    );
    let tag = |profiles: &[&str]| {
        let flags: Vec<_> = profiles.iter().flat_map(|it| ["--profile", it]).collect();
        names(&project, &flags)["a"].join(" ")
    };
    assert_eq!(tag(&[]), "t/a:11");
    assert_eq!(tag(&["x"]), "t/a:x1");
    assert_eq!(tag(&["x", "y"]), "t/a:yy");
    assert_eq!(tag(&["y", "x"]), "t/a:xy");
    // An extended profile lies below the one that extends it, and is laid once.
    assert_eq!(tag(&["z"]), "t/a:zy");
    assert_eq!(tag(&["z", "y"]), "t/a:zy");
    assert_eq!(tag(&["both"]), "t/a:xy");
    let flags = ["graph", "--profile", "x", "--profile", "w"];
    project.run(&flags).ends(2).says("unknown profile `w`");
}

#[test]
fn a_profile_that_extends_itself_or_nothing_is_refused() {
    let project = with(
        "[profile.x]\nextends = [\"y\"]\n[profile.y]\nextends = [\"z\"]\n[profile.z]\nextends = [\"x\"]\n\
         [profile.own]\nextends = [\"own\"]\n[profile.far]\nextends = [\"owm\"]",
    );
    let ran = project.run(&["graph"]).ends(2);
    let ran = ran.says("profile `own` extends itself");
    let ran = ran.says("which extends it");
    let ran = ran.says("profile `far` extends `owm`, which does not exist");
    ran.says("did you mean `own`?");
    let mut long = String::new();
    for n in 0..50_000 {
        let _ = writeln!(long, "[profile.p{n}]\nextends = [\"p{}\"]", n + 1);
    }
    let project = with(&format!("{long}[profile.p50000.vars]\nx = \"1\"\n"));
    project.run(&["graph", "--profile", "p0"]).ends(0);
}

#[test]
fn a_group_stands_for_its_stages() {
    let project = with(
        "[stage.b]\ncontext = \"a\"\n[stage.c]\ncontext = \"a\"\n\
         [group]\nboth = [\"a\", \"c\"]\nmore = [\"both\", \"b\", \"more\"]",
    );
    let missing = project.run(&["plan", "both", "nothing"]).ends(2);
    missing.says("unknown stage `nothing`");
    project
        .run(&["plan", "botj"])
        .ends(2)
        .says("did you mean `both`?");
    for (group, why) in [
        ("a = [\"b\"]", "`a` is a group and a stage"),
        ("g = [\"bb\"]", "unknown stage `bb`"),
        ("g = []", "group `g` has no stage"),
        ("g = [\"g\"]", "group `g` has no stage"),
        ("G = [\"b\"]", "group name `G`"),
    ] {
        let project = with(&format!("[stage.b]\ncontext = \"a\"\n[group]\n{group}"));
        project.run(&["graph"]).ends(2).says(why);
    }
}

#[test]
fn an_image_is_named_by_facts_of_its_source() {
    let project = with(
        "tags = [\"${source.commit}\", \"${source.short}\", \"b-${source.branch}\", \"${source.date}\"]\n\
         labels = { \"org.opencontainers.image.created\" = \"${source.time}\" }",
    );
    project
        .run(&["inputs", "a"])
        .ends(3)
        .says("cannot tell the commit of");
    git(&project, &["init", "--quiet"]);
    git(&project, &["checkout", "--quiet", "-b", "feat/New_x"]);
    git(
        &project,
        &["commit", "--quiet", "--allow-empty", "--message=m"],
    );
    let commit = git(&project, &["rev-parse", "HEAD"]);
    let tags = |project: &Project| names(project, &[])["a"].clone();
    let mut wanted = [
        format!("t/a:{commit}"),
        format!("t/a:{}", &commit[..7]),
        "t/a:b-feat-New_x".to_owned(),
        // The day in UTC, whatever the zone of the commit.
        "t/a:2026-06-02".to_owned(),
    ];
    wanted.sort();
    assert_eq!(tags(&project), wanted);
    git(&project, &["checkout", "--quiet", "--detach"]);
    let ran = project.run(&["inputs", "a"]).ends(3);
    let ran = ran.says("stage `a`: cannot tell the branch of");
    ran.says("`[vars] branch = { env = \"GITHUB_REF_NAME\" }`");
}

#[test]
fn two_stages_whose_facts_give_one_name_are_refused() {
    let project = with(
        "tags = [\"${source.short}\"]\n[stage.b]\ncontext = \"a\"\nimage = \"t/a\"\ntarget = \"x\"\n\
         tags = [\"x\"]",
    );
    git(&project, &["init", "--quiet"]);
    git(
        &project,
        &["commit", "--quiet", "--allow-empty", "--message=m"],
    );
    let short = git(&project, &["rev-parse", "HEAD"])[..7].to_owned();
    project.run(&["graph"]).ends(0);
    let graph = std::fs::read_to_string(project.path("build-graph.toml")).unwrap();
    project.write(
        "build-graph.toml",
        graph.replace("[\"x\"]", &format!("[\"{short}\"]")),
    );
    let ran = project.run(&["graph"]).ends(2);
    ran.says(&format!("both name their image `t/a:{short}`"));
}

#[test]
fn a_volatile_label_is_not_in_the_key() {
    let labels = |value: &str| {
        format!("volatile = [\"created\"]\nlabels = {{ created = \"{value}\", kept = \"k\" }}")
    };
    let keys = ["one", "two"].map(|value| key_of_stage(with(&labels(value)), &[]));
    assert_eq!(keys[0], keys[1]);
    let project = with(&labels("one").replace("kept = \"k\"", "kept = \"l\""));
    assert_ne!(key_of_stage(project, &[]), keys[0]);
}

#[test]
fn what_run_runs_with_is_checked_and_counts_once_however_it_is_spelt() {
    let of = |lines: &str| key_of_stage(with(lines), &[]);
    let plain = of("");
    assert_eq!(of("network = \"default\""), plain);
    let all = [
        "network = \"none\"",
        "network = \"host\"",
        "shm-size = \"64m\"",
        "ulimit = [\"nofile=64\"]",
        "add-hosts = { db = \"10.0.0.1\" }",
        "add-hosts = { cache = \"10.0.0.1\" }",
    ];
    let mut keys: Vec<String> = all.iter().map(|lines| of(lines)).collect();
    keys.push(plain);
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), all.len() + 1);
    for (one, other) in [
        ("shm-size = \"1g\"", "shm-size = \"1024MB\""),
        (
            "ulimit = [\"nofile=64\"]",
            "ulimit = [\"nofile=1\", \"nofile=64:64\"]",
        ),
        (
            "add-hosts = { db = \"::1\" }",
            "add-hosts = { db = \"10.0.0.1\" }",
        ),
    ] {
        assert_eq!(of(one), of(other));
    }
    for (lines, why) in [
        ("network = \"bridge\"", "unknown network `bridge`"),
        ("shm-size = \"big\"", "size of /dev/shm `big` is not a size"),
        ("ulimit = [\"files=1\"]", "limit `files=1` is unknown"),
        ("ulimit = [\"nofile=2:1\"]", "first number above the second"),
        (
            "add-hosts = { db = \"host-gateway\" }",
            "is not an IP address",
        ),
        (
            "add-hosts = { \"-x\" = \"::1\" }",
            "must not begin with `-`",
        ),
        (
            "add-hosts = { \"a=b\" = \"::1\" }",
            "host name `a=b` is not a host name",
        ),
    ] {
        with(lines).run(&["graph"]).ends(2).says(why);
    }
}
