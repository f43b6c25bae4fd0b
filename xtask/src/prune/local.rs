//! What is to be removed on this machine: records, private references with their images, blobs of
//! the layout, and files of stages that the graph does not have.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::time::{Duration, Instant, UNIX_EPOCH};

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::Share;
use super::needed::Needed;
use crate::build::bring;
use crate::fault::{Fault, Result};
use crate::freshness::planner::Workspace;
use crate::freshness::record::{Record, Records};
use crate::outside::engine::NoAnswer;
use crate::outside::interrupt::Interrupt;
use crate::outside::place::ImagePlace;
use crate::outside::{archive, private};

/// How often a long removal says how far it is.
const EVERY: Duration = Duration::from_secs(5);
/// Folders of the state that have an entry for each stage, and how the entries' names may end.
const OF_STAGES: [(&str, &[&str]); 4] = [
    ("logs", &[".prepare.log", ".log"]),
    ("sent", &[""]),
    ("merged", &[""]),
    ("prepared", &[""]),
];

/// What is to be removed on this machine.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LocalFound {
    /// Records, by stage.
    records: BTreeMap<String, Vec<Record>>,
    /// Private references, with the image's bytes.
    names: BTreeMap<String, u64>,
    /// Files and folders of stages that are gone, with their bytes.
    files: BTreeMap<Utf8PathBuf, u64>,
    /// Blobs of the layout.
    blobs: BTreeMap<Utf8PathBuf, u64>,
    stays: Stays,
    /// Why the engine was not looked at, if it was not.
    pub note: Option<String>,
}

/// How much stays.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Stays {
    records: usize,
    names: usize,
}

/// What goes and what stays, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LocalSum {
    /// Records.
    pub records: Share,
    /// Private references and their images.
    pub images: Share,
    /// Blobs of the layout.
    pub blobs: Share,
    /// Logs and other files of stages that are gone.
    pub files: Share,
}

impl LocalFound {
    /// Looks for what is to be removed. The caller must hold the graph alone, or look again.
    pub fn look(work: &Workspace, needed: &Needed) -> Result<Self> {
        let unreadable = |error: std::io::Error| {
            let folder = work.state.path("records");
            Fault::lacks(format!("cannot read {folder}: {error}"))
        };
        let mut found = Self::default();
        let (mut kept_names, mut kept_images) = (BTreeSet::new(), BTreeSet::new());
        for stage in work.store.stages().map_err(unreadable)? {
            let (records, warning) = work.store.records(&stage);
            if let Some(warning) = warning {
                // It may have held a reference that is needed.
                return Err(Fault::lacks(format!(
                    "{warning}; to prune, remove that file first"
                )));
            }
            found.judge(
                work,
                needed,
                &stage,
                &records,
                &mut kept_names,
                &mut kept_images,
            )?;
        }
        match work.engine.about() {
            Ok(_) => found.names_in_engine(work, needed, &kept_names)?,
            Err(NoAnswer::Silent(why) | NoAnswer::Forbidden(why)) => {
                let note = format!("images in the engine stay, as it does not answer: {why}");
                found.note = Some(note);
            }
        }
        found.blobs = work
            .layout
            .others(&kept_images)
            .map_err(|error| {
                let folder = work.layout.folder();
                Fault::lacks(format!("cannot read {folder}: {error}"))
            })?
            .into_iter()
            .collect();
        found.files = files_of_gone_stages(work, needed);
        Ok(found)
    }

    /// Sorts the records of a stage into those that go and those that stay.
    fn judge(
        &mut self,
        work: &Workspace,
        needed: &Needed,
        stage: &str,
        records: &Records,
        kept_names: &mut BTreeSet<String>,
        kept_images: &mut BTreeSet<String>,
    ) -> Result<()> {
        for record in records.all() {
            let is_last = records.last() == Some(record);
            if !needed.keeps(stage, record, is_last) {
                let gone = self.records.entry(stage.to_owned()).or_default();
                gone.push(record.clone());
                continue;
            }
            self.stays.records += 1;
            // An image that is recorded elsewhere may have been brought into the engine.
            kept_names.insert(bring::private_reference(work, stage, record)?);
            if let ImagePlace::Engine(reference) = record.place() {
                kept_names.insert(reference);
                let entry = archive::exported_before(&work.state, &record.identity());
                kept_images.extend(entry.map(|entry| entry.digest));
            } else {
                kept_images.insert(record.image.clone());
            }
        }
        Ok(())
    }

