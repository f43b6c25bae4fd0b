//! Lays one set of stage fields over another.
//!
//! The rule is the same for `[defaults]` under a stage and a profile over it: a table
//! (`args`, `labels`, `contexts`) is merged by name, every other field is replaced.
//! Nothing is appended, so what a profile says is what holds.

use super::raw::RawStage;

/// `over` laid over `under`.
pub fn lay(over: RawStage, under: RawStage) -> RawStage {
    RawStage {
        source: over.source.or(under.source),
        context: over.context.or(under.context),
        dockerfile: over.dockerfile.or(under.dockerfile),
        target: over.target.or(under.target),
        args: merge(over.args, under.args),
        volatile: over.volatile.or(under.volatile),
        labels: merge(over.labels, under.labels),
        platforms: over.platforms.or(under.platforms),
        image: over.image.or(under.image),
        tags: over.tags.or(under.tags),
        from: over.from.or(under.from),
        overlays: over.overlays.or(under.overlays),
        contexts: merge(over.contexts, under.contexts),
        secrets: over.secrets.or(under.secrets),
        ssh: over.ssh.or(under.ssh),
        weight: over.weight.or(under.weight),
        prepare: over.prepare.or(under.prepare),
        services: over.services.or(under.services),
    }
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
