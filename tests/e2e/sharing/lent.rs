//! What a host command made elsewhere, and what must be made here.

use std::os::unix::fs::PermissionsExt as _;

use camino::Utf8PathBuf;

use super::super::{builds, docker, host};
use super::{Team, parts, runs, without_engine};
use crate::support::Project;
use xtask::contexts::{StatCache, Tracer};
use xtask::freshness::pins;
use xtask::freshness::prepare::lending;
use xtask::freshness::shared::Shared;
use xtask::freshness::shared::outputs::SharedOutputs;
use xtask::graphfile::options::GraphOptions;
use xtask::graphfile::spec::{self, StageId};

#[test]
fn a_second_machine_pulls_what_it_was_asked_for_and_builds_the_rest_from_what_is_shared() {
    let Some(team) = Team::new() else { return };
    let host = host();
    team.checkout(&host)
        .run(&["build", "--profile", "ci"])
        .ends(0);
    let second = team.checkout(&host);
    let ran = second.build(&["b"]).ends(0);
    assert_eq!(ran.those("fresh"), ["a", "b"]);
    assert_eq!((builds(&second), runs(&second)), (0, 0));
    let name = format!("{}/b:latest", team.path);
    for (platform, arch) in [("linux/amd64", "amd64"), ("linux/arm64", "arm64")] {
        let container = docker(&host, &["create", "--platform", platform, &name, "/none"]);
        let image = docker(&host, &["inspect", "--format", "{{.Image}}", &container]);
        assert!(image.starts_with("sha256:"), "{arch}: {image}");
        docker(&host, &["rm", &container]);
    }
    // One changed file of the parent: its host command need not run, as its outputs are fetched.
    second.write("a/x", "another");
    let ran = second.build(&["b"]).ends(0);
    assert_eq!(ran.those("built"), ["a", "b"]);
    assert_eq!(runs(&second), 0);
    let made = std::fs::read_to_string(second.path("a/made")).unwrap();
    assert_eq!(made, "made\n");
    assert_eq!(
        std::fs::read_to_string(second.path("a/more/deep/x")).unwrap(),
        "deep\n"
    );
    let mode = std::fs::metadata(second.path("a/more/deep")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o7777, 0o700);
    // Another command is another question.
    let make = second.path("a/make.sh");
    let text = std::fs::read_to_string(&make).unwrap();
    std::fs::write(&make, text.replace("echo made", "echo other")).unwrap();
    second.build(&["b"]).ends(0);
    assert_eq!(runs(&second), 1);
}

/// The outputs that come then are those of other inputs.
#[test]
fn an_input_that_changes_while_outputs_are_fetched_lets_the_command_run() {
    let Some(team) = Team::new() else { return };
    let host = host();
    team.checkout(&host)
        .run(&["build", "--profile", "ci"])
        .ends(0);
    let second = team.checkout(&host);
    second.write("a/x", "another");
    let make = second.path("a/make.sh");
    let text = std::fs::read_to_string(&make).unwrap();
    team.gate.on_request(move |seen| {
        if seen.method == "GET" && seen.path.contains("/records/blobs/") {
            std::fs::write(&make, text.replace("echo made", "echo other")).unwrap();
        }
    });
    second.build(&["a@linux-amd64"]).ends(0);
    assert_eq!(runs(&second), 1);
    let made = std::fs::read_to_string(second.path("a/made")).unwrap();
    assert_eq!(made, "other\n");
}

