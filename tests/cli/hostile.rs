//! Hostile graphs, locks and sources.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::Project;
use crate::support::remote::Remote;
use crate::world::World;

#[test]
fn a_url_or_revision_that_is_an_option_or_runs_a_command_is_refused() {
    let world = World::new();
    let ran = world.project.path("ran");
    let touch = format!("ext::sh -c touch% {}", ran.display());
    let upload = format!("--upload-pack=touch {}", ran.display());
    let url = world.remote.url();
    for (url, rev, lines) in [
        (touch.as_str(), "1.0", ""),
        (&upload, "1.0", ""),
        ("ssh://-oProxyCommand=x/y", "1.0", ""),
        ("https://user:hunter2@example.com/y", "1.0", ""),
        ("a\\u001b[2Jb", "1.0", ""),
        (&url, &upload, ""),
        (&url, "1.0^{}", ""),
        (&url, "+1.0:refs/heads/main", ""),
        (&url, "1.0", &format!("mirrors = [\"{touch}\"]")),
        (&url, "1.0", "layout = [\"../elsewhere\"]"),
    ] {
        world.graph(url, rev, lines);
        let refused = world.sync().ends(2);
        assert!(
            refused.stderr.contains("1 mistake in"),
            "{}",
            refused.stderr
        );
        assert!(!refused.stderr.contains('\u{1b}'));
        assert!(!ran.exists(), "{url} {rev} {lines}");
    }
}

#[test]
fn a_rewritten_url_runs_no_command_either() {
    for transport in ["ext", "own"] {
        let world = World::new();
        let ran = world.project.path("ran");
        let settings = format!(
            "[protocol]\nallow = always\n[protocol \"ext\"]\nallow = always\n\
             [url \"{transport}::touch {} \"]\ninsteadOf = {}\n",
            ran.display(),
            world.remote.url()
        );
        let script = format!("#!/bin/sh\ntouch {}\n", ran.display());
        let bin = world.project.path("bin").display().to_string();
        let path = format!("{bin}:{}", std::env::var("PATH").unwrap());
        let project = world.project.file("gitconfig", settings);
        let project = project.script("bin/git-remote-own", &script);
        let told = format!("transport '{transport}' not allowed");
        project
            .variable("PATH", &path)
            .run(&["sync"])
            .ends(3)
            .says(&told);
        assert!(!ran.exists(), "{transport}");
    }
}

#[test]
fn a_lock_whose_commit_is_an_option_is_refused() {
    let world = World::new();
    let lock = format!(
        "version = 1\n[source.s]\ngit = \"{}\"\nrev = \"1.0\"\ncommit = \"--upload-pack=x\"\n",
        world.remote.url()
    );
    world.project.write("build-graph.lock", lock);
    world.sync().ends(2).says("is not a commit");
}

