//! Brings sources to this machine, at the commits that the lock says. Decides in which order the
//! repositories of a source are asked, what is tried again, and what is reported.

mod drift;
mod refusal;
mod remote;
mod store;

use std::collections::BTreeSet;
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use rayon::prelude::*;

use crate::fault::{Fault, Result};
use crate::graphfile::lock::{Lock, sources};
use crate::graphfile::source::{self, tree::Gaps, tree::Remedy};
use crate::graphfile::spec::{Context, Git, Place, Source, SourceId, Spec, StageId, names};
use crate::outside::git::Trouble;
use crate::outside::interrupt::Interrupt;
use crate::outside::state::{LockedWork, State};
use crate::report::event::{Event, SourceFinished};
use crate::unpoisoned::Unpoisoned as _;
pub use drift::Drift;
pub use refusal::together;
use refusal::{Refusal, moved, nobody_has, passing};
use store::{CheckOut, SourceStore};

/// Waits before the second, third and fourth round through the repositories of a source.
const BACKOFF: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(10),
];
/// How many sources are fetched at once. More would only share the same line.
const AT_ONCE: usize = 4;

/// Fetches and pins the sources of a graph.
#[derive(Debug)]
pub struct Fetcher<'a> {
    /// The graph; `source::find` has looked for its sources.
    pub spec: &'a Spec,
    /// Where fetched sources go.
    pub state: &'a State,
    /// The pins.
    pub lock: &'a Mutex<Lock>,
    /// Whether to stop.
    pub interrupt: &'a Interrupt,
    /// Where events go.
    pub events: &'a Sender<Event>,
    /// Refuse sources that are not pinned.
    pub locked: bool,
    /// Ask no repository.
    pub offline: bool,
}

/// The sources that some stages take files from, in the order of the graph.
pub fn of_stages(spec: &Spec, stages: &[StageId]) -> Vec<SourceId> {
    let of = |id: &StageId| {
        let stage = spec.stage(*id);
        let folders = stage.contexts.values().filter_map(|context| match context {
            Context::Folder(source, _) => *source,
            Context::Stage(_) | Context::Image(_) => None,
        });
        folders.chain(stage.source).collect::<Vec<_>>()
    };
    let all: BTreeSet<SourceId> = stages.iter().flat_map(of).collect();
    all.into_iter().collect()
}

/// Those of `sources` that are not on this machine yet.
pub fn unfetched(spec: &Spec, sources: &[SourceId]) -> Vec<SourceId> {
    let place = |id: &&SourceId| matches!(spec.sources[id.index()].place, Place::Unfetched(_));
    sources.iter().filter(place).copied().collect()
}

