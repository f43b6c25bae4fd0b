//! Inputs that are no inputs any more, though the files are there.
//!
//! Knows where a stage's context is. Is unaware of what leaves a file out.

use crate::source;
use crate::spec::{Spec, Stage};
use crate::verdict::{Change, LEFT_OUT, Reason};

/// Tells files that are gone from those that an ignore file, or the Dockerfile, does not take any more.
pub(super) fn mark(spec: &Spec, stage: &Stage, reason: &mut Reason) {
    let Ok(root) = source::root(spec, stage.source) else {
        return;
    };
    let context = root.join(&stage.context);
    let is_gone = |change: &&mut Change| change.what == "input" && change.after.is_none();
    for change in reason.changes.iter_mut().filter(is_gone) {
        if context.join(&change.name).symlink_metadata().is_ok() {
            change.after = Some(LEFT_OUT.to_owned());
        }
    }
}
