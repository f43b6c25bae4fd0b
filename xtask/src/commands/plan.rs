//! `cargo xtask plan`: the same walk as a build's, stopped at the verdicts.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::time::Instant;

use serde::Serialize;

use crate::cli::PlanArgs;
use crate::fault::{Class, Fault, Result};
use crate::freshness::planner::{Assessment, Next, Workspace};
use crate::freshness::verdict::{Reason, Verdict};
use crate::graphfile::spec::{Parts, StageId};
use crate::report::{reasons, words};
use crate::workflow::matrix::Matrix;

#[derive(Serialize)]
struct Whole<'a> {
    stages: Vec<PlanLine<'a>>,
    elapsed_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<SinceLine<'a>>,
}

/// What the stages were compared with.
#[derive(Serialize)]
struct SinceLine<'a> {
    commit: &'a str,
    unknown: &'a [String],
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
    /// The parts of a stage with several platforms.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<PartLine<'a>>,
}

/// The verdict of the part of a stage for one platform.
#[derive(Serialize)]
struct PartLine<'a> {
    platform: &'a str,
    verdict: &'static str,
    reason: Option<&'a Reason>,
    key: String,
    image: Option<&'a str>,
}

impl<'a> PlanLine<'a> {
    /// The line for one assessment of a plan.
    pub fn of(work: &'a Workspace, plan: &'a [Assessment], assessment: &'a Assessment) -> Self {
        let parts = parts(work, plan, assessment);
        let inputs = parts.iter().map(|part| part.inputs).sum::<usize>();
        let input_bytes = parts.iter().map(|part| part.input_bytes).sum::<u64>();
        let decides = deciding(&parts, assessment);
        Self {
            stage: &work.spec.stage(assessment.id).name,
            verdict: word(&decides.verdict),
            reason: decides.reason(),
            key: assessment.shown_key(),
            image: image(&assessment.verdict),
            inputs: assessment.inputs + inputs,
            input_bytes: assessment.input_bytes + input_bytes,
            parts: parts
                .into_iter()
                .map(|part| PartLine {
                    platform: platform(work, part),
                    verdict: word(&part.verdict),
                    reason: part.reason(),
                    key: part.shown_key(),
                    image: image(&part.verdict),
                })
                .collect(),
        }
    }
}

fn image(verdict: &Verdict) -> Option<&str> {
    match verdict {
        Verdict::Fresh(record) => Some(record.image.as_str()),
        Verdict::Restorable(..) | Verdict::Stale(_) | Verdict::Unknown(_) => None,
    }
}

/// The assessments of the parts of a stage; none if it has none.
fn parts<'a>(
    work: &Workspace,
    plan: &'a [Assessment],
    assessment: &Assessment,
) -> Vec<&'a Assessment> {
    let Parts::Several(parts) = &work.spec.stage(assessment.id).parts else {
        return Vec::new();
    };
    let of = |id: &StageId| plan.iter().find(|own| own.id == *id);
    parts.iter().filter_map(of).collect()
}

fn platform<'a>(work: &'a Workspace, part: &Assessment) -> &'a str {
    let platforms = &work.spec.stage(part.id).platforms;
    platforms.first().map_or("", String::as_str)
}

/// The assessment that decides on a stage: that of the first part that must be built, else of one
/// that is not fresh, else its own.
fn deciding<'a>(parts: &[&'a Assessment], own: &'a Assessment) -> &'a Assessment {
    let stale = |part: &&&Assessment| matches!(part.verdict, Verdict::Stale(_));
    let first = parts.iter().find(stale);
    let first = first.or_else(|| parts.iter().find(|part| part.reason().is_some()));
    first.copied().unwrap_or(own)
}

/// The verdicts of the stages that are no parts, by their words.
pub fn verdicts(work: &Workspace, plan: &[Assessment]) -> BTreeMap<StageId, &'static str> {
    let whole = whole(work, plan).map(|own| {
        let parts = parts(work, plan, own);
        (own.id, word(&deciding(&parts, own).verdict))
    });
    whole.collect()
}

/// The verdict's word.
pub const fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Fresh(_) => "fresh",
        Verdict::Restorable(..) | Verdict::Stale(_) => "stale",
        Verdict::Unknown(_) => "unknown",
    }
}

/// The verdict's word for people, seven characters wide. On a terminal it has a colour, too.
fn painted(verdict: &Verdict) -> String {
    let word = format!("{:7}", word(verdict));
    if !words::has_colours(&std::io::stdout()) {
        return word;
    }
    let colour = match verdict {
        Verdict::Fresh(_) => 32,
        Verdict::Restorable(..) | Verdict::Stale(_) => 33,
        Verdict::Unknown(_) => 36,
    };
    format!("\x1b[{colour}m{word}\x1b[0m")
}

/// The assessments of stages that are no parts of others, unless a part was asked for alone.
fn whole<'a>(work: &Workspace, plan: &'a [Assessment]) -> impl Iterator<Item = &'a Assessment> {
    let planned: HashSet<StageId> = plan.iter().map(|own| own.id).collect();
    plan.iter().filter(move |own| {
        let whole = work.spec.whole_id(own.id);
        whole == own.id || !planned.contains(&whole)
    })
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
    let mut plan = work.plan(&wanted, |_| false)?;
    super::tell_warnings(&work);
    let since = match &flags.since {
        Some(reference) => {
            let since = super::since(&work, reference, &flags.platform, &wanted)?;
            plan.retain(|own| since.covers(&work, own.id));
            Some(since)
        }
        None => None,
    };
    let elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    if flags.json {
        let stages = whole(&work, &plan)
            .map(|assessment| PlanLine::of(&work, &plan, assessment))
            .collect();
        let since = since.as_ref();
        super::print_json(&Whole {
            stages,
            elapsed_ms,
            since: since.map(|since| SinceLine {
                commit: &since.commit,
                unknown: &since.unknown,
            }),
        })?;
        return answer(flags, &plan);
    }
    if let (Some(reference), true) = (&flags.since, plan.is_empty() && !flags.matrix) {
        super::print(&format!("nothing differs from {reference}\n"));
        return Ok(());
    }
    let width = plan
        .iter()
        .map(|assessment| work.spec.stage(assessment.id).name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    let mut line = |name: &str, of: &Assessment| {
        let why = of.reason().map_or_else(String::new, reasons::clause);
        let word = painted(&of.verdict);
        let line = format!("{name:width$}  {word}  {why}");
        let _ = writeln!(text, "{}", line.trim_end());
    };
    let (mut stages, mut fresh) = (0, 0);
    for assessment in whole(&work, &plan) {
        let parts = parts(&work, &plan, assessment);
        let decides = deciding(&parts, assessment);
        stages += 1;
        fresh += usize::from(decides.reason().is_none());
        line(&work.spec.stage(assessment.id).name, decides);
        for part in parts {
            line(&format!("  {}", platform(&work, part)), part);
        }
    }
    let _ = writeln!(
        text,
        "{fresh} of {} fresh, in {}",
        words::count(stages, "stage"),
        words::time(elapsed_ms)
    );
    if flags.matrix {
        crate::tell!("{}", text.trim_end());
        super::print(&Matrix::of(&work, &plan).lines(&work)?);
    } else {
        super::print(&text);
    }
    answer(flags, &plan)
}

/// What the exit status says, if it is asked.
fn answer(flags: &PlanArgs, plan: &[Assessment]) -> Result<()> {
    let is_fresh = plan.iter().all(|own| own.reason().is_none());
    if flags.exit_code && !is_fresh {
        return Err(Fault::told(Class::Failed));
    }
    Ok(())
}