/// Lines of a stage, and the change to a source that makes them leave it by a link.
type Case = (&'static str, fn(&Remote));

#[test]
fn a_fetched_source_whose_links_lead_out_of_it_is_refused_where_they_are_used() {
    let cases: [Case; 6] = [
        ("context = \"out\"", |r| r.link("/etc", "out")),
        ("context = \"up/etc\"", |r| {
            r.link("../../../../../../../../../../..", "up")
        }),
        ("context = \"api\"\ndockerfile = \"file\"", |r| {
            r.link("/etc/passwd", "file")
        }),
        ("context = \"api\"", |r| {
            r.link("../../one/up", "api/.dockerignore")
        }),
        (
            "context = \"api\"\ncontexts = { x = { source = \"s\", path = \"out\" } }",
            |r| {
                r.write("api/Dockerfile", "FROM scratch\nCOPY --from=x . /\n");
                r.link("/etc", "out");
            },
        ),
        (
            "context = \"api\"\nprepare = { dir = \"out\", run = [\"x\"], outputs = [\"y\"] }",
            |r| r.link("/etc", "out"),
        ),
    ];
    for (stage, make) in cases {
        let remote = Remote::new();
        make(&remote);
        remote.commit();
        remote.git(&["tag", "2.0"]);
        remote.push();
        let world = World::of(remote, "2.0", "");
        let text = fs::read_to_string(world.project.path("build-graph.toml")).unwrap();
        let text = text.replace("context = \"api\"", stage);
        world.project.write("build-graph.toml", text);
        world.sync().ends(0);
        let ran = world.project.run(&["inputs", "a"]).ends(2);
        let told = ["leads out of its root", "does not exist"];
        assert!(
            told.iter().any(|told| ran.stderr.contains(told)),
            "{stage}: {}",
            ran.stderr
        );
    }
}

#[test]
fn an_ignore_file_that_buildkit_would_not_see_is_refused() {
    let elsewhere = Project::new().file("ignore", "src/one\n");
    for target in [elsewhere.path("ignore"), "../elsewhere".into()] {
        let project = Project::new()
            .file(
                "build-graph.toml",
                "version = 1\n[stage.a]\ncontext = \"a\"\n",
            )
            .file("elsewhere", "src/one\n")
            .file("a/Dockerfile", "FROM scratch\nCOPY src /src\n")
            .file("a/src/one", "1");
        for name in [".dockerignore", "Dockerfile.dockerignore"] {
            let link = project.path("a").join(name);
            symlink(&target, &link).unwrap();
            project.run(&["inputs", "a"]).ends(2).says("ignore file");
            fs::remove_file(&link).unwrap();
        }
        symlink("ignored", project.path("a/.dockerignore")).unwrap();
        project.write("a/ignored", "src/one\n");
        assert_eq!(project.run(&["inputs", "a"]).ends(0).stdout, "src/\n");
    }
}

#[test]
fn a_link_in_what_is_copied_is_never_followed_out_of_the_context() {
    let remote = Remote::new();
    remote.link("/etc", "api/src/etc");
    remote.link("../../../../../../../etc/passwd", "api/src/passwd");
    remote.commit();
    remote.git(&["tag", "2.0"]);
    remote.push();
    let world = World::of(remote, "2.0", "");
    world.sync().ends(0);
    let inputs = world.project.run(&["inputs", "a"]).ends(0).stdout;
    assert_eq!(
        inputs,
        "src/\nsrc/etc -> /etc\nsrc/one\nsrc/passwd -> ../../../../../../../etc/passwd\n"
    );
}

#[test]
fn no_path_of_a_stage_leaves_its_root_by_dots() {
    for line in [
        "context = \"../x\"",
        "context = \"a/../../x\"",
        "context = \"a\"\ndockerfile = \"../Dockerfile\"",
        "context = \"a\"\noverlays = [\"overlays/../../x\"]",
        "context = \"a\"\ncontexts = { x = { path = \"..\" } }",
        "context = \"a\"\nprepare = { dir = \"..\", run = [\"x\"], outputs = [\"y\"] }",
        "context = \"a\"\nprepare = { run = [\"x\"], inputs = [\"../x\"], outputs = [\"y\"] }",
        "context = \"a\"\nprepare = { run = [\"x\"], source-inputs = [\"../x\"], outputs = [\"y\"] }",
        "context = \"a\"\nprepare = { run = [\"x\"], outputs = [\"../y\"] }",
    ] {
        let project = Project::new().file(
            "build-graph.toml",
            format!("version = 1\n[stage.a]\n{line}\n"),
        );
        project
            .run(&["graph"])
            .ends(2)
            .says("leaves its root by `..`");
    }
}

#[test]
fn an_overlay_that_leads_out_of_the_graphs_folder_by_a_link_is_refused() {
    let project = Project::new()
        .file(
            "build-graph.toml",
            "version = 1\n[stage.a]\ncontext = \"a\"\noverlays = [\"o\"]\n",
        )
        .file("a/Dockerfile", "FROM scratch\nCOPY src /src\n")
        .file("a/src/one", "1");
    symlink("/etc", project.path("o")).unwrap();
    project
        .run(&["inputs", "a"])
        .ends(2)
        .says("leads out of its root");
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for() {
    for place in [
        "build-graph.toml",
        "build-graph.lock",
        "a/Dockerfile",
        "a/.dockerignore",
        "a/Dockerfile.dockerignore",
    ] {
        let project = crate::one();
        let pipe = project.path(place);
        let _ = fs::remove_file(&pipe);
        make_pipe(&pipe);
        let (status, said) = ends_within_a_minute(&project, "inputs");
        assert_eq!(status, Some(2), "{place}: {said}");
        assert!(said.contains("it is not a file"), "{place}: {said}");
    }
}

#[test]
fn a_pipe_among_dockers_contexts_is_not_waited_for() {
    let meta = r#"{"Name":"x","Endpoints":{"docker":{"Host":"unix:///none/such.sock"}}}"#;
    let project = crate::one()
        .variable("DOCKER_HOST", "")
        .file("docker-config/config.json", r#"{"currentContext":"x"}"#)
        .file("docker-config/contexts/meta/x/meta.json", meta);
    // A folder is listed in no order, so some of many come before the one that is sought.
    for folder in 0..20 {
        let folder = project.path(&format!("docker-config/contexts/meta/{folder}"));
        fs::create_dir(&folder).unwrap();
        make_pipe(&folder.join("meta.json"));
    }
    let (status, said) = ends_within_a_minute(&project, "explain");
    assert_eq!(status, Some(3), "{said}");
    assert!(said.contains("/none/such.sock"), "{said}");
}

fn make_pipe(path: &std::path::Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).unwrap();
}

/// The exit status and the output of a command on stage `a`.
fn ends_within_a_minute(project: &Project, question: &str) -> (Option<i32>, String) {
    let model = project.command(&[question, "a"]);
    let mut limited = std::process::Command::new("timeout");
    limited
        .arg("60")
        .arg(model.get_program())
        .args(model.get_args());
    for (name, value) in model.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    let output = limited.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

#[test]
fn a_default_platform_obeys_the_rule_that_the_graph_obeys() {
    let graph = "version = 1\n[stage.p]\ncontext = \"a\"\nplatforms = [\"linux/amd64\"]\n\
        [stage.c]\ncontext = \"a\"\nfrom = \"p\"\n";
    let project = crate::one()
        .file("build-graph.toml", graph)
        .variable("DOCKER_DEFAULT_PLATFORM", "linux/arm64");
    let refused = project.run(&["plan"]).ends(2);
    let told =
        "with DOCKER_DEFAULT_PLATFORM, `c` is built for linux/arm64, and `p`, which it stands on";
    assert!(refused.stderr.contains(told), "{}", refused.stderr);
}
