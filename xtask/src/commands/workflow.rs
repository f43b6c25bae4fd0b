//! `cargo xtask workflow`: the CI workflow of the graph, as a file of its repository.

use std::fs;
use std::io::ErrorKind;

use camino::{Utf8Path, Utf8PathBuf};

use crate::cli::WorkflowArgs;
use crate::fault::{Fault, Result};
use crate::graphfile::call::quoted;
use crate::graphfile::chosen::Chosen;
use crate::graphfile::options::GraphOptions;
use crate::graphfile::spec;
use crate::outside::state;
use crate::shown;
use crate::workflow;

/// Writes the workflow, or checks that it is what would be written.
pub fn run(flags: &WorkflowArgs) -> Result<()> {
    let plain = Chosen::of(flags.graph.as_deref(), GraphOptions::default())?;
    // The file says with which of its profiles CI builds.
    let profiles = spec::load(&plain.file, &plain.options)?.workflow.profiles;
    let options = GraphOptions {
        profiles,
        ..GraphOptions::default()
    };
    let spec = spec::load(&plain.file, &options)?;
    let root = repository(&spec.root)?;
    let name = spec.file.file_name().unwrap_or_default();
    let graph = spec
        .root
        .strip_prefix(&root)
        .unwrap_or(&spec.root)
        .join(name);
    let tool = root.join("xtask/Cargo.toml");
    if !tool.is_file() {
        return Err(Fault::usage(format!(
            "the workflow compiles this program from the repository, and there is no {tool}: copy `xtask`, `Cargo.toml`, `Cargo.lock` and `.cargo` into {root}"
        )));
    }
    let text = workflow::text(&spec, &root, &graph)?;
    let path = root.join(workflow::FILE);
    let there = match fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(Fault::lacks(format!("cannot read {path}: {error}"))),
    };
    let is_same = there.as_deref() == Some(text.as_bytes());
    if flags.check {
        return if is_same {
            super::print(&format!("{path} is what the graph says\n"));
            Ok(())
        } else {
            Err(out_of_date(flags, &path, there.as_deref(), &text))
        };
    }
    let mark = workflow::mark(&graph);
    let is_own = |there: &[u8]| there.starts_with(mark.as_bytes());
    if there.as_deref().is_some_and(|it| !is_own(it)) {
        return Err(Fault::usage(format!(
            "{path} exists and was not written from {graph}: remove it, or move it elsewhere"
        )));
    }
    if !is_same {
        let fault = |error| Fault::lacks(format!("cannot write {path}: {error}"));
        fs::create_dir_all(path.parent().unwrap_or(&root)).map_err(fault)?;
        state::write_atomically(&path, text.as_bytes()).map_err(fault)?;
    }
    super::print(&format!("{path}\n"));
    Ok(())
}

/// The root of the repository that a folder lies in: where GitHub looks for workflows.
fn repository(folder: &Utf8Path) -> Result<Utf8PathBuf> {
    let is_root = |folder: &&Utf8Path| fs::symlink_metadata(folder.join(".git")).is_ok();
    let root = folder.ancestors().find(is_root);
    root.map(Utf8Path::to_owned).ok_or_else(|| {
        Fault::usage(format!(
            "{folder} is in no git repository, and a workflow belongs to one: run `git init`"
        ))
    })
}

fn out_of_date(flags: &WorkflowArgs, path: &Utf8Path, there: Option<&[u8]>, text: &str) -> Fault {
    let graph = flags.graph.as_ref();
    let graph = graph.map_or_else(String::new, |it| {
        format!(" --graph {}", quoted(it.as_str()))
    });
    let remedy = format!("run `cargo xtask workflow{graph}` and commit the file");
    let Some(there) = there else {
        return Fault::failed(format!("there is no {path}: {remedy}"));
    };
    let there = String::from_utf8_lossy(there);
    let lines = there.lines().zip(text.lines());
    let same = lines.take_while(|(one, other)| one == other).count();
    let line = |text: &str| {
        let line = text.lines().nth(same);
        line.map_or_else(
            || "nothing".to_owned(),
            |it| format!("`{}`", shown::text(it.trim().as_bytes())),
        )
    };
    Fault::failed(format!(
        "{path} is not what the graph says: line {} has {} in place of {}; {remedy}",
        same + 1,
        line(&there),
        line(text)
    ))
}
