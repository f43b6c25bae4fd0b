//! Builders that cannot be used, and those that `setup` creates.

use serde_json::Value;
use xtask::workshop::testbed::ImageStore;

use super::{docker_of, two_platforms};
use crate::{OwnEngine, docker, host, load_built, unique};

#[test]
fn what_cannot_be_a_builder_is_told_with_its_remedy_and_the_stage_is_built_all_the_same() {
    let second = OwnEngine::start(ImageStore::Classic, &[]);
    let (project, _) = two_platforms(
        "[builder.classic]\ncontext = \"classic\"\nplatforms = [\"linux/arm64\"]\nweight = 5\n\
         [builder.gone]\nbuildx = \"gone\"\nplatforms = [\"linux/arm64\"]\nweight = 3\n\
         [builder.nowhere]\ncontext = \"nowhere\"\nplatforms = [\"linux/arm64\"]\nweight = 2\n\
         [builder.uncreated]\ndriver = \"docker-container\"\nplatforms = [\"linux/arm64\"]\n",
    );
    let at = format!("host={}", second.engine.host());
    docker_of(&project, &["context", "create", "classic", "--docker", &at]);
    project
        .run(&["build"])
        .ends(0)
        .says("`classic` is an engine with the classic image store")
        .says("docker buildx create --name=gone")
        .says("docker context create nowhere")
        .says("builder `uncreated` was not created yet: `cargo xtask setup");
}

/// BuildKit's own image cannot be had here, so another image takes its place: buildx creates the
/// builder, and its container does not start.
#[test]
fn setup_creates_a_builder_only_if_its_image_can_be_had() {
    let image = format!("{}:1", unique("buildkit"));
    let builder = |image: &str| {
        format!(
            "[builder.own]\ndriver = \"docker-container\"\n{image}platforms = [\"linux/arm64\"]\n"
        )
    };
    let (project, _) = two_platforms(&builder(""));
    let steps = || {
        let ran = project.run(&["setup", "--check", "--json"]);
        let said: Value = serde_json::from_str(&ran.stdout).unwrap();
        let steps = said["plan"]["steps"].as_array().unwrap().clone();
        let own = steps.into_iter().find(|it| it["step"] == "run_as_user");
        (own, ran.stdout)
    };
    let (step, said) = steps();
    assert_eq!(step, None);
    assert!(said.contains("as its image cannot be pulled"), "{said}");

    let graph = std::fs::read_to_string(project.path("build-graph.toml")).unwrap();
    let own = builder(&format!("image = \"{image}\"\n"));
    project.write("build-graph.toml", graph.replace(&builder(""), &own));
    let folder = project.path("b");
    project.write("b/Dockerfile", "FROM scratch\nCOPY x /x\n");
    load_built(&host(), &folder, &image);
    let step = steps().0.unwrap();
    let words = step["argv"].as_array().unwrap().iter();
    let argv: Vec<&str> = words.map(|it| it.as_str().unwrap()).collect();
    assert_eq!(
        argv,
        [
            "docker",
            "buildx",
            "create",
            "--name=xtask-own",
            "--driver=docker-container",
            &format!("--driver-opt=image={image}"),
        ]
    );
    docker_of(&project, &argv[1..]);
    let (step, said) = steps();
    assert_eq!(step, None);
    assert!(said.contains("the first build there starts it"), "{said}");
    project.write("b/Dockerfile", "FROM parent\nCOPY x /x\n");
    project
        .run(&["build"])
        .ends(0)
        .says("`docker buildx inspect --bootstrap xtask-own` must work");
    docker_of(&project, &["buildx", "rm", "--force", "xtask-own"]);
    docker(&host(), &["image", "rm", &image]);
}
