//! From the graph to verdicts.
//!
//! `plan`, `explain`, `inputs` and `build` are this walk, stopped at different places. The stages'
//! inputs are gathered in parallel while the engine is asked. Keys and verdicts then follow in
//! build order, each as soon as its upstream is known.

mod assessment;
mod bases;
mod due;
mod gathering;
mod image_cache;
mod judging;
mod left_out;
mod lists;
pub mod memo;
mod mistaken;
mod plan;
mod prepared;
mod sharing;
mod stores;
mod summary;
mod undecided;
mod unlinked;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock};

pub use assessment::{Assessment, Upstream};
pub use due::Due;
pub use gathering::{SOURCE_DATE_EPOCH, of_inputs};
pub use image_cache::ImageCache;
pub use judging::uncounted;
pub use prepared::{Gathered, Looked, Prepared};
pub use sharing::known;
pub use summary::StageSummary;

use crate::contexts::StatCache;
use crate::fault::{Fault, Result};
use crate::freshness::key;
use crate::freshness::pins::{self, Uses};
use crate::freshness::record::{Record, RecordStore, Records};
use crate::freshness::shared::signing::Signer;
use crate::graphfile::base_override::{self, OpenedGraph};
use crate::graphfile::chosen::Chosen;
use crate::graphfile::graph::Graph;
use crate::graphfile::lock::Lock;
use crate::graphfile::outputs::Outputs;
use crate::graphfile::source::facts;
use crate::graphfile::spec::{SourceId, Spec, Stage, StageId};
use crate::outside::engine::{Engine, Images};
use crate::outside::layout::Layout;
use crate::outside::state::State;
use crate::unpoisoned::Unpoisoned as _;
use registry::Registries;

/// The graph of one run, and everything that the run needs for it.
#[derive(Debug)]
pub struct Workspace {
    /// The checked graph file.
    pub spec: Spec,
    /// Its DAG.
    pub graph: Graph,
    /// Its state folder.
    pub state: State,
    /// Its records.
    pub store: RecordStore,
    /// The stat cache.
    pub cache: StatCache,
    /// What the trees said in earlier runs.
    memos: prepared::Ahead,
    /// The memos that this run used.
    recalled: OnceLock<memo::Memos>,
    /// Which stage makes which image.
    makers: unlinked::Makers,
    /// Where host commands write.
    outputs: OnceLock<Outputs>,
    /// The engine that builds.
    pub engine: Engine,
    /// The pins of sources and external images.
    pub lock: Mutex<Lock>,
    /// Warnings, each of which is reported once.
    pub warnings: Arc<Mutex<Vec<String>>>,
    /// Images that are in no engine and no registry.
    pub layout: Layout,
    /// The registries, once one of them was asked.
    registries: OnceLock<Registries>,
    /// Why the engine does not answer, once it did not.
    no_engine: OnceLock<Fault>,
    /// The key that signs records, once it was looked for.
    signer: OnceLock<Option<Signer>>,
    /// What the registry has said of keys in this run.
    shared: Mutex<HashMap<key::Key, Option<Record>>>,
    /// What others have shared of host commands, by their questions.
    lent: Mutex<HashMap<String, sharing::Asked>>,
    /// Set once the registry could not be asked for records.
    registry_fails: OnceLock<()>,
    /// Set if no registry may be asked.
    offline: OnceLock<()>,
    /// Set if what is stale is built.
    is_building: OnceLock<()>,
    /// Set if notices of registries are told at once.
    tells_notices: OnceLock<()>,
    /// The times of the commits of sources, once they were asked for.
    epochs: Mutex<BTreeMap<Option<SourceId>, String>>,
}

/// What comes after the graph file is opened. Work for it can begin meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Anything.
    Any,
    /// The verdicts of all stages. A build says so only while it holds the lock.
    AllStages,
}

