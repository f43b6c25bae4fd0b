//! What a host command made elsewhere, and what must be made here.

use std::os::unix::fs::PermissionsExt as _;

use super::super::{builds, docker, host};
use super::{Team, runs};

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
        asked["reason"]["changes"][0]["name"], "never run here",
        "{asked}"
    );
    let ran = second.build(&["c", "d"]).ends(0);
    assert_eq!(ran.those("fresh"), ["c", "d"], "{}", ran.stderr);
    let made = std::fs::read_to_string(second.path("c/Dockerfile")).unwrap();
    assert!(made.contains("COPY x /x"), "{made}");
    assert_eq!(runs(&second), 0, "what they make was fetched");
}
