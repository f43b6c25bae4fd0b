//! Names of images that move in a run, or between two runs. A fresh image has all its names, and a
//! stage that uses a name sees where the name points now.

use serde_json::Value;

use super::{Project, builds, content, docker, host, hosts, id, project, unique};

/// Two stages, each of which copies a file of its own.
fn two(host: &str) -> Project {
    project(host)
        .file("a/Dockerfile", "FROM scratch\nCOPY x /x\n")
        .file("a/x", unique("a"))
        .file("b/Dockerfile", "FROM scratch\nCOPY x /x\n")
        .file("b/x", unique("b"))
}

/// Two stages, the second built on the first. Returns the name of the first one's image.
fn on_each_other(host: &str) -> (Project, String) {
    let (parent, child) = (unique("p"), unique("c"));
    let stages = [stage("a", &parent, ""), stage("b", &child, "from = \"a\"")];
    let project = two(host)
        .file("build-graph.toml", graph(&stages))
        .file("b/Dockerfile", "FROM a\nCOPY x /y\n");
    (project, parent)
}

fn stage(name: &str, image: &str, more: &str) -> String {
    format!("[stage.{name}]\ncontext = \"{name}\"\nimage = \"{image}\"\n{more}\n")
}

fn graph(stages: &[String]) -> String {
    format!("version = 1\n{}", stages.concat())
}

#[test]
fn names_that_two_stages_exchange_are_not_called_fresh_and_are_put_right_without_a_build() {
    for host in hosts() {
        let (one, other) = (unique("one"), unique("other"));
        let project = two(&host);
        project.write(
            "build-graph.toml",
            graph(&[stage("a", &one, ""), stage("b", &other, "")]),
        );
        project.build(&[]).ends(0);
        let before = id(&host, &one);
        let ran = builds(&project);
        project.write(
            "build-graph.toml",
            graph(&[stage("a", &other, ""), stage("b", &one, "")]),
        );
        let verdicts = project.verdicts();
        assert_eq!(verdicts["a"], "stale image_missing");
        assert_eq!(verdicts["b"], "stale image_missing");
        // The image was never the stage's own.
        assert!(project.planned("a")["reason"]["changes"][0]["before"].is_null());
        let told = project.run(&["build"]).ends(0).stderr;
        assert!(told.contains("0 built, 2 restored, 0 fresh"), "{told}");
        assert_eq!(builds(&project), ran);
        assert_eq!(id(&host, &other), before);
        assert_eq!(project.verdicts()["a"], "fresh");
    }
}

#[test]
fn what_was_built_before_the_last_build_is_put_back_and_the_reason_is_what_changed_since() {
    for host in hosts() {
        let image = unique("a");
        let project = two(&host);
        let tagged = |tag: &str| stage("a", &image, &format!("tags = [\"{tag}\"]"));
        let first = unique("first");
        for (tag, text) in [("1", first.clone()), ("2", unique("second"))] {
            project.write("build-graph.toml", graph(&[tagged(tag)]));
            project.write("a/x", text);
            project.build(&[]).ends(0);
        }
        let ran = builds(&project);
        project.write("a/x", &first);
        let reason = &project.planned("a")["reason"];
        assert_eq!(reason["kind"], "inputs_changed");
        let changes = reason["changes"].as_array().unwrap();
        let has = |what: &str, name: &str| {
            let is_it = |change: &&Value| change["what"] == what && change["name"] == name;
            changes.iter().find(is_it).is_some()
        };
        assert!(
            has("input", "x") && has("image", &format!("{image}:2")),
            "{reason}"
        );
        assert_eq!(project.build(&[]).ends(0).those("built"), ["a"]);
        assert_eq!(builds(&project), ran, "it is only put back");
        assert_eq!(content(&host, &format!("{image}:2"), "/x"), first);
    }
}

#[test]
fn a_stage_on_one_that_is_only_put_back_is_decided_before_that() {
    let (project, _) = on_each_other(&host());
    let first = std::fs::read_to_string(project.path("a/x")).unwrap();
    project.build(&[]).ends(0);
    project.write("a/x", unique("second"));
    project.build(&[]).ends(0);
    project.write("a/x", first);
    let verdicts = project.verdicts();
    assert_eq!(verdicts["a"], "stale inputs_changed");
    assert_eq!(verdicts["b"], "stale upstream_changed");
    let upstream = &project.planned("b")["reason"]["changes"][0];
    assert!(
        upstream["before"].is_string() && upstream["after"].is_string(),
        "{upstream}"
    );
}

#[test]
fn a_stage_whose_earlier_record_may_fit_waits_for_its_parent() {
    let host = host();
    let (project, parent) = on_each_other(&host);
    let first = std::fs::read_to_string(project.path("b/x")).unwrap();
    project.build(&[]).ends(0);
    project.write("b/x", unique("second"));
    project.build(&[]).ends(0);
    project.write("b/x", first);
    docker(&host, &["image", "rm", "--force", &id(&host, &parent)]);
    assert_eq!(project.verdicts()["b"], "unknown upstream_changed");
    project.write("b/x", unique("third"));
    assert_eq!(project.verdicts()["b"], "stale inputs_changed");
}

