//! The rules for one stage and each of its fields. `check` reads the file as a whole.

use std::collections::{BTreeMap, BTreeSet};

use super::check::{GraphReader, Scope};
use super::mistakes::{Mistake, Span};
use super::placed::Placed;
use super::platforms;
use super::raw::{RawAt, RawContext, RawPlatform, RawPrepare, RawSecret, RawStage, Text};
use super::template::Template;
use super::template_rules::{is_fact, no_nul};
use super::{
    Attachments, Context, ImageNames, Naming, Parts, Prepare, Secret, SecretPlace, Stage, Variant,
    names,
};

/// How many of a stage's last images stay, unless the file says otherwise.
pub(super) const KEEP: u32 = 3;

impl GraphReader<'_, '_> {
    /// Checks one stage.
    pub(super) fn stage(
        &mut self,
        name: String,
        span: &Span,
        raw: RawStage,
        scope: &Scope,
    ) -> Stage {
        let source = raw
            .source
            .and_then(|source| self.known(source, "source", &scope.sources));
        if raw.context.is_none() {
            let title = format!("stage `{name}` has no `context`");
            self.mistakes.push(
                Mistake::at(span.clone(), title, "`context` is missing")
                    .help("name the folder that the Dockerfile's COPY instructions start from"),
            );
        }
        let context = raw
            .context
            .and_then(|path| self.path("context", path))
            .unwrap_or_default();
        let dockerfile = raw
            .dockerfile
            .and_then(|path| self.path("dockerfile", path));
        let dockerfile = dockerfile.unwrap_or_else(|| context.join("Dockerfile"));
        let args = self.templates("argument", raw.args, names::variable, scope);
        let volatile: BTreeSet<String> = self
            .texts("name of an argument or label", raw.volatile, label_name)
            .into_iter()
            .collect();
        let (ImageNames { image, tags }, naming) = self.naming(raw.image, raw.tags, scope);
        let platforms = self.texts("platform", raw.platforms, names::platform);
        let platforms = platforms::sorted(platforms);
        let variants = self.variants(raw.platform, &platforms, scope);
        let mut ssh = self.texts("ssh id", raw.ssh, names::secret_id);
        ssh.sort();
        ssh.dedup();
        Stage {
            source,
            context,
            dockerfile,
            target: raw
                .target
                .and_then(|target| self.text("target", target, names::plain)),
            args,
            own_args: BTreeSet::new(),
            volatile,
            labels: self.templates("label", raw.labels, label_name, scope),
            platforms,
            variants,
            parts: Parts::One,
            image,
            tags,
            naming,
            from: raw
                .from
                .and_then(|from| self.known(from, "stage", &scope.stages)),
            overlays: raw
                .overlays
                .into_iter()
                .flatten()
                .filter_map(|path| self.path("overlay", path))
                .collect(),
            contexts: self.contexts(raw.contexts, scope),
            replaced: BTreeSet::new(),
            secrets: self.secrets(raw.secrets),
            ssh,
            run: self.run_settings(raw.network, raw.add_hosts, raw.shm_size, raw.ulimit),
            weight: self.number("weight", raw.weight, 64).unwrap_or(1),
            keep: self.number("keep", raw.keep, 16).unwrap_or(KEEP),
            prepare: raw.prepare.and_then(|prepare| self.prepare(prepare)),
            prepared_with: None,
            services: self.texts("service", raw.services, names::identifier),
            shipping: self.shipping(raw.output, raw.compression, raw.reproducible, scope),
            policy: self.policy(raw.policy.unwrap_or_default()),
            annotations: self.templates("annotation", raw.annotations, label_name, scope),
            attached: Attachments {
                provenance: raw.provenance.unwrap_or(true),
                sbom: raw.sbom.unwrap_or_default(),
            },
            name,
        }
    }

