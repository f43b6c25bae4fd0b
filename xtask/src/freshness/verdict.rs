//! Whether a stage must be built, and why.
//!
//! A verdict is `Fresh` only with a record of this very key and with proof that the image stands
//! where it is needed. Keys, records and the engine's images are given: nothing is looked up here.

use serde::{Deserialize, Serialize, Serializer};

use crate::freshness::key::{Ingredient, IngredientKind, Key};
use crate::freshness::record::{Record, Records};
use crate::outside::engine::Images;
use crate::outside::place::ImagePlace;
use crate::shown;

/// The answer for one stage.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// The image of this key was recorded and is where it is needed.
    Fresh(Record),
    /// The image of this key is there, and only references to it are wrong. It is tagged, not
    /// built. For people and in JSON it is stale.
    Restorable(Reason, Record),
    /// It must be built.
    Stale(Reason),
    /// Everything of its own is unchanged, but a stage that it stands on must be built first, or
    /// another stage's host command that writes to what this one reads must run first. If that
    /// gives the same as before, this stage is fresh.
    Unknown(Reason),
}

impl Verdict {
    /// Whether the image is there, perhaps under fewer names than it should have.
    pub const fn has_image(&self) -> bool {
        match self {
            Self::Fresh(_) | Self::Restorable(..) => true,
            Self::Stale(_) | Self::Unknown(_) => false,
        }
    }
}

/// The kinds of reasons (DESIGN.md, *JSON*). If several apply, the first is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    /// The user asked for it.
    Forced,
    /// Never built here.
    NoRecord,
    /// Another upstream image.
    UpstreamChanged,
    /// An external image was pinned to another digest.
    BaseMoved,
    /// Other instructions.
    DockerfileChanged,
    /// Files of a context.
    InputsChanged,
    /// Build arguments.
    ArgumentsChanged,
    /// Platforms, labels, secret ids, named contexts, output settings, the key's format.
    SettingsChanged,
    /// The image, or a reference to it, is gone or was pointed elsewhere.
    ImageMissing,
}

/// Why a stage is not fresh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The kind that is named first.
    pub kind: ReasonKind,
    /// The exact differences.
    pub changes: Vec<Change>,
}

/// What kind of thing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// An ingredient of the key.
    Ingredient(IngredientKind),
    /// A reference to the stage's image.
    Image,
    /// The stage's own host command must run.
    Prepare,
    /// Another stage's host command must run. The name is that stage's.
    HostCommand,
    /// A policy that buildx finds beside the Dockerfile, and that only buildx can judge.
    Policy,
}

impl Changed {
    /// Its word, for people and in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ingredient(what) => word(what),
            Self::Image => "image",
            Self::Prepare => "prepare",
            Self::HostCommand => "host command",
            Self::Policy => "policy",
        }
    }
}

impl From<IngredientKind> for Changed {
    fn from(what: IngredientKind) -> Self {
        Self::Ingredient(what)
    }
}

impl PartialEq<IngredientKind> for Changed {
    fn eq(&self, other: &IngredientKind) -> bool {
        *self == Self::Ingredient(*other)
    }
}

impl Serialize for Changed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What kind of thing changed.
    pub what: Changed,
    /// Which one.
    pub name: String,
    /// What it was; `None` if it was not there.
    pub before: Option<String>,
    /// What it is; `None` if it is gone or not known yet.
    pub after: Option<String>,
    /// Whether the file is still there but no longer an input: the ignore file or the Dockerfile
    /// does not take it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub left_out: bool,
}

/// The value of an external image that neither the lock nor the engine knows.
pub const NOT_LOCKED: &str = "not locked";

impl Reason {
    /// A reason whose kind follows from what changed.
    pub fn of(changes: Vec<Change>) -> Self {
        let mut kind = changes
            .iter()
            .map(Change::kind)
            .min()
            .unwrap_or(ReasonKind::SettingsChanged);
        // With another target, other instructions of the very same text count.
        let is_target =
            |change: &Change| change.what == IngredientKind::Target && change.is_other();
        if kind == ReasonKind::DockerfileChanged && changes.iter().any(is_target) {
            kind = ReasonKind::SettingsChanged;
        }
        Self { kind, changes }
    }

