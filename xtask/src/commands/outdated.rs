//! `cargo xtask outdated`: which external images and sources moved since they were pinned.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use rayon::prelude::*;
use serde::Serialize;

use crate::build::fetching::{self, Drift};
use crate::cli::{OutdatedArgs as Flags, Where};
use crate::fault::{Class, Result};
use crate::freshness::pins::{self, Used};
use crate::freshness::planner::{Gathered, Next, Workspace};
use crate::graphfile::call::Call;
use crate::graphfile::lock::Base;
use crate::graphfile::spec::StageId;
use crate::outside::clock;
use crate::outside::interrupt::Interrupt;
use crate::report::words;
use crate::unpoisoned::Unpoisoned as _;
use registry::{Effort, Found, Registries, RegistryError, Tag};

#[derive(Serialize)]
struct Whole<'a> {
    outdated: &'a [Moved],
    /// How many images and sources were compared with the lock.
    checked: usize,
    /// Images and sources without an entry in the lock.
    unlocked: &'a [String],
    /// Images whose entry in the lock was edited by hand. Stages on them are never fresh.
    edited: Vec<&'a str>,
    failed: &'a [Failed],
}

/// An image or a source that moved.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Moved {
    /// `base` for an external image, or `source`.
    kind: &'static str,
    name: String,
    reference: String,
    locked: String,
    current: String,
    /// When the present image was made, or else when the registry took it in.
    since: Option<String>,
    /// The stages that use it.
    stages: Vec<String>,
    /// Those of `stages` that would be built again: an index may have moved for other platforms
    /// only.
    rebuilds: Vec<String>,
}

#[derive(Serialize)]
struct Failed {
    name: String,
    error: String,
}

enum Row {
    Same,
    Unlocked(String),
    Moved(Moved),
}

