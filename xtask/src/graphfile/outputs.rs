//! Where the host commands of a graph write: their outputs as real paths, so that two names of one
//! place are equal.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use crate::contexts::{Noticed, Tracer};
use crate::graphfile::source;
use crate::graphfile::spec::{Prepare, Spec, StageId};
use dockerignore::Ignore;

/// The outputs of all host commands whose sources are on this machine.
#[derive(Debug, Default)]
pub struct Outputs {
    /// Sorted. Each output has the stage under which its host command is known (see `owner`).
    all: Vec<(Utf8PathBuf, StageId)>,
}

impl Outputs {
    /// The outputs of all stages of a graph.
    pub fn of(spec: &Spec) -> Self {
        let mut all = Vec::new();
        for id in spec.ids() {
            let stage = spec.stage(id);
            let Some(prepare) = stage.prepare.as_ref().filter(|_| owner(spec, id) == id) else {
                continue;
            };
            let root = source::root(spec, stage.source.filter(|_| !prepare.beside_graph));
            // A source that is not on this machine is not read yet.
            let Ok(root) = root else { continue };
            all.extend(paths(&root, prepare).map(|path| (path, id)));
        }
        all.sort();
        Self { all }
    }

    /// Whether a path is an output, or lies in one.
    pub fn make(&self, path: &Utf8Path) -> bool {
        let path = without_links(path);
        self.all.iter().any(|(output, _)| path.starts_with(output))
    }

    /// Whether a host command other than that of `own` writes into `folder`, or makes a folder
    /// around it.
    pub fn has_others_near(&self, folder: &Utf8Path, own: Option<StageId>) -> bool {
        self.others(own).any(|(output, _)| touches(output, folder))
    }

    /// The host commands, except that of `own`, that write to a path that the `tracer` has seen,
    /// each with the first such output. `trees` are the trees that were read, each with its ignore
    /// file.
    pub fn seen_by(
        &self,
        tracer: &Tracer<'_>,
        trees: &[(&Utf8Path, &Ignore)],
        own: Option<StageId>,
    ) -> BTreeMap<StageId, &Utf8Path> {
        let counts = |output: &Utf8Path| match tracer.notices(output.as_std_path()) {
            Noticed::No => false,
            Noticed::AsAName => !is_left_out(output, trees),
            Noticed::Itself => true,
        };
        first_of_each(self.others(own).filter(|(output, _)| counts(output)))
    }

    /// The host commands, except that of `own`, that write into one of `folders` or make a folder
    /// around one. Stands in for `seen_by` if a tree cannot be read, so that nobody knows what
    /// would be seen.
    pub fn near(
        &self,
        folders: &[Utf8PathBuf],
        own: Option<StageId>,
    ) -> BTreeMap<StageId, &Utf8Path> {
        let folders: Vec<_> = folders.iter().map(|path| without_links(path)).collect();
        let is_near = |output: &Utf8Path| folders.iter().any(|folder| touches(output, folder));
        first_of_each(self.others(own).filter(|(output, _)| is_near(output)))
    }

    fn others(&self, own: Option<StageId>) -> impl Iterator<Item = &(Utf8PathBuf, StageId)> {
        self.all.iter().filter(move |(_, of)| Some(*of) != own)
    }
}

/// Whether the ignore files leave a path out of every tree that it lies in.
fn is_left_out(path: &Utf8Path, trees: &[(&Utf8Path, &Ignore)]) -> bool {
    let mut within = trees.iter().filter_map(|(root, ignore)| {
        let inner = path.strip_prefix(root).ok()?;
        Some((inner, ignore))
    });
    within.all(|(inner, ignore)| ignore.excludes_all_of(inner.as_str().as_bytes()))
}

/// The stage under which the host command of a stage is known.
pub fn owner(spec: &Spec, id: StageId) -> StageId {
    spec.stage(id).prepared_with.unwrap_or(id)
}

fn paths(root: &Utf8Path, prepare: &Prepare) -> impl Iterator<Item = Utf8PathBuf> {
    let folder = root.join(&prepare.dir);
    prepare.outputs.iter().map(move |path| {
        let path = folder.join(path);
        match (path.parent(), path.file_name()) {
            // If the output is a link, the command makes the link itself.
            (Some(parent), Some(name)) => without_links(parent).join(name),
            _ => path,
        }
    })
}

/// A path with its links resolved, as far as it exists.
fn without_links(path: &Utf8Path) -> Utf8PathBuf {
    for there in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (there.canonicalize_utf8(), path.strip_prefix(there)) {
            let is_whole = rest.as_str().is_empty();
            return if is_whole { real } else { real.join(rest) };
        }
    }
    path.to_owned()
}

fn touches(output: &Utf8Path, folder: &Utf8Path) -> bool {
    output.starts_with(folder) || folder.starts_with(output)
}

fn first_of_each<'o>(
    outputs: impl Iterator<Item = &'o (Utf8PathBuf, StageId)>,
) -> BTreeMap<StageId, &'o Utf8Path> {
    let mut found = BTreeMap::new();
    for (output, of) in outputs {
        found.entry(*of).or_insert(output.as_path());
    }
    found
}
