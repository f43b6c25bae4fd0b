//! `cargo xtask publish`: pushes what was verified, then moves the tags.

use std::fmt::Write as _;

use serde::Serialize;

use crate::cli::PublishArgs;
use crate::fault::{Fault, Result};
use crate::freshness::planner::{Next, Workspace};
use crate::graphfile::spec::{Parts, StageId};
use crate::outside::interrupt::Interrupt;
use crate::outside::state::LockedWork;
use crate::publish::release::Release;
use crate::publish::{self, ContentOrigin, MoveOutcome, Moved, PublishWishes};
use crate::report::words;

/// The answer as JSON.
#[derive(Serialize)]
struct Whole<'a> {
    release: &'a Release,
    moves: &'a [Moved],
}

/// Publishes the named stages, or all that name an image; or moves the tags of an earlier release.
pub fn run(flags: &PublishArgs) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let work = super::open(&flags.at, &[], Next::Any)?;
    work.tell_notices_at_once();
    let waiting = |holder: &str| crate::tell!("waiting for another call on this graph ({holder})");
    let pause = || interrupt.pause();
    // The clearing up after a build must not remove what is pushed meanwhile.
    let _graph = work.state.share(waiting, pause)?;
    let _publish = work.state.lock_for(LockedWork::Publish, waiting, pause)?;
    let mut wishes = PublishWishes {
        stages: Vec::new(),
        targets: flags.to.clone(),
        unverified: flags.unverified.clone(),
        allow_overwrite: flags.allow_overwrite,
        dry_run: flags.dry_run,
    };
    let (release, origin) = match (&flags.rollback, &flags.promote) {
        (Some(name), _) => (Release::read(&work, name)?, ContentOrigin::Itself),
        (None, Some(name)) => {
            let release = Release::read(&work, name)?;
            (release, ContentOrigin::Target(origin(&work, flags)?))
        }
        (None, None) => {
            wishes.stages = stages(&work, &flags.stages)?;
            (publish::built(&work, &wishes)?, ContentOrigin::Here)
        }
    };
    release.refuse_foreign(&work)?;
    let moves = publish::publish(&work, &release, &origin, &wishes);
    super::tell_warnings(&work);
    let moves = moves?;
    if flags.json {
        return super::print_json(&Whole {
            release: &release,
            moves: &moves,
        });
    }
    super::print(&text(&work, &release, &moves, flags.dry_run));
    Ok(())
}

/// The target whose content is promoted.
fn origin(
    work: &Workspace,
    flags: &PublishArgs,
) -> Result<crate::graphfile::spec::publishing::Target> {
    let name = flags.from.as_ref().ok_or_else(|| {
        Fault::usage("`--promote` needs `--from TARGET`, which has the release already")
    })?;
    let mut found = publish::targets(work, std::slice::from_ref(name))?;
    Ok(found.remove(name).unwrap_or_default())
}

/// The stages to publish, in build order: those that were named, else all that name an image.
fn stages(work: &Workspace, names: &[String]) -> Result<Vec<StageId>> {
    let named = work.spec.find_all(names)?;
    let order = work.graph.order().iter().copied();
    let has_image = |id: &StageId| work.spec.stage(*id).image.is_some();
    let is_part = |id: &StageId| matches!(work.spec.stage(*id).parts, Parts::Of(_));
    let chosen: Vec<StageId> = if names.is_empty() {
        order.filter(|id| has_image(id) && !is_part(id)).collect()
    } else {
        order.filter(|id| named.contains(id)).collect()
    };
    if let Some(id) = chosen.iter().find(|id| !has_image(id)) {
        let stage = &work.spec.stage(*id).name;
        return Err(Fault::usage(format!(
            "`{stage}` names no image, so there is nothing to publish it as: write `image = \"HOST/NAME\"` for it"
        )));
    }
    if chosen.is_empty() {
        return Err(Fault::usage(format!(
            "no stage of {} names an image: write `image = \"HOST/NAME\"` for those that are to be published",
            work.spec.file
        )));
    }
    Ok(chosen)
}

fn text(work: &Workspace, release: &Release, moves: &[Moved], is_dry: bool) -> String {
    let mut text = String::new();
    let width = moves.iter().map(|it| it.tag.shown().len()).max();
    let width = width.unwrap_or(0);
    for moved in moves {
        let after = words::shortened(&moved.tag.after.digest);
        let before = moved.tag.before.as_deref().map(words::shortened);
        let before = before.unwrap_or_else(|| "(new)".to_owned());
        let change = match moved.outcome {
            MoveOutcome::Already => format!("{after}, as before"),
            MoveOutcome::Moved | MoveOutcome::Planned => format!("{before} -> {after}"),
        };
        let _ = writeln!(text, "{:width$}  {change}", moved.tag.shown());
    }
    let count = |outcome| moves.iter().filter(|it| it.outcome == outcome).count();
    let images = words::count(release.images.len(), "image");
    if is_dry {
        let planned = words::count(count(MoveOutcome::Planned), "tag");
        let _ = writeln!(
            text,
            "release {}: {images}, {planned} to move; nothing was pushed",
            release.name
        );
    } else {
        let moved = words::count(count(MoveOutcome::Moved), "tag");
        let file = Release::file(work, &release.name);
        let _ = writeln!(
            text,
            "release {}: {images}, {moved} moved; {file}",
            release.name
        );
    }
    text
}
