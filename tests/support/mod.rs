//! Makes a project in a temporary folder, runs the real program on it, and reads its JSON.
//!
//! `XTASK_TEST_KEEP=1` keeps the folders of failing tests.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod actions;
pub mod browser;
pub mod engine;
pub mod gate;
pub mod line;
pub mod process;
pub mod push;
pub mod random;
pub mod registry;
pub mod remote;
pub mod tls;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

/// The status and the output of a finished run.
pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts the exit status.
    #[track_caller]
    pub fn ends(self, status: i32) -> Self {
        assert_eq!(
            self.status, status,
            "stdout: {}\nstderr: {}",
            self.stdout, self.stderr
        );
        self
    }

    /// Asserts that stderr contains a text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "{text:?} is not in:\n{}",
            self.stderr
        );
        self
    }

    /// Asserts that neither stream contains a text.
    #[track_caller]
    pub fn never_says(self, text: &str) -> Self {
        assert!(
            !self.stderr.contains(text) && !self.stdout.contains(text),
            "{text:?} is in:\n{}{}",
            self.stderr,
            self.stdout
        );
        self
    }

    /// All JSON lines of stdout.
    pub fn events(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    /// The outcome of every stage, from the last event.
    #[track_caller]
    pub fn outcome(&self) -> BTreeMap<String, String> {
        let last = self
            .events()
            .pop()
            .unwrap_or_else(|| panic!("no event; stderr: {}", self.stderr));
        assert_eq!(last["event"], "finished");
        last["outcome"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned()))
            .collect()
    }

    /// The stages with one outcome.
    #[track_caller]
    pub fn those(&self, outcome: &str) -> Vec<String> {
        self.outcome()
            .into_iter()
            .filter(|(_, is)| is == outcome)
            .map(|(name, _)| name)
            .collect()
    }
}

/// A folder with a graph and its own state.
pub struct Project {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Default for Project {
    fn default() -> Self {
        Self::new()
    }
}

impl Project {
    /// An empty project.
    pub fn new() -> Self {
        let mut folder = tempfile::Builder::new()
            .prefix("xtask-test-")
            .tempdir()
            .unwrap();
        folder.disable_cleanup(std::env::var_os("XTASK_TEST_KEEP").is_some());
        // Docker would make this folder while a build runs. The program would then see that the
        // folder above changed, and not what else changed in it.
        std::fs::create_dir(folder.path().join("docker-config")).unwrap();
        Self {
            folder,
            variables: Vec::new(),
        }
    }

    pub fn path(&self, inner: &str) -> PathBuf {
        self.folder.path().join(inner)
    }

    /// Sets a variable for every run.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Writes a file.
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.write(path, content);
        self
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Writes an executable file.
    pub fn script(self, path: &str, content: &str) -> Self {
        self.write(path, content);
        std::fs::set_permissions(self.path(path), std::fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// Copies a folder's content into the project.
    pub fn copy_of(self, from: &Path) -> Self {
        copy(from, self.folder.path());
        self
    }

    /// Copies a folder's content to a place in the project.
    pub fn copy_into(self, from: &Path, to: &Path) -> Self {
        copy(from, to);
        self
    }

    /// A command that will run the program on this project's graph.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command_in("", arguments);
        command.arg("--graph").arg(self.path("build-graph.toml"));
        command
    }

    /// A command that will run the program in a folder of this project, on the graph that it finds.
    pub fn command_in(&self, folder: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments);
        command.current_dir(self.path(folder)).stdin(Stdio::null());
        command
            .env("XTASK_STATE", self.path("state"))
            .env_remove("DOCKER_CONTEXT")
            .env_remove("DOCKER_DEFAULT_PLATFORM")
            .env_remove("SOURCE_DATE_EPOCH")
            .env_remove("GITHUB_ACTIONS")
            .env_remove("GITHUB_STEP_SUMMARY");
        // Only this machine is asked: for all other hosts there is a proxy that does not exist.
        for name in ["HTTP_PROXY", "HTTPS_PROXY"] {
            command.env(name, "http://127.0.0.1:1");
        }
        for name in [
            "NO_PROXY",
            "no_proxy",
            "ALL_PROXY",
            "all_proxy",
            "https_proxy",
            "http_proxy",
        ] {
            command.env_remove(name);
        }
        command.env("DOCKER_CONFIG", self.path("docker-config"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the copy of the program in the project. If the tests run as the superuser, who may read
    /// everything, the copy runs as a user who owns nothing.
    pub fn run_as_nobody(&self, arguments: &[&str]) -> Ran {
        use std::os::unix::fs::MetadataExt as _;
        use std::os::unix::process::CommandExt as _;
        let model = self.command(arguments);
        let mut command = Command::new(self.path("xtask"));
        command.args(model.get_args()).current_dir(self.path(""));
        command.envs(
            model
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        let state = self.path("state-of-nobody");
        std::fs::create_dir_all(&state).unwrap();
        std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o777)).unwrap();
        command.env("XTASK_STATE", state);
        if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
            command.uid(65_534).gid(65_534);
        }
        // A child that another test has just forked holds the copy open until it execs.
        loop {
            match command.output() {
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    std::thread::yield_now();
                }
                output => return Ran::of(output.unwrap()),
            }
        }
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(process::ended(&mut self.command(arguments)).unwrap_or_else(|why| panic!("{why}")))
    }