    /// Whether a secret, or its id, came or went.
    pub fn is_of_secrets(&self) -> bool {
        let is_of_one = |change: &Change| {
            change.what == IngredientKind::Secret || change.name.starts_with("secret ")
        };
        self.changes.iter().any(is_of_one)
    }

    /// The first change of the reason's own kind.
    pub fn first(&self) -> Option<&Change> {
        let mut changes = self.changes.iter();
        changes.find(|change| change.kind() == self.kind)
    }

    /// A reason without details.
    pub const fn plain(kind: ReasonKind) -> Self {
        Self {
            kind,
            changes: Vec::new(),
        }
    }
}

impl Change {
    /// A change of which nothing is known, before or after.
    pub fn unknown(what: impl Into<Changed>, name: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            name: name.into(),
            before: None,
            after: None,
            left_out: false,
        }
    }

    /// Whether nothing is known of it, before or after.
    pub fn is_unknown(&self) -> bool {
        self.before.is_none() && self.after.is_none()
    }

    /// Whether there is a value both before and after, or neither is known yet.
    fn is_other(&self) -> bool {
        self.before.is_some() == self.after.is_some()
    }

    fn kind(&self) -> ReasonKind {
        let what = match self.what {
            Changed::Prepare | Changed::HostCommand => return ReasonKind::InputsChanged,
            Changed::Image => return ReasonKind::ImageMissing,
            Changed::Policy => return ReasonKind::SettingsChanged,
            Changed::Ingredient(what) => what,
        };
        match what {
            IngredientKind::Input | IngredientKind::Remote => ReasonKind::InputsChanged,
            IngredientKind::Argument => ReasonKind::ArgumentsChanged,
            IngredientKind::Dockerfile | IngredientKind::DockerfilePath => {
                ReasonKind::DockerfileChanged
            }
            // An image that is used only before or only after follows from another change.
            IngredientKind::Base if self.is_other() => ReasonKind::BaseMoved,
            IngredientKind::Upstream if self.is_other() => ReasonKind::UpstreamChanged,
            IngredientKind::Base
            | IngredientKind::Upstream
            | IngredientKind::Setting
            | IngredientKind::Format
            | IngredientKind::Platform
            | IngredientKind::Target
            | IngredientKind::Label
            | IngredientKind::Secret
            | IngredientKind::Ssh
            | IngredientKind::Context => ReasonKind::SettingsChanged,
        }
    }
}

/// Where a stage's image is wanted.
pub struct WantedPlace<'w> {
    /// The place, for people.
    pub name: String,
    /// How well the place of a record's image serves; the lowest is the best. `None` if it does not
    /// serve.
    pub rank: &'w dyn Fn(&Record) -> Option<u8>,
}

impl WantedPlace<'_> {
    /// The records of a key whose images are in a place that serves: the best places first, and of
    /// equal places the latest record.
    pub fn of<'r>(&self, records: &'r Records, key: Key) -> Vec<&'r Record> {
        let ranked = records.of(key);
        let mut ranked: Vec<(u8, &Record)> = ranked
            .filter_map(|record| Some(((self.rank)(record)?, record)))
            .collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        ranked.into_iter().map(|(_, record)| record).collect()
    }
}

/// Decides on a stage whose upstream is known. `differences` is called only if the stage is not fresh and its
/// last record has another key.
pub fn decide(
    key: Key,
    references: &[String],
    records: &Records,
    wanted: &WantedPlace<'_>,
    images: &Images,
    differences: impl FnOnce(&Record) -> Reason,
) -> Verdict {
    let mut missing: Option<(Vec<Change>, Option<Record>)> = None;
    // Two engines may each have an image of their own.
    for record in wanted.of(records, key) {
        let changes = misplaced(record, references, images);
        if changes.is_empty() {
            return Verdict::Fresh(record.clone());
        }
        let here = all_references(record, references)
            .any(|reference| held(images, reference).is_some_and(|id| id == record.image));
        if missing
            .as_ref()
            .is_none_or(|(_, there)| here && there.is_none())
        {
            missing = Some((changes, here.then(|| record.clone())));
        }
    }
    if missing.is_none() && records.of(key).next().is_some() {
        // It was built for another place.
        let change = Change {
            what: Changed::Image,
            name: wanted.name.clone(),
            before: None,
            after: None,
            left_out: false,
        };
        missing = Some((vec![change], None));
    }
    let compared = records.last().filter(|last| last.key != key);
    let compared = compared.map(differences);
    let Some((mut changes, there)) = missing else {
        return Verdict::Stale(compared.unwrap_or(Reason::plain(ReasonKind::NoRecord)));
    };
    // An earlier key fits again: what changed since the last build is why another image is there
    // now.
    changes.extend(compared.into_iter().flat_map(|reason| reason.changes));
    let reason = Reason::of(changes);
    match there {
        Some(record) => Verdict::Restorable(reason, record),
        None => Verdict::Stale(reason),
    }
}

