//! `completions`

use std::ffi::OsString;

use clap::{Args, ValueEnum};

/// `completions`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell that reads what is printed
    #[arg(value_name = "SHELL", value_enum, required_unless_present = "words")]
    pub shell: Option<Shell>,
    /// What the scripts call: the words from the program's name to the cursor
    #[arg(last = true, hide = true, conflicts_with = "shell")]
    pub words: Vec<OsString>,
}

/// The shells that `completions` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash
    Bash,
    /// The Z shell
    Zsh,
    /// The friendly interactive shell
    Fish,
}
