//! `cargo xtask prune`: shows what nobody needs any more, asks, and removes it.

use std::fmt::Write as _;

use serde::Serialize;

use super::consent;
use crate::cli::PruneArgs;
use crate::fault::{Fault, Result};
use crate::freshness::planner::{Next, Workspace};
use crate::graphfile::chosen::Chosen;
use crate::outside::clock;
use crate::outside::interrupt::Interrupt;
use crate::outside::state::HeldLock;
use crate::prune::Share;
use crate::prune::local::{LocalFound, LocalSum};
use crate::prune::needed::Needed;
use crate::prune::shared::{SharedFound, SharedSum};
use crate::report::words;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// What is printed.
#[derive(Serialize)]
struct Whole {
    local: LocalSum,
    #[serde(skip_serializing_if = "Option::is_none")]
    registry: Option<SharedSum>,
    /// Whether it was removed.
    removed: bool,
}

/// What was found in both places.
struct Found {
    local: LocalFound,
    registry: Option<SharedFound>,
}

impl Found {
    fn look(
        work: &Workspace,
        needed: &Needed,
        flags: &PruneArgs,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let local = LocalFound::look(work, needed)?;
        let registry = flags
            .registry
            .then(|| SharedFound::look(work, needed, interrupt))
            .transpose()?;
        Ok(Self { local, registry })
    }

    fn is_empty(&self) -> bool {
        let registry = self.registry.as_ref();
        self.local.is_empty() && registry.is_none_or(SharedFound::is_empty)
    }

    fn and(self, shown: &Self) -> Self {
        Self {
            local: self.local.and(&shown.local),
            registry: match (self.registry, &shown.registry) {
                (Some(now), Some(shown)) => Some(now.and(shown)),
                _ => None,
            },
        }
    }

    fn whole(&self, removed: bool) -> Whole {
        Whole {
            local: self.local.sum(),
            registry: self.registry.as_ref().map(SharedFound::sum),
            removed,
        }
    }
}

/// Shows what goes, asks, and removes it.
pub fn run(flags: &PruneArgs) -> Result<()> {
    let chosen = super::chosen(&flags.at)?;
    let interrupt = Interrupt::listen()?;
    let now_ms = u64::try_from(clock::now().as_millis()).unwrap_or(u64::MAX);
    let since_ms = now_ms.saturating_sub(u64::from(flags.older) * DAY_MS);
    let work = Workspace::open(&chosen, &[], Next::AllStages)?;
    let lock = take(&work, &interrupt)?;
    let needed = Needed::of(&work, &chosen, since_ms);
    for note in &needed.notes {
        crate::tell!("note: {note}");
    }
    let found = Found::look(&work, &needed, flags, &interrupt)?;
    if let Some(note) = &found.local.note {
        crate::tell!("note: {note}");
    }
    if found.is_empty() {
        return told(flags, &found, false);
    }
    if !flags.json {
        super::print(&table(&found.whole(false)));
    }
    if flags.yes {
        return remove(flags, &work, &found, &interrupt);
    }
    // Builds go on while somebody thinks about it.
    drop(lock);
    let instead = work.spec.call.command(&again(flags));
    if flags.json {
        super::print_json(&found.whole(false))?;
        return Err(nobody_agreed(&instead));
    }
    consent::agree("Remove that?", &instead)?;
    drop(work);
    removed_after_a_second_look(flags, &chosen, since_ms, &found, &interrupt)
}

/// Looks again, as builds may have gone on, and removes what was shown and is still there.
fn removed_after_a_second_look(
    flags: &PruneArgs,
    chosen: &Chosen,
    since_ms: u64,
    shown: &Found,
    interrupt: &Interrupt,
) -> Result<()> {
    let work = Workspace::open(chosen, &[], Next::AllStages)?;
    let _lock = take(&work, interrupt)?;
    let needed = Needed::of(&work, chosen, since_ms);
    let found = Found::look(&work, &needed, flags, interrupt)?.and(shown);
    remove(flags, &work, &found, interrupt)
}

/// Takes the graph alone.
fn take(work: &Workspace, interrupt: &Interrupt) -> Result<HeldLock> {
    let waiting = |holder: &str| {
        crate::tell!("note: waiting for a build of this graph to end ({holder})");
    };
    work.state.lock(waiting, || interrupt.pause())
}

fn remove(flags: &PruneArgs, work: &Workspace, found: &Found, interrupt: &Interrupt) -> Result<()> {
    let used = found.local.remove(work, interrupt)?;
    if let Some(registry) = &found.registry {
        registry.remove(work, interrupt)?;
    }
    if used > 0 {
        let images = words::count(used, "image");
        crate::tell!("note: not removed, as containers use them meanwhile: {images}");
    }
    told(flags, found, true)
}

/// The end of a call that went well.
fn told(flags: &PruneArgs, found: &Found, removed: bool) -> Result<()> {
    if flags.json {
        return super::print_json(&found.whole(removed));
    }
    if !removed {
        super::print("nothing to remove\n");
        return Ok(());
    }
    super::print("removed\n");
    if found.registry.as_ref().is_some_and(|it| !it.is_empty()) {
        crate::tell!(
            "note: a registry frees the disk when it collects its garbage, as by `registry garbage-collect`"
        );
    }
    Ok(())
}

fn nobody_agreed(instead: &str) -> Fault {
    Fault::lacks(format!("nothing was removed: to go ahead, run `{instead}`"))
}

/// The words of this call, with consent.
fn again(flags: &PruneArgs) -> String {
    let mut words = format!("prune --older {}", flags.older);
    if flags.registry {
        words += " --registry";
    }
    if flags.json {
        words += " --json";
    }
    words + " --yes"
}

/// A line for each kind of thing.
fn table(whole: &Whole) -> String {
    let mut text = String::new();
    let mut line = |what: &str, share: Share, is_counted: bool| {
        let of = if is_counted {
            format!(" of {}", share.goes + share.stays)
        } else {
            String::new()
        };
        let bytes = match share.bytes {
            0 => String::new(),
            bytes => format!(", up to {}", words::size(bytes)),
        };
        let _ = writeln!(text, "{:>6}{of} {what}{bytes}", share.goes);
    };
    let LocalSum {
        records,
        images,
        blobs,
        files,
    } = whole.local;
    line("records here", records, true);
    line("images in the engine", images, true);
    line("blobs of the OCI layout", blobs, false);
    line("files of stages that are gone", files, false);
    if let Some(registry) = &whole.registry {
        line("records in the registry", registry.records, true);
        line("images in the registry", registry.images, true);
    }
    text
}