#[test]
fn what_a_stage_is_compared_with_is_what_it_was_last_even_where_nothing_was_built() {
    let project = project(&host())
        .file(
            "build-graph.toml",
            "version = 1\n[stage.a]\ncontext = \"a\"\n",
        )
        .file("a/Dockerfile", "FROM scratch\nCOPY x y /\n")
        .file("a/y", unique("y"));
    let first = unique("first");
    for text in [&first, &unique("second")] {
        project.write("a/x", text);
        project.build(&[]).ends(0);
    }
    project.write("a/x", &first);
    assert_eq!(project.build(&[]).ends(0).those("fresh"), ["a"]);
    project.write("a/y", unique("other"));
    let reason = &project.planned("a")["reason"];
    let changes = reason["changes"].as_array().unwrap();
    let names: Vec<&str> = changes
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["y"]);
}

#[test]
fn a_new_name_is_told_of() {
    let host = host();
    let image = unique("a");
    let project = two(&host).file("build-graph.toml", graph(&[stage("a", &image, "")]));
    project.build(&[]).ends(0);
    let more = stage("a", &image, "tags = [\"latest\", \"more\"]");
    project.write("build-graph.toml", graph(&[more]));
    let told = format!("`a` gets the new name {image}:more");
    project.run(&["plan"]).ends(0).says(&told);
    project.run(&["build"]).ends(0).says(&told);
    assert!(!project.run(&["build"]).ends(0).stderr.contains("new name"));
    id(&host, &format!("{image}:more"));
}

#[test]
fn a_stage_that_uses_what_this_run_made_as_if_it_came_from_elsewhere_is_told_of() {
    let host = host();
    let (made, user) = (unique("a"), unique("b"));
    // By the order of names, the turn of the stage that uses the image is first.
    let project = two(&host)
        .file("z/Dockerfile", "FROM scratch\nCOPY x /x\n")
        .file("z/x", unique("z"))
        .file(
            "build-graph.toml",
            graph(&[stage("a", &user, ""), stage("z", &made, "")]),
        );
    project.build(&["z"]).ends(0);
    project.write("a/Dockerfile", format!("FROM {made}:latest\nCOPY x /y\n"));
    project.build(&["--jobs=1"]).ends(0);
    project.write("z/x", unique("other"));
    let ran = project.run(&["build", "--jobs=1"]).ends(0);
    ran.says("the image of stage `z`, but the graph does not link them");
}

#[test]
fn a_name_that_is_put_back_is_seen_by_who_uses_it_as_if_it_came_from_elsewhere() {
    let host = host();
    let (made, user) = (unique("a"), unique("b"));
    // The stage is built after `a`, and uses its image in both ways.
    let dockerfile = format!("FROM {made}:1\nCOPY --from=cc x /other\nCOPY x /own\n");
    let project = two(&host).file("b/Dockerfile", dockerfile).file(
        "build-graph.toml",
        graph(&[
            stage("a", &made, "tags = [\"1\"]"),
            stage("b", &user, "contexts = { cc = { stage = \"a\" } }"),
        ]),
    );
    let texts = [unique("first"), unique("second")];
    project.write("a/x", &texts[0]);
    project.build(&["a"]).ends(0);
    for text in texts.iter().cycle().take(5) {
        project.write("a/x", text);
        project.build(&[]).ends(0);
        for path in ["/x", "/other"] {
            let image = format!("{user}:latest");
            assert_eq!(content(&host, &image, path), *text, "{path}");
        }
        assert_eq!(project.verdicts()["b"], "fresh");
    }
}

#[test]
fn a_file_that_an_ignore_file_leaves_out_is_not_called_removed() {
    let project = project(&host())
        .file(
            "build-graph.toml",
            "version = 1\n[stage.a]\ncontext = \"a\"\n",
        )
        .file("a/Dockerfile", "FROM scratch\nCOPY src /src\n")
        .file("a/src/x", unique("x"))
        .file("a/src/y", "y");
    project.build(&[]).ends(0);
    project.write("a/.dockerignore", "src/y\n");
    let told = project.run(&["plan"]).ends(0).stdout;
    assert!(told.contains("src/y is left out now"), "{told}");
    let left_out = &project.planned("a")["reason"]["changes"][0];
    assert_eq!(
        (&left_out["left_out"], &left_out["after"]),
        (&true.into(), &Value::Null)
    );
    std::fs::remove_file(project.path("a/src/y")).unwrap();
    let told = project.run(&["plan"]).ends(0).stdout;
    assert!(told.contains("src/y was removed"), "{told}");
}
