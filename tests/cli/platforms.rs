//! External images that do not exist for one of a stage's platforms.

use std::fs;

use crate::lock::{lock, project};
use crate::support::registry::{Image, Registry};

const BOTH: &str = "platforms = [\"linux/amd64\", \"linux/riscv64\"]\n";

fn graph(platforms: &str) -> String {
    format!("version = 1\n[stage.a]\ncontext = \"a\"\n{platforms}")
}

#[test]
fn a_base_that_lacks_a_platform_is_refused_by_lock_plan_and_build() {
    for (image, has) in [
        (Image::single("1"), "linux/amd64"),
        (Image::of("1"), "linux/amd64, linux/arm64"),
    ] {
        let registry = Registry::start();
        registry.put("one:1", &image);
        let name = registry.reference("one:1");
        let said = format!(
            "line 2 of a/Dockerfile builds on `{name}` for linux/riscv64, and that image is there for {has} only: \
             write `platforms = [\"linux/amd64\"]` for `a`, or take an image that has it"
        );
        let (project, _engine) = project(&graph(BOTH));
        let project = project.file("a/Dockerfile", format!("# it\nFROM {name}\n"));
        for command in ["lock", "build"] {
            project.run(&[command]).ends(2).says(&said);
            assert_eq!(lock(&project), "", "{command}");
        }
        project.write("build-graph.toml", graph(""));
        project.run(&["lock"]).ends(0);
        project.run(&["plan"]).ends(0);
        project.write("build-graph.toml", graph(BOTH));
        let locked = lock(&project);
        for command in ["lock", "plan", "build"] {
            project.run(&[command]).ends(2).says(&said);
        }
        project
            .run(&["plan", "--platform", "linux/riscv64"])
            .ends(2)
            .says("linux/riscv64");
        assert_eq!(lock(&project), locked);
        project.run(&["plan", "--platform", "linux/amd64"]).ends(0);
        // An entry written by hand may lack a platform that the image has.
        let digest = locked.lines().find(|line| line.starts_with("digest"));
        let by_hand = format!(
            "version = 1\n[base.\"{name}\"]\nonbuild = false\n{}\n",
            digest.unwrap()
        );
        fs::write(project.path("build-graph.lock"), by_hand).unwrap();
        project.run(&["plan"]).ends(0);
    }
}

#[test]
fn a_from_for_the_builders_own_platform_is_no_fault_and_a_copy_is_told() {
    let registry = Registry::start();
    registry.put("one:1", &Image::single("1"));
    let name = registry.reference("one:1");
    let (project, _engine) = project(&graph(BOTH));
    let project = project.file(
        "a/Dockerfile",
        format!("FROM --platform=$BUILDPLATFORM {name} AS b\nFROM scratch\nCOPY --from=b /x /x\n"),
    );
    for command in ["lock", "plan"] {
        project.run(&[command]).ends(0).never_says("only");
    }
    project.write(
        "a/Dockerfile",
        format!("FROM scratch\nCOPY --from={name} /x /x\nRUN --mount=from={name},target=/y true\n"),
    );
    fs::remove_file(project.path("build-graph.lock")).unwrap();
    for command in ["lock", "plan"] {
        project
            .run(&[command])
            .ends(0)
            .says("line 2 of a/Dockerfile copies from")
            .says("line 3 of a/Dockerfile mounts")
            .says("for linux/riscv64, and that image is there for linux/amd64 only");
    }
    project.write(
        "a/Dockerfile",
        format!("FROM scratch\nCOPY --from={name} /x /x\nFROM --platform=linux/riscv64 {name}\n"),
    );
    project
        .run(&["plan"])
        .ends(2)
        .says("line 3")
        .says("change the `--platform` of that FROM");
    // A named context replaces the image that the Dockerfile names.
    project.write(
        "build-graph.toml",
        graph(&format!(
            "{BOTH}contexts = {{ y = {{ image = \"{name}\" }} }}\n"
        )),
    );
    project.write("a/Dockerfile", "FROM y\n");
    let said = format!("line 1 of a/Dockerfile builds on `{name}`");
    project.run(&["plan"]).ends(2).says(&said);
}
