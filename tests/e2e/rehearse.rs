//! `rehearse` with a build: the policy and the stack on another revision, apart from the graph.

use std::io::{BufRead as _, BufReader};

use serde_json::Value;
use xtask::outside::private;
use xtask::outside::state::State;

use crate::support::Project;
use crate::support::gate::Gate;
use crate::support::push::push;
use crate::support::remote::git;
use crate::{docker, host, privates_of, project, registry, state_of, unique, with_base};

/// A stage that no other test has, as its name tells its images apart.
const STAGE: &str = "rehearsed";
const COMPOSE: &str = "services:\n  app:\n    image: none\n    init: true\n    volumes: [\"data:/data\"]\nvolumes:\n  data: {}\n";
/// Writes the format of its data.
const FIRST: &str = "echo 1 > /data/format\nexec sleep 600\n";
/// Needs the data of the first release, and that nothing of it still runs.
const SECOND: &str = "grep -qx 1 /data/format || exit 7\nbeat=$(cat /data/beat)\nsleep 1\n\
                      test \"$beat\" = \"$(cat /data/beat)\" || exit 8\necho 2 > /data/format\nexec sleep 600\n";
/// Comes up on an empty volume only.
const THIRD: &str = "test ! -e /data/format || { echo cannot read format $(cat /data/format); exit 7; }\nexec sleep 600\n";

/// A release of the source, with this start script and this user.
fn release(project: &Project, tag: &str, start: &str, user: &str) {
    project.write("up/app/start", start);
    project.write(
        "up/app/Dockerfile",
        format!("FROM bb\nRUN mkdir /data && chown 1000 /data\nCOPY start /\n{user}CMD [\"/bin/sh\", \"/start\"]\n"),
    );
    tag_all(project, tag);
}

/// Commits the source as it is, and gives the commit a tag.
fn tag_all(project: &Project, tag: &str) {
    let up = project.path("up");
    git(&up, &["add", "--all"]);
    git(&up, &["commit", "--quiet", "--message", tag]);
    git(&up, &["tag", tag]);
}

fn world() -> Project {
    let image = unique(STAGE);
    // Only the first release has this service.
    let first = COMPOSE.replace(
        "volumes:\n  data",
        &format!(
            "  old:\n    image: {image}\n    init: true\n    volumes: [\"data:/data\"]\n    \
             command: [/bin/sh, -c, 'i=0; while :; do i=$$((i+1)); echo $$i > /data/beat; sleep 0.1; done']\n\
             volumes:\n  data"
        ),
    );
    let project = with_base(project(&host())).file("up/docker/compose.yaml", first);
    let graph = format!(
        "version = 1\n[source.up]\npath = \"up\"\n[stage.bb]\ncontext = \"base\"\npolicy = {{ rules = {{ root = \"warn\" }} }}\n\
         [stage.{STAGE}]\nsource = \"up\"\ncontext = \"app\"\nimage = \"{image}\"\nservices = [\"app\"]\n\
         contexts = {{ bb = {{ stage = \"bb\" }} }}\n\
         [stack]\nsource = \"up\"\ncompose = \"docker/compose.yaml\"\nwatch = 0\n\
         [[stack.probe]]\nservice = \"app\"\nkind = \"exec\"\ncommand = [\"cat\", \"/data/format\", \"/data/beat\"]\n"
    );
    // Compose looks for a file from the caller's folder upwards, and this one is another project's.
    let project = project
        .file("build-graph.toml", graph)
        .file("compose.yaml", "services: { other: { image: none } }\n");
    git(&project.path("up"), &["init", "--quiet"]);
    release(&project, "1.0", FIRST, "USER 1000\n");
    project.write("up/docker/compose.yaml", COMPOSE);
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

/// The graph shares what it builds, and the other revision has a base that is not locked.
#[test]
fn a_trial_writes_no_pin_and_asks_nothing_of_the_graphs_registry() {
    let Some(registry) = registry() else { return };
    let gate = Gate::before(&registry);
    let bases = ["one:1", "two:1"].map(unique);
    let platforms = [("linux/amd64", "a"), ("linux/arm64", "b")];
    bases
        .iter()
        .for_each(|base| drop(push(&registry, base, &platforms)));
    let path = unique("trial");
    let graph = format!(
        "version = 1\n[registry]\nurl = \"{}/{path}\"\ntrust = [\"any\"]\n[source.up]\npath = \"up\"\n\
         [stage.a]\nsource = \"up\"\ncontext = \"a\"\nimage = \"{path}/a\"\noutput = \"registry\"\nreproducible = true\n\
         platforms = [\"linux/amd64\", \"linux/arm64\"]\npolicy = {{ rules = {{ root = \"off\" }} }}\n\
         [stage.a.prepare]\ndir = \"a\"\nrun = [\"sh\", \"make.sh\"]\ninputs = [\"make.sh\"]\noutputs = [\"made\"]\n",
        gate.address()
    );
    let project = project(&host()).file("build-graph.toml", graph);
    let dockerfile = |base: &str| format!("FROM {registry}/{base}\nCOPY x made /\n");
    let project = project
        .file("up/a/x", &path)
        .file("up/.gitignore", "made\n")
        .file("up/a/make.sh", "echo 1 > made\n")
        .file("up/a/Dockerfile", dockerfile(&bases[0]));
    git(&project.path("up"), &["init", "--quiet"]);
    tag_all(&project, "1.0");
    project.write("up/a/Dockerfile", dockerfile(&bases[1]));
    project.write("up/a/make.sh", "echo 2 > made\n");
    tag_all(&project, "2.0");
    git(&project.path("up"), &["checkout", "--quiet", "1.0"]);
    project.run(&["build"]).ends(0);
    let lock = std::fs::read(project.path("build-graph.lock")).unwrap();
    gate.forget();

    let ran = project.run(&["rehearse", "2.0", "--policy"]).ends(0);
    ran.says("1 built, 0 fresh").never_says("commit that file");
    assert_eq!(
        std::fs::read(project.path("build-graph.lock")).unwrap(),
        lock
    );
    // What others have shared is not read, either: it is built here.
    let asked = gate.requests();
    assert!(asked.is_empty(), "{asked:#?}");
    let named = docker(&host(), &["image", "ls", "--quiet", &format!("{path}/a")]);
    assert_eq!(named, "");
}
