//! The fields of a stage in the graph file, and their effect on the image.

use std::os::unix::net::UnixListener;
use std::process::Command;

use super::{Project, builds, content, docker, host, printed, project, unique, with_base};

/// The content of a file of the image.
fn file(host: &str, image: &str, path: &str) -> String {
    printed(host, &["--entrypoint=cat", image, path])
}

fn label(host: &str, image: &str, name: &str) -> String {
    let format = format!("{{{{index .Config.Labels \"{name}\"}}}}");
    docker(host, &["image", "inspect", "--format", &format, image])
}

/// Makes a folder a git checkout with one commit. Returns the commit.
fn commit(project: &Project, folder: &str) -> String {
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let mut command = Command::new("git");
        command.current_dir(project.path(folder)).args(identity);
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "all"]);
    git(&["rev-parse", "HEAD"])
}

/// BuildKit uses a named context in place of a Dockerfile stage of that name, and drops the stage's
/// instructions.
#[test]
fn a_dockerfile_stage_that_is_called_as_the_parent_is_built_all_the_same() {
    let (host, parent, image) = (host(), unique("parent"), unique("a"));
    let graph = format!(
        "version = 1\n[stage.base]\ncontext = \"base\"\nimage = \"{parent}\"\n\
         [stage.a]\ncontext = \"a\"\nfrom = \"base\"\nimage = \"{image}\"\n"
    );
    let project = with_base(project(&host))
        .file("build-graph.toml", graph)
        .file(
            "a/Dockerfile",
            format!("FROM {parent} AS base\nCOPY x /x\n"),
        )
        .file("a/x", "1");
    project.build(&[]).ends(0);
    assert_eq!(file(&host, &image, "/x"), "1");
    project.write("a/x", "2");
    assert_eq!(project.verdicts()["a"], "stale inputs_changed");
}

#[test]
fn a_stage_of_a_source_has_its_root_as_context_and_knows_its_commit() {
    let (host, image) = (host(), unique("api"));
    let graph = format!(
        r#"
version = 1
[vars]
version = "1.2.3"
[source.dify]
path = "dify"
[stage.base]
context = "base"
[stage.api]
source = "dify"
context = "."
dockerfile = "api/Dockerfile"
target = "production"
contexts = {{ base = {{ stage = "base" }} }}
image = "{image}"
tags = ["${{version}}", "also"]
args = {{ COMMIT_SHA = "${{source.commit}}", VERSION = "v${{version}}" }}
volatile = ["COMMIT_SHA"]
labels = {{ "org.example.version" = "${{version}}", "org.example.price" = "5$$" }}
"#
    );
    let dockerfile = format!(
        "FROM base AS production\nARG VERSION\nCOPY . /app\nARG COMMIT_SHA\n\
         RUN echo {} && echo \"$VERSION $COMMIT_SHA\" > /said\n\
         FROM production AS later\nRUN exit 1\n",
        unique("a")
    );
    let project = with_base(project(&host))
        .file("build-graph.toml", graph)
        .file("dify/api/Dockerfile", dockerfile)
        .file("dify/api/Dockerfile.dockerignore", "*\n!api/\n")
        .file("dify/.dockerignore", "api/app.py\n")
        .file("dify/api/app.py", "the app\n")
        .file("dify/web/page", "not for the api\n");
    let commit = commit(&project, "dify");
    project.build(&[]).ends(0);
    let reference = format!("{image}:1.2.3");
    assert_eq!(file(&host, &reference, "/said"), format!("v1.2.3 {commit}"));
    assert_eq!(file(&host, &reference, "/app/api/app.py"), "the app");
    let listed = [
        "run",
        "--rm",
        "--entrypoint",
        "ls",
        &reference,
        "-A",
        "/app",
    ];
    assert_eq!(docker(&host, &listed), "api");
    assert_eq!(label(&host, &reference, "org.example.version"), "1.2.3");
    assert_eq!(label(&host, &reference, "org.example.price"), "5$");
    assert_eq!(
        super::id(&host, &reference),
        super::id(&host, &format!("{image}:also"))
    );
    project.write("dify/web/page", "changed");
    assert_eq!(project.verdicts()["api"], "fresh");
}

