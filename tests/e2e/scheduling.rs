//! Several stages at once, in the right order, and no more than `--jobs`.

use std::io::{BufRead as _, BufReader};

use serde_json::Value;

use super::{Project, builds, content, host, hosts, id, project, unique, with_base};

fn intervals(events: &[Value]) -> Vec<(u64, u64)> {
    let ends = events
        .iter()
        .filter(|event| event["event"] == "stage_finished" && event["outcome"] == "built");
    ends.map(|event| {
        (
            event["started_ms"].as_u64().unwrap(),
            event["ended_ms"].as_u64().unwrap(),
        )
    })
    .collect()
}

/// The largest number of intervals that contain the same moment.
fn most_at_once(intervals: &[(u64, u64)]) -> usize {
    let at = |moment: u64| {
        intervals
            .iter()
            .filter(|(start, end)| *start <= moment && moment < *end)
            .count()
    };
    intervals
        .iter()
        .map(|(start, _)| at(*start))
        .max()
        .unwrap_or(0)
}

fn two(host: &str) -> Project {
    let stage = |name: &str| format!("[stage.{name}]\ncontext = \"{name}\"\nfrom = \"base\"\n");
    let graph = format!(
        "version = 1\n[stage.base]\ncontext = \"base\"\nimage = \"{}\"\n{}{}",
        unique("base"),
        stage("a"),
        stage("b")
    );
    let file = |name: &str| format!("FROM base\nRUN echo {name}{} && sleep 2\n", unique(name));
    with_base(project(host))
        .file("build-graph.toml", graph)
        .file("a/Dockerfile", file("a"))
        .file("b/Dockerfile", file("b"))
}

#[test]
fn independent_stages_overlap_and_with_one_place_they_do_not() {
    let project = two(&host());
    project.build(&["base"]).ends(0);
    let together = project.build(&["--jobs", "2"]).ends(0);
    assert_eq!(most_at_once(&intervals(&together.events())), 2);
    let apart = two(&host()).build(&["--jobs", "1"]).ends(0);
    assert_eq!(most_at_once(&intervals(&apart.events())), 1);
}

/// Enough for the engine to be asked for all images in one list (`LIST_FROM`).
const MANY: usize = 110;

#[test]
fn many_stages_are_built_with_no_more_than_the_places_at_once() {
    // Every stage has a file of its own: Docker 26.1's BuildKit now and then crashes, and the
    // engine with it, when several builds at once write the history of the same cached step.
    let mut project = project(&host()).file("Dockerfile", "FROM scratch\nCOPY x /x\n");
    let mut graph = "version = 1\n".to_owned();
    for at in 0..MANY {
        graph += &format!("[stage.s{at}]\ncontext = \"c{at}\"\ndockerfile = \"Dockerfile\"\n");
        project = project.file(&format!("c{at}/x"), unique("x"));
    }
    let project = project.file("build-graph.toml", graph);
    let built = project.build(&["--jobs", "4"]).ends(0);
    assert_eq!(built.those("built").len(), MANY);
    assert!(most_at_once(&intervals(&built.events())) <= 4);
    let before = builds(&project);
    assert_eq!(project.build(&[]).ends(0).those("fresh").len(), MANY);
    assert_eq!(builds(&project), before);
}

#[test]
fn a_failing_stage_skips_what_stands_on_it_and_is_not_recorded() {
    for host in hosts() {
        let graph = "version = 1\n[stage.base]\ncontext = \"base\"\n[stage.bad]\ncontext = \"bad\"\nfrom = \"base\"\n\
            [stage.child]\ncontext = \"child\"\nfrom = \"bad\"\n[stage.other]\ncontext = \"other\"\nfrom = \"base\"\n\
            [stage.kept]\ncontext = \"kept\"\nfrom = \"base\"\n[stage.above]\ncontext = \"above\"\nfrom = \"kept\"\n";
        let project = with_base(project(&host))
            .file("build-graph.toml", graph)
            .file("bad/Dockerfile", "FROM base\nCOPY x /x\nRUN sh /x\n")
            .file("bad/x", "echo the last words; exit 3\n")
            .file("child/Dockerfile", "FROM bad\nRUN true\n")
            .file("kept/Dockerfile", "FROM base\nCOPY Dockerfile /kept\n")
            .file("above/Dockerfile", "FROM kept\nCOPY Dockerfile /above\n")
            .file("other/Dockerfile", "FROM base\nRUN true\n");
        project.build(&["base", "above"]).ends(0);
        // With one job and the longest way first, `bad` has failed before the others could start.
        let fast = project.build(&["--jobs", "1"]).ends(1);
        assert_eq!(fast.those("cancelled"), ["other"]);
        // Nothing else is built then, but fresh stages are still reported as fresh.
        assert_eq!(fast.those("fresh"), ["above", "base", "kept"]);
        let ran = project.build(&["--jobs", "1", "--keep-going"]).ends(1);
        assert_eq!(ran.those("failed"), ["bad"]);
        assert_eq!(ran.those("skipped"), ["child"]);
        assert_eq!(ran.those("built"), ["other"]);
        assert!(
            ran.stdout.contains("the last words") && ran.stdout.contains("because `bad` failed")
        );
        assert_eq!(project.verdicts()["bad"], "stale no_record");
        project.write("bad/x", "exit 0\n");
        let mended = project.build(&[]).ends(0);
        assert_eq!(mended.those("built"), ["bad", "child"]);
        assert_eq!(mended.those("fresh"), ["above", "base", "kept", "other"]);
    }
}

