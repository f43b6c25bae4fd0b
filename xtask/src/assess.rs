//! From the graph to verdicts.
//!
//! `plan`, `explain`, `inputs` and `build` are this walk, stopped at different places: the
//! stages' material is gathered in parallel while the engine is asked, then keys and verdicts
//! follow in build order, each as soon as its upstream is known.

mod assessment;
mod bases;
mod gathering;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

pub use assessment::{Assessment, Upstream};
pub use gathering::{ingredients, of_material};
use rayon::prelude::*;

use crate::engine::{Engine, Images};
use crate::fault::{Fault, Result};
use crate::graph::Graph;
use crate::inputs::StatCache;
use crate::lock::Lock;
use crate::locking::{self, Uses};
use crate::material::{self, Material};
use crate::prepare;
use crate::record::{Records, Store};
use crate::replacement::{self, Opened};
use crate::source;
use crate::spec::{Spec, StageId};
use crate::state::State;
use crate::verdict::{self, Change, Kind, Reason, Verdict};

/// The graph of one run, and everything that it stands on.
#[derive(Debug)]
pub struct Workspace {
    /// The checked graph file.
    pub spec: Spec,
    /// Its DAG.
    pub graph: Graph,
    /// Its state folder.
    pub state: State,
    /// Its records.
    pub store: Store,
    /// Content hashes by file state.
    pub cache: StatCache,
    /// The engine that builds.
    pub engine: Engine,
    /// The pins of sources and external images.
    pub lock: Mutex<Lock>,
    /// What went wrong without being a fault, to be told once.
    pub warnings: Mutex<Vec<String>>,
}

/// What is known of a stage before its upstream is.
#[derive(Debug)]
pub struct Prepared {
    /// What the tree says; or that a host command must run first.
    pub material: Result<Gathered>,
    /// The stage's records.
    pub records: Records,
}

/// The tree's part.
#[derive(Debug)]
pub enum Gathered {
    /// All of it.
    Material(Box<Material>),
    /// The stage's host command must run before the context can be read.
    PrepareFirst(Reason),
}

impl Workspace {
    /// Opens the graph file.
    pub fn open(graph_file: &camino::Utf8Path, profile: Option<&str>) -> Result<Self> {
        let opened = replacement::open(graph_file, profile)?;
        let Opened {
            spec,
            graph,
            state,
            lock,
        } = opened;
        let (cache, warning) = StatCache::load(&state.path("stats"));
        Ok(Self {
            graph,
            store: Store::of(state.clone()),
            cache,
            engine: Engine::find(),
            lock: Mutex::new(lock),
            warnings: Mutex::new(warning.into_iter().collect()),
            state,
            spec,
        })
    }

    /// The wanted stages in build order: those named, and everything they stand on.
    pub fn wanted(&self, names: &[String]) -> Result<Vec<StageId>> {
        let targets = names
            .iter()
            .map(|name| self.spec.find(name))
            .collect::<Result<Vec<_>>>()?;
        Ok(self.graph.closure(&targets))
    }

    /// Remembers a warning.
    pub fn warn(&self, warning: String) {
        if let Ok(mut warnings) = self.warnings.lock() {
            warnings.push(warning);
        }
    }

    /// Gathers everything that does not wait for an upstream: the material of all stages on all
    /// cores, while the engine is asked for all images at once.
    pub fn prepare(&self, wanted: &[StageId]) -> Result<(HashMap<StageId, Prepared>, Images)> {
        let mut records: HashMap<StageId, Records> = wanted
            .par_iter()
            .map(|id| {
                let (records, warning) = self.store.records(&self.spec.stage(*id).name);
                warning.into_iter().for_each(|warning| self.warn(warning));
                (*id, records)
            })
            .collect();
        let questions = self.questions(wanted, &records);
        let (images, material) = std::thread::scope(|scope| {
            let asked = scope.spawn(|| self.engine.images(&questions));
            let material: Vec<_> = wanted.par_iter().map(|id| self.gather(*id)).collect();
            let images = asked
                .join()
                .unwrap_or_else(|_| Err(Fault::lacks("the question to the engine failed")));
            (images, material)
        });
        // A cache that cannot be written costs time at the next run, nothing else.
        if let Err(error) = self.cache.save() {
            self.warn(format!(
                "cannot write the stat cache in {}: {error}",
                self.state.path("")
            ));
        }
        let prepared = wanted.iter().zip(material).map(|(id, material)| {
            (
                *id,
                Prepared {
                    material,
                    records: records.remove(id).unwrap_or_default(),
                },
            )
        });
        Ok((prepared.collect(), images?))
    }

    /// The references whose images decide the verdicts, if nothing changed since the last build.
    fn questions(&self, wanted: &[StageId], records: &HashMap<StageId, Records>) -> Vec<String> {
        let mut questions = Vec::new();
        for id in wanted {
            if let Some(last) = records.get(id).and_then(Records::last) {
                questions.push(last.private.clone());
                questions.extend(self.spec.stage(*id).references());
            }
        }
        questions.sort_unstable();
        questions.dedup();
        questions
    }

    /// The external images of stages.
    pub fn external_images(&self, stages: &[StageId]) -> Result<Uses> {
        Uses::of(&self.spec, stages, self.engine.platform())
    }

    /// Refuses stages with external images that the lock does not cover.
    pub fn refuse_uncovered(&self, wanted: &[StageId]) -> Result<()> {
        let root = |id: &StageId| source::root(&self.spec, self.spec.stage(*id).source);
        let is_made = |id: &StageId| {
            let stage = self.spec.stage(*id);
            stage.prepare.is_some()
                && root(id).is_ok_and(|root| !root.join(&stage.dockerfile).exists())
        };
        // A Dockerfile that a host command makes is looked at once that has run.
        let there: Vec<StageId> = wanted.iter().copied().filter(|id| !is_made(id)).collect();
        let uses = self.external_images(&there)?;
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        locking::refuse_uncovered(&self.spec, &uses, &lock)
    }

