//! BuildKit's own checks of Dockerfiles (docs.docker.com/build/checks). They need buildx 0.15 and
//! the BuildKit of Docker 27, or later. They build nothing.

use std::process::Command;

use serde::Deserialize;

use super::{Answer, LookedForTool, ToolFinding, call};
use crate::graphfile::spec::policy::Rule;
use crate::outside::interrupt::Interrupt;

/// What `--call=check,format=json` prints (moby/buildkit `frontend/subrequests/lint`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    #[serde(default)]
    warnings: Option<Vec<Warning>>,
    /// Why BuildKit could not check at all.
    #[serde(default)]
    build_error: Option<BuildError>,
}

#[derive(Deserialize)]
struct BuildError {
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Warning {
    rule_name: String,
    #[serde(default)]
    url: String,
    detail: String,
    #[serde(default)]
    location: Location,
}

#[derive(Default, Deserialize)]
struct Location {
    #[serde(default)]
    ranges: Vec<Range>,
}

#[derive(Deserialize)]
struct Range {
    start: Position,
}

#[derive(Deserialize)]
struct Position {
    line: usize,
}

pub(super) fn ask(stage: &LookedForTool<'_>, interrupt: &Interrupt) -> Answer {
    let failed = |error: std::io::Error| format!("it cannot be run: {error}");
    let nothing = tempfile::tempdir().map_err(failed)?;
    let mut command = Command::new("docker");
    command.args(stage.question);
    command.args(["--call=check,format=json", "--"]);
    command.arg(nothing.path());
    let said = call::output(&mut command, interrupt).map_err(|why| {
        let is_old = why.contains("unknown flag") || why.contains("unsupported");
        if is_old {
            "it needs buildx 0.15 and Docker 27, or later".to_owned()
        } else {
            why
        }
    })?;
    let version = version(interrupt)?;
    read(&said).map(|found| (version, found))
}

/// The second word of the output of `docker buildx version`.
fn version(interrupt: &Interrupt) -> Result<String, String> {
    let said = call::output(
        Command::new("docker").args(["buildx", "version"]),
        interrupt,
    )?;
    let text = String::from_utf8_lossy(&said);
    let mut words = text.split_whitespace().skip(1);
    words
        .next()
        .map(str::to_owned)
        .ok_or("buildx has no version".into())
}

fn read(said: &[u8]) -> Result<Vec<ToolFinding>, String> {
    let said: Said = serde_json::from_slice(said)
        .map_err(|error| format!("its answer cannot be read: {error}"))?;
    // BuildKit asks most rules after it has resolved the bases.
    if let Some(error) = said.build_error {
        return Err(format!("it could not check everything: {}", error.message));
    }
    let found = said.warnings.into_iter().flatten().map(|one| ToolFinding {
        rule: Rule::Lint,
        name: format!("buildx/{}", one.rule_name),
        line: one.location.ranges.first().map(|range| range.start.line),
        message: one.detail,
        remedy: format!("see {}", one.url.trim_start_matches("https://")),
    });
    Ok(found.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_read_with_their_lines() {
        let said = r#"{"warnings":[{"ruleName":"JSONArgsRecommended","description":"d",
            "url":"https://docs.docker.com/go/dockerfile/rule/json-args-recommended/","detail":"JSON arguments recommended",
            "location":{"sourceIndex":0,"ranges":[{"start":{"line":3,"character":0},"end":{"line":3,"character":8}}]}}],"sources":[]}"#;
        let found = read(said.as_bytes()).unwrap();
        assert_eq!(found[0].name, "buildx/JSONArgsRecommended");
        assert_eq!(found[0].line, Some(3));
        assert_eq!(read(br#"{"sources":[]}"#).unwrap(), []);
        assert!(read(b"Check complete").is_err());
        let half = r#"{"warnings":[],"buildError":{"message":"bb: failed to resolve source metadata","location":{}}}"#;
        assert!(read(half.as_bytes()).unwrap_err().contains("bb: failed"));
    }
}
