//! Builders beside the engine's own: second engines behind docker contexts, and a BuildKit that
//! buildx reaches by its remote driver.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use xtask::workshop::testbed::{ImageStore, TestEngine};

use super::support::Ran;
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

/// A slow line to a server, which can be cut.
struct Line {
    port: u16,
    open: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    is_cut: bool,
    streams: Vec<TcpStream>,
}

impl Line {
    fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = Arc::new(Mutex::new(Open::default()));
        let shared = Arc::clone(&open);
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let near = near.unwrap();
                let mut open = shared.lock().unwrap();
                if open.is_cut {
                    continue;
                }
                let far = TcpStream::connect(("127.0.0.1", server)).unwrap();
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || carry(from, to));
                }
                open.streams.extend([near, far]);
            }
        });
        Self { port, open }
    }

    fn cut(&self) {
        let mut open = self.open.lock().unwrap();
        open.is_cut = true;
        for stream in &open.streams {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// A line of about 0.5 MB/s with a delay of 30 ms.
fn carry(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 << 10];
    while let Ok(got @ 1..) = from.read(&mut buffer) {
        std::thread::sleep(Duration::from_millis(30));
        if to.write_all(&buffer[..got]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// A port at which an engine's BuildKit speaks as one of its own would: the engine has it behind an
/// upgrade of a connection.
fn buildkit_of(engine: &TestEngine) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = engine.host().replace("unix://", "");
    std::thread::spawn(move || {
        for near in listener.incoming() {
            let near = near.unwrap();
            let mut far = UnixStream::connect(&socket).unwrap();
            let upgrade =
                "POST /grpc HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
            far.write_all(upgrade.as_bytes()).unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                far.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let (mut back, mut out) = (far.try_clone().unwrap(), near.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut back, &mut out);
                let _ = out.shutdown(Shutdown::Both);
            });
            std::thread::spawn(move || {
                let mut near = near;
                let _ = std::io::copy(&mut near, &mut far);
                let _ = far.shutdown(Shutdown::Both);
            });
        }
    });
    port
}

/// A free port of the loopback.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
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
    let base = project.path("base");
    let base = base.to_str().unwrap();
    docker(
        &host(),
        &[
            "buildx", "build", "--quiet", "--load", "--tag", &syntax, base,
        ],
    );
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

#[test]
fn what_cannot_be_a_builder_is_told_with_its_remedy_and_the_stage_is_built_all_the_same() {
    let second = OwnEngine::start(ImageStore::Classic, &[]);
    let (project, _) = two_platforms(
        "[builder.classic]\ncontext = \"classic\"\nplatforms = [\"linux/arm64\"]\nweight = 5\n\
         [builder.gone]\nbuildx = \"gone\"\nplatforms = [\"linux/arm64\"]\nweight = 3\n\
         [builder.nowhere]\ncontext = \"nowhere\"\nplatforms = [\"linux/arm64\"]\nweight = 2\n\
         [builder.uncreated]\ndriver = \"docker-container\"\nplatforms = [\"linux/arm64\"]\n",
    );
    let at = format!("host={}", second.engine.host());
    docker_of(&project, &["context", "create", "classic", "--docker", &at]);
    project
        .run(&["build"])
        .ends(0)
        .says("`classic` is an engine with the classic image store")
        .says("docker buildx create --name=gone")
        .says("docker context create nowhere")
        .says("builder `uncreated` was not created yet: `cargo xtask setup");
}

/// BuildKit's own image cannot be had here, so another image takes its place: buildx creates the
/// builder, and its container does not start.
#[test]
fn setup_creates_a_builder_only_if_its_image_can_be_had() {
    let image = format!("{}:1", unique("buildkit"));
    let builder = |image: &str| {
        format!(
            "[builder.own]\ndriver = \"docker-container\"\n{image}platforms = [\"linux/arm64\"]\n"
        )
    };
    let (project, _) = two_platforms(&builder(""));
    let steps = || {
        let ran = project.run(&["setup", "--check", "--json"]);
        let said: Value = serde_json::from_str(&ran.stdout).unwrap();
        let steps = said["plan"]["steps"].as_array().unwrap().clone();
        let own = steps.into_iter().find(|it| it["step"] == "run_as_user");
        (own, ran.stdout)
    };
    let (step, said) = steps();
    assert_eq!(step, None);
    assert!(said.contains("as its image cannot be had"), "{said}");

    let graph = std::fs::read_to_string(project.path("build-graph.toml")).unwrap();
    let own = builder(&format!("image = \"{image}\"\n"));
    project.write("build-graph.toml", graph.replace(&builder(""), &own));
    let folder = project.path("b");
    project.write("b/Dockerfile", "FROM scratch\nCOPY x /x\n");
    let folder = folder.to_str().unwrap();
    docker(
        &host(),
        &[
            "buildx", "build", "--quiet", "--load", "--tag", &image, folder,
        ],
    );
    let step = steps().0.unwrap();
    let words = step["argv"].as_array().unwrap().iter();
    let argv: Vec<&str> = words.map(|it| it.as_str().unwrap()).collect();
    assert_eq!(
        argv,
        [
            "docker",
            "buildx",
            "create",
            "--name=xtask-own",
            "--driver=docker-container",
            &format!("--driver-opt=image={image}"),
        ]
    );
    docker_of(&project, &argv[1..]);
    let (step, said) = steps();
    assert_eq!(step, None);
    assert!(said.contains("the first build there starts it"), "{said}");
    project.write("b/Dockerfile", "FROM parent\nCOPY x /x\n");
    project
        .run(&["build"])
        .ends(0)
        .says("`docker buildx inspect --bootstrap xtask-own` must work");
    docker_of(&project, &["buildx", "rm", "--force", "xtask-own"]);
    docker(&host(), &["image", "rm", &image]);
}
