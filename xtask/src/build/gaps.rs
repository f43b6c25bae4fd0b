//! Warns of what git left out of a stage's inputs: submodules and git-lfs pointers (`source::tree`)
//! that the image would get. A build with them usually succeeds, but its image is not what its
//! author meant.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use camino::Utf8Path;

use crate::contexts::EntryKind;
use crate::fault::Result;
use crate::freshness::stage_inputs::{ContextFolder, StageInputs};
use crate::graphfile::source::{self, tree};
use crate::graphfile::spec::{Context, SourceId, Spec, Stage};

/// A message for each kind of gap in what is copied into a stage's image.
pub(super) fn told(spec: &Spec, stage: &Stage, stage_inputs: &StageInputs) -> Result<Vec<String>> {
    let who = format!("stage `{}`", stage.name);
    let mut all = vec![of_folder(spec, stage.source, &stage_inputs.context)?];
    for (name, folder) in &stage_inputs.folders {
        if let Some(Context::Folder(source, _)) = stage.contexts.get(name) {
            all.push(of_folder(spec, *source, folder)?);
        }
    }
    Ok(all
        .iter()
        .flat_map(|(gaps, remedy)| gaps.told(&who, remedy))
        .collect())
}

fn of_folder(
    spec: &Spec,
    source: Option<SourceId>,
    folder: &ContextFolder,
) -> Result<(tree::Gaps, tree::Remedy)> {
    let root = source::root(spec, source)?;
    let context = folder.layers.folders.first();
    let inputs = &folder.inputs.entries;
    let has = |path: &Utf8Path| {
        let path = path.as_str().as_bytes();
        let found = inputs.binary_search_by(|input| input.path.as_slice().cmp(path));
        found.is_ok_and(|at| inputs[at].kind == EntryKind::Dir)
    };
    let mut gaps = tree::Gaps {
        submodules: tree::submodules(&root),
        ..tree::Gaps::default()
    };
    gaps.submodules.retain(|submodule| {
        let inner = root.join(submodule);
        let inner = context.and_then(|context| inner.strip_prefix(context).ok());
        inner.is_some_and(has)
    });
    for input in inputs.iter().filter(|input| input.kind == EntryKind::File) {
        let layer = folder.layers.folders.get(usize::from(input.layer));
        let inner = OsStr::from_bytes(&input.path);
        if layer.is_some_and(|layer| {
            let path = layer.as_std_path().join(inner);
            tree::is_pointer(&path, input.size)
        }) {
            gaps.pointers.push(inner.into());
        }
    }
    Ok((gaps, source::remedy(spec, source)?))
}
