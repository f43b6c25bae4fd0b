//! `cargo xtask setup`: checks what this machine lacks, and installs and starts it.

use std::fmt::Write as _;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::consent;
use crate::cli;
use crate::fault::{Class, Fault, Result};
use crate::graphfile::base_override;
use crate::graphfile::call::Call;
use crate::outside::interrupt::Interrupt;
use crate::setup::apply::apply;
use crate::setup::check::check;
use crate::setup::facts::Facts;
use crate::setup::finding::{Level, MachineFinding};
use crate::setup::gather::{self, Reaching, gather};
use crate::setup::needs::Needs;
use crate::setup::plan::{SetupPlan, plan as make_plan};

/// What `--check --json` prints.
#[derive(Serialize)]
struct Whole<'a> {
    /// Whether nothing is missing.
    ready: bool,
    findings: &'a [MachineFinding],
    plan: &'a SetupPlan,
}

/// Checks the machine, and without `--check` sets it up.
pub fn run(flags: &cli::SetupArgs) -> Result<()> {
    let opened = base_override::open(&super::chosen(&flags.at)?, &[])?;
    let call = &opened.spec.call;
    let needs = Needs::of(&opened.spec, &opened.lock);
    let interrupt = Interrupt::listen()?;
    let facts = gather(&needs, Reaching::Out, &interrupt);
    if interrupt.is_set() {
        return Err(Fault::interrupted());
    }
    let findings = check(&facts, &needs);
    let plan = make_plan(&facts, &findings);
    if flags.json {
        super::print_json(&Whole {
            ready: is_ready(&findings),
            findings: &findings,
            plan: &plan,
        })?;
    } else {
        super::print(&table(&findings));
    }
    if flags.check {
        return ended(&findings, &plan, call);
    }
    if plan.steps.is_empty() {
        if is_ready(&findings) {
            crate::tell!("\nThis machine has all that a build needs.");
        }
        return ended(&findings, &plan, call);
    }
    let consent = Consent {
        yes: flags.yes,
        instead: call.command("setup --yes"),
        log: opened.state.beside().join("setup.log"),
    };
    carry_out(&plan, &facts, &consent, &interrupt)?;
    plan.by_hand
        .iter()
        .for_each(|line| crate::tell!("by hand: {line}"));
    let facts = gather(&needs, Reaching::Here, &interrupt);
    let findings = check(&facts, &needs);
    super::print(&format!("\nNow:\n{}", table(&findings)));
    let left = make_plan(&facts, &findings);
    ended(&findings, &left, call)
}

/// Sets up what a failed build lacked, if it can be set up and the user agrees. Otherwise gives the
/// build's own fault.
pub fn mend(fault: Fault, flags: &cli::BuildArgs, interrupt: &Interrupt) -> Result<()> {
    if matches!(fault.class, Class::Usage | Class::Interrupted) {
        return Err(fault);
    }
    let opened = base_override::open(&super::chosen(&flags.at)?, &flags.platform)?;
    let needs = Needs::of(&opened.spec, &opened.lock);
    let may_help = match fault.class {
        Class::Lacks => !gather::has_essentials(interrupt) || needs.may_emulate(),
        // A step for another architecture fails as any other step does.
        Class::Failed => needs.may_emulate(),
        Class::Usage | Class::Interrupted => false,
    };
    if !may_help {
        return Err(fault);
    }
    let Some(lack) = Lack::find(&needs, interrupt) else {
        return Err(fault);
    };
    if let Some(told) = fault.lines() {
        crate::tell!("{told}");
    }
    let consent = Consent {
        yes: flags.yes,
        instead: opened.spec.call.command("setup"),
        log: opened.state.beside().join("setup.log"),
    };
    lack.end(&consent, interrupt)
}

/// Whether the user agrees to changes of this machine, and where they are logged.
pub struct Consent {
    /// The user agreed on the command line.
    pub yes: bool,
    /// The command to name if nobody can be asked.
    pub instead: String,
    /// What the steps print.
    pub log: Utf8PathBuf,
}

