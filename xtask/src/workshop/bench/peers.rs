//! The cases on a tree like Dify's, beside the tools that people use on such a tree.

use std::cell::Cell;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use super::bare::{BARE, OF_BARE};
use super::measure::Side;
use super::table::Row;
use super::{Bench, Place, tools, tree};
use crate::fault::{Fault, Result};

pub(super) const BUILD: &str = "cargo xtask build";
const PLAN: &str = "cargo xtask plan, empty state";
pub(super) const BAKE: &str = "docker buildx bake";
pub(super) const LOOP: &str = "docker buildx build, one after the other";
const COMPOSE: &str = "docker compose up --build";
const TURBO: &str = "turbo run build";
const RECIPE: &str = "a tree like Dify's, 6,800 files of 50 MB (2)";
const STAGES: [&str; 2] = ["api", "web"];
/// How much time a no-op may take, as a part of bake's and of git's, and a first hash, as a part of
/// b3sum's.
const OF_BAKE: f64 = 0.02;
const OF_GIT: f64 = 0.5;
const OF_B3SUM: f64 = 1.0;
/// The commands that install the peers.
const GET_NINJA: &str = "apt-get install ninja-build";
const GET_B3SUM: &str = "cargo install b3sum";
const GET_GIT: &str = "apt-get install git";

