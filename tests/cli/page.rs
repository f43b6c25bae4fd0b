//! Reports on builds of the past.
//!
//! A fake docker command builds: it prints what a test wants and fails.

use std::fs;

use base64::Engine as _;
use serde_json::Value;

use crate::support::Project;
use crate::support::engine::Engine;

struct World {
    project: Project,
    _engine: Engine,
}

/// A stage whose step has a secret in its name and prints it.
fn world() -> World {
    let project = Project::new();
    let socket = project.path("engine.sock");
    let engine = Engine::at(&socket);
    let printed = base64::engine::general_purpose::STANDARD.encode("found hunter2\n</pre>\n");
    let vertex = |more: &str| {
        format!(
            "echo '{{\"vertexes\":[{{\"digest\":\"1\",\"name\":\"[1/2] RUN login hunter2\",\"started\":\"2026-11-30T10:00:00.5Z\"{more}}}]}}' >&2\n"
        )
    };
    let script = [
        "#!/bin/sh\n".to_owned(),
        vertex(""),
        format!("echo '{{\"logs\":[{{\"vertex\":\"1\",\"data\":\"{printed}\"}}]}}' >&2\n"),
        vertex(
            ",\"completed\":\"2026-11-30T10:00:02Z\",\"error\":\"did not complete successfully: exit code: 3\"",
        ),
        "exit 1\n".to_owned(),
    ];
    let path = format!(
        "{}:{}",
        project.path("bin").display(),
        std::env::var("PATH").unwrap()
    );
    let graph = "version = 1\n[stage.api]\ncontext = \"a\"\nargs = { KEY = \"hunter2\" }\n\
                 secrets = [{ id = \"token\", env = \"TOKEN\" }]\n";
    let project = project
        .variable("DOCKER_HOST", &format!("unix://{}", socket.display()))
        .variable("PATH", &path)
        .variable("TOKEN", "hunter2")
        .script("bin/docker", &script.concat())
        .file("build-graph.toml", graph)
        .file("a/Dockerfile", "FROM scratch\nARG KEY\nCOPY Dockerfile /\n");
    World {
        project,
        _engine: engine,
    }
}

impl World {
    /// The files of kept runs.
    fn runs(&self) -> Vec<std::path::PathBuf> {
        let mut graphs = fs::read_dir(self.project.path("state")).unwrap();
        let graph = graphs.find(|it| it.as_ref().unwrap().path().is_dir());
        let runs = fs::read_dir(graph.unwrap().unwrap().path().join("runs")).unwrap();
        let mut runs: Vec<_> = runs.map(|run| run.unwrap().path()).collect();
        runs.sort();
        runs
    }
}

#[test]
fn a_failed_build_has_a_page_a_trace_and_a_line_in_the_list_and_no_secret_in_them() {
    let world = world();
    let project = &world.project;
    project.run(&["build"]).ends(1);
    let list = project.run(&["report", "--list"]).ends(0).stdout;
    assert!(list.contains("  1 failed in "), "{list}");
    let id = list.split(' ').next().unwrap();

    let trace = project.path("trace.json");
    let ran = project
        .run(&["report", "--trace", trace.to_str().unwrap()])
        .ends(0);
    let file = project.path("state/report.html");
    assert_eq!(ran.stdout, format!("{}\n", file.display()));
    let page = fs::read_to_string(file).unwrap();
    assert!(
        page.contains(id) && page.contains("api failed at"),
        "{page}"
    );
    // Cut from the log, without what would end its element.
    assert!(page.contains("found ***\n&lt;/pre&gt;\n"), "{page}");
    // The builder's clock is another one, so only the length of its step is believed.
    let events: Value = serde_json::from_slice(&fs::read(trace).unwrap()).unwrap();
    let events = events["traceEvents"].as_array().unwrap();
    let step = events.iter().find(|event| event["cat"] == "step").unwrap();
    assert_eq!(step["name"], "[1/2] RUN login ***");
    assert_eq!(step["args"]["end"], "failed");

    let kept = fs::read_to_string(&world.runs()[0]).unwrap();
    assert!(kept.contains("step_finished"), "{kept}");
    for text in [&page, &kept, &events.iter().map(Value::to_string).collect()] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    // A build is found by the beginning of its id, and is not compared with itself.
    let itself = project.run(&["report", "--run", id, "--compare", &id[..10], "--file", "-"]);
    itself.ends(2).says("would be compared with itself");
    project.run(&["build"]).ends(1);
    let list = project.run(&["report", "--list"]).ends(0).stdout;
    let ids = list.lines().filter_map(|line| line.split(' ').next());
    let other = ids.into_iter().find(|own| *own != id).unwrap();
    let stdout = project.run(&["report", "--run", other, "--compare", id, "--file", "-"]);
    let stdout = stdout.ends(0).stdout;
    assert!(stdout.ends_with("</html>") && stdout.contains("id=\"comparison\""));
}

#[test]
fn json_says_when_each_step_ended_and_how() {
    let events = world().project.run(&["build", "--json"]).ends(1).events();
    let step = events
        .iter()
        .find(|event| event["event"] == "step_finished");
    let step = step.unwrap();
    assert_eq!(
        (&step["stage"], &step["end"]),
        (&"api".into(), &"failed".into())
    );
    assert!(step["started_ms"].as_u64() <= step["ended_ms"].as_u64());
}

#[test]
fn what_cannot_be_reported_is_refused_with_what_to_do() {
    let world = world();
    let project = &world.project;
    project
        .run(&["report"])
        .ends(2)
        .says("was kept yet: run `cargo xtask build --graph ");
    project.run(&["build"]).ends(1);
    project.run(&["build"]).ends(1);
    project
        .run(&["report", "--run", "nope"])
        .ends(2)
        .says("no kept build has the id `nope`: `cargo xtask report --list --graph ");
    project
        .run(&["report", "--compare", "2"])
        .ends(2)
        .says("several builds have ids that begin with `2`");
    project
        .run(&["report", "--file", "/proc/nowhere/page.html"])
        .ends(3)
        .says("cannot write /proc/nowhere/page.html");
    project
        .run(&["report", "--file", "-", "--trace", "-"])
        .ends(2)
        .says("`--file -` and `--trace -` both write to stdout");
    // What somebody else has written stays, and what is no file takes the text.
    project.write("mine", "cargo xtask report");
    for flag in ["--file", "--trace"] {
        let said = format!(
            "mine exists and was not written by `cargo xtask report`: name another file with `{flag} FILE`"
        );
        let mine = project.path("mine").display().to_string();
        project.run(&["report", flag, &mine]).ends(2).says(&said);
        project.run(&["report", flag, "/dev/null"]).ends(0);
        let own = project.path(&format!("own{flag}")).display().to_string();
        project.run(&["report", flag, &own]).ends(0);
        project.run(&["report", flag, &own]).ends(0);
    }
    assert_eq!(
        fs::read_to_string(project.path("mine")).unwrap(),
        "cargo xtask report"
    );
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    let trace = project.run(&["report", "--trace", "-"]).ends(0);
    let trace: Value = serde_json::from_str(&trace.stdout).unwrap();
    assert!(trace["traceEvents"].is_array());
    // A damaged file is no run, and stops nothing.
    let runs = world.runs();
    fs::write(&runs[0], "torn").unwrap();
    let list = project.run(&["report", "--list"]).ends(0).stdout;
    assert_eq!(list.lines().count(), runs.len() - 1);
}
