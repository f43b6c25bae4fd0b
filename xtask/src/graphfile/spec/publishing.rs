//! `[publish]` and `[target.NAME]`: how a release set is published, and where.

use std::collections::BTreeMap;

use super::check::{GraphReader, Named};
use super::mistakes::Mistake;
use super::names;
use super::raw::{RawPublish, RawTarget};
use dockerignore::Glob;

/// How a release set is published.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Publishing {
    /// Patterns of tags that never move once they are there.
    pub immutable: Vec<String>,
    /// `host/path` where everything is put first.
    pub staging: Option<String>,
    /// The form of attestations.
    pub attest: Attest,
    /// The command that makes a bill of materials, for stages that want one.
    pub generator: Vec<String>,
    /// How `cosign` signs, if it is to sign.
    pub cosign: Option<Cosign>,
    /// Where releases go, by name. Without any, every image goes to its own name.
    pub targets: BTreeMap<String, Target>,
}

/// The form of attestations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Attest {
    /// None are attached.
    None,
    /// As BuildKit up to 0.31 writes them: every client knows this form.
    #[default]
    Image,
    /// As BuildKit 0.32 writes them: OCI artifacts.
    Artifact,
}

/// How `cosign` signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cosign {
    /// With an identity that it asks for.
    Keyless,
    /// With a key, by its reference.
    Key(String),
}

/// Where a release goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// `host/path`, below which every image keeps the last part of its name. `None` for the image's
    /// own name.
    pub to: Option<String>,
}

impl Target {
    /// The name that an image has there.
    pub fn name_of(&self, image: &str) -> String {
        match &self.to {
            None => image.to_owned(),
            Some(to) => {
                let last = image.rsplit('/').next().unwrap_or(image);
                format!("{to}/{last}")
            }
        }
    }
}

impl Publishing {
    /// Whether a tag must not move.
    pub fn is_immutable(&self, tag: &str) -> bool {
        let mut patterns = self.immutable.iter();
        patterns.any(|pattern| {
            let glob = Glob::parse(pattern.as_bytes());
            glob.is_some_and(|glob| glob.matches(tag.as_bytes()))
        })
    }
}

impl GraphReader<'_, '_> {
    /// Checks `[publish]` and `[target.NAME]`.
    pub(super) fn publishing(&mut self, raw: RawPublish, targets: Named<RawTarget>) -> Publishing {
        let kinds = [
            ("none", Attest::None),
            ("image", Attest::Image),
            ("artifact", Attest::Artifact),
        ];
        let attest = raw
            .attest
            .and_then(|text| self.one_of("attest", &text, &kinds));
        for pattern in raw.immutable.iter().flatten() {
            if Glob::parse(pattern.get_ref().as_bytes()).is_none() {
                let title = "a pattern of tags is not valid";
                self.mistakes
                    .push(Mistake::at(pattern.span(), title, "this pattern"));
            }
        }
        let cosign = raw
            .cosign
            .and_then(|text| self.text("cosign key", text, names::plain));
        let targets = targets.into_iter().map(|(name, (_, target))| {
            let to = target
                .to
                .and_then(|to| self.text("target", to, names::image));
            (name, Target { to })
        });
        Publishing {
            targets: targets.collect(),
            immutable: self.texts("pattern", raw.immutable, names::plain),
            staging: raw
                .staging
                .and_then(|to| self.text("staging repository", to, names::image)),
            attest: attest.unwrap_or_default(),
            generator: self.texts("command", raw.sbom_generator, names::plain),
            cosign: cosign.map(|key| match key.as_str() {
                "keyless" => Cosign::Keyless,
                _ => Cosign::Key(key),
            }),
        }
    }
}
