//! How each stage's last verification ended, and whether that still holds for the present image.

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::finding::AnswerOutcome;
use super::record::{AskedOfImages, StackAsked, VerifyRecords};
use super::stack;
use crate::freshness::planner::Workspace;
use crate::graphfile::spec::{Spec, StageId};
use crate::outside::clock;
use crate::outside::interrupt::Interrupt;
use crate::outside::state::{self, State};

/// The kind of the files, which their first line names.
const KIND: &str = "xtask-verified-stage";
/// Their format. 1: the first.
const FORMAT: u32 = 1;

/// The last verification of one stage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Noted {
    /// The identity of the image (`Record::identity`).
    pub image: String,
    /// The hash of the policy that the image was held against.
    pub policy: String,
    /// `all`, `policy` or `stack`.
    pub parts: String,
    /// The question that was asked about the stack, if it was tried.
    pub stack: Option<StackAsked>,
    /// The moment of the verification, as RFC 3339.
    pub at: String,
    /// The last day on which the verification holds.
    pub ends: Option<String>,
    /// How the verification ended.
    pub outcome: AnswerOutcome,
}

/// Whether the last verification of a stage still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The image passed, and nothing has changed.
    Holds,
    /// The image did not pass.
    Failed,
    /// Another image was verified.
    OtherImage,
    /// The image was held against another policy.
    OtherPolicy,
    /// Another stack was tried.
    OtherStack,
    /// The last day is over: a waiver has ended, or a scanner's database may have changed.
    Ended,
    /// The image and its policy are the same. Whether the stack is the same cannot be seen without
    /// compose.
    StackUnseen,
}

impl Standing {
    /// One clause for people: why the verification no longer holds.
    pub const fn clause(self) -> &'static str {
        match self {
            Self::Holds => "it holds",
            Self::Failed => "the image did not pass",
            Self::OtherImage => "the image has changed",
            Self::OtherPolicy => "its policy has changed",
            Self::OtherStack => "the stack has changed",
            Self::Ended => "the last day on which it holds is over",
            Self::StackUnseen => "only `verify` can see whether the stack is the same",
        }
    }
}

impl Noted {
    /// Whether this note holds for the image with this id, under the policy with this hash.
    /// `glance` is the present stack as seen without compose, if the note says where to look.
    pub fn standing(
        &self,
        image: &str,
        policy: &str,
        today: &str,
        glance: Option<&AskedOfImages>,
    ) -> Standing {
        if self.image != image {
            Standing::OtherImage
        } else if self.policy != policy {
            Standing::OtherPolicy
        } else if self.outcome != AnswerOutcome::Passed {
            Standing::Failed
        } else if self.ends.as_deref().is_some_and(|end| end < today) {
            Standing::Ended
        } else {
            match self.stack.as_ref().map(|stack| stack.glance.as_ref()) {
                None => Standing::Holds,
                Some(None) => Standing::StackUnseen,
                Some(Some((_, was))) if Some(was) == glance => Standing::Holds,
                Some(Some(_)) => Standing::OtherStack,
            }
        }
    }

    /// The note of a stage.
    pub fn read(state: &State, stage: &str) -> Option<Self> {
        let sealed = state::read(&file(state, stage)).ok()??;
        let content = state::unseal(KIND, FORMAT, &sealed).ok()?;
        serde_json::from_slice(content).ok()
    }

    /// Replaces the stage's note.
    pub fn save(&self, state: &State, stage: &str) -> std::io::Result<()> {
        let content = serde_json::to_vec(self)?;
        state::write_sealed(&file(state, stage), KIND, FORMAT, &[&content])
    }
}

/// How the last verification of a stage's image stands now.
pub fn now(work: &Workspace, id: StageId, image: &str) -> Option<(Noted, Standing)> {
    let noted = Noted::read(&work.state, &work.spec.stage(id).name)?;
    let glance = noted.stack.as_ref().and_then(|stack| {
        let (given, _) = stack.glance.as_ref()?;
        let interrupt = Interrupt::listen().ok()?;
        let seen = stack::glance(&work.spec, &work.engine, &interrupt, given)?;
        VerifyRecords::of(&work.state, &[], "")
            .ok()
            .map(|records| records.asked(&seen))
    });
    let policy = policy_hash(&work.spec, id);
    let today = i64::try_from(clock::now().as_secs()).unwrap_or_default();
    let (today, _) = calendar::shown(today);
    let standing = noted.standing(image, &policy, &today, glance.as_ref());
    Some((noted, standing))
}

fn file(state: &State, stage: &str) -> Utf8PathBuf {
    let name = &blake3::hash(stage.as_bytes()).to_hex()[..16];
    state.path("verified").join("stages").join(name)
}

/// The hash of everything that a stage's images are held against.
pub fn policy_hash(spec: &Spec, id: StageId) -> String {
    let waivers = spec.waivers.iter();
    let waivers: Vec<_> = waivers
        .filter(|waiver| waiver.stage.is_none_or(|only| only == id))
        .map(|waiver| json!([waiver.rule, waiver.path, waiver.why, waiver.until]))
        .collect();
    let stage = spec.stage(id);
    let all = json!([
        super::policy::VERSION,
        stage.policy,
        stage.platforms,
        waivers
    ]);
    blake3::hash(all.to_string().as_bytes())
        .to_hex()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_says_why_it_no_longer_holds() {
        let noted = Noted {
            image: "sha256:1".into(),
            policy: "p".into(),
            parts: "policy".into(),
            stack: None,
            at: "2026-11-29T00:00:00Z".into(),
            ends: Some("2026-12-31".into()),
            outcome: AnswerOutcome::Passed,
        };
        let standing = |image, policy, today| noted.standing(image, policy, today, None);
        assert_eq!(standing("sha256:1", "p", "2026-12-31"), Standing::Holds);
        assert_eq!(standing("sha256:1", "p", "2027-01-01"), Standing::Ended);
        assert_eq!(
            standing("sha256:2", "p", "2026-12-31"),
            Standing::OtherImage
        );
        assert_eq!(
            standing("sha256:1", "q", "2026-12-31"),
            Standing::OtherPolicy
        );
        let failed = Noted {
            outcome: AnswerOutcome::Failed,
            ..noted.clone()
        };
        let failed = failed.standing("sha256:1", "p", "2026-12-31", None);
        assert_eq!(failed, Standing::Failed);
    }
}
