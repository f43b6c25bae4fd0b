//! What shipping costs, beside `docker buildx bake` on the same engine and the same registry: a cold
//! build, a plan on a machine that starts empty, and one changed file.

use std::cell::Cell;
use std::process::Command;

use camino::Utf8Path;
use serde_json::json;

use super::measure::{Side, Times};
use super::peers::BUILD;
use super::table::Row;
use super::{Bench, Place, tree};
use crate::fault::{Fault, Result};
use crate::workshop::testbed::{self, Testbed};

const LARGE: &str = "two images of 300 MB, with a bake file (1)";
const SMALL: &str = "twenty images of 60 files, with a bake file (1)";
/// How many small stages there are.
const STAGES: usize = 20;
/// What each may take, as a part of bake's time.
const OF_COLD: f64 = 0.8;
const OF_FRESH: f64 = 0.05;
const OF_CHANGE: f64 = 0.25;
const BAKE: &str = "docker buildx bake";

impl Bench {
    /// All three cases, on an engine and a registry of the bench's own.
    pub(super) fn shipping(&mut self) -> Result<()> {
        if !testbed::is_installed() {
            self.note(
                "shipping was left out, there is no engine and no registry: run `cargo xtask test` once as root, which installs them",
            );
            return Ok(());
        }
        let interrupt = self.runner.interrupt();
        let engines = self.folder.join("shipping-engines");
        let testbed = match Testbed::start(&engines, interrupt) {
            Err(_) if interrupt.is_set() => return Err(Fault::interrupted()),
            Err(fault) => {
                self.note(format!("shipping was left out, {fault}"));
                return Ok(());
            }
            Ok(testbed) => testbed,
        };
        self.cold_build(&testbed.host())?;
        self.fresh_machine(&testbed)
    }

    /// Every step run again: layers for the engine are not compressed here, as it unpacks them.
    fn cold_build(&mut self, host: &str) -> Result<()> {
        let folder = self.folder.join("shipping-large");
        tree::once(&folder, LARGE, |folder| {
            tree::images(folder, 2)?;
            std::fs::write(
                folder.join("bake.json"),
                bake_file(&["image-0", "image-1"], None),
            )
        })?;
        let place = Place {
            graph: folder.join("build-graph.toml"),
            state: self.folder.join("state-shipping-large"),
            host,
            path: None,
        };
        let ours = || self.xtask(&place, &["build", "--force", "--no-cache"]);
        let sides = [
            Side::new("cargo xtask build --no-cache", ours),
            Side::new(BAKE, || bake(&folder, host, "bake.json", &["--no-cache"])),
        ];
        crate::tell!("shipping: {} cold builds of each", self.runner.runs());
        let times = self.runner.in_turns(&sides)?;
        drop(sides);
        self.rows(
            "shipping, cold",
            "cargo xtask build --no-cache",
            &times,
            OF_COLD,
        );
        Ok(())
    }

