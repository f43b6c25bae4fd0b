//! Why a source cannot be fetched: which faults may pass by themselves, and what to do about the
//! others.

use crate::fault::{Class, Fault, Message, Result};
use crate::graphfile::call::Call;
use crate::graphfile::spec::{Git, Source, Spec, names};
use crate::outside::git::Trouble;

/// Why one repository did not give a commit.
pub enum Refusal {
    /// No other repository is worth a try.
    Final(Fault),
    /// The repository does not have the revision or the commit.
    Missing(String),
    /// The repository cannot be asked.
    Failed { why: String, passing: bool },
}

impl Refusal {
    /// Whether the same question may be answered a little later.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Failed { passing: true, .. })
    }

    /// The reason, with the repository's URL.
    pub fn told(&self, url: &str) -> String {
        match self {
            Self::Missing(what) => format!("{url} {what}"),
            Self::Failed { why, .. } => format!("{url}: {why}"),
            Self::Final(fault) => fault.to_string(),
        }
    }
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Interrupted => Self::Final(Fault::interrupted()),
            Trouble::NoGit(why) => Self::Final(Fault::lacks(why)),
            Trouble::Failed(why) => Self::Failed {
                passing: passing(&why),
                why,
            },
        }
    }
}

/// The fault of a tag that is another commit than the locked one.
pub fn moved(call: &Call, source: &Source, git: &Git, url: &str, pinned: &str, now: &str) -> Fault {
    let name = &source.name;
    Fault::usage(format!(
        "source `{name}`: tag {} of {url} moved: the lock file has commit {pinned}, and the tag is commit {now} now; ask its maintainers why; if they meant to move it, run `{}`",
        git.rev,
        call.command(&format!("lock --update {name}"))
    ))
}

/// The fault of a source that no repository gave, with every reason.
pub fn nobody_has(spec: &Spec, source: &Source, git: &Git, reasons: &[(&str, Refusal)]) -> Fault {
    let name = &source.name;
    let is_missing = |(_, reason): &(&str, Refusal)| matches!(reason, Refusal::Missing(_));
    let told: Vec<String> = reasons
        .iter()
        .map(|(url, reason)| reason.told(url))
        .collect();
    let told = told.join("; ");
    if !reasons.iter().all(is_missing) {
        return Fault::lacks(format!(
            "source `{name}` cannot be fetched: {told}; correct that, name a repository that can be reached in `mirrors`, or set {} to a checkout",
            names::source_variable(name)
        ));
    }
    let digits = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let hint = if git.rev.len() >= 7 && git.rev.chars().all(digits) {
        ", and write a commit with all its digits"
    } else {
        ""
    };
    Fault::usage(format!(
        "source `{name}`: {told}: correct `rev` in {}{hint}, or take what `{}` is now by `{}`",
        spec.file,
        git.rev,
        spec.call.command(&format!("lock --update {name}"))
    ))
}

/// Combines all faults into one. If one of them is an interrupt, that one stands for all.
pub fn together(faults: impl IntoIterator<Item = Fault>) -> Result<()> {
    let faults: Vec<Fault> = faults.into_iter().collect();
    let is_stop = |fault: &&Fault| fault.class == Class::Interrupted;
    match faults.as_slice() {
        [] => Ok(()),
        [only] => Err(only.clone()),
        [first, ..] => Err(faults.iter().find(is_stop).cloned().unwrap_or_else(|| {
            let lines = faults.iter().map(|fault| format!("error: {fault}"));
            let message = lines.collect::<Vec<_>>().join("\n");
            Fault {
                message: Message::Say(message),
                ..first.clone()
            }
        })),
    }
}

/// Whether git's message tells of a fault that may pass by itself: one of the network or a server,
/// never a refusal.
pub fn passing(why: &str) -> bool {
    const SIGNS: [&str; 17] = [
        "connection refused",
        "connection reset",
        "connection closed",
        "connection timed out",
        "could not resolve",
        "couldn't connect",
        "early eof",
        "empty reply from server",
        "failed to connect",
        "hung up unexpectedly",
        "operation timed out",
        "operation too slow",
        "requested url returned error: 429",
        "requested url returned error: 5",
        "rpc failed",
        "temporary failure",
        "unexpected disconnect",
    ];
    let why = why.to_lowercase();
    SIGNS.iter().any(|sign| why.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_network_may_come_back_and_a_refusal_stays_one() {
        for passes in [
            "unable to access 'https://a/': Could not resolve host: a",
            "unable to access 'https://a/': The requested URL returned error: 503",
            "ssh: connect to host a port 22: Connection refused",
            "RPC failed; curl 92 HTTP/2 stream 0 was not closed cleanly",
            "early EOF",
        ] {
            assert!(passing(passes), "{passes}");
        }
        for stays in [
            "'/a' does not appear to be a git repository",
            "unable to access 'https://a/': The requested URL returned error: 403",
            "could not read Username for 'https://a': terminal prompts disabled",
            "git@a: Permission denied (publickey).",
            "repository 'https://a/' not found",
        ] {
            assert!(!passing(stays), "{stays}");
        }
    }

    #[test]
    fn several_faults_are_told_as_lines_and_an_interrupt_says_all() {
        assert_eq!(together([]), Ok(()));
        let (one, other) = (Fault::lacks("one"), Fault::usage("other"));
        assert_eq!(together([one.clone()]), Err(one.clone()));
        let both = together([one.clone(), other]);
        assert_eq!(both, Err(Fault::lacks("error: one\nerror: other")));
        let stopped = together([one, Fault::interrupted()]);
        assert_eq!(stopped, Err(Fault::interrupted()));
    }
}
