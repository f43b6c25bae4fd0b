//! What a verdict needs to know of a stage's tree.
//!
//! Where a stage is fresh, nothing else of its inputs is ever asked for. A summary is small enough
//! to be kept between runs (`memo`); the inputs are not.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::gathering;
use crate::freshness::key::Own;
use crate::freshness::stage_inputs::{Externals, SourcePolicy, StageInputs};
use crate::graphfile::spec::{Spec, StageId};

/// The part of a stage's inputs that decides on its verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageSummary {
    /// The hash of all that is the stage's own.
    pub own: Own,
    /// Number of inputs.
    pub inputs: usize,
    /// Their size in bytes.
    pub input_bytes: u64,
    /// The external images that the build uses.
    pub externals: Externals,
    /// The proxies of docker's configuration that its Dockerfile makes its own.
    pub proxies: BTreeSet<String>,
    /// Stages it stands on that may leave it ONBUILD triggers which nobody can tell.
    pub with_triggers: Vec<String>,
    /// The first ADD source from elsewhere under whose address something else may be now.
    pub moving: Option<String>,
    /// The policy beside the Dockerfile, as settings.
    pub policy: BTreeMap<String, String>,
    /// What that looks at beside itself.
    pub looked_at: Option<String>,
    /// The numbers of the stages whose images it uses, by the names that its Dockerfile has for
    /// them. They mean what they meant when the graph file was this very text.
    parents: BTreeMap<String, u32>,
}

impl StageSummary {
    /// The summary of what was gathered.
    pub fn of(spec: &Spec, id: StageId, stage_inputs: &StageInputs) -> Self {
        let (inputs, input_bytes) = stage_inputs.count();
        let parents = stage_inputs.parents.iter();
        let mut remotes = stage_inputs.reading.remotes.iter();
        Self {
            own: gathering::own(spec, id, stage_inputs).own(),
            inputs,
            input_bytes,
            externals: stage_inputs.externals.clone(),
            proxies: gathering::proxies(spec.stage(id), &stage_inputs.reading),
            with_triggers: stage_inputs.with_triggers.clone(),
            moving: remotes
                .find(|remote| !remote.is_fixed)
                .map(|remote| remote.url.clone()),
            policy: gathering::policy(spec.stage(id), stage_inputs),
            looked_at: stage_inputs.policy.as_ref().and_then(SourcePolicy::told),
            parents: parents.map(|(name, id)| (name.clone(), id.0)).collect(),
        }
    }

    /// Whether both have the same key, as long as the images that they stand on are the same.
    pub fn has_key_of(&self, other: &Self) -> bool {
        let counted = |it: &Self| {
            let externals = &it.externals;
            let images = (
                externals.references.clone(),
                externals.frontend.clone(),
                externals.platforms.clone(),
            );
            (it.own, images, it.proxies.clone(), it.parents.clone())
        };
        counted(self) == counted(other)
    }

    /// The stages whose images it uses, by the names that its Dockerfile has for them.
    pub fn parents(&self) -> impl Iterator<Item = (&str, StageId)> {
        let parents = self.parents.iter();
        parents.map(|(name, id)| (name.as_str(), StageId(*id)))
    }
}
