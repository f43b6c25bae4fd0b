//! The builders of a run: the engine's own, and those of the graph file.
//!
//! A builder decides where a stage is built, and nothing else: no key and no record knows it. What
//! a builder beside the engine's own has made comes back as an OCI layout, and what it needs is sent
//! to it by buildx, so it never has to reach this machine.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use super::lanes::{Choice, Lane, LaneClass};
use crate::fault::Result;
use crate::freshness::planner::Workspace;
use crate::graphfile::call::Call;
use crate::graphfile::spec::builders::Builder;
use crate::graphfile::spec::run::Network;
use crate::graphfile::spec::{Spec, Stage};
use crate::outside::archive;
use crate::outside::builder::{Remote, Unusable};
use crate::outside::engine::Engine;
use crate::outside::interrupt::Interrupt;
use crate::outside::place::ImagePlace;
use crate::unpoisoned::Unpoisoned as _;

/// The builders of a run, by lane.
pub(super) struct Builders<'a> {
    /// The engine's own, if the graph file describes it.
    own: Option<&'a Builder>,
    /// Those of the other lanes, from lane 1.
    others: Vec<Other<'a>>,
    /// The engine's own platform, if there are others.
    platform: Option<String>,
    jobs: usize,
}

/// A builder beside the engine's own.
pub(super) struct Other<'a> {
    builder: &'a Builder,
    pub(super) remote: Remote,
    /// Whether it can be used, by platform, once it was asked.
    prepared: Mutex<HashMap<Option<String>, std::result::Result<(), String>>>,
    /// The images of the engine that are in the layout for it, by id and platform.
    lent: Mutex<HashMap<(String, Option<String>), String>>,
}

impl<'a> Builders<'a> {
    /// The builders of a graph. `jobs` is how many places the call wants on the engine's own, if it
    /// says so. Only that one asks no registry for a base, as `is_offline` wants it.
    pub(super) fn of(
        spec: &'a Spec,
        engine: &Engine,
        jobs: Option<usize>,
        is_offline: bool,
    ) -> Self {
        let (mut own, mut others) = (None, Vec::new());
        for builder in &spec.builders {
            match builder.remote(engine.in_use()) {
                None => own = Some(builder),
                Some(_) if is_offline => {}
                Some(remote) => others.push(Other {
                    builder,
                    remote,
                    prepared: Mutex::default(),
                    lent: Mutex::default(),
                }),
            }
        }
        let of_file = own.map(|own| own.jobs as usize);
        let platform = (!others.is_empty()).then(|| engine.platform()).flatten();
        Self {
            platform: platform.and_then(reference::platform::normal),
            own,
            others,
            jobs: jobs.or(of_file).unwrap_or_else(super::default_jobs),
        }
    }

    /// The lanes: the engine's own builder first.
    pub(super) fn lanes(&self) -> Vec<Lane> {
        let own = Lane {
            places: self.jobs,
            strength: self.own.map_or(1, |own| own.weight as usize),
        };
        let others = self.others.iter().map(|other| Lane {
            places: other.builder.jobs as usize,
            strength: other.builder.weight as usize,
        });
        std::iter::once(own).chain(others).collect()
    }

    /// The lanes that may take a stage: first those that build its platform without emulation, then
    /// the engine's own. A declared builder goes before the engine's own if both have nothing to do.
    pub(super) fn choice(&self, stage: &Stage) -> Choice {
        if self.others.is_empty()
            || stage.is_assembled()
            || stage.run.network == Some(Network::Host)
        {
            return vec![vec![0]];
        }
        let Some(platform) = self.platform_of(stage) else {
            return vec![vec![0]];
        };
        let others = self.others.iter().enumerate();
        let others = others.filter(|(_, other)| other.builder.is_native(&platform));
        let mut native: Vec<usize> = others.map(|(at, _)| at + 1).collect();
        if self.is_native_here(&platform) {
            native.push(0);
        }
        vec![native, vec![0]]
    }

    /// The platform that a stage is built for, in normal form.
    pub(super) fn platform_of(&self, stage: &Stage) -> Option<String> {
        match stage.platforms.first() {
            Some(platform) => reference::platform::normal(platform),
            None => self.platform.clone(),
        }
    }

    /// The class of a stage for the schedule: its platform.
    pub(super) fn class(&self, stage: &Stage) -> LaneClass {
        let platforms: BTreeSet<&String> = self
            .others
            .iter()
            .flat_map(|other| &other.builder.platforms)
            .collect();
        let own = self.platform_of(stage);
        let place = own.and_then(|own| platforms.iter().position(|it| **it == own));
        place.unwrap_or(platforms.len())
    }

    /// The platform that a builder must be told, for a stage that names none.
    pub(super) fn platform(&self) -> Option<&str> {
        self.platform.as_deref()
    }

    fn is_native_here(&self, platform: &str) -> bool {
        match self.own {
            Some(own) => own.is_native(platform),
            None => {
                let own = self.platform.as_deref();
                own.is_some_and(|own| reference::platform::serves(platform, own))
            }
        }
    }

