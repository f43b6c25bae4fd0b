//! What may stand at the cursor. The engine of `clap_complete` knows the command line; the names of
//! the graph come from the graph file.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use clap::builder::ValueHint;
use clap::{Arg, Command, CommandFactory as _};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, complete};

use super::names::{GraphName, GraphNames};
use crate::cli::Cli;

/// One line for each candidate: the whole word, then a tab and what it is. `words` are those from
/// the program's name to the cursor; the last one is still being typed.
pub(super) fn lines(words: &[OsString]) -> String {
    let Some((current, before)) = words.split_last() else {
        return String::new();
    };
    let names = Arc::new(GraphNames::of(before));
    let mut command = with_values(Cli::command(), &names);
    let here = std::env::current_dir().ok();
    let at = before.len();
    let found = complete(&mut command, words.to_vec(), at, here.as_deref());
    let found = found.unwrap_or_default();
    let is_flag = |one: &&CompletionCandidate| one.get_value().as_encoded_bytes().starts_with(b"-");
    // Where a word fits, flags are offered once somebody types a dash.
    let only_words = current.is_empty() && !found.iter().all(|one| is_flag(&one));
    let wanted = found.iter().filter(|one| !(only_words && is_flag(one)));
    wanted.filter_map(line).collect()
}

/// A candidate as a line. A file name with a line break in it is left out.
fn line(one: &CompletionCandidate) -> Option<String> {
    let value = one.get_value().to_str()?;
    if value.is_empty() || value.contains(char::is_control) {
        return None;
    }
    let help = one.get_help().map(ToString::to_string).unwrap_or_default();
    Some(match help.lines().next() {
        Some(help) => format!("{value}\t{}\n", help.replace(char::is_control, " ")),
        None => format!("{value}\n"),
    })
}

/// The command with what completes its values.
fn with_values(command: Command, names: &Arc<GraphNames>) -> Command {
    let command = command.mut_args(|arg| with_value(arg, names));
    command.mut_subcommands(|command| with_values(command, names))
}

fn with_value(arg: Arg, names: &Arc<GraphNames>) -> Arg {
    let value = arg.get_value_names().and_then(|names| names.first());
    let value = value.map(ToString::to_string).unwrap_or_default();
    let from: fn(&GraphNames, &str) -> Vec<GraphName> =
        match (value.as_str(), arg.get_id().as_str()) {
            ("STAGE", "stages") => |names, current| {
                let mut all = names.stages();
                all.extend(names.groups());
                // Few people want a part, and each stage has several.
                if current.contains('@') {
                    all.extend(names.parts());
                }
                all
            },
            ("STAGE", _) => |names, _| names.stages(),
            ("SOURCE", _) | ("NAME", "update") => |names, _| names.sources(),
            ("TARGET", _) => |names, _| names.targets(),
            ("NAME", "profile") => |names, _| names.profiles(),
            ("NAME=VALUE", _) => |names, _| names.variables(),
            ("P", _) => |names, _| names.platforms(),
            ("FILE", _) => return arg.value_hint(ValueHint::FilePath),
            ("DIR" | "FOLDER", _) => return arg.value_hint(ValueHint::DirPath),
            _ => return arg,
        };
    let names = Arc::clone(names);
    let completer = move |current: &OsStr| {
        let current = current.to_string_lossy();
        let all = from(&names, &current).into_iter();
        let fitting = all.filter(|(name, _)| name.starts_with(&*current));
        let candidate =
            |(name, what): GraphName| CompletionCandidate::new(name).help(what.map(Into::into));
        fitting.map(candidate).collect::<Vec<_>>()
    };
    arg.add(ArgValueCompleter::new(completer))
}
