//! The records of a large graph in one file, which is read instead of one file per stage.
//!
//! The index holds while no name in the folder of records comes or goes, since every record is
//! written by a rename. Even an index that is behind could do no harm: a record never becomes
//! untrue.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{RecordStore, Records};
use crate::contexts::{self, StatCache, Tracer};
use crate::outside::state::bundle::{self, Bundle, put, take_all};
use crate::outside::state::{self, Broken};

/// From how many stages on an index pays.
pub const FROM: usize = 100;
const KIND: &str = "xtask-record-index";
/// 1: the first.
const FORMAT: u32 = 1;

/// The records of `stages`, in their order, and warnings.
pub fn records(
    store: &RecordStore,
    stages: &[&str],
    cache: &StatCache,
) -> (Vec<Records>, Vec<String>) {
    let file = store.state.path("records.index");
    let (index, mut warnings) = match state::read(&file) {
        Ok(None) => (None, Vec::new()),
        Ok(Some(sealed)) => match read(sealed) {
            Ok(index) => (index, Vec::new()),
            Err(broken) => (None, vec![broken.clause().to_owned()]),
        },
        Err(error) => (None, vec![format!("cannot be read ({error})")]),
    };
    for warning in &mut warnings {
        *warning = format!("{file} {warning}: every record is read by itself");
    }
    if let Some(index) = &index {
        let listed = stages.par_iter().map(|stage| {
            let part = index.part(index.find(stage)?);
            serde_json::from_slice(part).ok()
        });
        if let Some(records) = listed.collect() {
            return (records, warnings);
        }
    }
    let tracer = Tracer::new(cache);
    tracer.lists(store.state.path("records").as_std_path());
    let read = stages.par_iter().map(|stage| store.records(stage));
    let (records, damaged): (Vec<_>, Vec<_>) = read.unzip();
    warnings.extend(damaged.into_iter().flatten());
    // No index is written over damage, so that it is reported again until it is repaired.
    if warnings.is_empty()
        && let Err(error) = write(&file, stages, &records, index, tracer)
    {
        warnings.push(format!("cannot write {file}: {error}"));
    }
    (records, warnings)
}

/// The index in sealed bytes; `None` if the folder of records has changed.
fn read(sealed: Vec<u8>) -> Result<Option<Bundle>, Broken> {
    let index = Bundle::of_bytes(KIND, FORMAT, sealed)?;
    let sightings = take_all(index.head()).ok_or(Broken::Foreign)?;
    let holds = contexts::is_current(&sightings);
    Ok(holds.then_some(index))
}

/// Writes the index, with what an older one of the same folder says of other stages. Writes nothing
/// if the folder is racy: it may have changed within the clock's last tick.
fn write(
    file: &camino::Utf8Path,
    stages: &[&str],
    records: &[Records],
    older: Option<Bundle>,
    tracer: Tracer<'_>,
) -> std::io::Result<()> {
    let Some(sightings) = tracer.into_trace() else {
        return Ok(());
    };
    let mut head = Vec::new();
    for piece in sightings {
        let put = put(&mut head, &piece);
        put.ok_or_else(|| std::io::Error::other("too long"))?;
    }
    let encoded: Vec<Vec<u8>> = records
        .iter()
        .map(serde_json::to_vec)
        .collect::<Result<_, _>>()?;
    let new = stages
        .iter()
        .copied()
        .zip(encoded.iter().map(Vec::as_slice));
    let mut parts: BTreeMap<&str, &[u8]> = older.iter().flat_map(Bundle::parts).collect();
    parts.extend(new);
    let parts: Vec<_> = parts.into_iter().collect();
    bundle::write(file, KIND, FORMAT, &head, &parts)
}

#[cfg(test)]
mod tests {
    use camino::{Utf8Path, Utf8PathBuf};

    use super::super::Record;
    use super::*;
    use crate::freshness::key::Key;
    use crate::outside::state::State;

    struct Place {
        folder: tempfile::TempDir,
        store: RecordStore,
        names: Vec<String>,
    }

