//! Host commands: when they run, when they need not, and when their result is accepted.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Stdio;

use crate::support::engine::Engine;
use crate::support::{Project, Ran};

/// A stage whose command makes `main` and `env`, and counts its runs. The command uses only the
/// shell's builtins, as there is no command on the path. Docker is missing too, so a build ends
/// where buildx begins.
const GRAPH: &str = "version = 1\n[source.s]\npath = \"s\"\n\
    [stage.a]\nsource = \"s\"\ncontext = \".\"\n\
    [stage.a.prepare]\nrun = [\"/bin/sh\", \"build.sh\"]\ninputs = [\"build.sh\", \"cmd\"]\n\
    ignore = [\"**/*.so\"]\noutputs = [\"main\", \"env\"]\n";
const GOOD: &str = "echo run >> runs\nread line < cmd/main.go\n\
    echo \"$line\" > main\necho env > env\necho so > cmd/x.so\n";

struct World {
    project: Project,
    _engine: Engine,
}

impl World {
    fn new() -> Self {
        let project = Project::new();
        let socket = project.path("engine.sock");
        let engine = Engine::at(&socket);
        let host = format!("unix://{}", socket.display());
        let project = project
            .variable("DOCKER_HOST", &host)
            .variable("PATH", "/nonexistent")
            .file("build-graph.toml", GRAPH)
            .file("s/Dockerfile", "FROM scratch\nCOPY main env /\n")
            .file("s/build.sh", GOOD)
            .file("s/cmd/main.go", "one\n")
            .file("s/README", "1");
        Self {
            project,
            _engine: engine,
        }
    }

    /// Builds as far as buildx, and returns whether the command ran.
    #[track_caller]
    fn runs(&self) -> bool {
        let before = self.count();
        self.project
            .run(&["build"])
            .ends(3)
            .says("cannot run `docker`");
        let times = self.count() - before;
        assert!(times <= 1, "it ran {times} times");
        times == 1
    }

    fn fails(&self) -> Ran {
        self.project.run(&["build"]).ends(1)
    }

    fn count(&self) -> usize {
        let runs = fs::read_to_string(self.project.path("s/runs"));
        runs.unwrap_or_default().lines().count()
    }

    fn key(&self) -> String {
        let ran = self.project.run(&["plan", "--json"]).ends(0);
        let plan: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        plan["stages"][0]["key"].as_str().unwrap().to_owned()
    }

    fn output(&self, name: &str) -> PathBuf {
        self.project.path("s").join(name)
    }
}

#[test]
fn a_folder_that_it_fills_anew_is_made_anew_though_the_folder_stays() {
    let world = World::new();
    let graph = GRAPH.replace("\"main\", \"env\"", "\"out\"");
    world.project.write("build-graph.toml", graph);
    world
        .project
        .write("s/Dockerfile", "FROM scratch\nCOPY out /\n");
    fs::create_dir(world.output("out")).unwrap();
    let script = "echo run >> runs\nread line < cmd/main.go\necho \"$line\" > out/main\n";
    world.project.write("s/build.sh", script);
    assert!(world.runs());
    world.project.settle();
    world.project.write("s/cmd/main.go", "two\n");
    assert!(world.runs());
    // A command that changes nothing in the folder counts as failed.
    world.project.settle();
    world.project.write("s/build.sh", "echo run >> runs\n");
    world
        .fails()
        .says("did not write `out`: if the command keeps files that are up to date, remove `out`");
}

#[test]
fn what_it_makes_is_read_after_it_ran() {
    let world = World::new();
    let plan = world.project.run(&["plan"]).ends(0).stdout;
    assert!(
        plan.contains("the host command must run: it has not run here yet"),
        "{plan}"
    );
    assert_eq!(world.count(), 0, "a plan runs nothing");
    assert!(world.runs());
    let inputs = world.project.run(&["inputs", "a"]).ends(0).stdout;
    assert_eq!(inputs, "env\nmain\n");
    let before = world.key();
    world.project.write("s/cmd/main.go", "two\n");
    assert!(world.runs());
    assert_ne!(world.key(), before);
}

