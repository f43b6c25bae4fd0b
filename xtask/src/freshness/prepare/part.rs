//! What a host command reads and what it makes, as entries of folders, and how these are compared.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use camino::{Utf8Path, Utf8PathBuf};

use crate::contexts::{self, EntryKind, Input, Inputs, InputsError, Layers, Tracer};
use crate::fault::{Fault, Result};
use crate::freshness::key::{Ingredient, Ingredients};
use crate::graphfile::source;
use crate::graphfile::spec::{Prepare, Spec, Stage};
use crate::shown;
use dockerfile::{ContextNeed, Need};
use dockerignore::Ignore;

/// Some of a host command's files. The part that it reads where it runs also has the command
/// itself; in other parts `command` is empty.
pub(super) struct CommandPart {
    command: String,
    pub(super) inputs: Inputs,
}

/// The command itself, what it reads where it runs, and what it reads of its source.
pub(super) fn what_it_reads(
    spec: &Spec,
    stage: &Stage,
    prepare: &Prepare,
    folder: &Utf8Path,
    tracer: &Tracer<'_>,
) -> Result<Vec<CommandPart>> {
    let ignore = ignore(stage, prepare)?;
    let command = prepare.run.join("\0");
    let files = |folder: &Utf8Path, paths: &[Utf8PathBuf]| {
        files(folder, paths, &ignore, tracer).map_err(|error| match error {
            InputsError::OwnState { folder, pattern } => Fault::usage(format!(
                "`prepare` of `{}` reads the state of this program ({}), which changes with every run: add `\"{pattern}\"` \
                 to its `ignore`, or move the state with XTASK_STATE",
                stage.name,
                folder.display()
            )),
            error => Fault::usage(error.to_string()),
        })
    };
    let inputs = files(folder, &prepare.inputs)?;
    refuse_outside(stage, folder, &inputs)?;
    let mut parts = vec![CommandPart { command, inputs }];
    if !prepare.source_inputs.is_empty() {
        let root = source::root(spec, stage.source)?;
        let inputs = files(&root, &prepare.source_inputs)?;
        refuse_outside(stage, &root, &inputs)?;
        let command = String::new();
        parts.push(CommandPart { command, inputs });
    }
    Ok(parts)
}

/// The patterns of what is no input after all.
pub(super) fn ignore(stage: &Stage, prepare: &Prepare) -> Result<Ignore> {
    Ignore::parse(prepare.ignore.join("\n").as_bytes())
        .map_err(|error| Fault::usage(format!("`prepare` of `{}`: {error}", stage.name)))
}

/// Refuses a link that leads out of the folder: the command follows it, and no change is seen
/// there.
fn refuse_outside(stage: &Stage, folder: &Utf8Path, read: &Inputs) -> Result<()> {
    let links = read.entries.iter();
    let links = links.filter(|entry| matches!(entry.kind, EntryKind::Symlink { .. }));
    for link in links {
        let path = folder.as_std_path().join(OsStr::from_bytes(&link.path));
        // A link that leads nowhere is not read.
        let Ok(real) = path.canonicalize() else {
            continue;
        };
        if !real.starts_with(folder) {
            return Err(Fault::usage(format!(
                "`prepare` of `{}` reads `{}`, a link that leads out of {folder}, to {}, where changes are not noticed: \
                 name what it leads to in `inputs` or `source-inputs`, and leave the link out by `ignore`",
                stage.name,
                shown::text(&link.path),
                real.display()
            )));
        }
    }
    Ok(())
}

pub(super) fn what_it_made(
    prepare: &Prepare,
    folder: &Utf8Path,
    tracer: &Tracer<'_>,
) -> Result<CommandPart> {
    let inputs = files(folder, &prepare.outputs, &Ignore::default(), tracer);
    Ok(CommandPart {
        command: String::new(),
        inputs: inputs.map_err(|error| Fault::usage(error.to_string()))?,
    })
}

/// The first path whose entry is not the same as before.
pub(super) fn difference(before: &[CommandPart], after: &[CommandPart]) -> Option<String> {
    let (before, after) = before
        .iter()
        .zip(after)
        .map(|(before, after)| (&before.inputs.entries, &after.inputs.entries))
        .find(|(before, after)| before != after)?;
    let other = |one: &[Input], all: &[Input]| one.iter().find(|own| !all.contains(own)).cloned();
    let first = other(after, before).or_else(|| other(before, after))?;
    Some(shown::text(&first.path))
}

fn files(
    folder: &Utf8Path,
    paths: &[Utf8PathBuf],
    ignore: &Ignore,
    tracer: &Tracer<'_>,
) -> Result<Inputs, InputsError> {
    let needs = paths.iter().map(|path| Need {
        path: path.as_str().into(),
        wildcard: false,
        exclude: Vec::new(),
        line: 0,
    });
    let layers = Layers {
        folders: vec![folder.to_owned()],
    };
    let need = ContextNeed::Paths(needs.collect());
    contexts::collect(&layers, ignore, &need, tracer)
}

/// The command and the files as ingredients, to be compared later. Files of the source are listed
/// under the context name `source`.
pub(super) fn list(parts: &[CommandPart]) -> Vec<Ingredient> {
    let command = parts.first().map_or("", |part| &part.command);
    // In the order of the names that the files get.
    let inputs = ["", "source"].into_iter().zip(parts).rev();
    let ingredients = Ingredients {
        dockerfile: command.as_bytes(),
        inputs: inputs.map(|(of, part)| (of, &part.inputs)).collect(),
        ..Ingredients::default()
    };
    ingredients.list()
}

pub(super) fn digest(parts: &[CommandPart]) -> String {
    let key = |part: &CommandPart| {
        let ingredients = Ingredients {
            dockerfile: part.command.as_bytes(),
            inputs: vec![("", &part.inputs)],
            ..Ingredients::default()
        };
        ingredients.key().hex()
    };
    parts.iter().map(key).collect()
}
