//! Files that a host command makes for other stages than its own.

use std::fs;

use crate::support::Project;
use crate::support::engine::Engine;

/// Stage `a` makes `p/mid` from `src`, and each command writes its name into `runs`. There is no
/// command on the path, not even docker, so a build ends where buildx begins.
const A: &str = "version = 1\n[source.s]\npath = \"s\"\n[source.again]\npath = \"s\"\n\
    [stage.a]\nsource = \"s\"\ncontext = \"a\"\n[stage.a.prepare]\ndir = \"p\"\n\
    run = [\"/bin/sh\", \"-c\", \"echo a >> ../../runs; read x < ../src; echo $x > mid\"]\n\
    source-inputs = [\"src\"]\noutputs = [\"mid\"]\n";

struct World {
    project: Project,
    _engine: Engine,
}

impl World {
    fn new(b: &str) -> Self {
        let project = Project::new();
        let socket = project.path("engine.sock");
        let engine = Engine::at(&socket);
        let project = project
            .variable("DOCKER_HOST", &format!("unix://{}", socket.display()))
            .variable("PATH", "/nonexistent")
            .file("build-graph.toml", format!("{A}{b}"))
            .file("s/src", "one\n")
            .file("s/a/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")
            .file("s/p/Dockerfile", "FROM scratch\nCOPY mid /\n")
            .file("s/Dockerfile", "FROM scratch\nCOPY p/mid /\n")
            .file("s/b/Dockerfile", "FROM scratch\nCOPY . /\n");
        Self {
            project,
            _engine: engine,
        }
    }

    /// The host commands that a build of `b` runs, in their order.
    #[track_caller]
    fn runs(&self) -> Vec<String> {
        let file = self.project.path("runs");
        let _ = fs::remove_file(&file);
        let ran = self.project.run(&["build", "b"]);
        ran.ends(3).says("cannot run `docker`");
        let runs = fs::read_to_string(file).unwrap_or_default();
        runs.lines().map(str::to_owned).collect()
    }

    /// The output of `plan` for `b`.
    #[track_caller]
    fn plan(&self) -> String {
        self.project.run(&["plan", "b"]).ends(0).stdout
    }
}

const WAITS: &str = "the host command of `a` must run: it has not run here yet";

#[test]
fn a_stage_that_reads_what_anothers_command_makes_is_judged_after_it_ran() {
    for b in [
        "source = \"s\"\ncontext = \"p\"\n",
        "source = \"s\"\ncontext = \".\"\n",
        "source = \"again\"\ncontext = \".\"\n",
        "context = \"s/p\"\n",
        "context = \"link\"\n",
        "context = \"s/b\"\noverlays = [\"s/p\"]\n",
        "context = \"s/b\"\ndockerfile = \"named\"\ncontexts = { n = { path = \"s\" } }\n",
        "context = \"s/b\"\ndockerfile = \"followed\"\n",
    ] {
        let world = World::new(&format!("[stage.b]\n{b}"));
        let project = &world.project;
        project.write("named", "FROM scratch\nCOPY --from=n p/m* /\n");
        project.write("followed", "FROM scratch\nCOPY mid /\n");
        std::os::unix::fs::symlink("s/p", project.path("link")).unwrap();
        if b.contains("followed") {
            project.write("s/Dockerfile", "FROM scratch\nCOPY b/mid /\n");
            let graph = format!("{A}[stage.b]\ncontext = \"s\"\n");
            project.write("build-graph.toml", graph);
            std::os::unix::fs::symlink("../p/mid", project.path("s/b/mid")).unwrap();
        }
        assert!(world.plan().contains(WAITS), "{b}: {}", world.plan());
        let refused = project.run(&["inputs", "b"]);
        refused
            .ends(1)
            .says(WAITS)
            .says("`cargo xtask build b --graph ");
        assert_eq!(world.runs(), ["a"], "{b}");
        assert_eq!(world.runs(), [""; 0], "{b}");
        let listed = project.run(&["inputs", "b"]).ends(0).stdout;
        assert!(listed.contains("mid"), "{b}: {listed}");
        project.write("s/src", "two\n");
        assert!(
            world
                .plan()
                .contains("host command of `a` must run: :source:src changed"),
            "{b}"
        );
        let explained = project.run(&["explain", "b"]).ends(0).stdout;
        assert!(explained.contains("makes"), "{explained}");
        assert_eq!(world.runs(), ["a"], "{b}");
    }
}

#[test]
fn a_stage_whose_files_are_others_waits_for_nobody() {
    for (b, ignored) in [
        ("source = \"s\"\ncontext = \"b\"\n", ""),
        (
            "source = \"s\"\ncontext = \".\"\ndockerfile = \"own\"\n",
            "",
        ),
        (
            "source = \"s\"\ncontext = \".\"\ndockerfile = \"all\"\n",
            "p\n",
        ),
    ] {
        let world = World::new(&format!("[stage.b]\n{b}"));
        let project = &world.project;
        project.write("s/own", "FROM scratch\nCOPY b own /\n");
        project.write("s/all", "FROM scratch\nCOPY . /\n");
        project.write("s/.dockerignore", ignored);
        assert!(world.plan().contains("never built here"), "{b}");
        assert_eq!(world.runs(), [""; 0], "{b}");
    }
}

