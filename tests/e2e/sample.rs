//! The sample monorepo: never built, built, fresh and changed.

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Project, builds, docker, hosts, id, project};

fn sample(host: &str) -> Project {
    let from = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/sample");
    project(host).copy_of(Path::new(from))
}

/// The sample's images have the fixed names of its graph, so its tests run one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn the_sample_is_built_then_fresh_then_rebuilt_only_where_it_changed() {
    let _turn = alone();
    for host in hosts() {
        let project = sample(&host);
        let first = project.build(&[]).ends(0);
        assert!(first.those("failed").is_empty());

        let before = builds(&project);
        let second = project.build(&[]).ends(0);
        assert_eq!(second.those("fresh").len(), 7, "{}", second.stderr);
        assert_eq!(builds(&project), before, "a fresh run starts no buildx");

        project.write("api/src/index.html", "changed\n");
        let third = project.build(&[]).ends(0);
        assert_eq!(third.those("built"), ["api", "api-custom"]);
        assert_eq!(
            third.those("fresh"),
            ["base", "sandbox", "ssrf-proxy", "web", "web-custom"]
        );

        let custom = id(&host, "sample/api-custom:1.0.0");
        // The same lines in another order are another input, but give the same image.
        project.write(
            "overlays/api-pins/packages.lock",
            "litellm 1.0.1\nflask 3.0.3\n",
        );
        let fourth = project.build(&[]).ends(0);
        assert_eq!(fourth.those("built"), ["api"]);
        assert_eq!(id(&host, "sample/api-custom:1.0.0"), custom);
    }
}

#[test]
fn a_context_overlay_replaces_a_file_and_upstreams_tree_stays() {
    let _turn = alone();
    let host = super::host();
    let project = sample(&host);
    let before = std::fs::read(project.path("api/packages.lock")).unwrap();
    project.build(&["api"]).ends(0);
    let installed = docker(
        &host,
        &[
            "run",
            "--rm",
            "--entrypoint",
            "cat",
            "sample/api:1.0.0",
            "/app/api/.venv/installed",
        ],
    );
    assert!(installed.contains("litellm 1.0.1"), "{installed}");
    assert_eq!(
        std::fs::read(project.path("api/packages.lock")).unwrap(),
        before
    );
    let explained = project.run(&["explain", "api"]).ends(0);
    assert!(
        explained.stdout.contains("overlays/api-pins"),
        "{}",
        explained.stdout
    );
}

#[test]
fn one_image_serves_api_and_worker() {
    let _turn = alone();
    let host = super::host();
    let project = sample(&host);
    project.build(&["api"]).ends(0);
    let name = format!("xt-worker-{}", std::process::id());
    docker(
        &host,
        &[
            "run",
            "--detach",
            "--name",
            &name,
            "--env",
            "MODE=worker",
            "sample/api:1.0.0",
        ],
    );
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !docker(&host, &["logs", &name]).contains("worker is ready") {
        assert!(
            std::time::Instant::now() < until,
            "the worker is never ready"
        );
        std::thread::yield_now();
    }
    docker(&host, &["rm", "--force", &name]);
}

/// QEMU is registered for the whole machine, so this is only for engines of the suite's own.
#[test]
fn the_sample_is_built_for_two_platforms_as_one_index_each() {
    if super::registry().is_none() {
        return;
    }
    let _turn = alone();
    let host = super::host();
    let project = sample(&host);
    let profile = ["--profile", "platforms"];
    let with = |words: &[&'static str]| [words, &profile].concat();
    project.run(&with(&["setup", "--yes"])).ends(0);
    let wanted = ["api", "api-custom", "base"];
    let built = project.build(&with(&["api-custom"])).ends(0);
    assert_eq!(built.those("built"), wanted);
    for (platform, machine) in [("linux/arm64", "aarch64"), ("linux/amd64", "x86_64")] {
        let program = [
            "--entrypoint",
            "/bin/uname",
            "sample/api-custom:1.0.0",
            "-m",
        ];
        let words = [&["--network", "none", "--platform", platform], &program[..]].concat();
        assert_eq!(super::printed(&host, &words), machine);
    }
    let before = builds(&project);
    let fresh = project.build(&with(&["api-custom"])).ends(0);
    assert_eq!(fresh.those("fresh"), wanted);
    assert_eq!(builds(&project), before);
    let told = project.run(&with(&["verify", "--policy-only", "api-custom"]));
    told.ends(0).says("reading 3 images");
}

/// The docker command runs the container's commands on this machine, as containers may have no
/// network.
#[test]
fn without_apt_a_container_of_debian_makes_the_base() {
    let host = super::host();
    let project = sample(&host);
    // Every program but apt's and dpkg's.
    let bin = project.path("no-apt");
    std::fs::create_dir(&bin).unwrap();
    for folder in ["/usr/bin", "/bin"] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if !name.starts_with("apt") && !name.starts_with("dpkg") && name != "docker" {
                let _ = std::os::unix::fs::symlink(entry.path(), bin.join(name));
            }
        }
    }
    let whole = std::env::var("PATH").unwrap();
    let calls = project.path("calls").display().to_string();
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = run ]; then\n echo \"$*\" >> {calls}\n shift 4\n PATH={whole} exec \"$@\"\nfi\n\
         exec {} \"$@\"\n",
        project.path("bin/docker").display()
    );
    let path = format!("{}:{}", project.path("near").display(), bin.display());
    let project = project
        .script("near/docker", &script)
        .variable("PATH", &path);
    project.build(&["base"]).ends(0);
    let calls = std::fs::read_to_string(calls).unwrap();
    let wanted = "run --rm --interactive debian:bookworm-slim sh -s -- --stdout";
    assert!(calls.contains(wanted), "{calls}");
    let archive = project.path("bases/rootfs.tar");
    let list = Command::new("tar")
        .arg("-tf")
        .arg(archive)
        .output()
        .unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.contains("./bin/busybox\n"), "{list}");
}

#[test]
fn explain_names_the_file_that_changed() {
    let _turn = alone();
    let host = super::host();
    let project = sample(&host);
    project.build(&["api-custom"]).ends(0);
    project.write("api/src/health", "fine\n");
    let explained = project.run(&["explain", "api-custom"]).ends(0).stdout;
    assert!(
        explained.contains("api is stale: src/health changed"),
        "{explained}"
    );
    assert!(
        explained.contains("api-custom is unknown: `api` must be built first"),
        "{explained}"
    );
    // The image was built before, so it is only stale, not missing.
    assert!(
        explained.contains("  upstream api is stale, and is built first\n"),
        "{explained}"
    );
    assert!(!explained.contains("not built yet"), "{explained}");
}
