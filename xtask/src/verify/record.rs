//! The record of a verification, in the form of an in-toto statement.
//!
//! A secret enters a record only through a keyed hash. The key never leaves the state folder.

use camino::{Utf8DirEntry, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::stack::Given;
use crate::outside::state::{self, State};

/// The kind of the files, which their first line names.
const KIND: &str = "xtask-verified";
/// Their format. 1: the first.
const FORMAT: u32 = 1;
/// The kind of the files with answers that did not pass, and their format. 1: the first.
const ANSWER: (&str, u32) = ("xtask-not-passed", 1);
/// The type of the statement's predicate.
pub const PREDICATE: &str = "https://github.com/langgenius/dify/xtask/verification/v1";

/// The question of a verification, as a hash: the digests, the policy, the stack, this program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedOfImages(String);

/// A verification that passed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerifyRecord {
    /// The question about the images.
    pub asked: AskedOfImages,
    /// The question about the stack, if one was tried.
    pub stack: Option<StackAsked>,
    /// The last day on which the record holds. `None` if nothing ends it.
    pub ends: Option<String>,
    /// The statement, which can be attached to an image.
    pub statement: Value,
}

/// What the answer about a stack depends on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StackAsked {
    /// The question with what compose says of the stack. `None` if the answer depends on more than
    /// can be read: then the answer never holds again.
    pub asked: Option<AskedOfImages>,
    /// The question without compose, and where to look. `None` if that does not show everything.
    pub glance: Option<(Given, AskedOfImages)>,
}

impl VerifyRecord {
    /// Whether the record still holds on this day.
    pub fn holds(&self, today: &str) -> bool {
        self.ends.as_deref().is_none_or(|end| today <= end)
    }
}

/// The records of one graph's verifications. Each set of stages and parts has one record.
#[derive(Debug)]
pub struct VerifyRecords {
    file: Utf8PathBuf,
    key: [u8; 32],
}

impl VerifyRecords {
    /// The records of these stages. `parts` says which parts of a verification were asked for.
    pub fn of(state: &State, stages: &[&str], parts: &str) -> std::io::Result<Self> {
        let mut name = blake3::Hasher::new();
        for text in stages.iter().chain([&parts]) {
            name.update(&(text.len() as u64).to_le_bytes())
                .update(text.as_bytes());
        }
        let name = &name.finalize().to_hex()[..16];
        Ok(Self {
            file: state.path("verified").join(name),
            key: key(state)?,
        })
    }

    /// The hash of a question.
    pub fn asked(&self, asked: &Value) -> AskedOfImages {
        let text = asked.to_string();
        AskedOfImages(
            blake3::keyed_hash(&self.key, text.as_bytes())
                .to_hex()
                .to_string(),
        )
    }

    /// The last record, whatever its question was.
    pub fn read(&self) -> Option<VerifyRecord> {
        let sealed = state::read(&self.file).ok()??;
        let content = state::unseal(KIND, FORMAT, &sealed).ok()?;
        serde_json::from_slice(content).ok()
    }

    /// All records of a state: of each set of stages the last one. Damaged files are left out.
    pub fn all(state: &State) -> Vec<VerifyRecord> {
        all_of(state, KIND, FORMAT)
    }

    /// What the last verifications found that did not pass, as `keep_answer` kept it.
    pub fn answers(state: &State) -> Vec<Value> {
        all_of(state, ANSWER.0, ANSWER.1)
    }

