//! Pins the external images of a stage before it is built.
//!
//! An image without an entry in the lock gets one at its first build. If the registry does not have
//! the image or does not answer, and the engine has it, the engine's image is used and is not
//! locked. `--locked` and `--offline` refuse what they rule out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use super::Run;

use crate::fault::{Fault, Result};
use crate::freshness::pins::{self, Uses, platforms};
use crate::freshness::stage_inputs::{self, StageInputs, Taken};
use crate::graphfile::lock::Base;
use crate::graphfile::spec::StageId;
use crate::outside::engine::Images;
use crate::report::event::Event;
use crate::unpoisoned::Unpoisoned as _;
use registry::{Effort, Registries};

/// How often a wait for a registry checks for an interrupt.
const LOOK: Duration = Duration::from_millis(50);

/// What one run has asked of registries.
#[derive(Debug, Default)]
pub(super) struct Pinning {
    registries: OnceLock<Arc<Registries>>,
    /// Where notices of further attempts go. Set to `None` when the run stops waiting for the
    /// answer: the report ends with the last sender.
    notices: Arc<Mutex<Option<Sender<Event>>>>,
    /// The images that only the engine has. Locked while a registry is asked, so that two stages
    /// with the same base ask once.
    engine_only: Mutex<BTreeSet<String>>,
}

