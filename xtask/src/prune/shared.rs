//! What is to be removed in the registry: records that are old and of no key of the graph, and the
//! images that nothing leads to then.
//!
//! Only the two repositories of this program below `[registry].url` are looked at. A registry
//! removes by digest, and with a digest goes every tag of it. So a digest stays if any tag of it
//! stays: one that a person made, one of a key that is needed, or an index that names it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rayon::prelude::*;
use serde::Serialize;

use super::Share;
use super::needed::Needed;
use crate::fault::{Fault, Result};
use crate::freshness::pins;
use crate::freshness::planner::Workspace;
use crate::freshness::record::RecordStore;
use crate::freshness::shared::thing::SharedThing;
use crate::graphfile::spec::sharing::Sharing;
use crate::outside::interrupt::Interrupt;
use crate::outside::layout::AnyManifest;
use crate::outside::place::ImagePlace;
use crate::outside::push;
use crate::outside::state::State;
use crate::unpoisoned::Unpoisoned as _;
use reference::Reference;
use registry::{Effort, Registries};

/// The digits of a key, and of what a host command would make.
const DIGITS: usize = 64;
/// The most bytes of an image's configuration.
const CONFIG: u64 = 4 << 20;

/// What is to be removed in the registry, by digest, with the bytes that it names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SharedFound {
    /// Artifacts of the repository of records.
    records: BTreeMap<String, u64>,
    /// Manifests and indexes of the repository of images. Indexes go first.
    indexes: BTreeMap<String, u64>,
    images: BTreeMap<String, u64>,
    stays: Stays,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Stays {
    records: usize,
    images: usize,
}

/// What goes and what stays, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SharedSum {
    /// Records, and what host commands made.
    pub records: Share,
    /// Images and indexes.
    pub images: Share,
}

/// A registry that is looked at.
struct Look<'w> {
    work: &'w Workspace,
    sharing: &'w Sharing,
    needed: &'w Needed,
    registries: &'w Registries,
    interrupt: &'w Interrupt,
}

/// What the records of the registry say.
#[derive(Default)]
struct Recorded {
    /// The keys whose records stay, and those that go.
    stay: BTreeSet<String>,
    go: BTreeSet<String>,
    /// The images of records that stay, by digest.
    images: BTreeSet<String>,
}

/// One tag of the repository of images.
struct Tagged {
    tag: String,
    digest: String,
    manifest: Arc<AnyManifest>,
}

impl Tagged {
    /// The bytes of its layers and its configuration.
    fn bytes(&self) -> u64 {
        let manifest = &self.manifest;
        let blobs = manifest.layers.iter().chain(&manifest.config);
        blobs.map(|blob| blob.size).sum()
    }

    fn is_index(&self) -> bool {
        !self.manifest.manifests.is_empty()
    }
}

impl SharedFound {
    /// Looks for what is to be removed in the registry of a graph.
    pub fn look(work: &Workspace, needed: &Needed, interrupt: &Interrupt) -> Result<Self> {
        let Some(sharing) = &work.spec.registry else {
            return Err(Fault::usage(format!(
                "{} has no [registry], so there is nothing to prune there: leave out `--registry`",
                work.spec.file
            )));
        };
        if needed.is_partly_unknown() {
            return Err(Fault::lacks(format!(
                "a profile cannot be read, so nothing in {} is removed: {}",
                sharing.url,
                needed.notes.join("; ")
            )));
        }
        let look = Look {
            work,
            sharing,
            needed,
            registries: work.registries()?,
            interrupt,
        };
        for repository in [sharing.images(), sharing.records()] {
            let normal = push::reference(&repository)?;
            let normal = format!("{}/{}", normal.registry, normal.repository);
            if needed.publishes(&normal) {
                return Err(Fault::usage(format!(
                    "stages are published as {repository}, which has the parts of all of them: give them another `image` or `to`, as nothing there can be pruned"
                )));
            }
        }
        let mut found = Self::default();
        let recorded = look.records(&mut found)?;
        look.images(&mut found, &recorded)?;
        Ok(found)
    }

    /// What goes and what stays, in numbers.
    pub fn sum(&self) -> SharedSum {
        SharedSum {
            records: Share {
                goes: self.records.len(),
                stays: self.stays.records,
                bytes: self.records.values().sum(),
            },
            images: Share {
                goes: self.images.len() + self.indexes.len(),
                stays: self.stays.images,
                bytes: self.images.values().sum(),
            },
        }
    }

