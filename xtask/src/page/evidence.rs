//! What the state has of verifications: how the last one of each stage ended, what was found, and the
//! statements of those that passed.

use std::fmt::Write as _;

use serde_json::Value;

use super::past_run::PastRun;
use crate::outside::state::State;
use crate::verify::finding::Answer;
use crate::verify::noted::Noted;
use crate::verify::record::VerifyRecords;

/// The evidence about the stages of a run.
#[derive(Debug, Default)]
pub struct Evidence {
    /// How the last verification of each stage ended.
    pub notes: Vec<(String, Noted)>,
    /// What verifications found, the latest first.
    pub verifications: Vec<ShownVerification>,
}

/// What a verification found.
#[derive(Debug)]
pub struct ShownVerification {
    /// When, as RFC 3339.
    pub at: String,
    /// The images that took part, with their digests.
    pub subjects: Vec<(String, String)>,
    /// The findings, the probes, and the tools.
    pub answer: Answer,
    /// The statement; `None` if it did not pass.
    pub statement: Option<ShownStatement>,
}

/// The statement of a verification that passed.
#[derive(Debug)]
pub struct ShownStatement {
    /// The digest of the statement as one line of JSON.
    pub digest: String,
    /// The last day on which it holds; `None` if nothing ends it.
    pub ends: Option<String>,
}

impl Evidence {
    /// The evidence that the state has.
    pub fn of(state: &State, run: &PastRun) -> Self {
        let notes = run.outcome.keys().filter_map(|stage| {
            let noted = Noted::read(state, stage)?;
            Some((stage.clone(), noted))
        });
        let passed = VerifyRecords::all(state).into_iter().map(|record| {
            let bytes = record.statement.to_string();
            let digest = ring::digest::digest(&ring::digest::SHA256, bytes.as_bytes());
            let statement = ShownStatement {
                digest: format!("sha256:{}", hex(digest.as_ref())),
                ends: record.ends,
            };
            shown(record.statement, Some(statement))
        });
        let others = VerifyRecords::answers(state).into_iter();
        let others = others.map(|found| shown(found, None));
        let mut verifications: Vec<ShownVerification> = passed.chain(others).collect();
        let is_of_run = |one: &ShownVerification| {
            let mut names = one.subjects.iter().map(|(name, _)| name);
            names.any(|name| run.outcome.contains_key(name))
        };
        verifications.retain(is_of_run);
        verifications.sort_by(|one, other| other.at.cmp(&one.at));
        Self {
            notes: notes.collect(),
            verifications,
        }
    }
}

fn shown(found: Value, statement: Option<ShownStatement>) -> ShownVerification {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let subjects = found["subject"].as_array().into_iter().flatten();
    let subjects = subjects.map(|it| (text(&it["name"]), text(&it["digest"]["sha256"])));
    ShownVerification {
        at: text(&found["predicate"]["verifiedAt"]),
        subjects: subjects.collect(),
        answer: Answer::recorded(found),
        statement,
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