    /// Says that a stage is emulated although the graph has a builder for its platform.
    pub(super) fn emulated(&self, stage: &Stage, lane: usize) -> Option<String> {
        let platform = self.platform_of(stage)?;
        let mut others = self.others.iter();
        let is_for_it = others.any(|other| other.builder.is_native(&platform));
        (lane == 0 && is_for_it && !self.is_native_here(&platform)).then_some(platform)
    }

    /// The builder of a lane; `None` for the engine's own.
    pub(super) fn other(&self, lane: usize) -> Option<&Other<'a>> {
        self.others.get(lane.checked_sub(1)?)
    }
}

impl Other<'_> {
    /// Its name in the graph file.
    pub(super) fn name(&self) -> &str {
        &self.builder.name
    }

    /// What is said of it when it cannot be used.
    pub(super) fn told(&self, why: &Unusable, call: &Call) -> String {
        self.builder.told(&self.remote, why, call)
    }

    /// Asks once whether it can build for a platform. If not, says why, and what helps.
    pub(super) fn prepare(
        &self,
        platform: Option<&str>,
        call: &Call,
        interrupt: &Interrupt,
    ) -> std::result::Result<(), String> {
        let mut prepared = self.prepared.lock().unpoisoned();
        let asked = prepared.entry(platform.map(str::to_owned));
        let ask = || {
            let prepared = self.remote.prepare(platform, interrupt);
            prepared.map_err(|why| self.told(&why, call))
        };
        asked.or_insert_with(ask).clone()
    }

    /// What buildx takes there for an image of the engine, which it is sent from the layout.
    pub(super) fn lend(
        &self,
        reference: &str,
        id: &str,
        platform: Option<&str>,
        work: &Workspace,
    ) -> Result<String> {
        let mut lent = self.lent.lock().unpoisoned();
        let image = (id.to_owned(), platform.map(str::to_owned));
        let digest = match lent.get(&image) {
            Some(digest) => digest.clone(),
            None => {
                let (engine, layout) = (&work.engine, &work.layout);
                let digest = archive::export_as_it_is(engine, reference, platform, layout)?;
                lent.insert(image, digest.clone());
                digest
            }
        };
        Ok(ImagePlace::Layout(digest).context(work.layout.folder()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphfile::options::GraphOptions;
    use crate::graphfile::spec;

    const GRAPH: &str = r#"
version = 1
[builder.arm]
context = "arm"
platforms = ["linux/arm64"]
[builder.both]
buildx = "both"
platforms = ["linux/amd64", "linux/arm64/v8"]
[stage.plain]
context = "."
[stage.old]
context = "."
platforms = ["linux/386"]
[stage.arm]
context = "."
platforms = ["linux/arm64"]
[stage.host]
context = "."
platforms = ["linux/arm64"]
network = "host"
[stage.other]
context = "."
platforms = ["linux/s390x"]
"#;

    fn builders<'a>(spec: &'a Spec, engine: &Engine, is_offline: bool) -> Builders<'a> {
        let mut builders = Builders::of(spec, engine, Some(3), is_offline);
        if !builders.others.is_empty() {
            builders.platform = Some("linux/amd64".to_owned());
        }
        builders
    }

    #[test]
    fn native_builders_go_first_and_the_engines_own_is_the_last_resort() {
        let spec = spec::read("g".into(), "/".into(), GRAPH, &GraphOptions::default()).unwrap();
        let engine = Engine::at("unix:///none");
        let online = builders(&spec, &engine, false);
        assert_eq!(online.lanes()[0], Lane::of(3));
        assert_eq!(online.lanes().len(), 3);
        let choice = |name: &str| online.choice(spec.stage(spec.find(name).unwrap()));
        // A stage without platforms is for the engine's own. A processor runs its predecessors'
        // programs.
        assert_eq!(choice("plain"), [vec![2, 0], vec![0]]);
        assert_eq!(choice("old"), [vec![2, 0], vec![0]]);
        assert_eq!(choice("arm"), [vec![1, 2], vec![0]]);
        assert_eq!(choice("host"), [vec![0]]);
        assert_eq!(choice("other"), [vec![], vec![0]]);
        let offline = builders(&spec, &engine, true);
        let arm = spec.stage(spec.find("arm").unwrap());
        assert_eq!(offline.choice(arm), [vec![0]]);
    }

    #[test]
    fn a_builder_of_the_context_in_use_describes_the_engines_own() {
        let graph = GRAPH.replace("\"arm\"", "\"default\"").replace(
            "platforms = [\"linux/arm64\"]\n[builder.both]",
            "platforms = [\"linux/arm64\"]\njobs = 5\nweight = 7\n[builder.both]",
        );
        let spec = spec::read("g".into(), "/".into(), &graph, &GraphOptions::default()).unwrap();
        let engine = Engine::at("unix:///none");
        let own = Builders::of(&spec, &engine, None, false);
        let lane = Lane {
            places: 5,
            strength: 7,
        };
        assert_eq!(own.lanes()[0], lane);
        assert_eq!(own.lanes().len(), 2);
        let arm = spec.stage(spec.find("arm").unwrap());
        assert_eq!(own.choice(arm), [vec![1, 0], vec![0]]);
    }
}