    pub fn run_in(&self, folder: &str, arguments: &[&str]) -> Ran {
        Ran::of(
            process::ended(&mut self.command_in(folder, arguments))
                .unwrap_or_else(|why| panic!("{why}")),
        )
    }

    /// Starts the program without waiting for it.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    pub fn finish(child: Child) -> Ran {
        Ran::of(child.wait_with_output().unwrap())
    }

    #[track_caller]
    pub fn build(&self, arguments: &[&str]) -> Ran {
        let mut all = vec!["build", "--json"];
        all.extend(arguments);
        self.run(&all)
    }

    /// Waits until the file system's clock has gone on by more than a tick. Then nothing that was
    /// written so far is racy, so a run may remember all of it.
    pub fn settle(&self) {
        let clock = || {
            let file = tempfile::NamedTempFile::new_in(self.folder.path()).unwrap();
            let meta = file.as_file().metadata().unwrap();
            meta.modified().unwrap()
        };
        let until = clock() + Duration::from_millis(150);
        while clock() < until {
            std::thread::yield_now();
        }
    }

    /// The verdict and the kind of reason of every stage.
    #[track_caller]
    pub fn verdicts(&self) -> BTreeMap<String, String> {
        self.verdicts_of(&[])
    }

    /// Like `verdicts`, for some stages and their parents.
    #[track_caller]
    pub fn verdicts_of(&self, stages: &[&str]) -> BTreeMap<String, String> {
        let mut all = vec!["plan", "--json"];
        all.extend(stages);
        let ran = self.run(&all).ends(0);
        let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
        let line = |stage: &Value| {
            let kind = stage["reason"]["kind"].as_str();
            let verdict = stage["verdict"].as_str().unwrap();
            let shown = kind.map_or_else(|| verdict.to_owned(), |kind| format!("{verdict} {kind}"));
            (stage["stage"].as_str().unwrap().to_owned(), shown)
        };
        plan["stages"]
            .as_array()
            .unwrap()
            .iter()
            .map(line)
            .collect()
    }

    /// The object that `plan` prints for a stage.
    #[track_caller]
    pub fn planned(&self, stage: &str) -> Value {
        let plan = self.run(&["plan", "--json"]).ends(0).stdout;
        let plan: Value = serde_json::from_str(&plan).unwrap();
        let stages = plan["stages"].as_array().unwrap();
        let found = stages.iter().find(|told| told["stage"] == stage);
        found.unwrap().clone()
    }

    /// The key that `plan` gives a stage.
    #[track_caller]
    pub fn inputs(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["inputs", "--json"];
        all.extend(arguments);
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let ran = Ran::of(
            command
                .args(all)
                .env("DOCKER_HOST", "unix:///nonexistent")
                .output()
                .unwrap(),
        )
        .ends(0);
        serde_json::from_str(&ran.stdout).unwrap()
    }
}

/// Sends the signal of Ctrl-C.
pub fn interrupt(child: &Child) {
    let program = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(program, rustix::process::Signal::INT).unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
