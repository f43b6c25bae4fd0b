//! Removes superseded private references.
//!
//! Every build of another key gives its image a private reference, which keeps the image from being
//! pruned. Those that nothing needs are removed a few at a time, after the result of a build is
//! shown. A failure here never fails the build.

use std::collections::{BTreeSet, HashMap};

use super::bring;
use crate::fault::Result;
use crate::freshness::planner::Workspace;
use crate::freshness::record::{RecordStore, Records};
use crate::outside::interrupt::Interrupt;
use crate::outside::place::ImagePlace;
use crate::outside::{archive, private, state};

/// How many are removed in one run. With its last name the image goes, and that takes time.
const AT_ONCE: usize = 5;
/// The file that is there while more are to be removed.
const MORE: &str = "superseded";
/// How many private references stay of a stage that the graph does not have, such as one of another
/// profile.
const KEEP_OF_OTHERS: usize = 3;

/// Removes some superseded private references of this state folder, if this run has built anything
/// or an earlier run left some. The caller must hold the graph alone. `used` are the references
/// that this run has seen in use. Gives a note for the user.
pub(super) fn remove(
    work: &Workspace,
    used: &BTreeSet<String>,
    has_built: bool,
    interrupt: &Interrupt,
) -> Option<String> {
    let more = work.state.path(MORE);
    if !has_built && !more.exists() {
        return None;
    }
    match remove_some(work, used, interrupt) {
        // If the file cannot be written or removed, the next build finds these references again.
        Ok(0) => {
            let _ = std::fs::remove_file(&more);
            None
        }
        Ok(_) => {
            let _ = state::write_atomically(&more, b"");
            None
        }
        Err(_) if interrupt.is_set() => None,
        Err(fault) => {
            let _ = state::write_atomically(&more, b"");
            Some(format!(
                "superseded images are still there, and the next build removes them: {fault}"
            ))
        }
    }
}

/// Removes up to `AT_ONCE` references, and gives how many are left.
fn remove_some(work: &Workspace, used: &BTreeSet<String>, interrupt: &Interrupt) -> Result<usize> {
    let unreadable = |error: std::io::Error| {
        let folder = work.state.path("records");
        crate::fault::Fault::lacks(format!("cannot read {folder}: {error}"))
    };
    let own = private::of_state(&work.state.id().map_err(unreadable)?);
    let records = records(&work.store).map_err(unreadable)?;
    let keep = |stage: &str| {
        let stage = work.spec.find(stage).ok();
        let keep = stage.map(|id| work.spec.stage(id).keep as usize);
        keep.unwrap_or(KEEP_OF_OTHERS)
    };
    forget_in_layout(work, &records, keep)?;
    let there = work.engine.names_below(&own)?;
    let used = used.iter().cloned().chain(brought(work, &records)?);
    let superseded = superseded(there, &records, keep, &used.collect());
    let names: Vec<&str> = superseded.iter().map(String::as_str).collect();
    let (mut removed, mut left) = (0, names.len());
    for some in names.chunks(AT_ONCE) {
        if removed >= AT_ONCE || interrupt.is_set() {
            break;
        }
        // An engine takes hardly longer for several at once than for one.
        let goes_on = || !interrupt.is_set();
        removed += work.engine.untag_all(some, &goes_on, &mut |_| ())?.gone;
        // The image of a container is not removed now, but the next build tries again.
        left -= some.len();
    }
    Ok(left)
}

/// Removes what no stage's last few records need from the OCI layout.
fn forget_in_layout(
    work: &Workspace,
    records: &[(String, Records)],
    keep: impl Fn(&str) -> usize,
) -> Result<()> {
    let mut kept = BTreeSet::new();
    for (stage, records) in records {
        let last = records.last_privates(keep(stage).max(1));
        for record in records.all() {
            if !last.contains(&record.private.as_str()) {
                continue;
            }
            if matches!(record.place(), ImagePlace::Engine(_)) {
                // What was exported to be published is published again.
                let entry = archive::exported_before(&work.state, &record.identity());
                kept.extend(entry.map(|entry| entry.digest));
            } else {
                kept.insert(record.image.clone());
            }
        }
    }
    work.layout.keep_only(&kept).map_err(|error| {
        let folder = work.layout.folder();
        crate::fault::Fault::lacks(format!("cannot remove images from {folder}: {error}"))
    })
}

