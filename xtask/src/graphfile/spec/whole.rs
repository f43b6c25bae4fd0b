//! The rules for all stages together, and for all sources: what two of them must not both say.

use std::collections::HashMap;

use camino::Utf8PathBuf;

use super::check::GraphReader;
use super::mistakes::{Mistake, Span};
use super::platforms::is_same;
use super::{Prepare, Source, SourceId, Stage, names};
use crate::shown;

impl GraphReader<'_, '_> {
    /// Two different builds must not use one tag: each would take it from the other for ever.
    pub(super) fn claims(&mut self, stages: &[Stage], places: &[Span]) {
        for claimed in claimed_twice(stages) {
            let [owner, at] = claimed.stages;
            let title = format!(
                "stages `{}` and `{}` both name their image `{}`",
                shown::short(&stages[owner].name),
                shown::short(&stages[at].name),
                claimed.reference,
            );
            let mistake = Mistake::at(places[at].clone(), title, "the second one");
            self.mistakes
                .push(mistake.help("give one of them another `image` or other `tags`"));
        }
    }

    /// Two different host commands must not make the same output: each would make it anew for ever.
    /// If two stages have the same host command, it runs once for both.
    pub(super) fn outputs(&mut self, stages: &mut [Stage], places: &[Span]) {
        let all = stages.iter().enumerate().flat_map(|(at, stage)| {
            let prepares = prepares(stage);
            prepares.flat_map(move |prepare| {
                made(stage, prepare).map(move |(root, path)| (root, path, at, prepare.clone()))
            })
        });
        let mut made: Vec<_> = all.collect();
        // Sorting puts the paths in a folder right behind the folder.
        made.sort_by(|a, b| (&a.0, &a.1, a.2).cmp(&(&b.0, &b.1, b.2)));
        let mut above: Option<&(Option<SourceId>, Utf8PathBuf, usize, Prepare)> = None;
        for own in &made {
            let (root, path, at, prepare) = own;
            let Some((_, folder, owner, first)) =
                above.filter(|above| above.0 == *root && path.starts_with(&above.1))
            else {
                above = Some(own);
                continue;
            };
            let (stage, other) = (&stages[*at], &stages[*owner]);
            if (stage.source, prepare) == (other.source, first) {
                if owner != at {
                    stages[*at].prepared_with = super::ids(owner + 1).last();
                }
                continue;
            }
            if owner == at {
                let title = format!(
                    "two host commands of `{}` make `{}` for different platforms",
                    shown::short(&stage.name),
                    shown::short(folder.as_str())
                );
                let mistake = Mistake::at(places[*at].clone(), title, "this stage");
                let help = "let each make files of its own, and lay them over the context with `overlays` of the platform";
                self.mistakes.push(mistake.help(help));
                continue;
            }
            let title = format!(
                "the host commands of `{}` and `{}` both make `{}`",
                shown::short(&other.name),
                shown::short(&stage.name),
                shown::short(folder.as_str())
            );
            let mistake = Mistake::at(places[*at].clone(), title, "the second one");
            self.mistakes
                .push(mistake.help("give both the same `prepare`, or other `outputs`"));
        }
    }

    /// Two sources must not share the environment variable that points them at a checkout.
    pub(super) fn variables(&mut self, sources: &[Source], places: &[Span]) {
        let mut owners: HashMap<String, &str> = HashMap::new();
        for (source, place) in sources.iter().zip(places) {
            let variable = names::source_variable(&source.name);
            let Some(owner) = owners.insert(variable.clone(), &source.name) else {
                continue;
            };
            let title = format!(
                "sources `{}` and `{}` share the variable `{}`",
                shown::short(owner),
                shown::short(&source.name),
                shown::short(&variable),
            );
            self.mistakes.push(
                Mistake::at(place.clone(), title, "the second one")
                    .help("let the names differ in more than case, `-`, `.` and `_`"),
            );
        }
    }

