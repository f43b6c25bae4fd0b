//! What the trees said in an earlier run, and how to see that they still say it.
//!
//! A memo is a stage's outline with all sightings that it hangs on (`inputs::Witness`). Where every
//! one of them is the same again, and so is all else that was asked, gathering the stage would give
//! this outline: it is not gathered. Knows the file of memos and what voids all of them. Is unaware
//! of records and engines: a memo says what a stage's key is made of, never that it is fresh.
//!
//! Where the clock stands earlier than when the memos were written, it was set back, and a file
//! that is written now may get the very times that it had: all memos are void then.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::time::SystemTime;

use camino::Utf8PathBuf;

use super::outline::Outline;
use crate::fault::Result;
use crate::inputs::{self, Testimony};
use crate::key;
use crate::material;
use crate::spec::{Spec, Stage};
use crate::state::{self, Broken};

/// The kind of the file.
pub const MEMOS: &str = "xtask-memos";
/// Its format. 1: the first.
pub const FORMAT: u32 = 1;

/// A hash over all that was asked.
pub type Question = [u8; 32];

/// The memos of one graph.
#[derive(Debug, Default)]
pub struct Memos {
    file: Utf8PathBuf,
    world: Question,
    content: Vec<u8>,
    /// Where each stage's memo stands in the content.
    places: Places,
}

/// The memos of a file, and what is wrong with it.
pub type Read = (Memos, Option<String>);

/// A new memo: the question, the answer, and what it hangs on.
#[derive(Debug)]
pub struct Memo {
    stage: String,
    bytes: Vec<u8>,
}

impl Memo {
    /// A memo of a stage that was gathered. `None` for an answer that is too long to be kept.
    pub fn new(
        stage: &str,
        question: &Question,
        outline: &Outline,
        sightings: Testimony,
    ) -> Option<Self> {
        let mut bytes = question.to_vec();
        put(&mut bytes, &serde_json::to_vec(outline).ok()?)?;
        for piece in sightings {
            put(&mut bytes, &piece)?;
        }
        Some(Self {
            stage: stage.to_owned(),
            bytes,
        })
    }
}

impl Memos {
    /// Reads the file. One that cannot be used has no memos, and is told of.
    pub fn read(file: Utf8PathBuf) -> Read {
        let read = match state::read(&file) {
            Ok(None) => Ok(Self::default()),
            Ok(Some(sealed)) => Self::of_bytes(sealed).map_err(|broken| broken.clause().to_owned()),
            Err(error) => Err(format!("cannot be read ({error})")),
        };
        let (memos, warning) = match read {
            Ok(memos) => (memos, None),
            Err(why) => {
                let warning = format!("{file} {why}: all trees are read anew");
                (Self::default(), Some(warning))
            }
        };
        (Self { file, ..memos }, warning)
    }

    /// The memos that a file's bytes hold. Those of a clock that was set back since are none.
    pub fn of_bytes(sealed: Vec<u8>) -> Result<Self, Broken> {
        let content = state::unseal(MEMOS, FORMAT, &sealed)?;
        let head = sealed.len() - content.len();
        let Some((world, places)) = places(content, head, now()) else {
            return Ok(Self::default());
        };
        Ok(Self {
            file: Utf8PathBuf::new(),
            world,
            content: sealed,
            places,
        })
    }

    /// These memos, if they are of this world; else none.
    #[must_use]
    pub fn of_world(self, world: Question) -> Self {
        if self.world == world {
            return self;
        }
        Self {
            file: self.file,
            world,
            ..Self::default()
        }
    }

    /// What was answered to the same question, if everything that the answer hangs on is as it was.
    pub fn recall(&self, stage: &str, question: &Question) -> Option<Outline> {
        let mut memo = self.content.get(self.places.get(stage)?.clone())?;
        let rest = &mut memo;
        if rest.split_off(..question.len())? != question {
            return None;
        }
        let outline = take(rest)?;
        let mut sightings = Vec::new();
        while !rest.is_empty() {
            sightings.push(take(rest)?);
        }
        if !inputs::hold(&sightings) {
            return None;
        }
        serde_json::from_slice(outline).ok()
    }

