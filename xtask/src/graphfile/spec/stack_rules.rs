//! The rules for `[stack]`; those for a probe's fields are in `probe_rules`. Whether the compose
//! file has a service is checked when that file is read.

use std::collections::BTreeMap;
use std::time::Duration;

use super::check::{GraphReader, Scope};
use super::mistakes::{Mistake, Span};
use super::placed::Placed;
use super::raw::{Text, Texts};
use super::raw_stack::{RawEnv, RawStack};
use super::stack::{Stack, Variable};
use super::{Stage, StageId, names};
use crate::shown;

/// How long services have until they are ready, unless the file says otherwise.
const TIMEOUT: Duration = Duration::from_secs(180);
/// How long services are watched once they are ready, unless the file says otherwise.
const WATCH: Duration = Duration::from_secs(3);
/// The longest time that may be given, in seconds.
const LONGEST: i64 = 3600;

impl GraphReader<'_, '_> {
    /// Checks `[stack]`, which stands at `span`.
    pub(super) fn stack(
        &mut self,
        span: &Span,
        raw: RawStack,
        stages: &[Stage],
        scope: &Scope,
    ) -> Option<Stack> {
        if raw.compose.is_none() {
            let mistake = Mistake::at(
                span.clone(),
                "`stack` has no `compose`",
                "`compose` is missing",
            );
            self.mistakes
                .push(mistake.help("name the compose file that runs the images"));
        }
        let source = raw
            .source
            .and_then(|source| self.known(source, "source", &scope.sources));
        let compose = raw.compose.and_then(|path| self.path("compose", path));
        let env_file = raw.env_file.and_then(|path| self.path("env-file", path));
        let override_file = raw
            .override_file
            .and_then(|path| self.path("override", path));
        let services = self.mapped(raw.services, stages, scope);
        let env = self.variables_of_stack(raw.env, scope);
        let allow = self.texts("allow", raw.allow, names::plain);
        let timeout = self.seconds("timeout", raw.timeout, 1, TIMEOUT);
        let watch = self.seconds("watch", raw.watch, 0, WATCH);
        let probes = raw.probe.into_iter().flatten();
        let probes = probes.filter_map(|probe| self.probe(probe)).collect();
        Some(Stack {
            compose: compose?,
            source,
            env_file,
            override_file,
            services,
            env,
            allow: allow.into_iter().collect(),
            timeout,
            watch,
            probes,
        })
    }

    fn mapped(
        &mut self,
        raw: Option<Texts>,
        stages: &[Stage],
        scope: &Scope,
    ) -> BTreeMap<String, StageId> {
        let mut services = BTreeMap::new();
        let mut own = Vec::new();
        for (service, stage) in raw.into_iter().flatten() {
            let span = service.span();
            let service = self.text("service", service, names::service);
            let stage = self.known(stage, "stage", &scope.stages);
            if let (Some(service), Some(stage)) = (service, stage) {
                own.push((service.clone(), stage, span));
                services.insert(service, stage);
            }
        }
        for (id, stage) in super::ids(stages.len()).zip(stages) {
            for service in &stage.services {
                let before = services.insert(service.clone(), id);
                let Some(other) = before.filter(|before| *before != id) else {
                    continue;
                };
                let title = format!(
                    "service `{service}` runs the images of two stages, `{}` and `{}`",
                    shown::short(&stages[other.index()].name),
                    shown::short(&stage.name)
                );
                let place = own.iter().find(|(name, ..)| name == service);
                let mistake = match place {
                    Some((_, _, span)) => {
                        Mistake::at(span.clone(), title, "here, and in the stage's `services`")
                    }
                    None => Mistake::of_file(title),
                };
                self.mistakes.push(mistake.help("leave it to one of them"));
            }
        }
        services
    }

    fn variables_of_stack(
        &mut self,
        raw: Option<BTreeMap<Text, Placed<RawEnv>>>,
        scope: &Scope,
    ) -> BTreeMap<String, Variable> {
        let mut all = BTreeMap::new();
        for (name, value) in raw.into_iter().flatten() {
            let name = self.text("variable name", name, names::variable);
            let span = value.span();
            let value = match value.into_inner() {
                RawEnv::Text(text) => self
                    .settled("variable", Placed::new(span, text), |_| Ok(()), scope)
                    .map(Variable::Text),
                RawEnv::Secret(secret) => match secret.secret {
                    Some(secret) => self
                        .text("environment variable", secret, names::variable)
                        .map(Variable::Secret),
                    None => {
                        self.mistakes.push(Mistake::at(
                            span,
                            "a secret value must name an environment variable",
                            "expected `{ secret = \"NAME\" }`",
                        ));
                        None
                    }
                },
            };
            if let (Some(name), Some(value)) = (name, value) {
                all.insert(name, value);
            }
        }
        all
    }

    pub(super) fn number_within(
        &mut self,
        what: &str,
        raw: &Placed<i64>,
        least: u16,
        most: u16,
    ) -> Option<u16> {
        let number = u16::try_from(*raw.get_ref()).ok();
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let title = format!("a {what} out of range");
            let label = format!("expected {least} to {most}");
            self.mistakes.push(Mistake::at(raw.span(), title, label));
        }
        number
    }

    pub(super) fn seconds(
        &mut self,
        what: &str,
        raw: Option<Placed<i64>>,
        least: i64,
        usual: Duration,
    ) -> Duration {
        let Some(raw) = raw else { return usual };
        let seconds = *raw.get_ref();
        if let (true, Ok(seconds)) = ((least..=LONGEST).contains(&seconds), u64::try_from(seconds))
        {
            return Duration::from_secs(seconds);
        }
        let label = format!("expected {least} to {LONGEST} seconds");
        let title = format!("a {what} out of range");
        self.mistakes.push(Mistake::at(raw.span(), title, label));
        usual
    }
}
