//! Runs the steps of a GitHub workflow as plain commands, as a runner would.
//!
//! Steps that use an action, and those that fetch or compile the program, are left out: the program
//! is there. A variable of a step comes from an expression, whose value the test gives.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Ran, process};

/// The steps that a test takes care of itself.
const LEFT_OUT: [&str; 2] = ["Compile the tool", "Find the tool"];

/// A workflow, read from its file.
pub struct Workflow(pub Value);

impl Workflow {
    pub fn of(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap();
        Self(serde_saphyr::from_str(&text).unwrap())
    }

    /// The steps of a job.
    pub fn steps(&self, job: &str) -> &[Value] {
        let steps = self.0["jobs"][job]["steps"].as_array();
        steps.unwrap_or_else(|| panic!("no job {job}"))
    }

    /// Runs the steps of a job, until one fails. Gives the last one's streams, and the outputs.
    pub fn run(&self, job: &str, machine: &Machine) -> (Ran, BTreeMap<String, String>) {
        let output = machine.checkout.join(".git/output");
        std::fs::write(&output, "").unwrap();
        let mut last = None;
        for step in self.steps(job) {
            let (Some(script), Some(name)) = (step["run"].as_str(), step["name"].as_str()) else {
                continue;
            };
            if LEFT_OUT.contains(&name) {
                continue;
            }
            let is_met = match step["if"].as_str() {
                None => true,
                Some("github.event_name == 'push'") => machine.is_push,
                Some("matrix.emulated") => false,
                Some(other) => panic!("{name}: {other}"),
            };
            if !is_met {
                continue;
            }
            let mut command = machine.command(script);
            command.env("GITHUB_OUTPUT", &output);
            for variables in [&self.0["env"], &step["env"]] {
                for (name, value) in variables.as_object().into_iter().flatten() {
                    command.env(name, machine.expanded(value.as_str().unwrap()));
                }
            }
            let ran = Ran::of(process::ended(&mut command).unwrap());
            let has_failed = ran.status != 0;
            last = Some(ran);
            if has_failed {
                break;
            }
        }
        let text = std::fs::read_to_string(output).unwrap();
        let lines = text.lines().map(|line| line.split_once('=').unwrap());
        let outputs = lines.map(|(name, value)| (name.to_owned(), value.to_owned()));
        (last.unwrap(), outputs.collect())
    }
}

/// A machine on which a job runs.
pub struct Machine {
    /// The checkout, in which the steps run.
    pub checkout: PathBuf,
    /// Whether the run is of a push, and not of a pull request.
    pub is_push: bool,
    /// The environment of the runner.
    pub environment: BTreeMap<String, String>,
    /// The values of expressions. One that is not there must not be asked for.
    pub values: BTreeMap<String, String>,
}

impl Machine {
    fn command(&self, script: &str) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_xtask")).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new("bash");
        command
            .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script])
            .current_dir(&self.checkout)
            .env("PATH", format!("{}:{path}", program.display()))
            .envs(&self.environment);
        command
    }

    /// A text with the values of its expressions.
    fn expanded(&self, text: &str) -> String {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${{") {
            let (expression, behind) = after.split_once("}}").unwrap();
            let value = self.values.get(expression.trim());
            expanded += before;
            expanded += value.unwrap_or_else(|| panic!("{expression} is asked for"));
            rest = behind;
        }
        expanded + rest
    }
}