/// A host command may also make the files that decide what counts.
#[test]
fn a_dockerfile_and_an_ignore_file_that_anothers_command_makes_are_read_after_it_ran() {
    for (made, text) in [("b/Dockerfile", "FROM scratch"), ("b/.dockerignore", "x")] {
        let world = World::new("[stage.b]\nsource = \"s\"\ncontext = \"b\"\n");
        let project = &world.project;
        project.write("s/b/x", "x");
        let graph = fs::read_to_string(project.path("build-graph.toml")).unwrap();
        let graph = graph
            .replace("dir = \"p\"\n", "")
            .replace("../../runs", "../runs")
            .replace("../src", "src")
            .replace("echo $x > mid", &format!("echo {text} > {made}"))
            .replace("\"mid\"", &format!("\"{made}\""));
        project.write("build-graph.toml", graph);
        if made.ends_with("Dockerfile") {
            fs::remove_file(project.path("s/b/Dockerfile")).unwrap();
        }
        assert!(world.plan().contains(WAITS), "{made}: {}", world.plan());
        assert_eq!(world.runs(), ["a"], "{made}");
        assert_eq!(world.runs(), [""; 0], "{made}");
    }
}

/// `b`'s command reads `p/mid`, and stage `c` uses the file that it makes from it.
const CHAIN: &str = "[stage.o]\nsource = \"s\"\ncontext = \"o\"\n[stage.o.prepare]\n\
    run = [\"/bin/sh\", \"-c\", \"echo o >> ../runs; read x < p/mid; echo $x > o/out\"]\n\
    inputs = [\"p\"]\noutputs = [\"o/out\"]\n\
    [stage.b]\nsource = \"s\"\ncontext = \"o\"\n";

#[test]
fn commands_run_in_the_order_in_which_one_reads_what_the_other_makes() {
    let world = World::new(CHAIN);
    let project = &world.project;
    project.write("s/o/Dockerfile", "FROM scratch\nCOPY out /\n");
    assert!(world.plan().contains(WAITS));
    assert_eq!(world.runs(), ["a", "o"]);
    assert_eq!(world.runs(), [""; 0]);
    project.write("s/src", "two\n");
    let plan = project.run(&["plan"]).ends(0).stdout;
    let told = "the host command of `a` must run: :source:src changed";
    assert_eq!(plan.matches(told).count(), 2, "{plan}");
    assert_eq!(world.runs(), ["a", "o"]);
    let made = fs::read_to_string(project.path("s/o/out")).unwrap();
    assert_eq!(made, "two\n");
    // The output of `a` changes, so `a` makes it again as it was.
    fs::write(project.path("s/p/mid"), "by hand\n").unwrap();
    assert_eq!(world.runs(), ["a"]);
}

#[test]
fn commands_that_read_what_each_other_makes_are_refused_with_the_line_to_write() {
    let world = World::new(CHAIN);
    let project = &world.project;
    project.write("s/o/Dockerfile", "FROM scratch\nCOPY out /\n");
    let graph = format!("{A}{CHAIN}").replace("[\"src\"]", "[\"src\", \"o\"]");
    project.write("build-graph.toml", &graph);
    for stage in ["a", "b", "o"] {
        let refused = project.run(&["plan", stage]).ends(2);
        refused.says("host commands wait for each other: ");
    }
    let refused = project.run(&["plan", "a"]).ends(2);
    let refused = refused.says("a -> o -> a (each reads what the next one makes)");
    refused.says("if the one of `a` does not need `o/out`, write `ignore = [\"o/out\"]`");
    let graph = graph.replace("dir = \"p\"", "dir = \"p\"\nignore = [\"o/out\"]");
    project.write("build-graph.toml", graph);
    assert_eq!(world.runs(), ["a", "o"]);
}

#[test]
fn what_a_command_needs_and_the_machine_lacks_is_told_with_the_package_that_brings_it() {
    let world = World::new("");
    let project = &world.project;
    let graph = |needs: &str, more: &str| {
        let graph = A.replace("outputs =", &format!("needs = {needs}\noutputs ="));
        project.write(
            "build-graph.toml",
            graph.replace("echo a >>", &format!("{more} echo a >>")),
        );
    };
    project.write("lib/libmade-up.pc", "");
    // There is no command on the path.
    graph("[\"libmade-up\", \"go\", \"libunheard-of\"]", "exit 3;");
    let told = "the host command of `a` needs `go` (";
    let plan = project.run(&["plan", "a"]).ends(0).says(told);
    plan.says("package golang")
        .says("`libunheard-of`, not found on this machine: install");
    let check = project.run(&["setup", "--check"]).stdout;
    for line in [
        "host command: go: none (needed: go",
        "host command: libmade-up: none",
    ] {
        assert!(check.contains(line), "{check}");
    }
    let failed = project.run(&["build", "a"]).ends(3);
    failed.says("ended with exit status: 3").says(told);
    // If the command succeeds without the tool, nothing is said.
    graph("[\"go\"]", "");
    project
        .run(&["build", "a"])
        .ends(3)
        .says("cannot run `docker`")
        .never_says(told);
    project.run(&["plan", "a"]).ends(0).never_says("needs `go`");
    project.write("s/src", "other");
    project.run(&["plan", "a"]).ends(0).says(told);
    graph("[\"libmade-up\"]", "");
    let found = project
        .command(&["plan", "a"])
        .env("PKG_CONFIG_PATH", project.path("lib"))
        .output();
    let found = String::from_utf8(found.unwrap().stderr).unwrap();
    assert!(!found.contains("needs"), "{found}");
    graph("[\"a/b\"]", "");
    project
        .run(&["plan"])
        .ends(2)
        .says("program or library `a/b`");
}
