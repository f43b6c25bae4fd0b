//! `[builder.NAME]`: builders beside the engine's own. They decide where a stage is built, never
//! what its key or its record is.

use std::collections::BTreeSet;

use super::check::{GraphReader, Named};
use super::mistakes::{Mistake, Span};
use super::names;
use super::raw::RawBuilder;
use crate::graphfile::call::Call;
use crate::outside::builder::{Remote, Unusable};

/// How many places a builder has if the file does not say.
const JOBS: u32 = 2;
/// The most places and the most weight.
const MOST: u32 = 64;
/// BuildKit's image, as buildx takes it by default (docs.docker.com/build/builders/drivers,
/// *Docker container driver*).
const BUILDKIT: &str = "moby/buildkit:buildx-stable-1";

/// A builder of the graph file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Builder {
    /// Its name in the file.
    pub name: String,
    /// What it is.
    pub kind: BuilderKind,
    /// The platforms that it builds without emulation, in normal form, sorted; never empty.
    pub platforms: BTreeSet<String>,
    /// How many places the stages that are built there share, at least 1.
    pub jobs: u32,
    /// How strong it is beside the others, at least 1.
    pub weight: u32,
}

/// What a builder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuilderKind {
    /// The own builder of the engine behind this docker context.
    Context(String),
    /// A builder that buildx has under this name.
    Buildx(String),
    /// BuildKit in a container, which `setup` creates.
    Container {
        /// The docker context of its engine; the engine in use if `None`.
        context: Option<String>,
        /// BuildKit's image.
        image: String,
    },
}

impl BuilderKind {
    /// Whether two builders of this kind are one. Two containers on one engine are two.
    const fn is_one_place(&self) -> bool {
        matches!(self, Self::Context(_) | Self::Buildx(_))
    }
}

impl Builder {
    /// How the docker command reaches it. `None` if it is the own builder of the engine in use,
    /// whose docker context is `in_use`.
    pub fn remote(&self, in_use: &str) -> Option<Remote> {
        match &self.kind {
            BuilderKind::Context(name) if name == in_use => None,
            BuilderKind::Context(name) => Some(Remote::Context(name.clone())),
            BuilderKind::Buildx(name) => Some(Remote::Buildx(name.clone())),
            BuilderKind::Container { .. } => Some(Remote::Buildx(self.created_name())),
        }
    }

    /// The name that buildx has for a builder which `setup` creates. It is one of this program's
    /// own: a builder that the user has in buildx is another one.
    pub fn created_name(&self) -> String {
        format!("xtask-{}", self.name)
    }

    /// Whether it builds a platform, in normal form, without emulation.
    pub fn is_native(&self, platform: &str) -> bool {
        let mut own = self.platforms.iter();
        own.any(|own| reference::platform::serves(platform, own))
    }
}

impl Builder {
    /// Why it cannot be used, and what helps.
    pub fn told(&self, remote: &Remote, why: &Unusable, call: &Call) -> String {
        let (name, shown) = (&self.name, remote.name());
        let works = match remote {
            Remote::Context(context) => format!("docker --context={context} info"),
            Remote::Buildx(buildx) => format!("docker buildx inspect --bootstrap {buildx}"),
        };
        match (why, &self.kind) {
            (Unusable::Silent(why), _) => format!(
                "builder `{name}` does not answer ({why}): `{works}` must work, or remove [builder.{name}]"
            ),
            (Unusable::Unknown, BuilderKind::Context(_)) => format!(
                "builder `{name}` is the docker context `{shown}`, which is not there: make it by `docker context create {shown} --docker host=ssh://USER@HOST`, or remove [builder.{name}]"
            ),
            (Unusable::Unknown, BuilderKind::Buildx(_)) => format!(
                "builder `{name}` is `{shown}` of buildx, which is not there: make it by `docker buildx create --name={shown}`, or remove [builder.{name}]"
            ),
            (Unusable::Unknown, BuilderKind::Container { .. }) => format!(
                "builder `{name}` was not created yet: `{}` does it where its image can be pulled",
                call.command("setup")
            ),
            (Unusable::Classic, _) => format!(
                "builder `{name}` is an engine with the classic image store, which writes no OCI layout: turn on its containerd image store (`features` of its daemon.json), or write `driver = \"docker-container\"` beside `context = \"{shown}\"` and call `{}`",
                call.command("setup")
            ),
        }
    }
}

