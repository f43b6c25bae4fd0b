//! The commits that sources are pinned to: `[source.NAME]` of the lock. A pin counts only for the
//! repository and revision that it was made for.

use serde::{Deserialize, Serialize};

use super::Lock;
use crate::fault::Result;
use crate::graphfile::spec::{Git, names};

/// The pin of one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedSource {
    /// The repository, as the graph names it.
    pub git: String,
    /// The tag, branch or commit that was asked for.
    pub rev: String,
    /// The commit that `rev` named, with all its digits.
    pub commit: String,
}

impl LockedSource {
    /// The pin of a source that the graph declares as `git`.
    pub fn of(git: &Git, commit: String) -> Self {
        Self {
            git: git.url.clone(),
            rev: git.rev.clone(),
            commit,
        }
    }

    /// Whether it pins the source that the graph declares. Mirrors do not count: all hold the same
    /// repository.
    fn is_of(&self, git: &Git) -> bool {
        let itself = !names::is_commit(&git.rev) || self.commit == git.rev;
        self.git == git.url && self.rev == git.rev && itself
    }

    /// A value that this program cannot have written.
    pub(super) fn mistake(&self) -> Option<&str> {
        (!names::is_commit(&self.commit)).then_some(&self.commit)
    }
}

impl Lock {
    /// The commit that a source is pinned to, if the pin is for what the graph declares.
    pub fn commit(&self, source: &str, git: &Git) -> Option<&str> {
        let pin = self.pins.sources.get(source).filter(|pin| pin.is_of(git))?;
        Some(&pin.commit)
    }

    /// Pins a source and writes the file. Entries that another process wrote meanwhile stay.
    pub fn pin_source(&mut self, source: &str, pin: LockedSource) -> Result<()> {
        self.reload()?;
        let mut pins = self.pins.clone();
        pins.sources.insert(source.to_owned(), pin);
        self.write(pins).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;

    fn git(url: &str, rev: &str) -> Git {
        Git {
            url: url.to_owned(),
            rev: rev.to_owned(),
            mirrors: vec!["https://mirror.example/x".to_owned()],
        }
    }

    #[test]
    fn a_pin_speaks_of_the_repository_and_the_revision_that_it_was_made_for() {
        let folder = tempfile::tempdir().unwrap();
        let graph = Utf8Path::from_path(folder.path()).unwrap().join("g.toml");
        let mut lock = Lock::beside(&graph).unwrap();
        let (one, commit) = (git("https://a", "1"), "a".repeat(40));
        lock.pin_source("s", LockedSource::of(&one, commit.clone()))
            .unwrap();
        let lock = Lock::beside(&graph).unwrap();
        assert_eq!(lock.commit("s", &one), Some(commit.as_str()));
        let same = Git {
            mirrors: Vec::new(),
            ..one.clone()
        };
        assert_eq!(lock.commit("s", &same), Some(commit.as_str()));
        assert_eq!(lock.commit("t", &one), None);
        assert_eq!(lock.commit("s", &git("https://b", "1")), None);
        assert_eq!(lock.commit("s", &git("https://a", "2")), None);
    }

    #[test]
    fn a_commit_is_pinned_to_itself_only() {
        let folder = tempfile::tempdir().unwrap();
        let graph = Utf8Path::from_path(folder.path()).unwrap().join("g.toml");
        let mut lock = Lock::beside(&graph).unwrap();
        let rev = git("https://a", &"a".repeat(40));
        lock.pin_source("s", LockedSource::of(&rev, "b".repeat(40)))
            .unwrap();
        assert_eq!(lock.commit("s", &rev), None);
    }

    #[test]
    fn two_that_pin_at_once_do_not_lose_each_others_pins() {
        let folder = tempfile::tempdir().unwrap();
        let graph = Utf8Path::from_path(folder.path()).unwrap().join("g.toml");
        let mut one = Lock::beside(&graph).unwrap();
        let mut other = Lock::beside(&graph).unwrap();
        let rev = git("https://a", "1");
        one.pin_source("s", LockedSource::of(&rev, "a".repeat(40)))
            .unwrap();
        other
            .pin_source("t", LockedSource::of(&rev, "b".repeat(40)))
            .unwrap();
        let both = Lock::beside(&graph).unwrap();
        assert!(both.commit("s", &rev).is_some() && both.commit("t", &rev).is_some());
    }

    #[test]
    fn a_commit_that_is_cut_short_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let graph = Utf8Path::from_path(folder.path()).unwrap().join("g.toml");
        let text =
            "version = 1\n[source.s]\ngit = \"https://a\"\nrev = \"1\"\ncommit = \"--abc\"\n";
        std::fs::write(graph.with_extension("lock"), text).unwrap();
        let fault = Lock::beside(&graph).unwrap_err();
        assert!(fault.message.contains("is not a commit"), "{fault}");
    }
}
