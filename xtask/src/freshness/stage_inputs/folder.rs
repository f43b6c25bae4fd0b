//! The folders that BuildKit reads from.
//!
//! Puts a context together with the overlays over it and its ignore file. Needs the place of a
//! Dockerfile, not its text.

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use crate::contexts::{self, Inputs, InputsError, Layers, Tracer};
use crate::fault::{Fault, Result};
use crate::graphfile::source;
use crate::graphfile::spec::{SourceId, Spec};
use dockerfile::ContextNeed;
use dockerignore::Ignore;

/// A folder that BuildKit reads from, with the overlays over it and what it leaves out.
#[derive(Debug)]
pub struct ContextFolder {
    /// The folder itself first, then the context overlays.
    pub layers: Layers,
    /// What is never sent.
    pub ignore: Ignore,
    /// What can change the image.
    pub inputs: Inputs,
}

/// The folder behind a named context.
pub fn folder_of_context(
    spec: &Spec,
    source: Option<SourceId>,
    path: &Utf8Path,
    name: &str,
    tracer: &Tracer<'_>,
) -> Result<Utf8PathBuf> {
    let root = source::root(spec, source)?;
    folder_inside(&root, path, &format!("named context `{name}`"), tracer)
}

/// Where a path of the graph file leads. Links on the way are recorded: they may be pointed
/// elsewhere without a change to the place where they led.
pub(super) fn inside(
    root: &Utf8Path,
    path: &Utf8Path,
    what: &str,
    tracer: &Tracer<'_>,
) -> Result<Utf8PathBuf> {
    let real = source::inside(root, path, what)?;
    tracer.rooted(root.as_std_path());
    if real != root.join(path) {
        let mut place = root.to_owned();
        for part in path.components() {
            place.push(part);
            tracer.followed(place.as_std_path());
        }
    }
    Ok(real)
}

/// The Dockerfile that a path below `root` means: the path as it is named, and as it is resolved.
pub(super) fn dockerfile_inside(
    root: &Utf8Path,
    path: &Utf8Path,
    tracer: &Tracer<'_>,
) -> Result<(Utf8PathBuf, Utf8PathBuf)> {
    let named = source::dockerfile(root, path);
    if named != path {
        tracer.looked_up(root.join(path).as_std_path(), None);
    }
    let real = inside(root, &named, "Dockerfile", tracer)?;
    Ok((root.join(named), real))
}

/// The path by which BuildKit is given a Dockerfile. That is the link if the Dockerfile is one, so
/// that BuildKit finds the ignore file where plain buildx does: beside the link, not beside what it
/// leads to. But BuildKit sees no further than the folder of the file that it is given (tried with
/// Docker 26.1.5: of a link that leads out of the folder, it says that there is no such file). For
/// such a link BuildKit is given what the link leads to, `real`.
pub(super) fn given_to_buildkit(named: &Utf8Path, real: Utf8PathBuf) -> Utf8PathBuf {
    let seen_from_its_folder = || {
        let folder = named.parent()?.canonicalize_utf8().ok()?;
        let mut place = folder.join(named.file_name()?);
        let given = place.clone();
        while place != real {
            let target = place.read_link_utf8().ok()?;
            let is_plain = |part| matches!(part, Utf8Component::Normal(_) | Utf8Component::CurDir);
            if !target.components().all(is_plain) {
                return None;
            }
            place = place.parent()?.join(target);
            let (parent, name) = (place.parent()?, place.file_name()?);
            place = parent.canonicalize_utf8().ok()?.join(name);
            if !place.starts_with(&folder) {
                return None;
            }
        }
        Some(given)
    };
    seen_from_its_folder().unwrap_or(real)
}

pub(super) fn folder_inside(
    root: &Utf8Path,
    path: &Utf8Path,
    what: &str,
    tracer: &Tracer<'_>,
) -> Result<Utf8PathBuf> {
    let folder = inside(root, path, what, tracer)?;
    if folder.is_dir() {
        Ok(folder)
    } else {
        Err(Fault::usage(format!(
            "{what} {folder} is not a folder: correct its path in the graph file"
        )))
    }
}

