//! The program is killed by SIGKILL while it writes a file. The file then has its old or its new
//! content, and unfinished files are removed. The end-to-end tests kill builds.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::engine::Engine;
use crate::support::{Project, interrupt};

/// The number of half-written files after which the test ends.
const HITS: usize = 20;
/// The number of tries after which fewer hits suffice. In memory and on a busy machine, a
/// half-written file is seldom caught. Without any hit, the program writes files in a way that
/// these tests do not know.
const TRIES: usize = 500;

fn unfinished(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let names = entries.filter(|entry| {
        entry
            .file_name()
            .to_str()
            .unwrap()
            .starts_with(".xtask-new-")
    });
    names.map(|entry| entry.path()).collect()
}

/// Kills the program as soon as it writes a file in the folder. Returns whether the file was still
/// unfinished.
fn kill_at_write(mut child: Child, folder: &Path) -> bool {
    let before = unfinished(folder);
    while child.try_wait().unwrap().is_none() {
        if unfinished(folder).iter().any(|path| !before.contains(path)) {
            child.kill().unwrap();
        }
    }
    unfinished(folder).iter().any(|path| !before.contains(path))
}

fn keys(project: &Project) -> Vec<String> {
    let ran = project.run(&["plan", "--json"]).ends(0);
    assert_eq!(ran.stderr, "");
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    let stages = plan["stages"].as_array().unwrap().iter();
    stages
        .map(|stage| stage["key"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_run_killed_while_it_writes_the_stat_cache_changes_no_answer() {
    let mut project = Project::new();
    let socket = project.path("engine.sock");
    let _engine = Engine::at(&socket);
    project = project
        .variable("DOCKER_HOST", &format!("unix://{}", socket.display()))
        .file(
            "build-graph.toml",
            "version = 1\n[stage.a]\ncontext = \"a\"\n",
        )
        .file("a/Dockerfile", "FROM scratch\nCOPY src /src\n");
    for at in 0..300 {
        project.write(&format!("a/src/{at}"), at.to_string());
    }
    keys(&project);
    let mut graphs = fs::read_dir(project.path("state")).unwrap();
    let state = graphs.next().unwrap().unwrap().path();
    let mut hits = 0;
    for round in 0..TRIES {
        // The content has the same length, so only the times show the change.
        project.write(&format!("a/src/{}", round % 300), format!("{round:04}"));
        hits += usize::from(kill_at_write(project.start(&["plan"]), &state));
        let told = keys(&project);
        // The keys without the stat cache are the right ones.
        if round % 10 == 0 {
            let _ = fs::remove_file(state.join("stats"));
            assert_eq!(keys(&project), told);
        }
        if hits == HITS {
            break;
        }
    }
    assert!(hits > 0);
    project.write("a/src/0", "last");
    keys(&project);
    // The last plan wrote the cache and removed the files that the killed runs had left.
    assert_eq!(unfinished(&state), [""; 0].map(PathBuf::from));
}

#[test]
fn an_engine_that_never_answers_does_not_keep_a_build_from_ending() {
    let project = Project::new();
    let socket = project.path("engine.sock");
    let silent = UnixListener::bind(&socket).unwrap();
    let project = project
        .variable("DOCKER_HOST", &format!("unix://{}", socket.display()))
        .file(
            "build-graph.toml",
            "version = 1\n[stage.a]\ncontext = \"a\"\n",
        )
        .file("a/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
    let child = project.start(&["build"]);
    let asked = silent.accept().unwrap();
    let start = Instant::now();
    interrupt(&child);
    assert_eq!(Project::finish(child).status, 130);
    assert!(start.elapsed() < Duration::from_secs(10));
    drop(asked);
}

#[test]
fn a_host_command_that_outlives_its_killed_build_is_waited_for() {
    for later in ["a", "renamed"] {
        is_waited_for_by(later);
    }
}

fn is_waited_for_by(later: &str) {
    let graph = |stage: &str| {
        format!(
            "version = 1\n[stage.{stage}]\ncontext = \"a\"\n[stage.{stage}.prepare]\ndir = \"a\"\n\
            run = [\"sh\", \"make.sh\"]\ninputs = [\"make.sh\", \"in\"]\noutputs = [\"out\"]\n"
        )
    };
    // The command stops halfway until the file `go` exists.
    let make = "echo >> started; { cat in; until [ -e go ] || [ ! -e in ]; do sleep 0.01; done; cat in; } > out\n";
    let project = Project::new();
    let socket = project.path("engine.sock");
    let _engine = Engine::at(&socket);
    let project = project
        .variable("DOCKER_HOST", &format!("unix://{}", socket.display()))
        .script("bin/docker", "#!/bin/sh\nexit 1\n")
        .file("build-graph.toml", graph("a"))
        .file("a/Dockerfile", "FROM scratch\nCOPY out /out\n")
        .file("a/make.sh", make)
        .file("a/in", "1");
    let bin = project.path("bin");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let project = project.variable("PATH", &path);
    let out = || fs::read_to_string(project.path("a/out")).unwrap_or_default();
    let mut killed = project.start(&["build"]);
    while out() != "1" {
        assert!(killed.try_wait().unwrap().is_none(), "it stops halfway");
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    project.write("a/in", "2");
    project.write("build-graph.toml", graph(later));
    let mut next = project.start(&["build", "--json"]);
    let stdout = BufReader::new(next.stdout.take().unwrap());
    let (tell, told) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            let _ = tell.send(line);
        }
    });
    loop {
        let started = fs::read_to_string(project.path("a/started")).unwrap();
        assert_eq!(started.lines().count(), 1, "two commands write one file");
        match told.recv_timeout(Duration::from_millis(20)) {
            Ok(line) if line.contains("a build that was killed") => break,
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => panic!("it ended without a word of waiting"),
        }
    }
    project.write("a/go", "");
    next.wait().unwrap();
    reader.join().unwrap();
    assert_eq!(out(), "22");
    let ran = project.run(&["plan", "--json"]).ends(0);
    assert!(ran.stdout.contains("no_record"), "{}", ran.stdout);
}
