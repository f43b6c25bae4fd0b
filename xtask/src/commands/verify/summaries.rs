//! The sizes of the images that are being verified, kept for the next `--size`.

use std::collections::BTreeMap;

use super::makers;
use crate::graphfile::spec::StageId;
use crate::verify::policy::Subject;
use crate::verify::size::Summary;

/// The sizes of images whose verification has not ended yet.
#[derive(Default)]
pub(super) struct Summaries(pub(super) BTreeMap<StageId, BTreeMap<String, Summary>>);

impl Summaries {
    /// Adds one platform of a stage's image.
    pub(super) fn add(&mut self, id: StageId, subject: &Subject<'_>) {
        let platform = subject.image.facts.platform();
        let summary = Summary::of(subject.image, &subject.view, &makers::of(subject));
        self.0.entry(id).or_default().insert(platform, summary);
    }
}
