//! `output`, `compression`, `reproducible`.

use super::super::{docker, host, hosts, project, registry, unique};
use super::{Team, parts};

#[test]
fn a_layout_and_a_registry_give_one_manifest_and_an_engine_the_same_identity() {
    for host in hosts() {
        let Some(team) = Team::new() else { return };
        let machine = team.checkout(&host);
        machine.run(&["build", "--profile", "oci"]).ends(0);
        let kept = parts(&machine, "oci", "b");
        assert!(kept.iter().all(serde_json::Value::is_string), "{kept:?}");
        // The image is built again for the other place, from BuildKit's cache.
        let asked = machine.run(&["plan", "--profile", "ci"]).ends(0).stdout;
        assert!(asked.contains("the image is not in "), "{asked}");
        machine.run(&["build", "--profile", "ci"]).ends(0);
        assert_eq!(parts(&machine, "ci", "b"), kept);
        // What others have pushed serves an engine, and children keep their keys.
        let ran = machine.build(&["b@linux-amd64"]).ends(0);
        assert_eq!(ran.those("fresh"), ["a@linux-amd64", "b@linux-amd64"]);
        machine
            .run(&["verify", "--policy-only", "--profile", "oci"])
            .ends(0);
        let ran = machine
            .run(&["verify", "--policy-only", "--profile", "ci"])
            .ends(0);
        let told = ran.says("verified before");
        assert!(told.stdout.contains("verified"), "{}", told.stdout);
    }
}

#[test]
fn an_image_of_the_engine_can_be_pulled_from_the_registry_and_run_on_either_store() {
    let Some(team) = Team::new() else { return };
    let first = team.checkout(&host());
    first.run(&["build", "--profile", "ci"]).ends(0);
    for host in hosts() {
        let machine = team.checkout(&host);
        machine.write("one", "");
        let graph = team
            .graph()
            .replace("[\"linux/amd64\", \"linux/arm64\"]", "[\"linux/amd64\"]");
        machine.write("build-graph.toml", graph);
        let ran = machine.build(&["b"]).ends(0);
        assert_eq!(ran.those("fresh"), ["a", "b"], "{}", ran.stdout);
        assert_eq!(super::super::builds(&machine), 0, "no builder was started");
        let name = format!("{}/b:latest", team.path);
        let container = docker(&host, &["create", &name, "/none"]);
        docker(&host, &["rm", &container]);
        // Only what was asked for was pulled.
        let parent = format!("{}/a:latest", team.path);
        let found = super::super::docker_says(&host, &["image", "inspect", &parent]);
        assert!(found.is_err(), "{found:?}");
        assert_eq!(machine.verdicts()["b"], "fresh");
    }
}

#[test]
fn layers_are_compressed_as_the_graph_says_and_the_identity_stays() {
    let host = host();
    let machine = |compression: &str| {
        project(&host)
            .file(
                "build-graph.toml",
                format!(
                    "version = 1\n[stage.a]\ncontext = \"a\"\noutput = \"oci\"\ncompression = \"{compression}\"\nreproducible = true\n"
                ),
            )
            .file("a/Dockerfile", "FROM scratch\nCOPY x /x\n")
            .file("a/x", "x".repeat(9999))
            .variable("SOURCE_DATE_EPOCH", "1700000000")
    };
    let mut identities = std::collections::BTreeSet::new();
    for (compression, end) in [("none", ".tar"), ("gzip", "gzip"), ("zstd", "zstd")] {
        let project = machine(compression);
        project.build(&[]).ends(0);
        let digest = project.planned("a")["image"].as_str().unwrap().to_owned();
        let state = std::fs::read_dir(project.path("state")).unwrap();
        let state = state.map(|it| it.unwrap().path()).next().unwrap();
        let blob = |digest: &str| {
            let hex = digest.strip_prefix("sha256:").unwrap();
            std::fs::read(state.join("oci/blobs/sha256").join(hex)).unwrap()
        };
        let manifest: serde_json::Value = serde_json::from_slice(&blob(&digest)).unwrap();
        let layer = manifest["layers"][0]["mediaType"].as_str().unwrap();
        assert!(layer.ends_with(end), "{layer}");
        identities.insert(manifest["config"]["digest"].as_str().unwrap().to_owned());
    }
    assert_eq!(identities.len(), 1, "{identities:?}");
}

#[test]
fn two_builds_of_one_commit_give_one_digest_and_what_depends_on_the_time_is_told() {
    let host = host();
    let machine = super::super::with_base(project(&host))
        .file(
            "build-graph.toml",
            "version = 1\n[defaults]\noutput = \"oci\"\nreproducible = true\n\
             [stage.base]\ncontext = \"base\"\n[stage.a]\ncontext = \"a\"\nfrom = \"base\"\n\
             [stage.b]\ncontext = \"b\"\nfrom = \"base\"\n",
        )
        .file("a/Dockerfile", "FROM base\nCOPY x /x\nRUN echo a > /a\n")
        .file("a/x", unique("x"))
        .file(
            "b/Dockerfile",
            "FROM base\nRUN cat /proc/sys/kernel/random/uuid > /b\n",
        );
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.arg("-C").arg(machine.path("")).args(arguments);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null");
        assert!(command.status().unwrap().success(), "{arguments:?}");
    };
    git(&["init", "--quiet"]);
    machine.write(".gitignore", "state\nbin\ncalls\ndocker-config\n");
    git(&["add", "--all"]);
    let who = ["-c", "user.name=t", "-c", "user.email=t@localhost"];
    git(&[&who[..], &["commit", "--quiet", "--message=x"]].concat());
    let ran = machine.run(&["verify", "--reproducible", "a"]).ends(0);
    assert!(ran.stdout.contains("twice sha256:"), "{}", ran.stdout);
    let ran = machine.run(&["verify", "--reproducible", "b"]).ends(1);
    let told = "a step depends on the time, the path or the network";
    assert!(ran.stdout.contains(told), "{}", ran.stdout);
}

#[test]
fn what_cannot_be_reproducible_is_refused_with_the_reason() {
    let graph = "version = 1\n[stage.a]\ncontext = \"a\"\nreproducible = true\n";
    let files = |graph: &str, host: &str| {
        project(host)
            .file("build-graph.toml", graph)
            .file("a/Dockerfile", "FROM scratch\nCOPY x /x\n")
            .file("a/x", "x")
            .variable("SOURCE_DATE_EPOCH", "1700000000")
    };
    let said = "an image in the engine's store cannot be reproducible";
    files(graph, &host()).run(&["plan"]).ends(2).says(said);
    if let Some(classic) = hosts().get(1) {
        let graph = format!("{graph}output = \"oci\"\n");
        let said = "`a` is to be reproducible, and BuildKit rewrites no times";
        let ran = files(&graph, classic).run(&["build"]).says(said);
        assert_ne!(ran.status, 0);
    }
    let graph = "version = 1\n[stage.a]\ncontext = \"a\"\noutput = \"registry\"\n";
    let said = "the graph names no registry to put images into";
    files(graph, &host()).run(&["plan"]).ends(2).says(said);
    let _ = registry();
}
