//! What the READMEs tell people to type: commands with their flags, fields of the graph file.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use clap::{CommandFactory as _, Parser as _};
use serde_json::Value;
use xtask::cli::Cli;

use super::documents::{COMMON, chapter, in_backticks, read, rows};
use crate::support::Project;

const READMES: [&str; 2] = ["README.md", "README.zh-CN.md"];

/// Every command line of this tool, in a block or between backticks.
pub(super) fn commands(text: &str) -> Vec<String> {
    let mut is_fenced = false;
    let mut blocks = Vec::new();
    for line in text.lines() {
        is_fenced ^= line.starts_with("```");
        blocks.extend(line.strip_prefix("    ").or(is_fenced.then_some(line)));
    }
    let inline = text
        .lines()
        .filter(|line| !line.starts_with("```"))
        .flat_map(|line| line.split('`').skip(1).step_by(2));
    blocks
        .into_iter()
        .chain(inline)
        .map(str::trim)
        .filter(|line| line.starts_with("cargo xtask "))
        .map(str::to_owned)
        .collect()
}

/// The words behind `cargo`, with values in place of the placeholders.
pub(super) fn words(command: &str) -> Vec<String> {
    let known = |word: &str| match word {
        "STAGE" | "SOURCE" => "api".to_owned(),
        "DIR" => ".".to_owned(),
        "SHELL" => "bash".to_owned(),
        "NAME" => "china".to_owned(),
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
        let all = commands(&read(name));
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
        for command in commands(&read(name)) {
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
        let all = commands(&read(name));
        let verbs = all.iter().map(|command| words(command)[1].clone());
        verbs.collect::<BTreeSet<_>>()
    };
    assert_eq!(verbs(READMES[0]), verbs(READMES[1]));
}

/// The TOML blocks in a README's chapter on verifying, without comments.
fn policies(name: &str) -> Vec<String> {
    let text = read(name);
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

/// Every flag of a command and of those below it, by the words that call it, without those that `Where` gives to all.
fn flags_of(command: &clap::Command, above: &str, all: &mut BTreeMap<String, BTreeSet<String>>) {
    let name = format!("{above}{}", command.get_name());
    let mut below = command.get_subcommands().peekable();
    if below.peek().is_none() {
        let flags = command.get_arguments().filter(|flag| !flag.is_hide_set());
        let flags = flags.filter_map(|flag| flag.get_long().map(str::to_owned));
        all.insert(
            name,
            flags
                .filter(|flag| !COMMON.contains(&flag.as_str()))
                .collect(),
        );
        return;
    }
    for command in below {
        flags_of(command, &format!("{name} "), all);
    }
}

#[test]
fn the_tables_of_the_readmes_and_help_name_the_same_flags() {
    let mut given = BTreeMap::new();
    for command in Cli::command().get_subcommands() {
        flags_of(command, "", &mut given);
    }
    for (document, heading) in [("README.md", "## Commands"), ("README.zh-CN.md", "## 命令")] {
        let text = read(document);
        let chapter = chapter(&text, heading);
        let tabled = rows(&chapter).into_iter().map(|row| {
            let usage = in_backticks(row[0]).next().unwrap().split(' ').skip(2);
            let usage =
                usage.take_while(|word| word.starts_with(|it: char| it.is_ascii_lowercase()));
            let words = in_backticks(row[1]).flat_map(str::split_whitespace);
            let flags = words.filter_map(|word| word.strip_prefix("--"));
            let flags = flags.map(|flag| flag.split(['=', '[']).next().unwrap());
            let flags = flags
                .filter(|flag| !COMMON.contains(flag))
                .map(str::to_owned);
            (usage.collect::<Vec<_>>().join(" "), flags.collect())
        });
        let tabled: BTreeMap<String, BTreeSet<String>> = tabled.collect();
        assert_eq!(tabled, given, "{document}");
    }
}

#[test]
fn both_readmes_name_every_field_of_a_stage() {
    let schema: Value = serde_json::from_str(&read("xtask/build-graph.schema.json")).unwrap();
    let fields = schema["definitions"]["Stage"]["properties"].as_object();
    let fields: BTreeSet<&str> = fields.unwrap().keys().map(String::as_str).collect();
    assert!(fields.len() > 20, "{fields:?}");
    for (name, heading) in [("README.md", "## A stage"), ("README.zh-CN.md", "## 阶段")] {
        let text = read(name);
        let chapter = chapter(&text, heading);
        let first = chapter.trim_start().split("\n\n").next().unwrap();
        let named: BTreeSet<&str> = in_backticks(first).collect();
        let missing: Vec<_> = fields.difference(&named).collect();
        assert!(missing.is_empty(), "{name} lacks {missing:?}");
    }
}
