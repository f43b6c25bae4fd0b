//! Scanners for known vulnerabilities: grype or trivy, with the database that is on this machine.
//!
//! Only critical and high vulnerabilities are reported, in one finding for each package.

use std::collections::BTreeMap;
use std::process::Command;

use serde::Deserialize;

use super::{Answer, LookedForTool, ToolFinding, call};
use crate::graphfile::spec::policy::Rule;
use crate::outside::interrupt::Interrupt;
use crate::setup::tools::on_path;

pub(super) fn ask(stage: &LookedForTool<'_>, interrupt: &Interrupt) -> Answer {
    let image = stage.image;
    if on_path("grype").is_some() {
        let mut command = Command::new("grype");
        command
            .args(["--output", "json", "--quiet"])
            .arg(format!("docker:{image}"));
        // The scanner must not use the network.
        for name in [
            "GRYPE_DB_AUTO_UPDATE",
            "GRYPE_CHECK_FOR_APP_UPDATE",
            "GRYPE_DB_VALIDATE_AGE",
        ] {
            command.env(name, "false");
        }
        let said = call::output(&mut command, interrupt)?;
        let version = call::version("grype", interrupt)?;
        return of_grype(&said).map(|found| (format!("grype {version}"), found));
    }
    if on_path("trivy").is_some() {
        let mut command = Command::new("trivy");
        command.args(["image", "--format", "json", "--quiet", "--scanners", "vuln"]);
        command.args(["--image-src", "docker", "--offline-scan"]);
        command.args([
            "--skip-db-update",
            "--skip-java-db-update",
            "--skip-version-check",
        ]);
        command.arg(image);
        let said = call::output(&mut command, interrupt)?;
        let version = call::version("trivy", interrupt)?;
        return of_trivy(&said).map(|found| (format!("trivy {version}"), found));
    }
    Err("neither is on this machine".into())
}

/// One vulnerability of one package.
struct Known {
    package: String,
    version: String,
    id: String,
    severity: String,
    fixed: Option<String>,
}

fn found(tool: &str, all: impl Iterator<Item = Known>) -> Vec<ToolFinding> {
    let mut packages: BTreeMap<(String, String), Vec<Known>> = BTreeMap::new();
    for known in all {
        let is_told = ["critical", "high"].contains(&known.severity.to_lowercase().as_str());
        if is_told {
            let package = (known.package.clone(), known.version.clone());
            packages.entry(package).or_default().push(known);
        }
    }
    let told = packages.into_iter().map(|((package, version), mut known)| {
        known.sort_by(|a, b| a.id.cmp(&b.id));
        known.dedup_by(|a, b| a.id == b.id);
        let ids: Vec<&str> = known.iter().map(|one| one.id.as_str()).collect();
        let fixed = known.iter().filter_map(|one| one.fixed.as_deref());
        let fixed: Vec<&str> = fixed.collect();
        ToolFinding {
            rule: Rule::Vulnerabilities,
            name: format!("{tool}/{package}"),
            line: None,
            message: format!("{package} {version} has {}", ids.join(", ")),
            remedy: match fixed.last() {
                Some(fixed) => format!("build on a newer base, or install {package} {fixed}"),
                None => "no release fixes it yet: leave the package out, or waive it until a day"
                    .to_owned(),
            },
        }
    });
    told.collect()
}

#[derive(Deserialize)]
struct Grype {
    matches: Vec<Match>,
}

#[derive(Deserialize)]
struct Match {
    vulnerability: Vulnerability,
    artifact: Artifact,
}

#[derive(Deserialize)]
struct Vulnerability {
    id: String,
    severity: String,
    #[serde(default)]
    fix: Fix,
}

#[derive(Default, Deserialize)]
struct Fix {
    #[serde(default)]
    versions: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Artifact {
    name: String,
    version: String,
}

fn of_grype(said: &[u8]) -> Result<Vec<ToolFinding>, String> {
    let said: Grype = serde_json::from_slice(said)
        .map_err(|error| format!("grype's answer cannot be read: {error}"))?;
    let all = said.matches.into_iter().map(|one| Known {
        package: one.artifact.name,
        version: one.artifact.version,
        id: one.vulnerability.id,
        severity: one.vulnerability.severity,
        fixed: one
            .vulnerability
            .fix
            .versions
            .and_then(|all| all.into_iter().next()),
    });
    Ok(found("grype", all))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Trivy {
    #[serde(default)]
    results: Vec<TrivyResult>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TrivyResult {
    #[serde(default)]
    vulnerabilities: Vec<TrivyVulnerability>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TrivyVulnerability {
    #[serde(rename = "VulnerabilityID")]
    id: String,
    pkg_name: String,
    installed_version: String,
    #[serde(default)]
    fixed_version: Option<String>,
    severity: String,
}

fn of_trivy(said: &[u8]) -> Result<Vec<ToolFinding>, String> {
    let said: Trivy = serde_json::from_slice(said)
        .map_err(|error| format!("trivy's answer cannot be read: {error}"))?;
    let all = said
        .results
        .into_iter()
        .flat_map(|result| result.vulnerabilities);
    let all = all.map(|one| Known {
        package: one.pkg_name,
        version: one.installed_version,
        id: one.id,
        severity: one.severity,
        fixed: one.fixed_version.filter(|version| !version.is_empty()),
    });
    Ok(found("trivy", all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_answers_are_read_and_what_is_low_is_left_out() {
        let grype = r#"{"matches":[
            {"vulnerability":{"id":"CVE-2","severity":"Critical","fix":{"versions":["3.0.2"],"state":"fixed"}},"artifact":{"name":"openssl","version":"3.0.1"}},
            {"vulnerability":{"id":"CVE-1","severity":"High","fix":{"versions":[],"state":"wont-fix"}},"artifact":{"name":"openssl","version":"3.0.1"}},
            {"vulnerability":{"id":"CVE-3","severity":"Low","fix":{}},"artifact":{"name":"zlib","version":"1"}}],
            "descriptor":{"name":"grype","version":"0.104.0"}}"#;
        let found = of_grype(grype.as_bytes()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].message, "openssl 3.0.1 has CVE-1, CVE-2");
        assert!(found[0].remedy.contains("3.0.2"), "{}", found[0].remedy);
        let trivy = r#"{"SchemaVersion":2,"Results":[{"Target":"x"},{"Target":"y","Vulnerabilities":[
            {"VulnerabilityID":"CVE-1","PkgName":"openssl","InstalledVersion":"3.0.1","Severity":"HIGH"},
            {"VulnerabilityID":"CVE-9","PkgName":"zlib","InstalledVersion":"1","Severity":"MEDIUM"}]}]}"#;
        let found = of_trivy(trivy.as_bytes()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "trivy/openssl");
        assert!(of_trivy(b"FATAL").is_err() && of_grype(b"").is_err());
    }
}
