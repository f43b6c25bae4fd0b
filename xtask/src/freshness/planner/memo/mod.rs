//! What the trees said in an earlier run, and whether they still say it.
//!
//! A memo is a stage's summary with its dependency trace (`contexts::Tracer`). If every recorded
//! look gives the same again, and everything else that was asked is the same, gathering the stage
//! would give this summary, so it is not gathered. A memo says what a stage's key is made of, never
//! that the stage is fresh.
//!
//! If the clock is earlier than when the memos were written, it was set back, and a file that is
//! written now may get the very times that it had. All memos are void then.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use camino::Utf8PathBuf;

use super::summary::StageSummary;
use crate::contexts::{self, Trace};
use crate::fault::Result;
use crate::freshness::key;
use crate::freshness::stage_inputs;
use crate::graphfile::spec::{Naming, Spec, Stage};
use crate::outside::clock;
use crate::outside::proxies;
use crate::outside::state::bundle::{self, Bundle, put, take, take_all};
use crate::outside::state::{self, Broken};

/// The kind of the file.
pub const MEMOS: &str = "xtask-memos";
/// Its format.
///
/// 1: the first.
/// 2: a bundle.
/// 3: sources from elsewhere.
/// 4: where images are taken from, and the policy beside a Dockerfile.
pub const FORMAT: u32 = 4;

/// A hash over everything that was asked.
pub type Question = [u8; 32];

/// The memos of one graph.
#[derive(Debug, Default)]
pub struct Memos {
    file: Utf8PathBuf,
    world: Question,
    bundle: Bundle,
    /// By place in the bundle: whether the trace of a memo was found to be current.
    held: Vec<OnceLock<bool>>,
}

/// The memos of a file, and a warning if the file cannot be used.
pub type Read = (Memos, Option<String>);

/// A new memo: the question, the answer, and its trace.
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
        summary: &StageSummary,
        sightings: Trace,
    ) -> Option<Self> {
        let mut bytes = question.to_vec();
        put(&mut bytes, &serde_json::to_vec(summary).ok()?)?;
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
    /// Reads the file. A file that cannot be used gives no memos and a warning.
    pub fn read(file: Utf8PathBuf) -> Read {
        let read = match state::read(&file) {
            Ok(None) => Ok(Self::default()),
            Ok(Some(sealed)) => Self::of_bytes(sealed).map_err(|broken| broken.clause().to_owned()),
            Err(error) => Err(format!("cannot be read ({error})")),
        };
        let (memos, warning) = match read {
            Ok(memos) => (memos, None),
            Err(why) => {
                let warning = format!("{file} {why}: all trees are read again");
                (Self::default(), Some(warning))
            }
        };
        (Self { file, ..memos }, warning)
    }

    /// The memos in a file's bytes. None if the clock was set back since they were written.
    pub fn of_bytes(sealed: Vec<u8>) -> Result<Self, Broken> {
        let bundle = Bundle::of_bytes(MEMOS, FORMAT, sealed)?;
        let world = world_of(bundle.head(), now());
        Ok(world.map_or_else(Self::default, |world| Self {
            file: Utf8PathBuf::new(),
            world,
            held: (0..bundle.len()).map(|_| OnceLock::new()).collect(),
            bundle,
        }))
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

    /// Checks the traces of the memos, one after the other, until `asked` is set or all are
    /// checked.
    pub fn look_until(&self, asked: &AtomicBool) {
        for at in 0..self.held.len() {
            if asked.load(Ordering::Relaxed) {
                return;
            }
            self.holds(at);
        }
    }

    /// Forgets which traces are current, but not the memos.
    pub fn look_again(&mut self) {
        self.held.fill_with(OnceLock::new);
    }

    /// The answer to the same question, if its trace is current.
    pub fn recall(&self, stage: &str, question: &Question) -> Option<StageSummary> {
        let at = self.bundle.find(stage)?;
        let (asked, mut rest) = self.bundle.part(at).split_first_chunk()?;
        if asked != question || !self.holds(at) {
            return None;
        }
        serde_json::from_slice(take(&mut rest)?).ok()
    }

    /// Whether a stage's memo answers this question and its trace is current. Checks the trace
    /// anew.
    pub fn holds_now(&self, stage: &str, question: &Question) -> bool {
        let part = self.bundle.find(stage).map(|at| self.bundle.part(at));
        let part = part.filter(|part| part.starts_with(question));
        part.and_then(sightings)
            .is_some_and(|seen| contexts::is_current(&seen))
    }

    /// Whether the trace of the memo at a place is current. Checks it once.
    fn holds(&self, at: usize) -> bool {
        let Some(held) = self.held.get(at) else {
            return false;
        };
        *held.get_or_init(|| {
            sightings(self.bundle.part(at)).is_some_and(|seen| contexts::is_current(&seen))
        })
    }

    /// Writes the file. New memos replace older ones of the same stages.
    pub fn save(&self, new: &[Memo]) -> std::io::Result<()> {
        let replaced: BTreeSet<&str> = new.iter().map(|memo| memo.stage.as_str()).collect();
        let old = self.bundle.parts();
        let old = old.filter(|(stage, _)| !replaced.contains(stage));
        let new = new
            .iter()
            .map(|memo| (memo.stage.as_str(), &memo.bytes[..]));
        let memos: Vec<_> = old.chain(new).collect();
        let head = [&self.world[..], &now().to_le_bytes()].concat();
        bundle::write(&self.file, MEMOS, FORMAT, &head, &memos)
    }
}

/// The trace of a memo; `None` if the bytes are no memo.
fn sightings(memo: &[u8]) -> Option<Vec<&[u8]>> {
    let (_, mut rest) = memo.split_first_chunk::<{ size_of::<Question>() }>()?;
    take(&mut rest)?;
    take_all(rest)
}

/// Nanoseconds since 1970.
fn now() -> u128 {
    clock::now().as_nanos()
}

/// The world of memos with this head; `None` if they were written later than `now`.
fn world_of(head: &[u8], now: u128) -> Option<Question> {
    let (world, clock) = head.split_first_chunk()?;
    let clock = u128::from_le_bytes(clock.try_into().ok()?);
    (now >= clock).then_some(*world)
}

/// Everything beside the trees that the answers of all stages depend on: this very program, the
/// graph file, the places of the sources, the engine's platform, and the proxies that builds are
/// given.
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
    add(format!("{:?}", proxies::given()).as_bytes());
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

/// What is asked of one stage beyond `world`: what the command line and other files made of it.
pub fn question(spec: &Spec, stage: &Stage) -> Result<Question> {
    let args = stage_inputs::expand(spec, stage, false)?;
    let labels = stage_inputs::labels(spec, stage, false)?;
    if let Naming::Failed(fault) = &stage.naming {
        return Err(fault.clone());
    }
    let asked = format!(
        "{:?}",
        (&stage.name, &stage.platforms, &stage.contexts, args, labels)
    );
    Ok(*blake3::hash(asked.as_bytes()).as_bytes())
}

#[cfg(test)]
mod tests;
