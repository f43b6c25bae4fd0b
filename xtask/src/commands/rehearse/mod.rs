//! `cargo xtask rehearse`: the graph on another revision of a source.

use std::cmp::Reverse;
use std::fmt::Write as _;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::cli::RehearseArgs;
use crate::fault::{Class, Fault, Result};
use crate::freshness::planner::{Next, Workspace};
use crate::graphfile::source;
use crate::graphfile::spec::{Place, SourceId};
use crate::outside::interrupt::Interrupt;
use crate::rehearsal::{self, RebuildCause, Rehearsal, Sides};
use crate::report::{reasons, words};
use crate::since;
use crate::verify::stack::StackOutcome;
use crate::verify::told;
use trial::TrialReport;

mod trial;

#[derive(Serialize)]
struct Whole<'a> {
    source: &'a str,
    revision: &'a str,
    commit: &'a str,
    #[serde(flatten)]
    found: &'a Rehearsal,
    #[serde(flatten)]
    tried: Option<&'a TrialReport>,
}

/// Says what another revision of a source would change, and what no longer fits. Status 1 if
/// something does not.
pub fn run(flags: &RehearseArgs) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let work = super::open(&flags.at, &[], Next::Any)?;
    let id = chosen(&work, flags.source.as_deref())?;
    let name = work.spec.sources[id.index()].name.clone();
    let before = source::root(&work.spec, Some(id))?;
    let scratch = tempfile::tempdir()
        .map_err(|error| Fault::lacks(format!("cannot make a temporary folder: {error}")))?;
    let folder = Utf8Path::from_path(scratch.path())
        .and_then(|path| path.canonicalize_utf8().ok())
        .ok_or_else(|| Fault::lacks("the folder for temporary files is not UTF-8"))?;
    let (after, commit) = tree(&work, flags, id, &folder, &interrupt)?;
    let then = since::open_at(&work, &name, &after, &folder)?;
    let sides = Sides {
        spec: &work.spec,
        before: &before,
        after: &after,
    };
    let found = rehearsal::rehearse(&work, &then, id, &sides, &interrupt)?;
    if !flags.json {
        super::print(&text(&name, flags, &commit, &found));
    }
    let tried = if flags.policy || flags.stack {
        Some(trial::run(&trial::TrialSubject {
            work: &work,
            source: &name,
            tree: &after,
            flags,
            interrupt: &interrupt,
        })?)
    } else {
        None
    };
    if flags.json {
        super::print_json(&Whole {
            source: &name,
            revision: &flags.revision,
            commit: &commit,
            found: &found,
            tried: tried.as_ref(),
        })?;
    } else if let Some(tried) = &tried {
        super::print(&tried_text(flags, tried));
    }
    if found.misfits.is_empty() && tried.is_none_or(|tried| tried.has_passed()) {
        Ok(())
    } else {
        Err(Fault::told(Class::Failed))
    }
}

/// The source that was named, or the one of most stages.
fn chosen(work: &Workspace, named: Option<&str>) -> Result<SourceId> {
    let spec = &work.spec;
    let ids = (0..).map(SourceId).take(spec.sources.len());
    let stages = |id: SourceId| {
        spec.stages
            .iter()
            .filter(|it| it.source == Some(id))
            .count()
    };
    let found = match named {
        Some(name) => ids.clone().find(|id| spec.sources[id.index()].name == name),
        // Of those with equally many stages, the first.
        None => ids.clone().min_by_key(|id| Reverse(stages(*id))),
    };
    found.ok_or_else(|| match named {
        Some(name) => {
            let known: Vec<&str> = spec.sources.iter().map(|it| it.name.as_str()).collect();
            Fault::usage(format!(
                "unknown source `{}`: {} has {}",
                name.escape_debug(),
                spec.file,
                known.join(", ")
            ))
        }
        None => Fault::usage(format!(
            "{} has no source: `rehearse` tries the revisions of a `[source.NAME]`; for this repository itself, `{}` compares with a commit",
            spec.file,
            spec.call.command("plan --since REF")
        )),
    })
}

/// The tree of the revision, and its commit.
fn tree(
    work: &Workspace,
    flags: &RehearseArgs,
    id: SourceId,
    folder: &Utf8Path,
    interrupt: &Interrupt,
) -> Result<(Utf8PathBuf, String)> {
    let own = &work.spec.sources[id.index()];
    let Place::Local { root } = &own.place else {
        return super::sync::at_revision(&flags.at, id, &flags.revision, interrupt);
    };
    since::check_out(root, &flags.revision, folder, interrupt)
}

fn text(name: &str, flags: &RehearseArgs, commit: &str, found: &Rehearsal) -> String {
    let mut text = format!(
        "{name} at {} ({})\n",
        flags.revision,
        words::shortened(commit)
    );
    let width = found.stages.iter().map(|it| it.stage.len()).max();
    let width = width.unwrap_or(0);
    for one in &found.stages {
        let why = match &one.why {
            None => "the same".to_owned(),
            Some(RebuildCause::Own(reason)) => format!("built again: {}", reasons::clause(reason)),
            Some(RebuildCause::Parent(parent)) => format!("built again: its parent `{parent}` is"),
            Some(RebuildCause::Prepare) => "its host command must run first".to_owned(),
            Some(RebuildCause::Unreadable) => "cannot be built there, see below".to_owned(),
        };
        let _ = writeln!(text, "  {:width$}  {why}", one.stage);
    }
    for misfit in &found.misfits {
        let _ = writeln!(text, "{} does not fit: {}", misfit.stage, misfit.what);
        for line in &misfit.difference {
            let _ = writeln!(text, "    {line}");
        }
    }
    let again = found.stages.iter().filter(|it| it.why.is_some()).count();
    let _ = writeln!(
        text,
        "{again} of {} would be built again; {}",
        words::count(found.stages.len(), "stage"),
        match found.misfits.len() {
            0 => "everything fits".to_owned(),
            1 => "1 thing does not fit".to_owned(),
            many => format!("{many} things do not fit"),
        }
    );
    text
}

/// What a trial found, below what the rehearsal found.
fn tried_text(flags: &RehearseArgs, tried: &TrialReport) -> String {
    let mut text = String::new();
    if let Some(answer) = &tried.policy {
        text.push_str(&told::table(answer));
    }
    if !tried.not_built.is_empty() {
        let _ = writeln!(text, "not built there: {}", tried.not_built.join(", "));
    }
    if let Some(stack) = &tried.stack {
        let revision = &flags.revision;
        let said = match (stack.now, stack.then) {
            (_, StackOutcome::Passed) => {
                format!("the stack of {revision} comes up on the volumes of the present one")
            }
            (StackOutcome::Passed, StackOutcome::Failed) => {
                format!(
                    "the stack of {revision} does not come up on the volumes of the present one"
                )
            }
            (_, StackOutcome::Failed) => format!("the stack of {revision} cannot be made"),
            (StackOutcome::Passed, StackOutcome::NotChecked) => {
                format!("not everything could be checked on the stack of {revision}")
            }
            (StackOutcome::Failed, StackOutcome::NotChecked) => format!(
                "the stack of {revision} was not tried, as the present one does not come up"
            ),
            (StackOutcome::NotChecked, StackOutcome::NotChecked) => {
                format!("the stack of {revision} was not tried")
            }
        };
        let cause = stack.cause.as_ref().map(|cause| format!(": {cause}"));
        let _ = writeln!(text, "{said}{}", cause.unwrap_or_default());
    }
    text
}
