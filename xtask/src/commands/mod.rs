//! One file per command: from its flags to the parts of the program that do it.

pub mod bench;
pub mod build;
pub mod demo;
pub mod explain;
pub mod graph;
pub mod inputs;
pub mod lock;
pub mod outdated;
pub mod plan;
pub mod setup;
pub mod sync;
pub mod test;

use std::io::Write as _;

use camino::Utf8PathBuf;

use crate::assess::{Next, Workspace};
use crate::cli::Where;
use crate::fault::{Fault, Result};
use crate::state;

/// The graph file that was named, or the workspace's own.
fn graph_file(at: &Where) -> Utf8PathBuf {
    at.graph.clone().unwrap_or_else(|| {
        let own = state::workspace().join("build-graph.toml");
        // Shown as a person in that folder would write it.
        let here = std::env::current_dir()
            .ok()
            .and_then(|here| Utf8PathBuf::from_path_buf(here).ok());
        here.and_then(|here| own.strip_prefix(&here).map(ToOwned::to_owned).ok())
            .unwrap_or(own)
    })
}

fn open(at: &Where, platforms: &[String], next: Next) -> Result<Workspace> {
    Workspace::open(&graph_file(at), at.profile.as_deref(), platforms, next)
}

/// Results go to stdout; a reader that went away is no fault.
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
