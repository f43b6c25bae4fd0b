//! Base overrides (`[base]`): other images in place of those that unchanged Dockerfiles name.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::support::remote::Remote;
use super::{builds, content, docker, host, id, project, unique};

fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Removes a container and images when a test ends, even by a panic.
struct Cleanup<'h> {
    host: &'h str,
    container: String,
    images: Vec<String>,
}

impl Drop for Cleanup<'_> {
    fn drop(&mut self) {
        let program = std::env::var("XTASK_TEST_DOCKER").unwrap_or_else(|_| "docker".into());
        let run = |arguments: &[&str]| {
            let mut command = Command::new(&program);
            let _ = command
                .args(arguments)
                .env("DOCKER_HOST", self.host)
                .output();
        };
        run(&["rm", "--force", &self.container]);
        for image in &self.images {
            run(&["image", "rm", "--force", image]);
        }
    }
}

/// A Debian with Python, pip and apt, as a tar archive. It is made once, from Debian's own
/// packages.
fn debian() -> PathBuf {
    let folder = workspace().join("target/testbed");
    let archive = folder.join("debian-python.tar");
    if archive.exists() {
        return archive;
    }
    std::fs::create_dir_all(&folder).unwrap();
    let made = tempfile::Builder::new()
        .prefix("debian-")
        .tempdir_in(&folder)
        .unwrap();
    let root = made.path().join("root");
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        let output = output.unwrap_or_else(|error| panic!("this test needs {program}: {error}"));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
    };
    let root = root.to_str().unwrap();
    let mirror = debian_mirror();
    let with = "--include=ca-certificates,python3-pip,openssl,hostname";
    run(
        "debootstrap",
        &["--variant=minbase", with, "bookworm", root, &mirror],
    );
    let half = made.path().join("half.tar");
    run("tar", &["-C", root, "-cf", half.to_str().unwrap(), "."]);
    std::fs::rename(half, &archive).unwrap();
    archive
}

/// The Debian mirror that this machine uses.
fn debian_mirror() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let text = read("/etc/apt/sources.list.d/debian.sources") + &read("/etc/apt/sources.list");
    let lines = || text.lines().filter(|line| !line.contains("security"));
    let new = lines().find_map(|line| line.strip_prefix("URIs:")?.split_whitespace().next());
    let old = || {
        let line = lines().find(|line| line.starts_with("deb "))?;
        line.split_whitespace().find(|word| word.contains("://"))
    };
    new.or_else(old)
        .expect("apt's sources name no mirror")
        .to_owned()
}

#[test]
fn an_unchanged_dockerfile_runs_pip_and_apt_behind_an_intercepting_authority() {
    let host = host();
    let (base, server) = (unique("python"), unique("server").replace('/', "-"));
    let base = format!("{base}:3.12-slim-bookworm");
    let app = unique("app");
    let _cleanup = Cleanup {
        host: &host,
        container: server.clone(),
        images: vec![base.clone(), format!("{app}:latest")],
    };
    docker(&host, &["import", debian().to_str().unwrap(), &base]);
    let serve = workspace().join("tests/e2e/corporate/serve.py");
    docker(
        &host,
        &["create", "--name", &server, &base, "python3", "/serve.py"],
    );
    docker(
        &host,
        &[
            "cp",
            serve.to_str().unwrap(),
            &format!("{server}:/serve.py"),
        ],
    );
    docker(&host, &["start", &server]);
    let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let address = docker(&host, &["inspect", "--format", address, &server]);

    let graph = format!(
        r#"
version = 1
[stage.app]
context = "app"
image = "{app}"
args = {{ SERVER = "{address}:8443" }}

# A stand-in: this test asks no registry.
[base."python:3.12-slim-bookworm"]
image = "{base}"

[profile.corporate.base."python:3.12-slim-bookworm"]
stage = "ca"
[profile.corporate.stage.ca]
context = "overlays/base-ca"
args = {{ BASE = "python:3.12-slim-bookworm" }}
"#
    );
    let dockerfile = "FROM python:3.12-slim-bookworm\nARG SERVER\n\
        RUN pip install --break-system-packages --index-url https://$SERVER/simple greeting\n\
        RUN python3 -c 'import greeting; assert greeting.WORD == \"hello\"'\n\
        RUN echo \"deb [trusted=yes] https://$SERVER/apt ./\" > /etc/apt/sources.list \\\n\
         && apt-get update && apt-get install -y greeting-tool && greeting-tool\n";
    let project = project(&host)
        .file("build-graph.toml", graph)
        .file("app/Dockerfile", dockerfile);
    let overlay = project.path("overlays/base-ca");
    let project = project.copy_into(&workspace().join("overlays/base-ca"), &overlay);

    // No certificate is given yet, so the step fails because it trusts no authority.
    let authority = project.path("overlays/base-ca/certs/test.crt");
    copy_when_there(&host, &server, &authority);
    project
        .run(&["build"])
        .ends(1)
        .says("CERTIFICATE_VERIFY_FAILED");

    let corporate = ["--profile", "corporate"];
    project.run(&["build", "--profile", "corporate"]).ends(0);
    let before = builds(&project);
    project.run(&["build", "--profile", "corporate"]).ends(0);
    assert_eq!(builds(&project), before, "the second run builds nothing");
    id(&host, &format!("{app}:latest"));

    let explained = project
        .run(&["explain", "app", corporate[0], corporate[1]])
        .ends(0);
    let told = "its python:3.12-slim-bookworm is stage `ca`";
    assert!(explained.stdout.contains(told), "{}", explained.stdout);
    let drawn = project.run(&["graph", corporate[0], corporate[1]]).ends(0);
    assert!(drawn.stdout.contains(told), "{}", drawn.stdout);

    // Another certificate makes another base.
    let file = project.path("overlays/base-ca/certs/other.crt");
    std::fs::copy(&authority, file).unwrap();
    let plan = project.run(&["plan", corporate[0], corporate[1]]).ends(0);
    assert!(plan.stdout.contains("certs/other.crt"), "{}", plan.stdout);
}

