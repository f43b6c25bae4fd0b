//! Runs the README's commands for the real Dify on this repository's own graph and overlays.
//!
//! Local repositories in the shape of Dify's, and local bases, replace what comes from the network.

use std::path::Path;

use super::support::remote::Remote;
use super::{Project, builds, content, docker, host, printed, project, unique, with_base};

fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The commands of the README's chapter, each without `cargo xtask`.
fn commands() -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    let chapter = text.split("\n## The real Dify\n").nth(1).unwrap();
    // The graph of another release has a section of its own below.
    let chapter = chapter.split("\n##").next().unwrap();
    let lines = chapter
        .lines()
        .filter_map(|line| line.strip_prefix("    cargo xtask "));
    let words = lines.map(|line| line.split(' ').map(str::to_owned).collect());
    words.collect()
}

/// A repository with the files that Dify's graph names, at the tag that the graph names.
fn dify() -> Remote {
    let dify = Remote::new();
    dify.write(
        "api/Dockerfile",
        "FROM python:3.12-slim-bookworm AS base\nWORKDIR /app/api\n\
         FROM base AS packages\nCOPY poetry.lock ./\nRUN cp poetry.lock installed\n\
         FROM base AS production\nCOPY --from=packages /app/api/installed ./\nCOPY . .\n\
         COPY docker/entrypoint.sh /entrypoint.sh\nRUN mkdir /root/nltk_data && echo x > /root/nltk_data/punkt\n\
         ARG COMMIT_SHA\nENV COMMIT_SHA=${COMMIT_SHA}\n",
    );
    dify.write(
        "api/poetry.lock",
        "[[package]]\nname = \"litellm\"\nversion = \"1.51.3\"\nfiles = [\n    {file = \"old\"},\n]\n",
    );
    dify.write("api/docker/entrypoint.sh", "#!/bin/bash\nexec sleep 60\n");
    dify.write("api/app.py", "");
    dify.write("api/tests/test_app.py", "");
    dify.write(
        "web/entrypoint.sh",
        "export A=b\npm2 start ./pm2.json --no-daemon\n",
    );
    dify.write("web/pm2.json", "{}");
    dify.write(
        "web/Dockerfile",
        "FROM node:20-alpine3.20 AS base\nWORKDIR /app/web\nCOPY . .\nARG COMMIT_SHA\n\
         ENV COMMIT_SHA=${COMMIT_SHA}\n",
    );
    dify.write("docker/docker-compose.yaml", "services: {}\n");
    dify.commit();
    dify.git(&["tag", "0.15.3"]);
    dify.push();
    dify
}

/// This repository's graph and overlays. Only addresses, bases and image names are changed: on a
/// user's engine, the real image names belong to the user.
fn graph(host: &str, dify: &Remote, sandbox: &Remote, prefix: &str) -> Project {
    let graph = std::fs::read_to_string(workspace().join("build-graph.toml")).unwrap();
    let mut graph = graph
        .replace("https://github.com/langgenius/dify.git", &dify.url())
        .replace(
            "https://github.com/langgenius/dify-sandbox.git",
            &sandbox.url(),
        )
        .replace("\nimage = \"", &format!("\nimage = \"{prefix}/"));
    graph.push_str("\n[stage.stand-in]\ncontext = \"base\"\n");
    for base in [
        "python:3.12-slim-bookworm",
        "node:20-alpine3.20",
        "ubuntu/squid:latest",
    ] {
        graph.push_str(&format!("[base.\"{base}\"]\nstage = \"stand-in\"\n"));
    }
    let nothing = "#!/bin/sh\nexit 0\n";
    let project = with_base(project(host))
        .script("base/python", nothing)
        .script("base/apt-get", nothing);
    let with_shell = std::fs::read_to_string(project.path("base/Dockerfile")).unwrap();
    project.write(
        "base/Dockerfile",
        format!(
            "{with_shell}COPY python apt-get /bin/\nCOPY busybox /bin/bash\n\
             RUN mkdir -p -m 700 /root && mkdir -p /etc /usr && mkdir -p -m 1777 /tmp && touch /etc/passwd\n"
        ),
    );
    let overlays = project.path("overlays");
    let project = project
        .copy_into(&workspace().join("overlays"), &overlays)
        .file("build-graph.toml", graph);
    for overlay in ["api-custom", "web-custom", "api-slim", "web-slim"] {
        let path = format!("overlays/{overlay}/Dockerfile");
        let text = std::fs::read_to_string(project.path(&path)).unwrap();
        let from = format!("FROM {prefix}/langgenius/");
        project.write(&path, text.replace("FROM langgenius/", &from));
    }
    project
}