/// The private references of images that were brought into the engine and are recorded elsewhere.
fn brought(work: &Workspace, records: &[(String, Records)]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for (stage, records) in records {
        for record in records.all() {
            if !matches!(record.place(), ImagePlace::Engine(_)) {
                names.push(bring::private_reference(work, stage, record)?);
            }
        }
    }
    Ok(names)
}

/// The records of all stages that have any. A damaged file is an error: it may have held a
/// reference that is needed.
fn records(store: &RecordStore) -> std::io::Result<Vec<(String, Records)>> {
    let stages = store.stages()?;
    let of = |stage: String| match store.records(&stage) {
        (records, None) => Ok((stage, records)),
        (_, Some(warning)) => Err(std::io::Error::other(warning)),
    };
    stages.into_iter().map(of).collect()
}

/// The references that are neither in use nor in a stage's last few records. First come those
/// without a record, to which no build can come back, then the oldest.
fn superseded(
    there: Vec<String>,
    records: &[(String, Records)],
    keep: impl Fn(&str) -> usize,
    used: &BTreeSet<String>,
) -> Vec<String> {
    let mut needed: BTreeSet<&str> = used.iter().map(String::as_str).collect();
    let mut ended: HashMap<&str, u64> = HashMap::new();
    for (stage, records) in records {
        needed.extend(records.last_privates(keep(stage).max(1)));
        for record in records.all() {
            let ended = ended.entry(record.private.as_str()).or_default();
            *ended = (*ended).max(record.ended_ms);
        }
    }
    let mut superseded = there;
    superseded.retain(|name| !needed.contains(name.as_str()));
    superseded.sort_by_key(|name| ended.get(name.as_str()).copied());
    superseded
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;
    use crate::freshness::key::Key;
    use crate::freshness::record::Record;
    use crate::outside::state::State;

    fn name(stage: &str, key: u8) -> String {
        private::reference("0123456789ab", stage, &Key([key; 32]).hex())
    }

    /// Saves records of builds with these keys, in this order, and reads them.
    fn recorded(stages: &[(&str, &[u8])]) -> Vec<(String, Records)> {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let store = RecordStore::of(State::in_folder(folder.to_owned()));
        for (stage, keys) in stages {
            for (at, key) in keys.iter().enumerate() {
                let record = Record {
                    key: Key([*key; 32]),
                    image: format!("sha256:{key}"),
                    private: name(stage, *key),
                    references: Vec::new(),
                    size: 1,
                    duration_ms: 1,
                    ended_ms: at as u64,
                    volatile: crate::freshness::record::Volatile::default(),
                    manifest: None,
                    parts: Vec::new(),
                };
                let miss = store.miss(stage, record.key, Vec::new());
                miss.save(record, false).unwrap();
            }
        }
        records(&store).unwrap()
    }

    #[test]
    fn the_last_few_of_each_stage_stay_and_the_oldest_go_first() {
        let records = recorded(&[("a", &[4, 3, 2, 1]), ("b", &[7])]);
        let there = [1, 2, 3, 4, 9].map(|key| name("a", key));
        let there = [&there[..], &[name("b", 7), name("c", 8)]].concat();
        let none = BTreeSet::new();
        let gone = superseded(there.clone(), &records, |_| 2, &none);
        // No record has 9, and no stage is called c.
        assert_eq!(
            gone,
            [name("a", 9), name("c", 8), name("a", 4), name("a", 3)]
        );
        let used = BTreeSet::from([name("a", 4), name("c", 8)]);
        let gone = superseded(there.clone(), &records, |_| 2, &used);
        assert_eq!(gone, [name("a", 9), name("a", 3)]);
        let gone = superseded(there, &records, |_| 0, &used);
        assert_eq!(gone, [name("a", 9), name("a", 3), name("a", 2)]);
    }

    #[test]
    fn a_key_that_came_back_is_the_last_one() {
        let records = recorded(&[("a", &[1, 2, 3, 1])]);
        let there = [1, 2, 3].map(|key| name("a", key)).to_vec();
        let gone = superseded(there, &records, |_| 2, &BTreeSet::new());
        assert_eq!(gone, [name("a", 2)]);
    }
}
