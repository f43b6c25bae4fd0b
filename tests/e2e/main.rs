//! Runs the program on real engines, with both image stores.
//!
//! `cargo xtask test` starts the engines and names them in the environment.

#[path = "../support/mod.rs"]
mod support;

mod bases;
mod builders;
mod demo;
mod dify;
mod export;
mod healing;
mod init;
mod kill;
mod layers;
mod locked;
mod mounts;
mod names;
mod oracle;
mod own_state;
mod page;
mod peers;
mod platforms;
mod proxy;
mod prune;
mod publish;
mod rehearse;
mod sample;
mod sample_stack;
mod scheduling;
mod screen;
mod sent;
mod sharing;
mod since;
mod sizes;
mod stack;
mod stages;
mod superseded;
mod trouble;
mod twelve;
mod verify;
mod workflow;

use std::process::Command;

use camino::Utf8Path;
use support::Project;
use xtask::outside::interrupt::Interrupt;
use xtask::outside::state::State;
use xtask::workshop::testbed::{ImageStore, TestEngine};

/// An engine of a test's own, with its data in a folder of its own.
struct OwnEngine {
    engine: TestEngine,
    _folder: tempfile::TempDir,
}

impl OwnEngine {
    fn start(store: ImageStore, more: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap();
        let engine = TestEngine::start_with(path, store, more, &Interrupt::default()).unwrap();
        Self {
            engine,
            _folder: folder,
        }
    }
}

/// The engines to test on: one with the containerd store, and, if there is one, one with the
/// classic store.
fn hosts() -> Vec<String> {
    let hosts: Vec<String> = ["XTASK_TEST_CONTAINERD", "XTASK_TEST_CLASSIC"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .collect();
    assert!(
        !hosts.is_empty(),
        "run these by `cargo xtask test`, which starts engines for them"
    );
    hosts
}

fn host() -> String {
    hosts().remove(0)
}

/// The registry's address. With a user's own engine there is no registry.
fn registry() -> Option<String> {
    hosts();
    std::env::var("XTASK_TEST_REGISTRY").ok()
}

/// A name for images that no other test uses.
fn unique(name: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "xt-{}-{}/{name}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// A project's state, which is the only one below its folder.
fn state_of(project: &Project) -> State {
    let mut graphs = std::fs::read_dir(project.path("state")).unwrap();
    let folder = graphs.next().unwrap().unwrap().path();
    State::in_folder(camino::Utf8PathBuf::from_path_buf(folder).unwrap())
}

/// The prefix of the private references of a project's state.
fn privates_of(project: &Project) -> String {
    xtask::outside::private::of_state(&state_of(project).id().unwrap())
}

/// Builds a folder by buildx alone, and leaves the image in the engine under a name.
fn load_built(host: &str, folder: &std::path::Path, name: &str) {
    let words = ["buildx", "build", "--quiet", "--load", "--provenance=false"];
    let more = ["--tag", name, folder.to_str().unwrap()];
    docker(host, &[&words[..], &more].concat());
}

fn docker(host: &str, arguments: &[&str]) -> String {
    docker_says(host, arguments).unwrap_or_else(|why| panic!("docker {arguments:?}: {why}"))
}

/// The output of the docker command, or its error message.
fn docker_says(host: &str, arguments: &[&str]) -> Result<String, String> {
    let program = std::env::var("XTASK_TEST_DOCKER").unwrap_or_else(|_| "docker".into());
    let mut command = Command::new(program);
    command.args(arguments).env("DOCKER_HOST", host);
    let output = support::process::ended(&mut command)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

fn id(host: &str, reference: &str) -> String {
    docker(
        host,
        &["image", "inspect", "--format", "{{.Id}}", reference],
    )
}

/// The output of a container that ends well, read from its log. On a busy machine, `docker run` may
/// lose the output of a container that ends at once.
fn printed(host: &str, arguments: &[&str]) -> String {
    let container = docker(host, &[&["create"], arguments].concat());
    docker(host, &["start", &container]);
    assert_eq!(docker(host, &["wait", &container]), "0", "{arguments:?}");
    let printed = docker(host, &["logs", &container]);
    docker(host, &["rm", &container]);
    printed
}

/// The content of a file of an image.
fn content(host: &str, image: &str, path: &str) -> String {
    std::fs::read_to_string(copied(host, image, path).path().join("it")).unwrap()
}

/// Copies the entry at a path of an image to `it` in a folder.
fn copied(host: &str, image: &str, path: &str) -> tempfile::TempDir {
    let container = docker(host, &["create", image, "/none"]);
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (format!("{container}:{path}"), folder.path().join("it"));
    docker(host, &["cp", &from, to.to_str().unwrap()]);
    docker(host, &["rm", &container]);
    folder
}

/// A project whose docker command writes down every call before it makes it. The script
/// `bin/before` of a test runs once, right before the next build.
fn project(host: &str) -> Project {
    let real = std::env::var("XTASK_TEST_DOCKER").unwrap_or_else(|_| "docker".into());
    let project = Project::new();
    let calls = project.path("calls");
    let bin = project.path("bin");
    let script = format!(
        "#!/bin/sh\necho \"$*\" >> {}\ncd {}\ncase \"$*\" in\n\"buildx build\"*)\n\
         if [ -e before ]; then mv before done; sh ./done; fi;;\nesac\ncd \"$OLDPWD\"\nexec {real} \"$@\"\n",
        calls.display(),
        bin.display()
    );
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    project
        .script("bin/docker", &script)
        .file("calls", "")
        .variable("DOCKER_HOST", host)
        .variable("PATH", &path)
}

/// How many buildx processes were started so far.
fn builds(project: &Project) -> usize {
    std::fs::read_to_string(project.path("calls"))
        .unwrap()
        .lines()
        .filter(|line| line.contains("buildx build"))
        .count()
}

/// The files of a project's state and calls that contain a pattern.
fn written(project: &Project, pattern: &str) -> String {
    let found = Command::new("grep")
        .args(["-rl", pattern])
        .arg(project.path("state"))
        .arg(project.path("calls"))
        .output()
        .unwrap();
    String::from_utf8_lossy(&found.stdout).into_owned()
}

/// Reads events until one says that the step runs.
fn until_step(out: &mut impl std::io::BufRead, step: &str) {
    let mut line = String::new();
    while out.read_line(&mut line).unwrap() > 0 {
        if line.contains("\"event\":\"step\"") && line.contains(step) {
            return;
        }
        line.clear();
    }
    panic!("the step {step} never began");
}

/// Adds a base with a shell, from the host's static busybox.
fn with_base(project: Project) -> Project {
    std::fs::create_dir_all(project.path("base")).unwrap();
    std::fs::copy("/bin/busybox", project.path("base/busybox")).unwrap();
    project.file(
        "base/Dockerfile",
        "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n",
    )
}
