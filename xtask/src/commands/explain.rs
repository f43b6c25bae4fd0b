//! `cargo xtask explain`: why a stage is fresh or stale, with the first cause first.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::plan::{PlanLine, word};
use crate::cli::ExplainArgs;
use crate::fault::Result;
use crate::freshness::key::IngredientKind;
use crate::freshness::planner::{self, Assessment, Gathered, Next, Workspace};
use crate::freshness::record::Record;
use crate::freshness::stage_inputs;
use crate::freshness::verdict::{Change, Changed, ReasonKind, Verdict};
use crate::graphfile::base_override;
use crate::graphfile::spec::StageId;
use crate::outside::place::ImagePlace;
use crate::report::reasons::{self, OfInput};
use crate::report::words;
use crate::shown;
use crate::verify::noted::{self, Standing};

/// How many differences fit on a screen beside everything else.
const SHOWN: usize = 15;

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    stage: PlanLine<'a>,
    /// The stages above it that are not fresh, the first cause first.
    cause: Vec<PlanLine<'a>>,
    /// Why the whole context counts, if it does.
    whole_context: Option<String>,
    /// The context overlays whose files are among the inputs.
    overlays: Vec<String>,
    /// The base overrides, by the names of the external images.
    replaced: BTreeMap<&'a str, String>,
    /// Volatile values that a build would give now, and the image has otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    volatile: Vec<OldValue>,
    /// Its last verification, if the stage is fresh and was verified.
    verification: Option<Verified>,
}

/// A volatile value of a fresh image that is not what a build would give now.
#[derive(Serialize)]
struct OldValue {
    what: &'static str,
    name: String,
    /// The value in the image; none if the image was built without it.
    image: Option<String>,
    now: String,
}

impl OldValue {
    /// The volatile values of a fresh image that are other ones now. A record of an older program
    /// tells none.
    fn all(work: &Workspace, id: StageId, record: &Record) -> Result<Vec<Self>> {
        if record.volatile.is_empty() {
            return Ok(Vec::new());
        }
        let now = stage_inputs::volatile(&work.spec, work.spec.stage(id))?;
        let differing = |what, now: BTreeMap<String, String>, image: &BTreeMap<String, String>| {
            let all = now.into_iter().map(move |(name, now)| Self {
                what,
                image: image.get(&name).cloned(),
                name,
                now,
            });
            all.filter(|value| value.image.as_ref() != Some(&value.now))
                .collect::<Vec<_>>()
        };
        let mut all = differing("argument", now.arguments, &record.volatile.arguments);
        all.extend(differing("label", now.labels, &record.volatile.labels));
        Ok(all)
    }

    fn sentence(&self) -> String {
        let Self {
            what, name, now, ..
        } = self;
        let image = self.image.as_ref();
        let image = image.map_or_else(|| "no value".to_owned(), |image| shown::short(image));
        let now = shown::short(now);
        format!("its volatile {what} {name} is {image}; a build would make it {now}")
    }
}

/// The last verification of a stage.
#[derive(Serialize)]
struct Verified {
    at: String,
    parts: String,
    standing: Standing,
    /// The last day on which it holds, if it ends.
    ends: Option<String>,
}

impl Verified {
    /// The last verification of a fresh stage's image.
    fn of(work: &Workspace, id: StageId, image: &str) -> Option<Self> {
        let (noted, standing) = noted::now(work, id, image)?;
        Some(Self {
            standing,
            parts: match noted.parts.as_str() {
                "all" if noted.stack.is_none() => "policy".to_owned(),
                _ => noted.parts,
            },
            at: noted.at,
            ends: noted.ends,
        })
    }

    fn sentence(&self) -> String {
        let parts = match self.parts.as_str() {
            "policy" => "policy",
            "stack" => "stack",
            _ => "policy and stack",
        };
        let until = self.ends.as_ref();
        let until = until.map_or_else(String::new, |day| format!(", which holds until {day}"));
        match self.standing {
            Standing::Holds => format!("verified at {} ({parts}){until}", self.at),
            Standing::StackUnseen => format!(
                "verified at {} ({parts}){until}; only `verify` can see whether the stack is the same",
                self.at
            ),
            other => format!(
                "its verification of {} ({parts}) does not count: {}",
                self.at,
                other.clause()
            ),
        }
    }
}

