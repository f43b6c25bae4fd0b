//! `cargo xtask export`: the graph in the formats of its neighbours.

use camino::{Utf8Path, Utf8PathBuf};

use crate::cli::{BakeArgs, ExportArgs, ExportFormat};
use crate::export::{self, bake};
use crate::fault::{Fault, Result};
use crate::freshness::planner::Next;

/// Writes the export.
pub fn run(flags: &ExportArgs) -> Result<()> {
    match &flags.format {
        ExportFormat::Bake(flags) => bake(flags),
    }
}

fn bake(flags: &BakeArgs) -> Result<()> {
    let work = super::open(&flags.at, &[], Next::Any)?;
    let wanted = work.wanted(&flags.stages)?;
    let file = flags.file.clone();
    let file = file.unwrap_or_else(|| work.spec.root.join("docker-bake.json"));
    let folder = real_folder(&file)?;
    let merged = work.state.path("bake");
    let text = bake::text(&work, &wanted, &folder, &merged)?;
    super::tell_warnings(&work);
    export::write_own(&file, &text, bake::MARK)?;
    crate::tell!(
        "in {folder}: docker buildx bake --file {}",
        file.file_name().unwrap_or_default()
    );
    super::print(&format!("{file}\n"));
    Ok(())
}

/// The folder that a file lies in, without links.
fn real_folder(file: &Utf8Path) -> Result<Utf8PathBuf> {
    let folder = file.parent().filter(|it| !it.as_str().is_empty());
    let folder = folder.unwrap_or(Utf8Path::new("."));
    folder
        .canonicalize_utf8()
        .map_err(|error| Fault::usage(format!("cannot write into {folder}: {error}")))
}
