//! Brings the wanted stages up to date.
//!
//! Puts the parts together: every stage, when it becomes ready, gets its verdict, then its
//! action, then its record. Reports by events only; prints nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use camino::Utf8PathBuf;

use crate::action::{self, Action, Parts};
use crate::assess::{Assessment, Gathered, Prepared, Upstream, Workspace};
use crate::engine::Images;
use crate::event::{Event, Finished, Outcome, StageFinished};
use crate::executor::redact::Redactor;
use crate::executor::{self, Failure, Progress};
use crate::fault::{Class, Fault, Result};
use crate::inputs;
use crate::interrupt::Interrupt;
use crate::lock::Base;
use crate::material::{self, Material};
use crate::prepare;
use crate::record::Record;
use crate::schedule::{self, End, Task, Work};
use crate::spec::{Context, StageId};
use crate::verdict::{Reason, Verdict};

/// What the command line asks of a build.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// The stages; all when empty.
    pub stages: Vec<String>,
    /// How many places; decided from the machine when absent.
    pub jobs: Option<usize>,
    /// Go on with what does not stand on a failure.
    pub keep_going: bool,
    /// Build these even if fresh.
    pub force: Force,
    /// Refuse what is not pinned.
    pub locked: bool,
    /// Ask no registry.
    pub offline: bool,
}

/// What is built in spite of being fresh.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Force {
    /// Nothing.
    #[default]
    Nothing,
    /// Everything that is wanted.
    All,
    /// These stages.
    Stages(Vec<StageId>),
}

impl Force {
    /// Whether it covers a stage.
    pub fn covers(&self, id: StageId) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Stages(ids) => ids.contains(&id),
        }
    }
}

/// A sensible number of places: one for every two cores and every 4 GiB, since a build is
/// parallel in itself, but two where there is room for two at all.
pub fn default_jobs() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?
            .trim()
            .strip_suffix("kB")?
            .trim()
            .parse::<usize>()
            .ok()
    });
    let by_memory = kib.map_or(2, |kib| (kib >> 20) / 4);
    (cores / 2).max(2).min(by_memory).clamp(1, 16)
}

/// Builds, and tells `events` of everything. The fault that is returned was not told yet;
/// failed stages were, so they come back as a fault without a message.
pub fn build(
    work: &Workspace,
    wishes: &Wishes,
    interrupt: &Interrupt,
    events: &Sender<Event>,
) -> Result<()> {
    let start = Instant::now();
    let wanted = work.wanted(&wishes.stages)?;
    let _lock = work.state.lock(|holder| {
        let message = format!("waiting for another build of this graph to end ({holder})");
        let _ = events.send(Event::Notice { message });
    })?;
    let jobs = wishes.jobs.unwrap_or_else(default_jobs);
    let (prepared, images) = work.prepare(&wanted)?;
    // A stage that cannot even be read fails the run before anything is built.
    for id in &wanted {
        if let Some(Prepared {
            material: Err(fault),
            ..
        }) = prepared.get(id)
        {
            return Err(fault.clone());
        }
    }
    let _ = events.send(Event::Started {
        stages: wanted.len(),
        jobs,
    });
    let run = Run::new(
        work, wishes, interrupt, events, &wanted, prepared, images, start,
    );
    run.tell_warnings();
    schedule::run(&run.tasks(), jobs, wishes.keep_going, &run)?;
    run.finish()
}

struct Run<'a> {
    work: &'a Workspace,
    wishes: &'a Wishes,
    interrupt: &'a Interrupt,
    /// `Sender` is used from several threads one after the other.
    events: Mutex<Sender<Event>>,
    wanted: &'a [StageId],
    prepared: HashMap<StageId, Prepared>,
    start: Instant,
    now: Mutex<Now>,
}

/// What changes while stages are built.
#[derive(Default)]
struct Now {
    upstream: BTreeMap<StageId, Upstream>,
    /// The private reference of every stage that has an image.
    privates: BTreeMap<StageId, String>,
    images: Images,
    outcome: BTreeMap<StageId, Outcome>,
    saved_ms: u64,
    fault: Option<Fault>,
}

/// What a stage's turn came to.
struct Turn {
    outcome: Outcome,
    record: Option<Record>,
    error: Option<String>,
    tail: Vec<String>,
    log: Option<Utf8PathBuf>,
}

