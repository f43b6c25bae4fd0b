//! The rules for `[policy]` and its waivers.

use std::collections::BTreeMap;

use super::check::{GraphReader, Scope};
use super::mistakes::{Mistake, Span};
use super::names;
use super::placed::Placed;
use super::policy::{Policy, Rule, Severity, Waiver};
use super::raw::{RawPolicy, RawWaiver, Text};

impl GraphReader<'_, '_> {
    /// Checks one table of policy: the graph's or a stage's.
    pub(super) fn policy(&mut self, raw: RawPolicy) -> Policy {
        let mut severities = BTreeMap::new();
        for (name, severity) in raw.rules.into_iter().flatten() {
            let rule = self.named_rule(&name);
            let given = severity.get_ref().as_str();
            let Some(level) = Severity::of_name(given) else {
                let title = format!("`{}` is not a severity", given.escape_debug());
                let label = "expected `deny`, `warn` or `off`";
                let mistake = Mistake::at(severity.span(), title, label);
                let known = || ["deny", "warn", "off"];
                self.mistakes.push_near(mistake, given, known);
                continue;
            };
            severities.extend(rule.map(|rule| (rule, level)));
        }
        let mut list = |what: &str, texts: Option<Vec<Text>>, rule: NameRule| {
            let texts = texts?;
            Some(self.texts(what, Some(texts), rule))
        };
        let setuid = list("path", raw.setuid, names::plain);
        let labels = list("label name", raw.labels, names::plain);
        let env = list("variable", raw.env, names::variable);
        let ports = list("port", raw.ports, port);
        let entrypoint = list("entrypoint", raw.entrypoint, names::plain);
        Policy {
            severities,
            max_size: raw.max_size.and_then(|size| self.bytes("max-size", &size)),
            max_added: raw
                .max_added
                .and_then(|size| self.bytes("max-added", &size)),
            setuid: setuid.map(relative),
            labels,
            env,
            ports,
            entrypoint,
            healthcheck: raw.healthcheck,
        }
    }

    fn named_rule(&mut self, name: &Text) -> Option<Rule> {
        let rule = Rule::of_name(name.get_ref());
        if rule.is_none() {
            let title = format!("unknown rule `{}`", name.get_ref().escape_debug());
            let mistake = Mistake::at(name.span(), title, "no rule of that name");
            let known = || Rule::ALL.map(Rule::name);
            self.mistakes.push_near(mistake, name.get_ref(), known);
        }
        rule
    }

    fn bytes(&mut self, what: &str, size: &Text) -> Option<u64> {
        let bytes = bytes(size.get_ref());
        if bytes.is_none() {
            let title = format!("`{what}` is not a size");
            let label = "write it like `300 MB`, `1.5 GB` or `2 GiB`";
            self.mistakes.push(Mistake::at(size.span(), title, label));
        }
        bytes
    }

    /// Checks the waivers; `line` gives the line of a place in the file.
    pub(super) fn waivers(
        &mut self,
        raw: Vec<Placed<RawWaiver>>,
        scope: &Scope,
        line: impl Fn(&Span) -> usize,
    ) -> Vec<Waiver> {
        raw.into_iter()
            .filter_map(|raw| {
                let span = raw.span();
                self.waiver(raw.into_inner(), &span, line(&span), scope)
            })
            .collect()
    }

    fn waiver(
        &mut self,
        raw: RawWaiver,
        span: &Span,
        line: usize,
        scope: &Scope,
    ) -> Option<Waiver> {
        let mut missing = |what: &str, help: &str| {
            let title = format!("a waiver has no `{what}`");
            let mistake = Mistake::at(span.clone(), title, format!("`{what}` is missing"));
            self.mistakes.push(mistake.help(help));
        };
        if raw.rule.is_none() {
            missing("rule", "name the rule that is waived");
        }
        if raw
            .why
            .as_ref()
            .is_none_or(|why| why.get_ref().trim().is_empty())
        {
            missing("why", "say why the breach is accepted");
        }
        if raw.until.is_none() {
            missing(
                "until",
                "give the last day on which it holds, as 2027-01-31",
            );
        }
        let until = raw.until.and_then(|until| self.day(&until));
        let rule = raw.rule.and_then(|rule| self.named_rule(&rule));
        let stage = match raw.stage {
            Some(stage) => Some(self.known(stage, "stage", &scope.stages)?),
            None => None,
        };
        let path = match raw.path {
            Some(path) => Some(self.text("path", path, names::plain)?),
            None => None,
        };
        Some(Waiver {
            rule: rule?,
            stage,
            path,
            why: self.text("why", raw.why?, names::plain)?,
            until: until?,
            line,
        })
    }

    fn day(&mut self, until: &Placed<toml::value::Datetime>) -> Option<String> {
        let given = until.get_ref();
        match (given.date, given.time) {
            (Some(date), None) => Some(date.to_string()),
            _ => {
                let label = "write it like 2027-01-31";
                let mistake = Mistake::at(until.span(), "`until` is a day", label);
                self.mistakes.push(mistake);
                None
            }
        }
    }
}

/// A size in bytes: `1.5 GB`, `300MB`, `2 GiB`, `1024`.
fn bytes(text: &str) -> Option<u64> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(at.unwrap_or(text.len()));
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 9 {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    if fraction.is_empty() {
        return Some(whole).filter(|_| !number.ends_with('.'));
    }
    let parts = fraction.parse::<u64>().ok()?;
    let scale = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let rest = u128::from(parts) * u128::from(factor) / scale;
    whole.checked_add(u64::try_from(rest).ok()?)
}

/// A rule for text. The error says what is wrong with the text.
type NameRule = fn(&str) -> Result<(), String>;

/// Paths as archives have them: relative to the root of the image.
fn relative(paths: Vec<String>) -> Vec<String> {
    let relative = |path: String| path.trim_start_matches('/').to_owned();
    paths.into_iter().map(relative).collect()
}

fn port(text: &str) -> Result<(), String> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let is_port = number.parse::<u16>().is_ok_and(|number| number > 0);
    if is_port && matches!(protocol, "tcp" | "udp" | "sctp") {
        Ok(())
    } else {
        Err("is not a port: write it like `5001/tcp`".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units_and_nothing_else_is() {
        let cases = [
            ("1024", Some(1024)),
            ("1.5 GB", Some(1_500_000_000)),
            ("300MB", Some(300_000_000)),
            ("2 GiB", Some(2 << 30)),
            ("0.0000001 GB", Some(100)),
            ("1.", None),
            (".5 GB", None),
            ("-1 GB", None),
            ("5 TB", None),
            ("99999999999 GB", None),
            ("", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(bytes(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_waiver_holds_on_its_last_day() {
        let waiver = Waiver {
            rule: Rule::Root,
            stage: None,
            path: None,
            why: "x".into(),
            until: "2027-01-31".into(),
            line: 1,
        };
        assert!(!waiver.has_ended("2027-01-31"));
        assert!(waiver.has_ended("2027-02-01"));
    }

    #[test]
    fn every_rule_has_a_name_of_its_own() {
        for rule in Rule::ALL {
            assert_eq!(Rule::of_name(rule.name()), Some(rule));
        }
    }
}
