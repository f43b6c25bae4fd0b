//! Which stages another builder would make something else of, and what comes back damaged.

use xtask::workshop::testbed::ImageStore;

use super::docker_of;
use crate::{
    OwnEngine, Project, docker, host, load_built, printed, project, state_of, unique, with_base,
};

/// BuildKit takes a frontend from a registry or from its own engine, and from nowhere else.
#[test]
fn a_stage_whose_frontend_only_the_engine_has_stays_there_and_the_others_go() {
    let second = OwnEngine::start(ImageStore::Containerd, &[]);
    let syntax = format!("{}:1", unique("frontend"));
    let amd64 = "platforms = [\"linux/amd64\"]\n";
    let project = with_base(project(&host()))
        .file(
            "build-graph.toml",
            format!(
                "version = 1\n[builder.big]\ncontext = \"second\"\n{amd64}weight = 9\n\
                 [stage.a]\ncontext = \"a\"\n{amd64}[stage.b]\ncontext = \"base\"\n{amd64}"
            ),
        )
        .file(
            "a/Dockerfile",
            format!("# syntax={syntax}\nFROM scratch\nCOPY x /x\n"),
        )
        .file("a/x", unique("x"));
    let at = format!("host={}", second.engine.host());
    docker_of(&project, &["context", "create", "second", "--docker", &at]);
    // It is no frontend, so the step fails, but it is found.
    load_built(&host(), &project.path("base"), &syntax);
    project.build(&["--keep-going"]);
    let calls = std::fs::read_to_string(project.path("calls")).unwrap();
    let builds = || calls.lines().filter(|call| call.contains("buildx build"));
    let of = |stage: &str| {
        builds()
            .find(|call| call.contains(stage))
            .unwrap()
            .to_owned()
    };
    assert!(
        of("BUILDKIT_SYNTAX=").contains("--builder=default"),
        "{calls}"
    );
    assert!(
        of("/base/Dockerfile").contains("--builder=second"),
        "{calls}"
    );
    docker(&host(), &["image", "rm", &syntax]);
}

/// The key has the engine's own platform for `$BUILDPLATFORM`. A builder of another platform would
/// choose other steps, and call the image one of that key.
#[test]
fn what_the_builders_own_platform_decides_is_built_where_it_is_the_engines() {
    let second = OwnEngine::start(ImageStore::Containerd, &[]);
    let project = with_base(project(&host()))
        .file(
            "build-graph.toml",
            "version = 1\n[builder.arm]\ncontext = \"second\"\nplatforms = [\"linux/arm64\"]\n\
             [defaults]\nplatforms = [\"linux/arm64\"]\n\
             [stage.plain]\ncontext = \"base\"\n[stage.cross]\ncontext = \"cross\"\n\
             [stage.based]\ncontext = \"based\"\n",
        )
        .file(
            "cross/Dockerfile",
            "FROM scratch\nARG BUILDARCH\nCOPY $BUILDARCH /x\n",
        )
        .file("cross/amd64", unique("x"))
        .file("cross/arm64", unique("x"));
    // The same for a base that only this engine has, for another platform than the build's.
    let base = format!("{}:1", unique("base"));
    load_built(&host(), &project.path("base"), &base);
    let text = format!(
        "FROM --platform=linux/amd64 {base} AS b\nFROM scratch\nCOPY --from=b /bin/sh /sh\n"
    );
    project.write("based/Dockerfile", text);
    let at = format!("host={}", second.engine.host());
    docker_of(&project, &["context", "create", "second", "--docker", &at]);
    project.build(&[]).ends(0);
    let calls = std::fs::read_to_string(project.path("calls")).unwrap();
    let builds = || calls.lines().filter(|call| call.contains("buildx build"));
    for (stage, builder) in [
        ("plain", "second"),
        ("cross", "default"),
        ("based", "default"),
    ] {
        let folder = if stage == "plain" { "base" } else { stage };
        let of = builds().find(|call| call.contains(&format!("/{folder}/Dockerfile")));
        let flag = format!("--builder={builder} ");
        assert!(
            of.is_some_and(|call| call.contains(&flag)),
            "{stage}: {calls}"
        );
    }
    assert!(project.verdicts().values().all(|it| it == "fresh"));
    docker(&host(), &["image", "rm", &base]);

    a_damaged_blob_makes_no_image(&project);
}

/// BuildKit does not send a blob that the layout has already, and an engine names an image before it
/// finds out that a blob is damaged.
fn a_damaged_blob_makes_no_image(project: &Project) {
    let (host, state) = (host(), state_of(project));
    let private = project.planned("plain")["image"]
        .as_str()
        .unwrap()
        .to_owned();
    let saved = tempfile::tempdir().unwrap();
    let archive = saved.path().join("image.tar");
    docker(
        &host,
        &["save", "--output", archive.to_str().unwrap(), &private],
    );
    let mut archive = tar::Archive::new(std::fs::File::open(&archive).unwrap());
    archive.unpack(saved.path()).unwrap();
    let blobs = saved.path().join("blobs/sha256");
    let largest = blobs.read_dir().unwrap().map(|entry| entry.unwrap());
    let largest = largest.max_by_key(|entry| entry.metadata().unwrap().len());
    let layer = largest.unwrap();
    let damaged = state.path("oci/blobs/sha256");
    std::fs::create_dir_all(&damaged).unwrap();
    let damaged = damaged.join(layer.file_name().to_str().unwrap());
    std::fs::write(&damaged, &std::fs::read(layer.path()).unwrap()[..100]).unwrap();
    for name in names_of(&host, &private) {
        docker(&host, &["image", "rm", &name]);
    }
    project
        .run(&["build", "plain"])
        .ends(1)
        .says("was missing or damaged: run this once more, which writes it again");
    assert_eq!(
        project.verdicts_of(&["plain"])["plain"],
        "stale image_missing"
    );
    project.run(&["build", "plain"]).ends(0);
    let image = project.planned("plain")["image"]
        .as_str()
        .unwrap()
        .to_owned();
    let words = [
        "--platform=linux/arm64",
        "--entrypoint=/bin/echo",
        &image,
        "whole",
    ];
    assert_eq!(printed(&host, &words), "whole");
}

/// All names of an image.
fn names_of(host: &str, image: &str) -> Vec<String> {
    let format = "{{range .RepoTags}}{{.}} {{end}}";
    let names = docker(host, &["image", "inspect", "--format", format, image]);
    names.split_whitespace().map(str::to_owned).collect()
}