#[test]
fn why_it_must_run_again_is_told_to_the_file() {
    let world = World::new();
    assert!(world.runs());
    let told = |said: &str| {
        let plan = world.project.run(&["plan"]).ends(0).stdout;
        assert!(plan.contains(&format!("must run: {said}")), "{plan}");
    };
    world.project.write("s/cmd/main.go", "two\n");
    told("cmd/main.go changed");
    world.project.write("s/cmd/other.go", "");
    told("cmd/main.go changed, and 1 input more");
    let explained = world.project.run(&["explain", "a"]).ends(0).stdout;
    for said in [
        "its inputs changed",
        "  cmd/main.go changed: ",
        "  cmd/other.go was added",
    ] {
        assert!(explained.contains(said), "{said}: {explained}");
    }
    assert!(world.runs());
    let graph = GRAPH.replace("[\"/bin/sh\", ", "[\"/bin/sh\", \"-e\", ");
    world.project.write("build-graph.toml", graph);
    told("its command changed");
    assert!(world.runs());
    fs::remove_file(world.output("env")).unwrap();
    told("its outputs are not as it left them");
}

#[test]
fn it_runs_again_only_when_what_it_reads_or_made_changed() {
    let world = World::new();
    assert!(world.runs());
    assert!(!world.runs());
    world.project.write("s/README", "2");
    world.project.write("s/cmd/y.so", "2");
    assert!(!world.runs(), "nothing that it reads changed");
    let touched = fs::File::options()
        .append(true)
        .open(world.output("cmd/main.go"));
    touched
        .unwrap()
        .set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    assert!(!world.runs(), "a time is no content");

    world.project.write("s/cmd/main.go", "two\n");
    assert!(world.runs());
    world.project.write("s/cmd/other.go", "");
    assert!(world.runs());
    world
        .project
        .write("s/build.sh", format!("{GOOD}# other\n"));
    assert!(world.runs());
    let graph = GRAPH.replace("[\"/bin/sh\", ", "[\"/bin/sh\", \"-e\", ");
    world.project.write("build-graph.toml", graph);
    assert!(world.runs());
    fs::remove_file(world.output("env")).unwrap();
    assert!(world.runs());
    world.project.write("s/main", "made by hand");
    assert!(world.runs());
    assert!(!world.runs());
}

#[test]
fn a_failure_is_told_with_its_output_and_believed_by_nobody() {
    let world = World::new();
    world
        .project
        .write("s/build.sh", format!("{GOOD}echo the last words\nexit 7\n"));
    let ran = world
        .fails()
        .says("`/bin/sh build.sh`")
        .says("exit status: 7\n  | the last words\n  full log: ");
    let log = ran.stderr.split("full log: ").nth(1).unwrap();
    let log = log.split_whitespace().next().unwrap();
    assert_eq!(fs::read_to_string(log).unwrap(), "the last words\n");
    // All outputs exist and are new. The command failed by its status alone.
    world.fails();
    assert_eq!(world.count(), 2);
    world.project.write("s/build.sh", GOOD);
    assert!(world.runs());
}

#[test]
fn one_that_ends_well_but_leaves_the_old_file_has_failed() {
    let world = World::new();
    assert!(world.runs());
    // As in upstream's script, the compiler's status is lost, as another command follows.
    world.project.write(
        "s/build.sh",
        "echo run >> runs\nfalse && echo new > main\necho env > env\n",
    );
    world.fails().says("did not write `main`");
    world.fails();
    assert_eq!(world.count(), 3, "it counts as never run");
    let inputs = world.project.run(&["inputs", "a"]);
    inputs.ends(1).says("not all there yet");
}

#[test]
fn one_that_ends_well_but_makes_nothing_has_failed() {
    let world = World::new();
    world.project.write("s/build.sh", "echo main > main\n");
    world.fails().says("did not make `env`");
}

