//! `cargo xtask lock`: pins sources to commits and external images to digests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use rayon::prelude::*;

use crate::cli::LockArgs as Flags;
use crate::freshness::planner::{Next, Workspace};
use crate::unpoisoned::Unpoisoned as _;

use crate::fault::Result;
use crate::freshness::pins::{self, Used, Uses, platforms};
use crate::freshness::stage_inputs::Taken;
use crate::graphfile::lock::{Base, Lock};
use crate::graphfile::options::GraphOptions;
use crate::graphfile::spec;
use crate::outside::interrupt::Interrupt;
use crate::report::words;
use registry::{Effort, Registries, RegistryError};

/// Gives every external image of the graph its entry, and drops the entries that nothing uses.
pub fn run(flags: &Flags) -> Result<()> {
    let mut work = super::open(&flags.at, &[], Next::Any)?;
    if let Some(names) = &flags.update {
        let uses = Uses::of_readable(&work.spec, work.engine.platform());
        let lock = work.lock.lock().unpoisoned();
        pins::refuse_unknown(&work.spec, &uses, &lock, names)?;
    }
    let interrupt = Interrupt::listen()?;
    let held = work.state.clone();
    let waiting = |holder: &str| {
        crate::tell!("note: waiting for a build of this graph to end ({holder})");
    };
    let _running = held.lock(waiting, || interrupt.pause())?;
    // The Dockerfiles of a source can be read once its commit is here.
    let (lines, images) = super::sync::pin(&mut work, flags.update.as_deref(), &interrupt)?;
    let mut text = lines;
    let mut lock = work.lock.lock().unpoisoned();
    lock.reload()?;
    let all = work.wanted(&[])?;
    let uses = work.external_images(&all)?;
    for (id, why) in &uses.open {
        let stage = &work.spec.stage(*id).name;
        crate::tell!("note: stage `{stage}` may use images that are not locked, as {why}");
    }
    let moving = match images {
        None => BTreeSet::new(),
        Some(names) => uses.named(&names)?,
    };
    let registries = pins::registries(|message| crate::tell!("note: {message}"))?;
    let found = resolve(&work, &registries, &uses, &lock, &moving)?;
    for (id, takes) in &uses.takes {
        let entry = |taken: &Taken| {
            let name = reference::normalise(&taken.reference).map(|it| it.canonical());
            let new = name.and_then(|name| found.get(name.as_str()));
            let entry = new.or_else(|| lock.base(&taken.reference));
            Ok(entry.and_then(platforms::of_entry))
        };
        let stage = work.spec.stage(*id);
        let notes = platforms::check((stage, work.spec.whole(*id)), takes, entry);
        for note in notes.map_err(|fault| stage.fault(fault))? {
            crate::tell!("note: {note}");
        }
    }
    let mut bases = kept(&work, &uses, &lock);
    let mut counts = [0_usize; 3];
    for name in lock
        .bases()
        .keys()
        .filter(|name| !bases.contains_key(*name))
    {
        let _ = writeln!(text, "dropped  {name}: no stage uses it");
        counts[2] += 1;
    }
    for (name, base) in found {
        let digest = words::shortened(&base.digest);
        match lock.bases().get(name) {
            Some(old) if *old == base => {}
            Some(old) => {
                let old = words::shortened(&old.digest);
                let _ = writeln!(text, "moved    {name}: {old} -> {digest}");
                counts[1] += 1;
            }
            None => {
                let _ = writeln!(text, "locked   {name}: {digest}");
                counts[0] += 1;
            }
        }
        bases.insert(name.to_owned(), base);
    }
    let changed = lock.replace(bases)?;
    let images = words::count(lock.bases().len(), "external image");
    let path = lock.path();
    if changed {
        let [new, moved, dropped] = counts;
        let _ = writeln!(
            text,
            "{path}: {images}; {new} new, {moved} moved, {dropped} dropped; commit it"
        );
    } else {
        let _ = writeln!(text, "{path}: {images}, nothing to do");
    }
    super::print(&text);
    Ok(())
}

