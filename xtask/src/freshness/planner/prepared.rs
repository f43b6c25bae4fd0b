//! What is known of the stages before their upstream is.
//!
//! First the memos are asked, on all cores. For stages that they do not answer, the trees are read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use rayon::prelude::*;

use super::due::InputsOrDue;
use super::memo::{self, Memo, Memos};
use super::{Due, StageSummary, Workspace};
use crate::contexts::Tracer;
use crate::fault::{Fault, Result};
use crate::freshness::record::Records;
use crate::freshness::stage_inputs::StageInputs;
use crate::graphfile::base_override;
use crate::graphfile::spec::{Naming, StageId};
use crate::unpoisoned::Unpoisoned as _;

/// How long the looks that were made ahead are believed. A walk of a large tree takes as long.
const BELIEVED: Duration = Duration::from_secs(1);

/// Reads the file of memos while the graph file is read.
#[derive(Debug)]
pub struct Ahead {
    file: Utf8PathBuf,
    started: Instant,
    asked: Arc<AtomicBool>,
    reader: Mutex<Option<JoinHandle<memo::Read>>>,
}

impl Ahead {
    /// Begins to read and, with `look`, to check whether the memos still hold.
    pub fn start(file: Utf8PathBuf, look: bool) -> Self {
        let (own, asked) = (file.clone(), Arc::new(AtomicBool::new(!look)));
        let until = Arc::clone(&asked);
        let reader = move || {
            let read = Memos::read(own);
            read.0.look_until(&until);
            read
        };
        Self {
            file,
            started: Instant::now(),
            asked,
            reader: Mutex::new(Some(std::thread::spawn(reader))),
        }
    }

    /// The memos that were read. A later call reads the file again.
    fn take(&self) -> memo::Read {
        self.asked.store(true, Ordering::Relaxed);
        let is_late = self.started.elapsed() > BELIEVED;
        let reader = self.reader.lock().unpoisoned().take();
        let read = reader.and_then(|reader| reader.join().ok());
        let (mut memos, warning) = read.unwrap_or_else(|| Memos::read(self.file.clone()));
        // Meanwhile a source may have been fetched, or a person may have been asked something.
        if is_late {
            memos.look_again();
        }
        (memos, warning)
    }
}

/// What is known of a stage before its upstream is.
#[derive(Debug)]
pub struct Prepared {
    /// The stage's records.
    pub records: Records,
    /// What the trees said in an earlier run, if they have not changed since.
    remembered: Option<StageSummary>,
    /// What the trees say now, if `remembered` was not enough.
    read: OnceLock<Result<Gathered>>,
}

/// How a stage was looked at first.
#[derive(Debug)]
pub enum Looked {
    /// Its trees have not changed since an earlier run, and this is what they said.
    Remembered(StageSummary),
    /// Its trees were read.
    Read(Result<Gathered>),
}

/// What the trees of a stage say now.
#[derive(Debug)]
pub enum Gathered {
    /// The summary and the inputs.
    Read(StageSummary, Box<StageInputs>),
    /// The same with what a host command would make, as somebody has shared it. The files
    /// themselves are not there yet, so nothing can be built before they are.
    Lent(StageSummary, Box<StageInputs>, Due),
    /// A host command must run before the stage can be judged.
    PrepareFirst(Due),
    /// The stage is assembled from its parts, and has no trees.
    Assembled(StageSummary),
}

impl Prepared {
    /// What is known of a stage after the first look.
    pub fn new(looked: Looked, records: Records) -> Self {
        let (remembered, read) = match looked {
            Looked::Remembered(summary) => (Some(summary), OnceLock::new()),
            Looked::Read(gathered) => (None, OnceLock::from(gathered)),
        };
        Self {
            records,
            remembered,
            read,
        }
    }

    /// The remembered summary, unless the trees were read since.
    pub fn remembered(&self) -> Option<&StageSummary> {
        self.remembered
            .as_ref()
            .filter(|_| self.read.get().is_none())
    }

    /// What the trees say, if they were read already.
    pub fn read(&self) -> Option<&Result<Gathered>> {
        self.read.get()
    }

    /// What the trees say. Reads them if they were not read yet.
    pub fn gathered(&self, work: &Workspace, id: StageId) -> &Result<Gathered> {
        self.read.get_or_init(|| work.gather(id))
    }

    /// The summary, remembered or read. `None` if a host command must run first or reading failed.
    pub fn summary(&self) -> Option<&StageSummary> {
        match self.read.get() {
            None => self.remembered.as_ref(),
            Some(Ok(
                Gathered::Read(summary, _)
                | Gathered::Lent(summary, ..)
                | Gathered::Assembled(summary),
            )) => Some(summary),
            Some(Ok(Gathered::PrepareFirst(_)) | Err(_)) => None,
        }
    }
}

impl Workspace {
    /// The inputs of one stage, unless a host command must run first.
    pub fn gather(&self, id: StageId) -> Result<Gathered> {
        self.engine.prove_platform()?;
        let states = self.state.beside().as_std_path();
        self.gather_seen_by(id, &Tracer::forgetful(&self.cache).beside(states))
    }

