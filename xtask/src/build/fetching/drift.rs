//! Compares what the revisions of sources are now with the lock, and pins what they are now.
//! Fetches nothing.

use super::refusal::{Refusal, moved};
use super::{Fetcher, remote};
use crate::fault::Result;
use crate::graphfile::spec::{SourceId, names};

/// A source whose revision is not what the lock says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// The source.
    pub source: SourceId,
    /// Whether the revision is a tag. Tags are not meant to move.
    pub is_tag: bool,
    /// The locked commit; `None` if the source has no pin.
    pub locked: Option<String>,
    /// The commit that the revision names now.
    pub now: String,
}

impl Drift {
    /// Whether a locked tag has moved.
    pub const fn is_moved_tag(&self) -> bool {
        self.is_tag && self.locked.is_some()
    }
}

impl Fetcher<'_> {
    /// Asks what the revisions of sources are now, and gives the sources whose revision differs
    /// from the lock. Fetches nothing and writes nothing.
    pub fn drifted(&self, sources: &[SourceId]) -> Result<Vec<Drift>> {
        let all = self.every(sources, |id| self.drift(id))?;
        Ok(all.into_iter().flatten().collect())
    }

    /// Pins sources to the commits that their revisions name now, and gives the sources whose pin
    /// changed. They are fetched when they are needed.
    pub fn update(&self, sources: &[SourceId]) -> Result<Vec<Drift>> {
        let _held = self.hold()?;
        let drifted = self.drifted(sources)?;
        for drift in &drifted {
            let source = self.source(drift.source);
            self.pin(source, self.git(source)?, &drift.now)?;
        }
        Ok(drifted)
    }

    fn drift(&self, id: SourceId) -> Result<Option<Drift>> {
        let source = self.source(id);
        let git = self.git(source)?;
        let locked = self.lock().commit(&source.name, git).map(str::to_owned);
        let (now, is_tag) = if names::is_commit(&git.rev) {
            (git.rev.clone(), false)
        } else {
            let found = self.try_each(source, git, |url| {
                remote::resolve(url, &git.rev, self.interrupt)?.ok_or_else(|| {
                    let rev = &git.rev;
                    Refusal::Missing(format!("has neither a tag nor a branch `{rev}`"))
                })
            })?;
            let is_tag = found.is_tag();
            (found.commit, is_tag)
        };
        Ok((locked.as_ref() != Some(&now)).then_some(Drift {
            source: id,
            is_tag,
            locked,
            now,
        }))
    }

    /// A message about a drift, with what to do.
    pub fn drift_told(&self, drift: &Drift) -> Result<String> {
        let source = self.source(drift.source);
        let git = self.git(source)?;
        let (name, rev, now) = (&source.name, &git.rev, &drift.now);
        let call = &self.spec.call;
        Ok(match &drift.locked {
            None => format!(
                "source `{name}`: {rev} is commit {now} and is not locked: `{}` locks it",
                call.command("sync")
            ),
            Some(locked) if drift.is_tag => {
                moved(call, source, git, &git.url, locked, now).to_string()
            }
            Some(locked) => format!(
                "source `{name}`: {rev} moved from commit {locked} to {now}: `{}` takes it",
                call.command(&format!("lock --update {name}"))
            ),
        })
    }
}
