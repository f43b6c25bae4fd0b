//! What the record of a verification with a stack depends on, and that it names the right image.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, chown};

use serde_json::Value;

use crate::support::Ran;
use crate::{Project, docker, host, project, unique, with_base};

/// The image of `app` is a stage's. The image of `other` is external. The service gets a
/// `SECRET_KEY`, which is one of Dify's own keys in one test.
const COMPOSE: &str = "services:\n  app:\n    image: none\n    command: [sh, -c, 'cat /conf/a /file; exec sleep 600']\n\
    \x20   volumes: [\"./conf:/conf:ro\", \"./file:/file:ro\"]\n\
    \x20 other:\n    image: ${OTHER}\n    command: [sleep, \"600\"]\n    environment: { SECRET_KEY: \"${KEY}\" }\n";
/// A label whose value comes from a file that only compose finds.
const LABELLED: &str = "    labels: { word: \"${WORD}\" }\n";
const KEY: &str = "sk-9f73s3ljTXVcMT3Blb3ljTqtsKiGHXVcMT3BlbkFJLK7U";

struct World {
    project: Project,
    other: String,
    image: String,
}

impl World {
    fn new() -> Self {
        let (other, image) = (format!("{}:1", unique("other")), unique("app"));
        let project = with_base(project(&host()))
            .file("app/Dockerfile", "FROM bb\nUSER 1000\nCMD [\"/bin/sh\"]\n")
            .file("compose.yaml", COMPOSE)
            .file("conf/a", "1")
            .file("file", "1")
            .variable("STACK_TEST_KEY", "of-this-test-alone");
        let world = Self {
            project,
            other,
            image,
        };
        world.graph("");
        world.project.run(&["build"]).ends(0);
        docker(&host(), &["tag", &world.image, &world.other]);
        world
    }

    fn graph(&self, more: &str) {
        self.graph_with("", more);
    }

    /// Writes the graph. `env` has further variables of the stack, `more` further lines.
    fn graph_with(&self, env: &str, more: &str) {
        self.project.write(
            "build-graph.toml",
            format!(
                "version = 1\n[stage.bb]\ncontext = \"base\"\n[stage.app]\ncontext = \"app\"\nimage = \"{}\"\nservices = [\"app\"]\n\
                 contexts = {{ bb = {{ stage = \"bb\" }} }}\n\
                 [stack]\ncompose = \"compose.yaml\"\nwatch = 0\nenv = {{ OTHER = \"{}\", KEY = {{ secret = \"STACK_TEST_KEY\" }} {env} }}\n{more}",
                self.image, self.other
            ),
        );
    }