    fn gather_seen_by(&self, id: StageId, tracer: &Tracer<'_>) -> Result<Gathered> {
        let stage = self.spec.stage(id);
        if let Naming::Failed(fault) = &stage.naming {
            return Err(fault.clone());
        }
        if stage.is_assembled() {
            return Ok(Gathered::Assembled(StageSummary::of_assembled(
                &self.spec, id,
            )));
        }
        let (stage_inputs, lent) = match self.inputs_or_due(id, tracer)? {
            InputsOrDue::Inputs(stage_inputs) => (stage_inputs, None),
            InputsOrDue::Lent(stage_inputs, due) => (stage_inputs, Some(due)),
            InputsOrDue::Due(due) => return Ok(Gathered::PrepareFirst(due)),
        };
        let mut taken = stage_inputs
            .reading
            .bases
            .iter()
            .map(|base| base.reference.as_str());
        if let Some(name) = base_override::overlooked(&self.spec, id, &mut taken) {
            return Err(Fault::failed(format!(
                "{}: the Dockerfile of `{}` now names `{name}`, which it did not when this run began, and `[base]` replaces that image: \
                 run this once more",
                self.spec.file, stage.name
            )));
        }
        let summary = StageSummary::of(&self.spec, id, &stage_inputs);
        let stage_inputs = Box::new(stage_inputs);
        Ok(match lent {
            None => Gathered::Read(summary, stage_inputs),
            Some(due) => Gathered::Lent(summary, stage_inputs, due),
        })
    }

    /// What the trees of a stage say now, after something ran that may have written to them. `None`
    /// if they have not changed.
    pub fn look_once_more(&self, id: StageId, before: &Prepared) -> Option<Prepared> {
        let stage = self.spec.stage(id);
        let holds = |memos: &Memos| {
            memo::question(&self.spec, stage)
                .is_ok_and(|question| memos.holds_now(&stage.name, &question))
        };
        if before.remembered().is_some() && self.recalled.get().is_some_and(holds) {
            return None;
        }
        let looked = Looked::Read(self.gather(id));
        Some(Prepared::new(looked, before.records.clone()))
    }

    /// Looks at all wanted stages, and reads the trees of those without a valid memo.
    pub(super) fn look_at_all(&self, wanted: &[StageId]) -> Vec<Looked> {
        let engine = self.state.path("engine");
        self.engine.remember_platform(&engine);
        let (memos, warning) = self.memos.take();
        warning.into_iter().for_each(|warning| self.warn(warning));
        let world = || memo::world(&self.spec, self.engine.platform());
        let mut memos = memos.of_world(world());
        let mut remembered = self.recall_all(&memos, wanted);
        if remembered.iter().any(Option::is_none) && !self.engine.has_remembered_right() {
            memos = memos.of_world(world());
            remembered = self.recall_all(&memos, wanted);
        }
        let looked: Vec<_> = wanted
            .par_iter()
            .zip(remembered)
            .map(|(id, remembered)| match remembered {
                Some(summary) => (Looked::Remembered(summary), None),
                None => {
                    let (gathered, memo) = self.look_at(*id);
                    (Looked::Read(gathered), memo)
                }
            })
            .collect();
        let mut gathered = Vec::with_capacity(looked.len());
        let mut new = Vec::new();
        for (answer, memo) in looked {
            gathered.push(answer);
            new.extend(memo);
        }
        // A file that cannot be written costs time at the next run, nothing else.
        let fault = |what: &str, saved: std::io::Result<()>| {
            if let Err(error) = saved {
                let folder = self.state.path("");
                self.warn(format!("cannot write {what} in {folder}: {error}"));
            }
        };
        if !new.is_empty() {
            fault("the memos", memos.save(&new));
        }
        drop(new);
        fault("the stat cache", self.cache.save());
        self.cache
            .warning()
            .into_iter()
            .for_each(|warning| self.warn(warning));
        self.engine.note_platform(&engine);
        let _ = self.recalled.set(memos);
        gathered
    }

    fn recall_all(&self, memos: &Memos, wanted: &[StageId]) -> Vec<Option<StageSummary>> {
        let recall = |id: &StageId| {
            let stage = self.spec.stage(*id);
            memos.recall(&stage.name, &memo::question(&self.spec, stage).ok()?)
        };
        wanted.par_iter().map(recall).collect()
    }

    /// Gathers a stage, and makes a memo of it.
    fn look_at(&self, id: StageId) -> (Result<Gathered>, Option<Memo>) {
        let stage = self.spec.stage(id);
        let states = self.state.beside().as_std_path();
        let tracer = Tracer::new(&self.cache).beside(states);
        let gathered = self.gather_seen_by(id, &tracer);
        let memo = match &gathered {
            Ok(Gathered::Read(summary, _)) => tracer.into_trace().and_then(|sightings| {
                let question = memo::question(&self.spec, stage).ok()?;
                Memo::new(&stage.name, &question, summary, sightings)
            }),
            _ => None,
        };
        (gathered, memo)
    }
}