    /// The material of one stage, unless its host command must run first.
    pub fn gather(&self, id: StageId) -> Result<Gathered> {
        let stage = self.spec.stage(id);
        if let Some(reason) = prepare::must_run(&self.spec, stage, &self.state, &self.cache)? {
            return Ok(Gathered::PrepareFirst(reason));
        }
        let material = material::gather(&self.spec, id, self.engine.platform(), &self.cache)?;
        Ok(Gathered::Material(Box::new(material)))
    }

    /// The verdict of one stage whose upstream is in `upstream`. `images` is added to where more
    /// must be asked.
    pub fn assess(
        &self,
        id: StageId,
        prepared: &Prepared,
        upstream: &BTreeMap<StageId, Upstream>,
        images: &mut Images,
        forced: bool,
    ) -> Result<Assessment> {
        let material = match &prepared.material {
            Ok(Gathered::Material(material)) => material,
            Ok(Gathered::PrepareFirst(reason)) => return Ok(Assessment::unprepared(id, reason)),
            Err(fault) => return Err(fault.clone()),
        };
        let stage = self.spec.stage(id);
        let bases = self.base_digests(material, images)?;
        let ingredients = ingredients(&self.spec, id, material, &bases, upstream);
        let key = ingredients.key();
        let (inputs, input_bytes) = material.count();
        let references = stage.references();
        let unbuilt = upstream_of(material)
            .any(|parent| matches!(upstream.get(&parent), Some(Upstream::Unbuilt(_))));
        let made_of = std::cell::OnceCell::new();
        let list = || made_of.get_or_init(|| ingredients.list());
        let compare = |record: &crate::record::Record| {
            verdict::differences(
                self.store.made_of(&stage.name, record.key).as_deref(),
                list(),
            )
        };
        let verdict = if forced {
            Verdict::Stale {
                reason: Reason::plain(Kind::Forced),
                healable: None,
            }
        } else if let Some(change) = self.unfollowed(material, images)? {
            let reason = Reason::of(vec![change]);
            Verdict::Stale {
                reason,
                healable: None,
            }
        } else if unbuilt {
            undecided(
                self,
                upstream,
                material,
                prepared.records.last().map(compare),
            )
        } else {
            if let Some(record) = prepared.records.of(key) {
                self.ask_for(std::iter::once(&record.private).chain(&references), images)?;
            }
            verdict::decide(key, &references, &prepared.records, images, compare)
        };
        let made_of = match verdict {
            Verdict::Fresh(_) => Vec::new(),
            _ => made_of.into_inner().unwrap_or_else(|| ingredients.list()),
        };
        Ok(Assessment {
            id,
            key,
            verdict,
            made_of,
            inputs,
            input_bytes,
        })
    }

    /// Asks the engine for those references that were not asked for yet.
    fn ask_for<'r>(
        &self,
        references: impl Iterator<Item = &'r String>,
        images: &mut Images,
    ) -> Result<()> {
        let missing: Vec<String> = references
            .filter(|reference| !images.contains_key(*reference))
            .cloned()
            .collect();
        if !missing.is_empty() {
            images.extend(self.engine.images(&missing)?);
        }
        Ok(())
    }

    /// The plan: every wanted stage's verdict, in build order.
    pub fn plan(
        &self,
        wanted: &[StageId],
        forced: impl Fn(StageId) -> bool,
    ) -> Result<Vec<Assessment>> {
        let (prepared, mut images) = self.prepare(wanted)?;
        let mut upstream = BTreeMap::new();
        let mut plan = Vec::with_capacity(wanted.len());
        for id in wanted {
            let Some(prepared) = prepared.get(id) else {
                continue;
            };
            let assessment = self.assess(*id, prepared, &upstream, &mut images, forced(*id))?;
            upstream.insert(*id, assessment.upstream());
            plan.push(assessment);
        }
        Ok(plan)
    }
}

/// The stages whose images the material really uses.
pub fn upstream_of(material: &Material) -> impl Iterator<Item = StageId> + '_ {
    material.parents.values().copied()
}

/// A stage that stands on an unbuilt one: stale by its own doing, or not known yet.
fn undecided(
    work: &Workspace,
    upstream: &BTreeMap<StageId, Upstream>,
    material: &Material,
    compared: Option<Reason>,
) -> Verdict {
    let Some(mut reason) = compared else {
        return Verdict::Stale {
            reason: Reason::plain(Kind::NoRecord),
            healable: None,
        };
    };
    if reason.kind == Kind::NoRecord {
        return Verdict::Stale {
            reason,
            healable: None,
        };
    }
    // A parent that is not built yet always differs from the one before; that alone decides nothing.
    reason.changes.retain(|change| change.what != "upstream");
    if !reason.changes.is_empty() {
        return Verdict::Stale {
            reason: Reason::of(reason.changes),
            healable: None,
        };
    }
    let waits = upstream_of(material)
        .filter(|parent| matches!(upstream.get(parent), Some(Upstream::Unbuilt(_))));
    let mut names: Vec<String> = waits
        .map(|parent| work.spec.stage(parent).name.clone())
        .collect();
    names.sort();
    names.dedup();
    let changes = names
        .into_iter()
        .map(|name| Change {
            what: "upstream",
            name,
            before: None,
            after: None,
        })
        .collect();
    Verdict::Unknown(Reason::of(changes))
}