impl Workspace {
    /// Opens the graph file, for `platforms` or, if that is empty, for the file's own platforms.
    pub fn open(chosen: &Chosen, platforms: &[String], next: Next) -> Result<Self> {
        let memos = State::in_folder(State::place(&chosen.file)).path("memos");
        let memos = prepared::Ahead::start(memos, next == Next::AllStages);
        match base_override::open_with(chosen, platforms, None) {
            Ok(opened) => Ok(Self::of(opened, memos)),
            Err(refused) => Err(mistaken::all(refused)),
        }
    }

    /// Opens a graph file that is not the one of this state's graph.
    pub fn open_beside(chosen: &Chosen, platforms: &[String], state: State) -> Result<Self> {
        let memos = prepared::Ahead::start(state.path("memos"), false);
        let opened = base_override::open_with(chosen, platforms, Some(state));
        opened
            .map(|opened| Self::of(opened, memos))
            .map_err(|refused| refused.fault)
    }

    /// Makes builds of this workspace trials: their images get no names of stages, nothing is
    /// shared, and no pin is written.
    pub fn set_apart(&mut self) {
        self.spec.set_apart();
        self.lock.get_mut().unpoisoned().keep_in_memory();
    }

    fn of(opened: OpenedGraph, memos: prepared::Ahead) -> Self {
        let OpenedGraph {
            spec,
            graph,
            state,
            lock: pins,
        } = opened;
        Self {
            graph,
            store: RecordStore::of(state.clone()),
            cache: StatCache::in_file(&state.path("stats")),
            memos,
            recalled: OnceLock::new(),
            makers: unlinked::Makers::default(),
            outputs: OnceLock::new(),
            engine: Engine::find(),
            lock: Mutex::new(pins),
            warnings: Arc::new(Mutex::new(
                spec.notes
                    .iter()
                    .cloned()
                    .chain(gathering::policy_note())
                    .collect(),
            )),
            layout: Layout::in_folder(state.path("oci")),
            registries: OnceLock::new(),
            no_engine: OnceLock::new(),
            signer: OnceLock::new(),
            shared: Mutex::default(),
            lent: Mutex::default(),
            registry_fails: OnceLock::new(),
            offline: OnceLock::new(),
            is_building: OnceLock::new(),
            tells_notices: OnceLock::new(),
            epochs: Mutex::default(),
            state,
            spec,
        }
    }

    /// The wanted stages in build order: those named, by themselves or in a group, and everything
    /// they stand on.
    pub fn wanted(&self, names: &[String]) -> Result<Vec<StageId>> {
        Ok(self.closure(&self.spec.find_all(names)?))
    }

    /// The targets and everything they stand on, in build order. A stage all of whose parts are
    /// among these is assembled, too. Without targets, all stages.
    pub fn closure(&self, targets: &[StageId]) -> Vec<StageId> {
        let wanted = self.graph.closure(targets);
        if targets.is_empty() || !self.spec.stages.iter().any(Stage::is_assembled) {
            return wanted;
        }
        let made = self.spec.made_of(&wanted.into_iter().collect());
        let all: Vec<StageId> = targets.iter().copied().chain(made).collect();
        self.graph.closure(&all)
    }

    /// Asks no registry for records from now on.
    pub fn go_offline(&self) {
        let _ = self.offline.set(());
    }

    /// What is stale is built from now on, and fails by itself if it cannot be.
    pub fn begin_to_build(&self) {
        let _ = self.is_building.set(());
    }

    /// Tells notices of registries at once, where nothing else is on the screen. Call it before the
    /// first question.
    pub fn tell_notices_at_once(&self) {
        let _ = self.tells_notices.set(());
    }

    /// Whether no registry may be asked.
    pub fn is_offline(&self) -> bool {
        self.offline.get().is_some()
    }

    /// Adds a warning, unless it waits to be reported already.
    pub fn warn(&self, warning: String) {
        if let Ok(mut warnings) = self.warnings.lock()
            && !warnings.contains(&warning)
        {
            warnings.push(warning);
        }
    }

