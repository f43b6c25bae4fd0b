//! What a person reads, at a desk and in GitHub Actions.

use super::support::Ran;
use super::{Project, host, project, unique, with_base};

/// A base with a shell, a stage that says something, and one that fails at its third line.
fn three(host: &str) -> Project {
    let graph = "version = 1\n[stage.base]\ncontext = \"base\"\n\
                 [stage.a]\ncontext = \"a\"\ncontexts = { parent = { stage = \"base\" } }\n\
                 [profile.bad.stage.b]\ncontext = \"b\"\ncontexts = { parent = { stage = \"base\" } }\n";
    with_base(project(host))
        .file("build-graph.toml", graph)
        .file(
            "a/Dockerfile",
            "FROM parent\nCOPY x /x\nRUN echo one; echo '::warning::two'\n",
        )
        .file("a/x", unique("a"))
        .file(
            "b/Dockerfile",
            "FROM parent\nCOPY x /x\nRUN echo no luck >&2; exit 3\n",
        )
        .file("b/x", unique("b"))
}

#[test]
fn quiet_and_verbose_builds_say_less_and_more_and_plans_answer_by_their_status() {
    let project = three(&host());
    project.run(&["plan"]).ends(0);
    project.run(&["plan", "--exit-code"]).ends(1);
    let stale = project.run(&["graph", "--format", "svg"]).ends(0);
    assert_eq!(stale.stdout.matches(">stale</text>").count(), 2);
    assert!(stale.stdout.contains("marker-end"), "{}", stale.stdout);

    let quiet = project.run(&["build", "--quiet"]).ends(0);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    project.run(&["plan", "--exit-code", "--json"]).ends(0);
    let fresh = project.run(&["graph", "--format", "svg"]).ends(0);
    assert_eq!(fresh.stdout.matches(">fresh</text>").count(), 2);

    project.write("a/x", unique("a"));
    let verbose = project.run(&["build", "-v"]).ends(0);
    for line in [
        "a | one\n",
        "a | ::warning::two\n",
        "a => [2/3] RUN echo one",
        "a built in",
    ] {
        assert!(verbose.stderr.contains(line), "{line}: {}", verbose.stderr);
    }
    let failed = project.run(&["build", "-q", "--profile", "bad"]).ends(1);
    assert!(
        failed
            .stderr
            .contains("b failed at b/Dockerfile:3, exit code 3")
    );
    assert_eq!(
        failed.stderr.matches("no luck").count(),
        2,
        "{}",
        failed.stderr
    );
}

#[test]
fn in_github_actions_logs_fold_and_a_failure_is_at_its_line_and_in_the_summary() {
    let project = three(&host()).file("summary.md", "");
    let mut command = project.command(&["build", "--profile", "bad", "--keep-going"]);
    command
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_WORKSPACE", project.path(""))
        .env("GITHUB_STEP_SUMMARY", project.path("summary.md"));
    let ran = Ran::of(command.output().unwrap()).ends(1);
    for part in [
        "::group::log of a\n",
        "\n::warning::two\n",
        "::error title=b failed,file=b/Dockerfile,line=3::b failed at b/Dockerfile:3, exit code 3",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    // What the step printed is in a part where it commands nothing.
    let before = ran.stderr.split("\n::warning::two").next().unwrap();
    let stopped = before.rsplit("::stop-commands::").next().unwrap();
    let token = stopped.lines().next().unwrap();
    assert!(!stopped.contains(&format!("::{token}::")), "{}", ran.stderr);
    let summary = std::fs::read_to_string(project.path("summary.md")).unwrap();
    for part in [
        "| a | built | never built here |",
        "| b | failed | never built here |",
        "    b failed at b/Dockerfile:3",
        "no luck",
        "[\"b: failed\"]",
        " --> ",
    ] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
}