impl Turn {
    fn failed(error: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Failed,
            record: None,
            error: Some(error.into()),
            tail: Vec::new(),
            log: None,
        }
    }

    fn good(outcome: Outcome, record: Record) -> Self {
        Self {
            outcome,
            record: Some(record),
            error: None,
            tail: Vec::new(),
            log: None,
        }
    }
}

impl<'a> Run<'a> {
    #[expect(
        clippy::too_many_arguments,
        reason = "the one place where the parts of a run meet"
    )]
    fn new(
        work: &'a Workspace,
        wishes: &'a Wishes,
        interrupt: &'a Interrupt,
        events: &Sender<Event>,
        wanted: &'a [StageId],
        prepared: HashMap<StageId, Prepared>,
        images: Images,
        start: Instant,
    ) -> Self {
        let now = Now {
            images,
            ..Now::default()
        };
        Self {
            work,
            wishes,
            interrupt,
            events: Mutex::new(events.clone()),
            wanted,
            prepared,
            start,
            now: Mutex::new(now),
        }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: Event) {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody listening is no reason to stop a build.
        let _ = events.send(event);
    }

    fn tell_warnings(&self) {
        let warnings = self
            .work
            .warnings
            .lock()
            .map(|mut warnings| std::mem::take(&mut *warnings));
        for message in warnings.unwrap_or_default() {
            self.tell(Event::Notice { message });
        }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn name(&self, id: StageId) -> &str {
        &self.work.spec.stage(id).name
    }

    fn tasks(&self) -> Vec<Task> {
        let place: HashMap<StageId, usize> = self
            .wanted
            .iter()
            .enumerate()
            .map(|(at, id)| (*id, at))
            .collect();
        let within = |ids: &mut dyn Iterator<Item = StageId>| {
            ids.filter_map(|id| place.get(&id).copied())
                .collect::<Vec<_>>()
        };
        let tasks = self.wanted.iter().map(|id| Task {
            children: within(&mut self.work.graph.children(*id)),
            parents: within(&mut self.work.graph.parents(*id)).len(),
            weight: self.work.spec.stage(*id).weight as usize,
            expected_ms: self.expected_ms(*id).unwrap_or(0),
        });
        tasks.collect()
    }

    fn expected_ms(&self, id: StageId) -> Option<u64> {
        Some(self.prepared.get(&id)?.records.last()?.duration_ms)
    }

    /// One stage's turn, from verdict to record.
    fn turn(&self, id: StageId) -> Turn {
        self.try_turn(id).unwrap_or_else(|fault| {
            let interrupted = fault.class == Class::Interrupted;
            let turn = Turn::failed(fault.message.clone());
            if interrupted {
                return Turn {
                    outcome: Outcome::Cancelled,
                    error: None,
                    ..turn
                };
            }
            let mut now = self.now();
            // What the machine lacks has an exit status of its own.
            if now.fault.is_none() && fault.class != Class::Failed {
                now.fault = Some(Fault {
                    message: String::new(),
                    ..fault
                });
            }
            turn
        })
    }

    fn try_turn(&self, id: StageId) -> Result<Turn> {
        let prepared = self
            .prepared
            .get(&id)
            .ok_or_else(|| Fault::failed("was never prepared"))?;
        if let Ok(Gathered::PrepareFirst(reason)) = &prepared.material {
            return self.after_host_command(id, prepared, reason);
        }
        self.assessed(id, prepared)
    }

    /// Runs the stage's host command, then goes on as if its outputs had always been there.
    fn after_host_command(&self, id: StageId, before: &Prepared, reason: &Reason) -> Result<Turn> {
        let (work, stage) = (self.work, self.work.spec.stage(id));
        self.tell_started(id, reason);
        let log = work
            .state
            .path("logs")
            .join(format!("{}.prepare.log", stage.name));
        prepare::run(
            &work.spec,
            stage,
            &work.state,
            &work.cache,
            &log,
            self.interrupt,
        )?;
        let prepared = Prepared {
            material: work.gather(id),
            records: before.records.clone(),
        };
        self.assessed(id, &prepared)
    }

    fn assessed(&self, id: StageId, prepared: &Prepared) -> Result<Turn> {
        let Ok(Gathered::Material(material)) = &prepared.material else {
            return match &prepared.material {
                Err(fault) => Err(fault.clone()),
                Ok(_) => Err(Fault::failed(
                    "its host command changed what it reads itself",
                )),
            };
        };
        self.pin(material)?;
        let assessment = {
            let mut now = self.now();
            let Now {
                upstream, images, ..
            } = &mut *now;
            self.work
                .assess(id, prepared, upstream, images, self.wishes.force.covers(id))?
        };
        match &assessment.verdict {
            Verdict::Fresh(record) => {
                let record = self.put_under_new_references(id, record)?;
                Ok(Turn::good(Outcome::Fresh, record))
            }
            Verdict::Stale {
                healable: Some(record),
                reason,
            } => {
                self.tell_started(id, reason);
                self.heal(id, record)
            }
            Verdict::Stale {
                healable: None,
                reason,
            } => {
                self.tell_started(id, reason);
                self.execute(id, material, assessment)
            }
            Verdict::Unknown(_) => Err(Fault::failed("a stage that it stands on has no image")),
        }
    }

    fn tell_started(&self, id: StageId, reason: &Reason) {
        self.tell(Event::StageStarted {
            stage: self.name(id).to_owned(),
            reason: reason.clone(),
            at_ms: self.elapsed_ms(),
            expected_ms: self.expected_ms(id),
        });
    }

    /// A fresh image gets the tags that were added to the graph since.
    fn put_under_new_references(&self, id: StageId, record: &Record) -> Result<Record> {
        let references = self.work.spec.stage(id).references();
        if references
            .iter()
            .all(|reference| record.references.contains(reference))
        {
            return Ok(record.clone());
        }
        for reference in references
            .iter()
            .filter(|reference| !record.references.contains(reference))
        {
            self.work.engine.tag(&record.image, reference)?;
        }
        self.note_references(id, record, references)
    }

    /// The image is there and only a reference to it is gone or was pointed elsewhere.
    fn heal(&self, id: StageId, record: &Record) -> Result<Turn> {
        let references = self.work.spec.stage(id).references();
        for reference in references.iter().chain([&record.private]) {
            self.work.engine.tag(&record.image, reference)?;
        }
        Ok(Turn::good(
            Outcome::Built,
            self.note_references(id, record, references)?,
        ))
    }

    fn note_references(
        &self,
        id: StageId,
        record: &Record,
        references: Vec<String>,
    ) -> Result<Record> {
        let noted = self
            .work
            .store
            .put_under(self.name(id), record.key, &references);
        noted.map_err(|error| {
            Fault::lacks(format!(
                "cannot write the record of `{}`: {error}",
                self.name(id)
            ))
        })?;
        Ok(Record {
            references,
            ..record.clone()
        })
    }

    /// Pins external images that are neither pinned nor in the engine.
    fn pin(&self, material: &Material) -> Result<()> {
        for reference in material.bases() {
            let pinned = self
                .work
                .lock
                .lock()
                .is_ok_and(|lock| lock.digest(reference).is_some());
            if pinned {
                continue;
            }
            if self.wishes.locked {
                return Err(Fault::usage(format!(
                    "`{reference}` has no entry in the lock file, and `--locked` was given: build once without it, and commit the lock"
                )));
            }
            let name = reference.to_owned();
            if !self.now().images.contains_key(&name) {
                let found = self.work.engine.images(std::slice::from_ref(&name))?;
                self.now().images.extend(found);
            }
            if self.now().images.get(&name).is_some_and(Option::is_some) {
                continue;
            }
            if self.wishes.offline {
                return Err(Fault::lacks(format!(
                    "`{reference}` is neither pinned nor in the engine, and `--offline` was given: pull it, or build once online"
                )));
            }
            let digest = self.work.engine.resolve(reference)?;
            self.tell(Event::Notice {
                message: format!("pinned {reference} to {digest}; commit the lock file"),
            });
            if let Ok(mut lock) = self.work.lock.lock() {
                lock.pin(
                    reference,
                    Base {
                        digest,
                        platforms: BTreeMap::new(),
                    },
                )?;
            }
        }
        Ok(())
    }

    fn execute(&self, id: StageId, material: &Material, assessment: Assessment) -> Result<Turn> {
        let (work, stage) = (self.work, self.work.spec.stage(id));
        let private = action::private_reference(&stage.name, assessment.key);
        let log = work.state.path("logs").join(format!("{}.log", stage.name));
        let action = self.action(id, material, &private)?;
        let redactor = Redactor::of(stage, &work.spec.root);
        let watch = |progress| {
            let stage = stage.name.clone();
            self.tell(match progress {
                Progress::Step(step) => Event::Step { stage, step },
                Progress::Retry { attempt, why } => Event::Retry {
                    stage,
                    attempt,
                    why,
                },
            });
        };
        let began = Instant::now();
        match executor::run(&action, &log, &redactor, self.interrupt, &watch) {
            Ok(()) => {}
            Err(Failure::Interrupted) => return Err(Fault::interrupted()),
            Err(Failure::NoDocker(error)) => return Err(Fault::lacks(error)),
            Err(Failure::Build { error, tail }) => {
                return Ok(Turn {
                    tail,
                    log: Some(log),
                    ..Turn::failed(error)
                });
            }
        }
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let built = work.engine.images(std::slice::from_ref(&private))?;
        let Some(image) = built.get(&private).cloned().flatten() else {
            return Err(Fault::failed(format!(
                "buildx ended well, but the engine does not have {private}: is another builder in use than the engine's own?"
            )));
        };
        self.now().images.extend(built);
        let ended = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let record = Record {
            key: assessment.key,
            image: image.id,
            private,
            references: stage.references(),
            size: image.size,
            duration_ms,
            ended_ms: u64::try_from(ended.as_millis()).unwrap_or(u64::MAX),
        };
        if material.changed_since(&work.cache)? {
            let message = format!(
                "`{}` was built while its inputs changed: the image may hold some of each, so it is not recorded and will be built again",
                stage.name
            );
            self.tell(Event::Notice { message });
        } else {
            let miss = work
                .store
                .miss(&stage.name, assessment.key, assessment.made_of);
            miss.save(record.clone()).map_err(|error| {
                Fault::lacks(format!(
                    "cannot write the record of `{}`: {error}",
                    stage.name
                ))
            })?;
        }
        Ok(Turn {
            log: Some(log),
            ..Turn::good(Outcome::Built, record)
        })
    }

    fn action(&self, id: StageId, material: &Material, private: &str) -> Result<Action> {
        let (work, stage) = (self.work, self.work.spec.stage(id));
        let mut args = material.args.clone();
        args.extend(material::expand(&work.spec, stage, true)?);
        let mut references = stage.references();
        references.push(private.to_owned());
        let metadata = work
            .state
            .path("metadata")
            .join(format!("{}.json", stage.name));
        if let Some(folder) = metadata.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|error| Fault::lacks(format!("cannot make {folder}: {error}")))?;
        }
        Ok(action::build(&Parts {
            spec: &work.spec,
            stage,
            docker_context: work.engine.context(),
            dockerfile: &material.dockerfile,
            context: &self.laid_out(id, material)?,
            args: &args,
            labels: &material.labels,
            contexts: self.contexts(id, material)?,
            references,
            metadata: &metadata,
        }))
    }

    /// The folder that buildx is given: upstream's own, or one in which the overlays lie over it.
    fn laid_out(&self, id: StageId, material: &Material) -> Result<Utf8PathBuf> {
        let folder = &material.context;
        if let [only] = folder.layers.folders.as_slice() {
            return Ok(only.clone());
        }
        let into = self.work.state.path("merged").join(self.name(id));
        inputs::materialise(&folder.layers, &folder.ignore, &into)
            .map_err(|error| Fault::failed(error.to_string()))?;
        Ok(into)
    }

    /// The named contexts: parents by their private reference, pinned bases by their digest.
    fn contexts(&self, id: StageId, material: &Material) -> Result<BTreeMap<String, String>> {
        let (work, stage) = (self.work, self.work.spec.stage(id));
        let mut contexts = BTreeMap::new();
        for base in &material.reading.bases {
            if let Some(exact) = self.exact(&base.reference) {
                contexts.insert(base.reference.clone(), exact);
            }
        }
        for (name, reference) in &material.images {
            let exact = self
                .exact(reference)
                .unwrap_or_else(|| format!("docker-image://{reference}"));
            contexts.insert(name.clone(), exact);
        }
        for (name, given) in &stage.contexts {
            if let (Context::Folder(source, path), true) =
                (given, material.folders.contains_key(name))
            {
                let folder = material::folder_of_context(&work.spec, *source, path, name)?;
                contexts.insert(name.clone(), folder.into_string());
            }
        }
        let now = self.now();
        for (name, parent) in &material.parents {
            let private = now
                .privates
                .get(parent)
                .ok_or_else(|| Fault::failed("a stage that it stands on has no image"))?;
            contexts.insert(name.clone(), format!("docker-image://{private}"));
        }
        Ok(contexts)
    }

    /// What makes buildx use the very image that is in the key. An image that is not pinned but
    /// in the engine needs nothing: a plain FROM takes the engine's own before it asks a registry.
    fn exact(&self, reference: &str) -> Option<String> {
        let digest = self.work.lock.lock().ok()?.digest(reference)?;
        let bare = reference
            .split_once('@')
            .map_or(reference, |(bare, _)| bare);
        Some(format!("docker-image://{bare}@{digest}"))
    }

    /// Tells how the run ended.
    fn finish(self) -> Result<()> {
        self.tell_warnings();
        let mut now = self.now();
        // What was neither run nor lost was not started any more.
        for id in self.wanted {
            now.outcome.entry(*id).or_insert(Outcome::Cancelled);
        }
        let outcome: BTreeMap<String, Outcome> = now
            .outcome
            .iter()
            .map(|(id, outcome)| (self.name(*id).to_owned(), *outcome))
            .collect();
        let bad = outcome
            .values()
            .any(|outcome| !matches!(outcome, Outcome::Built | Outcome::Fresh));
        let saved_ms = now.saved_ms;
        let fault = now.fault.take();
        drop(now);
        self.tell(Event::Finished(Finished {
            outcome,
            elapsed_ms: self.elapsed_ms(),
            saved_ms,
        }));
        if self.interrupt.is_set() {
            return Err(Fault::interrupted());
        }
        match fault {
            Some(fault) => Err(fault),
            None if bad => Err(Fault::failed("")),
            None => Ok(()),
        }
    }
}

