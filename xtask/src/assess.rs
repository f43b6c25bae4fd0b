//! From the graph to verdicts.
//!
//! `plan`, `explain`, `inputs` and `build` are this walk, stopped at different places: the
//! stages' material is gathered in parallel while the engine is asked, then keys and verdicts
//! follow in build order, each as soon as its upstream is known.

mod assessment;
mod bases;
mod gathering;
pub mod memo;
mod outline;
mod prepared;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

pub use assessment::{Assessment, Upstream};
pub use gathering::of_material;
pub use outline::Outline;
pub use prepared::{Gathered, Prepared};

use crate::engine::{Engine, Images};
use crate::fault::{Fault, Result};
use crate::graph::Graph;
use crate::inputs::StatCache;
use crate::key;
use crate::lock::Lock;
use crate::locking::{self, Uses};
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
    /// What the trees said in earlier runs.
    memos: prepared::Ahead,
    /// The engine that builds.
    pub engine: Engine,
    /// The pins of sources and external images.
    pub lock: Mutex<Lock>,
    /// What went wrong without being a fault, to be told once.
    pub warnings: Mutex<Vec<String>>,
}

impl Workspace {
    /// Opens the graph file.
    pub fn open(graph_file: &camino::Utf8Path, profile: Option<&str>) -> Result<Self> {
        let memos = prepared::Ahead::start(State::place(graph_file).join("memos"));
        let opened = replacement::open(graph_file, profile)?;
        let Opened {
            spec,
            graph,
            state,
            lock,
        } = opened;
        Ok(Self {
            graph,
            store: Store::of(state.clone()),
            cache: StatCache::in_file(&state.path("stats")),
            memos,
            engine: Engine::find(),
            lock: Mutex::new(lock),
            warnings: Mutex::default(),
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
        let names: Vec<&str> = wanted
            .iter()
            .map(|id| self.spec.stage(*id).name.as_str())
            .collect();
        let (records, warnings) = self.store.records_of(&names, &self.cache);
        warnings.into_iter().for_each(|warning| self.warn(warning));
        let questions = questions(&records);
        let (images, looked) = std::thread::scope(|scope| {
            let asked = scope.spawn(|| self.engine.images(&questions));
            let looked = self.look_at_all(wanted);
            let images = asked
                .join()
                .unwrap_or_else(|_| Err(Fault::lacks("the question to the engine failed")));
            (images, looked)
        });
        let prepared = looked.into_iter().zip(records);
        let prepared = prepared.map(|(looked, records)| Prepared::new(looked, records));
        Ok((wanted.iter().copied().zip(prepared).collect(), images?))
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

    /// The verdict of one stage whose upstream is in `upstream`. `images` is added to where more
    /// must be asked. What is remembered of a stage is enough to call it fresh; for any other
    /// verdict its trees are read.
    pub fn assess(
        &self,
        id: StageId,
        prepared: &Prepared,
        upstream: &BTreeMap<StageId, Upstream>,
        images: &mut Images,
        forced: bool,
    ) -> Result<Assessment> {
        if let Ok(Gathered::Remembered(outline)) = prepared.gathered() {
            let own = self.assess_known(id, prepared, outline, upstream, images, forced, None)?;
            if matches!(own.verdict, Verdict::Fresh(_)) {
                return Ok(own);
            }
            prepared.look_again(self, id);
        }
        match prepared.gathered() {
            Ok(Gathered::PrepareFirst(reason)) => Ok(Assessment::unprepared(id, reason)),
            Ok(Gathered::Remembered(_)) => Err(Fault::failed("was not read again")),
            Ok(Gathered::Material(outline, material)) => {
                let list = |around: &key::Around| {
                    let mut own = gathering::own(&self.spec, id, material);
                    own.around = around.clone();
                    own.list()
                };
                let list: List<'_> = Some(&list);
                self.assess_known(id, prepared, outline, upstream, images, forced, list)
            }
            Err(fault) => Err(fault.clone()),
        }
    }

    /// `list` gives what the key is made of, where that is known.
    #[expect(clippy::too_many_arguments, reason = "all that a verdict hangs on")]
    fn assess_known(
        &self,
        id: StageId,
        prepared: &Prepared,
        outline: &Outline,
        upstream: &BTreeMap<StageId, Upstream>,
        images: &mut Images,
        forced: bool,
        list: List<'_>,
    ) -> Result<Assessment> {
        let stage = self.spec.stage(id);
        let around = gathering::around(outline, self.base_digests(outline, images)?, upstream);
        let key = key::key(outline.own, &around);
        let references = stage.references();
        let unbuilt = outline
            .parents()
            .any(|(_, parent)| matches!(upstream.get(&parent), Some(Upstream::Unbuilt(_))));
        let made_of = std::cell::OnceCell::new();
        let list = || made_of.get_or_init(|| list.map_or_else(Vec::new, |list| list(&around)));
        let compare = |record: &crate::record::Record| {
            verdict::differences(
                self.store.made_of(&stage.name, record.key).as_deref(),
                list(),
            )
        };
        let stale = |reason| Verdict::Stale {
            reason,
            healable: None,
        };
        let verdict = if forced {
            stale(Reason::plain(Kind::Forced))
        } else if let Some(change) = self.unfollowed(outline, images)? {
            stale(Reason::of(vec![change]))
        } else if unbuilt {
            let compared = prepared.records.last().map(compare);
            undecided(self, upstream, outline, compared)
        } else {
            if let Some(record) = prepared.records.of(key) {
                self.ask_for(std::iter::once(&record.private), images)?;
                self.ask_for(references.iter(), images)?;
            }
            verdict::decide(key, &references, &prepared.records, images, compare)
        };
        let made_of = match verdict {
            Verdict::Fresh(_) => Vec::new(),
            _ => {
                list();
                made_of.into_inner().unwrap_or_default()
            }
        };
        Ok(Assessment {
            id,
            key,
            verdict,
            made_of,
            inputs: outline.inputs,
            input_bytes: outline.input_bytes,
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

/// What a key is made of, given what is around.
type List<'l> = Option<&'l dyn Fn(&key::Around) -> Vec<key::Ingredient>>;

/// The references whose images decide the verdicts, if nothing changed since the last build. An
/// engine tells with an image by which other names it goes.
fn questions(records: &[Records]) -> Vec<String> {
    let last = records.iter().filter_map(Records::last);
    let mut questions: Vec<String> = last.map(|record| record.private.clone()).collect();
    questions.sort_unstable();
    questions.dedup();
    questions
}

/// A stage that stands on an unbuilt one: stale by its own doing, or not known yet.
fn undecided(
    work: &Workspace,
    upstream: &BTreeMap<StageId, Upstream>,
    outline: &Outline,
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
    let parents = outline.parents().map(|(_, parent)| parent);
    let waits = parents.filter(|parent| matches!(upstream.get(parent), Some(Upstream::Unbuilt(_))));
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
