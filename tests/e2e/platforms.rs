//! Images for other platforms than the engine's own. BuildKit builds on an image without an index
//! whatever its platform, and gives the result the platform that was asked for.

use super::{Project, builds, docker, host, hosts, project, registry, unique};

const ARM64: &str = "platforms = [\"linux/arm64\"]\n";

/// Builds an image with one file for these platforms, and leaves it in the engine.
fn base(host: &str, project: &Project, name: &str, platforms: &str) {
    project.write("base/Dockerfile", "FROM scratch\nCOPY x /base\n");
    project.write("base/x", unique("base"));
    let folder = project.path("base");
    let arguments = ["buildx", "build", "--quiet", "--provenance=false", "--load"];
    let more = ["--platform", platforms, "--tag", name];
    let all = [&arguments[..], &more, &[folder.to_str().unwrap()]].concat();
    docker(host, &all);
}

fn on_base(host: &str, name: &str, platforms: &str) -> Project {
    project(host)
        .file(
            "build-graph.toml",
            format!("version = 1\n[stage.a]\ncontext = \"a\"\n{platforms}"),
        )
        .file("a/Dockerfile", format!("FROM {name}\nCOPY x /x\n"))
        .file("a/x", unique("a"))
}

#[test]
fn a_base_that_exists_for_one_platform_is_not_built_on_for_another() {
    for host in hosts() {
        let name = format!("{}:1", unique("base"));
        let mut names = vec![name.clone()];
        if let Some(registry) = registry() {
            names.push(format!("{registry}/{name}"));
        }
        for name in &names {
            let project = on_base(&host, name, ARM64);
            base(&host, &project, name, "linux/amd64");
            if name.starts_with("127.") {
                docker(&host, &["push", "--quiet", name]);
            }
            let said = format!(
                "builds on `{name}` for linux/arm64, and that image is there for linux/amd64 only"
            );
            let asked = builds(&project);
            project.run(&["build"]).says(&said);
            assert_eq!(builds(&project), asked, "nothing was sent");
            project.run(&["plan"]).ends(2).says(&said);
            // A build for the base's own platform is accepted.
            let own = ["build", "--platform", "linux/amd64"];
            project.run(&own).ends(0);
            // Copying files from an image of another platform may be intended.
            project.write(
                "a/Dockerfile",
                format!("FROM scratch\nCOPY --from={name} /base /x\n"),
            );
            let said = said.replace("builds on", "copies from");
            project.run(&["plan"]).ends(0).says(&said);
            project.run(&["build"]).says(&said);
        }
    }
}

/// The engine shows only one of the platforms.
#[test]
fn a_base_of_the_engines_own_that_has_the_platform_beside_others_is_built_on() {
    let host = host();
    let name = format!("{}:1", unique("base"));
    let both = "platforms = [\"linux/amd64\", \"linux/arm64\"]\n";
    let project = on_base(&host, &name, both);
    base(&host, &project, &name, "linux/amd64,linux/arm64");
    project.build(&[]).ends(0);
    assert_eq!(project.verdicts()["a"], "fresh");
    project.write(
        "build-graph.toml",
        "version = 1\n[stage.a]\ncontext = \"a\"\n",
    );
    project
        .run(&["build", "--platform", "linux/s390x"])
        .ends(2)
        .says("for linux/s390x, and that image is there for linux/amd64 only");
}

#[test]
fn a_stage_for_the_engines_own_platform_on_one_for_another_is_refused() {
    let host = host();
    let graph = format!(
        "version = 1\n[stage.a]\ncontext = \"a\"\n{ARM64}[stage.b]\ncontext = \"a\"\ndockerfile = \"a/b\"\nfrom = \"a\"\n"
    );
    let project = on_base(&host, "scratch", "")
        .file("build-graph.toml", &graph)
        .file("a/b", "FROM a\nCOPY x /y\n");
    for command in ["plan", "build"] {
        project
            .run(&[command])
            .ends(2)
            .says("`a`, which it stands on, is built for linux/arm64");
    }
    project.write("build-graph.toml", format!("{graph}{ARM64}"));
    project.build(&[]).ends(0);
    assert_eq!(project.verdicts()["b"], "fresh");
}

/// An entry in the lock that was written by hand does not say the image's platforms.
#[test]
fn an_image_of_another_platform_than_its_stage_is_no_record() {
    let Some(registry) = registry() else { return };
    for host in hosts() {
        let name = format!("{registry}/{}:1", unique("base"));
        let project = on_base(&host, &name, "");
        base(&super::host(), &project, &name, "linux/arm64");
        docker(&super::host(), &["push", "--quiet", &name]);
        let format = "{{(index .RepoDigests 0)}}";
        let digest = docker(
            &super::host(),
            &["image", "inspect", "--format", format, &name],
        );
        let digest = digest.split_once('@').unwrap().1;
        project.write(
            "build-graph.lock",
            format!("version = 1\n[base.\"{name}\"]\nonbuild = false\ndigest = \"{digest}\"\n"),
        );
        for _ in 0..2 {
            let ran = project.build(&[]).ends(1);
            assert_eq!(ran.those("failed"), ["a"]);
            let said = "built for linux/amd64, but its image is for linux/arm64";
            assert!(ran.stdout.contains(said), "{}", ran.stdout);
        }
        assert_eq!(project.verdicts()["a"], "stale no_record");
    }
}