#[test]
fn one_that_changes_what_it_reads_itself_has_failed_and_the_file_is_named() {
    let world = World::new();
    let script = format!("{GOOD}echo made > cmd/made.h\n");
    world.project.write("s/build.sh", script);
    let ran = world.fails();
    let ran = ran.says("reads `cmd/made.h`, which changed while it ran");
    ran.says("add it to `ignore` or `outputs` of `prepare`");
    // The next run leaves the file unchanged, so its result is accepted.
    world.project.run(&["build"]).ends(3);
    assert!(!world.runs());
}

#[test]
fn one_that_cannot_be_started_is_told() {
    let world = World::new();
    let graph = GRAPH.replace("\"/bin/sh\", ", "\"/nonexistent/sh\", ");
    world.project.write("build-graph.toml", graph);
    // The log of an earlier run is not this command's output.
    world
        .fails()
        .says("cannot be started")
        .never_says("full log");
}

#[test]
fn another_checkout_is_prepared_on_its_own() {
    let world = World::new();
    assert!(world.runs());
    let copy = Project::new().copy_of(&world.project.path("s"));
    fs::remove_file(copy.path("main")).unwrap();
    let other = copy.path("").display().to_string();
    let project = world.project.variable("XTASK_SOURCE_S", &other);
    project.run(&["build"]).ends(3).says("cannot run `docker`");
    assert_eq!(fs::read_to_string(copy.path("main")).unwrap(), "one\n");
}

/// The file has other content only while the command runs. So the output may come from content that
/// no look at the end finds.
#[test]
fn one_whose_inputs_were_written_to_meanwhile_runs_once_more() {
    let world = World::new();
    let meanwhile = "read was < cmd/main.go\n[ -e once ] || echo between > cmd/main.go\n";
    let back = "[ -e once ] || echo \"$was\" > cmd/main.go\necho > once\n";
    let script = format!("{meanwhile}{GOOD}{back}");
    world.project.write("s/build.sh", script);
    world.project.run(&["build"]).ends(3);
    assert_eq!(world.count(), 2);
    assert_eq!(fs::read_to_string(world.output("main")).unwrap(), "one\n");
    assert!(!world.runs());
}

#[test]
fn one_whose_inputs_are_written_to_by_somebody_else_each_time_is_not_believed() {
    let world = World::new();
    world.project.write("s/cmd/other.go", "");
    // The first run writes to one file, the second to another.
    let script = format!(
        "{GOOD}if [ -e once ]; then echo -n > cmd/other.go; else echo one > cmd/main.go; fi\necho > once\n"
    );
    world.project.write("s/build.sh", script);
    world
        .fails()
        .says("ran while `cmd/other.go`, which it reads, was written to");
    fs::remove_file(world.output("once")).unwrap();
    world.project.write("s/build.sh", GOOD);
    assert!(world.runs());
}

#[test]
fn one_that_writes_to_what_it_reads_without_changing_it_is_believed() {
    let world = World::new();
    let script = format!("{GOOD}echo \"$line\" > cmd/main.go\n");
    world.project.write("s/build.sh", script);
    world.project.run(&["build"]).ends(3);
    assert_eq!(world.count(), 2);
    assert!(!world.runs());
}

/// Each run gives another result. If both stages ran the command, each would undo the other's
/// result without an end.
#[test]
fn the_same_command_of_two_stages_runs_once() {
    let world = World::new();
    let second = GRAPH.split_once("[stage.a]\n").unwrap().1;
    let second = second.replace("stage.a", "stage.b");
    let graph = format!("{GRAPH}[stage.b]\n{second}");
    world.project.write("build-graph.toml", &graph);
    world
        .project
        .write("s/build.sh", format!("{GOOD}echo $$ > env\n"));
    assert!(world.runs());
    assert!(!world.runs());
    let other = graph.replacen("\"build.sh\", \"cmd\"", "\"build.sh\"", 1);
    let nested = other.replacen("\"env\"]", "\"env/x\"]", 1);
    for (graph, told) in [
        (other, "`a` and `b` both make `main`"),
        (nested, "`b` and `a` both make `env`"),
    ] {
        world.project.write("build-graph.toml", graph);
        let told = format!("the host commands of {told}");
        world.project.run(&["plan"]).ends(2).says(&told);
    }
}