impl GraphReader<'_, '_> {
    /// Checks `[builder.NAME]`.
    pub(super) fn builders(&mut self, raw: Named<RawBuilder>) -> Vec<Builder> {
        let mut all = Vec::new();
        for (name, (span, raw)) in raw {
            let platforms: BTreeSet<String> = self
                .texts("platform", raw.platforms.clone(), names::platform)
                .iter()
                .filter_map(|it| reference::platform::normal(it))
                .collect();
            if platforms.is_empty() {
                let title = format!("builder `{name}` names no platform");
                let help =
                    "write `platforms = [\"linux/arm64\"]`: those that it builds without emulation";
                let mistake = Mistake::at(span.clone(), title, "this builder");
                self.mistakes.push(mistake.help(help));
            }
            let jobs = self.number("jobs", raw.jobs.clone(), MOST).unwrap_or(JOBS);
            let weight = self.number("weight", raw.weight.clone(), MOST).unwrap_or(1);
            if let Some(kind) = self.kind_of_builder(&name, &span, raw) {
                let is_same = |other: &&Builder| other.kind == kind;
                if let Some(other) = all.iter().find(is_same).filter(|_| kind.is_one_place()) {
                    let title = format!("builders `{}` and `{name}` are the same", other.name);
                    let mistake = Mistake::at(span.clone(), title, "the same once more");
                    self.mistakes.push(mistake.help("remove one of them"));
                }
                all.push(Builder {
                    name,
                    kind,
                    platforms,
                    jobs,
                    weight,
                });
            }
        }
        all
    }

    fn kind_of_builder(&mut self, name: &str, span: &Span, raw: RawBuilder) -> Option<BuilderKind> {
        let of_driver = [("docker-container", ())];
        let driver = match raw.driver {
            Some(driver) => Some(self.one_of("driver", &driver, &of_driver)?),
            None => None,
        };
        if let (None, Some(image)) = (driver, &raw.image) {
            let help = "write `driver = \"docker-container\"` beside it, or remove it";
            let title = format!("`image` is BuildKit's image, and builder `{name}` has no driver");
            let mistake = Mistake::at(image.span(), title, "this image");
            self.mistakes.push(mistake.help(help));
        }
        let context = raw.context;
        let context = context.map(|it| self.text("docker context", it, names::docker_name));
        let buildx = raw.buildx;
        let buildx = buildx.map(|it| self.text("buildx builder", it, names::buildx_builder));
        match (context, buildx, driver) {
            (Some(context), None, None) => Some(BuilderKind::Context(context?)),
            (None, Some(buildx), None) => Some(BuilderKind::Buildx(buildx?)),
            (context, None, Some(())) => {
                let image = match raw.image {
                    Some(image) => self.text("image", image, names::image_option)?,
                    None => BUILDKIT.to_owned(),
                };
                let context = match context {
                    Some(context) => Some(context?),
                    None => None,
                };
                Some(BuilderKind::Container { context, image })
            }
            _ => {
                let title = format!("builder `{name}` must be exactly one thing");
                let help = "write `context = \"NAME\"` for the engine behind a docker context, \
                            `buildx = \"NAME\"` for a builder that `docker buildx create` made, \
                            or `driver = \"docker-container\"` for one that `setup` creates";
                let mistake = Mistake::at(span.clone(), title, "this builder");
                self.mistakes.push(mistake.help(help));
                None
            }
        }
    }
}