#[test]
fn the_readmes_commands_build_dify_from_nothing_and_find_it_fresh() {
    let host = host();
    let (dify, sandbox) = (dify(), Remote::new());
    sandbox.git(&["tag", "0.2.10"]);
    sandbox.push();
    let prefix = unique("dify");
    let project = graph(&host, &dify, &sandbox, &prefix);

    let commands = commands();
    let verbs: Vec<&str> = commands.iter().map(|words| words[0].as_str()).collect();
    assert_eq!(verbs, ["setup", "sync", "plan", "build"]);
    // `setup` is left out, as it could install software. It has tests of its own.
    for words in &commands[1..] {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        project.run(&words).ends(0);
    }

    let wanted = ["api-custom", "web-custom", "ssrf-proxy"];
    for (stage, verdict) in project.verdicts_of(&wanted) {
        assert_eq!(verdict, "fresh", "{stage}");
    }
    let before = builds(&project);
    let again: Vec<&str> = commands[3].iter().map(String::as_str).collect();
    project.run(&again).ends(0);
    assert_eq!(builds(&project), before, "a second run starts no buildx");

    // The overlay is built on the image whose own overlay corrected upstream's lock. The images are
    // not run: the output of a container that ends at once may be lost on a busy machine.
    let image = |name: &str| format!("{prefix}/{name}:0.15.3");
    let sets = |name: &str, variable: &str| {
        let format = "--format={{json .Config.Env}}";
        let set = docker(&host, &["image", "inspect", format, &image(name)]);
        let set: Vec<String> = serde_json::from_str(&set).unwrap();
        assert!(set.iter().any(|it| it == variable), "{variable}: {set:?}");
    };
    let installed = content(&host, &image("dify-api-custom"), "/app/api/installed");
    assert!(installed.contains("version = \"1.53.1\""), "{installed}");
    let commit = dify.git(&["rev-parse", "0.15.3"]);
    sets("langgenius/dify-api", &format!("COMMIT_SHA={commit}"));
    sets("dify-web-custom", "NEXT_PUBLIC_DEFAULT_LOCALE=zh-Hans");
}

#[test]
fn the_slim_images_keep_the_policy_without_an_exception_and_write_what_they_must_as_any_user() {
    let host = host();
    let (dify, sandbox) = (dify(), Remote::new());
    sandbox.git(&["tag", "0.2.10"]);
    sandbox.push();
    let prefix = unique("slim");
    let project = graph(&host, &dify, &sandbox, &prefix);
    project.build(&["api-slim", "web-slim"]).ends(0);

    let verified = project
        .run(&["verify", "--policy-only", "api", "api-slim", "web-slim"])
        .ends(0);
    let lines = verified.stdout.lines();
    let of_root: Vec<&str> = lines.filter(|line| line.contains("  root ")).collect();
    assert_eq!(of_root.len(), 1, "{}", verified.stdout);
    assert!(of_root[0].starts_with("warn") && of_root[0].contains(" api "));

    let show = |user: &str, image: &str, script: &str| {
        let image = format!("{prefix}/dify-{image}:0.15.3");
        let mut arguments = vec!["--network=none", "--entrypoint=sh"];
        if !user.is_empty() {
            arguments.extend(["--user", user]);
        }
        arguments.extend([&image, "-c", script]);
        printed(&host, &arguments)
    };
    for user in ["", "123456:0"] {
        let id = show(user, "api-slim", "id -u; id -g");
        let uid = if user.is_empty() { "1001" } else { "123456" };
        assert_eq!(id, format!("{uid}\n0"));
        let writes = "mkdir -p storage/privkeys/x && touch storage/privkeys/x/y /app/logs/z $HOME/h schedule && cat /usr/local/share/nltk_data/punkt";
        assert_eq!(show(user, "api-slim", writes), "x", "{user}");
        let other = "rm -f app.py 2>/dev/null; touch docker/x 2>/dev/null; ls app.py docker";
        assert_eq!(
            show(user, "api-slim", other),
            "app.py\n\ndocker:\nentrypoint.sh"
        );
        let web = "touch .next/cache/x; touch y 2>/dev/null; ls; tail -n 1 entrypoint.sh";
        let seen = show(user, "web-slim", web);
        assert!(seen.ends_with("exec node server.js"), "{seen}");
        assert!(
            !seen.contains("pm2.json") && !seen.contains("y\n"),
            "{seen}"
        );
    }
    assert_eq!(
        show("", "api-slim", "ls -d tests 2>/dev/null || echo none"),
        "none"
    );
}