/// The references that must point to the record's image and do not. A public reference that the
/// record never had and that no other image has is merely new: the build gives it to the fresh
/// image.
fn misplaced(record: &Record, references: &[String], images: &Images) -> Vec<Change> {
    // An image outside the engine has no references there.
    let references = match record.place() {
        ImagePlace::Engine(_) => references,
        ImagePlace::Registry(_) | ImagePlace::Layout(_) => &[],
    };
    let expected = std::iter::once(&record.private).chain(
        references
            .iter()
            .filter(|reference| !is_new(record, reference, images)),
    );
    expected
        .filter_map(|reference| {
            let found = held(images, reference);
            let was_its = *reference == record.private || record.references.contains(reference);
            (found != Some(record.image.as_str())).then(|| Change {
                what: Changed::Image,
                name: ImagePlace::of(reference).shown(),
                before: was_its.then(|| record.image.clone()),
                after: found.map(str::to_owned),
                left_out: false,
            })
        })
        .collect()
}

/// Whether a public reference of a stage is given to its image for the first time.
pub fn is_new(record: &Record, reference: &String, images: &Images) -> bool {
    !record.references.contains(reference) && held(images, reference).is_none()
}

fn all_references<'a>(
    record: &'a Record,
    references: &'a [String],
) -> impl Iterator<Item = &'a String> {
    std::iter::once(&record.private).chain(references)
}

fn held<'i>(images: &'i Images, reference: &str) -> Option<&'i str> {
    images
        .get(reference)?
        .as_ref()
        .map(|image| image.id.as_str())
}

/// The differences between what the last record was made of and what the stage is made of now. Both
/// lists must be in the order of the walk.
pub fn differences(before: Option<&[Ingredient]>, after: &[Ingredient]) -> Reason {
    let Some(before) = before else {
        return Reason::plain(ReasonKind::NoRecord);
    };
    let mut changes = Vec::new();
    let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => break,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(old), Some(new)) => (old.what, &old.name).cmp(&(new.what, &new.name)),
        };
        let gone = if order.is_le() { old.next() } else { None };
        let come = if order.is_ge() { new.next() } else { None };
        let Some(either) = gone.or(come) else { break };
        if gone.map(|gone| &gone.value) == come.map(|come| &come.value) {
            continue;
        }
        changes.push(Change {
            what: either.what.into(),
            name: shown::text(&either.name),
            before: gone.map(shown),
            after: come.map(shown),
            left_out: false,
        });
    }
    Reason::of(changes)
}

const fn word(what: IngredientKind) -> &'static str {
    match what {
        IngredientKind::Format => "key format",
        IngredientKind::Setting => "setting",
        IngredientKind::Platform => "platform",
        IngredientKind::DockerfilePath => "dockerfile path",
        IngredientKind::Dockerfile => "dockerfile",
        IngredientKind::Target => "target",
        IngredientKind::Argument => "argument",
        IngredientKind::Label => "label",
        IngredientKind::Secret => "secret",
        IngredientKind::Ssh => "ssh",
        IngredientKind::Context => "context",
        IngredientKind::Base => "base",
        IngredientKind::Upstream => "upstream",
        IngredientKind::Remote => "remote",
        IngredientKind::Input => "input",
    }
}

/// An ingredient's value, for people. A Dockerfile is shown as its hash. Everything else is short
/// enough to be shown.
fn shown(ingredient: &Ingredient) -> String {
    match ingredient.what {
        IngredientKind::Dockerfile => blake3::hash(&ingredient.value).to_hex().to_string(),
        IngredientKind::Argument => {
            let value = shown::text(&ingredient.value);
            value
                .strip_prefix('=')
                .map_or_else(|| "(no value)".to_owned(), str::to_owned)
        }
        _ => shown::text(&ingredient.value),
    }
}