/// Reads a file that decides what counts.
pub(super) fn read(path: &Utf8Path, what: &str, tracer: &Tracer<'_>) -> Result<Vec<u8>> {
    contexts::read_file(path, tracer)
        .map_err(|error| Fault::usage(format!("cannot read the {what} {path}: {error}")))
}

/// The ignore file of a context, see `ignore_of`.
pub(super) fn ignore_file(layers: &Layers, dockerfile: Option<&Utf8Path>) -> Option<Utf8PathBuf> {
    let mut files = ignore_files(layers, dockerfile);
    files.find_map(|(folder, name)| Some(folder.join(name)).filter(|path| path.is_file()))
}

/// The places where the ignore file of a context may be. The first file found is taken.
fn ignore_files<'l>(
    layers: &'l Layers,
    dockerfile: Option<&'l Utf8Path>,
) -> impl Iterator<Item = (&'l Utf8Path, String)> {
    let beside = dockerfile.and_then(|path| {
        let name = format!("{}.dockerignore", path.file_name()?);
        Some((path.parent()?, name))
    });
    let own = layers.folders.iter().rev();
    let own = own.map(|folder| (folder.as_path(), ".dockerignore".to_owned()));
    beside.into_iter().chain(own)
}

/// Reads the ignore file of a context. `<Dockerfile>.dockerignore` replaces the context's own
/// (docs.docker.com/build/concepts/context, "Filename and location"), and a context overlay may
/// bring one. The ignore file of a context that nothing reads is not read: BuildKit is sent nothing
/// of such a context, so a mistake in the file does not matter.
pub(super) fn ignore_of(
    layers: &Layers,
    dockerfile: Option<&Utf8Path>,
    need: &ContextNeed,
    tracer: &Tracer<'_>,
) -> Result<Ignored> {
    let first = layers.folders.first();
    let none = || Ignored {
        patterns: Ignore::default(),
        file: first.map_or_else(Utf8PathBuf::new, |folder| folder.join(".dockerignore")),
    };
    if *need == ContextNeed::Nothing {
        return Ok(none());
    }
    for (folder, name) in ignore_files(layers, dockerfile) {
        let path = folder.join(&name);
        let Ok(meta) = path.symlink_metadata() else {
            tracer.looked_up(path.as_std_path(), None);
            continue;
        };
        if meta.is_symlink() {
            tracer.followed(path.as_std_path());
            // BuildKit sees this folder only, so it would not apply an ignore file elsewhere.
            let target = path.read_link_utf8().unwrap_or_default();
            if target.is_absolute() {
                return Err(Fault::usage(format!(
                    "ignore file {path} is a link to {target}, which BuildKit cannot see: write its lines into a file there"
                )));
            }
            source::inside(folder, Utf8Path::new(&name), "ignore file")?;
        }
        if path.is_file() {
            let text = read(&path, "ignore file", tracer)?;
            let patterns = Ignore::parse(&text);
            let patterns = patterns.map_err(|error| Fault::usage(format!("{path}: {error}")))?;
            let file = path;
            return Ok(Ignored { patterns, file });
        }
        if !path.is_dir() {
            // BuildKit would wait for the end of a pipe.
            return Err(Fault::usage(format!(
                "ignore file {path}: it is not a file; remove it, or write a file in its place"
            )));
        }
        // A folder has the name of the ignore file.
        tracer.doubt();
    }
    Ok(none())
}

/// What an ignore file says.
pub(super) struct Ignored {
    patterns: Ignore,
    /// The file, which may not exist yet.
    file: Utf8PathBuf,
}

pub(super) fn collect(
    layers: Layers,
    ignored: Ignored,
    need: &ContextNeed,
    tracer: &Tracer<'_>,
) -> Result<ContextFolder> {
    let ignore = ignored.patterns;
    let inputs = contexts::collect(&layers, &ignore, need, tracer).map_err(|error| match error {
        InputsError::OwnState { folder, pattern } => Fault::usage(format!(
            "the context holds the state of this program ({}), which changes with every run: write `{pattern}` as the \
             last line of {}, or move the state with XTASK_STATE",
            folder.display(),
            ignored.file
        )),
        error => Fault::usage(error.to_string()),
    })?;
    Ok(ContextFolder {
        layers,
        ignore,
        inputs,
    })
}
