//! What of a graph no longer fits another revision of a source: files of overlays that hide a
//! change or replace nothing any more, arguments and paths that are gone.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Misfit, Sides};
use crate::freshness::stage_inputs::AbsentSource;
use crate::graphfile::source::tree::walk;
use crate::graphfile::spec::{Context, SourceId, Stage};
use crate::outside::git;
use crate::outside::interrupt::Interrupt;

/// More lines of a difference than a person reads here.
const LINES: usize = 40;

/// What no longer fits of the overlays and host commands of a stage.
pub fn of_stage(
    sides: &Sides<'_>,
    stage: &Stage,
    name: &str,
    interrupt: &Interrupt,
) -> Vec<Misfit> {
    let mut misfits = Vec::new();
    let (before, after) = (sides.before, sides.after);
    for overlay in &stage.overlays {
        let folder = sides.spec.root.join(overlay);
        for path in files(&folder) {
            let own = folder.join(&path);
            let inner = stage.context.join(&path);
            let (old, new) = (before.join(&inner), after.join(&inner));
            let shown = overlay.join(&path);
            let what = match (old.is_file(), new.is_file()) {
                (true, true) if same(&old, &new) || same(&own, &new) => continue,
                (true, true) => format!("{shown} hides a change of {inner}"),
                (true, false) => format!("{shown} replaces {inner}, which is gone"),
                (false, true) => format!("{shown} hides {inner}, which is new"),
                (false, false) => continue,
            };
            let difference = match (old.is_file(), new.is_file()) {
                (true, true) => difference(&old, &new, interrupt),
                (false, true) => difference(&own, &new, interrupt),
                _ => Vec::new(),
            };
            misfits.push(Misfit {
                stage: name.to_owned(),
                what,
                difference,
            });
        }
    }
    if let Some(prepare) = &stage.prepare {
        let own = if prepare.beside_graph {
            Vec::new()
        } else {
            prepare
                .inputs
                .iter()
                .map(|path| prepare.dir.join(path))
                .collect()
        };
        let read: BTreeSet<Utf8PathBuf> = own
            .into_iter()
            .chain(prepare.source_inputs.clone())
            .collect();
        for path in read {
            let is_gone = before.join(&path).exists() && !after.join(&path).exists();
            if is_gone {
                misfits.push(Misfit {
                    stage: name.to_owned(),
                    what: format!("its host command reads {path}, which is gone"),
                    difference: Vec::new(),
                });
            }
        }
    }
    misfits
}

/// What a host command of the stage makes in the source, from the source's root.
fn outputs(stage: &Stage) -> impl Iterator<Item = Utf8PathBuf> {
    let prepare = stage.prepare.iter().filter(|it| !it.beside_graph);
    prepare.flat_map(|it| it.outputs.iter().map(|path| it.dir.join(path)))
}

/// Whether a host command of the stage would have to run on the other revision: something that it
/// makes in the source is not there.
pub fn has_to_prepare(sides: &Sides<'_>, stage: &Stage, of: SourceId) -> bool {
    stage.source == Some(of) && outputs(stage).any(|path| !sides.after.join(path).exists())
}

/// Whether a host command of the stage makes what is missing, or something in it.
pub fn is_made(stage: &Stage, absent: &AbsentSource) -> bool {
    let context = match &absent.context {
        None => Some(&stage.context),
        Some(name) => match stage.contexts.get(name) {
            Some(Context::Folder(source, folder)) if *source == stage.source => Some(folder),
            _ => None,
        },
    };
    let path = std::str::from_utf8(&absent.path);
    let (Some(context), Ok(path)) = (context, path) else {
        return false;
    };
    let path = context.join(path);
    outputs(stage).any(|output| path.starts_with(&output) || output.starts_with(&path))
}

/// The files below a folder, relative to it, sorted.
fn files(folder: &Utf8Path) -> Vec<Utf8PathBuf> {
    let mut files = Vec::new();
    let mut add = |path: &Path, meta: &fs::Metadata| {
        let inner = path.strip_prefix(folder).ok();
        let inner = inner.and_then(|inner| Utf8PathBuf::from_path_buf(inner.to_owned()).ok());
        files.extend(inner.filter(|_| !meta.is_dir()));
        Ok(())
    };
    // A folder that a host command has not made yet has no files.
    let _ = walk(folder.as_std_path(), &mut add);
    files.sort();
    files
}

fn same(one: &Utf8Path, other: &Utf8Path) -> bool {
    match (fs::read(one), fs::read(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// The lines in which two files differ, as git shows them.
fn difference(old: &Utf8Path, new: &Utf8Path, interrupt: &Interrupt) -> Vec<String> {
    let mut command = git::command();
    command.args(["diff", "--no-index", "--no-color", "--no-ext-diff", "--"]);
    command.args([old, new]);
    let said = crate::outside::ask::ask(command, interrupt).stdout;
    let mut lines: Vec<String> = said
        .lines()
        .skip_while(|line| !line.starts_with("@@"))
        .map(|line| crate::shown::text(line.as_bytes()))
        .collect();
    if let Some(more) = lines.len().checked_sub(LINES).filter(|more| *more > 0) {
        lines.truncate(LINES);
        lines.push(format!("… and {more} further lines"));
    }
    lines
}

/// A path of a tree without the tree's own place.
pub fn without_place(text: &str, root: &Utf8Path) -> String {
    text.replace(&format!("{root}/"), "")
        .replace(root.as_str(), ".")
}