    /// What differs on single platforms, which must be among those of the stage.
    fn variants(
        &mut self,
        raw: Option<BTreeMap<Text, Placed<RawPlatform>>>,
        platforms: &[String],
        scope: &Scope,
    ) -> BTreeMap<String, Variant> {
        let mut variants = BTreeMap::new();
        for (platform, raw) in raw.into_iter().flatten() {
            let span = platform.span();
            let Some(platform) = self.text("platform", platform, names::platform) else {
                continue;
            };
            let normal = reference::platform::normal(&platform);
            let is_it = |it: &&String| reference::platform::normal(it) == normal;
            let Some(own) = platforms.iter().find(is_it) else {
                let title = format!("the stage is not built for {platform}");
                let mistake = Mistake::at(span, title, "not among its `platforms`");
                let help = format!("write \"{platform}\" into `platforms`");
                self.mistakes.push(mistake.help(help));
                continue;
            };
            let raw = raw.into_inner();
            let overlays = raw.overlays.map(|overlays| {
                let overlays = overlays.into_iter();
                overlays
                    .filter_map(|path| self.path("overlay", path))
                    .collect()
            });
            let variant = Variant {
                dockerfile: raw
                    .dockerfile
                    .and_then(|path| self.path("dockerfile", path)),
                target: raw
                    .target
                    .and_then(|target| self.text("target", target, names::plain)),
                args: self.templates("argument", raw.args, names::variable, scope),
                overlays,
                prepare: raw.prepare.and_then(|prepare| self.prepare(prepare)),
            };
            variants.insert(own.clone(), variant);
        }
        variants
    }

    /// The image's name and tags. They are settled later if they mention a fact of a source.
    fn naming(
        &mut self,
        image: Option<Text>,
        tags: Option<Vec<Text>>,
        scope: &Scope,
    ) -> (ImageNames, Naming) {
        let named = image.is_some();
        let image = image.and_then(|image| self.name("image name", image, names::image, scope));
        let tags = match tags {
            None if named => vec![Template::of_text("latest")],
            tags => {
                let tags = tags.into_iter().flatten();
                tags.filter_map(|tag| self.name("tag", tag, names::tag, scope))
                    .collect()
            }
        };
        let mut all = image.iter().chain(&tags);
        if all.any(|template| template.names().next().is_some()) {
            return (ImageNames::default(), Naming::Late { image, tags });
        }
        let text = |template: &Template| template.expand(|_| Err(())).ok();
        let tags: BTreeSet<String> = tags.iter().filter_map(text).collect();
        let known = ImageNames {
            image: image.as_ref().and_then(text),
            tags: tags.into_iter().collect(),
        };
        (known, Naming::Settled)
    }

    /// A name that may mention facts of a source. `rule` holds for a name that mentions none.
    fn name(
        &mut self,
        what: &str,
        value: Text,
        rule: fn(&str) -> Result<(), String>,
        scope: &Scope,
    ) -> Option<Template> {
        let template = self.template(what, &value, scope, is_fact)?;
        match template.expand(|_| Err(())) {
            Ok(text) => {
                let text = self.text(what, Placed::new(value.span(), text), rule)?;
                Some(Template::of_text(&text))
            }
            Err(()) => Some(template),
        }
    }

    fn contexts(
        &mut self,
        raw: Option<BTreeMap<Text, Placed<RawContext>>>,
        scope: &Scope,
    ) -> BTreeMap<String, Context> {
        let mut contexts = BTreeMap::new();
        for (name, raw) in raw.into_iter().flatten() {
            let (span, name) = (raw.span(), self.text("context name", name, context_name));
            let raw = raw.into_inner();
            let source = raw
                .source
                .and_then(|source| self.known(source, "source", &scope.sources));
            let context = match (raw.stage, raw.image, raw.path) {
                (Some(stage), None, None) => self
                    .known(stage, "stage", &scope.stages)
                    .map(Context::Stage),
                (None, Some(image), None) => self
                    .text("image reference", image, names::plain)
                    .map(Context::Image),
                (None, None, Some(path)) => self
                    .path("path", path)
                    .map(|path| Context::Folder(source, path)),
                _ => {
                    self.mistakes.push(Mistake::at(
                        span,
                        "a named context is one of three things",
                        "expected exactly one of `stage`, `image`, `path`",
                    ));
                    None
                }
            };
            if let (Some(name), Some(context)) = (name, context) {
                contexts.insert(name, context);
            }
        }
        contexts
    }

