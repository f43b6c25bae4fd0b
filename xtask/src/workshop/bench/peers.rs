//! The cases on a tree like Dify's, beside the tools that people use on such a tree: docker buildx
//! bake, git and b3sum.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use super::bare::{BARE, OF_BARE};
use super::measure::Side;
use super::table::Row;
use super::{Bench, Place, has, tree};
use crate::fault::{Fault, Result};
use crate::outside::interrupt::Interrupt;
use crate::workshop::testbed::{self, Testbed};

pub(super) const BUILD: &str = "cargo xtask build";
const PLAN: &str = "cargo xtask plan, empty state";
const RECIPE: &str = "a tree like Dify's, 6,800 files of 50 MB (1)";
/// How much time a no-op may take, as a part of bake's and of git's, and a first hash, as a part of
/// b3sum's.
const OF_BAKE: f64 = 0.02;
const OF_GIT: f64 = 0.5;
const OF_B3SUM: f64 = 1.0;

/// A real engine: one that runs already, or one that is started for the bench.
pub(super) enum BenchEngine {
    Running(String),
    Started(Box<Testbed>),
}

impl BenchEngine {
    /// The engine that `XTASK_TEST_ENGINE` names, or an engine of the bench's own if the machine
    /// has what it needs.
    pub(super) fn find(folder: &Utf8Path, interrupt: &Interrupt) -> Result<Self, String> {
        if let Ok(host) = std::env::var("XTASK_TEST_ENGINE") {
            return Ok(Self::Running(host));
        }
        let remedy =
            "set XTASK_TEST_ENGINE to the address of one that runs, as unix:///var/run/docker.sock";
        if !testbed::is_installed() {
            return Err(format!(
                "no engine: {remedy}, or run `cargo xtask test` once as root, which installs one"
            ));
        }
        crate::tell!("starting an engine");
        let started = Testbed::start(folder, interrupt);
        started
            .map(|testbed| Self::Started(Box::new(testbed)))
            .map_err(|fault| format!("{fault}; {remedy}"))
    }

    pub(super) fn host(&self) -> String {
        match self {
            Self::Running(host) => host.clone(),
            Self::Started(testbed) => testbed.host(),
        }
    }
}

impl Bench {
    /// Makes the tree like Dify's, and gives its folder.
    pub(super) fn dify(&self) -> Result<Utf8PathBuf> {
        let folder = self.folder.join("dify");
        tree::once(&folder, RECIPE, tree::dify)?;
        Ok(folder)
    }

    /// A no-op for two real images.
    pub(super) fn noop(&mut self) -> Result<()> {
        if !has("docker") {
            self.note("noop was left out, there is no docker here: apt-get install docker-cli docker-buildx");
            return Ok(());
        }
        let interrupt = self.runner.interrupt();
        match BenchEngine::find(&self.folder.join("engine"), interrupt) {
            Err(_) if interrupt.is_set() => Err(Fault::interrupted()),
            Err(why) => {
                self.note(format!("noop was left out, {why}"));
                Ok(())
            }
            Ok(engine) => self.noop_on(&engine.host()),
        }
    }

    fn noop_on(&mut self, host: &str) -> Result<()> {
        let folder = self.dify()?;
        let place = Place {
            graph: folder.join("build-graph.toml"),
            state: self.folder.join("state"),
            host,
            path: None,
        };
        self.settle(&place)?;
        let list = self.list_for_bare(&place)?;
        let mut sides = vec![
            Side::new(BUILD, || self.xtask(&place, &["build"])),
            Side::new(BARE, || self.bare(&folder, &list)),
            Side::new("docker buildx bake", || bake(&folder, host)),
        ];
        let mut goals = vec![OF_BARE, OF_BAKE];
        let has_git = has("git");
        if has_git {
            self.commit(&folder)?;
            sides.push(Side::new("git status", || git(&folder, &["status"])));
            goals.push(OF_GIT);
        }
        let rows = self.compare("noop", &sides, &goals)?;
        drop(sides);
        self.report.rows.extend(rows);
        if !has_git {
            self.note("git status was left out, there is no git here: apt-get install git");
        }
        Ok(())
    }

