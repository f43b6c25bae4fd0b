//! Keeps the proofs that were given, each for what it was given for.

use std::collections::HashMap;
use std::sync::Mutex;

/// What a request does with a repository. A proof for one access does not hold for a further one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Access {
    /// It reads.
    Pull,
    /// It writes.
    Push,
    /// It removes.
    Remove,
    /// It writes a blob that another repository of the same registry has.
    Mount {
        /// The other repository, which is read.
        from: String,
    },
}

/// Where a proof holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// At the whole host, for every access: a password, or a token that is the login itself.
    Host,
    /// In one repository, for one access: what a token server gives.
    Repository,
}

#[derive(PartialEq, Eq, Hash)]
enum Key {
    Host(String),
    Repository(String, String, Access),
}

/// Values of the `Authorization` header. Nothing shows them.
#[derive(Default)]
pub struct Passes(Mutex<HashMap<Key, String>>);

impl Passes {
    /// The proof for an access. What may be written may also be read, but never the other way
    /// round.
    pub fn find(&self, host: &str, repository: &str, access: &Access) -> Option<String> {
        let passes = crate::locked(&self.0);
        let of = |access| {
            passes.get(&Key::Repository(
                host.to_owned(),
                repository.to_owned(),
                access,
            ))
        };
        let found = match access {
            Access::Pull => of(Access::Pull).or_else(|| of(Access::Push)),
            other => of(other.clone()),
        };
        found
            .or_else(|| passes.get(&Key::Host(host.to_owned())))
            .cloned()
    }

    /// Keeps a proof. The proof for a mount also holds for pushing, as its scope has both.
    pub fn keep(&self, host: &str, repository: &str, access: &Access, reach: Reach, pass: &str) {
        let of = |access| Key::Repository(host.to_owned(), repository.to_owned(), access);
        let keys = match (reach, access) {
            (Reach::Host, _) => vec![Key::Host(host.to_owned())],
            (Reach::Repository, Access::Mount { .. }) => vec![of(access.clone()), of(Access::Push)],
            (Reach::Repository, _) => vec![of(access.clone())],
        };
        let kept = keys.into_iter().map(|key| (key, pass.to_owned()));
        crate::locked(&self.0).extend(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_only_for_what_it_was_given_for() {
        let passes = Passes::default();
        let mount = Access::Mount {
            from: "b".to_owned(),
        };
        passes.keep("h", "a", &Access::Pull, Reach::Repository, "pull");
        assert_eq!(passes.find("h", "a", &Access::Pull).unwrap(), "pull");
        for (repository, access) in [("a", &Access::Push), ("a", &mount), ("b", &Access::Pull)] {
            assert_eq!(passes.find("h", repository, access), None, "{access:?}");
        }
        passes.keep("h", "c", &mount, Reach::Repository, "both");
        for access in [&Access::Push, &Access::Pull, &mount] {
            assert_eq!(passes.find("h", "c", access).unwrap(), "both");
        }
        assert_eq!(passes.find("i", "c", &Access::Push), None);
        passes.keep("i", "c", &Access::Pull, Reach::Host, "word");
        assert_eq!(passes.find("i", "other", &mount).unwrap(), "word");
    }
}
