//! Files that a Dockerfile copies but that do not exist, and arguments in `args` that do not count.

use super::lock::project;
use crate::support::Project;
use crate::support::engine::Engine;

/// Stage `a`, in folder `in` of a source.
fn with(dockerfile: &str, ignore: &str) -> (Project, Engine) {
    let graph =
        "version = 1\n[source.s]\npath = \"s\"\n[stage.a]\nsource = \"s\"\ncontext = \"in\"\n";
    let (project, engine) = project(graph);
    let project = project
        .file("s/in/Dockerfile", format!("FROM scratch\n{dockerfile}\n"))
        .file("s/in/.dockerignore", ignore)
        .file("s/in/dist/app", "")
        .file("s/in/inner/app.py", "")
        .file("s/top", "");
    (project, engine)
}

#[test]
fn a_source_that_is_left_out_is_told_with_the_line_of_the_pattern() {
    for (dockerfile, path, ignore, line) in [
        (
            "COPY dist /",
            "dist",
            "# all of\ndist\n!other\n",
            "line 2 of ",
        ),
        (
            "COPY dist/app /",
            "dist/app",
            "*\n!*.py\ndist/**\n",
            "line 3 of ",
        ),
        ("ADD dist/app /", "dist/app", "**/app\n", "line 1 of "),
        (
            "RUN --mount=source=dist,target=/d true",
            "dist",
            "\n\n/dist/\n",
            "line 3 of ",
        ),
    ] {
        let (project, _engine) = with(dockerfile, ignore);
        let place = format!("Dockerfile:2: `{path}` is left out by {line}");
        for command in [&["plan"][..], &["plan", "--json"], &["explain", "a"]] {
            let ran = project
                .run(command)
                .ends(0)
                .says("note: `a` cannot be built");
            let ran = ran.says(&place).says("in/.dockerignore, `");
            ran.says("remove that line, or add `!");
        }
        // Nothing is sent to BuildKit, which could not say why the file is missing.
        let ran = project.run(&["build"]).ends(1).says(&place);
        ran.never_says("cannot run `docker`");
    }
    let (project, _engine) = with("COPY dist/app /", "dist\n!dist/app\n");
    project.run(&["plan"]).ends(0).never_says("cannot be built");
    // The ignore file beside the Dockerfile takes precedence over the context's own.
    let project = project.file("s/in/Dockerfile.dockerignore", "dist\n");
    project
        .run(&["plan"])
        .says("line 1 of ")
        .says("in/Dockerfile.dockerignore");
}

#[test]
fn a_source_that_lies_in_another_folder_is_told_with_its_place() {
    for (dockerfile, path, told) in [
        (
            "COPY in/dist /",
            "in/dist",
            "s/in/dist: write `context = \".\"` in `[stage.a]`",
        ),
        ("COPY top /", "top", "s/top: write `context = \".\"`"),
        (
            "COPY app.py /",
            "app.py",
            "s/in/inner/app.py: write `context = \"in/inner\"`",
        ),
        (
            "COPY ./nowhere /",
            "nowhere",
            "correct the name, or make it first",
        ),
        (
            "COPY dist/app/x /",
            "dist/app/x",
            "correct the name, or make it first",
        ),
    ] {
        let (project, _engine) = with(dockerfile, "");
        let ran = project.run(&["plan"]).ends(0);
        ran.says(&format!("Dockerfile:2: `{path}` is not in the context "))
            .says(told);
        project.run(&["build"]).ends(1).says(told);
    }
    let (project, _engine) = with("COPY --from=n top /", "");
    let graph =
        "version = 1\n[stage.a]\ncontext = \"s/in\"\ncontexts = { n = { path = \"s/in/dist\" } }\n";
    let project = project.file("build-graph.toml", graph);
    project
        .run(&["plan"])
        .says("`top` is not in the context `n`, ");
    // A path is not reported if something else may bring it, or if a pattern need not find it.
    for dockerfile in [
        "COPY no* /",
        "COPY --parents nowhere /",
        "ADD git@example.org:x/y.git /",
        "ADD https://example.org/x /",
        "COPY <<nowhere /\nnowhere",
        "ARG X=nowhere\nFROM scratch\nCOPY in[n]er /",
        "COPY --from=0 nowhere /",
        "RUN --mount=type=cache,source=nowhere,target=/c true",
    ] {
        let (project, _engine) = with(dockerfile, "");
        project.run(&["plan"]).ends(0).never_says("cannot be built");
    }
    let (project, _engine) = with("COPY link/app /", "");
    std::os::unix::fs::symlink("nowhere", project.path("s/in/link")).unwrap();
    project.run(&["plan"]).ends(0).never_says("cannot be built");
}

#[test]
fn a_proxy_that_args_gives_and_the_dockerfile_does_not_declare_is_told_not_to_count() {
    let (project, _engine) = with("COPY dist /\nRUN true", "");
    let graph = |proxy: &str| {
        format!(
            "version = 1\n[stage.a]\ncontext = \"s/in\"\nargs = {{ HTTP_PROXY = \"{proxy}\", no_proxy = \"x\", X = \"1\" }}\n"
        )
    };
    project.write("build-graph.toml", graph("one"));
    let told = "HTTP_PROXY, no_proxy of `args` can change without a build";
    let key = project.planned("a")["key"].clone();
    project.run(&["plan"]).ends(0).says(told);
    let explained = project.run(&["explain", "a"]).ends(0);
    assert!(explained.stdout.contains(told), "{}", explained.stdout);
    project.write("build-graph.toml", graph("two"));
    assert_eq!(project.planned("a")["key"], key);
    project.write(
        "s/in/Dockerfile",
        "FROM scratch\nARG HTTP_PROXY\nARG no_proxy\nCOPY dist /\nRUN true\n",
    );
    project.run(&["plan"]).ends(0).never_says("no ingredient");
    let key = project.planned("a")["key"].clone();
    project.write("build-graph.toml", graph("three"));
    assert_ne!(project.planned("a")["key"], key);
}
