//! Images that another build, or the call of a killed build, renames while a build runs.

use crate::{Project, host, hosts, project, unique};

/// A project whose `docker` moves a name to the image `other` after each build of stage `a`, while
/// the file `disturb` exists. The name is the one behind `follows` in the arguments.
fn disturbed(host: &str, follows: &str, other: &str) -> Project {
    let docker = std::env::var("XTASK_TEST_DOCKER").unwrap_or_else(|_| "docker".into());
    let script = format!(
        "#!/bin/sh\n\
         {docker} \"$@\"; status=$?\n\
         case \"$*\" in *--tag=localhost:1/xtask/*/a:*) ;; *) exit $status;; esac\n\
         [ -e disturb ] || exit $status\n\
         for each in \"$@\"; do case $each in {follows}*)\n\
         {docker} image tag {other} \"${{each#{follows}}}\";; esac; done\n\
         exit $status\n"
    );
    let graph =
        "version = 1\n[stage.p]\ncontext = \"p\"\n[stage.a]\ncontext = \"a\"\nfrom = \"p\"\n";
    project(host)
        .script("bin/docker", &script)
        .file("build-graph.toml", graph)
        .file("p/Dockerfile", "FROM scratch\nCOPY x /x\n")
        .file("p/x", unique("p"))
        .file("disturb", "")
        .file("a/Dockerfile", "FROM p\nCOPY x /y\n")
        .file("a/x", unique("a"))
}

/// Asserts that the disturbed build is reported and not recorded, and that the next build, which is
/// undisturbed, is recorded.
fn is_not_recorded(project: &Project) {
    let ran = project.build(&[]).ends(0);
    assert_eq!(ran.those("built"), ["a", "p"]);
    assert!(
        ran.stdout.contains("while another build named"),
        "{}",
        ran.stdout
    );
    assert_eq!(project.verdicts()["a"], "stale no_record");
    std::fs::remove_file(project.path("disturb")).unwrap();
    project.build(&[]).ends(0).never_says("another build");
    assert_eq!(project.verdicts()["a"], "fresh");
}

#[test]
fn a_build_whose_image_another_build_names_meanwhile_is_not_recorded() {
    for host in hosts() {
        let other = another(&host);
        is_not_recorded(&disturbed(&host, "--tag=", &other));
    }
}

#[test]
fn a_build_on_an_image_that_another_build_names_meanwhile_is_not_recorded() {
    for host in hosts() {
        let other = another(&host);
        is_not_recorded(&disturbed(
            &host,
            "--build-context=p=docker-image://",
            &other,
        ));
    }
}

#[test]
fn a_part_whose_image_another_build_names_meanwhile_gets_into_no_index() {
    let host = host();
    let other = another(&host);
    let platforms = "[stage.a]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n";
    let project = disturbed(&host, "--tag=", &other);
    let script = std::fs::read_to_string(project.path("bin/docker")).unwrap();
    let graph = format!("version = 1\n{platforms}context = \"a\"\n");
    let project = project
        .script("bin/docker", &script.replace("/a:*", "/a/linux-amd64:*"))
        .file("build-graph.toml", graph)
        .file("a/Dockerfile", "FROM scratch\nCOPY x /y\n");
    let ran = project.build(&[]).ends(1);
    assert_eq!(ran.those("failed"), ["a"]);
    let said = "the image of `a@linux-amd64` is not the one that buildx made";
    assert!(ran.stdout.contains(said), "{}", ran.stdout);
    std::fs::remove_file(project.path("disturb")).unwrap();
    project.build(&[]).ends(0);
    assert_eq!(project.verdicts()["a"], "fresh");
}

/// The reference of an image that no other project has.
fn another(host: &str) -> String {
    let image = unique("other");
    let graph = format!("version = 1\n[stage.other]\ncontext = \"p\"\nimage = \"{image}\"\n");
    let maker = disturbed(host, "none", "none").file("build-graph.toml", graph);
    maker.build(&[]).ends(0);
    format!("{image}:latest")
}
