//! Which graph file a run uses, where its state is, and who may own it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown, symlink};
use std::path::Path;

use crate::one;
use crate::support::registry::{Image, Registry};
use crate::support::remote::Remote;
use crate::support::{Project, Ran};
use crate::world::World;

/// Runs in a folder of the project, with the state in its default place.
fn run_in(project: &Project, folder: &str, arguments: &[&str]) -> Ran {
    let mut command = project.command_in(folder, arguments);
    Ran::of(command.env_remove("XTASK_STATE").output().unwrap())
}

#[test]
fn the_graph_is_found_from_a_folder_below_it_and_its_state_lies_beside_it() {
    let project = one();
    for folder in ["", "a/src"] {
        let ran = run_in(&project, folder, &["inputs", "a"]).ends(0);
        assert_eq!(ran.stdout, "src/\nsrc/one\n", "{folder}");
    }
    // The place of a mistake is relative to the folder of the run.
    let below = run_in(&project, "a/src", &["inputs", "b"]).ends(2);
    below.says("../../build-graph.toml does not declare it");
    let states: Vec<_> = fs::read_dir(project.path("target/xtask"))
        .unwrap()
        .collect();
    assert_eq!(states.len(), 1, "{states:?}");
    assert!(!project.path("a/src/target").exists());
    let state = states[0].as_ref().unwrap().path();
    assert_eq!(fs::read_to_string(state.join(".gitignore")).unwrap(), "*\n");
    // The state is also there if the file is named, from any folder.
    let graph = project.path("build-graph.toml");
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = project.command_in("", &["inputs", "a", "--graph"]);
    command.arg(graph).current_dir(elsewhere.path());
    Ran::of(command.env_remove("XTASK_STATE").output().unwrap()).ends(0);
    assert_eq!(
        fs::read_dir(project.path("target/xtask")).unwrap().count(),
        1
    );
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    // XTASK_STATE moves the state.
    fs::remove_dir_all(project.path("target")).unwrap();
    project.run_in("a", &["inputs", "a"]).ends(0);
    assert!(project.path("state").exists() && !project.path("target").exists());
}

#[test]
fn no_graph_is_taken_from_beyond_the_git_checkout_nor_from_elsewhere() {
    let project = one().file("a/.git", "gitdir: /nonexistent\n");
    let (folder, root) = (project.path("a/src"), project.path("a"));
    let said = format!(
        "there is no build-graph.toml in {} or above it, up to {}, the root of its git checkout: name one with `--graph FILE`",
        folder.canonicalize().unwrap().display(),
        root.canonicalize().unwrap().display()
    );
    for arguments in [&["plan"][..], &["graph"], &["setup", "--check"]] {
        run_in(&project, "a/src", arguments).ends(2).says(&said);
    }
    // A dangling link is reported, and no graph further up is used instead.
    symlink("nowhere", project.path("a/src/build-graph.toml")).unwrap();
    let ran = run_in(&project, "a/src", &["plan"]).ends(2);
    ran.says("cannot read the graph file build-graph.toml");
}

#[test]
fn a_graph_of_another_owner_is_refused_until_git_calls_its_folder_safe() {
    let project = one().file("gitconfig", "");
    let settings = project.path("gitconfig").display().to_string();
    let project = project
        .variable("GIT_CONFIG_GLOBAL", &settings)
        .variable("GIT_CONFIG_NOSYSTEM", "1");
    project.run(&["inputs", "a"]).ends(0);
    let graph = project.path("build-graph.toml");
    // Only the superuser can give a file away, so for other users the test ends here.
    if fs::metadata(&graph).unwrap().uid() != 0 {
        return;
    }
    chown(&graph, Some(65_534), None).unwrap();
    let folder = project.path("").canonicalize().unwrap();
    let line = format!(
        "git config --global --add safe.directory {}",
        folder.display()
    );
    let refused = |ran: Ran| {
        ran.ends(2)
            .says("belongs to user 65534, and this is user 0")
            .says(&format!("run `{line}`"))
    };
    for arguments in [&["build"][..], &["plan"], &["graph"], &["setup", "--check"]] {
        refused(project.run(arguments));
        refused(project.run_in("a", arguments));
    }
    // With sudo, the files of the user who called it are accepted.
    let mut by_sudo = project.command(&["inputs", "a"]);
    Ran::of(by_sudo.env("SUDO_UID", "65534").output().unwrap()).ends(0);
    // The checkout's own git config does not count.
    fs::create_dir(project.path(".git")).unwrap();
    let own = "[core]\nrepositoryformatversion = 0\n[safe]\ndirectory = *\n";
    project.write(".git/config", own);
    project.write(".git/HEAD", "ref: refs/heads/main\n");
    refused(project.run(&["inputs", "a"]));
    let words: Vec<&str> = line.split(' ').skip(1).collect();
    let mut git = std::process::Command::new("git");
    git.args(words).env("GIT_CONFIG_GLOBAL", &settings);
    assert!(git.status().unwrap().success());
    project.run(&["inputs", "a"]).ends(0);
    // If a link leads to one's own file, its commands would still start in the link's folder.
    chown(&graph, Some(0), None).unwrap();
    fs::write(&settings, "").unwrap();
    fs::rename(&graph, project.path("own.toml")).unwrap();
    symlink("own.toml", &graph).unwrap();
    std::os::unix::fs::lchown(&graph, Some(65_534), None).unwrap();
    refused(project.run(&["inputs", "a"]));
}

