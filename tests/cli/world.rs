//! A project whose source comes from a local git repository.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Child;

use crate::support::remote::Remote;
use crate::support::{Project, Ran};

/// A project with one stage `a` from a source `s`.
pub struct World {
    pub project: Project,
    pub remote: Remote,
}

impl World {
    pub fn new() -> Self {
        Self::of(Remote::new(), "1.0", "")
    }

    /// A project with a source at a revision, and further lines for the source.
    pub fn of(remote: Remote, rev: &str, lines: &str) -> Self {
        let project = Project::new();
        let settings = project.path("gitconfig").display().to_string();
        let world = Self {
            project: project
                .variable("DOCKER_HOST", "unix:///nonexistent/docker.sock")
                .variable("GIT_CONFIG_GLOBAL", &settings)
                .variable("GIT_CONFIG_NOSYSTEM", "1")
                .file("gitconfig", ""),
            remote,
        };
        world.graph(&world.remote.url(), rev, lines);
        world
    }

    pub fn graph(&self, url: &str, rev: &str, lines: &str) {
        let graph = format!(
            "version = 1\n[stage.a]\nsource = \"s\"\ncontext = \"api\"\n\
             [source.s]\ngit = \"{url}\"\nrev = \"{rev}\"\n{lines}\n"
        );
        self.project.write("build-graph.toml", graph);
    }

    pub fn sync(&self) -> Ran {
        self.project.run(&["sync"])
    }

    /// The commit that the lock pins for `s`.
    pub fn pinned(&self) -> Option<String> {
        let lock = fs::read_to_string(self.project.path("build-graph.lock")).ok()?;
        let line = lock.lines().find_map(|line| line.strip_prefix("commit = "));
        line.map(|commit| commit.trim_matches('"').to_owned())
    }

    /// The folder of `s` in the state.
    pub fn folder(&self) -> PathBuf {
        let graphs = fs::read_dir(self.project.path("state")).unwrap();
        let graph = graphs.map(|entry| entry.unwrap().path()).next().unwrap();
        graph.join("sources/s")
    }

    /// The names in the folder of `s`, without the objects. If nothing was left over, these are the
    /// complete trees.
    #[track_caller]
    pub fn trees(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.folder()).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "objects.git").collect()
    }

    pub fn tree(&self) -> PathBuf {
        self.folder().join(self.pinned().unwrap())
    }

    /// Removes everything that was fetched. The lock stays.
    pub fn on_another_machine(&self) {
        fs::remove_dir_all(self.project.path("state")).unwrap();
    }

    /// From now on, git writes down its calls, and runs `script` before each.
    pub fn with_git(self, script: &str) -> Self {
        let calls = self.project.path("calls");
        let path = std::env::var("PATH").unwrap();
        let real = std::env::split_paths(&path).map(|folder| folder.join("git"));
        let real = real.into_iter().find(|file| file.is_file()).unwrap();
        let script = format!(
            "#!/bin/sh\necho \"$*\" >> {}\n{script}\nexec {} \"$@\"\n",
            calls.display(),
            real.display()
        );
        let bin = self.project.path("bin");
        let project = self.project.script("bin/git", &script).file("calls", "");
        Self {
            project: project.variable("PATH", &format!("{}:{path}", bin.display())),
            ..self
        }
    }

    pub fn calls(&self) -> String {
        fs::read_to_string(self.project.path("calls")).unwrap()
    }

    /// Sets the script that the server runs in place of `git pack-objects`. It has the arguments in
    /// `$@`.
    pub fn with_server(&self, script: &str) {
        let hook = self.project.path("hook");
        self.project.write("hook", format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
        let settings = format!("[uploadpack]\npackObjectsHook = {}\n", hook.display());
        self.project.write("gitconfig", settings);
    }

    /// A project whose source has a tag `large` that takes a while to be sent.
    pub fn large() -> Self {
        let remote = Remote::new();
        remote.write("noise", noise());
        remote.commit();
        remote.git(&["tag", "large"]);
        remote.push();
        Self::of(remote, "large", "")
    }
}

/// Bytes that cannot be compressed.
pub fn noise() -> Vec<u8> {
    let mut seed = 1_u64;
    let bytes = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        seed.to_be_bytes()[0]
    });
    bytes.take(300_000).collect()
}

/// Reads stderr until the program prints a text. Returns the reader for the rest.
#[track_caller]
pub fn until_said(child: &mut Child, text: &str) -> impl BufRead + use<> {
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while said.read_line(&mut line).unwrap() > 0 {
        if line.contains(text) {
            return said;
        }
        line.clear();
    }
    panic!("it never said {text:?}");
}
