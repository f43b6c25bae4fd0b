//! Asks outside tools that are installed on this machine. They are never required and never
//! downloaded.
//!
//! Each is called without the network. A tool that is missing, or that cannot answer, is "not
//! checked", which is never "passed".

mod call;
mod check;
mod hadolint;
mod scanner;

use camino::Utf8Path;

use crate::graphfile::spec::policy::Rule;
use crate::outside::interrupt::Interrupt;
use crate::setup::tools::on_path;
use crate::verify::finding::{Tool, ToolOutcome};

/// A finding of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolFinding {
    /// The rule that decides its severity.
    pub rule: Rule,
    /// The tool's own name for it: `hadolint/DL3008`.
    pub name: String,
    /// The line of the Dockerfile.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// One stage, as the tools need it.
pub struct LookedForTool<'s> {
    /// The whole path of its Dockerfile.
    pub dockerfile: &'s Utf8Path,
    /// The arguments that make buildx read the Dockerfile as the build does. They name no outputs.
    pub question: &'s [String],
    /// The image's id.
    pub image: &'s str,
    /// Whether the Dockerfile is to be checked, and whether known vulnerabilities are looked for.
    pub wants: (bool, bool),
}

/// The tools that are on this machine. The findings depend on them.
pub fn present() -> Vec<&'static str> {
    let all = ["hadolint", "grype", "trivy"];
    all.into_iter()
        .filter(|name| on_path(name).is_some())
        .collect()
}

/// Whether a scanner is on this machine. Its answer depends on its database, so it holds for a day.
pub fn has_scanner() -> bool {
    present().iter().any(|name| *name != "hadolint")
}

/// Asks every tool about every stage. Returns the findings, each with the position of its stage,
/// and the outcome of each tool.
pub fn run(
    stages: &[LookedForTool<'_>],
    interrupt: &Interrupt,
) -> (Vec<(usize, ToolFinding)>, Vec<Tool>) {
    let mut found = Vec::new();
    let mut told = Vec::new();
    let of_dockerfile = |stage: &LookedForTool<'_>| stage.wants.0;
    let of_image = |stage: &LookedForTool<'_>| stage.wants.1;
    let mut ask = |tool: &str, wants: &dyn Fn(&LookedForTool<'_>) -> bool, ask: &Ask<'_>| {
        let wanted: Vec<(usize, &LookedForTool<'_>)> = stages
            .iter()
            .enumerate()
            .filter(|(_, stage)| wants(stage))
            .collect();
        if wanted.is_empty() {
            return;
        }
        let (all, outcome) = each(&wanted, ask);
        found.extend(all);
        told.push(Tool {
            name: tool.to_owned(),
            outcome,
        });
    };
    ask("buildx check", &of_dockerfile, &|stage| {
        check::ask(stage, interrupt)
    });
    ask("hadolint", &of_dockerfile, &|stage| {
        hadolint::ask(stage, interrupt)
    });
    ask("grype or trivy", &of_image, &|stage| {
        scanner::ask(stage, interrupt)
    });
    (found, told)
}

/// A tool's answer about one stage: its version and its findings, or why there is no answer.
type Answer = Result<(String, Vec<ToolFinding>), String>;
type Ask<'a> = dyn Fn(&LookedForTool<'_>) -> Answer + 'a;

/// Asks a tool about each stage. If one stage gets no answer, the tool counts as not checked.
fn each(
    wanted: &[(usize, &LookedForTool<'_>)],
    ask: &Ask<'_>,
) -> (Vec<(usize, ToolFinding)>, ToolOutcome) {
    let mut all = Vec::new();
    let mut version = String::new();
    for (place, stage) in wanted {
        match ask(stage) {
            Ok((own, found)) => {
                version = own;
                all.extend(found.into_iter().map(|found| (*place, found)));
            }
            Err(why) => return (Vec::new(), ToolOutcome::NotChecked { why }),
        }
    }
    (all, ToolOutcome::Checked { version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_an_answer_is_none() {
        let stage = |image| LookedForTool {
            dockerfile: "Dockerfile".into(),
            question: &[],
            image,
            wants: (true, true),
        };
        let (first, second) = (stage("1"), stage("2"));
        let find = || ToolFinding {
            rule: Rule::Lint,
            name: "x/1".into(),
            line: None,
            message: "m".into(),
            remedy: "r".into(),
        };
        let wanted = [(0, &first), (1, &second)];
        let ask = |stage: &LookedForTool<'_>| match stage.image {
            "1" => Ok(("1.0".to_owned(), vec![find()])),
            _ => Err("it has no database".to_owned()),
        };
        let (all, outcome) = each(&wanted, &ask);
        assert!(all.is_empty());
        let why = "it has no database".to_owned();
        assert_eq!(outcome, ToolOutcome::NotChecked { why });
        let (all, outcome) = each(&wanted[..1], &ask);
        assert_eq!(all, [(0, find())]);
        let version = "1.0".to_owned();
        assert_eq!(outcome, ToolOutcome::Checked { version });
    }
}
