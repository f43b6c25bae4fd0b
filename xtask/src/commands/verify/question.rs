//! What an answer hangs on, and whether an earlier one still holds.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Session, parts};
use crate::freshness::planner::Workspace;
use crate::graphfile::spec::policy::Policy;
use crate::outside::interrupt::Interrupt;
use crate::verify::finding::Answer;
use crate::verify::record::{StackAsked, VerifyRecord, VerifyRecords};
use crate::verify::{noted, policy, stack, tools};

/// The last verification of the same stages and parts, with what the stack looks like now.
pub(super) struct Prior {
    record: VerifyRecord,
    /// `None` where no stack was tried, or where a look is not enough.
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
    /// All that the answer hangs on, but for the stack.
    pub(super) fn question(&self) -> Value {
        let spec = &self.work.spec;
        let images = self.fresh.iter();
        let images: Vec<Value> = images
            .map(|target| {
                let policy = noted::policy_hash(spec, target.id);
                json!([self.name(target.id), target.image, policy])
            })
            .collect();
        let waivers = spec.waivers.iter().map(|waiver| &waiver.until);
        json!({
            "tool": env!("CARGO_PKG_VERSION"),
            "images": images,
            "waivers": waivers.collect::<Vec<_>>(),
            "tools": tools::present(),
            // That of services without a stage.
            "policy": spec.policy,
            // Nothing of it is secret: a value from the environment stands in it by its variable.
            "stack": spec.stack.as_ref().filter(|_| self.runs_stack()).map(|stack| format!("{stack:?}")),
        })
    }

    /// The earlier answer, where it is seen to hold without compose.
    pub(super) fn recalled(
        &self,
        asked: &crate::verify::record::AskedOfImages,
    ) -> Option<VerifyRecord> {
        let prior = self.prior.as_ref()?;
        let is_same = prior.is_stack_same == Some(true) || !self.runs_stack();
        let holds = prior.record.asked == *asked && prior.record.holds(&self.today);
        (holds && is_same).then(|| prior.record.clone())
    }

    /// The same, where compose had to be asked.
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

    /// What the answer about the stack hangs on.
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

    /// What the record says of this verification.
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

    pub(super) fn policies(&self) -> BTreeMap<&str, &Policy> {
        let targets = self.targets.iter();
        targets
            .map(|id| (self.name(*id), &self.work.spec.stage(*id).policy))
            .collect()
    }
}