/// Another folder has the place of the input only while the command runs. So the output may come
/// from files that no look at the end finds.
#[test]
fn one_whose_input_folder_was_another_meanwhile_runs_once_more() {
    let world = World::new();
    world.project.write("s/other/main.go", "between\n");
    // There is no command on the path, so `mv` is called by its full path.
    let (away, back) = (
        "/bin/mv cmd aside; /bin/mv other cmd\n",
        "/bin/mv cmd other; /bin/mv aside cmd\necho > once\n",
    );
    let script = format!("[ -e once ] || {{ {away} }}\n{GOOD}[ -e once ] || {{ {back} }}\n")
        .replace("echo so > cmd/x.so\n", "");
    world.project.write("s/build.sh", script);
    world.project.run(&["build"]).ends(3);
    assert_eq!(world.count(), 2);
    assert_eq!(fs::read_to_string(world.output("main")).unwrap(), "one\n");
    assert!(!world.runs());
}

/// Two states share no lock, so the command needs a lock of its own.
#[test]
fn two_builds_with_states_of_their_own_do_not_run_it_at_the_same_time() {
    let world = World::new();
    let script = format!(
        "if [ -e in ]; then exit 1; fi\necho > in\n\
         while [ ! -e go ]; do :; done\n/bin/rm in\n{GOOD}"
    );
    world.project.write("s/build.sh", script);
    let mut first = world.project.start(&["build"]);
    while !world.output("in").exists() {
        std::thread::yield_now();
    }
    let other = world.project.path("other-state");
    let mut second = world.project.command(&["build"]);
    let second = second.env("XTASK_STATE", other);
    let mut second = second.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(second.stderr.take().unwrap()).lines();
    let waits = said.any(|line| {
        line.unwrap()
            .contains("waits for another host command in the same folder")
    });
    fs::write(world.output("go"), "").unwrap();
    said.for_each(drop);
    first.wait().unwrap();
    second.wait().unwrap();
    assert!(waits);
}

#[test]
fn a_link_that_leads_out_of_its_folder_is_refused_and_named() {
    let world = World::new();
    let graph = GRAPH.replace("[stage.a.prepare]\n", "[stage.a.prepare]\ndir = \"sub\"\n");
    world.project.write("build-graph.toml", graph);
    for (name, text) in [
        ("build.sh", GOOD),
        ("cmd/main.go", "one\n"),
        ("beside", "1"),
    ] {
        world.project.write(&format!("s/sub/{name}"), text);
    }
    let dockerfile = "FROM scratch\nCOPY sub/main sub/env /\n";
    world.project.write("s/Dockerfile", dockerfile);
    let link = world.output("sub/cmd/link");
    std::os::unix::fs::symlink("../beside", &link).unwrap();
    world.project.run(&["build"]).ends(3);
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("../../README", &link).unwrap();
    let ran = world.project.run(&["plan"]).ends(2);
    ran.says("reads `cmd/link`, a link that leads out of");
}

#[test]
fn a_base_that_a_host_command_writes_into_a_dockerfile_is_not_taken_unreplaced() {
    let world = World::new();
    let project = &world.project;
    let graph = GRAPH.replace("main\", \"env", "out");
    let more = "[base.\"old:1\"]\nimage = \"new:1\"\n";
    project.write("build-graph.toml", graph + more);
    project.write("s/Dockerfile", "FROM scratch\nCOPY out /\n");
    project.write("s/build.sh", "echo FROM old:1 > Dockerfile; echo > out\n");
    world
        .fails()
        .says("the Dockerfile of `a` now names `old:1`, which it did not when this run began")
        .says("run this once more");
    // This run knows the base from the beginning.
    let refused = project.run(&["build", "--offline"]).ends(3);
    refused.says("new:1").never_says("old:1");
}