impl Fetcher<'_> {
    /// Fetches sources, several at once, and pins the sources that have no pin. After this
    /// `source::find` finds them.
    pub fn fetch(&self, sources: &[SourceId]) -> Result<()> {
        let _held = self.hold()?;
        self.every(sources, |id| {
            let start = Instant::now();
            let source = self.source(id);
            let result = self.fetch_one(source, self.git(source)?);
            self.tell(Event::SourceFinished(SourceFinished {
                source: source.name.clone(),
                commit: result.as_ref().ok().cloned(),
                elapsed_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            }));
            result.map(drop)
        })?;
        Ok(())
    }

    /// Lets no other process fetch or pin sources of this graph, and reads the lock file again for
    /// the pins of other processes.
    fn hold(&self) -> Result<crate::outside::state::HeldLock> {
        let waiting = |holder: &str| {
            let message = format!("waiting for another sync of this graph to end ({holder})");
            self.tell(Event::Notice { message });
        };
        let pause = || self.interrupt.pause();
        let held = self.state.lock_for(LockedWork::Fetch, waiting, pause)?;
        self.lock().reload()?;
        Ok(held)
    }

    fn every<T: Send>(
        &self,
        sources: &[SourceId],
        each: impl Fn(SourceId) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let threads = sources.len().clamp(1, AT_ONCE);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| Fault::lacks(format!("cannot start threads: {error}")))?;
        let results: Vec<Result<T>> =
            pool.install(|| sources.par_iter().map(|id| each(*id)).collect());
        let mut good = Vec::new();
        let mut faults = Vec::new();
        for result in results {
            match result {
                Ok(result) => good.push(result),
                Err(fault) => faults.push(fault),
            }
        }
        together(faults).map(|()| good)
    }

    /// Fetches and pins one source, and gives its commit.
    fn fetch_one(&self, source: &Source, git: &Git) -> Result<String> {
        let name = &source.name;
        let pinned = self.lock().commit(name, git).map(str::to_owned);
        if pinned.is_none() && self.locked {
            return Err(Fault::usage(format!(
                "source `{name}` at {} of {} has no entry in the lock file, and `--locked` was given: run `{}` once without it, and commit the lock",
                git.rev,
                git.url,
                self.spec.call.command("sync")
            )));
        }
        let (commit, tree) = self.have_tree(source, git, pinned.as_deref())?;
        if pinned.is_none() {
            self.pin(source, git, &commit)?;
        }
        self.tell_gaps(source, &tree);
        Ok(commit)
    }

    /// Fetches a commit of a source that is not the pinned one, and gives its tree.
    pub fn bring(&self, id: SourceId, commit: &str) -> Result<Utf8PathBuf> {
        let source = self.source(id);
        let git = self.git(source)?;
        let _held = self.hold()?;
        let (_, tree) = self.have_tree(source, git, Some(commit))?;
        Ok(tree)
    }

    /// Makes the tree of the wanted commit, or, if `wanted` is `None`, of the commit that the
    /// revision names now. Gives the commit and its tree.
    fn have_tree(
        &self,
        source: &Source,
        git: &Git,
        wanted: Option<&str>,
    ) -> Result<(String, Utf8PathBuf)> {
        let name = &source.name;
        let folder = source::folder(self.state, name);
        let fault = |why: &dyn std::fmt::Display| {
            Fault::lacks(format!("cannot keep source `{name}` in {folder}: {why}"))
        };
        let store =
            SourceStore::open(folder.clone(), self.interrupt).map_err(|error| fault(&error))?;
        // Another process may have fetched it meanwhile.
        if let Some(commit) = wanted
            && let Some(tree) = store.tree(commit)
        {
            return Ok((commit.to_owned(), tree));
        }
        let mut is_first = true;
        loop {
            let commit = self.have(source, git, wanted, &store)?;
            let tree = store.tree(&commit);
            match tree.map_or_else(|| store.check_out(&commit), Ok) {
                Ok(tree) => return Ok((commit, tree)),
                // The fetched objects are damaged, and git does not fetch again what it has.
                Err(CheckOut::Git(Trouble::Failed(_))) if is_first => {
                    is_first = false;
                    store.forget(&commit).map_err(|error| fault(&error))?;
                }
                Err(CheckOut::Git(Trouble::Interrupted)) => return Err(Fault::interrupted()),
                Err(CheckOut::Git(Trouble::NoGit(why) | Trouble::Failed(why))) => {
                    return Err(fault(&why));
                }
                Err(CheckOut::Disk(error)) => return Err(fault(&error)),
            }
        }
    }

    /// Makes sure that all objects of the wanted commit are there, and gives the commit.
    fn have(
        &self,
        source: &Source,
        git: &Git,
        pinned: Option<&str>,
        store: &SourceStore<'_>,
    ) -> Result<String> {
        if let Some(commit) = pinned {
            match store.has(commit) {
                Ok(true) => return Ok(commit.to_owned()),
                Err(Trouble::Interrupted) => return Err(Fault::interrupted()),
                Ok(false) | Err(_) => {}
            }
        }
        if self.offline {
            return Err(Fault::lacks(format!(
                "source `{}` is not on this machine, and `--offline` was given: run `{}` online, or set {} to a checkout of {}",
                source.name,
                self.spec.call.command("sync"),
                names::source_variable(&source.name),
                git.url
            )));
        }
        self.try_each(source, git, |url| {
            self.attempt(source, git, url, pinned, store)
        })
    }

    /// Tries the repositories in order, then those with a passing fault again.
    fn try_each<T>(
        &self,
        source: &Source,
        git: &Git,
        attempt: impl Fn(&str) -> Result<T, Refusal>,
    ) -> Result<T> {
        let mut urls: Vec<&str> = git.mirrors.iter().map(String::as_str).collect();
        urls.push(&git.url);
        let mut reasons: Vec<(&str, Refusal)> = Vec::new();
        for round in 0..=BACKOFF.len() {
            let pause = BACKOFF.get(round);
            let mut again = Vec::new();
            let mut left = urls.len();
            for url in urls {
                left -= 1;
                let refusal = match attempt(url) {
                    Ok(found) => return Ok(found),
                    Err(Refusal::Final(fault)) => return Err(fault),
                    Err(refusal) => refusal,
                };
                if refusal.may_pass() && pause.is_some() {
                    again.push(url);
                }
                // The fault that is returned has the last reasons.
                if left > 0 || !again.is_empty() {
                    let message = format!("source `{}`: {}", source.name, refusal.told(url));
                    self.tell(Event::Notice { message });
                }
                reasons.retain(|(asked, _)| *asked != url);
                reasons.push((url, refusal));
            }
            urls = again;
            let Some(pause) = pause.filter(|_| !urls.is_empty()) else {
                break;
            };
            if self.interrupt.wait(*pause) {
                return Err(Fault::interrupted());
            }
        }
        Err(nobody_has(self.spec, source, git, &reasons))
    }

    /// Fetches the wanted commit from one repository.
    fn attempt(
        &self,
        source: &Source,
        git: &Git,
        url: &str,
        pinned: Option<&str>,
        store: &SourceStore<'_>,
    ) -> Result<String, Refusal> {
        self.tell(Event::SourceStarted {
            source: source.name.clone(),
            from: url.to_owned(),
        });
        let (commit, reference) = self.wanted(source, git, url, pinned)?;
        if store.has(&commit)? {
            return Ok(commit);
        }
        let step = |step: &str| {
            self.tell(Event::SourceStep {
                source: source.name.clone(),
                step: step.to_owned(),
            });
        };
        let fetch = || store.fetch(url, &commit, reference.as_deref(), &step);
        let mut fetched = fetch();
        if matches!(&fetched, Err(Trouble::Failed(why)) if !passing(why))
            && !store.is_sound(&commit)?
        {
            let forgotten = store.forget(&commit);
            forgotten.map_err(|error| {
                Refusal::Final(Fault::lacks(format!(
                    "cannot remove the damaged parts of source `{}`: {error}",
                    source.name
                )))
            })?;
            fetched = fetch();
        }
        if fetched? {
            Ok(commit)
        } else {
            Err(Refusal::Missing(format!("does not have commit {commit}")))
        }
    }

    /// The commit to fetch, and the reference under which this repository has it, if there is one.
    /// Refuses a tag that is not the commit that it was locked as.
    fn wanted(
        &self,
        source: &Source,
        git: &Git,
        url: &str,
        pinned: Option<&str>,
    ) -> Result<(String, Option<String>), Refusal> {
        if names::is_commit(&git.rev) {
            return Ok((git.rev.clone(), None));
        }
        let found = remote::resolve(url, &git.rev, self.interrupt)?;
        match (pinned, found) {
            (None, None) => Err(Refusal::Missing(format!(
                "has neither a tag nor a branch `{}`",
                git.rev
            ))),
            (None, Some(found)) => Ok((found.commit, Some(found.reference))),
            (Some(pinned), Some(found)) if found.is_tag() && found.commit != pinned => {
                Err(Refusal::Final(moved(
                    &self.spec.call,
                    source,
                    git,
                    url,
                    pinned,
                    &found.commit,
                )))
            }
            (Some(pinned), found) => Ok((pinned.to_owned(), found.map(|found| found.reference))),
        }
    }

    fn pin(&self, source: &Source, git: &Git, commit: &str) -> Result<()> {
        let pin = sources::LockedSource::of(git, commit.to_owned());
        {
            // A build may pin its images at the same time.
            let _writing = self.state.lock_pins(|| self.interrupt.pause())?;
            self.lock().pin_source(&source.name, pin)?;
        }
        self.tell(Event::Notice {
            message: format!(
                "source `{}`: {} is commit {commit}, which is in the lock file now; commit that file",
                source.name, git.rev
            ),
        });
        Ok(())
    }

    fn tell_gaps(&self, source: &Source, root: &camino::Utf8Path) {
        let remedy = Remedy::PointElsewhere(names::source_variable(&source.name));
        // This only warns: if the tree cannot be read, the part that must read it reports that.
        let gaps = Gaps::of(root).unwrap_or_default();
        for message in gaps.told(&format!("source `{}`", source.name), &remedy) {
            self.tell(Event::Notice { message });
        }
    }

    fn source(&self, id: SourceId) -> &Source {
        &self.spec.sources[id.index()]
    }

    fn git<'s>(&self, source: &'s Source) -> Result<&'s Git> {
        source.git.as_ref().ok_or_else(|| {
            Fault::usage(format!(
                "source `{}` has no `git` URL in {}: nothing can be fetched for it",
                source.name, self.spec.file
            ))
        })
    }

    fn lock(&self) -> MutexGuard<'_, Lock> {
        self.lock.lock().unpoisoned()
    }

    fn tell(&self, event: Event) {
        // Fetching goes on if nobody listens.
        let _ = self.events.send(event);
    }
}
