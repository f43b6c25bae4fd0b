//! Builders beside the engine's own: second engines behind docker contexts, and a BuildKit that
//! buildx reaches by its remote driver.

mod fit;
mod told;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use xtask::workshop::testbed::ImageStore;

use super::support::Ran;
use super::support::line::{Line, buildkit_of, free_port};
use super::support::tls::Authority;
use super::{OwnEngine, Project, content, docker, host, id, project, unique, with_base};

fn images(engine: &OwnEngine) -> String {
    docker(&engine.engine.host(), &["image", "ls", "--quiet", "--all"])
}

/// Runs the docker command with the configuration of a project.
fn docker_of(project: &Project, arguments: &[&str]) {
    let program = std::env::var("XTASK_TEST_DOCKER").unwrap_or_else(|_| "docker".into());
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("DOCKER_CONFIG", project.path("docker-config"))
        .env("DOCKER_HOST", host());
    Ran::of(command.output().unwrap()).ends(0);
}

/// A stage `a` for two platforms, a child `b` of it, and these builders.
fn two_platforms(builders: &str) -> (Project, String) {
    let image = unique("b");
    let graph = format!(
        "version = 1\n{builders}\n[defaults]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
         [stage.a]\ncontext = \"base\"\n[stage.b]\ncontext = \"b\"\nimage = \"{image}\"\n\
         contexts = {{ parent = {{ stage = \"a\" }} }}\n"
    );
    let dockerfile = "FROM parent\nARG TARGETARCH\nCOPY x /x\nRUN echo $TARGETARCH > /arch\n";
    let project = with_base(project(&host()))
        .file("build-graph.toml", graph)
        .file("b/Dockerfile", dockerfile)
        .file("b/x", unique("x"));
    (project, image)
}

/// The builder to which each stage went, as the events say it.
fn builders_of(events: &[Value]) -> Vec<(String, String)> {
    let started = events.iter().filter(|it| it["event"] == "stage_started");
    let word = |value: &Value| value.as_str().unwrap_or("the engine's own").to_owned();
    let mut all: Vec<_> = started
        .map(|it| (word(&it["stage"]), word(&it["builder"])))
        .collect();
    all.sort();
    all
}