    /// Makes the tree a git repository with everything committed, unless it is one already.
    fn commit(&self, folder: &Utf8Path) -> Result<()> {
        let run = |arguments: &[&str]| self.runner.once("git", &mut git(folder, arguments));
        let is_committed = || {
            let mut command = git(folder, &["rev-parse", "--verify", "--quiet", "HEAD"]);
            command.output().is_ok_and(|output| output.status.success())
        };
        if is_committed() {
            return Ok(());
        }
        run(&["init", "--quiet"])?;
        run(&["add", "--all"])?;
        run(&["commit", "--quiet", "--message=The tree of the bench"])?;
        Ok(())
    }

    /// Every file hashed for the first time. Both programs find the files in the page cache, as the
    /// warm-up has read them.
    pub(super) fn cold(&mut self) -> Result<()> {
        if !has("b3sum") {
            self.note("cold was left out, there is no b3sum here: cargo install b3sum");
            return Ok(());
        }
        let folder = self.dify()?;
        let stand_in = self.stand_in()?;
        let host = stand_in.host();
        let place = Place {
            graph: folder.join("build-graph.toml"),
            state: self.folder.join("state-cold"),
            host: &host,
            path: None,
        };
        let mut files = Vec::new();
        for stage in ["api", "web"] {
            let mut command = self.xtask(&place, &["inputs", stage, "--json"]);
            let printed = self.runner.output("cargo xtask inputs", &mut command)?;
            files.extend(paths_of(stage, &printed, |kind| kind == "file")?);
        }
        let forget = || match std::fs::remove_dir_all(&place.state) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Fault::lacks(
                format!("cannot remove {}: {error}", place.state),
            )),
            _ => Ok(()),
        };
        let sides = [
            Side::new(PLAN, || self.xtask(&place, &["plan"])).before(forget),
            Side::new("b3sum", || {
                let mut command = Command::new("b3sum");
                command.current_dir(&folder).args(&files);
                command
            }),
        ];
        crate::tell!("cold: {} runs of each", self.runner.runs());
        let times = self.runner.in_turns(&sides)?;
        drop(sides);
        let what = format!("b3sum, the same {} files", files.len());
        let rows = [
            Row::times("cold", PLAN, &times[0]),
            Row::peer("cold", what, &times[0], &times[1], OF_B3SUM),
        ];
        self.report.rows.extend(rows);
        Ok(())
    }
}

/// The paths in the output of `inputs --json`, relative to the root of the tree.
pub(super) fn paths_of(
    stage: &str,
    printed: &[u8],
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<String>> {
    let all: Value = serde_json::from_slice(printed)
        .map_err(|error| Fault::failed(format!("cannot read the inputs of {stage}: {error}")))?;
    let inputs = all["inputs"].as_array().map_or(&[][..], Vec::as_slice);
    let inputs = inputs
        .iter()
        .filter(|input| input["kind"].as_str().is_some_and(&wanted));
    Ok(inputs
        .filter_map(|input| Some(format!("{stage}/{}", input["path"].as_str()?)))
        .collect())
}

fn bake(folder: &Utf8Path, host: &str) -> Command {
    let mut command = Command::new("docker");
    command
        .current_dir(folder)
        .args(["buildx", "bake", "--builder=default", "--provenance=false"])
        .arg("--file=bake.json")
        .env("DOCKER_HOST", host)
        .env_remove("SOURCE_DATE_EPOCH")
        .env_remove("BUILDX_BUILDER");
    command
}

/// Git without any user's or system's settings.
fn git(folder: &Utf8Path, arguments: &[&str]) -> Command {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_files_among_the_inputs_are_hashed_by_others() {
        let printed =
            br#"{"inputs":[{"path":"a","kind":"dir"},{"path":"a/[b] c","kind":"file"},{"path":"l","kind":"symlink"}]}"#;
        let is_file = |kind: &str| kind == "file";
        assert_eq!(paths_of("api", printed, is_file).unwrap(), ["api/a/[b] c"]);
        assert_eq!(paths_of("api", printed, |_| true).unwrap().len(), 3);
        assert!(paths_of("api", b"nothing", is_file).is_err());
    }
}
