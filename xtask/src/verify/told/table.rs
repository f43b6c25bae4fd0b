//! The table at the end of a verification.
//!
//! Each breach has a row with the rule, the stage and the place; below it stand what is wrong and
//! what to do. Breaches of one rule in one stage with the same text share one row, with their
//! number.

use std::fmt::Write as _;

use crate::graphfile::spec::policy::Severity;
use crate::report::words;
use crate::verify::finding::{Answer, AnswerOutcome, Finding, ProbeOutcome};

/// How many places of one breach are shown.
const PLACES: usize = 5;

/// The whole table as text.
pub fn table(answer: &Answer) -> String {
    let mut out = String::new();
    let groups = groups(&answer.findings);
    let width = |part: fn(&Finding) -> usize| groups.iter().map(|group| part(group[0])).max();
    let rules = width(|finding| finding.rule.text().len()).unwrap_or(0);
    let stages = width(|finding| finding.stage.len()).unwrap_or(0);
    for group in &groups {
        let first = group[0];
        let severity = match (&first.waived, first.severity) {
            (Some(_), _) => "waived",
            (None, Severity::Deny) => "deny",
            (None, _) => "warn",
        };
        let (rule, stage) = (first.rule.text(), &first.stage);
        let _ = writeln!(
            out,
            "{severity:6}  {rule:rules$}  {stage:stages$}  {}",
            first.message
        );
        for finding in group.iter().take(PLACES) {
            let _ = writeln!(out, "        at {}", finding.place());
        }
        if group.len() > PLACES {
            let _ = writeln!(out, "        and at {} more", group.len() - PLACES);
        }
        match &first.waived {
            Some(waived) => {
                let _ = writeln!(out, "        until {}: {}", waived.until, waived.why);
            }
            None => {
                let _ = writeln!(out, "        to do: {}", first.remedy);
            }
        }
    }
    // Failed probes first: readers look for the cause there.
    let mut probes: Vec<_> = answer.probes.iter().collect();
    probes.sort_by_key(|probe| match probe.outcome {
        ProbeOutcome::Failed => 0,
        ProbeOutcome::NotChecked => 1,
        ProbeOutcome::Passed => 2,
    });
    for probe in probes {
        let word = match probe.outcome {
            ProbeOutcome::Passed => "passed",
            ProbeOutcome::Failed => "failed",
            ProbeOutcome::NotChecked => "not checked",
        };
        let (service, kind) = (&probe.service, &probe.kind);
        let _ = writeln!(out, "{word:6}  {kind}  {service}  {}", probe.message);
    }
    for tool in &answer.tools {
        let _ = writeln!(out, "{}", tool.sentence());
    }
    let _ = writeln!(out, "{}", last_line(answer));
    out
}

/// Findings of one rule and stage with the same text, in their order.
fn groups(findings: &[Finding]) -> Vec<Vec<&Finding>> {
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    for finding in findings {
        let is_of = |group: &&mut Vec<&Finding>| {
            let first = group[0];
            (&first.rule, &first.stage, &first.message, &first.waived)
                == (
                    &finding.rule,
                    &finding.stage,
                    &finding.message,
                    &finding.waived,
                )
        };
        match groups.iter_mut().find(is_of) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    groups
}

/// The outcome in one line.
pub fn last_line(answer: &Answer) -> String {
    let counts = answer.counts();
    let of = |severity| counts.get(&severity).copied().unwrap_or(0);
    let failed = |wanted| {
        let probes = answer.probes.iter();
        probes.filter(|probe| probe.outcome == wanted).count()
    };
    let mut parts = Vec::new();
    let mut add = |number: usize, what: &str| {
        if number > 0 {
            parts.push(words::count(number, what));
        }
    };
    add(of(Severity::Deny), "denial");
    add(of(Severity::Warn), "warning");
    add(failed(ProbeOutcome::Failed), "failed probe");
    add(failed(ProbeOutcome::NotChecked), "unchecked probe");
    let word = match answer.outcome {
        AnswerOutcome::Passed => "verified",
        AnswerOutcome::Failed => "not verified",
        AnswerOutcome::Incomplete => "not verified, as not everything was checked",
    };
    if parts.is_empty() {
        word.to_owned()
    } else {
        format!("{word}: {}", parts.join(", "))
    }
}