impl Run<'_> {
    /// Gives the external images of a stage their entries in the lock. The lock file may be read
    /// again for that.
    pub(super) fn pin(&self, id: StageId, stage_inputs: &StageInputs) -> Result<()> {
        let mut uses = Uses::default();
        uses.add(id, stage_inputs.externals.clone());
        let lock = || locked(&self.work.lock);
        if uses.missing(&lock()).is_empty() {
            return Ok(());
        }
        if self.wishes.locked {
            pins::refuse_uncovered(&self.work.spec, &uses, &lock())?;
        }
        let mut engine_only = locked(&self.pinning.engine_only);
        // Another stage, or another run, may have pinned them meanwhile.
        lock().reload()?;
        let missing: Vec<String> = uses
            .missing(&lock())
            .values()
            .map(|used| used.name.clone())
            .filter(|name| !engine_only.contains(name))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let held = self.held(&missing)?;
        let near_stages = &stage_inputs.externals.near_stages;
        if self.wishes.offline {
            let absent: Vec<&String> = missing
                .iter()
                .filter(|name| !pins::is_held(&held, name))
                .collect();
            let near = absent.iter().find_map(|name| near_stages.get(*name));
            return match (near, absent.as_slice()) {
                (_, []) => Ok(()),
                (Some(near), _) => Err(Fault::usage(near.clone())),
                (None, absent) => Err(not_here(absent)),
            };
        }
        let mut new = BTreeMap::new();
        for (name, answer) in self.ask(&missing, &held, near_stages)? {
            match answer {
                Ok(base) => {
                    new.insert(name, base);
                }
                Err(why) => {
                    let message = format!(
                        "`{name}` is not locked, and the engine's own image is used: {why}"
                    );
                    self.tell(Event::Notice { message });
                    engine_only.insert(name);
                }
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        // A base that is refused for its platforms is not locked.
        let of_new = |taken: &Taken| Ok(new.get(&taken.reference).and_then(platforms::of_entry));
        let spec = &self.work.spec;
        let mut takes = stage_inputs.externals.takes.clone();
        // What another part of the stage cannot use is not locked for this one.
        if spec.stage(id).is_part() {
            let platforms = stage_inputs::platforms_of(spec.whole(id), None).unwrap_or_default();
            for taken in takes.iter_mut().filter(|taken| !taken.is_chosen) {
                taken.platforms.clone_from(&platforms);
            }
        }
        for message in platforms::check((spec.stage(id), spec.whole(id)), &takes, of_new)? {
            self.tell(Event::Notice { message });
        }
        let file = lock().path().to_owned();
        let is_in_memory = lock().is_in_memory();
        let told = new.iter().filter(|_| !is_in_memory);
        let notices: Vec<String> = told
            .map(|(name, base)| {
                let digest = &base.digest;
                format!("pinned {name} to {digest} in {file}; commit that file")
            })
            .collect();
        let by_canonical = new.into_iter().filter_map(|(name, base)| {
            let reference = reference::normalise(&name)?;
            Some((reference.canonical(), base))
        });
        {
            // Another build may pin its images at the same time.
            let _writing = self.work.state.lock_pins(|| self.interrupt.pause())?;
            lock().pin(by_canonical.collect())?;
        }
        for message in notices {
            self.tell(Event::Notice { message });
        }
        Ok(())
    }

    /// What the engine has under these names.
    fn held(&self, names: &[String]) -> Result<Images> {
        let known: Images = {
            let images = self.held.images();
            let known = names.iter().filter_map(|name| images.get_key_value(name));
            known
                .map(|(name, image)| (name.clone(), image.clone()))
                .collect()
        };
        let mut held = known;
        let unknown: Vec<String> = names
            .iter()
            .filter(|name| !held.contains_key(*name))
            .cloned()
            .collect();
        if !unknown.is_empty() {
            let asked = self.work.images(&unknown)?;
            self.held.extend(asked.clone());
            held.extend(asked);
        }
        Ok(held)
    }

    /// Asks the registries, on a thread of its own, as an interrupt must not wait for a slow
    /// registry. The error of an image is the reason to use the engine's own image.
    fn ask(
        &self,
        names: &[String],
        held: &Images,
        near_stages: &BTreeMap<String, String>,
    ) -> Result<Vec<(String, Result<Base, String>)>> {
        let registries = self.registries()?;
        let wanted: Vec<_> = names
            .iter()
            .filter_map(|name| {
                // The engine has the image, or the name is probably a misspelled stage that no
                // registry has.
                let effort = if pins::is_held(held, name) || near_stages.contains_key(name) {
                    Effort::Brief
                } else {
                    Effort::Full
                };
                Some((name.clone(), reference::normalise(name)?, effort))
            })
            .collect();
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let borrowed: Vec<_> = wanted
                .iter()
                .map(|(name, reference, effort)| (name.as_str(), reference, *effort))
                .collect();
            let answers = pins::look_up(&registries, &borrowed);
            let owned = answers
                .into_iter()
                .map(|(name, answer)| (name.to_owned(), answer));
            // After an interrupt nobody listens.
            let _ = sender.send(owned.collect::<Vec<_>>());
        });
        let answers = loop {
            match receiver.recv_timeout(LOOK) {
                Ok(answers) => break answers,
                Err(RecvTimeoutError::Timeout) if self.interrupt.is_set() => {
                    *locked(&self.pinning.notices) = None;
                    return Err(Fault::interrupted());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Fault::failed("the request to a registry failed"));
                }
            }
        };
        let mut good = Vec::new();
        let mut bad = Vec::new();
        for (name, answer) in answers {
            match answer {
                Ok(found) => good.push((name, Ok(Base::from(found)))),
                Err(error)
                    if pins::is_held(held, &name) && (error.is_absence() || error.is_silence()) =>
                {
                    good.push((name, Err(error.to_string())));
                }
                Err(error) => bad.push((error, near_stages.get(&name).map(String::as_str))),
            }
        }
        if bad.is_empty() {
            Ok(good)
        } else {
            Err(pins::together(
                bad.iter().map(|(error, near)| (error, *near)),
            ))
        }
    }

    fn registries(&self) -> Result<Arc<Registries>> {
        if let Some(registries) = self.pinning.registries.get() {
            return Ok(Arc::clone(registries));
        }
        let notices = Arc::clone(&self.pinning.notices);
        *locked(&notices) = Some(self.events.clone());
        let registries = pins::registries(move |message| {
            let message = message.to_owned();
            // The wait goes on if nobody listens.
            if let Some(events) = locked(&notices).as_ref() {
                let _ = events.send(Event::Notice { message });
            }
        })?;
        Ok(Arc::clone(
            self.pinning.registries.get_or_init(|| Arc::new(registries)),
        ))
    }

    /// Refuses a stage for which BuildKit would have to fetch something.
    pub(super) fn refuse_absent(&self, stage_inputs: &StageInputs) -> Result<()> {
        let fetched = stage_inputs
            .reading
            .remotes
            .iter()
            .find(|remote| !remote.is_fixed);
        if let Some(remote) = fetched {
            return Err(Fault::lacks(format!(
                "its Dockerfile adds {} from elsewhere (line {}), and `--offline` was given: build once without it",
                remote.url, remote.line
            )));
        }
        let pinned: Vec<(String, String)> = {
            let lock = locked(&self.work.lock);
            let references = stage_inputs.externals.references.iter();
            references
                .filter_map(|name| Some((name.clone(), lock.digest(name)?)))
                .collect()
        };
        let exact: Vec<String> = pinned
            .iter()
            .map(|(name, digest)| format!("{}@{digest}", bare(name)))
            .collect();
        let images = self.work.images(&exact)?;
        let absent = || {
            let all = pinned.iter().zip(&exact);
            all.filter(|(_, exact)| !pins::is_held(&images, exact))
        };
        if absent().next().is_none() {
            return Ok(());
        }
        // BuildKit keeps the images that it pulled for builds. The engine's list of images does not
        // show them.
        let pulled = self.work.engine.pulled_by_builds()?;
        let absent: Vec<&String> = absent()
            .filter(|((_, digest), _)| !pulled.iter().any(|line| line.ends_with(digest)))
            .map(|(_, exact)| exact)
            .collect();
        match absent.as_slice() {
            [] => Ok(()),
            absent => Err(not_here(absent)),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unpoisoned()
}

fn bare(reference: &str) -> &str {
    reference
        .split_once('@')
        .map_or(reference, |(bare, _)| bare)
}

fn not_here(names: &[&String]) -> Fault {
    let shown: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let (verb, them) = if names.len() == 1 {
        ("is", "it")
    } else {
        ("are", "them")
    };
    Fault::lacks(format!(
        "{} {verb} not on this machine, and `--offline` was given: `docker pull` {them} while there is a network, or build once without it",
        shown.join(", ")
    ))
}
