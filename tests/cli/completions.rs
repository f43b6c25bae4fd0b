//! `cargo xtask completions`: the answers, and the script for bash in a real bash, which every
//! machine has that builds this project. The scripts for zsh and fish ask for the same answers; a
//! unit test reads their text, as a machine without these shells could run nothing.

use std::process::Command;

use super::support::{Project, Ran};

const GRAPH: &str = r#"version = 1
[vars]
version = "1"
channel = { env = "XTASK_TEST_NOT_SET" }
[source.upstream]
git = "https://git.example/x.git"
rev = "main"
[target.mirror]
to = "registry.example/x"
[stage.web]
context = "web"
image = "x/web"
[stage.api]
context = "api"
[stage.wide]
context = "wide"
platforms = ["linux/amd64", "linux/riscv64"]
[group]
whole = ["api", "web"]
[profile.near.stage.api-near]
context = "near"
"#;

fn graph() -> Project {
    Project::new().file("build-graph.toml", GRAPH)
}

/// What may stand at the cursor behind these words, without its explanation.
#[track_caller]
fn answers(project: &Project, words: &[&str]) -> Vec<String> {
    let lines = lines(project, words);
    let value = |line: &str| line.split('\t').next().unwrap().to_owned();
    lines.lines().map(value).collect()
}

#[track_caller]
fn lines(project: &Project, words: &[&str]) -> String {
    let arguments = [&["completions", "--", "xtask"], words].concat();
    let ran = project.run_in("", &arguments).ends(0);
    assert_eq!(ran.stderr, "", "{words:?}");
    ran.stdout
}

#[test]
fn names_of_the_graph_are_answered_where_they_are_wanted() {
    let project = graph();
    for (words, wanted) in [
        (&["build", ""][..], &["web", "api", "wide", "whole"][..]),
        (&["build", "api", "w"], &["web", "wide", "whole"]),
        (&["build", "--force=a"], &["--force=api"]),
        (
            &["build", "wide@"],
            &["wide@linux-amd64", "wide@linux-riscv64"],
        ),
        (&["explain", "w"], &["web", "wide"]),
        (&["sync", ""], &["upstream"]),
        (&["lock", "--update", ""], &["upstream"]),
        (&["publish", "--to", ""], &["mirror"]),
        (&["plan", "--profile", ""], &["near"]),
        (&["plan", "--profile=n"], &["--profile=near"]),
        (&["plan", "--profile", "near", "api"], &["api", "api-near"]),
        (&["plan", "--set", ""], &["version=", "channel="]),
        (
            &["plan", "--platform", "linux/arm64,linux/r"],
            &["linux/arm64,linux/riscv64"],
        ),
        (&["plan", "--js"], &["--json"]),
        (&["gr"], &["graph"]),
        (&["export", "b"], &["bake", "bundle"]),
        (&["graph", "--format", "m"], &["mermaid"]),
        (&["graph", "--graph", "build-"], &["build-graph.toml"]),
        (&["completions", ""], &["bash", "zsh", "fish"]),
    ] {
        assert_eq!(answers(&project, words), wanted, "{words:?}");
    }
    let said = lines(&project, &["build", ""]);
    assert!(said.contains("web\tx/web\n"), "{said}");
    assert!(said.contains("whole\tgroup\n"), "{said}");
    let flags = answers(&project, &["build", "-"]);
    assert!(flags.contains(&"--keep-going".to_owned()), "{flags:?}");
}

#[test]
fn the_graph_is_the_one_that_the_command_line_names() {
    let other = "version = 1\n[stage.elsewhere]\ncontext = \"a\"\n";
    let project = graph().file("other.toml", other);
    let words = ["plan", "--graph", "other.toml", ""];
    assert_eq!(answers(&project, &words), ["elsewhere"]);
    let words = ["plan", "--graph=other.toml", "e"];
    assert_eq!(answers(&project, &words), ["elsewhere"]);
}

#[test]
fn a_graph_that_is_wrong_or_not_there_gives_no_names_and_no_noise() {
    let none: [&str; 0] = [];
    for graph in ["not toml [", "version = 1\n[stage.a]\n", "\0"] {
        let project = Project::new().file("build-graph.toml", graph);
        // Where no word fits, flags do.
        let said = answers(&project, &["build", ""]);
        assert!(said.iter().all(|it| it.starts_with("--")), "{said:?}");
        assert_eq!(answers(&project, &["build", "a"]), none, "{graph:?}");
        assert_eq!(answers(&project, &["build", "--lo"]), ["--locked"]);
    }
    let project = Project::new().file(".git/HEAD", "");
    assert_eq!(answers(&project, &["build", "a"]), none);
    assert_eq!(answers(&project, &["build", "--profile", ""]), none);
    assert_eq!(answers(&graph(), &["nonsense", "--what", "'"]), none);
    assert_eq!(answers(&graph(), &["plan", "--profile", "nope", "a"]), none);
}

