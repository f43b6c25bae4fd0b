//! The external images of a stage, and for which platforms it uses them.
//!
//! A Dockerfile uses references in FROM, COPY --from, RUN --mount from= and the frontend of
//! `# syntax=`. Named contexts put others in their place. Does not ask what a reference points to.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::graphfile::spec::{Context, Stage};
use dockerfile::{BaseKind, Reading, TakenFrom};

/// The external images of one stage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Externals {
    /// Their references, in the short spelling.
    pub references: BTreeSet<String>,
    /// The frontend, which reads the Dockerfile, if it is an image.
    pub frontend: Option<String>,
    /// The platforms whose images the build may use. Empty if they are not known.
    pub platforms: BTreeSet<String>,
    /// Where the Dockerfile takes an image from, and for which platforms.
    pub takes: Vec<Taken>,
    /// Why the text alone does not tell all references. `None` if it does.
    pub open: Option<String>,
    /// A sentence on each image that has nearly the name of a stage, by reference.
    pub near_stages: BTreeMap<String, String>,
}

/// A place of a Dockerfile that takes from an external image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The reference, in the short spelling.
    pub reference: String,
    /// How it takes from the image.
    pub kind: BaseKind,
    /// One-based line.
    pub line: usize,
    /// The platforms. Empty if they are not known.
    pub platforms: BTreeSet<String>,
    /// Whether the Dockerfile, and not the build, chooses the platform.
    pub is_chosen: bool,
}

impl Externals {
    /// `platform` is the engine's own.
    pub(super) fn of(
        stage: &Stage,
        reading: &Reading,
        images: &BTreeMap<String, String>,
        platform: Option<&str>,
    ) -> Self {
        let short = |syntax: &String| Some(reference::normalise(syntax)?.context_name());
        let frontend = reading.syntax.as_ref().and_then(short);
        let written = reading.bases.iter().map(|base| &base.reference);
        let references = written.chain(images.values()).chain(&frontend);
        let because = || reading.undecided.first().cloned();
        Self {
            references: references.cloned().collect(),
            platforms: platforms(stage, reading, platform).unwrap_or_default(),
            takes: takes(stage, reading, images, platform),
            open: (!reading.bases_complete).then(|| because().unwrap_or_default()),
            frontend,
            near_stages: BTreeMap::new(),
        }
    }
}

/// All platforms that the build or a FROM names. Any image may be used for any of them: BuildKit
/// decides which of them a COPY --from takes.
fn platforms(stage: &Stage, reading: &Reading, own: Option<&str>) -> Option<BTreeSet<String>> {
    let mut platforms = platforms_of(stage, own)?;
    platforms.extend(
        reading
            .bases
            .iter()
            .filter_map(|base| base.platform.clone()),
    );
    Some(platforms)
}

/// The platforms that the build itself is for; `None` if they are not known.
pub fn platforms_of(stage: &Stage, own: Option<&str>) -> Option<BTreeSet<String>> {
    match stage.platforms.as_slice() {
        // An engine does not say which variant of 32-bit ARM it runs on.
        [] => Some(BTreeSet::from([reference::platform::normal(
            own.filter(|own| *own != "linux/arm")?,
        )?])),
        named => named
            .iter()
            .map(|platform| reference::platform::normal(platform))
            .collect(),
    }
}

fn takes(
    stage: &Stage,
    reading: &Reading,
    images: &BTreeMap<String, String>,
    own: Option<&str>,
) -> Vec<Taken> {
    let of_build = platforms_of(stage, own).unwrap_or_default();
    let takes = reading.takes.iter().filter_map(|take| {
        let reference = match &take.from {
            TakenFrom::Image(reference) => reference,
            TakenFrom::Context(name) => images.get(name)?,
        };
        let platforms = match &take.platform {
            Some(platform) => BTreeSet::from([platform.clone()]),
            None => of_build.clone(),
        };
        Some(Taken {
            reference: reference.clone(),
            kind: take.kind,
            line: take.line,
            platforms,
            is_chosen: take.platform.is_some(),
        })
    });
    takes.collect()
}

