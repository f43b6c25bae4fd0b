//! One file per command: from its flags to the parts of the program that carry it out.

pub mod bench;
pub mod build;
pub mod completions;
mod consent;
pub mod demo;
pub mod explain;
pub mod export;
pub mod graph;
pub mod init;
pub mod inputs;
pub mod key;
pub mod lock;
pub mod outdated;
pub mod plan;
pub mod prune;
pub mod publish;
pub mod rehearse;
pub mod report;
pub mod schema;
pub mod setup;
pub mod sync;
pub mod test;
pub mod verify;
pub mod workflow;

use std::io::Write as _;

use crate::cli::Where;
use crate::fault::{Fault, Result};
use crate::freshness::planner::{Next, Workspace};
use crate::graphfile::chosen::Chosen;
use crate::graphfile::options::GraphOptions;
use crate::graphfile::spec::StageId;
use crate::outside::interrupt::Interrupt;
use crate::report::words;
use crate::since::{self, SinceCommit};

/// The graph file of a command.
fn chosen(at: &Where) -> Result<Chosen> {
    let options = GraphOptions {
        profiles: at.profile.clone(),
        vars: at.set.iter().cloned().collect(),
        output: at.output.clone(),
        ..GraphOptions::default()
    };
    Chosen::of(at.graph.as_deref(), options)
}

fn open(at: &Where, platforms: &[String], next: Next) -> Result<Workspace> {
    Workspace::open(&chosen(at)?, platforms, next)
}

/// Compares stages with those at a commit, and tells what git does not know of.
fn since(
    work: &Workspace,
    reference: &str,
    platforms: &[String],
    wanted: &[StageId],
) -> Result<SinceCommit> {
    let interrupt = Interrupt::default();
    let since = since::compare(work, reference, platforms, wanted, &interrupt)?;
    for path in since.unknown.iter().take(UNKNOWN_TOLD) {
        crate::tell!("note: git does not know {path}, so it is compared with nothing");
    }
    if let Some(more) = since.unknown.len().checked_sub(UNKNOWN_TOLD + 1) {
        let more = words::count(more + 1, "further input");
        crate::tell!("note: nor {more}: `--json` has all of them");
    }
    Ok(since)
}

/// How many inputs are told that git does not know.
const UNKNOWN_TOLD: usize = 5;

/// Prints a result on stdout. It is no fault if the reader is gone.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string(value)
        .map_err(|error| Fault::failed(format!("cannot print the answer: {error}")))?;
    print(&format!("{text}\n"));
    Ok(())
}

fn tell_warnings(work: &Workspace) {
    if let Ok(warnings) = work.warnings.lock() {
        warnings
            .iter()
            .for_each(|warning| crate::tell!("note: {warning}"));
    }
}