    /// Gathers everything that does not wait for an upstream: the inputs of all stages on all
    /// cores, while the engine is asked for all images at once. Fails with everything that is wrong
    /// if the trees of a stage cannot be read.
    pub fn prepare(&self, wanted: &[StageId]) -> Result<(HashMap<StageId, Prepared>, Images)> {
        let names: Vec<&str> = wanted
            .iter()
            .map(|id| self.spec.stage(*id).name.as_str())
            .collect();
        let (records, warnings) = self.store.records_of(&names, &self.cache);
        warnings.into_iter().for_each(|warning| self.warn(warning));
        let questions = questions(&records);
        let (images, looked) = std::thread::scope(|scope| {
            let asked = scope.spawn(|| self.images(&questions));
            let looked = self.look_at_all(wanted);
            let images = asked
                .join()
                .unwrap_or_else(|_| Err(Fault::lacks("the request to the engine failed")));
            (images, looked)
        });
        let prepared = looked.into_iter().zip(records);
        let prepared = prepared.map(|(looked, records)| Prepared::new(looked, records));
        let prepared = wanted.iter().copied().zip(prepared).collect();
        // What is wrong with the stages is said even if no engine answers.
        mistaken::refuse_unreadable(wanted, &prepared)?;
        Ok((prepared, images?))
    }

    /// The external images of stages.
    pub fn external_images(&self, stages: &[StageId]) -> Result<Uses> {
        Uses::of(&self.spec, stages, self.engine.platform())
    }

    /// Refuses stages with external images that the lock does not cover.
    pub fn refuse_uncovered(&self, wanted: &[StageId]) -> Result<()> {
        // A Dockerfile that a host command makes is checked after the command has run.
        let is_there = |id: &StageId| !due::is_yet_to_be_made(self, *id);
        let there: Vec<StageId> = wanted.iter().copied().filter(is_there).collect();
        let uses = self.external_images(&there)?;
        let lock = self.lock.lock().unpoisoned();
        pins::refuse_uncovered(&self.spec, &uses, &lock)
    }

    /// The stages whose images a stage uses as if they came from elsewhere, with a note on each.
    pub fn unlinked(&self, id: StageId, summary: &StageSummary) -> Vec<(StageId, String)> {
        let taken = &summary.externals.references;
        self.makers.unlinked(&self.spec, id, taken)
    }

    /// The key, with pins and images as they are now.
    pub fn key_of(
        &self,
        id: StageId,
        summary: &StageSummary,
        upstream: &BTreeMap<StageId, Upstream>,
        held: &ImageCache,
    ) -> Result<key::Key> {
        let bases = self.base_digests(summary, held)?;
        let around = gathering::around((&self.spec, id), summary, bases, upstream, self.epoch(id)?);
        Ok(key::key(summary.own, &around))
    }

    /// The time of the source's commit in seconds since 1970, if the image is to be reproducible
    /// and the environment gives no other time.
    pub fn epoch(&self, id: StageId) -> Result<Option<String>> {
        let stage = self.spec.stage(id);
        let is_called = stage.shipping.reproducible && !stage.is_assembled();
        if !is_called || std::env::var_os(SOURCE_DATE_EPOCH).is_some() {
            return Ok(None);
        }
        let mut known = self.epochs.lock().unpoisoned();
        if let Some(epoch) = known.get(&stage.source) {
            return Ok(Some(epoch.clone()));
        }
        let epoch = facts::epoch(&self.spec, stage.source).map_err(|fault| stage.fault(fault))?;
        known.insert(stage.source, epoch.clone());
        Ok(Some(epoch))
    }
}

/// The references whose images decide the verdicts, if nothing changed since the last build. With
/// an image the engine also reports its other names.
fn questions(records: &[Records]) -> Vec<String> {
    let last = records.iter().filter_map(Records::last);
    let mut questions: Vec<String> = last.map(|record| record.private.clone()).collect();
    questions.sort_unstable();
    questions.dedup();
    questions
}
