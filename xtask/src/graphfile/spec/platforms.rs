//! The platforms of a run: `--platform` first, then the graph file, then docker's own variable.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::{Spec, Stage, names};
use crate::fault::{Fault, Result};

/// Sorted, and each platform once, however it is spelt. Of several spellings the usual one stays.
pub fn sorted(platforms: Vec<String>) -> Vec<String> {
    let mut spelt: BTreeMap<Option<String>, String> = BTreeMap::new();
    for platform in platforms {
        let normal = reference::platform::normal(&platform);
        let is_usual = normal.as_ref() == Some(&platform);
        match spelt.entry(normal) {
            Entry::Vacant(entry) => drop(entry.insert(platform)),
            Entry::Occupied(mut entry) if is_usual => drop(entry.insert(platform)),
            Entry::Occupied(_) => {}
        }
    }
    let mut platforms: Vec<String> = spelt.into_values().collect();
    platforms.sort();
    platforms
}

/// Whether two spellings mean the same platform.
pub fn is_same(one: &str, other: &str) -> bool {
    reference::platform::normal(one) == reference::platform::normal(other)
}

/// Docker's own variable: the platform of every build that names none.
const DEFAULT: &str = "DOCKER_DEFAULT_PLATFORM";

impl Spec {
    /// `wanted`, from `--platform`, replaces the platforms of every stage. If it is empty, the
    /// variable that docker reads applies to the stages without platforms.
    pub fn choose_platforms(&mut self, wanted: &[String]) -> Result<()> {
        if !wanted.is_empty() {
            let platforms = read("--platform", wanted)?;
            for stage in &mut self.stages {
                stage.platforms.clone_from(&platforms);
            }
            return Ok(());
        }
        let Some(default) = std::env::var(DEFAULT).ok().filter(|it| !it.is_empty()) else {
            return Ok(());
        };
        let default: Vec<String> = default.split(',').map(str::to_owned).collect();
        let platforms = read(DEFAULT, &default)?;
        for stage in self.stages.iter_mut().filter(|it| it.platforms.is_empty()) {
            stage.platforms.clone_from(&platforms);
        }
        self.refuse_mixed()
    }

    /// Refuses a stage whose parent is not built for its platforms: BuildKit builds on a parent of
    /// another platform without a warning, and runs its programs. The platforms of the graph file
    /// itself were checked when it was read.
    fn refuse_mixed(&self) -> Result<()> {
        for stage in &self.stages {
            let mut parents = stage.upstream().into_iter().map(|id| self.stage(id));
            let lacks_one = |parent: &&Stage| {
                let mut platforms = stage.platforms.iter();
                !platforms.all(|own| parent.platforms.iter().any(|it| is_same(it, own)))
            };
            if let Some(parent) = parents.find(lacks_one) {
                return Err(Fault::usage(format!(
                    "with {DEFAULT}, `{}` is built for {}, and `{}`, which it stands on, is built for {}: give both the same `platforms`, or unset {DEFAULT}",
                    stage.name,
                    stage.platforms.join(", "),
                    parent.name,
                    parent.platforms.join(", ")
                )));
            }
        }
        Ok(())
    }
}

fn read(place: &str, platforms: &[String]) -> Result<Vec<String>> {
    for platform in platforms {
        names::platform(platform).map_err(|wrong| {
            Fault::usage(format!("`{place} {}` {wrong}", platform.escape_debug()))
        })?;
    }
    Ok(sorted(platforms.to_vec()))
}