/// The peers that are here, with what they need.
struct Peers {
    has_git: bool,
    has_compose: bool,
    /// The file of ninja.
    ninja: Option<Utf8PathBuf>,
    /// The folder that Turborepo is installed in.
    turbo: Option<Utf8PathBuf>,
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
        self.on_the_tree("noop", Self::noop_on)
    }

    /// One changed file of a real image.
    pub(super) fn change(&mut self) -> Result<()> {
        self.on_the_tree("change", Self::change_on)
    }

    /// Brings the tree up to date on a real engine, and measures there.
    fn on_the_tree(
        &mut self,
        case: &str,
        measure: fn(&mut Self, &Place<'_>, &Utf8Path) -> Result<()>,
    ) -> Result<()> {
        let Some(engine) = self.engine(case)? else {
            return Ok(());
        };
        let host = engine.host();
        let folder = self.dify()?;
        let place = Place {
            graph: folder.join("build-graph.toml"),
            state: self.folder.join("state"),
            host: &host,
            path: None,
        };
        self.settle(&place)?;
        let measured = measure(self, &place, &folder);
        if self.has_compose() {
            // The containers that compose has created and not started.
            let mut down = tools::compose(&folder, &host, &["down", "--timeout=0"]);
            let removed = self.runner.once("docker compose down", &mut down);
            return measured.and(removed.map(drop));
        }
        measured
    }

    fn noop_on(&mut self, place: &Place<'_>, folder: &Utf8Path) -> Result<()> {
        let peers = self.peers(place, folder)?;
        let list = self.list_for_bare(place)?;
        let host = place.host;
        let mut sides = vec![
            Side::new(BUILD, || self.xtask(place, &["build"])),
            Side::new(BARE, || self.bare(folder, &list)).goal(OF_BARE),
            Side::new(BAKE, || tools::bake(folder, host, "bake.json", &[])).goal(OF_BAKE),
        ];
        sides.extend(peers.builders(folder, host));
        if peers.has_git {
            sides.push(Side::new("git status", || tools::git(folder, &["status"])).goal(OF_GIT));
        }
        let rows = self.compare("noop", &sides)?;
        drop(sides);
        self.report.rows.extend(rows);
        Ok(())
    }

    fn change_on(&mut self, place: &Place<'_>, folder: &Utf8Path) -> Result<()> {
        let peers = self.peers(place, folder)?;
        let host = place.host;
        let fault = |error| Fault::lacks(format!("cannot write into {folder}: {error}"));
        // No program finds the change of another one in BuildKit's cache, nor one of a former bench.
        let seconds = crate::outside::clock::now().as_secs();
        let number = Cell::new(usize::try_from(seconds).unwrap_or_default() << 16);
        let change = || {
            number.set(number.get() + 1);
            tree::write_dify_file(folder, Some(number.get())).map_err(fault)
        };
        let mut sides = vec![
            Side::new(BUILD, || self.xtask(place, &["build"])),
            Side::new(BAKE, || tools::bake(folder, host, "bake.json", &[])),
        ];
        sides.extend(peers.builders(folder, host));
        let sides: Vec<_> = sides.into_iter().map(|side| side.before(change)).collect();
        let rows = self.compare("change", &sides);
        drop(sides);
        tree::write_dify_file(folder, None).map_err(fault)?;
        self.report.rows.extend(rows?);
        Ok(())
    }

    /// Finds the peers, and makes what they need.
    fn peers(&mut self, place: &Place<'_>, folder: &Utf8Path) -> Result<Peers> {
        let has_git = self.has_peer("git", GET_GIT);
        if has_git {
            self.commit(folder)?;
        }
        let ninja = if self.has_peer("ninja", GET_NINJA) {
            Some(self.ninja_file(place)?)
        } else {
            None
        };
        let turbo = self.turborepo()?;
        if turbo.is_some() {
            self.note("turbo replays what a task has printed, and does not look whether the image is there");
        }
        let has_compose = self.has_compose();
        self.note(if has_compose {
            "docker compose up runs with --no-start, as the images have no program"
        } else {
            "docker compose was left out, it is not here: apt-get install docker-compose-plugin"
        });
        Ok(Peers {
            has_git,
            has_compose,
            ninja,
            turbo,
        })
    }

    /// Writes the file of ninja for the tree.
    fn ninja_file(&self, place: &Place<'_>) -> Result<Utf8PathBuf> {
        let mut stages = Vec::new();
        for stage in STAGES {
            let mut files = self.files_of(place, stage)?;
            // A change of the Dockerfile is one of the image, even if the context leaves it out.
            let dockerfile = format!("{stage}/Dockerfile");
            if !files.contains(&dockerfile) {
                files.push(dockerfile);
            }
            stages.push((stage, files));
        }
        let stamps = self.folder.join("ninja");
        let file = stamps.join("build.ninja");
        std::fs::create_dir_all(&stamps)
            .and_then(|()| std::fs::write(&file, tools::ninja_file(&stamps, &stages)))
            .map_err(|error| Fault::lacks(format!("cannot write {file}: {error}")))?;
        Ok(file)
    }

    /// The files among the inputs of a stage, relative to the root of the tree.
    fn files_of(&self, place: &Place<'_>, stage: &str) -> Result<Vec<String>> {
        let mut command = self.xtask(place, &["inputs", stage, "--json"]);
        let printed = self.runner.output("cargo xtask inputs", &mut command)?;
        paths_of(stage, &printed, |kind| kind == "file")
    }

    /// Makes the tree a git repository with everything committed, unless it is one already.
    fn commit(&self, folder: &Utf8Path) -> Result<()> {
        let run = |arguments: &[&str]| self.runner.once("git", &mut tools::git(folder, arguments));
        let is_committed = || {
            let mut command = tools::git(folder, &["rev-parse", "--verify", "--quiet", "HEAD"]);
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

    /// Every file hashed for the first time. All programs find the files in the page cache, as the
    /// warm-up has read them.
    pub(super) fn cold(&mut self) -> Result<()> {
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
        for stage in STAGES {
            files.extend(self.files_of(&place, stage)?);
        }
        let has_b3sum = self.has_peer("b3sum", GET_B3SUM);
        let turbo = self.turborepo()?;
        if turbo.is_some() && self.has_peer("git", GET_GIT) {
            self.commit(&folder)?;
            self.note("turbo takes the hashes of unchanged files from git's index, and reads none");
        }
        let forget = || match std::fs::remove_dir_all(&place.state) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Fault::lacks(
                format!("cannot remove {}: {error}", place.state),
            )),
            _ => Ok(()),
        };
        let mut sides = vec![Side::new(PLAN, || self.xtask(&place, &["plan"])).before(forget)];
        if has_b3sum {
            let b3sum = || {
                let mut command = std::process::Command::new("b3sum");
                command.current_dir(&folder).args(&files);
                command
            };
            sides.push(Side::new("b3sum, the same files", b3sum).goal(OF_B3SUM));
        }
        if let Some(turbo) = &turbo {
            let dry = || tools::turbo(turbo, &folder, &host, &["--dry=json"]);
            sides.push(Side::new("turbo run build --dry", dry));
        }
        let rows = self.compare("cold", &sides)?;
        drop(sides);
        self.report.rows.extend(rows);
        Ok(())
    }

    /// Runs all sides in turns. The first side is this program, which the others are held against.
    pub(super) fn compare(&self, case: &str, sides: &[Side<'_>]) -> Result<Vec<Row>> {
        crate::tell!("{case}: {} runs of each", self.runner.runs());
        let measured = self.runner.measure(sides)?;
        let mut all = sides.iter().zip(&measured);
        let Some((side, own)) = all.next() else {
            return Ok(Vec::new());
        };
        let ours = Row::ours(case, side.name, own);
        let peers = all.map(|(side, theirs)| Row::peer(side.name, theirs, &ours, side.goal));
        let peers: Vec<Row> = peers.collect();
        Ok(std::iter::once(ours).chain(peers).collect())
    }
}

impl Peers {
    /// The peers that build images, besides bake.
    fn builders<'a>(&'a self, folder: &'a Utf8Path, host: &'a str) -> Vec<Side<'a>> {
        let up = &["up", "--build", "--no-start"];
        let mut sides = vec![Side::new(LOOP, move || {
            tools::build_loop(folder, host, STAGES, "")
        })];
        if self.has_compose {
            let run = move || tools::compose(folder, host, up);
            sides.push(Side::new(COMPOSE, run));
        }
        if let Some(file) = &self.ninja {
            sides.push(Side::new("ninja", move || tools::ninja(folder, host, file)));
        }
        if let Some(turbo) = &self.turbo {
            let run = move || tools::turbo(turbo, folder, host, &[]);
            sides.push(Side::new(TURBO, run));
        }
        sides
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
