//! What a build of a key produced, kept until a better answer is there.
//!
//! Keeps the files of records and of the ingredients behind them. A record is saved only by the
//! `Miss` that the look-up handed out. Does not check whether the image still exists: `verdict`
//! proves that.

mod index;
mod one;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use crate::contexts::StatCache;
use crate::freshness::key::{self, Ingredient, IngredientKind, Key};
use crate::outside::state::{self, Broken, State};
pub use one::{Record, RecordedManifest, Volatile};

/// The format of both kinds of files. 1: the first.
pub const FORMAT: u32 = 1;
/// The kind of a stage's records.
pub const RECORDS: &str = "xtask-records";
/// The kind of the ingredients behind one record.
pub const MADE_OF: &str = "xtask-made-of";
/// How many records a stage keeps: enough for a few branches to take turns.
const KEPT: usize = 16;
/// How many of them are of one key: enough for a few engines to take turns.
const KEPT_OF_KEY: usize = 4;

/// All records of one stage, the latest last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records {
    list: Vec<Record>,
}

impl Records {
    /// Reads the bytes of a stage's file.
    pub fn read(sealed: &[u8]) -> Result<Self, Broken> {
        let content = state::unseal(RECORDS, FORMAT, sealed)?;
        serde_json::from_slice(content).map_err(|_| Broken::Foreign)
    }

    /// The records of `key`, the latest first. Each engine that built the key may have made an
    /// image of its own.
    pub fn of(&self, key: Key) -> impl Iterator<Item = &Record> {
        let latest_first = self.list.iter().rev();
        latest_first.filter(move |record| record.key == key)
    }

    /// All of them, the oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Record> {
        self.list.iter()
    }

    /// The record of the last build.
    pub fn last(&self) -> Option<&Record> {
        self.list.last()
    }

    /// The private references of the last few keys, the latest first.
    pub fn last_privates(&self, few: usize) -> Vec<&str> {
        let mut last = Vec::new();
        for record in self.list.iter().rev() {
            let private = record.private.as_str();
            if !last.contains(&private) && last.len() < few {
                last.push(private);
            }
        }
        last
    }

    /// Whether a record of the same key and image in the same place is among them.
    pub fn has(&self, record: &Record) -> bool {
        let same = |own: &Record| own.key == record.key && own.is_same_image(record);
        self.list.iter().any(same)
    }

    /// Whether some build of this stage produced the image.
    pub fn made(&self, image: &str) -> bool {
        self.list.iter().any(|record| record.image == image)
    }
}

/// The records of one graph.
#[derive(Debug, Clone)]
pub struct RecordStore {
    state: State,
}

impl RecordStore {
    /// The records below a state folder.
    pub const fn of(state: State) -> Self {
        Self { state }
    }

    fn records_file(&self, stage: &str) -> Utf8PathBuf {
        self.state.path("records").join(format!("{stage}.json"))
    }

    fn made_of_file(&self, stage: &str, key: Key) -> Utf8PathBuf {
        self.state.path("made-of").join(stage).join(key.hex())
    }

    /// The stages that have records, whether the graph still has them or not.
    pub fn stages(&self) -> std::io::Result<Vec<String>> {
        let entries = match self.state.path("records").read_dir_utf8() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut stages = Vec::new();
        for entry in entries {
            let entry = entry?;
            let stage = entry.file_name().strip_suffix(".json");
            stages.extend(stage.map(str::to_owned));
        }
        Ok(stages)
    }

    /// A stage's records. A file that cannot be used gives no records and a warning.
    pub fn records(&self, stage: &str) -> (Records, Option<String>) {
        let path = self.records_file(stage);
        let why = match state::read(&path) {
            Ok(None) => return (Records::default(), None),
            Ok(Some(sealed)) => match Records::read(&sealed) {
                Ok(records) => return (records, None),
                Err(broken) => broken.clause().to_owned(),
            },
            Err(error) => format!("cannot be read ({error})"),
        };
        let warning = format!("{path} {why}: `{stage}` counts as never built");
        (Records::default(), Some(warning))
    }