    /// Whether nothing is to be removed.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.images.is_empty() && self.indexes.is_empty()
    }

    /// What is in both: what was shown, and is still to be removed.
    #[must_use]
    pub fn and(mut self, shown: &Self) -> Self {
        self.records.retain(|it, _| shown.records.contains_key(it));
        self.indexes.retain(|it, _| shown.indexes.contains_key(it));
        self.images.retain(|it, _| shown.images.contains_key(it));
        self
    }

    /// Removes it: the records first, then the indexes, then the images.
    pub fn remove(&self, work: &Workspace, interrupt: &Interrupt) -> Result<()> {
        let Some(sharing) = &work.spec.registry else {
            return Ok(());
        };
        let registries = work.registries()?;
        for (repository, digests) in [
            (sharing.records(), &self.records),
            (sharing.images(), &self.indexes),
            (sharing.images(), &self.images),
        ] {
            let gone = AtomicUsize::new(0);
            let one = |digest: &&String| -> Result<()> {
                if interrupt.is_set() {
                    return Err(Fault::interrupted());
                }
                let reference = push::reference(&format!("{repository}@{digest}"))?;
                registries.remove_manifest(&reference, digest)?;
                let gone = gone.fetch_add(1, Ordering::SeqCst) + 1;
                if gone.is_multiple_of(100) {
                    crate::tell!("{gone} of {} removed in {repository}", digests.len());
                }
                Ok(())
            };
            let digests: Vec<&String> = digests.keys().collect();
            pins::at_once(|| digests.par_iter().map(one).collect::<Result<()>>())?;
        }
        Ok(())
    }
}

