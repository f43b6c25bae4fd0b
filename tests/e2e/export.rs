//! Exports of the graph, tried with the programs that they are for.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::support::{Project, Ran, process};
use crate::{host, hosts, load_built, project, registry, unique, with_base};

/// Three stages: one is overlaid, one stands on it, and one has a Dockerfile for each platform.
fn exported(host: &str) -> Project {
    let path = unique("export");
    let graph = format!(
        "version = 1\n[vars]\nword = \"hello\"\n\
         [defaults]\noutput = \"oci\"\nreproducible = true\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
         [stage.a]\ncontext = \"a\"\nimage = \"{path}/a\"\noverlays = [\"over\"]\n\
         args = {{ WORD = \"${{word}}\", COMMIT = \"${{source.commit}}\", ODD = \"a$${{B}}%{{ if c }}\" }}\nvolatile = [\"COMMIT\"]\nlabels = {{ l = \"1,2\" }}\n\
         [stage.b]\ncontext = \".\"\ndockerfile = \"b/own.Dockerfile\"\nfrom = \"a\"\nimage = \"{path}/b\"\n\
         [stage.c]\ncontext = \"c\"\nimage = \"{path}/c\"\n\
         [stage.c.platform.\"linux/arm64\"]\ndockerfile = \"c/arm64.Dockerfile\"\n"
    );
    let project = project(host)
        .file("build-graph.toml", graph)
        .file(".gitignore", "/state/\n/bin/\n/calls\n/docker-config/\n")
        .file(
            "a/Dockerfile",
            "FROM scratch\nARG WORD\nARG COMMIT\nARG ODD\nCOPY x y /\nLABEL word=$WORD commit=$COMMIT odd=$ODD\n",
        )
        .file("a/x", &path)
        .file("a/y", "of the context")
        .file("over/y", "of the overlay")
        .file("b/own.Dockerfile", format!("FROM {path}/a\nCOPY b/x /b\n"))
        .file("b/x", &path)
        .file("c/Dockerfile", "FROM scratch\nCOPY x /amd64\n")
        .file("c/arm64.Dockerfile", "FROM scratch\nCOPY x /arm64\n")
        .file("c/x", &path);
    for words in [
        &["init", "--quiet"][..],
        &["add", "--all"],
        &[
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.org",
            "commit",
            "--quiet",
            "--message",
            "x",
        ],
    ] {
        let mut git = Command::new("git");
        git.arg("-C").arg(project.path("")).args(words);
        process::ended(&mut git).unwrap();
    }
    project
}

/// The docker command, run in the project.
fn docker_in(project: &Project, host: &str, arguments: &[&str]) -> Ran {
    let program = std::env::var("XTASK_TEST_DOCKER").unwrap_or_else(|_| "docker".into());
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(project.path(""))
        .env("DOCKER_HOST", host);
    Ran::of(process::ended(&mut command).unwrap())
}

/// The manifests of a plan's parts, by stage.
fn planned(project: &Project) -> BTreeMap<String, Vec<String>> {
    let plan = project.run(&["plan", "--json"]).ends(0).stdout;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let of_stage = |stage: &Value| {
        let parts = stage["parts"].as_array().unwrap().iter();
        let manifests = parts.map(|part| part["image"].as_str().unwrap().to_owned());
        (
            stage["stage"].as_str().unwrap().to_owned(),
            manifests.collect(),
        )
    };
    let stages = plan["stages"].as_array().unwrap().iter();
    stages.map(of_stage).collect()
}

