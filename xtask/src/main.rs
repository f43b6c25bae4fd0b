//! `cargo xtask`: a table of contents. Every command is a function of its flags, and the result
//! decides the exit status.

use std::process::ExitCode;

use clap::error::ErrorKind;
use xtask::cli::{Cli, Command};
use xtask::commands;
use xtask::fault::{Class, Result};
use xtask::freshness::shared::signing;
use xtask::shown::actions::{self, Mark};

fn main() -> ExitCode {
    // SAFETY: this is the first thing that the program does, and no thread was started.
    unsafe { signing::take_out_of_environment() };
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => {
            // Printing help fails only if nobody reads it.
            let _ = error.print();
            let asked = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            return ExitCode::from(if asked { 0 } else { Class::Usage.status() });
        }
    };
    match run(&cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            match fault.lines() {
                // The mistakes of a graph file have annotations of their own.
                Some(told) if actions::are_read() && !told.starts_with("::") => {
                    xtask::tell!("{}", Mark::error("cargo xtask").line(&told));
                }
                Some(told) => xtask::tell!("{told}"),
                None => {}
            }
            ExitCode::from(fault.class.status())
        }
    }
}

fn run(command: &Command) -> Result<()> {
    match command {
        Command::Init(flags) => commands::init::run(flags),
        Command::Build(flags) => commands::build::run(flags),
        Command::Plan(flags) => commands::plan::run(flags),
        Command::Rehearse(flags) => commands::rehearse::run(flags),
        Command::Explain(flags) => commands::explain::run(flags),
        Command::Inputs(flags) => commands::inputs::run(flags),
        Command::Graph(flags) => commands::graph::run(flags),
        Command::Report(flags) => commands::report::run(flags),
        Command::Publish(flags) => commands::publish::run(flags),
        Command::Export(flags) => commands::export::run(flags),
        Command::Workflow(flags) => commands::workflow::run(flags),
        Command::Prune(flags) => commands::prune::run(flags),
        Command::Key(flags) => commands::key::run(flags),
        Command::Lock(flags) => commands::lock::run(flags),
        Command::Outdated(flags) => commands::outdated::run(flags),
        Command::Sync(flags) => commands::sync::run(flags),
        Command::Verify(flags) => commands::verify::run(flags),
        Command::Schema => commands::schema::run(),
        Command::Completions(flags) => commands::completions::run(flags),
        Command::Setup(flags) => commands::setup::run(flags),
        Command::Demo(flags) => commands::demo::run(flags),
        Command::Test(flags) => commands::test::run(flags),
        Command::Bench(flags) => commands::bench::run(flags),
    }
}