    /// The private references of this state that no record needs, and the names of external images
    /// that have no other name any more.
    fn names_in_engine(
        &mut self,
        work: &Workspace,
        needed: &Needed,
        kept: &BTreeSet<String>,
    ) -> Result<()> {
        let own = work.state.id().map_err(|error| {
            let folder = work.state.path("");
            Fault::lacks(format!("cannot look at the state folder {folder}: {error}"))
        })?;
        let own = private::of_state(&own);
        let in_use = work.engine.images_in_use()?;
        for image in work.engine.images_below(&own)? {
            let names = image.repo_tags.unwrap_or_default();
            let is_own = |name: &&String| name.starts_with(&own);
            let (stay, go): (Vec<_>, Vec<_>) = names
                .iter()
                .filter(is_own)
                .partition(|name| kept.contains(*name));
            self.stays.names += stay.len();
            // The image goes with its last name, unless a container has it.
            let is_whole = go.len() == names.len();
            let mut ways = std::iter::once(&image.id).chain(&names);
            if is_whole && ways.any(|name| in_use.contains(name)) {
                self.stays.names += go.len();
                continue;
            }
            let mut freed = if is_whole { image.size } else { 0 };
            for name in go {
                self.names.insert(name.clone(), std::mem::take(&mut freed));
            }
        }
        for image in work.engine.images_below(&private::bases())? {
            let names = image.repo_tags.unwrap_or_default();
            let [only] = names.as_slice() else {
                continue;
            };
            // Nothing finds it any more: a build asks for the external image by its own name. A
            // build that runs elsewhere may use it now.
            let tagged = work.engine.tagged_at(only)?;
            let tagged = tagged.and_then(|at| u64::try_from(at).ok());
            if tagged.is_some_and(|at| needed.is_old_for_others(at.saturating_mul(1000))) {
                self.names.insert(only.clone(), image.size);
            }
        }
        Ok(())
    }

    /// What is in both: what was shown, and is still to be removed.
    #[must_use]
    pub fn and(mut self, shown: &Self) -> Self {
        for (stage, records) in &mut self.records {
            let before = shown.records.get(stage);
            records.retain(|record| before.is_some_and(|before| before.contains(record)));
        }
        self.names.retain(|name, _| shown.names.contains_key(name));
        self.files.retain(|path, _| shown.files.contains_key(path));
        self.blobs.retain(|path, _| shown.blobs.contains_key(path));
        self
    }

    /// What goes and what stays, in numbers.
    pub fn sum(&self) -> LocalSum {
        let of = |all: &BTreeMap<Utf8PathBuf, u64>| Share {
            goes: all.len(),
            stays: 0,
            bytes: all.values().sum(),
        };
        LocalSum {
            records: Share {
                goes: self.records.values().map(Vec::len).sum(),
                stays: self.stays.records,
                bytes: 0,
            },
            images: Share {
                goes: self.names.len(),
                stays: self.stays.names,
                bytes: self.names.values().sum(),
            },
            blobs: of(&self.blobs),
            files: of(&self.files),
        }
    }

    /// Whether nothing is to be removed.
    pub fn is_empty(&self) -> bool {
        let sum = self.sum();
        [sum.records, sum.images, sum.blobs, sum.files]
            .iter()
            .all(|share| share.goes == 0)
    }