/// What is read by its path, and not as an entry of a context, must be there.
#[test]
fn a_dockerfile_and_a_context_that_a_host_command_makes_are_made_here() {
    let Some(team) = Team::new() else { return };
    let host = host();
    let graph = format!(
        "{}[stage.c]\ncontext = \"c\"\nprepare = {{ dir = \"c\", run = [\"sh\", \"make.sh\"], inputs = [\"make.sh\"], outputs = [\"Dockerfile\", \".dockerignore\"] }}\n\
         [stage.d]\ncontext = \"d/out\"\ndockerfile = \"d/Dockerfile\"\nprepare = {{ dir = \"d\", run = [\"sh\", \"make.sh\"], inputs = [\"make.sh\"], outputs = [\"out\"] }}\n",
        team.graph()
    );
    let machine = || {
        let project = team.checkout(&host);
        project.write("build-graph.toml", &graph);
        project
            .file(
                "c/make.sh",
                "echo ran >> ../runs\nrm -f Dockerfile .dockerignore\n\
                 printf 'FROM scratch\\nCOPY x /x\\n' > Dockerfile\necho y > .dockerignore\n",
            )
            .file("c/x", &team.path)
            .file("d/Dockerfile", "FROM scratch\nCOPY . /\n")
            .file(
                "d/make.sh",
                "echo ran >> ../runs\nrm -rf out\nmkdir out\necho x > out/x\n",
            )
    };
    machine()
        .run(&["build", "c", "d", "--profile", "ci"])
        .ends(0);
    let second = machine();
    // An old one lies there.
    second.write("c/Dockerfile", "FROM scratch\nCOPY y /y\n");
    let asked = second.planned("c");
    // Nothing is said of an image that the old one would make.
    assert_eq!(
        asked["reason"]["changes"][0]["name"], "it has not run here yet",
        "{asked}"
    );
    let ran = second.build(&["c", "d"]).ends(0);
    assert_eq!(ran.those("fresh"), ["c", "d"], "{}", ran.stderr);
    let made = std::fs::read_to_string(second.path("c/Dockerfile")).unwrap();
    assert!(made.contains("COPY x /x"), "{made}");
    assert_eq!(runs(&second), 0, "what they make was fetched");
}

/// Shares what lies in a project as what the host command of a part has made on a machine with
/// another processor.
fn share_as_of(processor: &str, project: &Project, part: &str) {
    let file = Utf8PathBuf::from_path_buf(project.path("build-graph.toml")).unwrap();
    let mut spec = spec::load(&file, &GraphOptions::default()).unwrap();
    spec.split();
    let stage: StageId = spec.find(part).unwrap();
    let (stage, cache) = (spec.stage(stage), StatCache::in_memory());
    let tracer = Tracer::forgetful(&cache);
    let question = lending::question(&spec, stage, &tracer, processor).unwrap();
    let made = lending::made(&spec, stage, &cache).unwrap().unwrap();
    let archive = project.path("archive");
    let folder = made.folder.as_std_path();
    let packed = SharedOutputs::pack(question.unwrap(), folder, &made.entries, &archive);
    let registries = pins::registries(|_| {}).unwrap();
    let shared = Shared::new(spec.registry.as_ref().unwrap(), &registries, None);
    shared
        .put_outputs(&packed.unwrap().unwrap(), &archive)
        .unwrap();
}

/// Native runners build the parts of one stage, each with what its own machine has made.
#[test]
fn a_part_stands_on_what_a_machine_of_its_own_platform_has_made() {
    let Some(team) = Team::new() else { return };
    let host = host();
    let first = team.checkout(&host);
    first
        .run(&["build", "a@linux-amd64", "--profile", "ci"])
        .ends(0);
    // A runner for arm64, whose compiler makes something else.
    let other = team
        .checkout(&host)
        .file("a/made", "on arm64\n")
        .file("a/more/deep/x", "on arm64\n");
    share_as_of("aarch64", &other, "a@linux-arm64");
    let second = team.checkout(&host);
    second
        .run(&["build", "a@linux-arm64", "--profile", "ci"])
        .ends(0);
    let made = std::fs::read_to_string(second.path("a/made")).unwrap();
    assert_eq!((made.as_str(), runs(&second)), ("on arm64\n", 0));
    // A plan elsewhere knows both.
    let third = without_engine(team.checkout(&host));
    assert!(
        parts(&third, "ci", "a")
            .iter()
            .all(serde_json::Value::is_string)
    );
}