impl Look<'_> {
    /// Judges the records.
    fn records(&self, found: &mut SharedFound) -> Result<Recorded> {
        let reference = push::reference(&self.sharing.records())?;
        let (mut recorded, mut judged) = (Recorded::default(), Vec::new());
        for (tag, body) in self.manifests(&reference)? {
            let (goes, bytes) = match SharedThing::of(&body.bytes) {
                // Something else is left alone.
                None => (false, 0),
                Some(SharedThing::Outputs {
                    question,
                    made_ms,
                    size,
                }) => {
                    let is_old = made_ms.is_some_and(|made| !self.needed.is_young(made));
                    (is_old && !self.needed.asks(&question), size)
                }
                Some(SharedThing::Record {
                    key,
                    stage,
                    ended_ms,
                    image,
                }) => {
                    let key = key.hex();
                    let goes = !self.needed.is_young(ended_ms)
                        && !self.needed.has_key(&key)
                        && !self.needed.may_have_any_key(&stage);
                    if goes {
                        recorded.go.insert(key);
                    } else {
                        recorded.stay.insert(key);
                        let digest = image.split_once('@').map(|(_, digest)| digest.to_owned());
                        recorded.images.extend(digest);
                    }
                    (goes, 0)
                }
            };
            judged.push((tag, body.digest, goes, bytes));
        }
        // A tag that no key has was made by a person, and keeps its digest.
        let stays = |(tag, _, goes, _): &&(String, String, bool, u64)| !goes || !is_key(tag);
        let kept: BTreeSet<String> = judged.iter().filter(stays).map(|it| it.1.clone()).collect();
        for (_, digest, _, bytes) in judged {
            if kept.contains(&digest) {
                found.stays.records += 1;
            } else {
                found.records.insert(digest, bytes);
            }
        }
        Ok(recorded)
    }

    /// Judges the images.
    fn images(&self, found: &mut SharedFound, recorded: &Recorded) -> Result<()> {
        let reference = push::reference(&self.sharing.images())?;
        let mut tagged = Vec::new();
        for (tag, body) in self.manifests(&reference)? {
            // What is no manifest stays, and so does what it names.
            if let Ok(manifest) = AnyManifest::read(&body.bytes) {
                tagged.push(Tagged {
                    tag,
                    digest: body.digest,
                    manifest: Arc::new(manifest),
                });
            }
        }
        let mut kept = self.used_elsewhere()?;
        kept.extend(recorded.images.iter().cloned());
        for own in &tagged {
            let stays = !is_key(&own.tag)
                || self.needed.has_key(&own.tag)
                || recorded.stay.contains(&own.tag)
                // Nobody has its record: one that is being written, or that a prune removed.
                || (!own.is_index() && !recorded.go.contains(&own.tag) && self.is_young(&reference, own)?);
            if stays {
                kept.insert(own.digest.clone());
            }
        }
        // An index keeps what it names. One that nothing asks for stays as long as all of that does.
        let indexes = tagged.iter().filter(|own| kept.contains(&own.digest));
        let below = indexes.flat_map(|own| &own.manifest.manifests);
        let below: Vec<String> = below.map(|entry| entry.digest.clone()).collect();
        kept.extend(below);
        let whole: Vec<String> = tagged
            .iter()
            .filter(|own| {
                let mut below = own.manifest.manifests.iter();
                own.is_index() && below.all(|entry| kept.contains(&entry.digest))
            })
            .map(|own| own.digest.clone())
            .collect();
        kept.extend(whole);
        for own in &tagged {
            if kept.contains(&own.digest) {
                found.stays.images += 1;
            } else if own.is_index() {
                found.indexes.insert(own.digest.clone(), 0);
            } else {
                found.images.insert(own.digest.clone(), own.bytes());
            }
        }
        Ok(())
    }

    /// The manifests behind all tags of a repository, by tag.
    fn manifests(&self, reference: &Reference) -> Result<Vec<(String, registry::ManifestBody)>> {
        let tags: Vec<String> = self.registries.tags(reference)?.into_iter().collect();
        let got = Mutex::new(Vec::with_capacity(tags.len()));
        let one = |tag: &String| -> Result<()> {
            if self.interrupt.is_set() {
                return Err(Fault::interrupted());
            }
            // A tag may have gone since the list was made.
            if let Some(body) = self.registries.manifest(reference, tag, Effort::Full)? {
                got.lock().unpoisoned().push((tag.clone(), body));
            }
            Ok(())
        };
        pins::at_once(|| tags.par_iter().map(one).collect::<Result<()>>())?;
        Ok(got.into_inner().unwrap_or_default())
    }

    /// Whether an image without a record was made lately. Its configuration says when, if that is
    /// not the time of a commit.
    fn is_young(&self, reference: &Reference, own: &Tagged) -> Result<bool> {
        let Some(config) = &own.manifest.config else {
            return Ok(true);
        };
        let effort = Effort::Full;
        let got = self
            .registries
            .blob(reference, &config.digest, CONFIG, effort)?;
        let created = got.and_then(|bytes| {
            let config: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
            let seconds = calendar::rfc3339(config.get("created")?.as_str()?)?;
            u64::try_from(seconds).ok()
        });
        Ok(created.is_none_or(|seconds| self.needed.is_young(seconds.saturating_mul(1000))))
    }

    /// The digests that this machine may use: in the records of this state and of those beside it,
    /// and of images that the engine has from there.
    fn used_elsewhere(&self) -> Result<BTreeSet<String>> {
        let images = self.sharing.images();
        let mut used = BTreeSet::new();
        let beside = self.work.state.beside();
        let entries = beside.read_dir_utf8();
        for entry in entries.into_iter().flatten().flatten() {
            let store = RecordStore::of(State::in_folder(entry.path().to_owned()));
            let is_own = entry.path() == self.work.state.path("");
            for stage in store.stages().unwrap_or_default() {
                let (records, _) = store.records(&stage);
                let all = records.all().filter(|record| {
                    let is_last = records.last() == Some(record);
                    !is_own || self.needed.keeps(&stage, record, is_last)
                });
                used.extend(all.filter_map(|record| match record.place() {
                    ImagePlace::Registry(place) => {
                        let (repository, digest) = place.split_once('@')?;
                        (repository == images).then(|| digest.to_owned())
                    }
                    _ => None,
                }));
            }
        }
        // A machine without an engine, such as one for CI, has no images.
        if self.work.engine.about().is_ok() {
            used.extend(self.work.engine.digests_of(&images)?);
        }
        Ok(used)
    }
}

/// Whether a tag is that of a key.
fn is_key(tag: &str) -> bool {
    tag.len() == DIGITS && tag.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(digests: &[&str]) -> SharedFound {
        let all = || digests.iter().map(|it| ((*it).to_owned(), 1)).collect();
        SharedFound {
            records: all(),
            indexes: all(),
            images: all(),
            ..SharedFound::default()
        }
    }

    #[test]
    fn what_a_second_look_finds_beside_what_was_shown_stays() {
        assert_eq!(found(&["b", "c"]).and(&found(&["a", "b"])), found(&["b"]));
        assert!(found(&["c"]).and(&found(&["a"])).is_empty());
    }

    #[test]
    fn only_a_whole_hash_is_the_tag_of_a_key() {
        assert!(is_key(&"0f".repeat(32)));
        for tag in ["keep", &"0f".repeat(31), &"0g".repeat(32), &"0f".repeat(33)] {
            assert!(!is_key(tag), "{tag}");
        }
    }
}
