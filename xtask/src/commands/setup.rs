//! `cargo xtask setup`: what this machine lacks, and how it gets it.

use std::fmt::Write as _;
use std::io::{BufRead as _, IsTerminal as _};

use serde::Serialize;

use crate::cli;
use crate::fault::{Fault, Result};
use crate::interrupt::Interrupt;
use crate::replacement;
use crate::setup::apply::apply;
use crate::setup::check::{Finding, Level, check};
use crate::setup::facts::Facts;
use crate::setup::gather::{Reaching, gather};
use crate::setup::needs::Needs;
use crate::setup::plan::{Plan, plan};
use crate::state;

/// What `--check --json` prints.
#[derive(Serialize)]
struct Whole<'a> {
    /// Whether nothing is missing.
    ready: bool,
    findings: &'a [Finding],
    plan: &'a Plan,
}

/// Checks the machine, and without `--check` sets it up.
pub fn run(flags: &cli::Setup) -> Result<()> {
    let opened = replacement::open(&super::graph_file(&flags.at), flags.at.profile.as_deref())?;
    let needs = Needs::of(&opened.spec, &opened.lock);
    let interrupt = Interrupt::listen()?;
    let facts = gather(&needs, Reaching::Out, &interrupt);
    if interrupt.is_set() {
        return Err(Fault::interrupted());
    }
    let findings = check(&facts, &needs);
    let plan = plan(&facts, &findings);
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
        return ended(&findings, &plan);
    }
    if plan.steps.is_empty() {
        if is_ready(&findings) {
            crate::tell!("\nThis machine has all that a build needs.");
        }
        return ended(&findings, &plan);
    }
    carry_out(&plan, &facts, flags.yes, &interrupt)?;
    let findings = check(&gather(&needs, Reaching::Here, &interrupt), &needs);
    super::print(&format!(
        "\nNow:\n{}",
        table_of(findings.iter().filter(|finding| finding.check != "network"))
    ));
    ended(&findings, &plan)
}

/// Sets up what a build by `needs` lacks, if something can be done about it and the user agrees.
/// Says whether anything was done.
pub fn bring_up(needs: &Needs, yes: bool, interrupt: &Interrupt) -> Result<bool> {
    let facts = gather(needs, Reaching::Here, interrupt);
    if interrupt.is_set() {
        return Err(Fault::interrupted());
    }
    let mut findings = check(&facts, needs);
    // What may be missing is no reason to install anything now.
    findings.retain(|finding| finding.level == Level::Missing);
    let plan = plan(&facts, &findings);
    if plan.steps.is_empty() {
        return Ok(false);
    }
    crate::tell!("{}", table(&findings).trim_end());
    carry_out(&plan, &facts, yes, interrupt)?;
    plan.by_hand
        .iter()
        .for_each(|line| crate::tell!("by hand: {line}"));
    Ok(true)
}

fn is_ready(findings: &[Finding]) -> bool {
    findings
        .iter()
        .all(|finding| finding.level != Level::Missing)
}

/// Exit 3 while something is missing, with what the user does about it.
fn ended(findings: &[Finding], plan: &Plan) -> Result<()> {
    plan.by_hand
        .iter()
        .for_each(|line| crate::tell!("by hand: {line}"));
    if is_ready(findings) {
        return Ok(());
    }
    let missing: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.level == Level::Missing)
        .map(|finding| finding.check)
        .collect();
    let remedy = if plan.steps.is_empty() {
        "see what is said of each"
    } else {
        "`cargo xtask setup` installs and starts what it can"
    };
    Err(Fault::lacks(format!(
        "this machine lacks: {}; {remedy}",
        missing.join(", ")
    )))
}

/// Shows the plan, asks, and does it.
fn carry_out(plan: &Plan, facts: &Facts, yes: bool, interrupt: &Interrupt) -> Result<()> {
    let how = if facts.user.is_root { "" } else { ", by sudo" };
    crate::tell!("\nTo be done{how}:");
    plan.steps.iter().for_each(|step| crate::tell!("  {step}"));
    if !yes {
        agree("Do that?", "cargo xtask setup --yes")?;
    }
    crate::tell!("");
    apply(plan, facts, &state::base().join("setup.log"), interrupt)
}

/// Asks on a terminal; elsewhere nobody agreed, and `instead` is named.
pub fn agree(question: &str, instead: &str) -> Result<()> {
    let refused = || {
        Fault::lacks(format!(
            "nothing was changed on this machine: `{instead}` does it"
        ))
    };
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(refused());
    }
    crate::tell!("{question} [y/N]");
    let mut answer = String::new();
    let read = input.lock().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(refused())
    }
}

fn table(findings: &[Finding]) -> String {
    table_of(findings.iter())
}

/// A line for each finding, and one for what to do about it.
fn table_of<'f>(findings: impl Iterator<Item = &'f Finding>) -> String {
    let mut text = String::new();
    for finding in findings {
        let word = match finding.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Missing => "missing",
        };
        let Finding {
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