#[test]
fn bake_builds_the_same_manifests_from_the_export() {
    let host = host();
    let project = exported(&host);
    project.run(&["build"]).ends(0);
    let ran = project.run(&["export", "bake"]).ends(0);
    let ran = ran.says("`c` is built differently for its platforms");
    assert!(
        ran.stdout.ends_with("/docker-bake.json\n"),
        "{}",
        ran.stdout
    );
    let metadata = project.path("metadata.json");
    docker_in(
        &project,
        &host,
        &[
            "buildx",
            "bake",
            "--no-cache",
            "--metadata-file",
            metadata.to_str().unwrap(),
        ],
    )
    .ends(0);
    let folder = project.path("state").read_dir().unwrap().next().unwrap();
    let layouts = folder.unwrap().path().join("bake/oci");
    let read = |path: std::path::PathBuf| -> Value {
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap()
    };
    // The platform manifests that a target has made.
    let baked = |target: &str| -> Vec<String> {
        let layout = layouts.join(target);
        let top = &read(layout.join("index.json"))["manifests"][0];
        let digest = |entry: &Value| entry["digest"].as_str().unwrap().to_owned();
        if top["mediaType"]
            .as_str()
            .unwrap()
            .ends_with("manifest.v1+json")
        {
            return vec![digest(top)];
        }
        let blob = digest(top).replace("sha256:", "blobs/sha256/");
        let index = read(layout.join(blob));
        index["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .map(digest)
            .collect()
    };
    let mut found = BTreeMap::new();
    for stage in ["a", "b"] {
        found.insert(stage.to_owned(), baked(stage));
    }
    let parts = ["c-linux-amd64", "c-linux-arm64"];
    found.insert("c".to_owned(), parts.into_iter().flat_map(baked).collect());
    assert_eq!(found, planned(&project));

    // It is written again, but never over a file of somebody else.
    project.run(&["export", "bake", "a"]).ends(0);
    project.write("docker-bake.json", "{}");
    project
        .run(&["export", "bake"])
        .ends(2)
        .says("was not written by `cargo xtask export bake`");
    assert_eq!(
        std::fs::read_to_string(project.path("docker-bake.json")).unwrap(),
        "{}"
    );
}

#[test]
fn compose_runs_the_published_images_by_digest_and_what_is_missing_is_told() {
    let Some(registry) = registry() else { return };
    let host = host();
    let place = format!("{registry}/{}", unique("compose"));
    let stack = |services: &str| format!("services:\n{services}");
    let one = format!("  one:\n    image: {place}/a:1\n    read_only: true\n");
    let project = project(&host)
        .file(
            "build-graph.toml",
            format!(
                "version = 1\n[target.tests]\nto = \"{place}\"\n[stack]\ncompose = \"compose.yaml\"\n\
                 [defaults]\noutput = \"oci\"\n\
                 [stage.a]\ncontext = \"a\"\nimage = \"t/a\"\ntags = [\"1\"]\nservices = [\"one\"]\n\
                 platforms = [\"linux/amd64\", \"linux/arm64\"]\n\
                 [stage.half]\ncontext = \"a\"\nimage = \"t/half\"\ntags = [\"1\"]\nplatforms = [\"linux/amd64\"]\n"
            ),
        )
        .file("compose.yaml", stack(&one))
        .file("a/Dockerfile", "FROM scratch\nCOPY x /\n")
        .file("a/x", &place);
    project.run(&["build"]).ends(0);
    project
        .run(&["export", "compose"])
        .ends(1)
        .says("no registry is known to have the image of `a`");
    let ran = project
        .run(&["publish", "--unverified=a test", "--json"])
        .ends(0);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    let digest = answer["release"]["images"][0]["top"]["digest"].clone();
    let wanted = format!("{place}/a@{}", digest.as_str().unwrap());

    project.run(&["export", "compose"]).ends(0);
    let files = ["compose", "-f", "compose.yaml", "-f", "compose.images.yaml"];
    let words = [&files[..], &["config", "--format", "json"]].concat();
    let config = docker_in(&project, &host, &words).ends(0).stdout;
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["services"]["one"]["image"], wanted.as_str());
    assert_eq!(config["services"]["one"]["read_only"], true);
    let ran = project.run(&["export", "compose", "--check"]).ends(0);
    assert!(
        ran.stdout.contains(&format!("{place}/a:1")),
        "{}",
        ran.stdout
    );

    // What a user of the compose file would find out too late.
    let more =
        format!("{one}  two:\n    image: {place}/gone:1\n  three:\n    image: {place}/half:1\n");
    project.write("compose.yaml", stack(&more));
    let ran = project.run(&["export", "compose", "--check"]).ends(1);
    let ran = ran.says("2 images of the stack cannot be pulled");
    for (image, what) in [("gone", "(two)"), ("half", "not for linux/arm64 (three)")] {
        let image = format!("{place}/{image}:1");
        let mut lines = ran.stdout.lines();
        let line = lines.find(|line| line.contains(&image)).unwrap();
        assert!(line.ends_with(what) && !line.contains("is there"), "{line}");
    }
}

