//! Missing secrets and agents.

use std::fs;

use super::ONE;
use crate::support::engine::Engine;
use crate::support::{Project, Ran};

/// A project with an engine without images, and a docker command that writes down its calls.
pub struct World {
    pub project: Project,
    _engine: Engine,
}

impl World {
    pub fn new(lines: &str) -> Self {
        let project = Project::new();
        let socket = project.path("engine.sock");
        let engine = Engine::at(&socket);
        let (host, calls) = (
            format!("unix://{}", socket.display()),
            project.path("calls"),
        );
        let path = format!("{}:/usr/bin:/bin", project.path("bin").display());
        let script = format!("#!/bin/sh\necho \"$*\" >> {}\nexit 1\n", calls.display());
        let project = project
            .variable("DOCKER_HOST", &host)
            .variable("PATH", &path)
            .variable("SSH_AUTH_SOCK", "")
            .script("bin/docker", &script)
            .file("calls", "")
            .file("build-graph.toml", format!("{ONE}{lines}\n"))
            .file("a/Dockerfile", "FROM scratch\nCOPY x /x\n")
            .file("a/x", "1");
        Self {
            project,
            _engine: engine,
        }
    }

    pub fn calls(&self) -> String {
        fs::read_to_string(self.project.path("calls")).unwrap()
    }

    /// Asserts that the missing secret stops the build, but neither `plan` nor `explain`.
    #[track_caller]
    fn stops(&self) -> Ran {
        self.project.run(&["plan"]).ends(0);
        self.project.run(&["explain", "a"]).ends(0);
        let ran = self.project.run(&["build"]).ends(1).says("a failed: its s");
        assert_eq!(self.calls(), "", "buildx was asked");
        ran
    }

    /// Builds, and returns the arguments of buildx.
    #[track_caller]
    fn goes_on(&self) -> String {
        self.project.run(&["build"]).ends(1);
        let calls = self.calls();
        assert!(calls.contains("buildx build"), "{calls}");
        self.project.write("calls", "");
        calls
    }

    fn key(&self) -> String {
        self.project.planned("a")["key"].to_string()
    }
}

#[test]
fn a_build_stops_at_a_secret_that_is_not_there_and_says_which() {
    let world = World::new("secrets = [{ id = \"token\", env = \"THE_TOKEN\" }]");
    let said = "its secret `token` is not there: the environment variable `THE_TOKEN` is";
    world
        .stops()
        .says(&format!("{said} not set"))
        .says("optional = true");
    let world = World {
        project: world.project.variable("THE_TOKEN", ""),
        ..world
    };
    world.stops().says(&format!("{said} empty"));
    let world = World {
        project: world.project.variable("THE_TOKEN", "x"),
        ..world
    };
    assert!(world.goes_on().contains("--secret=id=token,env=THE_TOKEN "));
    let world = World::new("secrets = [{ id = \"token\", file = \"to,ken\" }]");
    world.stops().says("to,ken does not exist");
    world.project.write("to,ken", "");
    world.stops().says("to,ken is empty");
    world.project.write("to,ken", "x");
    let file = world.project.path("to,ken");
    let quoted = format!("--secret=id=token,\"src={}\" ", file.display());
    assert!(world.goes_on().contains(&quoted));
}

#[test]
fn a_build_stops_where_there_is_no_ssh_agent() {
    let world = World::new("ssh = [\"default\"]");
    world
        .stops()
        .says("its ssh agent `default` is not there")
        .says("ssh-agent");
    let project = world
        .project
        .variable("SSH_AUTH_SOCK", "/nonexistent/agent");
    let world = World { project, ..world };
    world
        .stops()
        .says("names /nonexistent/agent, which does not exist");
    let here = world.project.path("a/x");
    let project = world
        .project
        .variable("SSH_AUTH_SOCK", here.to_str().unwrap());
    let world = World { project, ..world };
    assert!(world.goes_on().contains("--ssh=default"));
}

#[test]
fn an_optional_secret_may_be_absent_and_whether_it_is_counts() {
    let secrets =
        |optional: &str| format!("secrets = [{{ id = \"token\", file = \"token\"{optional} }}]");
    let world = World::new(&secrets(", optional = true"));
    let absent = world.key();
    assert!(!world.goes_on().contains("--secret"));
    world.project.write("token", "x");
    let there = world.key();
    assert_ne!(there, absent);
    assert!(world.goes_on().contains("--secret"));
    // Neither the secret's value counts, nor that it is optional.
    world.project.write("token", "y");
    assert_eq!(world.key(), there);
    let needed = World::new(&secrets(""));
    needed.project.write("token", "z");
    assert_eq!(needed.key(), there);
}
