//! A build of two large images without any cache, beside the other ways to build them.

use super::measure::Side;
use super::peers::{BAKE, LOOP};
use super::shipping::bake_file;
use super::{Bench, Place, tools, tree};
use crate::fault::Result;

const RECIPE: &str = "two images of 300 MB, with a bake file and a compose file (1)";
const OURS: &str = "cargo xtask build --force --no-cache";
/// How much time it may take, as a part of bake's.
const OF_BAKE: f64 = 0.8;

/// The stages for `docker compose`.
const COMPOSE: &str = r#"{
  "name": "xtask-bench-large",
  "services": {
    "image-0": { "build": { "context": "0" }, "image": "xtask-bench-compose/image-0" },
    "image-1": { "build": { "context": "1" }, "image": "xtask-bench-compose/image-1" }
  }
}
"#;

impl Bench {
    /// Every step run again: layers for the engine are not compressed here, as it unpacks them.
    pub(super) fn cold_build(&mut self) -> Result<()> {
        let Some(testbed) = self.own_engines("build")? else {
            return Ok(());
        };
        let host = testbed.host();
        let folder = self.folder.join("shipping-large");
        tree::once(&folder, RECIPE, |folder| {
            tree::images(folder, 2)?;
            std::fs::write(folder.join("compose.json"), COMPOSE)?;
            let bake = bake_file(&["image-0", "image-1"], None);
            std::fs::write(folder.join("bake.json"), bake)
        })?;
        let place = Place {
            graph: folder.join("build-graph.toml"),
            state: self.folder.join("state-shipping-large"),
            host: &host,
            path: None,
        };
        // Otherwise what earlier runs have left fills the disk.
        let prune = || {
            let prune = &["builder", "prune", "--all", "--force"];
            let mut command = tools::docker(&folder, &host, prune);
            let pruned = self.runner.once("docker builder prune", &mut command);
            pruned.map(drop)
        };
        let ours = || self.xtask(&place, &["build", "--force", "--no-cache"]);
        let bake = || tools::bake(&folder, &host, "bake.json", &["--no-cache"]);
        let one_by_one = || tools::build_loop(&folder, &host, ["0", "1"], "--no-cache");
        let compose = || tools::compose(&folder, &host, &["build", "--no-cache"]);
        let mut sides = vec![
            Side::new(OURS, ours).before(prune),
            Side::new(BAKE, bake).before(prune).goal(OF_BAKE),
            Side::new(LOOP, one_by_one).before(prune),
        ];
        if self.has_compose() {
            sides.push(Side::new("docker compose build", compose).before(prune));
        }
        let rows = self.compare("build", &sides)?;
        drop(sides);
        self.report.rows.extend(rows);
        Ok(())
    }
}
