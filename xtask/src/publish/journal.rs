//! The journal of a publish: what each tag pointed to before, written before the first of them
//! moves.

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use super::moves::{self, Move, MoveOutcome, Moved};
use super::release::Release;
use crate::fault::{Fault, Result};
use crate::freshness::planner::Workspace;
use crate::outside::{push, state};

/// The kind of the file, which its first line names.
const KIND: &str = "xtask-publish";
/// Its format. 1: the first.
const FORMAT: u32 = 1;

/// A publish that has begun to move tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Begun {
    release: String,
    moves: Vec<Move>,
}

/// The journal of one publish.
#[derive(Debug)]
pub struct Journal {
    file: Utf8PathBuf,
    release: String,
    begun: Option<Begun>,
}

impl Journal {
    /// The journal, with what an earlier publish of the same release has left there.
    pub fn open(work: &Workspace, release: &Release) -> Result<Self> {
        let file = work.state.path("publish.journal");
        let bytes = state::read(&file)
            .map_err(|error| Fault::lacks(format!("cannot read the journal {file}: {error}")))?;
        let content = bytes
            .as_deref()
            .and_then(|bytes| state::unseal(KIND, FORMAT, bytes).ok());
        let begun: Option<Begun> = content.and_then(|bytes| serde_json::from_slice(bytes).ok());
        if let Some(begun) = &begun {
            if begun.release == release.name {
                crate::tell!(
                    "note: an earlier publish of this release did not end; it goes on from there"
                );
            } else {
                crate::tell!(
                    "note: the publish of release {} did not end: some tags may point to it and some not; this publish moves those of its own",
                    begun.release
                );
            }
        }
        Ok(Self {
            file,
            begun: begun.filter(|begun| begun.release == release.name),
            release: release.name.clone(),
        })
    }

    /// The moves, with what the tags pointed to before an earlier publish of this release began. A
    /// tag that points where it should is done, whoever moved it.
    pub fn with_befores(&self, mut all: Vec<Move>) -> Vec<Move> {
        for it in &mut all {
            let begun = self.begun.iter().flat_map(|begun| &begun.moves);
            let known = begun
                .into_iter()
                .find(|old| (&old.repository, &old.tag) == (&it.repository, &it.tag));
            if let Some(known) = known.filter(|_| !it.is_done()) {
                it.before.clone_from(&known.before);
            }
        }
        all
    }

    /// Moves the tags, in order. A tag that no longer points to what it did stops the publish: with
    /// `overwrite` it is moved all the same.
    pub fn carry_out(
        &self,
        work: &Workspace,
        all: Vec<Move>,
        overwrite: bool,
    ) -> Result<Vec<Moved>> {
        // Nothing is moved if any tag was moved by somebody else.
        let mut todo = Vec::new();
        for it in all {
            let now = moves::now(work, &it.repository, &it.tag)?;
            let is_done = now.as_deref() == Some(&it.after.digest);
            if !is_done && now != it.before && !overwrite {
                return Err(moved_meanwhile(&it, now.as_deref()));
            }
            todo.push((it, is_done));
        }
        if todo.iter().any(|(_, is_done)| !is_done) {
            let begun = Begun {
                release: self.release.clone(),
                moves: todo.iter().map(|(it, _)| it.clone()).collect(),
            };
            let bytes = serde_json::to_vec(&begun).unwrap_or_default();
            state::write_sealed(&self.file, KIND, FORMAT, &[&bytes]).map_err(|error| {
                let file = &self.file;
                Fault::lacks(format!(
                    "cannot write the journal {file}: {error}; no tag was moved"
                ))
            })?;
        }
        let mut moved = Vec::new();
        let count = todo.len();
        for (it, is_done) in todo {
            let outcome = if is_done {
                MoveOutcome::Already
            } else {
                self.one(work, &it, overwrite).inspect_err(|_| {
                    if !moved.is_empty() {
                        let done = moved.len();
                        crate::tell!(
                            "note: {done} of {count} tags point to release {} already; the next publish goes on from there",
                            self.release
                        );
                    }
                })?;
                MoveOutcome::Moved
            };
            moved.push(Moved { tag: it, outcome });
        }
        Ok(moved)
    }

    fn one(&self, work: &Workspace, it: &Move, overwrite: bool) -> Result<()> {
        super::stop_if_wanted()?;
        let now = moves::now(work, &it.repository, &it.tag)?;
        if now.as_deref() == Some(&it.after.digest) {
            return Ok(());
        }
        if now != it.before && !overwrite {
            return Err(moved_meanwhile(it, now.as_deref()));
        }
        let to = push::reference(&it.repository)?;
        let digest = &it.after.digest;
        let bytes = match work.layout.read(digest) {
            Ok(bytes) => bytes,
            Err(_) => {
                let body = work
                    .registries()?
                    .manifest(&to, digest, registry::Effort::Full)?;
                let missing =
                    || Fault::failed(format!("{} has no {digest} any more", it.repository));
                body.ok_or_else(missing)?.bytes
            }
        };
        work.registries()?
            .put_manifest(&to, &it.tag, &it.after.media_type, &bytes)?;
        Ok(())
    }

    /// Removes the journal: every tag is where it should be.
    pub fn close(&self) -> Result<()> {
        match std::fs::remove_file(&self.file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let file = &self.file;
                Err(Fault::lacks(format!(
                    "cannot remove the journal {file}: {error}"
                )))
            }
            _ => Ok(()),
        }
    }
}

fn moved_meanwhile(it: &Move, now: Option<&str>) -> Fault {
    let shown = |digest: Option<&str>| digest.unwrap_or("nothing").to_owned();
    Fault::failed(format!(
        "{} points to {} now, and pointed to {} when this began: somebody else moved it; find out who, and take it over with `--allow-overwrite`",
        it.shown(),
        shown(now),
        shown(it.before.as_deref())
    ))
}
