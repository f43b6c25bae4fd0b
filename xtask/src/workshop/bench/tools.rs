//! The command lines of the peers: how each does for two stages what this program does.
//!
//! All of them use the engine's own builder and make no attestations, as this program does.

use std::process::Command;

use camino::Utf8Path;

/// Docker with these arguments, on the engine at `host`.
pub fn docker(folder: &Utf8Path, host: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.args(arguments);
    engine(&mut command, folder, host);
    command
}

/// `docker buildx bake` of this file.
pub fn bake(folder: &Utf8Path, host: &str, file: &str, more: &[&str]) -> Command {
    let mut command = docker(folder, host, &["buildx", "bake"]);
    command.args(["--builder=default", "--provenance=false"]);
    command.arg(format!("--file={file}")).args(more);
    command
}

/// `docker buildx build` for one folder after the other, as a script does it.
pub fn build_loop(folder: &Utf8Path, host: &str, folders: [&str; 2], more: &str) -> Command {
    let build = |folder: &str| {
        format!(
            "docker buildx build --builder=default --provenance=false --tag=xtask-bench-loop/{folder} {more} {folder}"
        )
    };
    let mut command = Command::new("sh");
    command.arg("-c").arg(folders.map(build).join(" && "));
    engine(&mut command, folder, host);
    command
}

/// `docker compose` of the file `compose.json`.
pub fn compose(folder: &Utf8Path, host: &str, arguments: &[&str]) -> Command {
    let mut command = docker(folder, host, &["compose", "--file=compose.json"]);
    command.args(arguments);
    command
}

/// Turborepo, which is installed in `installed`. Its own cache is there as well.
pub fn turbo(installed: &Utf8Path, folder: &Utf8Path, host: &str, more: &[&str]) -> Command {
    let mut command = Command::new(installed.join("node_modules/.bin/turbo"));
    command.args(["run", "build", "--skip-infer", "--output-logs=errors-only"]);
    command.arg("--cache-dir").arg(installed.join("cache"));
    command.args(more);
    command
        .env("TURBO_TELEMETRY_DISABLED", "1")
        .env("DO_NOT_TRACK", "1");
    for variable in ["TURBO_TOKEN", "TURBO_TEAM", "TURBO_API"] {
        command.env_remove(variable);
    }
    engine(&mut command, folder, host);
    command
}

/// Ninja with this file.
pub fn ninja(folder: &Utf8Path, host: &str, file: &Utf8Path) -> Command {
    let mut command = Command::new("ninja");
    command.arg("-f").arg(file);
    engine(&mut command, folder, host);
    command
}

/// Git without any user's or system's settings.
pub fn git(folder: &Utf8Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments);
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(variable);
    }
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "bench")
            .env(format!("GIT_{role}_EMAIL"), "bench@localhost")
            .env(format!("GIT_{role}_DATE"), "2025-01-01T00:00:00Z");
    }
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    // Until the tree is a repository, git must not take it for a part of the one around it.
    if let Some(above) = folder.parent() {
        command.env("GIT_CEILING_DIRECTORIES", above);
    }
    command
}

fn engine(command: &mut Command, folder: &Utf8Path, host: &str) {
    command
        .current_dir(folder)
        .env("DOCKER_HOST", host)
        // Compose has no flag for it.
        .env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1")
        .env_remove("SOURCE_DATE_EPOCH")
        .env_remove("BUILDX_BUILDER");
}

/// A ninja file with an edge for each stage: all its files, and the call that builds it.
pub fn ninja_file(stamps: &Utf8Path, stages: &[(&str, Vec<String>)]) -> String {
    let mut text = "rule image\n  command = docker buildx build --builder=default \
                    --provenance=false --tag=xtask-bench-ninja/$stage $stage && touch $out\n"
        .to_owned();
    text.push_str(&format!("builddir = {}\n", ninja_path(stamps.as_str())));
    for (stage, files) in stages {
        let stamp = ninja_path(stamps.join(stage).as_str());
        text.push_str(&format!("build {stamp}: image"));
        for file in files {
            text.push_str(&format!(" {}", ninja_path(file)));
        }
        text.push_str(&format!("\n  stage = {stage}\n"));
    }
    text
}

/// A path as ninja reads it.
fn ninja_path(path: &str) -> String {
    path.replace('$', "$$")
        .replace(' ', "$ ")
        .replace(':', "$:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ninja_file_names_every_file_as_ninja_reads_it() {
        let stages = [("api", vec!["api/a b:$c".to_owned(), "api/[d]".to_owned()])];
        let text = ninja_file(Utf8Path::new("/s t"), &stages);
        assert!(text.contains("builddir = /s$ t\n"), "{text}");
        let edge = "build /s$ t/api: image api/a$ b$:$$c api/[d]\n  stage = api\n";
        assert!(text.ends_with(edge), "{text}");
    }

    #[test]
    fn the_loop_stops_at_the_first_failure() {
        let command = build_loop(Utf8Path::new("/"), "unix:///x", ["a", "b"], "--no-cache");
        let script = command.get_args().nth(1).unwrap().to_str().unwrap();
        let calls: Vec<&str> = script.split(" && ").collect();
        assert_eq!(calls.len(), 2);
        assert!(
            calls[0].ends_with("--tag=xtask-bench-loop/a --no-cache a"),
            "{script}"
        );
    }
}
