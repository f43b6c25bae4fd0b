//! `--since`: which stages have other keys than at another commit.

use std::process::Command;

use serde_json::Value;

use crate::support::{Project, process};
use crate::{host, project};

fn git(folder: &std::path::Path, arguments: &[&str]) {
    let mut git = Command::new("git");
    let names = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
    git.arg("-C").arg(folder).args(names).args(arguments);
    let ran = process::ended(&mut git).unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

fn commit(project: &Project) {
    git(&project.path(""), &["add", "--all"]);
    git(&project.path(""), &["commit", "--quiet", "--message", "x"]);
}

/// A parent and its child, and a stage with a host command whose output git ignores.
fn repository() -> Project {
    let project = project(&host())
        .file(
            "build-graph.toml",
            "version = 1\n[stage.a]\ncontext = \"a\"\nargs = { COMMIT = \"${source.commit}\" }\nvolatile = [\"COMMIT\"]\n\
             [stage.b]\ncontext = \"b\"\ncontexts = { \"a\" = { stage = \"a\" } }\n\
             [stage.c]\ncontext = \"c\"\n\
             prepare = { dir = \"c\", run = [\"sh\", \"make.sh\"], inputs = [\"make.sh\"], outputs = [\"made\"] }\n",
        )
        .file(".gitignore", "/state/\n/bin/\n/calls\n/docker-config/\nmade\nsecret\n")
        .file("a/Dockerfile", "FROM scratch\nARG COMMIT\nCOPY x /\n")
        .file("a/x", "1")
        .file("b/Dockerfile", "FROM a\nCOPY . /\n")
        .file("b/y", "1")
        .file("c/Dockerfile", "FROM scratch\nCOPY . /\n")
        .file("c/make.sh", "echo made > made\n");
    git(&project.path(""), &["init", "--quiet"]);
    commit(&project);
    project
}

/// The stages that differ, and the inputs that git does not know.
fn since(project: &Project, reference: &str) -> (Vec<String>, Vec<String>) {
    let ran = project
        .run(&["plan", "--json", "--since", reference])
        .ends(0);
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    let texts = |list: &Value, name: &str| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        let texts = list.map(|it| if name.is_empty() { it } else { &it[name] });
        texts.map(|it| it.as_str().unwrap().to_owned()).collect()
    };
    (
        texts(&plan["stages"], "stage"),
        texts(&plan["since"]["unknown"], ""),
    )
}

#[test]
fn keys_decide_which_stages_differ_from_a_commit_and_not_paths() {
    let project = repository();
    let none: (Vec<String>, Vec<String>) = Default::default();
    assert_eq!(since(&project, "HEAD"), none);
    // Nothing that reaches an image.
    project.write("README.md", "x");
    project.write(
        "a/Dockerfile",
        "# a remark\nFROM scratch\nARG COMMIT\nCOPY x /\n",
    );
    project.write("a/other", "not copied");
    commit(&project);
    assert_eq!(since(&project, "HEAD~1"), none);
    let ran = project.run(&["plan", "--since", "HEAD~1"]).ends(0);
    assert_eq!(ran.stdout, "nothing differs from HEAD~1\n");
    // An edit that is not committed, and one that is.
    project.write("a/x", "2");
    assert_eq!(since(&project, "HEAD").0, ["a", "b"]);
    commit(&project);
    project.write("c/make.sh", "echo other > made\n");
    assert_eq!(since(&project, "HEAD").0, ["c"]);
    assert_eq!(since(&project, "HEAD~1").0, ["a", "b", "c"]);
    // What git does not know is named, and does not count: no commit says what it was.
    commit(&project);
    project.write("c/made", "made\n");
    project.write("b/secret", "s");
    let (differing, unknown) = since(&project, "HEAD");
    assert_eq!(differing, Vec::<String>::new());
    let path = |name: &str| project.path(name).to_str().unwrap().to_owned();
    assert_eq!(unknown, [path("b/secret"), path("c/made")]);
    // Only what differs is built.
    project.write("b/y", "2");
    let built = project.build(&["--since", "HEAD"]).ends(0);
    assert_eq!(built.those("built"), ["a", "b"], "{}", built.stdout);
    commit(&project);
    let nothing = project.build(&["--since", "HEAD"]).ends(0);
    assert!(nothing.outcome().is_empty());
    for wrong in ["nowhere", "--output=x"] {
        let flag = format!("--since={wrong}");
        project
            .run(&["plan", &flag])
            .ends(2)
            .says(&format!("has no commit {wrong}"));
    }
}

#[test]
fn a_shallow_clone_says_how_to_deepen_and_answers_the_same_then() {
    let project = repository();
    project.write("a/x", "2");
    commit(&project);
    project.write("c/make.sh", "echo other > made\n");
    commit(&project);
    let parent = Command::new("git")
        .arg("-C")
        .arg(project.path(""))
        .args(["rev-parse", "HEAD~1"])
        .output()
        .unwrap();
    let parent = String::from_utf8(parent.stdout).unwrap().trim().to_owned();
    let clone = crate::project(&host());
    let url = format!("file://{}", project.path("").display());
    let folder = clone.path("checkout");
    git(
        &clone.path(""),
        &[
            "clone",
            "--quiet",
            "--depth=1",
            &url,
            folder.to_str().unwrap(),
        ],
    );
    let ask = |clone: &Project| clone.run_in("checkout", &["plan", "--json", "--since", &parent]);
    ask(&clone)
        .ends(3)
        .says("shallow clone")
        .says("fetch --deepen=100");
    git(&folder, &["fetch", "--quiet", "--deepen=1"]);
    let plan: Value = serde_json::from_str(&ask(&clone).ends(0).stdout).unwrap();
    let stages = plan["stages"].as_array().unwrap().iter();
    let stages: Vec<&str> = stages.map(|it| it["stage"].as_str().unwrap()).collect();
    assert_eq!(
        (stages, since(&project, &parent).0),
        (vec!["c"], vec!["c".to_owned()])
    );
}