impl Work for Run<'_> {
    fn run(&self, task: usize) -> End {
        let id = self.wanted[task];
        let started_ms = self.elapsed_ms();
        let turn = self.turn(id);
        let saved_ms = match (&turn.outcome, &turn.record) {
            (Outcome::Fresh, Some(record)) => record.duration_ms,
            _ => 0,
        };
        {
            let mut now = self.now();
            if let Some(record) = &turn.record {
                now.upstream
                    .insert(id, Upstream::Image(record.image.clone()));
                now.privates.insert(id, record.private.clone());
            }
            now.outcome.insert(id, turn.outcome);
            now.saved_ms += saved_ms;
        }
        let end = if turn.record.is_some() {
            End::Good
        } else {
            End::Bad
        };
        self.tell(Event::StageFinished(StageFinished {
            stage: self.name(id).to_owned(),
            outcome: turn.outcome,
            started_ms,
            ended_ms: self.elapsed_ms(),
            image: turn.record.as_ref().map(|record| record.image.clone()),
            size: turn.record.as_ref().map(|record| record.size),
            error: turn.error,
            tail: turn.tail,
            log: turn.log.map(Utf8PathBuf::into_string),
            saved_ms,
        }));
        end
    }

    fn lost(&self, task: usize, because: usize) {
        let (id, because) = (self.wanted[task], self.wanted[because]);
        let cancelled = self.now().outcome.get(&because) == Some(&Outcome::Cancelled);
        let outcome = if cancelled {
            Outcome::Cancelled
        } else {
            Outcome::Skipped
        };
        self.now().outcome.insert(id, outcome);
        let at = self.elapsed_ms();
        self.tell(Event::StageFinished(StageFinished {
            stage: self.name(id).to_owned(),
            outcome,
            started_ms: at,
            ended_ms: at,
            image: None,
            size: None,
            error: Some(format!(
                "because `{}` {}",
                self.name(because),
                if cancelled { "was cancelled" } else { "failed" }
            )),
            tail: Vec::new(),
            log: None,
            saved_ms: 0,
        }));
    }

    fn may_start(&self) -> bool {
        !self.interrupt.is_set()
    }
}