    /// A plan without any state and without an engine, and then one changed file.
    fn fresh_machine(&mut self, testbed: &Testbed) -> Result<()> {
        let (host, registry) = (testbed.host(), testbed.registry());
        let folder = self.folder.join("shipping-small");
        tree::once(&folder, SMALL, |folder| tree::small(folder, STAGES))?;
        let names: Vec<String> = (0..STAGES).map(|at| format!("small-{at}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let write = |name: &str, text: String| {
            std::fs::write(folder.join(name), text)
                .map_err(|error| Fault::lacks(format!("cannot write {folder}/{name}: {error}")))
        };
        write("bake.json", bake_file(&names, Some(&registry)))?;
        write("bake-local.json", bake_file(&names, None))?;
        write("build-graph.toml", tree::small_graph(STAGES, &registry))?;
        let graph = folder.join("build-graph.toml");
        let first = Place {
            graph: graph.clone(),
            state: self.folder.join("state-shipping-ci"),
            host: &host,
            path: None,
        };
        let empty = Place {
            graph: graph.clone(),
            state: self.folder.join("state-shipping-empty"),
            host: "unix:///nonexistent/docker.sock",
            path: None,
        };
        let mut ci = self.xtask(&first, &["build", "--profile", "ci"]);
        self.runner.once(BUILD, &mut ci)?;
        self.runner
            .once(BAKE, &mut bake(&folder, &host, "bake.json", &[]))?;
        let forget = || match std::fs::remove_dir_all(&empty.state) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Fault::lacks(
                format!("cannot remove {}: {error}", empty.state),
            )),
            _ => Ok(()),
        };
        let prune = || {
            let mut command = Command::new("docker");
            command.args(["builder", "prune", "--all", "--force"]);
            command.env("DOCKER_HOST", &host);
            self.runner
                .once("docker builder prune", &mut command)
                .map(drop)
        };
        let plan = "cargo xtask plan, empty machine";
        let sides = [
            Side::new(plan, || self.xtask(&empty, &["plan"])).before(forget),
            Side::new(BAKE, || bake(&folder, &host, "bake.json", &[])).before(prune),
        ];
        crate::tell!("shipping: {} plans of an empty machine", self.runner.runs());
        let times = self.runner.in_turns(&sides)?;
        drop(sides);
        self.rows("shipping, fresh", plan, &times, OF_FRESH);

        let local = Place {
            graph,
            state: self.folder.join("state-shipping-local"),
            host: &host,
            path: None,
        };
        let mut all = self.xtask(&local, &["build", "--profile", "local"]);
        self.runner.once(BUILD, &mut all)?;
        let number = Cell::new(std::process::id() as usize);
        let change = || {
            number.set(number.get() + 1);
            let file = folder.join("small-0/files/0");
            std::fs::write(&file, format!("changed {}", number.get()))
                .map_err(|error| Fault::lacks(format!("cannot write {file}: {error}")))
        };
        let sides = [
            Side::new(BUILD, || {
                self.xtask(&local, &["build", "--profile", "local"])
            })
            .before(change),
            Side::new(BAKE, || bake(&folder, &host, "bake-local.json", &[])).before(change),
        ];
        crate::tell!("shipping: {} builds after one change", self.runner.runs());
        let times = self.runner.in_turns(&sides)?;
        drop(sides);
        self.rows("shipping, one of 20", BUILD, &times, OF_CHANGE);
        Ok(())
    }

    fn rows(&mut self, case: &'static str, ours: &str, times: &[Times], goal: f64) {
        let rows = [
            Row::times(case, ours, &times[0]),
            Row::peer(case, BAKE, &times[0], &times[1], goal),
        ];
        self.report.rows.extend(rows);
    }
}

/// A bake file with these targets. With a registry, each target reads and writes its cache there.
fn bake_file(names: &[&str], registry: Option<&str>) -> String {
    let targets = names.iter().map(|name| {
        let context = name.strip_prefix("image-").unwrap_or(name);
        let mut target = json!({
            "context": context,
            "tags": [format!("xtask-bench/{name}:bake")],
            "output": ["type=docker"],
        });
        if let Some(registry) = registry {
            let cache = format!("type=registry,ref={registry}/bench-bake/cache:{name}");
            target["cache-from"] = json!([cache]);
            target["cache-to"] = json!([format!("{cache},mode=max")]);
        }
        ((*name).to_owned(), target)
    });
    let targets: serde_json::Map<String, serde_json::Value> = targets.collect();
    json!({ "group": { "default": { "targets": names } }, "target": targets }).to_string()
}

fn bake(folder: &Utf8Path, host: &str, file: &str, more: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command
        .current_dir(folder)
        .args(["buildx", "bake", "--builder=default", "--provenance=false"])
        .arg(format!("--file={file}"))
        .args(more)
        .env("DOCKER_HOST", host)
        .env_remove("SOURCE_DATE_EPOCH")
        .env_remove("BUILDX_BUILDER");
    command
}
