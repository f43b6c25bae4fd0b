//! What an answer depends on, and whether an earlier answer still holds.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::telling;
use super::{Session, parts};
use crate::freshness::planner::Workspace;
use crate::graphfile::spec::policy::Policy;
use crate::outside::interrupt::Interrupt;
use crate::verify::finding::Answer;
use crate::verify::record::{StackAsked, VerifyRecord, VerifyRecords};
use crate::verify::{noted, policy, stack, tools};

/// The last verification of the same stages and parts, and whether the stack still looks the same.
pub(super) struct Prior {
    record: VerifyRecord,
    /// `None` if no stack was tried, or if a look without compose is not enough.
    is_stack_same: Option<bool>,
}

impl Prior {
    pub(super) fn of(
        records: &VerifyRecords,
        work: &Workspace,
        interrupt: &Interrupt,
    ) -> Option<Self> {
        let record = records.read()?;
        let was = record
            .stack
            .as_ref()
            .and_then(|stack| stack.glance.as_ref());
        let is_stack_same = was.and_then(|(given, was)| {
            let seen = stack::glance(&work.spec, &work.engine, interrupt, given)?;
            Some(records.asked(&seen) == *was)
        });
        Some(Self {
            record,
            is_stack_same,
        })
    }
}

impl Session<'_> {
    /// Everything that the answer depends on, except the stack.
    pub(super) fn question(&self) -> Value {
        let spec = &self.work.spec;
        let images = self.fresh.iter();
        let images: Vec<Value> = images
            .map(|target| {
                let policy = noted::policy_hash(spec, target.id);
                json!([self.name(target.id), target.identity, policy])
            })
            .collect();
        let waivers = spec.waivers.iter().map(|waiver| &waiver.until);
        json!({
            "tool": env!("CARGO_PKG_VERSION"),
            "images": images,
            "waivers": waivers.collect::<Vec<_>>(),
            "tools": tools::present(),
            // The policy of services without a stage.
            "policy": spec.policy,
            // It holds no secret: a value from the environment appears as the name of its variable.
            "stack": spec.stack.as_ref().filter(|_| self.runs_stack()).map(|stack| format!("{stack:?}")),
        })
    }

    /// The earlier answer, if it holds and that can be seen without compose.
    pub(super) fn recalled(
        &self,
        asked: &crate::verify::record::AskedOfImages,
    ) -> Option<VerifyRecord> {
        let prior = self.prior.as_ref()?;
        let is_same = prior.is_stack_same == Some(true) || !self.runs_stack();
        let holds = prior.record.asked == *asked && prior.record.holds(&self.today);
        (holds && is_same).then(|| prior.record.clone())
    }

    /// The earlier answer, if it holds and compose had to be asked.
    pub(super) fn recalled_slowly(
        &self,
        asked: &crate::verify::record::AskedOfImages,
        stack: Option<&StackAsked>,
    ) -> Option<VerifyRecord> {
        let prior = &self.prior.as_ref()?.record;
        let was = prior.stack.as_ref()?.asked.as_ref()?;
        let is_same = stack?.asked.as_ref() == Some(was);
        let holds = prior.asked == *asked && prior.holds(&self.today);
        (holds && is_same).then(|| prior.clone())
    }

    /// What the answer about the stack depends on.
    pub(super) fn stack_asked(&self, resolved: &stack::Resolved) -> StackAsked {
        let images = BTreeMap::new();
        let asked = stack::asked(&self.stack_run(&images, &|_| ()), resolved);
        let Some((given, asked)) = asked else {
            return StackAsked {
                asked: None,
                glance: None,
            };
        };
        let work = self.work;
        let seen = stack::glance(&work.spec, &work.engine, self.interrupt, &given);
        StackAsked {
            asked: Some(self.records.asked(&asked)),
            glance: seen.map(|seen| (given, self.records.asked(&seen))),
        }
    }

    /// The content of the record of this verification.
    pub(super) fn predicate(&self, answer: &Answer, stack: Option<&StackAsked>) -> Value {
        let spec = &self.work.spec;
        let hashes = self.targets.iter();
        let hashes: BTreeMap<&str, String> = hashes
            .map(|id| (self.name(*id), noted::policy_hash(spec, *id)))
            .collect();
        json!({
            "verifiedAt": self.now,
            "tool": { "name": "xtask", "version": env!("CARGO_PKG_VERSION") },
            "rules": policy::VERSION,
            "asked": parts(self.flags),
            "policies": self.policies(),
            "policyHashes": hashes,
            "stack": stack.and_then(|stack| stack.asked.as_ref()),
            "findings": answer.findings,
            "probes": answer.probes,
            "tools": answer.tools,
        })
    }

    fn policies(&self) -> BTreeMap<&str, &Policy> {
        telling::policies(self.work, &self.targets)
    }
}
