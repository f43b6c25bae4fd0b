//! Annotations and a job summary for GitHub Actions.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::table::last_line;
use crate::graphfile::spec::policy::Severity;
use crate::shown::actions::Mark;
use crate::verify::finding::Answer;

/// A job shows at most this many annotations of a kind from one step.
const MOST: usize = 10;

/// The most bytes of a summary. GitHub's limit for a step is 1 MiB.
const LONGEST: usize = 1_000_000;

/// One workflow command for each finding without a waiver. `dockerfiles` maps stages to their
/// Dockerfiles, relative to the checkout.
pub fn annotations(answer: &Answer, dockerfiles: &BTreeMap<&str, String>) -> String {
    let mut out = String::new();
    for severity in [Severity::Deny, Severity::Warn] {
        let findings = answer.findings.iter();
        let of_kind = findings.filter(|one| one.severity == severity && one.waived.is_none());
        for finding in of_kind.take(MOST) {
            let title = format!("{} in {}", finding.rule.text(), finding.stage);
            let mark = match severity {
                Severity::Deny => Mark::error(&title),
                _ => Mark::warning(&title),
            };
            let mark = match (finding.line, dockerfiles.get(finding.stage.as_str())) {
                (Some(line), Some(file)) => {
                    mark.at(Path::new(""), Path::new(file), u32::try_from(line).ok())
                }
                _ => mark,
            };
            let told = mark.line(&format!(
                "{} ({}): {}",
                finding.message,
                finding.place(),
                finding.remedy
            ));
            let _ = writeln!(out, "{told}");
        }
    }
    out
}

/// A Markdown table for the job's page.
pub fn summary(answer: &Answer) -> String {
    let mut out = format!("### Verify: {}\n", last_line(answer));
    if !answer.findings.is_empty() {
        out.push_str("\n| | rule | stage | where | what to do |\n|---|---|---|---|---|\n");
    }
    for finding in &answer.findings {
        let mark = match (&finding.waived, finding.severity) {
            (Some(_), _) => "waived",
            (None, Severity::Deny) => "**deny**",
            (None, _) => "warn",
        };
        let row = format!(
            "| {mark} | {} | {} | {} | {}: {} |\n",
            cell(finding.rule.text()),
            cell(&finding.stage),
            cell(&finding.place()),
            cell(&finding.message),
            cell(&finding.remedy)
        );
        if out.len() + row.len() > LONGEST {
            out.push_str("\nMore were found: see the step's own output.\n");
            break;
        }
        out.push_str(&row);
    }
    out
}

fn cell(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('|', "\\|")
        .replace(['\n', '\r'], " ")
        .replace('<', "&lt;")
}