#[test]
fn a_dockerfile_outside_the_context_and_contexts_of_every_kind_are_used() {
    let (host, image) = (host(), unique("web"));
    let graph = format!(
        r#"
version = 1
[stage.base]
context = "base"
[stage.tools]
context = "tools"
from = "base"
[stage.web]
context = "web"
dockerfile = "docker/web.dockerfile"
from = "base"
image = "{image}"
contexts = {{ tools = {{ stage = "tools" }}, docs = {{ path = "docs" }} }}
"#
    );
    let project = with_base(project(&host))
        .file("build-graph.toml", graph)
        .file("tools/Dockerfile", "FROM base\nRUN echo made > /tool\n")
        .file("docs/readme", "read me")
        .file("web/page", "page")
        .file(
            "docker/web.dockerfile",
            "FROM base\nCOPY --from=tools /tool /\nCOPY --from=docs readme /\nCOPY page /\n",
        );
    project.build(&[]).ends(0);
    for (path, content) in [("/tool", "made"), ("/readme", "read me"), ("/page", "page")] {
        assert_eq!(file(&host, &image, path), content);
    }
    project.write("docs/readme", "read this");
    assert_eq!(project.verdicts()["web"], "stale inputs_changed");
    project.write("docs/readme", "read me");
    assert_eq!(project.verdicts()["web"], "fresh");
    project.write("docker/web.dockerfile", "FROM base\nCOPY page /\n");
    assert_eq!(project.verdicts()["web"], "stale dockerfile_changed");
}

#[test]
fn a_secret_of_a_file_and_an_ssh_agent_reach_the_build() {
    let host = host();
    let graph = "version = 1\n[stage.base]\ncontext = \"base\"\n[stage.a]\ncontext = \"a\"\nfrom = \"base\"\n\
        secrets = [{ id = \"token\", file = 'the \"to,ken\".txt' }, { id = \"other\", env = \"NOT_SET\", optional = true }]\n\
        contexts = { more = { path = 'co,m\"ma' } }\nssh = [\"default\"]\n";
    let dockerfile = format!(
        "FROM base\nCOPY --from=more x /x\n\
         RUN --mount=type=secret,id=token --mount=type=secret,id=other --mount=type=ssh \
         echo {} && test $(wc -c < /run/secrets/token) = 18 && test ! -e /run/secrets/other && test -S \"$SSH_AUTH_SOCK\"\n",
        unique("a")
    );
    let project = with_base(project(&host));
    let agent = project.path("agent");
    let _agent = UnixListener::bind(&agent).unwrap();
    let project = project
        .variable("SSH_AUTH_SOCK", agent.to_str().unwrap())
        .file("build-graph.toml", graph)
        .file("the \"to,ken\".txt", "hunter2-is-secret\n")
        .file("co,m\"ma/x", "x")
        .file("a/Dockerfile", dockerfile);
    let built = project.build(&[]).ends(0).never_says("hunter2");
    assert_eq!(built.those("built"), ["a", "base"]);
    // Another value of the same secret makes no other image.
    project.write("the \"to,ken\".txt", "hunter3\n");
    assert_eq!(project.verdicts()["a"], "fresh");
    // Another id does.
    let graph = graph.replace("\"token\", ", "\"token2\", ");
    project.write("build-graph.toml", graph);
    assert_eq!(project.verdicts()["a"], "stale settings_changed");
}

#[test]
fn a_secret_that_comes_or_goes_is_in_the_image_though_buildkit_has_the_step_in_its_cache() {
    let (host, image) = (host(), unique("a"));
    let graph = format!(
        "version = 1\n[stage.base]\ncontext = \"base\"\n[stage.a]\ncontext = \"a\"\nfrom = \"base\"\nimage = \"{image}\"\n\
         secrets = [{{ id = \"s\", file = \"s\", optional = true }}]\n"
    );
    let dockerfile = format!(
        "FROM base\nRUN --mount=type=secret,id=s : {image}; wc -c < /run/secrets/s > /x || echo none > /x\n"
    );
    let project = with_base(project(&host))
        .file("build-graph.toml", &graph)
        .file("a/Dockerfile", dockerfile);
    let says = || content(&host, &image, "/x").trim().to_owned();
    project.build(&[]).ends(0);
    assert_eq!(says(), "none");
    project.write("s", "seven..");
    project.build(&[]).ends(0);
    assert_eq!(says(), "7");
    // Nor is the secret there once the graph no longer names it.
    project.write("build-graph.toml", graph.replace("secrets", "#"));
    project.build(&[]).ends(0);
    assert_eq!(says(), "none");
}

#[test]
fn defaults_lie_under_every_stage_and_a_profile_over_one() {
    let (host, image) = (host(), unique("a"));
    let graph = format!(
        r#"
version = 1
[vars]
greeting = "hello"
[defaults]
args = {{ FIRST = "${{greeting}}", SECOND = "two" }}
labels = {{ "org.example.team" = "ours" }}
[stage.base]
context = "base"
[stage.a]
context = "a"
from = "base"
image = "{image}"
args = {{ SECOND = "own" }}
[profile.loud.vars]
greeting = "HELLO"
[profile.loud.stage.a]
tags = ["loud"]
"#
    );
    let dockerfile = format!(
        "FROM base\nARG FIRST\nARG SECOND\nRUN echo {} && echo $FIRST $SECOND > /said\n",
        unique("a")
    );
    let project = with_base(project(&host))
        .file("build-graph.toml", graph)
        .file("a/Dockerfile", dockerfile);
    project.build(&[]).ends(0);
    assert_eq!(file(&host, &image, "/said"), "hello own");
    assert_eq!(label(&host, &image, "org.example.team"), "ours");
    project.build(&["--profile", "loud"]).ends(0);
    let loud = format!("{image}:loud");
    assert_eq!(file(&host, &loud, "/said"), "HELLO own");
    assert_eq!(file(&host, &image, "/said"), "hello own");
    assert_eq!(project.verdicts()["a"], "fresh");
}

