//! The ingredients of keys as lists, for records and for explanations.

use std::collections::BTreeMap;

use super::{Gathered, ImageCache, Prepared, StageSummary, Upstream, Workspace, gathering};
use crate::fault::{Fault, Result};
use crate::freshness::key;
use crate::freshness::stage_inputs::StageInputs;
use crate::graphfile::spec::StageId;

impl Workspace {
    pub(super) fn list_of(
        &self,
        id: StageId,
        stage_inputs: &StageInputs,
        around: &key::Around,
    ) -> Vec<key::Ingredient> {
        let mut own = gathering::own(&self.spec, id, stage_inputs);
        own.around = around.clone();
        own.list()
    }

    pub(super) fn list_of_assembled(
        &self,
        id: StageId,
        around: &key::Around,
    ) -> Vec<key::Ingredient> {
        let mut own = gathering::of_assembled(self.spec.stage(id));
        own.around = around.clone();
        own.list()
    }

    /// The ingredients that are a stage's own, without bases, parents and settings.
    pub fn made_of(&self, id: StageId, stage_inputs: &StageInputs) -> Vec<key::Ingredient> {
        gathering::own(&self.spec, id, stage_inputs).list()
    }

    /// The ingredients of a stage's key, for a record.
    pub fn list(
        &self,
        id: StageId,
        prepared: &Prepared,
        upstream: &BTreeMap<StageId, Upstream>,
        held: &ImageCache,
    ) -> Result<Vec<key::Ingredient>> {
        let around = |summary: &StageSummary| {
            let bases = self.base_digests(summary, held)?;
            let epoch = self.epoch(id)?;
            let around = gathering::around((&self.spec, id), summary, bases, upstream, epoch);
            Ok::<_, Fault>(around)
        };
        match prepared.gathered(self, id) {
            Ok(
                Gathered::Read(summary, stage_inputs) | Gathered::Lent(summary, stage_inputs, _),
            ) => Ok(self.list_of(id, stage_inputs, &around(summary)?)),
            Ok(Gathered::Assembled(summary)) => Ok(self.list_of_assembled(id, &around(summary)?)),
            Ok(Gathered::PrepareFirst(_)) => Err(Fault::failed("its host command must run first")),
            Err(fault) => Err(fault.clone()),
        }
    }
}