/// The entries of all images that have none, and of those in `moving`. All or none: an image that
/// cannot be had is a fault, unless the engine has it and the registry does not.
fn resolve<'u>(
    work: &Workspace,
    registries: &Registries,
    uses: &'u Uses,
    lock: &Lock,
    moving: &BTreeSet<String>,
) -> Result<BTreeMap<&'u str, Base>> {
    let wanted: Vec<(&'u String, &'u Used)> = uses
        .images
        .iter()
        .filter(|(name, _)| moving.contains(*name) || lock.base(name).is_none())
        .collect();
    let renewed = |(name, used): &(&'u String, &'u Used)| {
        (*name, *used, renew(registries, used, lock.base(name)))
    };
    let answers: Vec<_> = pins::at_once(|| wanted.par_iter().map(renewed).collect());
    let mut found = BTreeMap::new();
    let mut errors = Vec::new();
    for (name, used, answer) in answers {
        match answer {
            Ok(base) => {
                found.insert(name.as_str(), base);
            }
            Err(error) => errors.push((used, error)),
        }
    }
    let absent: Vec<String> = errors
        .iter()
        .filter(|(_, error)| error.is_absence())
        .map(|(used, _)| used.name.clone())
        .collect();
    // Without an engine there are no images.
    let held = if absent.is_empty() {
        crate::outside::engine::Images::new()
    } else {
        work.engine.images(&absent).unwrap_or_default()
    };
    let (own, bad): (Vec<_>, Vec<_>) = errors
        .into_iter()
        .partition(|(used, error)| error.is_absence() && pins::is_held(&held, &used.name));
    if !bad.is_empty() {
        let bad = bad.iter();
        return Err(pins::together(
            bad.map(|(used, error)| (error, used.near_stage.as_deref())),
        ));
    }
    for (used, error) in own {
        crate::tell!(
            "note: `{}` is in the engine alone and is not locked: {error}",
            used.name
        );
    }
    Ok(found)
}

/// The entry of one image now. The image is read only if its digest is another one.
fn renew(registries: &Registries, used: &Used, old: Option<&Base>) -> Result<Base, RegistryError> {
    let tag = registries.tag(&used.reference, used.effort())?;
    match old {
        Some(old) if old.digest == tag.digest => Ok(old.clone()),
        _ => {
            let found = registries.image(&used.reference, &tag.digest, Effort::Full)?;
            Ok(found.into())
        }
    }
}

/// The locked entries that some profile of the graph uses.
fn kept(work: &Workspace, uses: &Uses, lock: &Lock) -> BTreeMap<String, Base> {
    let mut bases = lock.bases().clone();
    let is_used = |uses: &Uses, name: &String| uses.images.contains_key(name);
    if bases.keys().all(|name| is_used(uses, name)) {
        return bases;
    }
    let mut others = vec![uses.clone()];
    let profiles = work.spec.profiles.iter().map(|name| Some(name.as_str()));
    for profile in profiles.chain([None]) {
        let options = GraphOptions {
            vars: work.spec.options.vars.clone(),
            ..GraphOptions::profile(profile)
        };
        let read = spec::load(&work.spec.file, &options).and_then(|mut spec| {
            spec.split();
            let all: Vec<_> = spec.ids().collect();
            Uses::of(&spec, &all, work.engine.platform())
        });
        match read {
            Ok(uses) => others.push(uses),
            Err(fault) => {
                let which = profile.map_or_else(String::new, |name| format!(" `{name}`"));
                crate::tell!(
                    "note: nothing is dropped, as the profile{which} cannot be read: {fault}"
                );
                return bases;
            }
        }
    }
    bases.retain(|name, _| others.iter().any(|uses| is_used(uses, name)));
    bases
}
