//! Short ways to ask about a text in a test.

use std::collections::{BTreeMap, BTreeSet};

use crate::{ContextNeed, DockerfileError, ImageFacts, Question, Reading, read_knowing};

/// Builds a question.
#[derive(Default)]
pub(crate) struct Ask {
    target: Option<String>,
    args: BTreeMap<String, String>,
    platform: Option<String>,
    build_platform: Option<String>,
    contexts: BTreeSet<String>,
    unknown: BTreeSet<String>,
    images: BTreeMap<String, ImageFacts>,
}

impl Ask {
    pub(crate) fn target(mut self, target: &str) -> Self {
        self.target = Some(target.to_owned());
        self
    }

    pub(crate) fn arg(mut self, name: &str, value: &str) -> Self {
        self.args.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn platform(mut self, platform: &str) -> Self {
        self.platform = Some(platform.to_owned());
        self
    }

    pub(crate) fn build_platform(mut self, platform: &str) -> Self {
        self.build_platform = Some(platform.to_owned());
        self
    }

    pub(crate) fn context(mut self, name: &str) -> Self {
        self.contexts.insert(name.to_owned());
        self
    }

    pub(crate) fn unknown(mut self, name: &str) -> Self {
        self.unknown.insert(name.to_owned());
        self
    }

    pub(crate) fn image(mut self, canonical: &str, env: &[(&str, &str)], onbuild: &[&str]) -> Self {
        let env = env
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let onbuild = onbuild.iter().map(|t| (*t).to_owned()).collect();
        self.images.insert(
            canonical.to_owned(),
            ImageFacts {
                onbuild,
                env: Some(env),
            },
        );
        self
    }

    pub(crate) fn read(&self, text: impl AsRef<[u8]>) -> Result<Reading, DockerfileError> {
        let question = Question {
            target: self.target.as_deref(),
            args: &self.args,
            platform: self.platform.as_deref(),
            build_platform: self.build_platform.as_deref(),
            contexts: &self.contexts,
            unknown: &self.unknown,
        };
        read_knowing(text.as_ref(), &question, &self.images)
    }

    pub(crate) fn of(&self, text: impl AsRef<[u8]>) -> Reading {
        self.read(text).unwrap()
    }
}

pub(crate) fn ask() -> Ask {
    Ask::default()
}

pub(crate) fn of(text: impl AsRef<[u8]>) -> Reading {
    ask().of(text)
}

/// The paths of a need; `*` marks patterns, `WHOLE` stands for everything.
pub(crate) fn paths(need: &ContextNeed) -> Vec<String> {
    match need {
        ContextNeed::Nothing => Vec::new(),
        ContextNeed::Whole { .. } => vec!["WHOLE".to_owned()],
        ContextNeed::Paths(needs) => {
            let shown = |n: &crate::Need| {
                let star = if n.wildcard { "*:" } else { "" };
                format!("{star}{}", String::from_utf8_lossy(&n.path))
            };
            needs.iter().map(shown).collect()
        }
    }
}

/// The paths of the main context that a file needs.
pub(crate) fn context(text: impl AsRef<[u8]>) -> Vec<String> {
    paths(&of(text).context)
}

/// The bases in short spelling.
pub(crate) fn bases(reading: &Reading) -> Vec<String> {
    reading.bases.iter().map(|b| b.reference.clone()).collect()
}