    /// The records of many stages, in their order, and warnings.
    pub fn records_of(&self, stages: &[&str], cache: &StatCache) -> (Vec<Records>, Vec<String>) {
        if stages.len() >= index::FROM {
            return index::records(self, stages, cache);
        }
        // One after the other: all cores may look at trees by now, and the engine cannot be asked
        // before these are read.
        let read = stages.iter().map(|stage| self.records(stage));
        let (records, warnings): (Vec<_>, Vec<_>) = read.unzip();
        (records, warnings.into_iter().flatten().collect())
    }

    /// The ingredients of a record's key; `None` if they are not known any more. If the file has
    /// the ingredients of another key, they would explain something else.
    pub fn made_of(&self, stage: &str, key: Key) -> Option<Vec<Ingredient>> {
        let sealed = state::read(&self.made_of_file(stage, key)).ok()??;
        read_made_of(&sealed).filter(|list| key::of_list(list) == key)
    }

    /// The right to save a record for `key`, which has none that could be used.
    pub fn miss(&self, stage: &str, key: Key, made_of: Vec<Ingredient>) -> Miss {
        Miss {
            store: self.clone(),
            stage: stage.to_owned(),
            key,
            made_of,
        }
    }

    /// Notes that the image of a record was given other references than before.
    pub fn put_under(
        &self,
        stage: &str,
        record: &Record,
        references: &[String],
    ) -> std::io::Result<()> {
        let (mut records, _) = self.records(stage);
        let is_it = |own: &Record| own.key == record.key && own.is_same_image(record);
        let Some(at) = records.list.iter().position(is_it) else {
            return Ok(());
        };
        let mut record = records.list.remove(at);
        record.references = references.to_vec();
        records.list.push(record);
        self.write(stage, &records)
    }

    /// Forgets records of a stage. A stage without any has no file.
    pub fn forget(
        &self,
        stage: &str,
        is_forgotten: impl Fn(&Record) -> bool,
    ) -> std::io::Result<()> {
        let (mut records, _) = self.records(stage);
        let (gone, kept): (Vec<_>, Vec<_>) = records.list.drain(..).partition(is_forgotten);
        if gone.is_empty() {
            return Ok(());
        }
        records.list = kept;
        if records.list.is_empty() {
            std::fs::remove_file(self.records_file(stage))?;
        } else {
            self.write(stage, &records)?;
        }
        for old in gone.iter().map(|record| record.key) {
            if records.of(old).next().is_none() {
                // A leftover file costs disk only.
                let _ = std::fs::remove_file(self.made_of_file(stage, old));
            }
        }
        Ok(())
    }

    fn write(&self, stage: &str, records: &Records) -> std::io::Result<()> {
        let content = serde_json::to_vec(records)?;
        state::write_atomically(
            &self.records_file(stage),
            &state::seal(RECORDS, FORMAT, &content),
        )
    }
}

/// The right to save a record, once: the key had no usable one.
#[derive(Debug)]
pub struct Miss {
    store: RecordStore,
    stage: String,
    key: Key,
    made_of: Vec<Ingredient>,
}

impl Miss {
    /// The key that has no record.
    pub const fn key(&self) -> Key {
        self.key
    }

    /// Saves what the build produced, beside what earlier builds of the key produced or, with
    /// `instead`, in place of that. The ingredients are written first: a record without them could
    /// not be explained.
    pub fn save(self, record: Record, instead: bool) -> std::io::Result<Record> {
        let made_of = self.store.made_of_file(&self.stage, self.key);
        state::write_atomically(
            &made_of,
            &state::seal(MADE_OF, FORMAT, &encode(&self.made_of)),
        )?;
        let (mut records, _) = self.store.records(&self.stage);
        let mut of_key = 1;
        records.list.reverse();
        records.list.retain(|old| {
            if old.key != record.key {
                return true;
            }
            of_key += 1;
            !instead && !old.is_same_image(&record) && of_key <= KEPT_OF_KEY
        });
        records.list.reverse();
        records.list.push(record.clone());
        while records.list.len() > KEPT {
            let old = records.list.remove(0);
            if records.of(old.key).next().is_none() {
                // A leftover file costs disk only.
                let _ = std::fs::remove_file(self.store.made_of_file(&self.stage, old.key));
            }
        }
        self.store.write(&self.stage, &records)?;
        Ok(record)
    }
}

