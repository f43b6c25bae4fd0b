//! `rehearse` with a build: the policy and the stack on another revision, apart from the graph.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use xtask::outside::private;
use xtask::outside::state::State;

use crate::support::{Project, process};
use crate::{docker, host, privates_of, project, state_of, unique, with_base};

/// A stage that no other test has, as its name tells its images apart.
const STAGE: &str = "rehearsed";
const COMPOSE: &str = "services:\n  app:\n    image: none\n    init: true\n    volumes: [\"data:/data\"]\nvolumes:\n  data: {}\n";
/// Writes the format of its data.
const FIRST: &str = "echo 1 > /data/format\nexec sleep 600\n";
/// Needs the data of the first release.
const SECOND: &str = "grep -qx 1 /data/format || exit 7\necho 2 > /data/format\nexec sleep 600\n";
/// Comes up on an empty volume only.
const THIRD: &str = "test ! -e /data/format || { echo cannot read format $(cat /data/format); exit 7; }\nexec sleep 600\n";

fn git(folder: &Path, arguments: &[&str]) {
    let mut git = Command::new("git");
    let names = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
    git.arg("-C").arg(folder).args(names).args(arguments);
    assert!(process::ended(&mut git).unwrap().status.success());
}

/// A release of the source, with this start script and this user.
fn release(project: &Project, tag: &str, start: &str, user: &str) {
    project.write("up/app/start", start);
    project.write(
        "up/app/Dockerfile",
        format!("FROM bb\nRUN mkdir /data && chown 1000 /data\nCOPY start /\n{user}CMD [\"/bin/sh\", \"/start\"]\n"),
    );
    let up = project.path("up");
    git(&up, &["add", "--all"]);
    git(&up, &["commit", "--quiet", "--message", tag]);
    git(&up, &["tag", tag]);
}

fn world() -> Project {
    let project = with_base(project(&host())).file("up/docker/compose.yaml", COMPOSE);
    let graph = format!(
        "version = 1\n[source.up]\npath = \"up\"\n[stage.bb]\ncontext = \"base\"\npolicy = {{ rules = {{ root = \"warn\" }} }}\n\
         [stage.{STAGE}]\nsource = \"up\"\ncontext = \"app\"\nimage = \"{}\"\nservices = [\"app\"]\n\
         contexts = {{ bb = {{ stage = \"bb\" }} }}\n\
         [stack]\nsource = \"up\"\ncompose = \"docker/compose.yaml\"\nwatch = 0\n\
         [[stack.probe]]\nservice = \"app\"\nkind = \"exec\"\ncommand = [\"cat\", \"/data/format\"]\n",
        unique(STAGE)
    );
    let project = project.file("build-graph.toml", graph);
    git(&project.path("up"), &["init", "--quiet"]);
    release(&project, "1.0", FIRST, "USER 1000\n");
    release(&project, "2.0", SECOND, "USER 1000\n");
    release(&project, "3.0", THIRD, "");
    git(&project.path("up"), &["checkout", "--quiet", "1.0"]);
    project
}

/// All images of the stage, whoever made them.
fn images() -> String {
    let all = docker(
        &host(),
        &[
            "image",
            "ls",
            "--format",
            "{{.Repository}}:{{.Tag}} {{.ID}}",
        ],
    );
    let own = all.lines().filter(|line| line.contains(STAGE));
    let mut own: Vec<&str> = own.collect();
    own.sort_unstable();
    own.join("\n")
}

fn volumes() -> String {
    let label = format!("label={}", xtask::verify::stack::LABEL);
    docker(&host(), &["volume", "ls", "--quiet", "--filter", &label])
}

#[test]
fn a_stack_is_tried_on_the_volumes_of_the_present_one_and_nothing_stays_of_it() {
    let project = world();
    let early = project.run(&["rehearse", "2.0", "--stack"]).ends(1);
    early.says("is not fresh");
    project.run(&["build"]).ends(0);
    let before = images();
    // A trial that was killed has left an image and its folder.
    let left = state_of(&project).path("rehearsal");
    std::fs::create_dir(&left).unwrap();
    let id = State::in_folder(left.clone()).id().unwrap();
    let name = private::reference(&id, STAGE, &"a".repeat(64));
    let own = privates_of(&project);
    let image = before.lines().find(|line| line.starts_with(&own)).unwrap();
    docker(&host(), &["tag", image.split_once(' ').unwrap().0, &name]);

    let ran = project
        .run(&["rehearse", "2.0", "--policy", "--stack"])
        .ends(0);
    assert!(
        ran.stdout
            .ends_with("the stack of 2.0 comes up on the volumes of the present one\n"),
        "{}",
        ran.stdout
    );
    assert_eq!(images(), before);
    assert!(!left.exists());

    let ran = project
        .run(&["rehearse", "3.0", "--stack", "--json"])
        .ends(1);
    let said: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(said["stack"]["now"], "passed");
    assert_eq!(said["stack"]["then"], "failed");
    let cause = said["stack"]["cause"].as_str().unwrap();
    assert!(cause.contains("ended with exit code 7"), "{cause}");
    ran.says("cannot read format 1");
    assert_eq!(images(), before);

    // The image of this revision runs as root.
    let ran = project.run(&["rehearse", "3.0", "--policy"]).ends(1);
    assert!(ran.stdout.contains("root"), "{}", ran.stdout);
    // A revision that is not built is not tried.
    release(&project, "4.0", "", "RUN exit 9\n");
    git(&project.path("up"), &["checkout", "--quiet", "1.0"]);
    let ran = project.run(&["rehearse", "4.0", "--stack"]).ends(1);
    let said =
        "not built there: rehearsed\nthe stack of 4.0 was not tried: `rehearsed` was not built\n";
    assert!(ran.stdout.ends_with(said), "{}", ran.stdout);
    // The log that the report names is there until the next trial.
    assert!(left.join("logs/rehearsed.log").exists());
    ran.says("exit code 9");

    // What compose refuses there is a finding, and the answer is whole.
    project.write("up/docker/compose.yaml", "services: [\n");
    release(&project, "5.0", SECOND, "USER 1000\n");
    git(&project.path("up"), &["checkout", "--quiet", "1.0"]);
    let ran = project
        .run(&["rehearse", "5.0", "--stack", "--json"])
        .ends(1);
    let said: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(said["stack"]["then"], "failed");
    let cause = said["stack"]["cause"].as_str().unwrap();
    assert!(cause.contains("compose refuses"), "{cause}");
    // An interrupt while a stack is up leaves nothing, either.
    let mut child = project.start(&["rehearse", "2.0", "--stack"]);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("the stack as it is")));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    lines.for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(130));

    assert_eq!(images(), before);
    assert!(!left.exists());
    let project_volumes = volumes();
    let state = state_of(&project);
    let stacks = state.path("stacks");
    let notes = std::fs::read_dir(stacks).unwrap();
    let notes: Vec<_> = notes.map(|it| it.unwrap().file_name()).collect();
    assert_eq!(notes, ["lock"], "{project_volumes}");
    project.run(&["plan", "--exit-code"]).ends(0);
}