#[test]
fn a_shell_must_be_one_that_is_known() {
    for words in [&["completions"][..], &["completions", "csh"]] {
        let ran = graph().run_in("", words).ends(2);
        ran.says("--help");
    }
}

/// What bash would put behind the last break of this line, which is typed in the project's folder.
/// `before` is what the user's own settings do first.
#[track_caller]
fn in_bash(project: &Project, before: &str, line: &str) -> Vec<String> {
    let printed = project.run_in("", &["completions", "bash"]).ends(0);
    asked(project, &printed.stdout, before, line)
}

/// The same with the text of the script.
#[track_caller]
fn asked(project: &Project, printed: &str, before: &str, line: &str) -> Vec<String> {
    project.write("xtask.bash", printed);
    let script = r#"
        eval "$1"
        source ./xtask.bash
        COMP_WORDBREAKS=$' \t\n"\'@><=;|&(:'
        COMP_LINE=$2 COMP_POINT=${#2}
        command=${COMP_LINE%% *}
        registered=$(complete -p "${command##*/}")
        registered=${registered##* -F }
        COMPREPLY=()
        "${registered%% *}" "$command" "${COMP_LINE##* }" ''
        ((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc", "-c", script, "bash", before, line]);
    bash.current_dir(project.path(""));
    let ran = Ran::of(bash.output().unwrap()).ends(0);
    assert_eq!(ran.stderr, "", "{line:?}");
    ran.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_cargo_xtask_and_the_program_itself() {
    let project = graph().file("a b/c", "");
    for (line, wanted) in [
        ("cargo xtask build ", &["web", "api", "wide", "whole"][..]),
        ("cargo xtask build api we", &["web"]),
        ("cargo +stable --color never -q xtask plan we", &["web"]),
        ("xtask plan we", &["web"]),
        ("./target/debug/xtask plan we", &["web"]),
        // Bash replaces what is behind the last `=`, `@` or `:`.
        ("cargo xtask build --force=we", &["web"]),
        ("cargo xtask build --force=", &["web", "api", "wide"]),
        ("cargo xtask build wide@linux-r", &["linux-riscv64"]),
        ("cargo xtask build --set ver", &["version="]),
        ("cargo xtask build nope", &[]),
        (r"cargo xtask graph --graph a", &[r"a\ b/"]),
    ] {
        assert_eq!(in_bash(&project, "", line), wanted, "{line:?}");
    }
}

#[test]
fn bash_keeps_the_completion_that_cargo_had_for_everything_else() {
    let own = "of_cargo() { COMPREPLY=(of-cargo \"$1\" \"$2\"); }; ";
    let at_once = format!("{own} complete -F of_cargo cargo");
    // bash-completion puts it there at the first use.
    let later =
        format!("{own} _completion_loader() {{ complete -F of_cargo \"$1\"; return 124; }}");
    for before in [at_once, later] {
        for line in [
            "cargo bu",
            "cargo xtas",
            "cargo build xtask bu",
            "cargo xtask",
        ] {
            let word = line.rsplit(' ').next().unwrap();
            let wanted = ["of-cargo", "cargo", word];
            assert_eq!(in_bash(&graph(), &before, line), wanted, "{line:?}");
        }
        assert_eq!(in_bash(&graph(), &before, "cargo xtask plan we"), ["web"]);
    }
    let none: [&str; 0] = [];
    assert_eq!(in_bash(&graph(), "", "cargo bu"), none);
}

#[test]
fn a_script_runs_the_program_that_printed_it_and_nothing_of_the_folder() {
    let project = graph();
    let trap = "#!/bin/sh\ntouch trapped\n";
    for place in ["xtask", "target/debug/xtask", "cargo", "bin/xtask"] {
        project.write(place, trap);
    }
    let project = project.script("target/debug/xtask", trap);
    for line in ["cargo xtask plan we", "./target/debug/xtask plan we"] {
        assert_eq!(in_bash(&project, "", line), ["web"]);
    }
    assert!(!project.path("trapped").exists());
    // The program was removed, and no other one is on the path.
    let printed = project.run_in("", &["completions", "bash"]).ends(0).stdout;
    let program = env!("CARGO_BIN_EXE_xtask");
    let gone = printed.replace(program, "/nonexistent/xtask");
    assert_ne!(gone, printed);
    let asks = |path: &str| asked(&project, &gone, &format!("PATH={path}"), "xtask plan we");
    assert_eq!(asks("/nonexistent"), [""; 0]);
    // An installed program takes its place.
    let bin = project.path("bin");
    std::fs::remove_file(bin.join("xtask")).unwrap();
    std::os::unix::fs::symlink(program, bin.join("xtask")).unwrap();
    assert_eq!(asks(bin.to_str().unwrap()), ["web"]);
}
