//! What was verified.

use maud::{Markup, html};

use super::parts::{Column, badge, table, text};
use crate::page::Material;
use crate::page::evidence::ShownVerification;
use crate::report::words;
use crate::verify::finding::{AnswerOutcome, Finding, ProbeOutcome};

/// How many findings of a verification are listed.
const FINDINGS: usize = 100;

pub(super) fn section(material: &Material<'_>) -> Markup {
    let evidence = &material.evidence;
    let rows = evidence.notes.iter().map(|(stage, noted)| {
        let word = word(noted.outcome);
        let turn = material.run.turns.iter().find(|turn| turn.stage == *stage);
        vec![
            text(stage),
            badge(word),
            text(match noted.parts.as_str() {
                "policy" => "the policy",
                "stack" => "the stack",
                _ => "the policy and the stack",
            }),
            text(&noted.at),
            text(noted.ends.as_deref().unwrap_or("")),
            html! {
                @if turn.is_some_and(|turn| turn.image.as_ref().is_some_and(|it| *it != noted.image)) {
                    "an image before this build's, or known by another digest"
                }
            },
        ]
    });
    let columns = [
        Column::Text("stage"),
        Column::Text("outcome"),
        Column::Text("asked"),
        Column::Text("when"),
        Column::Text("last day"),
        Column::Text("of"),
    ];
    let verify = material.call.command("verify");
    html! {
        h2 #verification { "Verification" }
        @if evidence.notes.is_empty() {
            p { "None of these stages was verified yet. " code { (verify) } " holds their images against the policy and tries them as a stack." }
        } @else {
            (table("How the last verification of each stage ended", &columns, &rows.collect::<Vec<_>>()))
        }
        @for (number, one) in evidence.verifications.iter().enumerate() { (verification(number + 1, one)) }
    }
}

fn verification(number: usize, one: &ShownVerification) -> Markup {
    let name = format!("verification {number}");
    let subjects = one
        .subjects
        .iter()
        .map(|(name, digest)| vec![text(name), html! { code { "sha256:" (digest) } }]);
    let findings = one.answer.findings.iter().take(FINDINGS).map(finding);
    let probes = one.answer.probes.iter().map(|probe| {
        let word = match probe.outcome {
            ProbeOutcome::Passed => "passed",
            ProbeOutcome::Failed => "failed",
            ProbeOutcome::NotChecked => "not checked",
        };
        vec![
            text(&probe.service),
            text(&probe.kind),
            badge(word),
            text(&probe.message),
        ]
    });
    let of_subjects = [Column::Text("image"), Column::Long("digest")];
    let of_findings = [
        Column::Text("stage"),
        Column::Text("rule"),
        Column::Text("severity"),
        Column::Long("finding"),
        Column::Long("waiver"),
    ];
    let of_probes = [
        Column::Text("service"),
        Column::Text("probe"),
        Column::Text("outcome"),
        Column::Long("answer"),
    ];
    html! {
        h3 { "Verification " (number) ", at " (one.at) ": " (word(one.answer.outcome)) }
        p {
            (words::count(one.subjects.len(), "image")) " took part."
            @if let Some(statement) = &one.statement {
                " Statement " code { (statement.digest) }
                @match &statement.ends { Some(end) => { ", which holds until " (end) } None => "" } "."
            }
        }
        (table(&format!("Images of {name}"), &of_subjects, &subjects.collect::<Vec<_>>()))
        @if !one.answer.findings.is_empty() {
            (table(&format!("Findings of {name}"), &of_findings, &findings.collect::<Vec<_>>()))
            @let more = one.answer.findings.len().saturating_sub(FINDINGS);
            @if more > 0 { p.muted { (words::count(more, "further finding")) } }
        }
        @if !one.answer.probes.is_empty() {
            (table(&format!("Probes of {name}"), &of_probes, &probes.collect::<Vec<_>>()))
        }
        @if !one.answer.tools.is_empty() {
            ul { @for tool in &one.answer.tools { li { (tool.sentence()) } } }
        }
    }
}

fn finding(finding: &Finding) -> Vec<Markup> {
    vec![
        text(&finding.stage),
        html! { code { (finding.rule.text()) } },
        html! { (severity(finding)) },
        html! {
            (finding.message)
            @if let Some(path) = &finding.path { " " code { "/" (path) } }
        },
        html! {
            @if let Some(waived) = &finding.waived { (waived.why) " (until " (waived.until) ")" }
        },
    ]
}

const fn word(outcome: AnswerOutcome) -> &'static str {
    match outcome {
        AnswerOutcome::Passed => "passed",
        AnswerOutcome::Failed => "failed",
        AnswerOutcome::Incomplete => "incomplete",
    }
}

/// The word of a severity, as JSON has it.
fn severity(finding: &Finding) -> String {
    let word = serde_json::to_value(finding.severity).ok();
    let word = word.and_then(|word| Some(word.as_str()?.to_owned()));
    word.unwrap_or_default()
}