/// Asserts that a run suggests this command, and that each of its suggestions ends with the flags.
#[track_caller]
fn suggests(ran: &Ran, command: &str, flags: &str) {
    let said = format!("{}{}", ran.stdout, ran.stderr);
    let whole = format!("`cargo xtask {command}{flags}`");
    assert!(said.contains(&whole), "{whole} is not in:\n{said}");
    for suggested in said.split("`cargo xtask ").skip(1) {
        let suggested = suggested.split('`').next().unwrap();
        assert!(suggested.ends_with(flags), "{suggested} in:\n{said}");
    }
}

#[test]
fn every_suggested_command_repeats_the_graph_and_the_profile_that_were_given() {
    let registry = Registry::start();
    registry.put("one:1", &Image::of("1"));
    let remote = Remote::new();
    let dockerfile = format!("FROM {}\nCOPY src /src\n", registry.reference("one:1"));
    remote.write("api/Dockerfile", dockerfile);
    remote.commit();
    remote.push();
    let world = World::of(remote, "main", "[profile.p.vars]\nx = \"1\"\n");
    for flags in [
        &["--graph", "./build-graph.toml", "--profile", "p"][..],
        &[],
    ] {
        let told = flags
            .iter()
            .flat_map(|flag| [" ", flag])
            .collect::<String>();
        let run = |command: &[&str]| {
            let all = [command, flags].concat();
            world.project.run_in("", &all)
        };
        let check = |command: &[&str], suggested: &str| {
            suggests(&run(command), suggested, &told);
        };
        check(&["inputs", "a"], "sync");
        check(&["sync", "--locked"], "sync");
        check(&["sync", "--offline"], "sync");
        check(&["sync", "--check"], "sync");
        check(&["outdated"], "sync");
        run(&["sync"]).ends(0);
        check(&["build", "--locked"], "lock");
        check(&["outdated"], "lock");
        run(&["lock"]).ends(0);
        world.remote.write("api/src/one", &told);
        world.remote.commit();
        world.remote.push();
        check(&["sync", "--check"], "lock --update s");
        check(&["outdated"], "lock --update [NAME…]");
        fs::remove_file(world.project.path("build-graph.lock")).unwrap();
        world.on_another_machine();
    }
}

#[test]
fn no_message_spells_out_a_command_without_the_flags_that_chose_the_graph() {
    let mut folders = vec![std::path::PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src"
    ))];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path)
            } else {
                files.push(path)
            }
        }
    }
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        // Text in tests and comments is not a message.
        let text = text.split("#[cfg(test)]").next().unwrap();
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        for line in lines {
            for command in line.split("cargo xtask ").skip(1) {
                let verb = command.split(|c: char| !c.is_alphabetic()).next().unwrap();
                let takes_graph = [
                    "build", "explain", "graph", "inputs", "lock", "outdated", "plan", "sync",
                    "verify",
                ];
                // The bench uses calls of the program as names of rows.
                let is_row = file.components().any(|part| part.as_os_str() == "bench");
                assert!(
                    is_row || !takes_graph.contains(&verb),
                    "{}: {line}: use `Call::command`",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn an_installed_program_names_itself_in_what_it_suggests() {
    let project = one();
    let own = project.path("bin/xtask");
    fs::create_dir(own.parent().unwrap()).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_xtask"), &own).unwrap();
    let output = |program: &Path, arguments: &[&str]| {
        std::process::Command::new(program)
            .args(arguments)
            .current_dir(project.path(""))
            .env_remove("CARGO")
            .output()
            .unwrap()
    };
    let ran = |program: &Path| String::from_utf8(output(program, &["init"]).stderr).unwrap();
    let said = ran(&own);
    assert!(said.contains("`xtask init --check` says"), "{said}");
    // Its help has no call that works in a workspace only.
    for arguments in [
        &["--help"][..],
        &["help", "export", "bake"],
        &["build", "--nope"],
    ] {
        let ran = output(&own, arguments);
        let said = String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap();
        assert!(
            said.contains("xtask") && !said.contains("cargo xtask"),
            "{said}"
        );
    }
    // Cargo has compiled this one, and runs it.
    let said = ran(Path::new(env!("CARGO_BIN_EXE_xtask")));
    assert!(said.contains("`cargo xtask init --check` says"), "{said}");
}