#[test]
fn a_host_command_runs_before_its_stage_and_only_when_it_must() {
    let graph = "version = 1\n[stage.a]\ncontext = \"a\"\n[stage.a.prepare]\ndir = \"a\"\n\
        run = [\"sh\", \"make.sh\"]\ninputs = [\"make.sh\", \"in\"]\noutputs = [\"out\"]\n";
    let project = project(&host())
        .file("build-graph.toml", graph)
        .file("a/Dockerfile", "FROM scratch\nCOPY out /out\n")
        .file(
            "a/make.sh",
            "echo run >> runs; cp in out.new && mv out.new out\n",
        )
        .file("a/in", unique("in"));
    let runs = || {
        std::fs::read_to_string(project.path("a/runs"))
            .unwrap()
            .lines()
            .count()
    };
    project.build(&[]).ends(0);
    assert_eq!(project.build(&[]).ends(0).those("fresh"), ["a"]);
    assert_eq!(runs(), 1);
    project.write("a/in", unique("other"));
    assert_eq!(project.build(&[]).ends(0).those("built"), ["a"]);
    assert_eq!(runs(), 2);
    // A script that succeeds and leaves the old file.
    project.write("a/make.sh", "exit 0\n");
    project.build(&[]).ends(1);
}

#[test]
fn what_is_noted_of_another_stages_host_command_touches_no_inputs() {
    let graph = "version = 1\n[stage.a]\ncontext = \"a\"\n[stage.a.prepare]\ndir = \"a\"\n\
        run = [\"sh\", \"make.sh\"]\ninputs = [\"make.sh\"]\noutputs = [\"out\"]\n";
    let project = project(&host())
        .file("build-graph.toml", graph)
        .file("a/Dockerfile", "FROM scratch\nCOPY out /out\n")
        .file("a/make.sh", format!("echo {} > out\n", unique("out")))
        .file("bin/before", "touch ../state/graph-*/prepared/other\n");
    project.build(&[]).ends(0);
    assert!(project.path("bin/done").exists());
    assert_eq!(builds(&project), 1);
    assert_eq!(project.verdicts()["a"], "fresh");
}

/// Stage `a`, with the lines `more`, built on `p`. The host command of `p` runs the script `then`
/// and makes `out` from `in`.
fn behind_a_host_command(host: &str, image: &str, more: &str) -> Project {
    let graph = format!(
        "version = 1\n[stage.p]\ncontext = \"p\"\nimage = \"{image}/p\"\n[stage.p.prepare]\ndir = \"p\"\n\
         run = [\"sh\", \"make.sh\"]\ninputs = [\"make.sh\", \"in\"]\noutputs = [\"out\"]\n\
         [stage.a]\nfrom = \"p\"\nimage = \"{image}\"\n{more}\n"
    );
    project(host)
        .file("build-graph.toml", graph)
        .file("p/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")
        .file("p/make.sh", "sh ../then; cp in out.new && mv out.new out\n")
        .file("p/in", "one")
        .file("then", "")
}

#[test]
fn what_an_earlier_stage_wrote_is_seen_when_a_later_one_becomes_ready() {
    let (host, image) = (host(), unique("a"));
    let more = "context = \".\"\ndockerfile = \"a/Dockerfile\"";
    let project = behind_a_host_command(&host, &image, more)
        .file("p/out", "by hand")
        .file("a/Dockerfile", "FROM p\nCOPY p/out /out\n");
    for text in ["one", "two"] {
        project.write("p/in", text);
        let ran = project.build(&[]).ends(0);
        assert!(ran.those("built").contains(&"a".into()));
        assert_eq!(content(&host, &image, "/out"), text);
        // The image is not the earlier one, and was not built from files that changed meanwhile.
        assert_eq!(project.build(&[]).ends(0).those("fresh"), ["a", "p"]);
    }
}

