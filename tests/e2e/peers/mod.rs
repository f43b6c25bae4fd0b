//! Mistakes of other tools, one test each: what must be built again, what must stay fresh, and what
//! must not be recorded.

mod built_again;
mod pinned;
mod run_settings;
mod stays_fresh;

use std::io::{BufRead as _, BufReader};

use serde_json::Value;

use super::{Project, builds, host, project, unique};

const GRAPH: &str = "version = 1\n[stage.a]\ncontext = \"a\"\n";
const DOCKERFILE: &str = "FROM scratch\nCOPY src /src\n";

/// A project with one stage that copies a folder.
fn one(host: &str) -> Project {
    project(host)
        .file("build-graph.toml", GRAPH)
        .file("a/Dockerfile", DOCKERFILE)
        .file("a/src/x/one", unique("one"))
        .file("a/src/x/stays", "x")
        .file("a/src/y/stays", "y")
        .file("a/other", "not copied")
}

/// Builds everything, and asserts that it is fresh then. After that everything is remembered, so
/// the next run sees a change only by its memory.
#[track_caller]
fn build(project: &Project) {
    project.build(&[]).ends(0);
    project.settle();
    let verdicts = project.verdicts();
    assert!(verdicts.values().all(|is| is == "fresh"), "{verdicts:?}");
}

/// One change as `plan` prints it: what, name, before, after. `*` stands for any value.
type Change<'a> = (&'a str, &'a str, Option<&'a str>, Option<&'a str>);

#[track_caller]
fn names(told: &Value, kind: &str, changes: &[Change<'_>]) {
    assert_eq!(told["verdict"], "stale", "{told}");
    assert_eq!(told["reason"]["kind"], kind, "{told}");
    let is = |value: &Value, wanted: Option<&str>| match wanted {
        Some("*") => value.is_string(),
        wanted => value.as_str() == wanted,
    };
    for (what, name, before, after) in changes {
        let found = told["reason"]["changes"].as_array().unwrap().iter();
        let mut found = found.filter(|change| {
            change["what"] == *what
                && change["name"] == *name
                && is(&change["before"], *before)
                && is(&change["after"], *after)
        });
        assert!(found.next().is_some(), "no {what} {name} in {told}");
    }
}

/// Asserts, after a change, that `plan` names it, that a build builds the stage, and that
/// everything is fresh then.
#[track_caller]
fn is_built_again(project: &Project, stage: &str, kind: &str, changes: &[Change<'_>]) {
    names(&project.planned(stage), kind, changes);
    let before = builds(project);
    let built = project.build(&[]).ends(0).those("built");
    assert!(built.contains(&stage.to_owned()), "{built:?}");
    assert!(builds(project) > before, "buildx was asked");
    let verdicts = project.verdicts();
    assert!(verdicts.values().all(|is| is == "fresh"), "{verdicts:?}");
}

/// Asserts that a change which changes no image keeps the key, and builds nothing.
#[track_caller]
fn stays_fresh(project: &Project, change: impl FnOnce()) {
    build(project);
    let (before, calls) = (project.planned("a"), builds(project));
    change();
    let after = project.planned("a");
    assert_eq!(after["verdict"], "fresh", "{after}");
    assert_eq!(after["key"], before["key"]);
    assert_eq!(project.build(&[]).ends(0).those("built"), [""; 0]);
    assert_eq!(builds(project), calls);
}

#[test]
fn a_failed_build_records_nothing() {
    let project = one(&host());
    build(&project);
    let good = project.planned("a");
    project.write(
        "a/Dockerfile",
        "FROM scratch\nCOPY src /src\nCOPY src/none /none\n",
    );
    assert_eq!(project.build(&[]).ends(1).those("failed"), ["a"]);
    names(&project.planned("a"), "dockerfile_changed", &[]);
    // The earlier record still holds.
    project.write("a/Dockerfile", DOCKERFILE);
    let again = project.planned("a");
    assert_eq!(again["verdict"], "fresh", "{again}");
    assert_eq!(again["image"], good["image"]);
}

#[test]
fn a_killed_build_records_nothing() {
    let host = host();
    let project = one(&host);
    build(&project);
    let good = project.planned("a");
    // The program is killed as soon as it says that its stage is being built.
    project.write("a/src/x/one", unique("one"));
    let mut child = project.start(&["build", "--json"]);
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("\"stage_started\"")));
    child.kill().unwrap();
    child.wait().unwrap();
    names(&project.planned("a"), "inputs_changed", &[]);
    assert_eq!(project.build(&[]).ends(0).those("built"), ["a"]);
    let built = project.planned("a");
    assert_eq!(built["verdict"], "fresh", "{built}");
    assert_ne!(built["image"], good["image"]);
}
