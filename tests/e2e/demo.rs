//! `cargo xtask demo`: on the user's engine, interrupted, and without an engine, beside others.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::{docker, host};

fn demo(host: &str, state: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("demo").args(flags).stdin(Stdio::null());
    command.env("DOCKER_HOST", host).env("XTASK_STATE", state);
    // All tests use the same cached files of the sample.
    command.env("SAMPLE_CACHE", super::sample_stack::cache());
    command.env_remove("DOCKER_CONTEXT");
    // Another docker command than that of the test's engine may be first on PATH.
    if let Ok(program) = std::env::var("XTASK_TEST_DOCKER") {
        let bin = state.join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        let link = bin.join("docker");
        if !link.exists() {
            std::os::unix::fs::symlink(program, link).unwrap();
        }
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", bin.display()));
    }
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The names of the demo's images in the engine.
fn images(host: &str) -> String {
    let label = "label=org.dify.xtask.demo";
    docker(host, &["image", "ls", "--quiet", "--filter", label])
}

#[test]
fn the_demo_builds_heals_and_leaves_nothing_unless_asked() {
    let host = host();
    let state = tempfile::tempdir().unwrap();
    a_log_that_a_failed_demo_names_is_there(&host, state.path());
    let kept = demo(&host, state.path(), &["--keep"]).output().unwrap();
    assert!(kept.status.success(), "{}", said(&kept));
    assert!(said(&kept).contains("7 built, 0 fresh"), "{}", said(&kept));
    assert!(said(&kept).contains("\n    verified\n"), "{}", said(&kept));
    // A slow machine gives more signs of life, so they do not count.
    let told = said(&kept);
    let steps = told.lines().filter(|line| !line.contains("… ")).count();
    assert!(steps < 120, "{told}");
    assert!(!images(&host).is_empty());

    // The images that were kept are fresh.
    let again = demo(&host, state.path(), &[]).output().unwrap();
    assert!(again.status.success(), "{}", said(&again));
    assert!(!said(&again).contains("7 built"), "{}", said(&again));
    // Images that lost a name to the stack's images are restored, and nothing is built.
    assert_eq!(
        said(&again).matches(" 0 built, ").count(),
        2,
        "{}",
        said(&again)
    );
    assert_eq!(images(&host), "");
    assert!(!state.path().join("demo").exists());

    // An interrupted demo leaves nothing either.
    let mut child = demo(&host, state.path(), &[])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("One line of")));
    let program = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(program, rustix::process::Signal::INT).unwrap();
    lines.for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(images(&host), "");
    assert!(!state.path().join("demo").exists());
}

/// Runs the demo with a docker command whose builds fail.
fn a_log_that_a_failed_demo_names_is_there(host: &str, state: &Path) {
    let real = std::env::var("XTASK_TEST_DOCKER").unwrap_or_else(|_| "docker".into());
    let bin = state.join("failing");
    std::fs::create_dir(&bin).unwrap();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *\"buildx build\"*) echo 'ERROR: no luck today' >&2; exit 1;; esac\nexec {real} \"$@\"\n"
    );
    let program = bin.join("docker");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = demo(host, state, &[]);
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", bin.display()));
    let failed = command.output().unwrap();
    assert_eq!(failed.status.code(), Some(1), "{}", said(&failed));
    let log = said(&failed);
    let log = log
        .split("full log: ")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    let log = std::fs::read_to_string(log.unwrap()).unwrap();
    assert!(log.contains("no luck today"), "{log}");
    assert!(said(&failed).contains("but for the logs in "));
    assert!(!state.join("demo/sample").exists());
}

/// A rule in a chain that all engines of a machine share, like the rule for a port that the user
/// published.
struct Rule;

impl Rule {
    const WORDS: [&str; 5] = ["DOCKER", "-s", "192.0.2.213/32", "-j", "RETURN"];

    fn add() -> Self {
        // The chain already exists if an engine makes rules.
        iptables(&["-N", "DOCKER"]);
        assert!(iptables(&[&["-I"], &Self::WORDS[..]].concat()));
        Self
    }

    fn is_there(&self) -> bool {
        iptables(&[&["-C"], &Self::WORDS[..]].concat())
    }
}

impl Drop for Rule {
    fn drop(&mut self) {
        iptables(&[&["-D"], &Self::WORDS[..]].concat());
        // This removes the chain only if nothing else uses it.
        iptables(&["-X", "DOCKER"]);
    }
}

fn iptables(arguments: &[&str]) -> bool {
    let mut command = Command::new("iptables");
    let output = command.arg("--wait").args(arguments).output().unwrap();
    output.status.success()
}

#[test]
fn without_an_engine_the_demo_brings_one_of_its_own_and_leaves_the_rules_of_others() {
    let state = tempfile::tempdir().unwrap();
    let rule = Rule::add();
    let nowhere = "unix:///nonexistent/docker.sock";
    let output = demo(nowhere, state.path(), &["--yes"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("an engine of the demo's own"));
    assert!(said(&output).contains("7 built, 0 fresh"));
    assert!(said(&output).contains("\n    verified\n"));
    assert!(rule.is_there());
    // Nothing is mounted any more, so the folder could be removed.
    assert!(!state.path().join("demo").exists());
}
