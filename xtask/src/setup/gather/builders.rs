//! What is to be found of the builders of the graph file.

use crate::graphfile::spec::builders::{Builder, BuilderKind};
use crate::outside::ask::words;
use crate::outside::builder::Unusable;
use crate::outside::interrupt::Interrupt;
use crate::setup::facts::BuilderFacts;

/// Asks every builder beside the engine's own, all at the same time. `in_use` is the docker context
/// of that engine.
pub(super) fn look(
    builders: &[Builder],
    in_use: &str,
    interrupt: &Interrupt,
) -> Vec<(Builder, BuilderFacts)> {
    std::thread::scope(|scope| {
        let asked: Vec<_> = builders
            .iter()
            .filter_map(|builder| Some((builder, builder.remote(in_use)?)))
            .map(|(builder, remote)| {
                let ask = move || {
                    let facts = match remote.readiness(None, interrupt) {
                        Ok(readiness) => BuilderFacts::Usable(readiness),
                        Err(why) => match (&builder.kind, why) {
                            (BuilderKind::Container { context, image }, Unusable::Unknown) => {
                                image_for(context.as_deref(), image, interrupt)
                            }
                            (_, why) => BuilderFacts::Unusable(remote, why),
                        },
                    };
                    (builder.clone(), facts)
                };
                scope.spawn(ask)
            })
            .collect();
        let answers = asked.into_iter().filter_map(|asked| asked.join().ok());
        answers.collect()
    })
}

/// Whether an engine has an image, or a registry does.
fn image_for(context: Option<&str>, image: &str, interrupt: &Interrupt) -> BuilderFacts {
    let context = context.map(|context| format!("--context={context}"));
    let inspect = ["image", "inspect", "--format={{.Id}}", "--", image];
    let inspect: Vec<&str> = context.as_deref().into_iter().chain(inspect).collect();
    if words("docker", &inspect, interrupt).good {
        return BuilderFacts::Creatable;
    }
    let asked = ["buildx", "imagetools", "inspect", image];
    let asked = words("docker", &asked, interrupt);
    if asked.good {
        BuilderFacts::Creatable
    } else {
        BuilderFacts::NoImage(asked.why())
    }
}
