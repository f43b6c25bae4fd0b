//! Secrets in layers, settings and history, and publicly known keys.

use super::super::content::SECRETS;
use super::{Breach, Breaches};
use crate::graphfile::spec::policy::Rule;
use crate::verify::secrets;

impl Breaches<'_, '_> {
    pub(super) fn secrets(&mut self) {
        let subject = self.subject;
        for (at, layer) in subject.image.layers.iter().enumerate() {
            let seen = layer.findings.iter().filter(|seen| seen.rule == SECRETS);
            for found in seen.flat_map(|seen| &seen.found) {
                let entry = layer.table.entry(found.entry as usize);
                let is_live = subject
                    .view
                    .get(entry.path)
                    .is_some_and(|node| node.place.layer == at && node.place.entry == found.entry);
                let gone = if is_live {
                    ""
                } else {
                    "; a later layer removes it, and everybody can still read it in this one"
                };
                let (rule, shape) = split(&found.what);
                self.add(
                    rule,
                    Some((at, entry.path)),
                    format!("the file holds {}{gone}", found.note),
                    repair(
                        shape,
                        "mount it with RUN --mount=type=secret, and revoke it",
                    ),
                );
            }
        }
        let facts = &subject.image.facts;
        let env = facts.env.iter().filter_map(|line| line.split_once('='));
        let labels = facts.labels.iter();
        let settings = env
            .map(|(name, value)| ("the environment", name, value))
            .chain(labels.map(|(name, value)| ("a label", name.as_str(), value.as_str())));
        for (place, name, value) in settings {
            for found in secrets::in_text(name, value) {
                let message = format!("{place} `{name}` holds {} ({})", found.what, found.masked);
                let remedy = repair(
                    found.shape,
                    "give it to the container when it starts, and revoke it",
                );
                self.add(Rule::Secrets, None, message, remedy);
            }
        }
        for found in facts
            .on_build
            .iter()
            .flat_map(|step| secrets::in_text("", step))
        {
            let message = format!("ONBUILD holds {} ({})", found.what, found.masked);
            let remedy = repair(
                found.shape,
                "take it by RUN --mount=type=secret in the ONBUILD step, so that each build on this image gives its own, and revoke it",
            );
            self.add(Rule::Secrets, None, message, remedy);
        }
        let numbers = facts.instructions();
        for (number, step) in facts.history.iter().enumerate() {
            for found in secrets::in_text("", &step.created_by) {
                let layer = numbers.iter().position(|made| *made == Some(number));
                self.list.push(Breach {
                    rule: Rule::Secrets,
                    layer,
                    path: None,
                    message: format!(
                        "the history holds {} ({})",
                        found.what, found.masked
                    ),
                    remedy: repair(
                        found.shape,
                        "pass it by RUN --mount=type=secret, never by ARG or in a command, and revoke it",
                    ),
                });
            }
        }
    }

    pub(super) fn default_keys(&mut self) {
        let env = self.subject.image.facts.env.iter();
        let env: Vec<(&str, &str)> = env.filter_map(|line| line.split_once('=')).collect();
        for found in secrets::in_environment(&env) {
            let rule = if found.rule == secrets::DEFAULT_KEYS {
                Rule::DefaultKeys
            } else {
                Rule::Secrets
            };
            let message = format!("the environment has {} ({})", found.what, found.masked);
            self.add(
                rule,
                None,
                message,
                "remove it from the image, and give each installation a value of its own",
            );
        }
    }
}

/// The rule and the shape of a finding in a file.
fn split(what: &str) -> (Rule, &str) {
    match what.split_once('/') {
        Some((rule, shape)) if rule == secrets::DEFAULT_KEYS => (Rule::DefaultKeys, shape),
        Some((_, shape)) => (Rule::Secrets, shape),
        None => (Rule::Secrets, what),
    }
}

fn repair(shape: &str, otherwise: &str) -> String {
    let known = secrets::shape(shape);
    known.map_or_else(|| otherwise.to_owned(), |shape| shape.repair.to_owned())
}
