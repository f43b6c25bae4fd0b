//! Interruptions, faults, secrets, two builds at once.

use std::io::{BufRead as _, BufReader, Read as _};
use std::time::{Duration, Instant};

use super::{Project, host, project, unique, until_step, with_base, written};

fn slow(host: &str, seconds: u32) -> Project {
    let graph = "version = 1\n[stage.base]\ncontext = \"base\"\n[stage.a]\ncontext = \"a\"\nfrom = \"base\"\n";
    with_base(project(host))
        .file("build-graph.toml", graph)
        .file(
            "a/Dockerfile",
            format!(
                "FROM base\nCOPY x /x\nRUN echo {} && sleep {seconds}\n",
                unique("a")
            ),
        )
        .file("a/x", "1")
}

/// Waits until the log of `a` has a text that the running step printed.
fn until_printed(project: &Project, text: &str) {
    let start = Instant::now();
    let has_it = || {
        let log = written(project, text);
        log.lines().any(|path| path.ends_with("/logs/a.log"))
    };
    while !has_it() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "its log is empty"
        );
    }
}

#[test]
fn an_interrupt_ends_everything_within_ten_seconds_and_records_nothing() {
    let project = slow(&host(), 120);
    let mut child = project.start(&["build", "--json"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    until_step(&mut out, "sleep 120");
    until_printed(&project, "xt-");
    let start = Instant::now();
    let program = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(program, rustix::process::Signal::INT).unwrap();
    let rest: Vec<String> = out.lines().map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(
        rest.last().unwrap().contains("\"a\":\"cancelled\""),
        "{rest:?}"
    );
    assert_eq!(project.verdicts()["a"], "stale no_record");
}

#[test]
fn of_two_builds_at_once_one_waits_and_says_for_whom() {
    let project = slow(&host(), 5);
    let mut first = project.start(&["build", "--json"]);
    let mut out = BufReader::new(first.stdout.take().unwrap());
    until_step(&mut out, "sleep 5");
    let second = project
        .run(&["build"])
        .ends(0)
        .says(&format!("process {}", first.id()));
    assert!(second.stderr.contains("2 fresh"), "{}", second.stderr);
    std::io::copy(&mut out, &mut std::io::sink()).unwrap();
    assert!(first.wait().unwrap().success());
}

#[test]
fn what_changes_while_a_build_waits_for_its_graph_is_seen() {
    let mut project = slow(&host(), 0);
    let graph = std::fs::read_to_string(project.path("build-graph.toml")).unwrap();
    let graph = |of_c: &str| {
        let more = "[stage.b]\ncontext = \"b\"\n[stage.c]\ncontext = \"b\"\nargs = { FILE = ";
        format!("{graph}{more}\"{of_c}\" }}\n")
    };
    project = project
        .file("build-graph.toml", graph("y"))
        .file("b/Dockerfile", "FROM scratch\nARG FILE=y\nCOPY $FILE /y\n")
        .file("b/z", "")
        .file("b/y", "1");
    // The inputs of `b` are remembered, and not racy, so they are not read again.
    project.build(&["b", "c"]).ends(0);
    project.settle();
    let both = project.verdicts_of(&["b", "c"]);
    assert_eq!((&*both["b"], &*both["c"]), ("fresh", "fresh"));

    // As `lock` does, which changes the pins of all stages.
    let state = std::fs::read_dir(project.path("state")).unwrap().next();
    let lock = state.unwrap().unwrap().path().join("build.lock");
    let alone = std::fs::File::open(lock).unwrap();
    alone.lock().unwrap();
    let mut build = project.start(&["build", "b", "c"]);
    let mut said = BufReader::new(build.stderr.take().unwrap());
    let mut waits = String::new();
    said.read_line(&mut waits).unwrap();
    assert!(waits.contains("another call on this graph"), "{waits}");
    // The graph file changes, too: `c` no longer needs `y`.
    project.write("b/y", "2");
    project.write("build-graph.toml", graph("z"));
    drop(alone);
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(build.wait().unwrap().success(), "{rest}");
    assert!(rest.contains("2 built"), "{rest}");
    let both = project.verdicts_of(&["b", "c"]);
    assert_eq!((&*both["b"], &*both["c"]), ("fresh", "fresh"), "{rest}");
}

#[test]
fn what_changes_while_a_build_waits_for_a_stage_is_seen() {
    let project = slow(&host(), 5);
    let mut first = project.start(&["build", "a", "--json"]);
    let mut out = BufReader::new(first.stdout.take().unwrap());
    until_step(&mut out, "sleep 5");
    let mut second = project.start(&["build", "a"]);
    let mut said = BufReader::new(second.stderr.take().unwrap());
    let mut waits = String::new();
    while !waits.contains("`a` waits for another build") {
        waits.clear();
        assert_ne!(said.read_line(&mut waits).unwrap(), 0, "it never waited");
    }
    project.write("a/x", "2");
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(second.wait().unwrap().success(), "{rest}");
    assert!(rest.contains("1 built"), "{rest}");
    assert_eq!(project.verdicts()["a"], "fresh");
    let mut of_first = String::new();
    out.read_to_string(&mut of_first).unwrap();
    assert!(first.wait().unwrap().success());
    assert!(of_first.contains("while its inputs changed"), "{of_first}");
}

#[test]
fn inputs_that_change_while_they_are_built_are_not_recorded() {
    let project = slow(&host(), 5);
    let mut child = project.start(&["build", "--json"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    until_step(&mut out, "sleep 5");
    project.write("a/x", "2");
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(rest.contains("while its inputs changed"), "{rest}");
    assert_eq!(project.verdicts()["a"], "stale no_record");
}

#[test]
fn a_secret_reaches_the_build_and_nothing_else() {
    let host = host();
    let graph = "version = 1\n[stage.base]\ncontext = \"base\"\n[stage.a]\ncontext = \"a\"\nfrom = \"base\"\n\
        secrets = [{ id = \"token\", env = \"THE_TOKEN\" }]\n";
    let dockerfile = |end: u8| {
        format!(
            "FROM base\nRUN --mount=type=secret,id=token echo {} && cat /run/secrets/token && echo && exit {end}\n",
            unique("a")
        )
    };
    let project = with_base(project(&host))
        .variable("THE_TOKEN", "hunter2-is-secret")
        .file("build-graph.toml", graph)
        .file("a/Dockerfile", dockerfile(0));
    project.build(&[]).ends(0).never_says("hunter2");
    project.write("a/Dockerfile", dockerfile(1));
    project.build(&[]).ends(1).never_says("hunter2");
    // The secret is neither in argv nor in logs, records or any other file that was written.
    assert_eq!(written(&project, "hunter2"), "");
    assert!(written(&project, "\\*\\*\\*").contains("a.log"));
}

/// A project with one stage, whose docker command first fails in the way of the script.
fn with_trouble(script: impl FnOnce(&Project, &str) -> String) -> Project {
    let real = std::env::var("XTASK_TEST_DOCKER").unwrap_or_else(|_| "docker".into());
    let project = project(&host())
        .file(
            "build-graph.toml",
            "version = 1\n[stage.a]\ncontext = \"a\"\n",
        )
        .file("a/Dockerfile", "FROM scratch\nCOPY x /x\n")
        .file("a/x", unique("x"));
    let script = script(&project, &real);
    project.script("bin/docker", &script)
}

#[track_caller]
fn is_built_at_the_second_attempt(project: &Project) {
    let ran = project.build(&[]).ends(0);
    assert_eq!(ran.those("built"), ["a"]);
    let retries = ran.events();
    let retries = retries.iter().filter(|event| event["event"] == "retry");
    assert_eq!(retries.count(), 1);
}

#[test]
fn a_passing_fault_is_tried_again() {
    // No real registry answers 503 once on demand.
    let project = with_trouble(|project, real| {
        let mark = project.path("failed-once");
        let mark = mark.display();
        format!(
            "#!/bin/sh\nif [ ! -e {mark} ]; then : > {mark}; echo 'ERROR: failed to solve: unexpected status: 503 Service Unavailable' >&2; exit 1; fi\nexec {real} \"$@\"\n"
        )
    });
    is_built_at_the_second_attempt(&project);
}

#[test]
fn a_cache_that_names_a_snapshot_that_is_gone_is_done_without() {
    // No real engine loses a snapshot on demand.
    let project = with_trouble(|_, real| {
        format!(
            "#!/bin/sh\ncase \"$*\" in *\"buildx build\"*--no-cache*) ;; *\"buildx build\"*) echo 'ERROR: failed to solve: failed to commit a to b during finalize: failed to stat active key during commit: snapshot a does not exist: not found' >&2; exit 1 ;; esac\nexec {real} \"$@\"\n"
        )
    });
    is_built_at_the_second_attempt(&project);
}
