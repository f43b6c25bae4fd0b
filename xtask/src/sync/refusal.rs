//! Why a source cannot be had.
//!
//! Knows which faults may pass, and the sentences that say what to do about the others. Is unaware
//! of who is asked in which order.

use super::remote::Found;
use crate::fault::{Class, Fault};
use crate::git::Trouble;
use crate::source;
use crate::spec::{Git, Source, Spec};

/// Why one repository did not give a commit.
pub enum Refusal {
    /// Nothing else is worth a try.
    Final(Fault),
    /// It has no such revision or commit.
    Missing(String),
    /// It cannot be asked.
    Failed { why: String, passing: bool },
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

/// A tag that is another commit than the locked one.
pub fn moved(source: &Source, git: &Git, url: &str, pinned: &str, found: &Found) -> Fault {
    let name = &source.name;
    Fault::usage(format!(
        "source `{name}`: tag {} of {url} moved: the lock file has commit {pinned}, and the tag is commit {} now; ask its maintainers why, and take it by `cargo xtask lock --update {name}` if it is meant",
        git.rev, found.commit
    ))
}

/// Why no repository had it, with every reason.
pub fn nobody_has(spec: &Spec, source: &Source, git: &Git, reasons: &[(&str, Refusal)]) -> Fault {
    let name = &source.name;
    let mut only_missing = true;
    let mut told = Vec::new();
    for (url, reason) in reasons {
        match reason {
            Refusal::Missing(what) => told.push(format!("{url} {what}")),
            Refusal::Failed { why, .. } => {
                only_missing = false;
                told.push(format!("{url}: {why}"));
            }
            Refusal::Final(fault) => told.push(fault.message.clone()),
        }
    }
    let told = told.join("; ");
    if !only_missing {
        return Fault::lacks(format!(
            "source `{name}` cannot be fetched: {told}; mend that, name a repository that can be reached in `mirrors`, or set {} to a checkout",
            source::variable(name)
        ));
    }
    let digits = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let hint = if git.rev.len() >= 7 && git.rev.chars().all(digits) {
        ", and write a commit with all its digits"
    } else {
        ""
    };
    Fault::usage(format!(
        "source `{name}`: {told}: mend `rev` in {}{hint}, or take what `{}` is now by `cargo xtask lock --update {name}`",
        spec.file, git.rev
    ))
}

/// All faults as one. That the user wanted to stop says all.
pub fn together(faults: Vec<Fault>) -> Option<Fault> {
    let stopped = faults
        .iter()
        .find(|fault| fault.class == Class::Interrupted);
    if let Some(stopped) = stopped {
        return Some(stopped.clone());
    }
    let mut faults = faults.into_iter();
    let first = faults.next()?;
    let others: Vec<String> = faults.map(|fault| fault.message).collect();
    if others.is_empty() {
        return Some(first);
    }
    let message = std::iter::once(&first.message)
        .chain(&others)
        .map(|message| format!("error: {message}"))
        .collect::<Vec<_>>()
        .join("\n");
    Some(Fault { message, ..first })
}

/// Whether what git said may pass by itself: the network's or a server's fault, never a refusal.
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
        assert_eq!(together(Vec::new()), None);
        let (one, other) = (Fault::lacks("one"), Fault::usage("other"));
        assert_eq!(together(vec![one.clone()]), Some(one.clone()));
        let both = together(vec![one.clone(), other]).unwrap();
        assert_eq!(both, Fault::lacks("error: one\nerror: other"));
        let stopped = together(vec![one, Fault::interrupted()]);
        assert_eq!(stopped, Some(Fault::interrupted()));
    }
}
