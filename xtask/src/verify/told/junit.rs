//! `JUnit` XML for CI systems: one suite for each stage, with a case for each rule, and one suite
//! for the probes.

use std::collections::{BTreeMap, BTreeSet};

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::graphfile::spec::policy::{Policy, Rule, Severity};
use crate::verify::finding::{Answer, Finding, ProbeOutcome, ToolOutcome};

/// The whole report. `policies` maps the verified stages to their policies.
pub fn junit(answer: &Answer, policies: &BTreeMap<&str, &Policy>) -> Result<String, String> {
    let mut report = Report::new("verify");
    for (stage, policy) in policies {
        let mut suite = TestSuite::new(*stage);
        let of_stage = || answer.findings.iter().filter(|one| one.stage == *stage);
        let looked_at = Rule::ALL.into_iter();
        let is_by_tools = |rule: &Rule| matches!(rule, Rule::Lint | Rule::Vulnerabilities);
        let looked_at =
            looked_at.filter(|rule| policy.severity(*rule) != Severity::Off && !is_by_tools(rule));
        let mut names: BTreeSet<&str> = looked_at.map(Rule::name).collect();
        names.extend(of_stage().map(|finding| finding.rule.text()));
        for name in names {
            let of_rule: Vec<&Finding> = of_stage()
                .filter(|finding| finding.rule.text() == name)
                .collect();
            suite.add_test_case(case(name, &of_rule));
        }
        report.add_test_suite(suite);
    }
    if !answer.tools.is_empty() {
        let mut suite = TestSuite::new("tools");
        for tool in &answer.tools {
            let status = match tool.outcome {
                ToolOutcome::Checked { .. } => TestCaseStatus::success(),
                ToolOutcome::NotChecked { .. } => TestCaseStatus::skipped(),
            };
            let mut case = TestCase::new(&tool.name, status);
            case.set_system_out(tool.sentence());
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    if !answer.probes.is_empty() {
        let mut suite = TestSuite::new("stack");
        for probe in &answer.probes {
            let status = match probe.outcome {
                ProbeOutcome::Passed => TestCaseStatus::success(),
                ProbeOutcome::Failed => failure(&probe.message),
                ProbeOutcome::NotChecked => TestCaseStatus::skipped(),
            };
            let name = format!("{} {}", probe.service, probe.kind);
            let mut case = TestCase::new(name, status);
            case.set_system_out(&probe.message);
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    report.to_string().map_err(|why| why.to_string())
}

/// The case of a rule. A denying finding fails it; warnings and waived findings are its output.
fn case(name: &str, findings: &[&Finding]) -> TestCase {
    let line = |finding: &&Finding| {
        let (message, place) = (&finding.message, finding.place());
        format!("{message} ({place}): {}", finding.remedy)
    };
    let (denied, others): (Vec<&Finding>, Vec<&Finding>) =
        findings.iter().partition(|finding| finding.denies());
    let text = |findings: &[&Finding]| findings.iter().map(line).collect::<Vec<_>>().join("\n");
    let status = match denied.first() {
        None => TestCaseStatus::success(),
        Some(first) => {
            let mut status = failure(&first.message);
            status.set_description(text(&denied));
            status
        }
    };
    let mut case = TestCase::new(name, status);
    if !others.is_empty() {
        case.set_system_out(text(&others));
    }
    case
}

fn failure(message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(message);
    status
}
