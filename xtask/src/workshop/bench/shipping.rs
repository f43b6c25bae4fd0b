//! What shipping costs, beside `docker buildx bake` on the same engine and the same registry: a plan
//! on a machine that starts empty, and one changed file.

use serde_json::json;
use std::cell::Cell;

use super::measure::Side;
use super::peers::{BAKE, BUILD};
use super::tools::{bake, docker};
use super::{Bench, Place, tree};
use crate::fault::{Fault, Result};
use crate::workshop::testbed::Testbed;

const SMALL: &str = "twenty images of 60 files, with a bake file (1)";
/// How many small stages there are.
const STAGES: usize = 20;
/// What each may take, as a part of bake's time.
const OF_FRESH: f64 = 0.05;
const OF_CHANGE: f64 = 0.25;

impl Bench {
    /// Both cases, on an engine and a registry of the bench's own.
    pub(super) fn shipping(&mut self) -> Result<()> {
        match self.own_engines("shipping")? {
            Some(testbed) => self.fresh_machine(&testbed),
            None => Ok(()),
        }
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
            let prune = &["builder", "prune", "--all", "--force"];
            let mut command = docker(&folder, &host, prune);
            self.runner
                .once("docker builder prune", &mut command)
                .map(drop)
        };
        let plan = "cargo xtask plan, empty machine";
        let sides = [
            Side::new(plan, || self.xtask(&empty, &["plan"])).before(forget),
            Side::new(BAKE, || bake(&folder, &host, "bake.json", &[]))
                .before(prune)
                .goal(OF_FRESH),
        ];
        let rows = self.compare("empty machine", &sides)?;
        drop(sides);
        self.report.rows.extend(rows);

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
            Side::new(BAKE, || bake(&folder, &host, "bake-local.json", &[]))
                .before(change)
                .goal(OF_CHANGE),
        ];
        let rows = self.compare("one of 20", &sides)?;
        drop(sides);
        self.report.rows.extend(rows);
        Ok(())
    }
}

/// A bake file with these targets. With a registry, each target reads and writes its cache there.
pub(super) fn bake_file(names: &[&str], registry: Option<&str>) -> String {
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
