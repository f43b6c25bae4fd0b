//! Records and images in the registry.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use xtask::workshop::testbed::ImageStore;

use super::pruned;
use crate::support::Ran;
use crate::{OwnEngine, Project, docker, docker_says, project, registry, unique};

/// The manifest of a tag or digest in a repository of the test registry, if it is there.
fn has(registry: &str, repository: &str, which: &str) -> bool {
    let url = format!("http://{registry}/v2/{repository}/manifests/{which}");
    let accept = "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";
    let ended = std::process::Command::new("curl")
        .args([
            "--silent",
            "--fail",
            "--output",
            "/dev/null",
            "--header",
            accept,
            &url,
        ])
        .status();
    ended.unwrap().success()
}

/// Gives a manifest one more tag.
fn tag(registry: &str, repository: &str, old: &str, new: &str) {
    let url = |tag: &str| format!("http://{registry}/v2/{repository}/manifests/{tag}");
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let (accept, is) = (format!("Accept: {kind}"), format!("Content-Type: {kind}"));
    let curl = |words: &[&str], input: Vec<u8>| {
        let mut child = std::process::Command::new("curl")
            .args(["--silent", "--fail"])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{words:?}");
        output.stdout
    };
    let manifest = curl(&["--header", &accept, &url(old)], Vec::new());
    let put = ["--request", "PUT", "--header", &is, "--data-binary", "@-"];
    curl(&[&put[..], &[&url(new)]].concat(), manifest);
}

fn part_images(project: &Project, folder: Option<&Path>) -> Vec<String> {
    let mut command = project.command(&["plan", "--json"]);
    if let Some(folder) = folder {
        command.env("XTASK_STATE", folder);
    }
    let plan: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    let parts = plan["stages"][0]["parts"].as_array().unwrap().clone();
    let images = parts
        .iter()
        .map(|it| it["image"].as_str().unwrap_or("none").to_owned());
    images.collect()
}

/// With its index, and with what stands on it.
fn a_machine_that_has_nothing_finds_the_current_one(project: &Project, current: &[String]) {
    let new = tempfile::tempdir().unwrap();
    assert_eq!(part_images(project, Some(new.path())), current);
    let mut plan = project.command(&["plan"]);
    plan.env("XTASK_STATE", new.path().join("plan"));
    let plan = Ran::of(plan.output().unwrap()).ends(0);
    assert!(
        plan.stdout.contains("2 of 2 stages fresh"),
        "{}",
        plan.stdout
    );
    let mut build = project.command(&["build"]);
    build.env("XTASK_STATE", new.path());
    let ran = Ran::of(build.output().unwrap()).ends(0);
    assert!(ran.stderr.contains("0 built"), "{}", ran.stderr);
}

#[test]
fn in_the_registry_what_a_key_a_tag_this_machine_or_another_state_needs_stays() {
    let Some(registry) = registry() else {
        return;
    };
    let own = OwnEngine::start(ImageStore::Containerd, &[]);
    let host = own.engine.host();
    let path = unique("prune");
    let graph = format!(
        "version = 1\n[registry]\nurl = \"{registry}/{path}\"\ntrust = [\"any\"]\n\
         [defaults]\noutput = \"registry\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
         [stage.a]\ncontext = \"a\"\nimage = \"{path}/a\"\n\
         [stage.child]\ncontext = \"child\"\nimage = \"{path}/child\"\n\
         contexts = {{ parent = {{ stage = \"a\" }} }}\n"
    );
    let project = project(&host)
        .file("child/Dockerfile", "FROM parent\nCOPY y /y\n")
        .file("child/y", "1")
        .file("build-graph.toml", &graph)
        .file("a/Dockerfile", "FROM scratch\nCOPY x /x\n");
    let images = format!("{path}/images");
    let (mut built, mut keys) = (Vec::new(), Vec::new());
    for version in ["gone", "tagged", "held", "current"] {
        project.write("a/x", version);
        project.build(&[]).ends(0);
        built.push(part_images(&project, None));
        keys.push(project.planned("a")["parts"][0]["key"].clone());
    }
    let [gone, tagged, held, current] = built.as_slice() else {
        panic!("{built:?}");
    };
    // A person's tag, an image that this engine has, and the image of another state.
    let reference = |digest: &str| format!("{registry}/{images}@{digest}");
    let keep = format!("{registry}/{images}:keep");
    docker(
        &host,
        &[
            "buildx",
            "imagetools",
            "create",
            "--tag",
            &keep,
            &reference(&tagged[0]),
        ],
    );
    docker(&host, &["pull", "--quiet", &reference(&held[0])]);
    project.write("other/a/x", "of another state");
    project.write("other/a/Dockerfile", "FROM scratch\nCOPY x /x\n");
    project.write("other/child/Dockerfile", "FROM parent\nCOPY y /y\n");
    project.write("other/child/y", "1");
    let other_graph = graph.replace(
        "output = \"registry\"\n",
        "output = \"registry\"\nargs = { A = \"1\" }\n",
    );
    project.write("other/build-graph.toml", other_graph);
    let of_other = |words: &[&str]| project.run_in("other", words);
    of_other(&["build", "--yes"]).ends(0);

    let records = format!("{path}/records");
    tag(&registry, &records, keys[0].as_str().unwrap(), "keep");

    // Stages that are published there would lose their tags.
    let published = graph.replace(&format!("{path}/a"), &format!("{registry}/{images}"));
    project.write("build-graph.toml", published);
    project
        .run(&["prune", "--registry", "--yes", "--older", "0"])
        .ends(2)
        .says("which has the parts of all of them");
    project.write("build-graph.toml", &graph);

    let answer = pruned(&project, &["--registry", "--older", "14"]);
    assert_eq!(answer["registry"]["records"]["goes"], 0, "{answer}");
    assert_eq!(answer["registry"]["images"]["goes"], 0, "{answer}");
    let answer = pruned(&project, &["--registry", "--older", "0"]);
    // The records of four versions but the current one, and of the other state: of the stage and
    // of its child, for two platforms. One has a tag that a person made.
    assert_eq!(answer["registry"]["records"]["goes"], 16 - 1, "{answer}");
    for (digest, is_there) in [
        (&gone[0], false),
        (&gone[1], false),
        (&tagged[0], true),
        (&tagged[1], false),
        (&held[0], true),
        (&held[1], false),
        (&current[0], true),
        (&current[1], true),
    ] {
        assert_eq!(
            has(&registry, &images, digest),
            is_there,
            "{digest} {built:?}"
        );
    }
    assert!(has(&registry, &images, "keep"));
    assert!(has(&registry, &records, "keep"));
    let other = of_other(&["plan"]).ends(0);
    assert!(
        other.stdout.contains("2 of 2 stages fresh"),
        "{}",
        other.stdout
    );
    a_machine_that_has_nothing_finds_the_current_one(&project, current);
    let answer = pruned(&project, &["--registry", "--older", "0"]);
    assert_eq!(answer["registry"]["images"]["goes"], 0, "{answer}");
    assert!(docker_says(&host, &["pull", "--quiet", &reference(&gone[0])]).is_err());
}
