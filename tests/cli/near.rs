//! Names in a Dockerfile that are probably meant as names of stages.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::lock::project;
use crate::support::Project;
use crate::support::engine::Engine;

/// A proxy that refuses everything, and the number of requests to it.
fn proxy() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
        }
    });
    (address, asked)
}

/// Stages `a` and `py`. `a` has this Dockerfile, and the lines `more` in the graph.
fn with(dockerfile: &str, more: &str) -> (Project, Engine, Arc<AtomicUsize>) {
    let graph = format!(
        "version = 1\n[stage.a]\ncontext = \"a\"\n{more}\n[stage.py]\ncontext = \"py\"\n\
         [stage.other]\ncontext = \"py\"\n"
    );
    let (project, engine) = project(&graph);
    let (address, asked) = proxy();
    let project = project
        .variable("HTTPS_PROXY", &address)
        .file("a/Dockerfile", dockerfile)
        .file("py/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
    (project, engine, asked)
}

#[test]
fn a_stage_of_the_graph_that_a_dockerfile_names_is_never_asked_for_at_a_registry() {
    let from = "FROM py\n";
    for (dockerfile, more, told, line) in [
        (
            from,
            "",
            "Dockerfile:1: `FROM py`",
            "add `from = \"py\"` to `[stage.a]`",
        ),
        (
            "FROM scratch\nCOPY --from=py x /\n",
            "",
            "Dockerfile:2: `COPY --from=py`",
            "add `contexts = { py = { stage = \"py\" } }` to `[stage.a]`",
        ),
        (
            "FROM other\nRUN --mount=from=py,target=/p true\n",
            "contexts = { other = { stage = \"other\" } }",
            "Dockerfile:2: `RUN --mount=from=py`",
            "add `py = { stage = \"py\" }` to the `contexts` of `[stage.a]`",
        ),
    ] {
        let (project, _engine, asked) = with(dockerfile, more);
        for command in [
            &["plan"][..],
            &["build"],
            &["build", "--offline"],
            &["lock"],
        ] {
            let ran = project.run(command).ends(2);
            let ran = ran.says(told).says("names the stage `py`").says(line);
            ran.says("write `py:latest`").says("stage `a`");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 0, "{dockerfile}");
    }
    for more in ["from = \"py\"", "contexts = { py = { stage = \"py\" } }"] {
        let (project, _engine, _) = with(from, more);
        project.run(&["plan"]).ends(0);
    }
    // A stage may have the name of the image that it is built on.
    let (project, _engine, _) = with("FROM a\n", "");
    project.run(&["plan"]).ends(0).never_says("a:latest");
}

#[test]
fn a_name_that_is_nearly_a_stages_is_told_with_its_line_and_asked_for_once() {
    for (dockerfile, told) in [
        (
            "FROM scratch AS builder\nCOPY Dockerfile /\nFROM scratch\nCOPY --from=buidler Dockerfile /\n",
            "Dockerfile:4: `COPY --from=buidler`: no stage has this name; did you mean the Dockerfile stage `builder`?",
        ),
        (
            "FROM scratch AS builder\nCOPY Dockerfile /\nFROM scratch\nRUN --mount=from=builde,target=/b true\n",
            "Dockerfile:4: `RUN --mount=from=builde`: no stage has this name; did you mean the Dockerfile stage `builder`?",
        ),
        (
            "FROM othr\n",
            "Dockerfile:1: `FROM othr`: no stage has this name; did you mean the stage `other` of the graph?",
        ),
    ] {
        let (project, _engine, asked) = with(dockerfile, "");
        project.run(&["plan"]).ends(0).says("note: ").says(told);
        let offline = project.run(&["build", "--offline", "a"]).ends(2);
        assert!(offline.stdout.contains(told) || offline.stderr.contains(told));
        assert_eq!(asked.load(Ordering::SeqCst), 0);
        for command in ["build", "lock"] {
            let before = asked.load(Ordering::SeqCst);
            let ran = project.run(&[command]);
            assert!(ran.status == 3, "{}", ran.stderr);
            ran.says(told).never_says("attempt 2");
            assert_eq!(asked.load(Ordering::SeqCst), before + 1, "{dockerfile}");
        }
    }
}

/// If a name is unlike any stage's, the registry gets all attempts.
#[test]
fn a_name_that_is_like_no_stages_is_an_images() {
    let (project, _engine, asked) = with(
        "FROM debian AS builder\nFROM alpine\nCOPY --from=builder x /\n",
        "",
    );
    let ran = project.run(&["plan"]).ends(0);
    ran.never_says("no stage has this name");
    project
        .run(&["lock"])
        .ends(3)
        .says("attempt 2")
        .never_says("no stage");
    assert_eq!(asked.load(Ordering::SeqCst), 8);
}
