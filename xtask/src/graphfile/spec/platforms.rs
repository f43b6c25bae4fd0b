//! The platforms that a run is asked for.
//!
//! Knows what stands in front of what the graph says, and what behind it. Is unaware of engines.

use super::{Spec, Stage, names};
use crate::fault::{Fault, Result};

/// Docker's own variable: the platform of every build that names none.
const DEFAULT: &str = "DOCKER_DEFAULT_PLATFORM";

impl Spec {
    /// `wanted`, of `--platform`, stands in the place of what the graph says; without it, the
    /// variable that docker reads stands where the graph says nothing.
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

    /// BuildKit builds on a parent of another platform without a word, and runs its programs. What the
    /// graph file itself says was looked at before.
    fn refuse_mixed(&self) -> Result<()> {
        for stage in &self.stages {
            let mut parents = stage.upstream().into_iter().map(|id| self.stage(id));
            let lacks_one = |parent: &&Stage| {
                let mut platforms = stage.platforms.iter();
                !platforms.all(|platform| parent.platforms.contains(platform))
            };
            if let Some(parent) = parents.find(lacks_one) {
                return Err(Fault::usage(format!(
                    "{DEFAULT} has `{}` built for {}, and `{}`, which it stands on, is built for {}: give both the same `platforms`, or unset it",
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
    let mut platforms = platforms.to_vec();
    platforms.sort();
    platforms.dedup();
    Ok(platforms)
}
