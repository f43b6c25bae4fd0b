//! Tools that people already use, where they are on this machine: never required, never downloaded.
//!
//! Knows how each is called without the network, and what its answer means. A tool that is not
//! there, or cannot answer, is "not checked", which is never "passed". Is unaware of severities.

mod call;
mod check;
mod hadolint;
mod scanner;

use camino::Utf8Path;

use crate::graphfile::spec::policy::Rule;
use crate::outside::interrupt::Interrupt;
use crate::setup::tools::on_path;
use crate::verify::finding::{Tool, ToolOutcome};

/// What a tool found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolFinding {
    /// The rule that its severity follows.
    pub rule: Rule,
    /// `hadolint/DL3008`.
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
    /// What buildx is given to read the Dockerfile as the build did: the call without what it makes.
    pub question: &'s [String],
    /// The image's id.
    pub image: &'s str,
    /// Whether anybody wants to know of the Dockerfile, and of known vulnerabilities.
    pub wants: (bool, bool),
}

/// Those that are on this machine; what is found hangs on that.
pub fn present() -> Vec<&'static str> {
    let all = ["hadolint", "grype", "trivy"];
    all.into_iter()
        .filter(|name| on_path(name).is_some())
        .collect()
}

/// Whether there is a scanner: its answer hangs on its database, so it holds for a day.
pub fn has_scanner() -> bool {
    present().iter().any(|name| *name != "hadolint")
}

/// Asks every tool about every stage: what each found, by the stage's place, and what became of each.
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

/// What a tool says of one stage: its version and its finds, or why there is no answer.
type Answer = Result<(String, Vec<ToolFinding>), String>;
type Ask<'a> = dyn Fn(&LookedForTool<'_>) -> Answer + 'a;

/// The first stage that a tool has no answer for ends it: half an answer is none.
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
