//! The checks of the builders of the graph file. A build goes on without any of them.

use super::facts::{BuilderFacts, Facts};
use super::finding::{Fix, MachineFinding};
use super::needs::Needs;
use crate::graphfile::spec::builders::{Builder, BuilderKind};
use crate::outside::builder::Readiness;

/// A finding for each builder beside the engine's own.
pub(super) fn check(facts: &Facts, needs: &Needs) -> Vec<MachineFinding> {
    let builders = facts.builders.iter();
    let found = builders.map(|(builder, facts)| one(builder, facts, needs));
    found.collect()
}

fn one(builder: &Builder, facts: &BuilderFacts, needs: &Needs) -> MachineFinding {
    let name = &builder.name;
    let finding = |found: &str| {
        let platforms: Vec<&str> = builder.platforms.iter().map(String::as_str).collect();
        MachineFinding::new("other builder", format!("`{name}`: {found}")).needs(
            "one that answers",
            format!("stages for {} may be built there", platforms.join(", ")),
        )
    };
    match facts {
        BuilderFacts::Usable(Readiness::Runs) => finding("it answers"),
        BuilderFacts::Usable(Readiness::WillStart) => finding("the first build there starts it"),
        BuilderFacts::Unusable(remote, why) => {
            finding("it cannot be used").warns(builder.told(remote, why, &needs.call))
        }
        BuilderFacts::Creatable => finding("not created yet")
            .warns("create it")
            .fix(Fix::CreateBuilder(creation(builder))),
        BuilderFacts::NoImage(why) => finding("not created, as its image cannot be pulled").warns(
            format!(
                "{why}: write `image = \"HOST/moby/buildkit:buildx-stable-1\"` into [builder.{name}] with a registry that has it, or remove [builder.{name}]"
            ),
        ),
    }
}

/// The command that creates a builder (docs.docker.com/reference/cli/docker/buildx/create).
fn creation(builder: &Builder) -> Vec<String> {
    let mut argv = vec![
        "docker".to_owned(),
        "buildx".to_owned(),
        "create".to_owned(),
        format!("--name={}", builder.created_name()),
        "--driver=docker-container".to_owned(),
    ];
    if let BuilderKind::Container { context, image } = &builder.kind {
        argv.push(format!("--driver-opt=image={image}"));
        argv.extend(context.clone());
    }
    argv
}
