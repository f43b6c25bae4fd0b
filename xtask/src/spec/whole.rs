//! The rules for all stages together, and for all sources.
//!
//! Knows what two of them may not both say. Is unaware of how one is read.

use std::collections::HashMap;

use super::check::Reader;
use super::mistakes::{Mistake, Span};
use super::{Source, Stage, names};

impl Reader<'_, '_> {
    /// Two different builds must not fight for one tag: each would undo the other for ever.
    pub(super) fn claims(&mut self, stages: &[Stage], places: &[Span]) {
        let mut owners: HashMap<String, usize> = HashMap::new();
        for (at, stage) in stages.iter().enumerate() {
            for reference in stage.references() {
                let owner = *owners.entry(reference.clone()).or_insert(at);
                if owner != at && !same_build(stage, &stages[owner]) {
                    let title = format!(
                        "stages `{}` and `{}` both put their image under `{reference}`",
                        names::short(&stages[owner].name),
                        names::short(&stage.name)
                    );
                    let mistake = Mistake::at(places[at].clone(), title, "the second claim");
                    self.mistakes
                        .push(mistake.help("give one of them another `image` or other `tags`"));
                }
            }
        }
    }

    /// One variable of the environment cannot point two sources at a checkout.
    pub(super) fn variables(&mut self, sources: &[Source], places: &[Span]) {
        let mut owners: HashMap<String, &str> = HashMap::new();
        for (source, place) in sources.iter().zip(places) {
            let variable = names::source_variable(&source.name);
            let Some(owner) = owners.insert(variable.clone(), &source.name) else {
                continue;
            };
            let title = format!(
                "sources `{}` and `{}` share the variable `{}`",
                names::short(owner),
                names::short(&source.name),
                names::short(&variable),
            );
            self.mistakes.push(
                Mistake::at(place.clone(), title, "the second one")
                    .help("let the names differ in more than case, `-`, `.` and `_`"),
            );
        }
    }

    /// BuildKit builds on a parent of another platform without a word, and runs its programs.
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
                    .find(|platform| parent.platforms.binary_search(platform).is_err());
                if let Some(missing) = missing {
                    let title = format!(
                        "`{}` is built for {}, and `{}`, which it stands on, is not",
                        names::short(&stage.name),
                        names::short(missing),
                        names::short(&parent.name)
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

/// Whether two stages would give the same image, so that they may share its name. What does not
/// count is named, so that a new field of a stage cannot be forgotten; nothing is copied, as many
/// stages may be compared with a large one.
fn same_build(a: &Stage, b: &Stage) -> bool {
    fn parts(stage: &Stage) -> impl PartialEq + '_ {
        let Stage {
            name: _,
            source,
            context,
            dockerfile,
            target,
            args,
            volatile,
            labels,
            platforms,
            image,
            tags: _,
            from,
            overlays,
            contexts,
            replaced: _,
            secrets,
            ssh,
            weight: _,
            prepare,
            services: _,
        } = stage;
        let place = (source, context, dockerfile, target, from, image);
        let values = (args, volatile, labels, platforms, secrets, ssh);
        (place, values, overlays, contexts, prepare)
    }
    parts(a) == parts(b)
}
