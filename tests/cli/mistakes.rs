//! Mistakes in a graph file: the message has the place and the remedy.

use super::{ONE, one};

#[test]
fn every_mistake_of_the_file_is_reported_in_one_run_with_its_place() {
    let graph = "version = 1\n[stage.api]\ncontxt = \"api\"\ncontext = \"../api\"\ntags = [\"-x\"]\n[stage.web]\ncontext = \"web\"\nfrom = \"apii\"\n";
    let ran = one().file("build-graph.toml", graph).run(&["plan"]).ends(2);
    for said in [
        "did you mean `context`?",
        "did you mean `api`?",
        "leaves its root",
        "must not begin with `-`",
        "build-graph.toml:3:1",
        "4 mistakes",
    ] {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
}

#[test]
fn a_value_of_the_wrong_kind_is_told_in_the_words_of_the_file() {
    for (line, said) in [
        (
            "secrets = [\"token\"]",
            "a table with `id` and `env` or `file`",
        ),
        (
            "prepare = \"make\"",
            "a table with `run`, `inputs` and `outputs`",
        ),
        (
            "contexts = { x = 1 }",
            "a table with `stage`, `image` or `path`",
        ),
        (
            "weight = \"x\"",
            "`weight` of stage `a` must be a whole number",
        ),
        ("sbom = 1", "`sbom` of stage `a` must be `true` or `false`"),
        ("tags = \"x\"", "`tags` of stage `a` must be a list"),
    ] {
        let project = one().file("build-graph.toml", format!("{ONE}{line}\n"));
        let ran = project.run(&["graph"]).ends(2).says(said);
        assert!(!ran.stderr.contains("Raw"), "{}", ran.stderr);
    }
    // What is there with a wrong value is not said to be missing, too.
    let waiver = "[[policy.waive]]\nrule = \"root\"\nwhy = \"x\"\n";
    let text = format!("{ONE}{waiver}until = \"2027-06-30\"\n{waiver}[stage.b]\ncontext = 5\n");
    let ran = one().file("build-graph.toml", text).run(&["graph"]).ends(2);
    let ran = ran.says("`until` of a waiver must be a day without quotes, like 2027-01-31");
    let ran = ran.says("`context` of stage `b` must be text in quotes");
    let ran = ran.says("3 mistakes in");
    assert_eq!(ran.stderr.matches("a waiver has no `until`").count(), 1);
}

#[test]
fn a_cycle_prints_its_whole_path() {
    let graph = "version = 1\n[stage.api]\ncontext = \"a\"\nfrom = \"web\"\n[stage.web]\ncontext = \"a\"\nfrom = \"api\"\n";
    one()
        .file("build-graph.toml", graph)
        .run(&["graph"])
        .ends(2)
        .says("api -> web -> api");
}

#[test]
fn mistakes_of_the_file_its_cycles_and_its_folders_are_reported_in_one_run() {
    let stages = "[stage.api]\ncontext = \"a\"\nfrom = \"web\"\n[stage.web]\ncontext = \"a\"\nfrom = \"api\"\n\
                  [stage.none]\ncontext = \"none\"\n[stage.arg]\ncontext = \"b\"\n";
    let project = one()
        .file("build-graph.toml", format!("version = 1\n{stages}"))
        .file("b/Dockerfile", "FROM scratch\nCOPY\n");
    let further = [
        "api -> web -> api",
        "stage `none`: context",
        "b/Dockerfile:2: COPY needs a source and a destination",
    ];
    // A mistake of the file hides none of the others.
    for (more, said) in [("", None), ("weigt = 2\n", Some("did you mean `weight`?"))] {
        project.write("build-graph.toml", format!("version = 1\n{stages}{more}"));
        for command in ["plan", "build"] {
            let ran = project.run(&[command]).ends(2);
            for said in further.iter().copied().chain(said) {
                assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
            }
        }
    }
    // Without an engine, too.
    project.write(
        "build-graph.toml",
        "version = 1\n[stage.none]\ncontext = \"none\"\n[stage.arg]\ncontext = \"b\"\n",
    );
    let ran = project.run(&["plan"]).ends(2);
    assert!(!ran.stderr.contains("engine"), "{}", ran.stderr);
    for said in &further[1..] {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
}

#[test]
fn github_shows_a_mistake_at_its_line() {
    let graph = format!("{ONE}weigt = 2\n");
    let project = one().file("build-graph.toml", graph);
    let root = project.path("").canonicalize().unwrap();
    let ran = project
        .command(&["plan"])
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_WORKSPACE", root)
        .output()
        .unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    let mark = "::error title=mistake in the graph file,file=build-graph.toml,line=5::unknown field `weigt` in stage `a`: did you mean `weight`?\n";
    assert!(said.starts_with(mark), "{said}");
}

#[test]
fn github_shows_any_fault_that_ends_a_command_and_nobody_else_reads_commands() {
    let project = one().file("build-graph.toml", ONE.replace("\"a\"", "\"nowhere\""));
    let plain = project.run(&["plan"]).ends(2);
    assert!(
        plain.stderr.starts_with("error: stage `a`"),
        "{}",
        plain.stderr
    );
    let mut command = project.command(&["plan"]);
    let ran = command.env("GITHUB_ACTIONS", "true").output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    let start = "::error title=cargo xtask::error: stage `a`";
    assert!(
        said.starts_with(start) && said.lines().count() == 1,
        "{said}"
    );
}

#[test]
fn names_that_are_options_or_hide_in_a_terminal_are_refused() {
    for bad in [
        "target = \"-x\"",
        "image = \"-x\"",
        "tags = [\"a\\u001bb\"]",
        "args = { \"-a\" = \"\" }",
        "platforms = [\"--load\"]",
        "ssh = [\"a,b\"]",
    ] {
        let graph = format!("version = 1\n[stage.b]\ncontext = \"a\"\n{bad}\n");
        let ran = one()
            .file("build-graph.toml", graph)
            .run(&["graph"])
            .ends(2);
        assert!(!ran.stderr.contains('\u{1b}'), "{bad}");
    }
    one()
        .run(&["build", "--", "-x"])
        .ends(2)
        .says("unknown stage `-x`");
}

#[test]
fn one_name_of_two_images_is_refused_however_it_is_spelled() {
    for (first, second) in [
        ("t/a", "t/a"),
        ("t/a", "docker.io/t/a"),
        ("a", "library/a"),
        ("index.docker.io/t/a", "docker.io/t/a"),
    ] {
        let graph = format!(
            "version = 1\n[stage.a]\ncontext = \"a\"\nimage = \"{first}\"\n\
             [stage.b]\ncontext = \"b\"\nimage = \"{second}\"\n"
        );
        let project = one().file("build-graph.toml", graph);
        project
            .run(&["graph"])
            .ends(2)
            .says("both name their image");
    }
}

#[test]
fn a_context_that_leads_out_of_its_root_by_a_link_is_refused() {
    let project = one();
    std::os::unix::fs::symlink("/etc", project.path("out")).unwrap();
    project.write("build-graph.toml", ONE.replace("\"a\"", "\"out\""));
    project
        .run(&["inputs", "a"])
        .ends(2)
        .says("leads out of its root");
}

#[test]
fn a_wrong_base_is_reported_with_its_place() {
    let wrong = "[base.\"python:3.12\"]\n[base.\"-x\"]\nimage = \"y\"\n[base.z]\nstage = \"b\"\n\
                 [base.y]\nimage = \"A B\"\n[profile.p.stage.b]\nweight = 2\n";
    let project = one().file("build-graph.toml", format!("{ONE}{wrong}"));
    project
        .run(&["plan", "--profile", "p"])
        .ends(2)
        .says("base `python:3.12` has no replacement")
        .says("base `-x` must not begin with `-`")
        .says("unknown stage `b`")
        .says("`A B` is not an image reference")
        .says("the profile changes stage `b`, which the graph does not declare")
        .says("5 mistakes");
}

#[test]
fn a_builder_is_exactly_one_thing_and_says_its_platforms() {
    let amd64 = "platforms = [\"linux/amd64\"]\n";
    for (fields, said) in [
        ("context = \"a\"\n".to_owned(), "names no platform"),
        (amd64.to_owned(), "must be exactly one thing"),
        (
            format!("context = \"a\"\nbuildx = \"b\"\n{amd64}"),
            "must be exactly one thing",
        ),
        (
            format!("buildx = \"default\"\n{amd64}"),
            "is the engine's own builder",
        ),
        (
            format!("context = \"--host=x\"\n{amd64}"),
            "must not begin with `-`",
        ),
        (
            format!("driver = \"kubernetes\"\n{amd64}"),
            "expected `docker-container`",
        ),
        (
            format!("context = \"a\"\nimage = \"i\"\n{amd64}"),
            "has no driver",
        ),
        (
            format!("driver = \"docker-container\"\nimage = \"i,env.X=1\"\n{amd64}"),
            "must be the reference of an image",
        ),
        (
            format!("context = \"a\"\njobs = 0\n{amd64}"),
            "expected 1 to 64",
        ),
    ] {
        let graph = format!("{ONE}[builder.b]\n{fields}");
        one()
            .file("build-graph.toml", graph)
            .run(&["graph"])
            .ends(2)
            .says(said);
    }
}
