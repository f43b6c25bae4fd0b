//! What tools of others say of the same stages.

use super::Session;
use crate::source;
use crate::spec::policy::{Rule, Severity};
use crate::verify::finding::{Finding, Tool};
use crate::verify::policy::{self, Waivers};
use crate::verify::tools::{self, Looked};

impl Session<'_> {
    /// Asks them, where any of their rules is on.
    pub(super) fn tools(&self, waivers: &Waivers<'_>, findings: &mut Vec<Finding>) -> Vec<Tool> {
        let spec = &self.work.spec;
        let targets = self
            .fresh
            .iter()
            .filter(|one| self.targets.contains(&one.id));
        let of: Vec<_> = targets
            .filter_map(|target| {
                let stage = spec.stage(target.id);
                let root = source::root(spec, stage.source).ok()?;
                Some((target, root.join(&stage.dockerfile)))
            })
            .collect();
        let looked: Vec<Looked<'_>> = of
            .iter()
            .map(|(target, dockerfile)| {
                let stage = spec.stage(target.id);
                let is_on = |rule| stage.policy.severity(rule) != Severity::Off;
                Looked {
                    dockerfile,
                    target: stage.target.as_deref(),
                    image: &target.image,
                    wants: (is_on(Rule::Lint), is_on(Rule::Vulnerabilities)),
                }
            })
            .collect();
        let (found, told) = tools::run(&looked, self.interrupt);
        for (place, found) in found {
            let (target, _) = &of[place];
            findings.extend(policy::of_tool(
                spec,
                target.id,
                &target.image,
                found,
                waivers,
            ));
        }
        told
    }
}