/// What a machine lacks for a build and can be set up.
pub struct Lack {
    facts: Facts,
    findings: Vec<MachineFinding>,
    plan: SetupPlan,
}

impl Lack {
    /// What is missing; `None` if nothing is, or if no known command helps.
    pub fn find(needs: &Needs, interrupt: &Interrupt) -> Option<Self> {
        let facts = gather(needs, Reaching::Here, interrupt);
        let findings = check(&facts, needs);
        let missing = |finding: &&MachineFinding| finding.level == Level::Missing;
        let needed: Vec<MachineFinding> = findings.iter().filter(missing).cloned().collect();
        if make_plan(&facts, &needed).steps.is_empty() {
            return None;
        }
        // The user is asked once, for everything.
        Some(Self {
            plan: make_plan(&facts, &findings),
            findings: needed,
            facts,
        })
    }

    /// Sets up everything, if the user agrees.
    pub fn end(&self, consent: &Consent, interrupt: &Interrupt) -> Result<()> {
        crate::tell!("{}", table(&self.findings).trim_end());
        carry_out(&self.plan, &self.facts, consent, interrupt)?;
        let by_hand = self.plan.by_hand.iter();
        by_hand.for_each(|line| crate::tell!("by hand: {line}"));
        Ok(())
    }
}

fn is_ready(findings: &[MachineFinding]) -> bool {
    findings
        .iter()
        .all(|finding| finding.level != Level::Missing)
}

/// The end of the command: exit status 3 while something is missing, with what the user does about
/// it.
fn ended(findings: &[MachineFinding], plan: &SetupPlan, call: &Call) -> Result<()> {
    plan.by_hand
        .iter()
        .for_each(|line| crate::tell!("by hand: {line}"));
    if is_ready(findings) {
        return Ok(());
    }
    let mut missing: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.level == Level::Missing)
        .map(|finding| finding.check)
        .collect();
    missing.dedup();
    let remedy = if plan.steps.is_empty() {
        "see the remedy of each".to_owned()
    } else {
        format!(
            "`{}` installs and starts what it can",
            call.command("setup")
        )
    };
    Err(Fault::lacks(format!(
        "this machine lacks: {}; {remedy}",
        missing.join(", ")
    )))
}

/// Shows the plan, asks, and carries it out.
fn carry_out(
    plan: &SetupPlan,
    facts: &Facts,
    given: &Consent,
    interrupt: &Interrupt,
) -> Result<()> {
    let how = if facts.user.is_root { "" } else { ", by sudo" };
    crate::tell!("\nTo be done{how}:");
    plan.steps.iter().for_each(|step| crate::tell!("  {step}"));
    if !given.yes {
        consent::agree("Do that?", &given.instead)?;
    }
    crate::tell!("");
    apply(plan, facts, &given.log, interrupt)
}

/// A line for each finding, and one for what to do about it.
fn table(findings: &[MachineFinding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let word = match finding.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Missing => "missing",
        };
        let MachineFinding {
            check,
            found,
            needed,
            why,
            remedy,
            ..
        } = finding;
        let _ = writeln!(
            text,
            "{word:<8} {check}: {found} (needed: {needed}, as {why})"
        );
        if finding.level != Level::Ok && !remedy.is_empty() {
            let _ = writeln!(text, "         -> {remedy}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphfile::options::GraphOptions;
    use crate::setup::facts::{EngineFacts, Facts};
    use crate::setup::plan::Step;

    #[test]
    fn what_helps_is_called_on_the_graph_that_was_asked_about() {
        let bare = Facts {
            engine: EngineFacts::Silent("no such file".into()),
            ..Facts::default()
        };
        let missing = check(&bare, &Needs::default());
        let call = Call::with(Some("g.toml".into()), &GraphOptions::profile(Some("china")));
        let plan = SetupPlan {
            steps: vec![Step::Start { systemd: true }],
            ..SetupPlan::default()
        };
        let fault = ended(&missing, &plan, &call).unwrap_err();
        let command = "`cargo xtask setup --graph g.toml --profile china` installs";
        assert!(fault.message.contains(command), "{}", fault.message);
    }
}
