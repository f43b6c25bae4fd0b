//! What the program says without an engine: exit statuses, mistakes, inputs and keys.

mod damage;
mod kill;
#[path = "../support/mod.rs"]
mod support;

use support::Project;

const ONE: &str = "version = 1\n[stage.a]\ncontext = \"a\"\nimage = \"t/a\"\n";

fn one() -> Project {
    Project::new()
        .variable("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .file("build-graph.toml", ONE)
        .file("a/Dockerfile", "FROM scratch\nCOPY src /src\n")
        .file("a/src/one", "1")
        .file("a/other", "o")
}

fn key(project: &Project) -> String {
    let folder = project.path("a");
    project.inputs(&["--context", folder.to_str().unwrap()])["key"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn no_engine_is_exit_3_and_says_what_to_do() {
    one()
        .run(&["build"])
        .ends(3)
        .says("cannot reach the Docker engine")
        .says("DOCKER_HOST");
}

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
fn a_cycle_prints_its_whole_path() {
    let graph = "version = 1\n[stage.api]\ncontext = \"a\"\nfrom = \"web\"\n[stage.web]\ncontext = \"a\"\nfrom = \"api\"\n";
    one()
        .file("build-graph.toml", graph)
        .run(&["graph"])
        .ends(2)
        .says("api -> web -> api");
}

#[test]
fn what_is_not_there_is_exit_2_with_the_place() {
    one().run(&["build", "b"]).ends(2).says("unknown stage `b`");
    one()
        .file("build-graph.toml", "not toml [")
        .run(&["plan"])
        .ends(2)
        .says("not TOML");
    one()
        .file("build-graph.toml", ONE.replace("\"a\"", "\"nowhere\""))
        .run(&["plan"])
        .ends(3)
        .says("engine");
    let missing = Project::new().file("build-graph.toml", ONE).file("a/x", "");
    let ran = missing.run(&["inputs", "a"]);
    ran.ends(2).says("Dockerfile").says("does not exist");
    let graph = format!("{ONE}overlays = [\"overlays/none\"]\n");
    one()
        .file("build-graph.toml", graph)
        .run(&["inputs", "a"])
        .ends(2)
        .says("overlays/none");
    one()
        .file("build-graph.toml", ONE.replace("\"a\"", "\"nowhere\""))
        .run(&["inputs", "a"])
        .ends(2)
        .says("nowhere");
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
fn the_graph_is_drawn_in_five_forms() {
    for (format, said) in [
        ("tree", "a (t/a:latest)"),
        ("dot", "digraph"),
        ("mermaid", "graph LR"),
        ("svg", "<svg"),
        ("json", "\"stands_on\":[]"),
    ] {
        let ran = one().run(&["graph", "--format", format]).ends(0);
        assert!(ran.stdout.contains(said), "{format}: {}", ran.stdout);
    }
}

#[test]
fn only_what_is_copied_is_an_input() {
    let project = one();
    let inputs = project.inputs(&["--context", project.path("a").to_str().unwrap()]);
    let paths: Vec<&str> = inputs["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|input| input["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["src", "src/one"]);
    assert_eq!(inputs["whole_context"], false);
}

/// One mutation of the project.
type Mutation = (&'static str, fn(&Project));

#[test]
fn whatever_can_change_the_image_changes_the_key() {
    let mutations: [Mutation; 8] = [
        ("a file's content", |p| p.write("a/src/one", "2")),
        ("a file moved between folders", |p| {
            std::fs::create_dir(p.path("a/src/sub")).unwrap();
            std::fs::rename(p.path("a/src/one"), p.path("a/src/sub/one")).unwrap();
        }),
        ("the exec bit", |p| {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(p.path("a/src/one"), std::fs::Permissions::from_mode(0o755))
                .unwrap();
        }),
        ("an empty folder", |p| {
            std::fs::create_dir(p.path("a/src/empty")).unwrap()
        }),
        ("a link", |p| {
            std::os::unix::fs::symlink("one", p.path("a/src/link")).unwrap()
        }),
        ("the ignore file", |p| {
            p.write("a/.dockerignore", "src/one\n")
        }),
        ("an ignore file of the Dockerfile's own", |p| {
            p.write("a/Dockerfile.dockerignore", "src/one\n")
        }),
        ("the Dockerfile", |p| {
            p.write("a/Dockerfile", "FROM scratch\nCOPY src /source\n")
        }),
    ];
    for (what, mutate) in mutations {
        let project = one();
        let before = key(&project);
        mutate(&project);
        assert_ne!(key(&project), before, "{what}");
    }
}

#[test]
fn a_link_that_is_retargeted_changes_the_key() {
    let project = one();
    std::os::unix::fs::symlink("one", project.path("a/src/link")).unwrap();
    let before = key(&project);
    std::fs::remove_file(project.path("a/src/link")).unwrap();
    std::os::unix::fs::symlink("two", project.path("a/src/link")).unwrap();
    assert_ne!(key(&project), before);
}

#[test]
fn what_cannot_change_the_image_keeps_the_key() {
    let mutations: [Mutation; 4] = [
        ("a file that is not copied", |p| {
            p.write("a/other", "changed")
        }),
        ("a comment in the Dockerfile", |p| {
            p.write("a/Dockerfile", "# comment\nFROM scratch\nCOPY src /src\n")
        }),
        ("an ignore line for something else", |p| {
            p.write("a/.dockerignore", "unrelated\n")
        }),
        ("a modification time", |p| {
            let file = std::fs::File::options()
                .write(true)
                .open(p.path("a/src/one"))
                .unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH)
                .unwrap();
        }),
    ];
    for (what, mutate) in mutations {
        let project = one();
        let before = key(&project);
        mutate(&project);
        assert_eq!(key(&project), before, "{what}");
    }
}

#[test]
fn another_checkout_path_keeps_the_key() {
    assert_eq!(key(&one()), key(&one()));
}
