//! Rules that the graph file fills in: what an image must have.

use super::Breaches;
use crate::graphfile::spec::policy::{Policy, Rule};

impl Breaches<'_, '_> {
    /// Breaches of what the graph file asks for.
    pub(super) fn wanted(&mut self, policy: &Policy) {
        let facts = &self.subject.image.facts;
        for label in policy.labels.iter().flatten() {
            if !facts.labels.contains_key(label) {
                let remedy = format!("write it into `labels` of the stage: \"{label}\" = \"…\"");
                self.add(
                    Rule::Labels,
                    None,
                    format!("the label {label} is not set"),
                    remedy,
                );
            }
        }
        for name in policy.env.iter().flatten() {
            if self.subject.variable(name).is_none() {
                let remedy = format!("add ENV {name}=… to the Dockerfile");
                self.add(
                    Rule::Env,
                    None,
                    format!("the variable {name} is not set"),
                    remedy,
                );
            }
        }
        for port in policy.ports.iter().flatten() {
            let whole = if port.contains('/') {
                port.clone()
            } else {
                format!("{port}/tcp")
            };
            if !facts.exposed_ports.contains(&whole) {
                let remedy = format!("add EXPOSE {port} to the Dockerfile");
                self.add(
                    Rule::Ports,
                    None,
                    format!("the port {whole} is not exposed"),
                    remedy,
                );
            }
        }
        if let Some(wanted) = policy
            .entrypoint
            .as_ref()
            .filter(|one| **one != facts.entrypoint)
        {
            let message = format!(
                "the entrypoint is {:?}, and {wanted:?} was asked for",
                facts.entrypoint
            );
            self.add(
                Rule::Entrypoint,
                None,
                message,
                "correct ENTRYPOINT, or the policy",
            );
        }
        let check = facts.healthcheck.as_deref().unwrap_or_default();
        if policy.healthcheck == Some(true) && matches!(check, [] | [_]) {
            self.add(
                Rule::Healthcheck,
                None,
                "no healthcheck is set",
                "add HEALTHCHECK to the Dockerfile",
            );
        }
    }
}
