//! Sources of COPY, ADD and bind mounts that are missing.
//!
//! Finds where a file that is not in the context may be instead, or which line of the ignore file
//! leaves it out. BuildKit would say only that it failed to calculate a checksum.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use camino::{Utf8Path, Utf8PathBuf};

use super::folder::{ContextFolder, ignore_file};
use crate::contexts::{self, Absent};
use crate::graphfile::spec::Stage;
use crate::outside::state;
use crate::shown::text;
use dockerfile::Required;
use dockerignore::Ignore;

/// How many folders in a context are searched for a file.
const MOST_FOLDERS: usize = 200;
/// How many missing sources are reported. Folders are searched for each of them.
const MOST_TOLD: usize = 10;

/// A source of COPY, ADD or a bind mount that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsentSource {
    /// The name of the context that lacks it; `None` for the main one.
    pub context: Option<String>,
    /// The path in that context.
    pub path: Vec<u8>,
    /// A sentence: where it is named, why it is missing, what to do.
    pub told: String,
}

/// A context of a stage, in which sources are looked for.
pub(super) struct LookedForSource<'l> {
    pub(super) stage: &'l Stage,
    /// The root of the stage's source.
    pub(super) root: &'l Utf8Path,
    pub(super) dockerfile: &'l Utf8Path,
    pub(super) folder: &'l ContextFolder,
    /// The name of a named context; `None` for the main one.
    pub(super) name: Option<&'l str>,
}

impl LookedForSource<'_> {
    /// The sources that BuildKit would not find.
    pub(super) fn absent(&self, required: &[Required]) -> Vec<AbsentSource> {
        let own = required
            .iter()
            .filter(|source| source.context.as_deref() == self.name);
        own.filter_map(|source| {
            let (layers, ignore) = (&self.folder.layers, &self.folder.ignore);
            let why = match contexts::absent(layers, ignore, &source.path)? {
                Absent::LeftOut(part) => self.left_out(&part),
                Absent::NotThere => self.elsewhere(&source.path),
            };
            let (file, line, path) = (self.dockerfile, source.line, text(&source.path));
            Some(AbsentSource {
                context: source.context.clone(),
                path: source.path.clone(),
                told: format!("{file}:{line}: `{path}` {why}"),
            })
        })
        .take(MOST_TOLD)
        .collect()
    }

    fn left_out(&self, part: &[u8]) -> String {
        // Only the main context has an ignore file beside the Dockerfile.
        let dockerfile = self.name.is_none().then_some(self.dockerfile);
        let file = ignore_file(&self.folder.layers, dockerfile);
        let of_file = file.and_then(|file| {
            let content = state::read(&file).ok().flatten()?;
            let (number, line) = Ignore::line_that_excludes(&content, part)?;
            Some((file, number, text(&line)))
        });
        let exception = format!("`!{}`", text(part));
        match of_file {
            Some((file, number, line)) => format!(
                "is left out by line {number} of {file}, `{line}`: remove that line, or add {exception} below it"
            ),
            None => format!("is left out by the ignore file: add {exception} to it"),
        }
    }

    fn elsewhere(&self, path: &[u8]) -> String {
        let context = self.folder.layers.folders.first();
        let context = context.map_or(Utf8Path::new(""), |folder| folder.as_path());
        let place = self.place(context, path);
        let which = match self.name {
            Some(name) => format!("the context `{name}`, {context}"),
            None => format!("the context {context}"),
        };
        match place {
            None => format!("is not in {which}: correct the name, or make it first"),
            Some((place, folder)) => {
                let place = place.join(OsStr::from_bytes(path).to_string_lossy().as_ref());
                let name = &self.stage.name;
                let remedy = match (folder, self.name) {
                    (Some(folder), None) => {
                        format!("write `context = \"{folder}\"` in `[stage.{name}]`, or correct")
                    }
                    _ => "correct the context, or".to_owned(),
                };
                format!("is not in {which}, but at {place}: {remedy} the path in the Dockerfile")
            }
        }
    }

    /// A folder near the context that has the path, and how the graph file would name that folder.
    fn place(&self, context: &Utf8Path, path: &[u8]) -> Option<(Utf8PathBuf, Option<Utf8PathBuf>)> {
        let has = |folder: &Utf8PathBuf| {
            let place = folder.as_std_path().join(OsStr::from_bytes(path));
            place.symlink_metadata().is_ok()
        };
        let above = context.ancestors().skip(1);
        let above = above.take_while(|folder| folder.starts_with(self.root));
        let listed = context.read_dir_utf8().into_iter().flatten();
        let mut below: Vec<Utf8PathBuf> = listed
            .filter_map(|entry| Some(entry.ok()?.into_path()))
            .take(MOST_FOLDERS)
            .collect();
        below.sort();
        let beside = self.dockerfile.parent();
        let near = above.chain(beside).map(Utf8Path::to_owned).chain(below);
        let found = near.into_iter().find(has)?;
        let named = found.strip_prefix(self.root).ok().map(|folder| {
            let is_root = folder.as_str().is_empty();
            if is_root {
                ".".into()
            } else {
                folder.to_owned()
            }
        });
        Some((found, named))
    }
}
