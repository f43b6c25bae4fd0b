//! Help names the program as it was called, so that its examples can be pasted.

use clap::{CommandFactory as _, FromArgMatches as _, Parser as _};

use super::Cli;
use crate::shown;

/// How the program is called where it is compiled from its sources.
const SHORT: &str = "cargo xtask";

impl Cli {
    /// Reads the command line of this process.
    ///
    /// # Errors
    ///
    /// If the command line is wrong, or asks for help.
    pub fn read() -> Result<Self, clap::Error> {
        let program = shown::program();
        let read = Self::try_parse();
        // A call that is right pays for no other help.
        if read.is_ok() || program == SHORT {
            return read;
        }
        let command = renamed(Self::command(), program);
        let command = command.name(program).bin_name(program);
        Self::from_arg_matches(&command.try_get_matches()?)
    }
}

/// Puts the program's name into the examples of a command and of those below it.
fn renamed(command: clap::Command, program: &str) -> clap::Command {
    let help = command.get_after_long_help();
    let help = help.map(|it| it.ansi().to_string());
    let names: Vec<String> = command
        .get_subcommands()
        .map(|it| it.get_name().to_owned())
        .collect();
    let command = match help {
        Some(help) => command.after_long_help(help.replace(SHORT, program)),
        None => command,
    };
    names.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |inner| renamed(inner, program))
    })
}