/// The graph does not say that `a` depends on `p`, which comes later in the file.
#[test]
fn what_anothers_host_command_makes_is_in_the_image_of_the_very_build_that_makes_it() {
    let (host, image) = (host(), unique("a"));
    let graph = format!(
        "version = 1\n[stage.a]\ncontext = \"p\"\ndockerfile = \"a/Dockerfile\"\nimage = \"{image}\"\n\
         [stage.child]\ncontext = \"a\"\nfrom = \"a\"\ndockerfile = \"a/child\"\n\
         [stage.p]\ncontext = \"p\"\n[stage.p.prepare]\ndir = \"p\"\n\
         run = [\"sh\", \"make.sh\"]\ninputs = [\"make.sh\", \"in\"]\noutputs = [\"out\"]\n"
    );
    let project = project(&host)
        .file("build-graph.toml", graph)
        .file("a/Dockerfile", "FROM scratch\nCOPY out /out\n")
        .file("a/child", "FROM a\nCOPY Dockerfile /\n")
        .file("p/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")
        .file("p/make.sh", "head -n 1 in > out.new && mv out.new out\n");
    for (given, built) in [("one\n", 3), ("one\nmore\n", 0), ("two\n", 2)] {
        project.write("p/in", given);
        let verdict = if built == 3 { "stale" } else { "unknown" };
        let verdicts = project.verdicts();
        for stage in ["a", "child"] {
            assert!(verdicts[stage].starts_with(verdict), "{verdicts:?}");
        }
        let ran = project.build(&["--jobs", "1"]).ends(0);
        assert_eq!(ran.those("built").len(), built, "{given:?}");
        let out = content(&host, &image, "/out");
        assert_eq!(out.trim(), given.split('\n').next().unwrap());
        project.settle();
        // A memo proves a stage fresh only if no host command must run first.
        for _ in 0..2 {
            let verdicts = project.verdicts();
            assert!(verdicts.values().all(|it| it == "fresh"), "{verdicts:?}");
        }
    }
}

#[test]
fn an_image_that_is_removed_while_an_earlier_stage_is_prepared_is_built_in_that_run() {
    let (host, image) = (host(), unique("a"));
    let project = behind_a_host_command(&host, &image, "context = \"a\"")
        .file("a/Dockerfile", "FROM p\nCOPY x /x\n")
        .file("a/x", unique("x"));
    project.build(&[]).ends(0);
    let (docker, image) = (project.path("bin/docker"), id(&host, &image));
    project.write("p/in", "two");
    let remove = format!("{} image rm --force {image}\n", docker.display());
    project.write("then", remove);
    assert_eq!(project.build(&[]).ends(0).those("built"), ["a"]);
}

/// An image that only the engine has, with its own name in `x`.
fn made(host: &str) -> String {
    let image = unique("made");
    let graph = format!("version = 1\n[stage.m]\ncontext = \"m\"\nimage = \"{image}\"\n");
    let project = project(host)
        .file("build-graph.toml", graph)
        .file("m/Dockerfile", "FROM scratch\nCOPY x /x\n")
        .file("m/x", &image);
    project.build(&[]).ends(0);
    image
}

/// Makes the host command of `p` run again, and run `then` first.
fn once_more(project: &Project, then: &str) {
    project.write("p/in", unique("in"));
    project.write(
        "then",
        format!("{}/{then}\n", project.path("bin").display()),
    );
}

#[test]
fn a_base_of_the_engines_own_that_moves_during_a_run_is_seen_in_that_run() {
    let (host, image) = (host(), unique("a"));
    let (one, two) = (made(&host), made(&host));
    // An earlier stage asks for the base before the base moves.
    let more = "context = \"a\"\n[stage.first]\ncontext = \"first\"";
    let dockerfile = |from: &str| format!("FROM {from}\nCOPY --from={one}:latest /x /x\n");
    let project = behind_a_host_command(&host, &image, more)
        .file("first/Dockerfile", dockerfile("scratch"))
        .file("a/Dockerfile", dockerfile("p"));
    let graph = std::fs::read_to_string(project.path("build-graph.toml")).unwrap();
    let behind = "[stage.p]\ncontexts = { first = { stage = \"first\" } }\n";
    project.write("build-graph.toml", graph.replace("[stage.p]\n", behind));
    project.build(&[]).ends(0);
    once_more(&project, &format!("docker tag {two} {one}"));
    assert_eq!(project.build(&[]).ends(0).those("built"), ["a"]);
    assert_eq!(content(&host, &image, "/x"), two);
}