const KINDS: [IngredientKind; 15] = [
    IngredientKind::Setting,
    IngredientKind::Base,
    IngredientKind::Upstream,
    IngredientKind::Format,
    IngredientKind::Platform,
    IngredientKind::DockerfilePath,
    IngredientKind::Dockerfile,
    IngredientKind::Target,
    IngredientKind::Argument,
    IngredientKind::Label,
    IngredientKind::Secret,
    IngredientKind::Ssh,
    IngredientKind::Context,
    IngredientKind::Remote,
    IngredientKind::Input,
];

/// Ingredients as bytes. Names and values are raw bytes, so each comes after its length.
pub fn encode(list: &[Ingredient]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for ingredient in list {
        bytes.push(ingredient.what as u8);
        for text in [&ingredient.name, &ingredient.value] {
            bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend_from_slice(text);
        }
    }
    bytes
}

/// Reads the bytes of a file with the ingredients of a key.
pub fn read_made_of(sealed: &[u8]) -> Option<Vec<Ingredient>> {
    decode(state::unseal(MADE_OF, FORMAT, sealed).ok()?)
}

/// Ingredients from bytes; `None` if the bytes are no ingredients.
pub fn decode(mut bytes: &[u8]) -> Option<Vec<Ingredient>> {
    fn text(bytes: &mut &[u8]) -> Option<Vec<u8>> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        *bytes = rest;
        Some(text.to_vec())
    }
    let mut list = Vec::new();
    while let Some((kind, rest)) = bytes.split_first() {
        bytes = rest;
        let what = KINDS.into_iter().find(|what| *what as u8 == *kind)?;
        list.push(Ingredient {
            what,
            name: text(&mut bytes)?,
            value: text(&mut bytes)?,
        });
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    mod damage;

    use super::*;

    #[test]
    fn ingredients_survive_whatever_bytes_they_hold() {
        let list = vec![
            Ingredient {
                what: IngredientKind::Input,
                name: b"a \n\xff".to_vec(),
                value: Vec::new(),
            },
            Ingredient {
                what: IngredientKind::Argument,
                name: b"A".to_vec(),
                value: b"=\0".to_vec(),
            },
        ];
        assert_eq!(decode(&encode(&list)), Some(list));
    }

    #[test]
    fn a_key_keeps_the_images_of_a_few_engines_until_another_is_asked_for_instead() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        let store = RecordStore::of(State::in_folder(folder));
        let save = |key: u8, image: &str, instead: bool| {
            let key = Key([key; 32]);
            let record = Record {
                key,
                image: image.to_owned(),
                private: "xtask/a:1".to_owned(),
                references: Vec::new(),
                size: 1,
                duration_ms: 1,
                ended_ms: 1,
                volatile: Volatile::default(),
                manifest: None,
                parts: Vec::new(),
            };
            let miss = store.miss("a", key, Vec::new());
            miss.save(record, instead).unwrap();
        };
        let kept = |key: u8| {
            let (records, _) = store.records("a");
            let images = records.of(Key([key; 32])).map(|record| &*record.image);
            images.collect::<Vec<_>>().join(" ")
        };
        save(2, "other", false);
        for image in ["v", "w", "x", "y", "x", "z"] {
            save(1, image, false);
        }
        assert_eq!(kept(1), "z x y w");
        save(1, "new", true);
        assert_eq!((kept(1), kept(2)), ("new".to_owned(), "other".to_owned()));
    }

    #[test]
    fn a_newer_files_version_is_told_from_damage() {
        let newer = state::seal(MADE_OF, FORMAT + 1, b"");
        assert_eq!(
            state::unseal(MADE_OF, FORMAT, &newer),
            Err(Broken::OtherVersion)
        );
        assert_eq!(state::unseal(RECORDS, FORMAT, &newer), Err(Broken::Foreign));
    }
}
