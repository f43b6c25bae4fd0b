//! A git repository for a test, and a checkout in which its commits are made.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A bare repository in a temporary folder.
pub struct Remote {
    folder: tempfile::TempDir,
}

impl Default for Remote {
    fn default() -> Self {
        Self::new()
    }
}

impl Remote {
    /// One commit on `main`, with the tag `1.0`.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("xtask-remote-")
            .tempdir()
            .unwrap();
        let remote = Self { folder };
        std::fs::create_dir(remote.work()).unwrap();
        remote.git(&["init", "--quiet", "--initial-branch=main"]);
        remote.git(&[
            "init",
            "--quiet",
            "--bare",
            "--initial-branch=main",
            "../r.git",
        ]);
        remote.write("api/Dockerfile", "FROM scratch\nCOPY src /src\n");
        remote.write("api/src/one", "1\n");
        remote.commit();
        remote.git(&["tag", "--annotate", "--message=1.0", "1.0"]);
        remote.push();
        remote
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("r.git")
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.work().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn link(&self, target: impl AsRef<Path>, path: &str) {
        symlink(target, self.work().join(path)).unwrap();
    }

    /// Runs git in the checkout, as on a machine without any settings.
    pub fn git(&self, arguments: &[&str]) -> String {
        git(&self.work(), arguments)
    }

    /// Commits everything, and returns the commit.
    pub fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message=x"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Mirrors the checkout to the repository, with all branches and tags.
    pub fn push(&self) {
        self.git(&["push", "--quiet", "--mirror", "../r.git"]);
    }

    /// Makes another repository with the same content.
    pub fn mirror(&self) -> String {
        let to = self.folder.path().join("mirror.git");
        let to = to.to_str().unwrap();
        self.git(&["clone", "--quiet", "--mirror", "../r.git", to]);
        format!("file://{to}")
    }
}

/// Runs git in a folder, as on a machine without any settings.
pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