/// Explains one stage.
pub fn run(flags: &ExplainArgs) -> Result<()> {
    let work = super::open(&flags.at, &[], Next::Any)?;
    let id = work.spec.find(&flags.stage)?;
    let wanted = work.graph.closure(&[id]);
    let plan = work.plan(&wanted, |_| false)?;
    super::tell_warnings(&work);
    let Some(own) = plan.iter().find(|assessment| assessment.id == id) else {
        return Ok(());
    };
    let cause = cascade(&work, &plan, id);
    let (whole_context, uncounted) = match work.gather(id) {
        Ok(Gathered::Read(_, stage_inputs)) => (
            stage_inputs.context.inputs.whole.clone(),
            planner::uncounted(&stage_inputs),
        ),
        _ => (None, None),
    };
    let overlays = work
        .spec
        .stage(id)
        .overlays
        .iter()
        .map(ToString::to_string)
        .collect();
    let (verified, volatile) = match &own.verdict {
        Verdict::Fresh(record) => (
            Verified::of(&work, id, &record.identity()),
            OldValue::all(&work, id, record)?,
        ),
        _ => (None, Vec::new()),
    };
    if flags.json {
        return super::print_json(&Whole {
            stage: PlanLine::of(&work, &plan, own),
            cause: cause
                .iter()
                .map(|assessment| PlanLine::of(&work, &plan, assessment))
                .collect(),
            whole_context,
            overlays,
            replaced: base_override::told(&work.spec, work.spec.stage(id)).collect(),
            volatile,
            verification: verified,
        });
    }
    let mut text = String::new();
    for assessment in cause {
        describe(&mut text, &work, &plan, assessment);
    }
    describe(&mut text, &work, &plan, own);
    if let Some(why) = whole_context {
        let _ = writeln!(text, "  the whole context counts: {why}");
    }
    if let Some(note) = uncounted {
        let _ = writeln!(text, "  {note}");
    }
    for overlay in overlays {
        let _ = writeln!(text, "  its context is overlaid with {overlay}");
    }
    for (name, by) in base_override::told(&work.spec, work.spec.stage(id)) {
        let _ = writeln!(text, "  its {name} is {by}, as `[base]` says");
    }
    for value in volatile {
        let _ = writeln!(text, "  {}", value.sentence());
    }
    if let Some(verified) = verified {
        let _ = writeln!(text, "  {}", verified.sentence());
    }
    super::print(&text);
    Ok(())
}

/// All stages above `id` that are not fresh, in build order.
fn cascade<'p>(work: &Workspace, plan: &'p [Assessment], id: StageId) -> Vec<&'p Assessment> {
    let above = work.graph.closure(&[id]);
    plan.iter()
        .filter(|assessment| assessment.id != id && above.contains(&assessment.id))
        .filter(|assessment| assessment.reason().is_some())
        .collect()
}

fn describe(text: &mut String, work: &Workspace, plan: &[Assessment], assessment: &Assessment) {
    let name = &work.spec.stage(assessment.id).name;
    let verdict = word(&assessment.verdict);
    match &assessment.verdict {
        Verdict::Fresh(record) => {
            let stage = work.spec.stage(assessment.id);
            let _ = if stage.is_assembled() {
                let platforms = stage.platforms.join(", ");
                writeln!(
                    text,
                    "{name} is {verdict}: its images for {platforms} are those of its record,"
                )
            } else {
                let inputs = words::count(assessment.inputs, "input");
                let size = words::size(assessment.input_bytes);
                writeln!(
                    text,
                    "{name} is {verdict}: its {inputs} ({size}) are those of its record,"
                )
            };
            let place = match record.place() {
                ImagePlace::Engine(_) => "the engine".to_owned(),
                ImagePlace::Registry(reference) => reference.split_once('@').map_or_else(
                    || reference.clone(),
                    |(repository, _)| repository.to_owned(),
                ),
                ImagePlace::Layout(_) => work.layout.folder().to_string(),
            };
            let _ = writeln!(text, "  and {place} has the image {}", record.image);
            let _ = writeln!(
                text,
                "  the build took {}; key {}",
                words::time(record.duration_ms),
                assessment.shown_key()
            );
        }
        Verdict::Restorable(reason, _) | Verdict::Stale(reason) | Verdict::Unknown(reason) => {
            let _ = writeln!(text, "{name} is {verdict}: {}", reasons::clause(reason));
            for change in reason.changes.iter().take(SHOWN) {
                let told = match awaited(work, plan, assessment.id, change) {
                    Some(upstream) => waits_for(&change.name, upstream),
                    None => line(change),
                };
                let _ = writeln!(text, "  {told}");
            }
            if reason.changes.len() > SHOWN {
                let _ = writeln!(
                    text,
                    "  and {} more (all of them with --json)",
                    reason.changes.len() - SHOWN
                );
            }
        }
    }
}

