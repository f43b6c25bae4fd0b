//! Lays one set of stage fields over another.
//!
//! `[defaults]` under a stage and a profile over it follow the same rule: a table (`args`,
//! `labels`, `contexts`) is merged by name, every other field is replaced. Nothing is appended, so
//! the value that a profile gives is the whole value.

use serde::de::DeserializeOwned;

use super::placed::Placed;
use super::raw::{
    RawBuilder, RawPolicy, RawPrepare, RawPublish, RawSource, RawStage, RawTarget, Text, Texts,
};

/// A table that a profile can lay over another one of the same name.
pub trait Layered: DeserializeOwned + Default {
    /// `over` laid over `under`.
    fn lay(over: Self, under: Self) -> Self;
    /// Whether a profile may declare it although the graph has nothing of its name.
    fn declares(&self) -> bool;
}

impl Layered for RawSource {
    fn lay(over: Self, under: Self) -> Self {
        Self {
            path: over.path.or(under.path),
            git: over.git.or(under.git),
            rev: over.rev.or(under.rev),
            mirrors: over.mirrors.or(under.mirrors),
            layout: over.layout.or(under.layout),
        }
    }

    fn declares(&self) -> bool {
        false
    }
}

impl Layered for RawTarget {
    fn lay(over: Self, under: Self) -> Self {
        Self {
            to: over.to.or(under.to),
        }
    }

    /// A profile may add a target.
    fn declares(&self) -> bool {
        true
    }
}

impl Layered for RawBuilder {
    fn lay(over: Self, under: Self) -> Self {
        Self {
            context: over.context.or(under.context),
            buildx: over.buildx.or(under.buildx),
            driver: over.driver.or(under.driver),
            image: over.image.or(under.image),
            platforms: over.platforms.or(under.platforms),
            jobs: over.jobs.or(under.jobs),
            weight: over.weight.or(under.weight),
        }
    }

    /// A profile may add a builder.
    fn declares(&self) -> bool {
        true
    }
}

impl RawPublish {
    /// `over` laid over `under`.
    pub fn lay(over: Self, under: Self) -> Self {
        Self {
            immutable: over.immutable.or(under.immutable),
            staging: over.staging.or(under.staging),
            attest: over.attest.or(under.attest),
            sbom_generator: over.sbom_generator.or(under.sbom_generator),
            cosign: over.cosign.or(under.cosign),
        }
    }
}

impl RawPolicy {
    /// `over` laid over `under`.
    pub fn lay(over: Self, under: Self) -> Self {
        Self {
            rules: merge(over.rules, under.rules),
            max_size: over.max_size.or(under.max_size),
            max_added: over.max_added.or(under.max_added),
            setuid: over.setuid.or(under.setuid),
            labels: over.labels.or(under.labels),
            env: over.env.or(under.env),
            ports: over.ports.or(under.ports),
            entrypoint: over.entrypoint.or(under.entrypoint),
            healthcheck: over.healthcheck.or(under.healthcheck),
        }
    }
}

impl Layered for RawStage {
    fn lay(over: Self, under: Self) -> Self {
        Self {
            source: over.source.or(under.source),
            context: over.context.or(under.context),
            dockerfile: over.dockerfile.or(under.dockerfile),
            target: over.target.or(under.target),
            args: merge(over.args, under.args),
            volatile: over.volatile.or(under.volatile),
            labels: merge(over.labels, under.labels),
            platforms: over.platforms.or(under.platforms),
            platform: merge(over.platform, under.platform),
            image: over.image.or(under.image),
            tags: over.tags.or(under.tags),
            from: over.from.or(under.from),
            overlays: over.overlays.or(under.overlays),
            contexts: merge(over.contexts, under.contexts),
            secrets: over.secrets.or(under.secrets),
            ssh: over.ssh.or(under.ssh),
            network: over.network.or(under.network),
            add_hosts: merge(over.add_hosts, under.add_hosts),
            shm_size: over.shm_size.or(under.shm_size),
            ulimit: over.ulimit.or(under.ulimit),
            weight: over.weight.or(under.weight),
            keep: over.keep.or(under.keep),
            prepare: over.prepare.or(under.prepare),
            services: over.services.or(under.services),
            output: over.output.or(under.output),
            compression: over.compression.or(under.compression),
            reproducible: over.reproducible.or(under.reproducible),
            annotations: merge(over.annotations, under.annotations),
            provenance: over.provenance.or(under.provenance),
            sbom: over.sbom.or(under.sbom),
            policy: match (over.policy, under.policy) {
                (Some(over), Some(under)) => Some(RawPolicy::lay(over, under)),
                (over, under) => over.or(under),
            },
        }
    }

