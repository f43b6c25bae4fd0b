//! Which image each service runs.
//!
//! A service of a stage runs the image that the caller verified. Any other service runs the image
//! that its reference names now. Every service is pinned to an id, so that a moved name cannot
//! change a running stack.

use std::collections::BTreeMap;

use serde_json::Value;

use super::StackEvent;
use super::child::LiveChildren;
use super::compose;
use super::config::{entries, text};
use super::rewrite::unknown_service;
use crate::fault::{Fault, Result};
use crate::graphfile::spec::Spec;
use crate::graphfile::spec::stack::Stack;
use crate::outside::engine::Engine;

/// The image of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// The reference by which the image was asked for.
    pub reference: String,
    /// The image's id on the engine: `sha256:…`.
    pub id: String,
    /// The stage that built the image, if a stage did.
    pub stage: Option<String>,
}

/// Pins every service of a resolved compose file. `images` maps stages to the references of their
/// images on the engine.
pub fn pin(
    spec: &Spec,
    stack: &Stack,
    config: &Value,
    images: &BTreeMap<String, String>,
    engine: &Engine,
    live: &LiveChildren<'_>,
    tell: &dyn Fn(StackEvent<'_>),
) -> Result<BTreeMap<String, Pinned>> {
    let wanted = wanted(spec, stack, config, images)?;
    let mut references: Vec<String> = wanted.values().map(|(name, _)| name.clone()).collect();
    references.sort();
    references.dedup();
    let mut found = engine.images(&references)?;
    for (service, (reference, stage)) in &wanted {
        if found.get(reference).is_some_and(Option::is_some) {
            continue;
        }
        if let Some(stage) = stage {
            return Err(Fault::lacks(format!(
                "the engine has no image {reference} of the stage `{stage}`, which the service `{service}` runs: `{}` makes it",
                spec.call.command(&format!("build {stage}"))
            )));
        }
        tell(StackEvent::Pulling(reference));
        if let Err(why) = compose::pull(reference, live)? {
            return Err(Fault::lacks(format!(
                "the engine has no image {reference}, which the service `{service}` runs, and cannot pull it: {why}"
            )));
        }
        found.extend(engine.images(std::slice::from_ref(reference))?);
    }
    let mut pinned = BTreeMap::new();
    for (service, (reference, stage)) in wanted {
        let image = found
            .get(&reference)
            .and_then(Option::as_ref)
            .ok_or_else(|| {
                Fault::lacks(format!(
                    "the engine has no image {reference}, though it has just pulled it"
                ))
            })?;
        let id = image.id.clone();
        pinned.insert(
            service,
            Pinned {
                reference,
                id,
                stage,
            },
        );
    }
    Ok(pinned)
}

type Wanted = BTreeMap<String, (String, Option<String>)>;

/// The reference of each service's image, and the stage that built the image.
fn wanted(
    spec: &Spec,
    stack: &Stack,
    config: &Value,
    images: &BTreeMap<String, String>,
) -> Result<Wanted> {
    let names: Vec<&str> = entries(config, "services").map(|(name, _)| name).collect();
    for (service, stage) in &stack.services {
        if !names.contains(&service.as_str()) {
            let who = format!(
                "`services` gives the stage `{}` to",
                spec.stage(*stage).name
            );
            return Err(unknown_service(service, &who, &names));
        }
    }
    let mut wanted = Wanted::new();
    for (name, service) in entries(config, "services") {
        let reference = text(service, "image");
        let image = match stack.services.get(name) {
            Some(id) => {
                let stage = &spec.stage(*id).name;
                let reference = images.get(stage).ok_or_else(|| {
                    Fault::failed(format!(
                        "the service `{name}` runs the stage `{stage}`, of which no image was given"
                    ))
                })?;
                (reference.clone(), Some(stage.clone()))
            }
            None if !reference.is_empty() => (reference.to_owned(), None),
            None => {
                return Err(Fault::usage(format!(
                    "the service `{name}` has no `image`, only a `build`: say in `[stack]` which stage it runs, as in services = {{ {name} = \"STAGE\" }}"
                )));
            }
        };
        wanted.insert(name.to_owned(), image);
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphfile::options::GraphOptions;
    use serde_json::json;

    fn of(config: Value) -> Result<Wanted, String> {
        let graph = "version = 1\n[stage.api]\ncontext = \"a\"\nservices = [\"api\", \"worker\"]\n[stack]\ncompose = \"c\"\n";
        let spec = crate::graphfile::spec::read(
            "g.toml".into(),
            "/".into(),
            graph,
            &GraphOptions::default(),
        )
        .unwrap();
        let images = BTreeMap::from([("api".to_owned(), "sha256:1".to_owned())]);
        let stack = spec.stack.as_ref().unwrap();
        wanted(&spec, stack, &config, &images).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_stages_services_run_what_was_given_and_others_what_the_file_names() {
        let config = json!({"services": {
            "api": {"image": "dify-api:1", "build": {}}, "worker": {}, "db": {"image": "postgres:15"},
        }});
        let wanted = of(config).unwrap();
        let api = ("sha256:1".to_owned(), Some("api".to_owned()));
        assert_eq!(wanted["api"], api);
        assert_eq!(wanted["worker"], api);
        assert_eq!(wanted["db"], ("postgres:15".to_owned(), None));
    }

    #[test]
    fn a_service_that_is_not_there_or_has_no_image_is_told() {
        let message = of(json!({"services": {"api": {}, "workr": {}}})).unwrap_err();
        assert!(message.contains("did you mean `workr`?"), "{message}");
        let message = of(json!({"services": {"api": {}, "worker": {}, "x": {"build": {}}}}));
        let message = message.unwrap_err();
        assert!(
            message.contains("services = { x = \"STAGE\" }"),
            "{message}"
        );
    }
}