/// The named contexts that are external images and are used, by name.
pub(super) fn images(stage: &Stage, reading: &Reading) -> BTreeMap<String, String> {
    let used = stage
        .contexts
        .iter()
        .filter(|(name, _)| reading.named.contains_key(*name));
    used.filter_map(|(name, given)| match given {
        Context::Image(reference) => Some((name.clone(), reference.clone())),
        Context::Stage(_) | Context::Folder(..) => None,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphfile::options::GraphOptions;
    use crate::graphfile::spec;
    use dockerfile::Question;

    fn externals(dockerfile: &str, stage: &str, own: Option<&str>) -> Externals {
        let graph = format!("version = 1\n[stage.a]\ncontext = \"a\"\n{stage}\n");
        let spec = spec::read(
            "g.toml".into(),
            "/".into(),
            &graph,
            &GraphOptions::default(),
        )
        .unwrap();
        let stage = &spec.stages[0];
        let contexts = stage.contexts.keys().cloned().collect();
        let question = Question {
            contexts: &contexts,
            platform: own,
            build_platform: own,
            ..Question::default()
        };
        let reading = dockerfile::read(dockerfile.as_bytes(), &question).unwrap();
        Externals::of(stage, &reading, &images(stage, &reading), own)
    }

    fn names(set: &BTreeSet<String>) -> Vec<&str> {
        set.iter().map(String::as_str).collect()
    }

    #[test]
    fn every_place_of_a_dockerfile_that_names_an_image_counts() {
        let dockerfile = "# syntax=docker/dockerfile:1\nFROM docker.io/library/python:3.12 AS a\nFROM alpine\nCOPY --from=nginx:1 /x /x\nCOPY --from=a /y /y\nRUN --mount=from=ghcr.io/a/b:2,target=/z true\n";
        let found = externals(dockerfile, "", Some("linux/amd64"));
        let expected = [
            "alpine",
            "docker/dockerfile:1",
            "ghcr.io/a/b:2",
            "nginx:1",
            "python:3.12",
        ];
        assert_eq!(names(&found.references), expected);
        assert_eq!(found.frontend.as_deref(), Some("docker/dockerfile:1"));
        assert_eq!(names(&found.platforms), ["linux/amd64"]);
        assert_eq!(found.open, None);
    }

    #[test]
    fn an_image_that_a_context_replaces_is_not_used_and_what_replaces_it_is() {
        let contexts = "contexts = { \"python:3.12\" = { image = \"m.example/python:3.12\" }, unused = { image = \"never:1\" } }";
        let found = externals("FROM python:3.12\n", contexts, None);
        assert_eq!(names(&found.references), ["m.example/python:3.12"]);
    }

    #[test]
    fn the_platforms_are_those_of_the_build_and_of_every_from() {
        let dockerfile = "FROM --platform=linux/s390x x AS b\nFROM y\nCOPY --from=b /x /x\n";
        let own = Some("linux/amd64");
        let found = externals(dockerfile, "", own);
        assert_eq!(names(&found.platforms), ["linux/amd64", "linux/s390x"]);
        let several = "platforms = [\"linux/arm64\", \"linux/amd64\"]";
        let found = externals("FROM y\n", several, own);
        assert_eq!(names(&found.platforms), ["linux/amd64", "linux/arm64"]);
        for unknown in [None, Some("linux/arm")] {
            assert!(externals("FROM y\n", "", unknown).platforms.is_empty());
        }
    }

    #[test]
    fn a_name_that_hangs_on_a_variable_without_a_value_is_told() {
        let found = externals("ARG X\nFROM y-$X\n", "", None);
        assert!(found.open.is_some_and(|why| !why.is_empty()));
    }
}