    /// A profile may declare stages of its own, such as overlays on bases. A table without a
    /// context must mean a stage of the graph.
    fn declares(&self) -> bool {
        self.context.is_some()
    }
}

/// How many bytes the fields hold, roughly.
pub fn size(raw: &RawStage) -> usize {
    fn one(text: &Text) -> usize {
        text.get_ref().len() + 16
    }
    fn list(texts: Option<&Vec<Text>>) -> usize {
        texts.into_iter().flatten().map(one).sum()
    }
    fn map(texts: Option<&Texts>) -> usize {
        let pairs = texts.into_iter().flatten();
        pairs.map(|(name, value)| one(name) + one(value)).sum()
    }
    let single = [
        &raw.source,
        &raw.context,
        &raw.dockerfile,
        &raw.target,
        &raw.image,
        &raw.from,
        &raw.network,
        &raw.shm_size,
        &raw.output,
        &raw.compression,
    ];
    let lists = [
        &raw.volatile,
        &raw.platforms,
        &raw.tags,
        &raw.overlays,
        &raw.ssh,
        &raw.services,
        &raw.ulimit,
    ];
    let maps = [&raw.args, &raw.labels, &raw.add_hosts, &raw.annotations];
    let contexts = raw.contexts.iter().flatten().map(|(name, context)| {
        let context = context.get_ref();
        let given = [&context.stage, &context.image, &context.path];
        one(name) + given.into_iter().flatten().map(one).sum::<usize>()
    });
    let secrets = raw.secrets.iter().flatten().map(|secret| {
        let secret = secret.get_ref();
        let given = [&secret.id, &secret.env, &secret.file];
        16 + given.into_iter().flatten().map(one).sum::<usize>()
    });
    let of_prepare = |prepare: &Placed<RawPrepare>| {
        let prepare = prepare.get_ref();
        let lists = [
            &prepare.inputs,
            &prepare.source_inputs,
            &prepare.ignore,
            &prepare.needs,
        ];
        let lists: usize = lists.into_iter().map(|texts| list(texts.as_ref())).sum();
        let spanned = [&prepare.run, &prepare.outputs].into_iter().flatten();
        lists
            + spanned
                .map(|texts| list(Some(texts.get_ref())))
                .sum::<usize>()
    };
    let prepare = raw.prepare.iter().map(of_prepare);
    let platforms = raw.platform.iter().flatten().map(|(name, platform)| {
        let platform = platform.get_ref();
        let given = [&platform.dockerfile, &platform.target];
        let given: usize = given.into_iter().flatten().map(one).sum();
        let prepare: usize = platform.prepare.iter().map(of_prepare).sum();
        one(name) + given + map(platform.args.as_ref()) + list(platform.overlays.as_ref()) + prepare
    });
    let policy = raw.policy.iter().map(|policy| {
        let lists = [
            &policy.setuid,
            &policy.labels,
            &policy.env,
            &policy.ports,
            &policy.entrypoint,
        ];
        let lists: usize = lists.into_iter().map(|texts| list(texts.as_ref())).sum();
        lists + map(policy.rules.as_ref())
    });
    let single: usize = single.into_iter().flatten().map(one).sum();
    let lists: usize = lists.into_iter().map(|texts| list(texts.as_ref())).sum();
    let maps: usize = maps.into_iter().map(|texts| map(texts.as_ref())).sum();
    let others = contexts
        .chain(secrets)
        .chain(prepare)
        .chain(policy)
        .chain(platforms)
        .sum::<usize>();
    single + lists + maps + others
}

fn merge<M>(over: Option<M>, under: Option<M>) -> Option<M>
where
    M: IntoIterator + Extend<M::Item>,
{
    match (over, under) {
        (Some(over), Some(mut under)) => {
            under.extend(over);
            Some(under)
        }
        (over, under) => over.or(under),
    }
}