fn started(
    project: &Project,
    arguments: &[&str],
) -> (Child, BufReader<impl std::io::Read + use<>>) {
    let mut command = project.command(&[&["build", "--json"], arguments].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

/// Reads events until one fits, and gives all of them.
fn until(out: &mut impl BufRead, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut all = Vec::new();
    for line in out.lines() {
        all.push(serde_json::from_str(&line.unwrap()).unwrap());
        if fits(all.last().unwrap()) {
            return all;
        }
    }
    panic!("never seen; there were {all:#?}");
}

fn runs(stage: &str) -> impl Fn(&Value) -> bool {
    move |event| {
        event["event"] == "step"
            && event["stage"] == stage
            && event["step"].as_str().unwrap().contains("RUN")
    }
}

fn end(mut child: Child, mut out: impl std::io::Read) -> (i32, String) {
    let mut text = String::new();
    out.read_to_string(&mut text).unwrap();
    (child.wait().unwrap().code().unwrap(), text)
}

#[test]
fn a_part_goes_to_the_builder_of_its_platform_and_moves_if_that_dies() {
    let second = OwnEngine::start(ImageStore::Containerd, &[]);
    let arm = "[builder.arm]\ncontext = \"second\"\nplatforms = [\"linux/arm64\"]\n";
    let (project, image) = two_platforms(arm);
    let at = format!("host={}", second.engine.host());
    docker_of(&project, &["context", "create", "second", "--docker", &at]);
    // Whatever builder the user has chosen, the one of the context is meant.
    let nowhere = [
        "buildx",
        "create",
        "--name=x",
        "--driver=remote",
        "tcp://127.0.0.1:1",
    ];
    docker_of(&project, &nowhere);
    docker_of(&project, &["buildx", "use", "--global", "x"]);

    let ran = project.build(&[]).ends(0);
    let own = "the engine's own".to_owned();
    let expected = |stage: &str, builder: &str| (stage.to_owned(), builder.to_owned());
    let went = builders_of(&ran.events());
    for stage in ["a", "b"] {
        let parts = ["amd64", "arm64"].map(|arch| format!("{stage}@linux-{arch}"));
        assert!(went.contains(&(parts[0].clone(), own.clone())), "{went:?}");
        assert!(went.contains(&expected(&parts[1], "arm")), "{went:?}");
    }
    let calls = std::fs::read_to_string(project.path("calls")).unwrap();
    for call in calls.lines().filter(|line| line.contains("buildx build")) {
        let is_there = call.starts_with("--context=second ");
        assert_eq!(call.contains("--platform=linux/arm64"), is_there, "{call}");
    }
    assert_eq!(images(&second), "", "the other engine keeps no image");
    assert_eq!(content(&host(), &image, "/arch"), "amd64\n");
    let arm64 = ["create", "--platform=linux/arm64", &image, "/none"];
    let container = docker(&host(), &arm64);
    let copied = tempfile::tempdir().unwrap();
    let from = format!("{container}:/arch");
    docker(&host(), &["cp", &from, copied.path().to_str().unwrap()]);
    docker(&host(), &["rm", &container]);
    let arch = std::fs::read_to_string(copied.path().join("arch")).unwrap();
    assert_eq!(arch, "arm64\n");

    // Neither the key nor the record knows the builder.
    let graph = std::fs::read_to_string(project.path("build-graph.toml")).unwrap();
    project.write("build-graph.toml", graph.replace(arm, ""));
    assert!(project.verdicts().values().all(|it| it == "fresh"));
    project.write("build-graph.toml", &graph);
    assert!(project.verdicts().values().all(|it| it == "fresh"));

    // It is killed while it runs a step.
    let slow = "FROM parent\nARG TARGETARCH\nCOPY x /x\nRUN sleep 6; echo $TARGETARCH > /arch\n";
    project.write("b/Dockerfile", slow);
    let (child, mut out) = started(&project, &[]);
    until(&mut out, runs("b@linux-arm64"));
    second.engine.kill().unwrap();
    let (status, text) = end(child, out);
    assert_eq!(status, 0, "{text}");
    assert!(
        text.contains("`b@linux-arm64` moves to another builder: builder `arm` does not answer")
    );
    assert!(text.contains("docker --context=second info"), "{text}");
    assert!(text.contains("built for linux/arm64 by the engine's own builder, which emulates it"));
    assert!(project.verdicts().values().all(|it| it == "fresh"));

    // It does not come back. Nothing waits for it, and what it would have built is built here.
    project.write("b/x", unique("x"));
    let before = id(&host(), &image);
    project
        .run(&["build"])
        .ends(0)
        .says("builder `arm` does not answer");
    assert_ne!(id(&host(), &image), before);
}

#[test]
fn builders_over_tls_may_be_slow_and_when_two_die_the_build_names_both() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, port) = (Authority::new(), free_port());
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let ca = file("ca.pem", &authority.pem());
    let (certificate, key) = authority.pair("127.0.0.1");
    let (certificate, key) = (file("cert.pem", &certificate), file("key.pem", &key));
    let second = OwnEngine::start(
        ImageStore::Containerd,
        &[
            format!("--host=tcp://127.0.0.1:{port}"),
            "--tlsverify".to_owned(),
            format!("--tlscacert={ca}"),
            format!("--tlscert={certificate}"),
            format!("--tlskey={key}"),
        ],
    );
    let (project, _) = two_platforms(
        "[builder.one]\ncontext = \"one\"\nplatforms = [\"linux/arm64\"]\nweight = 2\n\
         [builder.two]\ncontext = \"two\"\nplatforms = [\"linux/arm64\"]\n\
         [builder.kit]\nbuildx = \"kit\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\nweight = 9\n",
    );
    let lines = [Line::to(port), Line::to(port)];
    for (name, line) in ["one", "two"].iter().zip(&lines) {
        let at = format!(
            "host=tcp://127.0.0.1:{},ca={ca},cert={certificate},key={key}",
            line.port
        );
        docker_of(&project, &["context", "create", name, "--docker", &at]);
    }
    let kit = format!("tcp://127.0.0.1:{}", buildkit_of(&second.engine));
    let amd64 = "--platform=linux/amd64";
    docker_of(
        &project,
        &[
            "buildx",
            "create",
            "--name=kit",
            "--driver=remote",
            amd64,
            &kit,
        ],
    );
    // A node that is away serves another platform.
    let arm64 = ["--append", "--platform=linux/arm64", "tcp://127.0.0.1:1"];
    let create = ["buildx", "create", "--name=kit", "--driver=remote"];
    docker_of(&project, &[&create[..], &arm64].concat());

    // Slow, but right. The strongest has no node for arm64, so that part goes to the next one.
    let ran = project.build(&["a"]).ends(0);
    let events = ran.stdout.as_str();
    assert!(
        events.contains("none of its nodes for linux/arm64 runs"),
        "{events}"
    );
    let went = builders_of(&ran.events());
    for part in [("a@linux-amd64", "kit"), ("a@linux-arm64", "one")] {
        assert!(
            went.contains(&(part.0.to_owned(), part.1.to_owned())),
            "{went:?}"
        );
    }
    assert_eq!(images(&second), "", "the other engine keeps no image");

    // One dies, then the one that its part moved to.
    project.write(
        "b/Dockerfile",
        "FROM parent\nCOPY x /x\nRUN sleep 8; echo 1 > /one\n",
    );
    let (child, mut out) = started(&project, &[]);
    until(&mut out, runs("b@linux-arm64"));
    lines[0].cut();
    until(&mut out, |event| event["builder"] == "two");
    until(&mut out, runs("b@linux-arm64"));
    lines[1].cut();
    let (status, text) = end(child, out);
    assert_eq!(status, 3, "{text}");
    let finished = text
        .lines()
        .find(|it| it.contains("\"stage\":\"b@linux-arm64\",\"outcome\""));
    let finished = finished.unwrap_or_else(|| panic!("{text}"));
    for (name, context) in [("one", "one"), ("two", "two")] {
        assert!(finished.contains(&format!("builder `{name}` does not answer")));
        assert!(finished.contains(&format!("`docker --context={context} info` must work")));
    }

    // Both are away from the beginning: the engine's own builder takes what they would.
    project
        .run(&["build"])
        .ends(0)
        .says("moves to another builder: builder `one` does not answer")
        .says("moves to another builder: builder `two` does not answer")
        .says("by the engine's own builder, which emulates it");
}
