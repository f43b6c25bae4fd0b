//! `cargo xtask setup --check`, and the messages of a build on a machine that lacks something.

use super::Project;

const NOWHERE: &str = "unix:///nonexistent/docker.sock";

/// A project whose stages need no images and no network.
fn closed() -> Project {
    Project::new()
        .variable("DOCKER_HOST", NOWHERE)
        .variable("http_proxy", "http://127.0.0.1:1")
        .file(
            "build-graph.toml",
            "version = 1\n[stage.a]\ncontext = \"a\"\nimage = \"t/a\"\n",
        )
        .file("a/Dockerfile", "FROM scratch\nCOPY src /src\n")
        .file("a/src/one", "1")
}

#[test]
fn every_check_says_what_was_found_what_is_needed_and_why() {
    let ran = closed().run(&["setup", "--check", "--json"]).ends(3);
    let whole: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(whole["ready"], false);
    let findings = whole["findings"].as_array().unwrap();
    let names: Vec<&str> = findings
        .iter()
        .map(|finding| {
            for field in ["found", "needed", "why"] {
                assert_ne!(finding[field].as_str().unwrap(), "", "{finding}");
            }
            finding["check"].as_str().unwrap()
        })
        .collect();
    for name in [
        "system",
        "memory",
        "disk",
        "processor",
        "engine",
        "docker",
        "buildx",
        "compose",
        "git",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    let engine = findings.iter().find(|finding| finding["check"] == "engine");
    let engine = engine.unwrap();
    assert_eq!(engine["level"], "missing");
    assert!(engine["found"].as_str().unwrap().contains(NOWHERE));
}

#[test]
fn a_check_changes_nothing_and_says_the_same_twice() {
    let project = closed();
    let first = project.run(&["setup", "--check"]).ends(3);
    let second = project.run(&["setup", "--check"]).ends(3);
    let without_numbers = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
    assert_eq!(
        without_numbers(&first.stdout),
        without_numbers(&second.stdout)
    );
    assert!(!project.path("state/setup.log").exists());
}

#[test]
fn an_engine_elsewhere_is_never_set_up() {
    for arguments in [&["setup", "--yes"][..], &["build", "--yes"]] {
        // This test ignores what else the machine may lack.
        let ran = closed().run(arguments).ends(3);
        assert!(!ran.stderr.contains("+ service"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("+ systemctl"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("dockerd"), "{}", ran.stderr);
    }
}

#[test]
fn a_dead_proxy_is_told_from_a_dead_host() {
    let graph = "version = 1\n[source.s]\ngit = \"https://127.0.0.1:1/s.git\"\nrev = \"1\"\n\
                 [stage.a]\nsource = \"s\"\ncontext = \"a\"\n";
    let asked = |proxy: &str| {
        let mut project = closed().file("build-graph.toml", graph);
        for name in ["https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"] {
            project = project.variable(name, proxy);
        }
        for name in ["no_proxy", "NO_PROXY"] {
            project = project.variable(name, "");
        }
        let ran = project.run(&["setup", "--check", "--json"]).ends(3);
        let whole: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let findings = whole["findings"].as_array().unwrap().clone();
        let network = findings
            .iter()
            .find(|finding| finding["check"] == "network");
        network.unwrap()["found"].as_str().unwrap().to_owned()
    };
    let (without, with) = (asked(""), asked("http://127.0.0.2:1"));
    assert!(without.contains("127.0.0.1:1: no answer"), "{without}");
    assert!(with.contains("the proxy does not answer"), "{with}");
}
