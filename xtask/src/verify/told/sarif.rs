//! SARIF 2.1.0 (docs.oasis-open.org/sarif), which code hosts show beside the code.
//!
//! A finding without a line of a Dockerfile has only a logical location, such as its path in the
//! image.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::graphfile::spec::policy::Severity;
use crate::verify::finding::{Answer, Finding};

/// The whole log. `dockerfiles` maps stages to their Dockerfiles, relative to the checkout.
pub fn sarif(answer: &Answer, dockerfiles: &BTreeMap<&str, String>) -> Value {
    let rules: BTreeSet<&str> = answer.findings.iter().map(|one| one.rule.text()).collect();
    let results = answer.findings.iter();
    let results: Vec<Value> = results
        .map(|finding| result(finding, dockerfiles.get(finding.stage.as_str())))
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "xtask",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|name| json!({ "id": name })).collect::<Vec<_>>(),
            }},
            "results": results,
        }],
    })
}

fn result(finding: &Finding, dockerfile: Option<&String>) -> Value {
    let level = match finding.severity {
        Severity::Deny => "error",
        Severity::Warn => "warning",
        Severity::Off => "none",
    };
    let message = format!("{}: {}", finding.message, finding.remedy);
    let mut location = json!({
        "logicalLocations": [{
            "fullyQualifiedName": finding.place(),
            "kind": "resource",
        }],
    });
    if let (Some(line), Some(file)) = (finding.line, dockerfile) {
        location["physicalLocation"] = json!({
            "artifactLocation": { "uri": file },
            "region": { "startLine": line },
        });
    }
    let mut result = json!({
        "ruleId": finding.rule.text(),
        "level": level,
        "message": { "text": message },
        "locations": [location],
        "properties": { "stage": finding.stage, "image": finding.image, "layer": finding.layer },
    });
    if let Some(waived) = &finding.waived {
        result["suppressions"] = json!([{
            "kind": "inSource",
            "justification": format!("{} (until {})", waived.why, waived.until),
        }]);
    }
    result
}