/// Asks the registries and shows what moved; writes nothing.
pub fn run(flags: &Flags) -> Result<()> {
    let work = super::open(&flags.at, &[], Next::Any)?;
    let interrupt = Interrupt::listen()?;
    let drifted = super::sync::drifted(&work, &interrupt)?;
    let all = work.wanted(&[])?;
    let uses = work.external_images(&all)?;
    let bases: BTreeMap<String, Base> = {
        let lock = work.lock.lock().unpoisoned();
        lock.bases().clone()
    };
    let registries = pins::registries(|message| crate::tell!("note: {message}"))?;
    let movable: Vec<(&String, &Used)> = uses
        .images
        .iter()
        .filter(|(_, used)| used.reference.digest.is_none())
        .collect();
    let row =
        |(name, used): &(&String, &'_ Used)| row(&work, &registries, name, used, bases.get(*name));
    let rows: Vec<_> = pins::at_once(|| movable.par_iter().map(row).collect());
    let (mut moved, mut unlocked, mut failed, mut errors) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ((_, used), row) in movable.iter().zip(rows) {
        match row {
            Ok(Row::Same) => {}
            Ok(Row::Unlocked(name)) => unlocked.push(name),
            Ok(Row::Moved(row)) => moved.push(row),
            Err(error) => {
                failed.push(Failed {
                    name: used.name.clone(),
                    error: error.to_string(),
                });
                errors.push(error);
            }
        }
    }
    let is_edited = |name: &str| bases.get(name).is_some_and(Base::is_edited);
    let edited = movable.iter().filter(|(name, _)| is_edited(name));
    let edited: Vec<&str> = edited.map(|(_, used)| used.name.as_str()).collect();
    let sources = super::sync::from_git(&work).len();
    for drift in drifted {
        match source_row(&work, &flags.at, drift, &interrupt)? {
            Row::Moved(row) => moved.push(row),
            Row::Same => {}
            Row::Unlocked(name) => unlocked.push(name),
        }
    }
    let checked = movable.len() + sources - failed.len() - unlocked.len();
    if flags.json {
        super::print_json(&Whole {
            outdated: &moved,
            checked,
            unlocked: &unlocked,
            edited,
            failed: &failed,
        })?;
    } else {
        let call = &work.spec.call;
        super::print(&table(&moved, checked, now(), call));
        if !unlocked.is_empty() {
            crate::tell!(
                "note: not locked yet: {}; run `{}`",
                unlocked.join(", "),
                call.command("lock")
            );
        }
        if !edited.is_empty() {
            crate::tell!(
                "note: edited by hand in the lock, so stages that use it are never fresh: {}; run `{}`",
                edited.join(", "),
                call.command(&format!("lock --update {}", edited.join(" ")))
            );
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(pins::together(errors.iter().map(|error| (error, None))))
    }
}

fn row(
    work: &Workspace,
    registries: &Registries,
    reference: &str,
    used: &Used,
    locked: Option<&Base>,
) -> Result<Row, RegistryError> {
    let Some(locked) = locked else {
        return Ok(Row::Unlocked(used.name.clone()));
    };
    let tag = registries.tag(&used.reference, Effort::Full)?;
    if tag.digest == locked.digest {
        return Ok(Row::Same);
    }
    let found = registries.image(&used.reference, &tag.digest, Effort::Full)?;
    let rebuilds = used
        .by
        .iter()
        .filter(|(_, platforms)| differs(locked, &found, platforms));
    Ok(Row::Moved(Moved {
        kind: "base",
        name: used.name.clone(),
        reference: reference.to_owned(),
        locked: locked.digest.clone(),
        since: since(used, &tag, &found).map(|at| calendar::shown(at).1),
        current: tag.digest,
        stages: names(work, used.by.iter().map(|(id, _)| *id)),
        rebuilds: names(work, rebuilds.map(|(id, _)| *id)),
    }))
}

/// The names of stages, each once. Parts have the name of their stage.
fn names(work: &Workspace, ids: impl Iterator<Item = StageId>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for id in ids {
        let name = &work.spec.whole(id).name;
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// The row of a source. It has no `since`, as the time of a commit is not known before it is
/// fetched.
fn source_row(work: &Workspace, at: &Where, drift: Drift, interrupt: &Interrupt) -> Result<Row> {
    let source = &work.spec.sources[drift.source.index()];
    let (Some(locked), Some(git)) = (&drift.locked, &source.git) else {
        return Ok(Row::Unlocked(source.name.clone()));
    };
    let of_source = |id: &StageId| fetching::of_stages(&work.spec, &[*id]).contains(&drift.source);
    // A stage that is assembled from parts changes with them.
    let has_trees = |id: &StageId| !work.spec.stage(*id).is_assembled();
    let stages = work.spec.ids().filter(has_trees).filter(of_source);
    let stages: Vec<StageId> = stages.collect();
    let rebuilds: Vec<StageId> = match super::sync::at_commit_of(at, &drift, interrupt) {
        Ok(moved) => {
            let stages = stages.iter().copied();
            stages.filter(|id| !is_same(work, &moved, *id)).collect()
        }
        Err(fault) if fault.class == Class::Interrupted => return Err(fault),
        Err(fault) => {
            crate::tell!(
                "note: all stages of source `{}` are listed, as commit {} cannot be looked at: {fault}",
                source.name,
                drift.now
            );
            stages.clone()
        }
    };
    Ok(Row::Moved(Moved {
        kind: "source",
        name: source.name.clone(),
        reference: format!("{} {}", git.url, git.rev),
        locked: locked.clone(),
        current: drift.now,
        since: None,
        rebuilds: names(work, rebuilds.into_iter()),
        stages: names(work, stages.into_iter()),
    }))
}

/// Whether a stage has the same key with both trees. A stage whose host command must run first
/// counts as changed, because what the command would make of the other tree is not known.
fn is_same(before: &Workspace, after: &Workspace, id: StageId) -> bool {
    match (before.gather(id), after.gather(id)) {
        (Ok(Gathered::Read(before, _)), Ok(Gathered::Read(after, _))) => before.has_key_of(&after),
        _ => false,
    }
}

/// Whether a stage that uses the image for `platforms` would be built again. If the entry does not
/// say for sure what each platform has, the digest of the whole index decides.
fn differs(locked: &Base, found: &Found, platforms: &BTreeSet<String>) -> bool {
    let is_same = |platform: &String| {
        let before = locked.platforms.get(platform);
        before.is_some() && before == found.platforms.get(platform)
    };
    !locked.is_whole()
        || platforms.is_empty()
        || !platforms.iter().all(is_same)
        || locked.onbuild != found.onbuild
}

fn since(used: &Used, tag: &Tag, found: &Found) -> Option<i64> {
    let wanted = used.by.iter().flat_map(|(_, platforms)| platforms);
    let own = wanted
        .filter_map(|platform| found.created.get(platform))
        .max();
    own.or_else(|| found.created.values().max())
        .copied()
        .or(tag.modified)
}

fn now() -> i64 {
    i64::try_from(clock::now().as_secs()).unwrap_or(i64::MAX)
}

fn table(moved: &[Moved], checked: usize, now: i64, call: &Call) -> String {
    let mut text = String::new();
    let header = ["name", "locked", "now", "since", "builds again"].map(str::to_owned);
    let rows = moved.iter().map(|row| {
        let since = row.since.as_deref().and_then(calendar::rfc3339);
        let again = match row.rebuilds.as_slice() {
            [] if row.kind == "source" => "nothing: no stage uses what changed".to_owned(),
            [] => "nothing: it moved for other platforms".to_owned(),
            stages => stages.join(", "),
        };
        [
            row.name.clone(),
            words::shortened(&row.locked),
            words::shortened(&row.current),
            since.map_or_else(|| "unknown".to_owned(), |at| age(at, now)),
            again,
        ]
    });
    let rows: Vec<[String; 5]> = std::iter::once(header).chain(rows).collect();
    if !moved.is_empty() {
        let width = |at: usize| {
            let widths = rows.iter().map(|row| row[at].chars().count());
            widths.max().unwrap_or(0)
        };
        let widths = [0, 1, 2, 3].map(width);
        for row in &rows {
            for (cell, width) in row.iter().zip(widths) {
                let _ = write!(text, "{cell:width$}  ");
            }
            let _ = writeln!(text, "{}", row[4]);
        }
    }
    let images = words::count(checked, "locked image or source")
        .replace("image or sources", "images and sources");
    let _ = match moved.len() {
        0 => writeln!(text, "nothing moved: {images} looked at"),
        moved => writeln!(
            text,
            "{moved} of {images} moved; `{}` takes what is there now",
            call.command("lock --update [NAME…]")
        ),
    };
    text
}

/// `2026-11-20, 4 days ago`.
fn age(at: i64, now: i64) -> String {
    let (date, _) = calendar::shown(at);
    match (now - at) / 86_400 {
        ..0 => date,
        0 => format!("{date}, today"),
        1 => format!("{date}, 1 day ago"),
        days => format!("{date}, {days} days ago"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(rebuilds: &[&str]) -> Moved {
        let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
        Moved {
            kind: "base",
            name: "python:3.12".into(),
            reference: "docker.io/library/python:3.12".into(),
            locked: digest("a"),
            current: digest("b"),
            since: Some("2026-11-20T10:00:00Z".into()),
            stages: vec!["api".into(), "sandbox".into()],
            rebuilds: rebuilds.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn the_table_says_what_moved_since_when_and_what_follows() {
        let now = calendar::rfc3339("2026-11-24T09:00:00Z").unwrap();
        let call = Call::default();
        let text = table(&[moved(&["api", "sandbox"]), moved(&[])], 3, now, &call);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("name         locked"), "{text}");
        assert_eq!(
            lines[1],
            "python:3.12  sha256:aaaaaaaaaaaa…  sha256:bbbbbbbbbbbb…  2026-11-20, 3 days ago  api, sandbox"
        );
        assert!(lines[2].ends_with("it moved for other platforms"), "{text}");
        assert!(
            lines[3].starts_with("2 of 3 locked images and sources moved"),
            "{text}"
        );
        assert_eq!(
            table(&[], 1, now, &call),
            "nothing moved: 1 locked image or source looked at\n"
        );
    }

    #[test]
    fn an_index_that_moved_for_other_platforms_builds_nothing_again() {
        let base = |amd64: &str, arm64: &str| {
            let platforms = [("linux/amd64", amd64), ("linux/arm64", arm64)];
            let platforms = platforms.map(|(p, d)| (p.to_owned(), d.to_owned()));
            Base::new(false, String::new(), platforms.into())
        };
        let found = Found {
            digest: String::new(),
            platforms: base("1", "3").platforms,
            onbuild: false,
            created: BTreeMap::new(),
        };
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let locked = base("1", "2");
        assert!(!differs(&locked, &found, &set(&["linux/amd64"])));
        for platforms in [
            &["linux/arm64"] as &[&str],
            &["linux/amd64", "linux/arm64"],
            &["linux/s390x"],
            &[],
        ] {
            assert!(differs(&locked, &found, &set(platforms)), "{platforms:?}");
        }
        let mut edited = base("1", "2");
        edited.digest = "sha256:another".to_owned();
        assert!(differs(&edited, &found, &set(&["linux/amd64"])));
    }
}