/// The stage whose image must be known first, if `change` says so.
fn awaited<'p>(
    work: &Workspace,
    plan: &'p [Assessment],
    id: StageId,
    change: &Change,
) -> Option<&'p Assessment> {
    if change.what != IngredientKind::Upstream || !change.is_unknown() {
        return None;
    }
    // A stage that is assembled from parts names them by their platforms.
    let part = work.spec.part_for(id, Some(&change.name));
    let is_it = |own: &&Assessment| {
        own.id != id && (own.id == part || work.spec.stage(own.id).name == change.name)
    };
    plan.iter().find(is_it)
}

/// A line for a parent that must be built first. Only a parent without a record is "not built yet".
fn waits_for(name: &str, upstream: &Assessment) -> String {
    match &upstream.verdict {
        Verdict::Stale(reason) if reason.kind == ReasonKind::NoRecord => {
            format!("upstream {name} is not built yet")
        }
        Verdict::Stale(_) | Verdict::Restorable(..) | Verdict::Fresh(_) => {
            format!(
                "upstream {name} is {}, and is built first",
                word(&upstream.verdict)
            )
        }
        Verdict::Unknown(_) => {
            format!("upstream {name} waits for the stages that it stands on")
        }
    }
}

/// One difference on one line.
fn line(change: &Change) -> String {
    if change.what == IngredientKind::Input {
        return format!(
            "{} {}{}",
            change.name,
            OfInput::of(change).verb(),
            of_input(change)
        );
    }
    let side = |value: &Option<String>, none: &str| {
        // A base's digests are shown whole, so that they can be looked up elsewhere.
        let shown = |text: &str| match change.what {
            Changed::Ingredient(IngredientKind::Base) => text.to_owned(),
            _ => words::shortened(text),
        };
        value.as_deref().map_or_else(|| none.to_owned(), shown)
    };
    let name = if change.name.is_empty() {
        String::new()
    } else {
        format!(" {}", change.name)
    };
    match (&change.before, &change.after) {
        (None, None) if change.what == IngredientKind::Upstream => {
            format!("upstream{name} is not built yet")
        }
        (None, None) if change.what == Changed::HostCommand => {
            format!("it reads what the host command of{name} makes")
        }
        (None, None) if change.what == Changed::Prepare => {
            format!("the host command must run:{name}")
        }
        (None, None) => format!("{}{name}: only BuildKit can tell", change.what.word()),
        (None, Some(after)) if after.is_empty() => {
            format!("{}{name} was added", change.what.word())
        }
        (Some(before), None) if before.is_empty() => {
            format!("{}{name} was removed", change.what.word())
        }
        _ => format!(
            "{}{name}: {} -> {}",
            change.what.word(),
            side(&change.before, "(none)"),
            side(&change.after, "(none)")
        ),
    }
}

/// What changed of an input: its mode, its link target or its content hash.
fn of_input(change: &Change) -> String {
    let (Some(before), Some(after)) = (&change.before, &change.after) else {
        return String::new();
    };
    let word = |text: &str, at: usize| text.split(' ').nth(at).unwrap_or_default().to_owned();
    match OfInput::of(change) {
        OfInput::Permissions => format!(": {} -> {}", word(before, 1), word(after, 1)),
        OfInput::Target => {
            let target = |text: &str| text.strip_prefix("symlink ").unwrap_or(text).to_owned();
            format!(": {} -> {}", target(before), target(after))
        }
        OfInput::Content => {
            let content = |text: &str| words::shortened(&word(text, 2));
            format!(": {} -> {}", content(before), content(after))
        }
        _ => String::new(),
    }
}
