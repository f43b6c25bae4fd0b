//! hadolint (github.com/hadolint/hadolint), a linter for Dockerfiles.

use std::process::Command;

use serde::Deserialize;

use super::{Answer, LookedForTool, ToolFinding, call};
use crate::graphfile::spec::policy::Rule;
use crate::outside::interrupt::Interrupt;
use crate::setup::tools::on_path;

#[derive(Deserialize)]
struct Said {
    code: String,
    level: String,
    line: usize,
    message: String,
}

pub(super) fn ask(stage: &LookedForTool<'_>, interrupt: &Interrupt) -> Answer {
    if on_path("hadolint").is_none() {
        return Err("it is not on this machine".into());
    }
    let version = call::version("hadolint", interrupt)?;
    let mut command = Command::new("hadolint");
    command.args(["--no-fail", "--no-color", "--format", "json"]);
    command.arg(stage.dockerfile);
    // hadolint looks for its configuration in the folder where it is started.
    command.current_dir(stage.dockerfile.parent().unwrap_or(stage.dockerfile));
    let said = call::output(&mut command, interrupt)?;
    read(&said).map(|found| (version, found))
}

fn read(said: &[u8]) -> Result<Vec<ToolFinding>, String> {
    let said: Vec<Said> = serde_json::from_slice(said)
        .map_err(|error| format!("its answer is not a list: {error}"))?;
    // Matters of style alone are left out.
    let said = said
        .into_iter()
        .filter(|one| matches!(&*one.level, "error" | "warning"));
    let found = said.map(|one| ToolFinding {
        rule: Rule::Lint,
        name: format!("hadolint/{}", one.code),
        line: Some(one.line).filter(|line| *line > 0),
        remedy: format!("see github.com/hadolint/hadolint/wiki/{}", one.code),
        message: one.message,
    });
    Ok(found.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The output is that of version 2.15.1.
    #[test]
    fn warnings_are_read_and_style_is_not() {
        let said = r#"[{"code":"DL3006","column":1,"file":"Dockerfile","level":"warning","line":1,"message":"Always tag"},
            {"code":"DL3015","column":1,"file":"Dockerfile","level":"info","line":2,"message":"Avoid"}]"#;
        let found = read(said.as_bytes()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "hadolint/DL3006");
        assert_eq!(found[0].line, Some(1));
        assert!(read(b"Dockerfile:1 bad").is_err());
    }
}