    fn secrets(&mut self, raw: Option<Vec<Placed<RawSecret>>>) -> BTreeMap<String, Secret> {
        let mut secrets = BTreeMap::new();
        for raw in raw.into_iter().flatten() {
            let span = raw.span();
            let raw = raw.into_inner();
            let place = match (raw.env, raw.file) {
                (Some(env), None) => self
                    .text("environment variable", env, names::variable)
                    .map(SecretPlace::Env),
                (None, Some(file)) => self
                    .text("secret file", file, names::plain)
                    .map(|file| SecretPlace::File(file.into())),
                _ => {
                    let label = "expected exactly one of `env`, `file`";
                    self.mistakes.push(Mistake::at(
                        span.clone(),
                        "a secret must come from exactly one place",
                        label,
                    ));
                    None
                }
            };
            let id = match raw.id {
                Some(id) => self.text("secret id", id, names::secret_id),
                None => {
                    self.mistakes.push(Mistake::at(
                        span,
                        "a secret needs an `id`",
                        "`id` is missing",
                    ));
                    None
                }
            };
            if let (Some(id), Some(place)) = (id, place) {
                let optional = raw.optional.unwrap_or_default();
                secrets.insert(id, Secret { place, optional });
            }
        }
        secrets
    }

    fn prepare(&mut self, raw: Placed<RawPrepare>) -> Option<Prepare> {
        let span = raw.span();
        let raw = raw.into_inner();
        let run = raw
            .run
            .map(|run| self.texts("command", Some(run.into_inner()), no_nul))
            .unwrap_or_default();
        if run.first().is_none_or(String::is_empty) {
            let mistake = Mistake::at(
                span.clone(),
                "`prepare` has no command",
                "`run` is missing or empty",
            );
            self.mistakes
                .push(mistake.help("write it like run = [\"make\", \"outputs\"]"));
        }
        let outputs: Vec<_> = raw
            .outputs
            .into_iter()
            .flat_map(Placed::into_inner)
            .filter_map(|path| self.path("output", path))
            .collect();
        if outputs.is_empty() {
            let mistake = Mistake::at(
                span,
                "`prepare` declares no outputs",
                "`outputs` is missing or empty",
            );
            self.mistakes.push(
                mistake.help(
                    "name the files that the command makes, so that a missing one is noticed",
                ),
            );
        }
        let inputs = raw
            .inputs
            .into_iter()
            .flatten()
            .filter_map(|path| self.path("input", path))
            .collect();
        let dir = raw
            .dir
            .and_then(|dir| self.path("dir", dir))
            .unwrap_or_default();
        let source_inputs = raw
            .source_inputs
            .into_iter()
            .flatten()
            .filter_map(|path| self.path("input", path))
            .collect();
        let beside_graph = raw.at.is_some_and(|at| *at.get_ref() == RawAt::Graph);
        let ignore = self.texts("ignore pattern", raw.ignore, names::plain);
        let mut needs = self.texts("program or library", raw.needs, names::tool);
        needs.sort();
        needs.dedup();
        Some(Prepare {
            run,
            inputs,
            source_inputs,
            ignore,
            outputs,
            beside_graph,
            dir,
            needs,
        })
    }

    pub(super) fn number(
        &mut self,
        what: &str,
        raw: Option<Placed<i64>>,
        most: u32,
    ) -> Option<u32> {
        let raw = raw?;
        let number = u32::try_from(*raw.get_ref()).ok();
        let number = number.filter(|number| (1..=most).contains(number));
        if number.is_none() {
            let (title, label) = (
                format!("`{what}` is out of range"),
                format!("expected 1 to {most}"),
            );
            self.mistakes.push(Mistake::at(raw.span(), title, label));
        }
        number
    }
}

fn label_name(text: &str) -> Result<(), String> {
    names::plain(text)?;
    if text.contains('=') {
        Err("must not hold `=`".into())
    } else {
        Ok(())
    }
}

/// In buildx's syntax, `=` would end the name.
fn context_name(text: &str) -> Result<(), String> {
    label_name(text)
}