#[test]
fn the_plain_report_tells_the_cause_the_time_saved_and_a_failing_step_with_its_output() {
    let host = host();
    let graph = "version = 1\n[stage.base]\ncontext = \"base\"\n[stage.a]\ncontext = \"a\"\nfrom = \"base\"\n";
    let project = with_base(project(&host))
        .file("build-graph.toml", graph)
        .file("a/Dockerfile", "FROM base\nCOPY x /x\nRUN sh /x\n")
        .file("a/x", format!("echo {}; sleep 2\n", unique("a")));
    let first = project.run(&["build"]).ends(0);
    first
        .says("a: building, never built here")
        .says("2 built, 0 fresh in ");
    let before = builds(&project);
    let second = project.run(&["build"]).ends(0);
    second
        .says("0 built, 2 fresh in ")
        .says("of building saved");
    assert_eq!(builds(&project), before);
    // BuildKit reads a step's two streams separately, so the last line on stderr may come anywhere.
    let script = "echo 'E: Unable to find it'; i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo line $i; done\n\
        echo no luck today >&2; exit 7\n";
    project.write("a/x", script);
    let mut log = String::new();
    for _ in 0..8 {
        let failed = project.run(&["build"]).ends(1);
        let failed = failed
            .says("a: building, x changed")
            .says("1 failed")
            .says("\n\na failed at a/Dockerfile:3, exit code 7: [")
            .says("\n  | E: Unable to find it\n")
            .says("\n  | line 60\n")
            .says("\n  | no luck today\n");
        assert_eq!(failed.stderr.matches("RUN sh /x").count(), 1);
        let told = failed.stderr.split("lines omitted: see ").nth(1);
        let told = told.and_then(|rest| rest.lines().next());
        told.unwrap_or_else(|| panic!("no log: {}", failed.stderr))
            .clone_into(&mut log);
    }
    let whole = std::fs::read_to_string(log).unwrap();
    assert!(whole.contains("line 1\n") && whole.contains("no luck today\n"));
}

/// If the program says that the build fails, it does. If it says nothing, BuildKit finds the file.
#[test]
fn a_source_is_told_to_be_absent_exactly_where_buildkit_does_not_find_it() {
    let host = host();
    let project = project(&host)
        .file(
            "build-graph.toml",
            "version = 1\n[stage.a]\ncontext = \"a\"\n",
        )
        .file("a/.dockerignore", "out\nkept\n!kept/in\n**/*.log\n")
        .file("a/out/x", "")
        .file("a/kept/in", "")
        .file("a/kept/no", "")
        .file("a/logs/a.log", "")
        .file("a/x", "");
    for (link, target) in [("l", "kept"), ("dangling", "none"), ("to-out", "out")] {
        std::os::unix::fs::symlink(target, project.path("a").join(link)).unwrap();
    }
    for (source, is_there) in [
        ("x", true),
        ("x/", true),
        ("../x", true),
        ("x/y", false),
        ("none", false),
        ("./none/../x", true),
        ("out", false),
        ("out/x", false),
        ("kept", true),
        ("kept/in", true),
        ("kept/no", false),
        ("logs", true),
        ("logs/a.log", false),
        ("l/in", true),
        ("*none*", true),
        ("none*/x", true),
    ] {
        let dockerfile = format!("FROM scratch\nCOPY {source} x /to/\n");
        project.write("a/Dockerfile", &dockerfile);
        let context = project.path("a").display().to_string();
        let call = ["buildx", "build", "--output", "type=cacheonly", &context];
        let built = super::docker_says(&host, &call);
        assert_eq!(built.is_ok(), is_there, "{source}: {built:?}");
        let told = project.run(&["plan"]).ends(0).stderr;
        assert_eq!(
            !told.contains("cannot be built"),
            is_there,
            "{source}: {told}"
        );
    }
    let refused = project.run(&["build"]).ends(0);
    refused.never_says("cannot be built");
    project.write("a/Dockerfile", "FROM scratch\nCOPY out /\n");
    let calls = builds(&project);
    let refused = project.run(&["build"]).ends(1);
    refused
        .says("line 1 of ")
        .never_says("failed to calculate checksum");
    assert_eq!(builds(&project), calls);
}
