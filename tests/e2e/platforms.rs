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

const BOTH: &str = "platforms = [\"linux/amd64\", \"linux/arm64\"]\n";

/// A stage for two platforms that copies a file of each, and a stage on it.
fn in_parts(host: &str, image: &str) -> Project {
    let graph = format!(
        "version = 1\n[stage.a]\ncontext = \"a\"\nimage = \"{image}\"\n{BOTH}\
         [stage.a.platform.\"linux/arm64\"]\ndockerfile = \"a/of-arm\"\nargs = {{ WORD = \"arm\" }}\n\
         [stage.b]\ncontext = \"b\"\nfrom = \"a\"\nimage = \"{image}/b\"\n{BOTH}"
    );
    let dockerfile = "FROM scratch\nARG TARGETARCH\nARG WORD=amd\nCOPY of-$TARGETARCH /of\nCOPY word-$WORD /word\n";
    project(host)
        .file("build-graph.toml", graph)
        .file("a/Dockerfile", dockerfile)
        .file("a/of-arm", format!("{dockerfile}COPY more /more\n"))
        .file("a/of-amd64", unique("amd64"))
        .file("a/of-arm64", unique("arm64"))
        .file("a/word-amd", "amd")
        .file("a/word-arm", "arm")
        .file("a/more", "more")
        .file("b/Dockerfile", format!("FROM {image}\nCOPY x /x\n"))
        .file("b/x", unique("b"))
}

/// The content of a file of an image for one platform.
fn content_for(host: &str, platform: &str, image: &str, path: &str) -> String {
    let container = docker(host, &["create", "--platform", platform, image, "/none"]);
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("it");
    let from = format!("{container}:{path}");
    docker(host, &["cp", &from, to.to_str().unwrap()]);
    docker(host, &["rm", &container]);
    std::fs::read_to_string(to).unwrap()
}

#[test]
fn a_stage_for_two_platforms_is_built_in_parts_and_assembled() {
    let (host, image) = (host(), unique("parts"));
    let project = in_parts(&host, &image);
    let ran = project.build(&[]).ends(0);
    assert_eq!(ran.those("built"), ["a", "b"]);
    assert_eq!(builds(&project), 4);
    for (platform, word, arch) in [
        ("linux/amd64", "amd", "amd64"),
        ("linux/arm64", "arm", "arm64"),
    ] {
        let of = std::fs::read_to_string(project.path(&format!("a/of-{arch}"))).unwrap();
        for image in [&image, &format!("{image}/b")] {
            assert_eq!(content_for(&host, platform, image, "/of"), of);
            assert_eq!(content_for(&host, platform, image, "/word"), word);
        }
    }
    assert_eq!(content_for(&host, "linux/arm64", &image, "/more"), "more");
    // What is fresh asks nobody to build.
    let again = project.build(&[]).ends(0);
    assert_eq!(again.those("fresh"), ["a", "b"]);
    assert_eq!(again.outcome().len(), 2, "{:?}", again.outcome());
    assert_eq!(builds(&project), 4);
    let whole = project.planned("a");
    let platforms = |told: &serde_json::Value| {
        let parts = told["parts"].as_array().unwrap().iter();
        let parts = parts.map(|part| {
            let text = |name: &str| part[name].as_str().unwrap_or("none").to_owned();
            format!("{} {}", text("platform"), text("verdict"))
        });
        parts.collect::<Vec<_>>()
    };
    assert_eq!(
        platforms(&whole),
        ["linux/amd64 fresh", "linux/arm64 fresh"]
    );
    assert_eq!(whole["verdict"], "fresh");
    assert_eq!(whole["image"], super::id(&host, &image));
    // A file of one platform builds that part alone, and the stage's image for the other stays.
    project.write("a/of-arm64", unique("arm64 again"));
    let stale = project.planned("a");
    assert_eq!(
        platforms(&stale),
        ["linux/amd64 fresh", "linux/arm64 stale"]
    );
    assert_eq!(stale["verdict"], "stale");
    assert_eq!(stale["reason"]["kind"], "inputs_changed");
    assert_eq!(stale["reason"]["changes"][0]["name"], "of-arm64");
    let told = project.run(&["explain", "b"]).ends(0).stdout;
    assert!(told.contains("of-arm64"), "{told}");
    let ran = project.build(&[]).ends(0);
    assert_eq!(ran.those("built"), ["a", "b"]);
    assert_eq!(builds(&project), 6);
    let told = project.run(&["plan"]).ends(0).stdout;
    assert!(told.contains("2 of 2 stages fresh"), "{told}");
    // A name that is lost is put back without a build.
    docker(&host, &["image", "rm", &image]);
    assert_eq!(project.planned("a")["verdict"], "stale");
    project.build(&[]).ends(0);
    assert_eq!(builds(&project), 6);
    assert_eq!(project.planned("a")["verdict"], "fresh");
    // A part alone, by its name.
    project.write("a/of-amd64", unique("amd64 again"));
    let alone = project.build(&["a@linux-amd64"]).ends(0);
    assert_eq!(alone.those("built"), ["a@linux-amd64"]);
    assert_eq!(builds(&project), 7);
}

#[test]
fn a_part_that_fails_fails_its_stage_and_an_engine_without_indexes_is_told() {
    let (first, image) = (host(), unique("parts"));
    let project = in_parts(&first, &image);
    project.write(
        "a/of-arm",
        "FROM scratch\nCOPY nothing-there* /x\nRUN [\"/x\"]\n",
    );
    // Offline, nothing is offered for the emulation that another machine may lack.
    let ran = project.build(&["--offline"]).ends(1);
    assert_eq!(ran.outcome()["a"], "failed", "{}", ran.stdout);
    for host in hosts().iter().skip(1) {
        let project = in_parts(host, &image);
        let ran = project.build(&[]).ends(3);
        let said = "the engine's classic image store holds an image for one platform only";
        assert!(ran.stdout.contains(said), "{}", ran.stdout);
        assert_eq!(builds(&project), 0);
        project.build(&["--platform", "linux/amd64"]).ends(0);
    }
}
