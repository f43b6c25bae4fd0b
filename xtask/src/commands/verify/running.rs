//! The second half of a verification: the images as a running stack.

use std::collections::BTreeMap;

use super::Session;
use crate::fault::Result;
use crate::report::words;
use crate::verify::finding::{Finding, ProbeAnswer, ProbeOutcome};
use crate::verify::policy::{self, Waivers};
use crate::verify::{record, stack};

impl Session<'_> {
    pub(super) fn images(&self) -> BTreeMap<String, String> {
        let fresh = self.fresh.iter();
        fresh
            .map(|one| {
                let image = one.in_engine.as_ref().unwrap_or(&one.image);
                (self.name(one.id).to_owned(), image.clone())
            })
            .collect()
    }

    pub(super) fn stack_run<'r>(
        &'r self,
        images: &'r BTreeMap<String, String>,
        tell: &'r dyn Fn(stack::StackEvent<'_>),
    ) -> stack::Run<'r> {
        stack::Run {
            spec: &self.work.spec,
            state: &self.work.state,
            engine: &self.work.engine,
            images,
            keep: self.flags.keep,
            interrupt: self.interrupt,
            tell,
        }
    }

    /// Removes what killed runs left. This is done here because an answer from a record, or about
    /// the policy alone, starts no stack that would do it.
    pub(super) fn sweep(&self) -> Result<()> {
        let work = self.work;
        for note in stack::sweep(&work.state, &work.engine, self.interrupt)? {
            tell_stack(&stack::StackEvent::Swept(&note));
        }
        Ok(())
    }

    /// The stack's compose file in the form in which it would run.
    pub(super) fn resolved(&self) -> Result<Option<stack::Resolved>> {
        if !self.runs_stack() {
            return Ok(None);
        }
        let images = self.images();
        stack::resolved(&self.stack_run(&images, &|_| ())).map(Some)
    }

    /// Findings of publicly known keys in the environments of the stack's services.
    pub(super) fn environments(
        &self,
        resolved: &stack::Resolved,
        waivers: &Waivers<'_>,
    ) -> Vec<Finding> {
        let services = resolved.config["services"].as_object();
        let mut findings = Vec::new();
        for (service, config) in services.into_iter().flatten() {
            let env = config["environment"].as_object().into_iter().flatten();
            let env: Vec<(&str, &str)> = env
                .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
                .collect();
            let pinned = resolved.images.get(service);
            let stage = pinned.and_then(|pinned| pinned.stage.as_deref());
            let stage = stage.and_then(|name| self.work.spec.find(name).ok());
            let image = pinned.map_or("", |pinned| &pinned.id);
            findings.extend(policy::environment(
                &self.work.spec,
                (service, stage),
                image,
                &env,
                waivers,
            ));
        }
        findings
    }

    pub(super) fn stack(
        &self,
        probes: &mut Vec<ProbeAnswer>,
        subjects: &mut Vec<record::RecordSubject>,
    ) -> Result<()> {
        let images = self.images();
        let report = stack::run(&self.stack_run(&images, &|event| tell_stack(&event)))?;
        for note in &report.notes {
            crate::tell!("note: {note}");
        }
        if let Some(kept) = &report.kept {
            for (service, port, address) in &kept.addresses {
                crate::tell!("{service}: port {port} is at {address}");
            }
            crate::tell!("the stack stays up; `{}` takes it down", kept.take_down);
        }
        if report.outcome == stack::StackOutcome::Failed {
            crate::tell!("{}", report.text.trim_end());
        }
        probes.extend(report.probes.iter().map(|probe| ProbeAnswer {
            service: probe.service.clone(),
            kind: probe.kind.to_owned(),
            outcome: match probe.outcome {
                stack::StackOutcome::Passed => ProbeOutcome::Passed,
                stack::StackOutcome::Failed => ProbeOutcome::Failed,
                stack::StackOutcome::NotChecked => ProbeOutcome::NotChecked,
            },
            message: probe.message.clone(),
        }));
        let has_failed = probes
            .iter()
            .any(|probe| probe.outcome == ProbeOutcome::Failed);
        if report.outcome == stack::StackOutcome::Failed && !has_failed {
            // A service failed, and no probe says so.
            probes.push(ProbeAnswer {
                service: "stack".to_owned(),
                kind: "up".to_owned(),
                outcome: ProbeOutcome::Failed,
                message: report
                    .cause
                    .clone()
                    .unwrap_or_else(|| "a service failed".to_owned()),
            });
        }
        subjects.extend(
            report
                .images
                .iter()
                .map(|(service, pinned)| record::RecordSubject {
                    name: service.clone(),
                    digest: pinned.id.clone(),
                }),
        );
        Ok(())
    }
}

pub(in crate::commands) fn tell_stack(event: &stack::StackEvent<'_>) {
    match event {
        stack::StackEvent::Swept(note) => crate::tell!("{note}"),
        stack::StackEvent::Pulling(image) => crate::tell!("pulling {image}"),
        stack::StackEvent::Made { project, services } => {
            crate::tell!("stack {project}: {}", words::count(*services, "service"));
        }
        stack::StackEvent::Ready(service) => crate::tell!("{service}: ready"),
        stack::StackEvent::Done(service) => crate::tell!("{service}: done"),
        // The table has the passed probes. Here they would separate a failure from its cause.
        stack::StackEvent::Probe(probe) => {
            let word = match probe.outcome {
                stack::StackOutcome::Passed => return,
                stack::StackOutcome::Failed => "failed",
                stack::StackOutcome::NotChecked => "not checked",
            };
            let (service, kind) = (&probe.service, probe.kind);
            crate::tell!("{service}: {kind} {word}: {}", probe.message);
        }
        stack::StackEvent::Waiting {
            services,
            probes,
            since,
        } => {
            let mut open = services.clone();
            let probes = words::count(*probes, "probe");
            open.push(&probes);
            crate::tell!("waiting for {}, {} s", open.join(", "), since.as_secs());
        }
        stack::StackEvent::TakingDown => crate::tell!("taking the stack down"),
    }
}
