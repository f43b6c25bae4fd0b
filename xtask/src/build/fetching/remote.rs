//! Asks a remote repository for its tags and branches.

use crate::outside::git::{self, Trouble};
use crate::outside::interrupt::Interrupt;

/// What a revision is in a repository now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteAnswer {
    /// The full name, such as `refs/tags/0.15.3`.
    pub reference: String,
    /// The commit; for an annotated tag, the commit that the tag points to.
    pub commit: String,
}

impl RemoteAnswer {
    /// Whether it is a tag, which is not meant to move.
    pub fn is_tag(&self) -> bool {
        self.reference.starts_with("refs/tags/")
    }
}

/// What `rev` is at `url`; `None` if the repository has neither a tag nor a branch of that name.
pub fn resolve(
    url: &str,
    rev: &str,
    interrupt: &Interrupt,
) -> Result<Option<RemoteAnswer>, Trouble> {
    let mut command = git::command();
    command.args(["ls-remote", "--quiet", "--", url]);
    for name in names(rev) {
        command.arg(format!("{name}^{{}}")).arg(name);
    }
    let said = git::run(command, interrupt, |_| {})?;
    Ok(pick(&String::from_utf8_lossy(&said), rev))
}

/// The full names that a revision may stand for. The first one that exists counts: a tag before a
/// branch, as for git itself (gitrevisions(7)).
fn names(rev: &str) -> Vec<String> {
    if rev == "HEAD" || rev.starts_with("refs/") {
        return vec![rev.to_owned()];
    }
    vec![format!("refs/tags/{rev}"), format!("refs/heads/{rev}")]
}

/// Finds the revision in lines of `<commit>\t<name>`. An annotated tag has a second line, with
/// `^{}` behind its name, for the commit that it points to. Other names may be in the lines, too.
fn pick(said: &str, rev: &str) -> Option<RemoteAnswer> {
    let commit_of = |name: &str| {
        said.lines().find_map(|line| {
            let (commit, found) = line.split_once('\t')?;
            (found == name && crate::graphfile::spec::names::is_commit(commit))
                .then(|| commit.to_owned())
        })
    };
    names(rev).into_iter().find_map(|reference| {
        let commit = commit_of(&format!("{reference}^{{}}")).or_else(|| commit_of(&reference))?;
        Some(RemoteAnswer { reference, commit })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(digit: &str, name: &str) -> String {
        format!("{}\t{name}\n", digit.repeat(40))
    }

    fn found(said: &str, rev: &str) -> Option<(String, String)> {
        pick(said, rev).map(|found| (found.reference, found.commit[..1].to_owned()))
    }

    #[test]
    fn an_annotated_tag_is_the_commit_that_it_stands_on() {
        let said = line("a", "refs/tags/1") + &line("b", "refs/tags/1^{}");
        assert_eq!(found(&said, "1"), Some(("refs/tags/1".into(), "b".into())));
    }

    #[test]
    fn a_tag_comes_before_a_branch_of_the_same_name() {
        let said = line("a", "refs/heads/1") + &line("b", "refs/tags/1");
        assert_eq!(found(&said, "1"), Some(("refs/tags/1".into(), "b".into())));
        let whole = Some(("refs/heads/1".into(), "a".into()));
        assert_eq!(found(&said, "refs/heads/1"), whole);
    }

    #[test]
    fn only_the_very_name_counts_and_only_with_a_whole_commit() {
        let said =
            line("a", "refs/heads/refs/tags/1") + &line("b", "refs/tags/11") + "x\trefs/tags/1\n";
        assert_eq!(found(&said, "1"), None);
        assert_eq!(found("", "1"), None);
        assert_eq!(found("no tab", "1"), None);
    }
}