    /// Saves the record of a verification that passed.
    pub fn save(&self, record: &VerifyRecord) -> std::io::Result<()> {
        let content = serde_json::to_vec(record)?;
        state::write_sealed(&self.file, KIND, FORMAT, &[&content])?;
        // An answer that did not pass is answered by this one.
        match std::fs::remove_file(self.answer_file()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Keeps what a verification found that did not pass, for people. It is no record and no
    /// statement: nothing believes it.
    pub fn keep_answer(
        &self,
        subjects: Vec<RecordSubject>,
        predicate: &Value,
    ) -> std::io::Result<()> {
        let found = json!({ "subject": listed(subjects), "predicate": predicate });
        let content = serde_json::to_vec(&found)?;
        state::write_sealed(&self.answer_file(), ANSWER.0, ANSWER.1, &[&content])
    }

    fn answer_file(&self) -> Utf8PathBuf {
        self.file.with_extension("not-passed")
    }
}

/// The content of all files of a kind beside the records.
fn all_of<T: serde::de::DeserializeOwned>(state: &State, kind: &str, format: u32) -> Vec<T> {
    let entries = state.path("verified").read_dir_utf8();
    let entries = entries.into_iter().flatten().flatten();
    let mut paths: Vec<Utf8PathBuf> = entries.map(Utf8DirEntry::into_path).collect();
    paths.sort();
    let read = |path: &Utf8PathBuf| {
        let sealed = state::read(path).ok()??;
        let content = state::unseal(kind, format, &sealed).ok()?;
        serde_json::from_slice(content).ok()
    };
    paths.iter().filter_map(read).collect()
}

/// The key of this state's hashes. The first use makes it.
fn key(state: &State) -> std::io::Result<[u8; 32]> {
    use ring::rand::SecureRandom as _;
    let file = state.path("verified").join("key");
    if let Some(bytes) = state::read(&file)?
        && let Ok(key) = bytes.try_into()
    {
        return Ok(key);
    }
    let mut key = [0; 32];
    ring::rand::SystemRandom::new()
        .fill(&mut key)
        .map_err(|_| std::io::Error::other("the system gives no random numbers"))?;
    state::write_atomically(&file, &key)?;
    // Another process may have written first. All processes use the key that is there now.
    let bytes = state::read(&file)?.unwrap_or_default();
    Ok(bytes.try_into().unwrap_or(key))
}

/// An image that took part, by name, and its digests as `sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordSubject {
    /// `api`, or a service of the stack.
    pub name: String,
    /// The digest of the manifest or of the configuration.
    pub digest: String,
}

/// The statement (github.com/in-toto/attestation, `spec/v1/statement.md`).
pub fn statement(subjects: Vec<RecordSubject>, predicate: &Value) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": listed(subjects),
        "predicateType": PREDICATE,
        "predicate": predicate,
    })
}

/// The subjects, in the form of a statement.
fn listed(mut subjects: Vec<RecordSubject>) -> Vec<Value> {
    subjects.sort();
    subjects.dedup();
    subjects
        .iter()
        .filter_map(|subject| {
            let hex = subject.digest.strip_prefix("sha256:")?;
            Some(json!({ "name": subject.name, "digest": { "sha256": hex } }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_found_again_and_holds_until_its_last_day() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        let state = State::in_folder(folder);
        let records = VerifyRecords::of(&state, &["a"], "all").unwrap();
        let asked = records.asked(&json!({ "image": "sha256:1" }));
        assert_ne!(records.asked(&json!({ "image": "sha256:2" })), asked);
        assert!(records.read().is_none());
        let record = VerifyRecord {
            asked: asked.clone(),
            stack: None,
            ends: Some("2027-01-31".into()),
            statement: json!({ "x": 1 }),
        };
        // What did not pass is no record, and goes when something passes.
        records.keep_answer(Vec::new(), &json!({})).unwrap();
        assert!(records.read().is_none() && VerifyRecords::all(&state).is_empty());
        assert_eq!(VerifyRecords::answers(&state).len(), 1);
        records.save(&record).unwrap();
        assert!(VerifyRecords::answers(&state).is_empty());
        // The key stays the same.
        let records = VerifyRecords::of(&state, &["a"], "all").unwrap();
        assert_eq!(records.asked(&json!({ "image": "sha256:1" })), asked);
        let found = records.read().unwrap();
        // The key and the folders beside the records are none.
        std::fs::create_dir(state.path("verified").join("layers")).unwrap();
        assert_eq!(VerifyRecords::all(&state).len(), 1);
        assert_eq!(found.asked, asked);
        assert!(found.holds("2027-01-31") && !found.holds("2027-02-01"));
        assert!(
            VerifyRecords::of(&state, &["b"], "all")
                .unwrap()
                .read()
                .is_none()
        );
        assert!(
            VerifyRecords::of(&state, &["a"], "policy")
                .unwrap()
                .read()
                .is_none()
        );
    }

    #[test]
    fn another_state_has_another_key() {
        let asked = || {
            let folder = tempfile::tempdir().unwrap();
            let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
            let records = VerifyRecords::of(&State::in_folder(path), &["a"], "all").unwrap();
            records.asked(&json!({ "PASSWORD": "hunter2" }))
        };
        assert_ne!(asked(), asked());
    }
}