    impl Place {
        /// As many stages as an index pays for. The first `count` of them have a record.
        fn with_records(count: u8) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = Utf8Path::from_path(folder.path()).unwrap();
            let store = RecordStore::of(State::in_folder(root.to_owned()));
            let names = (0..FROM).map(|at| format!("s{at}")).collect();
            let place = Self {
                folder,
                store,
                names,
            };
            for at in 0..count {
                place.save(usize::from(at), at);
            }
            place
        }

        fn save(&self, stage: usize, key: u8) {
            let key = Key([key; 32]);
            let record = Record {
                key,
                image: format!("sha256:{key}"),
                private: String::new(),
                references: Vec::new(),
                size: 0,
                duration_ms: 0,
                ended_ms: 0,
                volatile: crate::freshness::record::Volatile::default(),
                manifest: None,
                parts: Vec::new(),
            };
            let miss = self.store.miss(&self.names[stage], key, Vec::new());
            miss.save(record, false).unwrap();
        }

        fn file(&self, name: &str) -> Utf8PathBuf {
            Utf8Path::from_path(self.folder.path()).unwrap().join(name)
        }

        fn look(&self) -> (Vec<Records>, Vec<String>) {
            let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
            // The clock is read anew, as in each run.
            self.store
                .records_of(&names, &StatCache::in_file(&self.file("stats")))
        }

        /// Looks until the last change is old enough for an index.
        fn look_until_indexed(&self) {
            while !self.file("records.index").exists() {
                assert_eq!(self.look().1, [""; 0]);
            }
        }

        fn keys(&self) -> Vec<Option<u8>> {
            let (records, warnings) = self.look();
            assert_eq!(warnings, [""; 0]);
            let key = |records: &Records| records.last().map(|record| record.key.0[0]);
            records.iter().map(key).take(3).collect()
        }
    }

    #[test]
    fn an_index_is_read_until_a_record_comes_or_goes() {
        let place = Place::with_records(2);
        place.look_until_indexed();
        // This changes no name, so the record is not read.
        std::fs::write(place.file("records/s0.json"), "garbage").unwrap();
        assert_eq!(place.keys(), [Some(0), Some(1), None]);
        place.save(0, 7);
        place.save(2, 8);
        assert_eq!(place.keys(), [Some(7), Some(1), Some(8)]);
        std::fs::remove_file(place.file("records/s1.json")).unwrap();
        assert_eq!(place.keys(), [Some(7), None, Some(8)]);
    }

    #[test]
    fn a_stage_that_the_index_does_not_hold_is_read_and_the_others_stay_in_it() {
        let mut place = Place::with_records(1);
        place.look_until_indexed();
        let names = place.names.clone();
        place.names = (0..FROM).map(|at| format!("t{at}")).collect();
        assert_eq!(place.keys(), [None, None, None]);
        let sealed = std::fs::read(place.file("records.index")).unwrap();
        let index = Bundle::of_bytes(KIND, FORMAT, sealed).unwrap();
        assert_eq!(index.len(), 2 * FROM);
        place.names = names;
        assert_eq!(place.keys(), [Some(0), None, None]);
    }

    #[test]
    fn a_damaged_index_is_told_of_and_every_record_is_read() {
        let place = Place::with_records(1);
        place.look_until_indexed();
        let file = place.file("records.index");
        let whole = std::fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for damaged in [&whole[..whole.len() - 1], &flipped, b"garbage", b""] {
            std::fs::write(&file, damaged).unwrap();
            let (records, warnings) = place.look();
            assert_eq!(records[0].last().unwrap().key, Key([0; 32]));
            assert!(warnings[0].contains("every record is read by itself"));
        }
    }

    #[test]
    fn a_damaged_record_is_told_of_each_time() {
        let place = Place::with_records(2);
        // From here on an index could be written at once.
        place.look_until_indexed();
        std::fs::remove_file(place.file("records.index")).unwrap();
        std::fs::write(place.file("records/s1.json"), "garbage").unwrap();
        for _ in 0..2 {
            let (records, warnings) = place.look();
            assert!(records[0].last().is_some() && records[1].last().is_none());
            assert!(warnings[0].contains("`s1` counts as never built"));
        }
        assert!(!place.file("records.index").exists());
    }
}
