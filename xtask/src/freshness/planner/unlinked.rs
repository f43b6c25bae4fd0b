//! Stages that use the image of another stage as if it came from elsewhere.

use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

use crate::graphfile::spec::{Spec, StageId};

/// The stages by the names of their images, in the spelling that external images have.
#[derive(Debug, Default)]
pub struct Makers(OnceLock<HashMap<String, StageId>>);

impl Makers {
    /// A note on each image that a stage takes from elsewhere though another stage makes it.
    /// Nothing ensures that the other stage is built first, nor that its image is the one that is
    /// used.
    pub fn unlinked(
        &self,
        spec: &Spec,
        id: StageId,
        taken: &BTreeSet<String>,
    ) -> Vec<(StageId, String)> {
        let makers = self.0.get_or_init(|| {
            let of_stage = |id: StageId| {
                spec.stage(id)
                    .references()
                    .into_iter()
                    .zip(std::iter::repeat(id))
            };
            let named = spec.ids().flat_map(of_stage);
            let short = |name: String| Some(reference::normalise(&name)?.context_name());
            named
                .filter_map(|(name, id)| Some((short(name)?, id)))
                .collect()
        });
        let made = taken.iter().filter_map(|name| {
            let of = makers
                .get(name)
                .filter(|maker| **maker != spec.whole_id(id))?;
            let (user, maker) = (&spec.stage(id).name, &spec.stage(*of).name);
            let note = format!(
                "the Dockerfile of `{user}` uses `{name}`, the image of stage `{maker}`, but the graph does not link them: \
                 write `from = \"{maker}\"`, or name it in `contexts`, so that `{maker}` is built first"
            );
            Some((*of, note))
        });
        made.collect()
    }
}