    /// Writes the file with new memos in the place of older ones of the same stages.
    pub fn save(&self, new: &[Memo]) -> std::io::Result<()> {
        let replaced: BTreeSet<&str> = new.iter().map(|memo| memo.stage.as_str()).collect();
        let old = self.places.iter();
        let old = old.filter(|(stage, _)| !replaced.contains(stage.as_str()));
        let memos: Vec<(Vec<u8>, &[u8])> = old
            .map(|(stage, place)| (stage, &self.content[place.clone()]))
            .chain(new.iter().map(|memo| (&memo.stage, &memo.bytes[..])))
            .filter_map(|(stage, memo)| {
                let mut head = Vec::with_capacity(8 + stage.len());
                put(&mut head, stage.as_bytes())?;
                head.extend_from_slice(&u32::try_from(memo.len()).ok()?.to_le_bytes());
                Some((head, memo))
            })
            .collect();
        let clock = now().to_le_bytes();
        let mut parts: Vec<&[u8]> = vec![&self.world, &clock];
        for (head, memo) in &memos {
            parts.extend([&head[..], memo]);
        }
        state::write_sealed(&self.file, MEMOS, FORMAT, &parts)
    }
}

/// Where each stage's memo stands.
type Places = BTreeMap<String, Range<usize>>;

/// Nanoseconds since 1970.
fn now() -> u128 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default().as_nanos()
}

/// The world of the memos, and their places counted from `head` bytes in front of the content;
/// nothing where they were written later than `now`.
fn places(content: &[u8], head: usize, now: u128) -> Option<(Question, Places)> {
    let (world, rest) = content.split_first_chunk()?;
    let (clock, mut rest) = rest.split_first_chunk()?;
    if now < u128::from_le_bytes(*clock) {
        return None;
    }
    let mut places = BTreeMap::new();
    while !rest.is_empty() {
        let stage = std::str::from_utf8(take(&mut rest)?).ok()?;
        let memo = take(&mut rest)?;
        let end = head + content.len() - rest.len();
        places.insert(stage.to_owned(), end - memo.len()..end);
    }
    Some((*world, places))
}

/// Bytes behind their length.
fn put(into: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    into.extend_from_slice(&u32::try_from(bytes.len()).ok()?.to_le_bytes());
    into.extend_from_slice(bytes);
    Some(())
}

fn take<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = u32::from_le_bytes(bytes.split_off(..4)?.try_into().ok()?);
    bytes.split_off(..usize::try_from(length).ok()?)
}

/// All that every stage's answer hangs on beside its trees: this very program, the graph file, the
/// places of the sources, the engine's platform.
pub fn world(spec: &Spec, platform: Option<&str>) -> Question {
    let mut hash = blake3::Hasher::new();
    let mut add = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    add(&key::FORMAT.to_le_bytes());
    // A program that reads a Dockerfile differently answers differently.
    let program = std::env::current_exe().and_then(std::fs::metadata);
    let program = program.map(|meta| [meta.ino(), meta.size(), seconds(&meta), nanoseconds(&meta)]);
    for number in program.unwrap_or_default() {
        add(&number.to_le_bytes());
    }
    add(&spec.text);
    add(spec.root.as_str().as_bytes());
    add(platform.unwrap_or_default().as_bytes());
    for source in &spec.sources {
        add(format!("{:?}", source.place).as_bytes());
    }
    *hash.finalize().as_bytes()
}

fn seconds(meta: &std::fs::Metadata) -> u64 {
    meta.mtime().cast_unsigned()
}

fn nanoseconds(meta: &std::fs::Metadata) -> u64 {
    meta.mtime_nsec().cast_unsigned()
}

/// What is asked of one stage beyond that: what the command line and other files made of it.
pub fn question(spec: &Spec, stage: &Stage) -> Result<Question> {
    let args = material::expand(spec, stage, false)?;
    let labels = material::labels(spec, stage)?;
    let asked = format!(
        "{:?}",
        (&stage.name, &stage.platforms, &stage.contexts, args, labels)
    );
    Ok(*blake3::hash(asked.as_bytes()).as_bytes())
}

#[cfg(test)]
mod tests;