    /// A stage's parents must be built for its platforms. BuildKit builds on a parent of another
    /// platform without a warning, and runs its programs.
    pub(super) fn platforms(&mut self, stages: &[Stage], places: &[Span]) {
        for (stage, place) in stages.iter().zip(places) {
            for parent in stage
                .upstream()
                .into_iter()
                .filter_map(|id| stages.get(id.index()))
            {
                let missing = stage
                    .platforms
                    .iter()
                    .find(|own| !parent.platforms.iter().any(|it| is_same(it, own)));
                if let Some(missing) = missing {
                    let title = format!(
                        "`{}` is built for {}, and `{}`, which it stands on, is not",
                        shown::short(&stage.name),
                        shown::short(missing),
                        shown::short(&parent.name)
                    );
                    let mistake = Mistake::at(place.clone(), title, "this stage");
                    self.mistakes.push(
                        mistake
                            .help("give both the same `platforms`, or put them into `[defaults]`"),
                    );
                }
            }
        }
    }
}

/// Two stages that give one name to different images.
pub(super) struct Claimed {
    /// Their places among all stages.
    pub(super) stages: [usize; 2],
    /// The name.
    pub(super) reference: String,
}

/// The names that stages with different builds both claim.
pub(super) fn claimed_twice(stages: &[Stage]) -> Vec<Claimed> {
    let mut owners: HashMap<String, usize> = HashMap::new();
    let mut claimed = Vec::new();
    for (at, stage) in stages.iter().enumerate() {
        for reference in stage.references() {
            // The engine treats all spellings of a name as one.
            let name = reference::normalise(&reference);
            let name = name.map_or_else(|| reference.clone(), |name| name.canonical());
            let owner = *owners.entry(name).or_insert(at);
            if owner != at && !same_build(stage, &stages[owner]) {
                let stages = [owner, at];
                claimed.push(Claimed { stages, reference });
            }
        }
    }
    claimed
}

/// The outputs of a stage's host command, below a source or the graph file's folder.
fn made<'s>(
    stage: &Stage,
    prepare: &'s Prepare,
) -> impl Iterator<Item = (Option<SourceId>, Utf8PathBuf)> + use<'s> {
    let root = stage.source.filter(|_| !prepare.beside_graph);
    let outputs = prepare.outputs.iter();
    outputs.map(move |path| (root, prepare.dir.join(path)))
}

/// The host commands of a stage: its own, and those of single platforms. Its own is none if every
/// platform has another.
fn prepares(stage: &Stage) -> impl Iterator<Item = &Prepare> {
    let variant = |platform: &String| stage.variants.get(platform)?.prepare.as_ref();
    let of_platforms = stage.platforms.iter().filter_map(variant);
    let all_have_one = !stage.platforms.is_empty()
        && stage
            .platforms
            .iter()
            .all(|platform| variant(platform).is_some());
    let own = stage.prepare.iter().filter(move |_| !all_have_one);
    own.chain(of_platforms)
}

/// Whether two stages would give the same image, so that they may share its name. Fields that do
/// not count are listed too, so that a new field of a stage cannot be forgotten. Nothing is copied,
/// as many stages may be compared with a large one.
fn same_build(a: &Stage, b: &Stage) -> bool {
    fn parts(stage: &Stage) -> impl PartialEq + '_ {
        let Stage {
            name: _,
            source,
            context,
            dockerfile,
            target,
            args,
            own_args: _,
            volatile,
            labels,
            platforms,
            variants,
            parts: _,
            image,
            tags: _,
            naming: _,
            from,
            overlays,
            contexts,
            replaced: _,
            secrets,
            ssh,
            run,
            weight: _,
            keep: _,
            prepare,
            prepared_with: _,
            services: _,
            policy: _,
            annotations: _,
            attached: _,
            shipping,
        } = stage;
        let place = (source, context, dockerfile, target, from, image);
        let values = (
            args, volatile, labels, platforms, variants, secrets, ssh, run,
        );
        (place, values, overlays, contexts, prepare, shipping)
    }
    parts(a) == parts(b)
}
