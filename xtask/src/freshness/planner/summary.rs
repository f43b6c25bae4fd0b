//! What a verdict needs to know of a stage's trees.
//!
//! If a stage is fresh, nothing else of its inputs is needed. A summary is small enough to be kept
//! between runs (`memo`). The inputs are not.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::gathering;
use crate::freshness::key::Own;
use crate::freshness::stage_inputs::{Externals, SourcePolicy, StageInputs};
use crate::graphfile::spec::{Spec, StageId};

/// The part of a stage's inputs that decides on its verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageSummary {
    /// The hash of the stage's own part of the key.
    pub own: Own,
    /// Number of inputs.
    pub inputs: usize,
    /// Their size in bytes.
    pub input_bytes: u64,
    /// The external images that the build uses.
    pub externals: Externals,
    /// The proxies of docker's configuration that the Dockerfile declares.
    pub proxies: BTreeSet<String>,
    /// Parents that may leave this stage ONBUILD triggers which cannot be determined.
    pub with_triggers: Vec<String>,
    /// The first remote ADD source whose address may lead to something else by now.
    pub moving: Option<String>,
    /// The policy beside the Dockerfile, as settings.
    pub policy: BTreeMap<String, String>,
    /// What the policy looks at beside its own text, with its name.
    pub looked_at: Option<String>,
    /// The ids of the stages whose images it uses, by the names that its Dockerfile has for them.
    /// They hold only for the same text of the graph file.
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

    /// The summary of a stage that is assembled from parts: it stands on their images alone.
    pub fn of_assembled(spec: &Spec, id: StageId) -> Self {
        let stage = spec.stage(id);
        let parts = stage.upstream().into_iter().map(|part| {
            let platform = spec.stage(part).platforms.first();
            (platform.cloned().unwrap_or_default(), part.0)
        });
        Self {
            own: gathering::of_assembled(stage).own(),
            inputs: 0,
            input_bytes: 0,
            externals: Externals::default(),
            proxies: BTreeSet::new(),
            with_triggers: Vec::new(),
            moving: None,
            policy: BTreeMap::new(),
            looked_at: None,
            parents: parts.collect(),
        }
    }

    /// Whether both have the same key, if the images that they stand on are the same.
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
