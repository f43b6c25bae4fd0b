//! Dockerfiles that are refused before a build starts.

use std::process::Command;

use super::one;
use crate::secrets::World;
use crate::support::Project;

/// Runs the command that the program suggests, and asserts that it repairs the Dockerfile.
#[track_caller]
fn remedied(project: &Project) {
    let said = project.run(&["inputs", "a"]).ends(2).stderr;
    let (_, command) = said.split_once("; run: ").expect("no remedy");
    let ended = Command::new("sh").args(["-c", command]).status().unwrap();
    assert!(ended.success(), "{command}");
    let inputs = project.run(&["inputs", "a"]).ends(0).stdout;
    assert!(inputs.contains("src/one"), "{inputs}");
}

#[test]
fn a_dockerfile_without_a_from_for_buildkit_is_refused_with_a_command_that_mends_it() {
    let text = "ARG V=1\nFROM scratch\nCOPY src /src\n";
    let utf16: Vec<u8> = std::iter::once(0xfeff)
        .chain(text.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    for (content, said) in [
        (
            text.replace('\n', "\r").into_bytes(),
            "line 1 of the Dockerfile has carriage returns",
        ),
        (
            text.replacen('\n', "\r", 2).into_bytes(),
            "line 1 of the Dockerfile has carriage returns",
        ),
        (
            b"FROM scratch\rCOPY src /src\r".to_vec(),
            "line 1 of the Dockerfile has carriage returns",
        ),
        (
            text.replace("FROM", "\0FROM").into_bytes(),
            "NUL bytes, the first on line 2",
        ),
        (utf16, "UTF-16"),
    ] {
        let project = one().file("a/Dockerfile", content);
        project
            .run(&["inputs", "a"])
            .ends(2)
            .says(said)
            .says("a/Dockerfile: ");
        remedied(&project);
    }
    let world = World::new("");
    world
        .project
        .write("a/Dockerfile", text.replace('\n', "\r"));
    world
        .project
        .run(&["plan"])
        .ends(2)
        .says("carriage returns");
    world
        .project
        .run(&["build"])
        .ends(2)
        .says("carriage returns");
    assert_eq!(world.calls(), "", "it was sent");
    let empty = one().file("a/Dockerfile", "");
    empty.run(&["inputs", "a"]).ends(2).says("has no FROM");
    let crash = one().file("a/Dockerfile", "FROM scratch\nCOPY src /src${PATH%}\n");
    let ran = crash.run(&["inputs", "a"]).ends(2);
    ran.says("line 2 of the Dockerfile: `${PATH%}` trims nothing")
        .says("write `${PATH}`");
}

#[test]
fn a_lower_case_dockerfile_is_taken_where_there_is_no_other() {
    let project = one();
    std::fs::remove_file(project.path("a/Dockerfile")).unwrap();
    project.write("a/dockerfile", "FROM scratch\nCOPY src/one /\n");
    project.write("a/src/two", "2");
    project.write("a/dockerfile.dockerignore", "src/two\n");
    project.settle();
    let inputs = |paths: &str| {
        let ran = project.run(&["inputs", "a"]).ends(0);
        assert_eq!(ran.stdout.trim(), paths);
    };
    inputs("src/one");
    // The answer is remembered by now, and no longer right.
    project.write("a/Dockerfile", "FROM scratch\nCOPY src/two /\n");
    inputs("src/two");
}

#[test]
fn a_source_named_by_the_platform_takes_those_of_the_stages_platforms_only() {
    let project = one()
        .file(
            "build-graph.toml",
            "version = 1\n[stage.a]\ncontext = \"a\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n",
        )
        .file(
            "a/Dockerfile",
            "FROM scratch\nARG TARGETPLATFORM TARGETARCH\nCOPY ${TARGETPLATFORM}/app /app\nCOPY $TARGETARCH.conf /\n",
        )
        .file("a/linux/amd64/app", "amd64")
        .file("a/linux/arm64/app", "arm64")
        .file("a/linux/s390x/app", "s390x")
        .file("a/amd64.conf", "")
        .file("a/arm64.conf", "");
    let inputs = project.run(&["inputs", "a"]).ends(0).stdout;
    let paths: Vec<&str> = inputs.lines().filter(|path| !path.ends_with('/')).collect();
    let expected = [
        "amd64.conf",
        "arm64.conf",
        "linux/amd64/app",
        "linux/arm64/app",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn a_pattern_takes_what_it_matches_and_what_takes_everything_says_why() {
    let project = one().file("a/no.md", "").file("a/go.md", "");
    let inputs = |source: &str| {
        let text = format!("FROM scratch\nCOPY {source} /\n");
        project.write("a/Dockerfile", text);
        project.run(&["inputs", "a"]).ends(0)
    };
    assert_eq!(inputs("[^n]o.md").stdout, "go.md\n");
    for (source, why) in [
        (
            "--parents ./**/package.json",
            "only BuildKit resolves `./**/package.json`",
        ),
        (
            "g[^a]o.md",
            "the pattern `g[^a]o.md` of line 2 may take files across folders",
        ),
    ] {
        let ran = inputs(source).says("the whole context counts: ").says(why);
        assert!(ran.stdout.contains("no.md"), "{}", ran.stdout);
    }
}
