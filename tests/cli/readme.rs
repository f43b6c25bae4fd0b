//! The commands that the READMEs tell people to type.

use std::process::Command;

use clap::Parser as _;
use xtask::cli::Cli;

use crate::support::Project;

const READMES: [&str; 2] = ["README.md", "README.zh-CN.md"];

fn text(name: &str) -> String {
    let path = format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

/// Every command line of this tool, in a block or between backticks.
fn commands(text: &str) -> Vec<String> {
    let blocks = text.lines().filter_map(|line| line.strip_prefix("    "));
    let inline = text
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2));
    blocks
        .chain(inline)
        .map(str::trim)
        .filter(|line| line.starts_with("cargo xtask "))
        .map(str::to_owned)
        .collect()
}

/// The words behind `cargo`, with values in place of the placeholders.
fn words(command: &str) -> Vec<String> {
    let known = |word: &str| match word {
        "STAGE" | "SOURCE" => "api".to_owned(),
        "DIR" => ".".to_owned(),
        "SHELL" => "bash".to_owned(),
        "NAME" | "名称" => "china".to_owned(),
        other => other.to_owned(),
    };
    command
        .split_whitespace()
        .skip(1)
        // What follows is for the shell.
        .take_while(|word| *word != ">")
        .filter(|word| !word.starts_with('['))
        .map(known)
        .collect()
}

#[test]
fn every_command_of_the_readmes_is_one_of_this_program() {
    for name in READMES {
        let all = commands(&text(name));
        assert!(all.len() > 15, "{name}: {all:?}");
        for command in all {
            let parsed = Cli::try_parse_from(words(&command));
            assert!(parsed.is_ok(), "{name}: {command}: {:?}", parsed.err());
        }
    }
}

#[test]
fn the_commands_that_need_no_engine_and_no_network_run() {
    let mut ran = 0;
    for name in READMES {
        for command in commands(&text(name)) {
            let words = words(&command);
            let arguments: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
            let statuses: &[i32] = match arguments[0] {
                "graph" => &[0],
                // The status depends on what this machine lacks.
                "setup" if arguments.contains(&"--check") => &[0, 3],
                _ => continue,
            };
            let state = tempfile::tempdir().unwrap();
            let mut run = Command::new(env!("CARGO_BIN_EXE_xtask"));
            run.args(arguments).env("XTASK_STATE", state.path());
            run.env("DOCKER_HOST", "unix:///nonexistent");
            // Nothing outside this machine is asked.
            for proxy in ["http_proxy", "https_proxy"] {
                run.env(proxy, "http://127.0.0.1:1");
            }
            let ended = run.output().unwrap();
            let said = String::from_utf8_lossy(&ended.stderr);
            let status = ended.status.code().unwrap();
            assert!(statuses.contains(&status), "{command}: {said}");
            ran += 1;
        }
    }
    assert!(ran >= 4, "only {ran}");
}

#[test]
fn both_readmes_tell_of_the_same_commands() {
    let verbs = |name: &str| {
        let all = commands(&text(name));
        let verbs = all.iter().map(|command| words(command)[1].clone());
        verbs.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(verbs(READMES[0]), verbs(READMES[1]));
}

/// The TOML blocks in a README's chapter on verifying, without comments.
fn policies(name: &str) -> Vec<String> {
    let text = text(name);
    let chapter = text.split("cargo xtask verify\n").nth(1).unwrap();
    let chapter = chapter.split("\n## ").next().unwrap();
    let mut blocks = vec![String::new()];
    for line in chapter.lines() {
        match line.strip_prefix("    ") {
            Some(line) => {
                let line = line.split('#').next().unwrap().trim_end();
                blocks.last_mut().unwrap().push_str(&format!("{line}\n"));
            }
            None if line.is_empty() => {}
            None => blocks.push(String::new()),
        }
    }
    blocks.retain(|block| block.contains(" = "));
    blocks
}

#[test]
fn the_first_policy_waiver_and_probe_of_the_readmes_are_taken_as_they_are() {
    let blocks = policies(READMES[0]);
    assert_eq!(blocks, policies(READMES[1]));
    assert_eq!(blocks.len(), 3, "{blocks:#?}");
    let stages = "version = 1\n[stage.api]\ncontext = \"a\"\n[stage.sandbox]\ncontext = \"a\"\n\
        [stage.web]\ncontext = \"a\"\nservices = [\"web\"]\n";
    let project = Project::new()
        .file("a/Dockerfile", "FROM scratch\n")
        .file("build-graph.toml", format!("{stages}{}", blocks.concat()));
    project.run(&["graph"]).ends(0);
}
