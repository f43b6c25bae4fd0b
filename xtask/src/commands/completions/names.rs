//! The names that a graph file gives. One that is not there, or that has a mistake, gives none: a
//! command says what is wrong with it, and a key press does not.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::sync::OnceLock;

use camino::Utf8PathBuf;

use crate::graphfile::chosen::Chosen;
use crate::graphfile::options::GraphOptions;
use crate::graphfile::spec::{self, Spec};

/// A name, and what a person knows it by.
pub(super) type GraphName = (String, Option<String>);

/// The names of the graph that a command line chooses. The file is read when the first name is
/// wanted.
pub(super) struct GraphNames {
    words: Vec<String>,
    spec: OnceLock<Option<Spec>>,
}

impl GraphNames {
    /// Those of the graph that these words of a command line choose.
    pub(super) fn of(words: &[OsString]) -> Self {
        let words = words.iter().filter_map(|word| word.to_str());
        Self {
            words: words.map(str::to_owned).collect(),
            spec: OnceLock::new(),
        }
    }

    fn spec(&self) -> Option<&Spec> {
        self.spec.get_or_init(|| self.load()).as_ref()
    }

    fn load(&self) -> Option<Spec> {
        let vars = self.given("--set").into_iter();
        let vars = vars.filter_map(|it| it.split_once('='));
        let options = GraphOptions {
            profiles: self
                .given("--profile")
                .into_iter()
                .map(Into::into)
                .collect(),
            vars: vars
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            ..GraphOptions::default()
        };
        let graph = self.given("--graph").pop().map(Utf8PathBuf::from);
        let chosen = Chosen::of(graph.as_deref(), options).ok()?;
        let mut spec = spec::load(&chosen.file, &chosen.options).ok()?;
        spec.split();
        Some(spec)
    }

    /// The values of a flag, in both of its spellings.
    fn given(&self, flag: &str) -> Vec<&str> {
        let mut values = Vec::new();
        let mut words = self.words.iter();
        while let Some(word) = words.next() {
            match word.strip_prefix(flag) {
                Some("") => values.extend(words.next().map(String::as_str)),
                Some(rest) => values.extend(rest.strip_prefix('=')),
                None => {}
            }
        }
        values
    }

    /// The stages in the file's order, each with its image.
    pub(super) fn stages(&self) -> Vec<GraphName> {
        let Some(spec) = self.spec() else {
            return Vec::new();
        };
        let stages = spec.declared.iter().map(|id| spec.stage(*id));
        let stages = stages.filter(|stage| !stage.is_part());
        stages
            .map(|stage| (stage.name.clone(), stage.image.clone()))
            .collect()
    }

    /// The parts of stages with several platforms.
    pub(super) fn parts(&self) -> Vec<GraphName> {
        let stages = self.spec().into_iter().flat_map(|spec| &spec.stages);
        let parts = stages.filter(|stage| stage.is_part());
        parts.map(|part| (part.name.clone(), None)).collect()
    }

    /// The groups.
    pub(super) fn groups(&self) -> Vec<GraphName> {
        let groups = self.spec().into_iter().flat_map(|spec| spec.groups.keys());
        groups
            .map(|name| (name.clone(), Some("group".to_owned())))
            .collect()
    }

    /// The profiles.
    pub(super) fn profiles(&self) -> Vec<GraphName> {
        let profiles = self.spec().into_iter().flat_map(|spec| &spec.profiles);
        profiles.map(|name| (name.clone(), None)).collect()
    }

    /// The sources, each with its repository.
    pub(super) fn sources(&self) -> Vec<GraphName> {
        let sources = self.spec().into_iter().flat_map(|spec| &spec.sources);
        let named = |source: &spec::Source| {
            let url = source.git.as_ref().map(|git| git.url.clone());
            (source.name.clone(), url)
        };
        sources.map(named).collect()
    }

    /// The targets of releases, each with its address.
    pub(super) fn targets(&self) -> Vec<GraphName> {
        let targets = self
            .spec()
            .into_iter()
            .flat_map(|spec| &spec.publishing.targets);
        targets
            .map(|(name, target)| (name.clone(), target.to.clone()))
            .collect()
    }

    /// The variables, as the start of `NAME=VALUE`.
    pub(super) fn variables(&self) -> Vec<GraphName> {
        let names = self.spec().into_iter().flat_map(|spec| &spec.variables);
        names.map(|name| (format!("{name}="), None)).collect()
    }

    /// The platforms that the stages name, with the usual two.
    pub(super) fn platforms(&self) -> Vec<GraphName> {
        let stages = self.spec().into_iter().flat_map(|spec| &spec.stages);
        let own = stages.flat_map(|stage| stage.platforms.iter().cloned());
        let usual = ["linux/amd64", "linux/arm64"].map(str::to_owned);
        let all: BTreeSet<String> = own.chain(usual).collect();
        all.into_iter().map(|platform| (platform, None)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_in_both_spellings_and_an_open_one_has_no_value() {
        let words = [
            "build",
            "--profile",
            "a",
            "--profile=b",
            "--profiles",
            "c",
            "--graph",
        ];
        let names = GraphNames::of(&words.map(OsString::from));
        assert_eq!(names.given("--profile"), ["a", "b"]);
        assert_eq!(names.given("--graph"), [""; 0]);
    }
}
