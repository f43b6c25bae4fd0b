//! What `--help` says, and the examples that it ends with.

use clap::{Command, CommandFactory as _, Parser as _};
use xtask::cli::Cli;

use super::support::Project;

/// Every command with the words that lead to it, the program itself first.
fn commands() -> Vec<(Vec<String>, Command)> {
    fn collect(words: Vec<String>, command: &Command, all: &mut Vec<(Vec<String>, Command)>) {
        for below in command
            .get_subcommands()
            .filter(|it| it.get_name() != "help")
        {
            let mut words = words.clone();
            words.push(below.get_name().to_owned());
            collect(words, below, all);
        }
        all.push((words, command.clone()));
    }
    let mut all = Vec::new();
    collect(Vec::new(), &Cli::command(), &mut all);
    all
}

/// The calls below *Examples:*, and the lines between them.
fn examples(help: &str) -> (Vec<String>, Vec<String>) {
    let behind = help.split("Examples:\n").nth(1).unwrap_or_default();
    let lines = behind.lines().map(str::to_owned);
    lines.partition(|line| line.starts_with("  cargo xtask "))
}

#[test]
fn the_help_of_every_command_ends_with_one_to_three_calls_of_it_that_are_read() {
    let all = commands();
    assert!(all.len() > 20, "{}", all.len());
    for (words, mut command) in all {
        let help = command.render_long_help().to_string();
        let (calls, told) = examples(&help);
        assert!((1..=3).contains(&calls.len()), "{words:?}: {calls:?}");
        assert_eq!(calls.len(), told.len(), "{words:?}: {told:?}");
        for line in calls.iter().chain(&told) {
            assert!(
                line.len() <= 79,
                "{words:?}: {line:?} is too long for a terminal"
            );
        }
        for call in calls {
            // What follows a `>` is for the shell.
            let call: Vec<&str> = call.split_whitespace().skip(1).collect();
            let call = call.split(|word| *word == ">").next().unwrap();
            assert_eq!(call[1..=words.len()], words, "{call:?}");
            let read = Cli::try_parse_from(call);
            assert!(read.is_ok(), "{call:?}: {:?}", read.err());
        }
    }
}

#[test]
fn the_short_help_is_short() {
    for (words, mut command) in commands() {
        let help = command.render_help().to_string();
        assert!(!help.contains("Examples:"), "{words:?}");
    }
}

#[test]
fn help_and_a_commands_name_print_what_its_help_does() {
    let project = Project::new();
    for words in [&["build"][..], &["export", "bake"], &["graph"]] {
        let asked = project.run_in("", &[&["help"], words].concat()).ends(0);
        let given = project.run_in("", &[words, &["--help"]].concat()).ends(0);
        assert_eq!(asked.stdout, given.stdout);
        assert!(
            asked.stdout.contains("\nExamples:\n  cargo xtask "),
            "{}",
            asked.stdout
        );
        assert!(
            !asked.stdout.contains('\u{1b}'),
            "a style without a terminal"
        );
    }
    let asked = project.run_in("", &["help"]).ends(0);
    let given = project.run_in("", &["--help"]).ends(0);
    assert_eq!(asked.stdout, given.stdout);
}