    fn verify(&self, status: i32) -> Value {
        let ran = self.project.run(&["verify", "app", "--json"]).ends(status);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// Asserts that no record answers after a change, and that the new record answers then.
    #[track_caller]
    fn is_asked_again(&self, what: &str) {
        assert_eq!(self.verify(0)["recorded"], false, "{what}");
        assert_eq!(self.verify(0)["recorded"], true, "{what}");
    }
}

#[test]
fn a_record_ends_with_anything_that_the_stack_is_given() {
    let world = World::new();
    let project = &world.project;
    world.is_asked_again("nothing was verified");
    let path = |name: &str| project.path(name);
    let bits = |name: &str, mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path(name), permissions).unwrap();
    };
    project.write("file", "2");
    world.is_asked_again("a mounted file");
    bits("file", 0o666);
    world.is_asked_again("its mode");
    chown(path("file"), Some(1000), None).unwrap();
    world.is_asked_again("its owner");
    project.write("conf/b", "1");
    world.is_asked_again("a file in a mounted folder");
    bits("conf", 0o777);
    world.is_asked_again("the mode of a mounted folder");
    project.write("compose.yaml", format!("{COMPOSE}    init: true\n"));
    world.is_asked_again("the compose file");
    let known = project.path("known");
    std::fs::create_dir(&known).unwrap();
    std::fs::write(
        known.join("Dockerfile"),
        format!("FROM {}\nLABEL a=b\n", world.image),
    )
    .unwrap();
    docker(
        &host(),
        &[
            "buildx",
            "build",
            "--quiet",
            "--provenance=false",
            "--load",
            "--tag",
            &world.other,
            known.to_str().unwrap(),
        ],
    );
    world.is_asked_again("the image of a service without a stage");

    // A file that compose finds by a variable of its own.
    project.write("words.env", "WORD=one\n");
    project.write("compose.yaml", format!("{COMPOSE}{LABELLED}"));
    world.graph_with(", COMPOSE_ENV_FILES = \"words.env\"", "");
    world.is_asked_again("a file of variables");
    let explained = project.run(&["explain", "app"]).ends(0).stdout;
    assert!(explained.contains("only `verify` can see"), "{explained}");
    project.write("words.env", "WORD=two\n");
    world.is_asked_again("what is in it");
    // The program cannot see into a place that the engine itself mounts, so no record answers.
    let volume = "    volumes: [\"place:/v\"]\nvolumes:\n  place: { driver_opts: { type: tmpfs, device: tmpfs } }\n";
    project.write("compose.yaml", format!("{COMPOSE}{volume}"));
    world.graph("allow = [\"volume:place\"]\n");
    for _ in 0..2 {
        assert_eq!(world.verify(0)["recorded"], false, "a mounted place");
    }
    project.write("compose.yaml", COMPOSE);
    world.graph("");

    // A service without a stage has a key that is publicly known.
    let with_key = |arguments: &[&str]| {
        let mut command = project.command(arguments);
        command.env("STACK_TEST_KEY", KEY);
        Ran::of(command.output().unwrap())
    };
    let ran = with_key(&["verify", "app"]).ends(1);
    assert!(
        ran.stdout.contains("deny    default-keys  other"),
        "{}",
        ran.stdout
    );
    assert!(!ran.stdout.contains(KEY) && !ran.stderr.contains(KEY));
    let explained = || with_key(&["explain", "app"]).ends(0).stdout;
    assert!(
        explained().contains("the image did not pass"),
        "{}",
        explained()
    );
    // For such a service, the policy of the whole graph decides.
    let own = "policy.rules]\ndefault-keys = \"warn\"\n";
    let warn = format!("[stage.app.{own}[stage.bb.{own}[policy.rules]\ndefault-keys = ");
    world.graph(&format!("{warn}\"warn\"\n"));
    with_key(&["verify", "app"]).ends(0);
    world.graph(&format!("{warn}\"deny\"\n"));
    with_key(&["verify", "app"])
        .ends(1)
        .never_says("verified before");
}

#[test]
fn a_name_that_is_moved_meanwhile_passes_no_other_images_verdict_on() {
    let world = World::new();
    let project = &world.project;
    let good = format!("{}:good", unique("good"));
    docker(&host(), &["tag", &world.image, &good]);
    project.write("app/Dockerfile", "FROM bb\nCMD [\"/bin/sh\"]\n");
    project.run(&["build"]).ends(0);
    project
        .run(&["verify", "app", "--policy-only"])
        .ends(1)
        .never_says("verified before");
    // The call of compose comes after the names were looked up and before the images are read.
    let record = project.run(&["explain", "app", "--json"]).ends(0).stdout;
    let record: Value = serde_json::from_str(&record).unwrap();
    let private = {
        let privates = crate::privates_of(project);
        let key = record["key"].as_str().unwrap();
        format!("{privates}app:{}", &key[..32])
    };
    let real = std::env::var("XTASK_TEST_DOCKER").unwrap_or_else(|_| "docker".into());
    let project = World {
        project: world.project.script(
            "bin/docker",
            &format!("#!/bin/sh\ncase \"$*\" in *compose*config*) {real} tag {good} {private};; esac\nexec {real} \"$@\"\n"),
        ),
        ..world
    };
    let ran = project.project.run(&["verify", "app"]).ends(1);
    ran.says("the image of `app` is no longer sha256:");
}

#[test]
fn an_ended_waiver_counts_for_the_stack_alone_too_and_every_call_removes_what_a_killed_one_left() {
    let world = World::new();
    let project = &world.project;
    world.verify(0);
    let killed = || {
        let mut child = project
            .command(&["verify", "app", "--force"])
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let mut lines = said.lines().map_while(Result::ok);
        assert!(lines.any(|line| line.starts_with("stack xtask-verify-")));
        child.kill().unwrap();
        child.wait().unwrap();
    };
    let told = "removed what a killed run left of the stack";
    for arguments in [&["verify", "app"][..], &["verify", "app", "--policy-only"]] {
        killed();
        project.run(arguments).ends(0).says(told);
        project.run(arguments).ends(0).never_says(told);
    }
    world.graph("[[policy.waive]]\nrule = \"root\"\nwhy = \"x\"\nuntil = 2020-01-01\n");
    let ran = project.run(&["verify", "app", "--stack-only"]).ends(1);
    assert!(
        ran.stdout.contains("deny    ended-waiver"),
        "{}",
        ran.stdout
    );
}
