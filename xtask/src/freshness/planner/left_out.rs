//! Inputs that no longer count, though their files are there.

use crate::freshness::key::IngredientKind;
use crate::freshness::verdict::{Change, Reason};
use crate::graphfile::source;
use crate::graphfile::spec::{Spec, Stage};

/// Marks inputs whose files are still there and that an ignore file, or the Dockerfile, no longer
/// takes.
pub(super) fn mark(spec: &Spec, stage: &Stage, reason: &mut Reason) {
    let root = source::root(spec, stage.source).ok();
    let context = root.and_then(|root| root.join(&stage.context).canonicalize_utf8().ok());
    let Some(context) = context else {
        return;
    };
    let is_gone =
        |change: &&mut Change| change.what == IngredientKind::Input && change.after.is_none();
    for change in reason.changes.iter_mut().filter(is_gone) {
        let path = context.join(&change.name);
        // Behind a link the path leads to another file.
        let above = path
            .parent()
            .map(|above| (above, above.canonicalize_utf8()));
        let is_real = above.is_some_and(|(above, real)| real.is_ok_and(|real| real == above));
        if is_real && path.symlink_metadata().is_ok() {
            change.left_out = true;
        }
    }
}