/// Copies the authority's certificate out of the server once it answers: it makes the certificate
/// then.
fn copy_when_there(host: &str, server: &str, to: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let program = std::env::var("XTASK_TEST_DOCKER").unwrap_or_else(|_| "docker".into());
    loop {
        let from = format!("{server}:/ca.crt");
        let mut command = Command::new(&program);
        command.args(["cp", &from]).arg(to).env("DOCKER_HOST", host);
        if command.output().unwrap().status.success() {
            return;
        }
        let logs = || docker(host, &["logs", server]);
        assert!(
            Instant::now() < deadline,
            "the server made no certificate: {}",
            logs()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_base_is_replaced_in_a_source_that_this_very_build_fetches() {
    let host = host();
    let image = unique("app");
    let remote = Remote::new();
    remote.write(
        "api/Dockerfile",
        "FROM upstream.example/base:1\nCOPY src /src\n",
    );
    remote.commit();
    remote.git(&["tag", "2.0"]);
    remote.push();
    let graph = format!(
        "version = 1\n[source.s]\ngit = \"{}\"\nrev = \"2.0\"\n\
         [stage.app]\nsource = \"s\"\ncontext = \"api\"\nimage = \"{image}\"\n\
         [stage.own]\ncontext = \"own\"\n[stage.unused]\ncontext = \"unused\"\n\
         [base.\"upstream.example/base:1\"]\nstage = \"own\"\n\
         [base.\"upstream.example/other:1\"]\nstage = \"unused\"\n",
        remote.url()
    );
    let project = project(&host)
        .file("build-graph.toml", graph)
        .file("own/Dockerfile", "FROM scratch\nCOPY own /\n")
        .file("own/own", unique("own"))
        .file("unused/Dockerfile", "FROM scratch\nCOPY none /\n");
    let ran = project.build(&["app"]).ends(0);
    assert_eq!(ran.those("built"), ["app", "own"]);
    assert_eq!(project.verdicts_of(&["app"])["app"], "fresh");
    // The files of the base override are in the image that is built on it.
    let container = docker(&host, &["create", &image, "-"]);
    let own = project.path("copied");
    let from = format!("{container}:/own");
    docker(&host, &["cp", &from, own.to_str().unwrap()]);
    docker(&host, &["rm", &container]);
    let read = |path| std::fs::read(path).unwrap();
    assert_eq!(read(own), read(project.path("own/own")));
}

/// For the graph's own platform the Dockerfile names another image.
#[test]
fn a_base_is_replaced_that_is_named_for_the_platforms_of_this_run_alone() {
    let host = host();
    let image = unique("app");
    let graph = format!(
        "version = 1\n[defaults]\nplatforms = [\"linux/amd64\"]\n\
         [stage.app]\ncontext = \"app\"\nimage = \"{image}\"\n\
         [stage.own]\ncontext = \"own\"\n\
         [base.\"127.0.0.1:1/base-arm64:1\"]\nstage = \"own\"\n"
    );
    let project = project(&host)
        .file("build-graph.toml", graph)
        .file(
            "app/Dockerfile",
            "FROM 127.0.0.1:1/base-${TARGETARCH}:1\nCOPY app /app\n",
        )
        .file("app/app", "")
        .file("own/Dockerfile", "FROM scratch\nCOPY own /own\n")
        .file("own/own", "in its place");
    let ran = project.build(&["--platform", "linux/arm64", "app"]).ends(0);
    assert_eq!(ran.those("built"), ["app", "own"]);
    assert_eq!(content(&host, &image, "/own"), "in its place");
}
