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
mod left_out;
mod lists;
pub mod memo;
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
pub use prepared::{Gathered, Looked, Prepared};
pub use sharing::known;
pub use summary::StageSummary;

use crate::contexts::StatCache;
use crate::fault::{Fault, Result};
use crate::freshness::key;
use crate::freshness::pins::{self, Uses};
use crate::freshness::record::{Record, RecordStore, Records};
use crate::freshness::shared::signing::Signer;
use crate::freshness::stage_inputs::StageInputs;
use crate::freshness::verdict::{self, Reason, ReasonKind, Verdict};
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
use undecided::undecided;

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
        let opened = base_override::open(chosen, platforms)?;
        Ok(Self::of(opened, memos))
    }

    /// Opens a graph file that is not the one of this state's graph.
    pub fn open_beside(chosen: &Chosen, platforms: &[String], state: State) -> Result<Self> {
        let memos = prepared::Ahead::start(state.path("memos"), false);
        let opened = base_override::open_with(chosen, platforms, Some(state))?;
        Ok(Self::of(opened, memos))
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
            let asked = scope.spawn(|| self.images(&questions));
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
        // A Dockerfile that a host command makes is checked after the command has run.
        let is_there = |id: &StageId| !due::is_yet_to_be_made(self, *id);
        let there: Vec<StageId> = wanted.iter().copied().filter(is_there).collect();
        let uses = self.external_images(&there)?;
        let lock = self.lock.lock().unpoisoned();
        pins::refuse_uncovered(&self.spec, &uses, &lock)
    }

    /// The verdict of one stage whose upstream is in `upstream`. Answers of the engine that are
    /// missing in `held` are added to it. A remembered summary is enough to call a stage fresh. For
    /// any other verdict its trees are read.
    pub fn assess(
        &self,
        id: StageId,
        prepared: &Prepared,
        upstream: &BTreeMap<StageId, Upstream>,
        held: &ImageCache,
        forced: bool,
    ) -> Result<Assessment> {
        if let Some(summary) = prepared.remembered() {
            let own = self.assess_known(id, prepared, summary, upstream, held, forced, None)?;
            if matches!(own.verdict, Verdict::Fresh(_)) {
                return Ok(own);
            }
        }
        match prepared.gathered(self, id) {
            Ok(Gathered::PrepareFirst(due)) => {
                self.lacking_tools(due.of)
                    .into_iter()
                    .for_each(|note| self.warn(note));
                let was_built = prepared.records.last().is_some();
                Ok(Assessment::unprepared(id, due, was_built))
            }
            Ok(Gathered::Lent(summary, stage_inputs, _)) => {
                let list = |around: &key::Around| self.list_of(id, stage_inputs, around);
                let list: List<'_> = Some(&list);
                self.assess_known(id, prepared, summary, upstream, held, forced, list)
            }
            Ok(Gathered::Assembled(summary)) => {
                let list = |around: &key::Around| self.list_of_assembled(id, around);
                let list: List<'_> = Some(&list);
                self.assess_known(id, prepared, summary, upstream, held, forced, list)
            }
            Ok(Gathered::Read(summary, stage_inputs)) => {
                let list = |around: &key::Around| self.list_of(id, stage_inputs, around);
                let list: List<'_> = Some(&list);
                let own = self.assess_known(id, prepared, summary, upstream, held, forced, list)?;
                if !matches!(own.verdict, Verdict::Fresh(_)) {
                    let unlinked = self.unlinked(id, summary).into_iter();
                    unlinked.for_each(|(_, note)| self.warn(note));
                    let name = &self.spec.stage(id).name;
                    // A build fails with these words.
                    let absent = stage_inputs.absent.iter();
                    let absent = absent.filter(|_| self.is_building.get().is_none());
                    absent.for_each(|why| self.warn(format!("`{name}` cannot be built: {why}")));
                    uncounted(stage_inputs)
                        .into_iter()
                        .for_each(|note| self.warn(note));
                    let unused = stage_inputs.unused.iter().cloned();
                    unused.for_each(|note| self.warn(note));
                }
                Ok(own)
            }
            Err(fault) => Err(fault.clone()),
        }
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

    /// `list` gives the ingredients of the key, if they are known.
    #[expect(clippy::too_many_arguments, reason = "all that a verdict hangs on")]
    fn assess_known(
        &self,
        id: StageId,
        prepared: &Prepared,
        summary: &StageSummary,
        upstream: &BTreeMap<StageId, Upstream>,
        held: &ImageCache,
        forced: bool,
        list: List<'_>,
    ) -> Result<Assessment> {
        let stage = self.spec.stage(id);
        self.check_platforms(id, summary)?;
        let bases = self.base_digests(summary, held)?;
        let around = gathering::around((&self.spec, id), summary, bases, upstream, self.epoch(id)?);
        let key = key::key(summary.own, &around);
        let references = stage.engine_references();
        let unbuilt = summary
            .parents()
            .any(|(_, parent)| matches!(upstream.get(&parent), Some(Upstream::Unbuilt(_))));
        let made_of = std::cell::OnceCell::new();
        let list = || made_of.get_or_init(|| list.map_or_else(Vec::new, |list| list(&around)));
        let compare = |record: &Record| {
            let before = self.store.made_of(&stage.name, record.key);
            let mut reason = verdict::differences(before.as_deref(), list());
            left_out::mark(&self.spec, stage, &mut reason);
            reason
        };
        let verdict = if forced {
            Verdict::Stale(Reason::plain(ReasonKind::Forced))
        } else if unbuilt {
            let compared = prepared.records.all().map(compare).collect();
            undecided(self, upstream, summary, compared)
        } else {
            let rank = |record: &Record| self.rank_of_place(stage, record);
            let place = verdict::WantedPlace {
                name: self.wanted_place(stage),
                rank: &rank,
            };
            for record in place.of(&prepared.records, key) {
                let asked = std::iter::once(&record.private).chain(&references);
                held.ask_for(self, asked)?;
            }
            let images = held.images();
            let verdict = verdict::decide(
                key,
                &references,
                &prepared.records,
                &place,
                &images,
                compare,
            );
            if let Verdict::Fresh(record) = &verdict {
                let new = references.iter();
                let new = new.filter(|reference| verdict::is_new(record, reference, &images));
                new.for_each(|reference| {
                    self.warn(format!("`{}` gets the new name {reference}", stage.name))
                });
            }
            match verdict {
                Verdict::Stale(reason) => match self.shared_record(id, key, upstream)? {
                    Some(record) => Verdict::Fresh(record),
                    None => Verdict::Stale(reason),
                },
                other => other,
            }
        };
        // If a build is needed anyway, its own reason is the better one.
        let verdict = match self.unfollowed(summary, held)? {
            Some(change) if verdict.has_image() => Verdict::Stale(Reason::of(vec![change])),
            _ => verdict,
        };
        let made_of = match verdict {
            Verdict::Fresh(_) => Vec::new(),
            _ => {
                self.check_platforms_to_plan(id, summary, held)?;
                list();
                made_of.into_inner().unwrap_or_default()
            }
        };
        Ok(Assessment {
            id,
            key: Some(key),
            verdict,
            made_of,
            inputs: summary.inputs,
            input_bytes: summary.input_bytes,
        })
    }
}

/// A note on the proxies of `args` that do not count, if there are any.
pub fn uncounted(stage_inputs: &StageInputs) -> Option<String> {
    let names = stage_inputs.uncounted.join(", ");
    (!names.is_empty()).then(|| {
        format!(
            "{names} of `args` can change without a build, as the Dockerfile does not declare it: RUN sees the value, \
             but BuildKit's cache ignores it, too; declare it with `ARG` in the Dockerfile to make it count"
        )
    })
}

/// Gives the ingredients of a key, given what is around.
type List<'l> = Option<&'l dyn Fn(&key::Around) -> Vec<key::Ingredient>>;

/// The references whose images decide the verdicts, if nothing changed since the last build. With
/// an image the engine also reports its other names.
fn questions(records: &[Records]) -> Vec<String> {
    let last = records.iter().filter_map(Records::last);
    let mut questions: Vec<String> = last.map(|record| record.private.clone()).collect();
    questions.sort_unstable();
    questions.dedup();
    questions
}
