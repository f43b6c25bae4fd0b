//! A no-op in an engine that holds many images, beside the bare program.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use super::bare::{BARE, OF_BARE};
use super::measure::Side;
use super::peers::{BUILD, paths_of};
use super::{Bench, Place, bare};
use crate::fault::{Fault, Result};
use crate::workshop::testbed::{self, ImageStore};

/// How many images a crowded engine holds, and their name.
const CROWD: usize = 500;
const OF_CROWD: &str = "xtask-bench-crowd/image";

impl Bench {
    /// The same two images as in `noop`, in an engine that holds many others. The bench starts this
    /// engine itself, because users do not want these images in theirs.
    pub(super) fn crowded(&mut self) -> Result<()> {
        if !testbed::is_installed() {
            self.note(
                "crowded was left out, there is no engine to fill: run `cargo xtask test` once as root, which installs one",
            );
            return Ok(());
        }
        let interrupt = self.runner.interrupt();
        let folder = self.folder.join("crowded");
        let engine = match testbed::TestEngine::start(&folder, ImageStore::Containerd, interrupt) {
            Err(_) if interrupt.is_set() => return Err(Fault::interrupted()),
            Err(fault) => {
                self.note(format!("crowded was left out, {fault}"));
                return Ok(());
            }
            Ok(engine) => engine,
        };
        let host = engine.host();
        self.crowd(&folder, &host)?;
        let folder = self.dify()?;
        let place = Place {
            graph: folder.join("build-graph.toml"),
            state: self.folder.join("state-crowded"),
            host: &host,
            path: None,
        };
        self.settle(&place)?;
        let list = self.list_for_bare(&place)?;
        let sides = [
            Side::new(BUILD, || self.xtask(&place, &["build"])),
            Side::new(BARE, || self.bare(&folder, &list)).goal(OF_BARE),
        ];
        let rows = self.compare("crowded", &sides)?;
        drop(sides);
        self.report.rows.extend(rows);
        Ok(())
    }

    /// Adds images to an engine until it holds `CROWD`.
    fn crowd(&self, folder: &Utf8Path, host: &str) -> Result<()> {
        let docker = || {
            let mut command = Command::new("docker");
            command.env("DOCKER_HOST", host);
            command
        };
        let filter = format!("reference={OF_CROWD}");
        let mut list = docker();
        list.args(["image", "ls", "--quiet", "--filter", &filter]);
        let there = self.runner.output("docker image ls", &mut list)?;
        let there = String::from_utf8_lossy(&there).lines().count();
        if there >= CROWD {
            return Ok(());
        }
        crate::tell!("making {CROWD} images in {folder}");
        // An archive without files consists of its end alone.
        let archive = folder.join("empty.tar");
        std::fs::write(&archive, [0; 1024])
            .map_err(|error| Fault::lacks(format!("cannot write {archive}: {error}")))?;
        for number in there..CROWD {
            let name = format!("{OF_CROWD}:{number}");
            let mut import = docker();
            import.args(["import", archive.as_str(), &name]);
            self.runner.once("docker import", &mut import)?;
        }
        Ok(())
    }

    /// Writes a file with the paths that a no-op of the tree like Dify's looks at, and the images
    /// that it asks for.
    pub(super) fn list_for_bare(&self, place: &Place<'_>) -> Result<Utf8PathBuf> {
        let mut paths = Vec::new();
        let mut images = Vec::new();
        for stage in ["api", "web"] {
            let mut command = self.xtask(place, &["inputs", stage, "--json"]);
            let printed = self.runner.output("cargo xtask inputs", &mut command)?;
            paths.extend(paths_of(stage, &printed, |_| true)?);
            images.push(format!("xtask-bench/{stage}:latest"));
        }
        let list = place.state.join("bare");
        let socket = place.host.strip_prefix("unix://").unwrap_or(place.host);
        bare::write(&list, socket, &images, &paths)
            .map_err(|error| Fault::lacks(format!("cannot write {list}: {error}")))?;
        Ok(list)
    }

    pub(super) fn bare(&self, folder: &Utf8Path, list: &Utf8Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["bench", "--bare", list.as_str()]);
        command.current_dir(folder);
        command
    }
}