#[test]
fn a_tag_that_a_stages_own_host_command_took_is_put_back_in_that_run() {
    let (host, image) = (host(), unique("a"));
    let other = made(&host);
    let project = behind_a_host_command(&host, &image, "context = \"a\"")
        .file("a/Dockerfile", "FROM p\nCOPY Dockerfile /x\n");
    project.build(&[]).ends(0);
    let own = format!("{image}/p");
    once_more(&project, &format!("docker tag {other} {own}"));
    assert_eq!(project.build(&[]).ends(0).those("built"), ["p"]);
    assert_ne!(id(&host, &own), id(&host, &other));
}

#[test]
fn a_commit_that_a_host_command_makes_counts_in_that_run() {
    let (host, image) = (host(), unique("a"));
    let more = "context = \"a\"\nsource = \"s\"\nargs = { C = \"${source.commit}\" }\n[source.s]\npath = \".\"";
    let project = behind_a_host_command(&host, &image, more)
        .file("a/Dockerfile", "FROM p\nARG C\nLABEL of=$C\n");
    let root = project.path("").display().to_string();
    let git = format!("git -C {root} -c user.name=n -c user.email=e");
    let commit = format!("{git} commit --quiet --allow-empty --message=m");
    project.write("then", format!("git init --quiet {root}\n{commit}\n"));
    let first = std::process::Command::new("sh")
        .arg(project.path("then"))
        .status();
    assert!(first.unwrap().success());
    project.write("then", "");
    project.build(&[]).ends(0);
    assert_eq!(project.build(&[]).ends(0).those("fresh"), ["a", "p"]);
    project.write("p/in", "two");
    project.write("then", commit);
    assert_eq!(project.build(&[]).ends(0).those("built"), ["a"]);
    assert_eq!(project.verdicts()["a"], "fresh");
}

/// A project with stages `a` and `b`. The call of buildx for `a` makes the file `reached`, and goes
/// on once the file `go` is there.
fn held_back(host: &str) -> Project {
    let docker = std::env::var("XTASK_TEST_DOCKER").unwrap_or_else(|_| "docker".into());
    let script = format!(
        "#!/bin/sh\n\
         case \"$*\" in *--tag=localhost:1/xtask/*/a:*) : > reached\n\
         until [ -e go ]; do sleep 0.05; done;; esac\n\
         exec {docker} \"$@\"\n"
    );
    project(host)
        .script("bin/docker", &script)
        .file(
            "build-graph.toml",
            "version = 1\n[stage.a]\ncontext = \"a\"\n[stage.b]\ncontext = \"b\"\n",
        )
        .file("a/Dockerfile", "FROM scratch\nCOPY x /x\n")
        .file("a/x", unique("a"))
        .file("b/Dockerfile", "FROM scratch\nCOPY x /x\n")
        .file("b/x", unique("b"))
}

#[test]
fn two_builds_of_one_graph_wait_for_each_other_per_stage() {
    let project = held_back(&host());
    let mut first = project.start(&["build", "a", "--json"]);
    while !project.path("reached").exists() {
        assert!(
            first.try_wait().unwrap().is_none(),
            "it never called buildx"
        );
        std::thread::yield_now();
    }
    // Another stage is built meanwhile, and what is fresh is seen to be so.
    let other = project.build(&["b"]).ends(0);
    assert_eq!(other.those("built"), ["b"]);
    assert_eq!(project.build(&["b"]).ends(0).those("fresh"), ["b"]);
    // The same stage waits, and is fresh once it was built.
    let mut second = project.start(&["build", "--json"]);
    let mut out = BufReader::new(second.stdout.take().unwrap());
    let (mut line, mut said) = (String::new(), String::new());
    while out.read_line(&mut line).unwrap() > 0 {
        // A build that does not wait would call buildx itself, and must end, too.
        if line.contains("waits for another build") || line.contains("\"stage_started\"") {
            project.write("go", "");
        }
        said += &line;
        line.clear();
    }
    assert!(second.wait().unwrap().success(), "{said}");
    assert!(said.contains("`a` waits for another build"), "{said}");
    let first = Project::finish(first).ends(0);
    assert_eq!(first.those("built"), ["a"]);
    let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(last["outcome"]["a"], "fresh", "{said}");
    assert_eq!(last["outcome"]["b"], "fresh", "{said}");
    // Nothing of the calls stays.
    let state = std::fs::read_dir(project.path("state")).unwrap().next();
    let calls = state.unwrap().unwrap().path().join("calls");
    project.build(&[]).ends(0);
    assert!(!calls.exists());
}
