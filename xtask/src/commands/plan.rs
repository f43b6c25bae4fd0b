//! `cargo xtask plan`: the same walk as a build's, stopped at the verdicts.

use std::fmt::Write as _;
use std::time::Instant;

use serde::Serialize;

use crate::cli::PlanArgs;
use crate::fault::Result;
use crate::freshness::planner::{Assessment, Next, Workspace};
use crate::freshness::verdict::{Reason, Verdict};
use crate::report::{reasons, words};

#[derive(Serialize)]
struct Whole<'a> {
    stages: Vec<PlanLine<'a>>,
    elapsed_ms: u64,
}

/// One stage's verdict as JSON; `explain` prints the same.
#[derive(Serialize)]
pub struct PlanLine<'a> {
    stage: &'a str,
    verdict: &'static str,
    reason: Option<&'a Reason>,
    key: String,
    image: Option<&'a str>,
    inputs: usize,
    input_bytes: u64,
}

impl<'a> PlanLine<'a> {
    /// The line for one assessment.
    pub fn of(work: &'a Workspace, assessment: &'a Assessment) -> Self {
        let image = match &assessment.verdict {
            Verdict::Fresh(record) => Some(record.image.as_str()),
            Verdict::Restorable(..) | Verdict::Stale(_) | Verdict::Unknown(_) => None,
        };
        Self {
            stage: &work.spec.stage(assessment.id).name,
            verdict: word(&assessment.verdict),
            reason: assessment.reason(),
            key: assessment.shown_key(),
            image,
            inputs: assessment.inputs,
            input_bytes: assessment.input_bytes,
        }
    }
}

/// The verdict's word.
pub const fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Fresh(_) => "fresh",
        Verdict::Restorable(..) | Verdict::Stale(_) => "stale",
        Verdict::Unknown(_) => "unknown",
    }
}

/// Shows every wanted stage's verdict.
pub fn run(flags: &PlanArgs) -> Result<()> {
    let start = Instant::now();
    let all = flags.stages.is_empty();
    let next = if all { Next::AllStages } else { Next::Any };
    let work = super::open(&flags.at, &flags.platform, next)?;
    let wanted = work.wanted(&flags.stages)?;
    if flags.locked {
        work.refuse_uncovered(&wanted)?;
    }
    let plan = work.plan(&wanted, |_| false)?;
    super::tell_warnings(&work);
    let elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    if flags.json {
        let stages = plan
            .iter()
            .map(|assessment| PlanLine::of(&work, assessment))
            .collect();
        return super::print_json(&Whole { stages, elapsed_ms });
    }
    let width = plan
        .iter()
        .map(|assessment| work.spec.stage(assessment.id).name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for assessment in &plan {
        let name = &work.spec.stage(assessment.id).name;
        let why = assessment
            .reason()
            .map_or_else(String::new, reasons::clause);
        let line = format!("{name:width$}  {:7}  {why}", word(&assessment.verdict));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let fresh = plan
        .iter()
        .filter(|assessment| assessment.reason().is_none())
        .count();
    let _ = writeln!(
        text,
        "{fresh} of {} fresh, in {}",
        words::count(plan.len(), "stage"),
        words::time(elapsed_ms)
    );
    super::print(&text);
    Ok(())
}