    /// Removes it. The caller must hold the graph alone. Gives how many images stay because
    /// containers use them.
    pub fn remove(&self, work: &Workspace, interrupt: &Interrupt) -> Result<usize> {
        for (stage, records) in &self.records {
            if interrupt.is_set() {
                return Err(Fault::interrupted());
            }
            let forgotten = work.store.forget(stage, |own| records.contains(own));
            forgotten.map_err(|error| {
                Fault::lacks(format!("cannot write the records of `{stage}`: {error}"))
            })?;
        }
        let used = self.untag(work, interrupt)?;
        for path in self.blobs.keys().chain(self.files.keys()) {
            if interrupt.is_set() {
                return Err(Fault::interrupted());
            }
            let is_folder = path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
            let removed = if is_folder {
                std::fs::remove_dir_all(path)
            } else {
                std::fs::remove_file(path)
            };
            match removed {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(Fault::lacks(format!("cannot remove {path}: {error}")));
                }
                _ => {}
            }
        }
        Ok(used)
    }

    /// Removes the references, and gives how many images stay, as containers use them.
    fn untag(&self, work: &Workspace, interrupt: &Interrupt) -> Result<usize> {
        let names: Vec<&str> = self.names.keys().map(String::as_str).collect();
        let mut told = Instant::now();
        let removed = work
            .engine
            .untag_all(&names, &|| !interrupt.is_set(), &mut |gone| {
                if told.elapsed() >= EVERY {
                    told = Instant::now();
                    crate::tell!("{gone} of {} images removed", names.len());
                }
            })?;
        if interrupt.is_set() {
            return Err(Fault::interrupted());
        }
        Ok(removed.used)
    }
}

/// Files of stages that the graph does not have, if they are old.
fn files_of_gone_stages(work: &Workspace, needed: &Needed) -> BTreeMap<Utf8PathBuf, u64> {
    let mut found = BTreeMap::new();
    for (folder, ends) in OF_STAGES {
        // A folder that cannot be read has nothing to remove.
        let Ok(entries) = work.state.path(folder).read_dir_utf8() else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let stage = ends.iter().find_map(|end| name.strip_suffix(end));
            let Some(stage) = stage.filter(|stage| !needed.has_stage(stage)) else {
                continue;
            };
            debug_assert!(!stage.is_empty());
            let (bytes, changed_ms) = weight(entry.path());
            if !needed.is_young(changed_ms) {
                found.insert(entry.path().to_owned(), bytes);
            }
        }
    }
    found
}

/// The bytes of a file or of all files below a folder, and when the last of them was changed, in
/// milliseconds since 1970. What cannot be read counts as changed now.
fn weight(path: &Utf8Path) -> (u64, u64) {
    let Ok(meta) = path.symlink_metadata() else {
        return (0, u64::MAX);
    };
    let changed = meta.modified().ok();
    let changed = changed.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let changed = changed.and_then(|at| u64::try_from(at.as_millis()).ok());
    let own = (meta.len(), changed.unwrap_or(u64::MAX));
    if !meta.is_dir() {
        return own;
    }
    let Ok(entries) = path.read_dir_utf8() else {
        return (0, u64::MAX);
    };
    let below = entries.flatten().map(|entry| weight(entry.path()));
    below.fold((0, own.1), |(bytes, changed), (more, at)| {
        (bytes + more, changed.max(at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::freshness::key::Key;
    use crate::freshness::record::Volatile;

    fn record(key: u8) -> Record {
        Record {
            key: Key([key; 32]),
            image: format!("sha256:{key}"),
            private: format!("xtask/a:{key}"),
            references: Vec::new(),
            size: 1,
            duration_ms: 1,
            ended_ms: 1,
            volatile: Volatile::default(),
            manifest: None,
            parts: Vec::new(),
        }
    }

    fn found(keys: &[u8]) -> LocalFound {
        let path = |key: &u8| (Utf8PathBuf::from(format!("/state/{key}")), 1);
        LocalFound {
            records: [(
                "a".to_owned(),
                keys.iter().map(|key| record(*key)).collect(),
            )]
            .into(),
            names: keys.iter().map(|key| (record(*key).private, 1)).collect(),
            files: keys.iter().map(path).collect(),
            blobs: keys.iter().map(path).collect(),
            ..LocalFound::default()
        }
    }

    #[test]
    fn what_a_second_look_finds_beside_what_was_shown_stays() {
        assert_eq!(found(&[2, 3]).and(&found(&[1, 2])), found(&[2]));
        assert!(found(&[3]).and(&found(&[1, 2])).is_empty());
        assert!(found(&[3]).and(&LocalFound::default()).is_empty());
    }
}
