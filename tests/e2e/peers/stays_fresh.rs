//! Each change must change no key and build nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::SystemTime;

use super::{DOCKERFILE, GRAPH, build, one, stays_fresh};
use crate::{copied, host, unique};

#[test]
fn a_checkout_at_another_path_stays_fresh() {
    let project = one(&host());
    let run = |checkout: &str, command: &str| {
        let at = |inner: &str| project.path(&format!("{checkout}/{inner}"));
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args([command, "--json", "--graph"])
            .arg(at("build-graph.toml"))
            // The workspace moves with the checkout.
            .env("CARGO_MANIFEST_DIR", at("xtask"))
            .env("XTASK_STATE", project.path("state"))
            .env("DOCKER_CONFIG", project.path("docker-config"))
            .env("DOCKER_HOST", host())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    project.write("here/build-graph.toml", GRAPH);
    fs::rename(project.path("a"), project.path("here/a")).unwrap();
    run("here", "build");
    fs::create_dir(project.path("deep")).unwrap();
    fs::rename(project.path("here"), project.path("deep/there")).unwrap();
    let told = run("deep/there", "plan");
    assert!(told.contains("\"verdict\":\"fresh\""), "{told}");
}

#[test]
fn another_modification_time_stays_fresh() {
    let project = one(&host());
    stays_fresh(&project, || {
        for path in ["a/src/x/one", "a/src/x", "a/Dockerfile"] {
            let file = fs::File::open(project.path(path)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
    });
}

#[test]
fn a_file_outside_what_is_copied_stays_fresh() {
    let project = one(&host());
    stays_fresh(&project, || {
        project.write("a/other", "changed");
        project.write("a/added", "");
        project.write("beside", "");
    });
}

#[test]
fn a_comment_that_the_dockerfile_never_reaches_stays_fresh() {
    let dockerfile = |unreached: &str, comment: &str| {
        format!(
            "FROM scratch AS unreached\nCOPY other {unreached}\n{comment}FROM scratch\nCOPY src /src\n"
        )
    };
    let project = one(&host()).file("a/Dockerfile", dockerfile("/b", ""));
    stays_fresh(&project, || {
        project.write("a/Dockerfile", dockerfile("/c", "# why\n"));
        project.write("a/other", "# why\nnot copied");
    });
}

#[test]
fn a_parent_that_is_rebuilt_to_the_same_image_leaves_its_child_fresh() {
    let graph =
        "version = 1\n[stage.p]\ncontext = \"p\"\n[stage.a]\ncontext = \"a\"\nfrom = \"p\"\n";
    let project = one(&host())
        .file("build-graph.toml", graph)
        .file(
            "p/Dockerfile",
            "FROM scratch AS all\nCOPY src /src\nFROM scratch\nCOPY --from=all /src/wanted /wanted\n",
        )
        .file("p/src/wanted", unique("wanted"))
        .file("p/src/unwanted", unique("unwanted"))
        .file("a/Dockerfile", "FROM p\nCOPY src /src\n");
    build(&project);
    let before = project.planned("a");
    project.write("p/src/unwanted", unique("unwanted"));
    assert_eq!(project.verdicts()["p"], "stale inputs_changed");
    let ran = project.build(&[]).ends(0);
    assert_eq!(
        (ran.those("built"), ran.those("fresh")),
        (vec!["p".to_owned()], vec!["a".to_owned()])
    );
    assert_eq!(project.planned("a"), before);
}

#[test]
fn a_volatile_argument_that_changed_stays_fresh() {
    let graph = |commit: &str| {
        format!("{GRAPH}args = {{ COMMIT = \"{commit}\" }}\nvolatile = [\"COMMIT\"]\n")
    };
    let dockerfile = format!("{DOCKERFILE}ARG COMMIT\nENV COMMIT=$COMMIT\n");
    let project = one(&host())
        .file("build-graph.toml", graph("1"))
        .file("a/Dockerfile", dockerfile);
    stays_fresh(&project, || project.write("build-graph.toml", graph("2")));
}

/// As in buildx itself (tried), the ignore file is beside the link, not beside the link's target.
#[test]
fn what_the_ignore_file_beside_a_dockerfile_that_is_a_link_leaves_out_stays_fresh() {
    let (host, image) = (host(), unique("a"));
    let graph = format!("{GRAPH}dockerfile = \"docker/b/link\"\nimage = \"{image}\"\n");
    let ignored = |name: &str| format!("src/{name}\n");
    let project = one(&host)
        .file("build-graph.toml", graph)
        .file("docker/b/real/file", DOCKERFILE)
        .file("docker/b/real/file.dockerignore", ignored("y"))
        .file("docker/b/link.dockerignore", ignored("x"));
    let link = project.path("docker/b/link");
    symlink("./real/file", &link).unwrap();
    stays_fresh(&project, || {
        project.write("a/src/x/one", "changed");
        project.write("docker/b/real/file.dockerignore", "src\n");
    });
    let holds = |path: &str| copied(&host, &image, "/src").path().join(path).exists();
    assert!(holds("it/y") && !holds("it/x"));
    // BuildKit does not see a target outside the link's folder, so the target itself is used as the
    // Dockerfile.
    fs::remove_file(&link).unwrap();
    symlink("../file", &link).unwrap();
    project.write("docker/file", DOCKERFILE);
    project.write("docker/file.dockerignore", "src/y\n");
    project.build(&[]).ends(0);
    assert!(holds("it/x") && !holds("it/y"));
    assert_eq!(project.verdicts()["a"], "fresh");
}