/// Two services, of which only one is of a stage.
fn bundled(host: &str, other: &str) -> Project {
    let probe =
        |service: &str, rest: &str| format!("[[stack.probe]]\nservice = \"{service}\"\n{rest}\n");
    let page = |service: &str, body: &str| {
        let ask = "kind = \"http\"\nport = 80\npath = \"/\"\n";
        probe(service, &format!("{ask}body = \"{body}\""))
    };
    let graph = format!(
        "version = 1\n[stack]\ncompose = \"stack/compose.yaml\"\n{}{}{}\
         [stage.base]\ncontext = \"base\"\n\
         [stage.app]\ncontext = \"app\"\nservices = [\"app\"]\ncontexts = {{ \"the-base\" = {{ stage = \"base\" }} }}\n",
        page("app", "of the stage"),
        page("other", "of nobody"),
        probe(
            "app",
            "kind = \"exec\"\ncommand = [\"cat\", \"/conf/c\"]\noutput = \"mounted\""
        ),
    );
    let serve = "CMD [\"httpd\", \"-f\", \"-p\", \"80\", \"-h\", \"/www\"]\n";
    with_base(project(host))
        .file("build-graph.toml", graph)
        .file(
            "stack/compose.yaml",
            format!(
                "services:\n  app:\n    image: registry.invalid/app:1\n    volumes: [\"./conf:/conf:ro\"]\n\
                 \x20 other:\n    image: {other}\n"
            ),
        )
        .file("stack/conf/c", "mounted\n")
        .file(
            "app/Dockerfile",
            format!("FROM the-base\nENV PATH=/bin\nCOPY page /www/index.html\n{serve}"),
        )
        .file("app/page", "of the stage")
        .file(
            "other/Dockerfile",
            format!("FROM scratch\nCOPY busybox /bin/httpd\nCOPY page /www/index.html\nENV PATH=/bin\n{serve}"),
        )
        .file("other/page", "of nobody")
}

#[test]
fn a_bundle_starts_on_an_engine_that_has_nothing_and_reaches_no_network() {
    let [here, there] = hosts().try_into().unwrap_or_else(|mut one: Vec<String>| {
        let one = one.remove(0);
        [one.clone(), one]
    });
    let other = unique("other");
    let first = bundled(&here, &other);
    std::fs::copy("/bin/busybox", first.path("other/busybox")).unwrap();
    load_built(&here, &first.path("other"), &other);
    first
        .run(&["export", "bundle"])
        .ends(1)
        .says("is not fresh, so there is nothing to bundle");
    first.run(&["build"]).ends(0);
    let ran = first.run(&["export", "bundle"]).ends(0);
    assert!(ran.stdout.contains("2 images for linux/"), "{}", ran.stdout);

    let second = bundled(&there, &other);
    let bundle = second.path("bundle");
    let second = second.copy_into(&first.path("bundle"), &bundle);
    let ran = second.run(&["verify", "--bundle", bundle.to_str().unwrap()]);
    let ran = ran.ends(0);
    assert!(ran.stdout.contains("passed 3 probes"), "{}", ran.stdout);
    // The same by the script alone.
    let script = |words: &[&str]| {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(&bundle);
        command.env("DOCKER_HOST", &there);
        let docker = std::env::var("XTASK_TEST_DOCKER").unwrap_or_else(|_| "docker".into());
        let folder = std::path::Path::new(&docker).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", folder.display()));
        command.env("COMPOSE_PROJECT_NAME", unique("bundle").replace('/', "-"));
        Ran::of(process::ended(&mut command).unwrap())
    };
    script(&["sh", "load.sh"]).ends(0);
    let running = ["docker", "compose", "ls", "--quiet"];
    let project = script(&running).ends(0).stdout;
    let project = project
        .lines()
        .find(|line| line.contains("-bundle"))
        .unwrap()
        .to_owned();
    script(&[
        "docker",
        "compose",
        "--project-name",
        &project,
        "down",
        "--volumes",
    ])
    .ends(0);

    second.write("bundle/compose.yaml", "{}");
    second
        .run(&["verify", "--bundle", bundle.to_str().unwrap()])
        .ends(2)
        .says("compose.yaml is not what its checksum says");
    first.write("bundle/mine", "");
    first.run(&["export", "bundle"]).ends(0);
    first.write("elsewhere/mine", "");
    let elsewhere = first.path("elsewhere");
    first
        .run(&["export", "bundle", "--to", elsewhere.to_str().unwrap()])
        .ends(2)
        .says("exists and is not a bundle");
}
