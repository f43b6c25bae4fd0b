//! One stage's turn: its verdict, and what follows from it. A fresh stage may still get references
//! that it lacks, a restorable image gets its names back, and a stale stage is handed to `execute`.

use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use camino::Utf8PathBuf;

use super::Run;
use super::builders::Other;
use super::moving::{Hold, Lost};
use crate::fault::{Class, Fault, Result};
use crate::freshness::key::Ingredient;
use crate::freshness::planner::{self, Assessment, Gathered, Looked, Prepared, Upstream};
use crate::freshness::record::Record;
use crate::freshness::secrets;
use crate::freshness::verdict::{Reason, Verdict};
use crate::graphfile::spec::StageId;
use crate::outside::place::ImagePlace;
use crate::report::event::{Event, FailedStep, Outcome};
use crate::report::excerpt::Excerpt;
use crate::unpoisoned::Unpoisoned as _;

/// The result of a stage's turn.
pub(super) struct Turn {
    pub(super) outcome: Outcome,
    pub(super) record: Option<Record>,
    pub(super) error: Option<String>,
    pub(super) step: Option<FailedStep>,
    pub(super) excerpt: Excerpt,
    pub(super) log: Option<Utf8PathBuf>,
}

impl Turn {
    pub(super) fn failed(error: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Failed,
            record: None,
            error: Some(error.into()),
            step: None,
            excerpt: Excerpt::default(),
            log: None,
        }
    }

    pub(super) fn good(outcome: Outcome, record: Record) -> Self {
        Self {
            outcome,
            record: Some(record),
            error: None,
            step: None,
            excerpt: Excerpt::default(),
            log: None,
        }
    }
}

/// How a turn ends.
pub(super) enum TurnEnd {
    /// The stage has its image, or failed.
    Done(Box<Turn>),
    /// The stage moves to another builder.
    Moves,
    /// Only the engine's own builder can build the stage.
    StaysHere,
}

impl Run<'_> {
    /// One stage's turn, from verdict to record.
    pub(super) fn turn(&self, id: StageId, lane: usize) -> TurnEnd {
        let hold = Hold {
            lane,
            lock: OnceCell::new(),
            lost: OnceCell::new(),
        };
        let turn = self.try_turn(id, &hold);
        match (&turn, hold.lost.get()) {
            (Err(_), Some(Lost::Unfit)) => return TurnEnd::StaysHere,
            (Err(_), Some(lost)) if self.moves(id, lost) => return TurnEnd::Moves,
            _ => {}
        }
        TurnEnd::Done(Box::new(turn.unwrap_or_else(|fault| {
            let interrupted = fault.class == Class::Interrupted;
            let turn = Turn::failed(fault.to_string());
            if interrupted {
                return Turn {
                    outcome: Outcome::Cancelled,
                    error: None,
                    ..turn
                };
            }
            let mut now = self.now();
            // The run ends with the exit status of the first fault that is not a failed build.
            if now.fault.is_none() && fault.class != Class::Failed {
                now.fault = Some(Fault::told(fault.class));
            }
            turn
        })))
    }

    fn try_turn(&self, id: StageId, hold: &Hold) -> Result<Turn> {
        let prepared = self
            .prepared
            .get(&id)
            .ok_or_else(|| Fault::failed("was never prepared"))?;
        let now = self.look_once_more(id, prepared);
        let prepared = now.as_ref().unwrap_or(prepared);
        if let Some(Ok(Gathered::PrepareFirst(due))) = prepared.read() {
            return self.after_host_commands(id, prepared, due, hold);
        }
        self.assessed(id, prepared, hold)
    }

    /// Looks at a stage and its images again if anything ran since the last look. `None` if nothing
    /// ran or the stage's trees are as they were.
    fn look_once_more(&self, id: StageId, before: &Prepared) -> Option<Prepared> {
        if !self.has_acted.load(Ordering::SeqCst) {
            return None;
        }
        self.forget_images(id, before);
        self.work.look_once_more(id, before)
    }

    /// Forgets the engine's answers about all images that a stage's verdict needs, so that the
    /// engine is asked again.
    pub(super) fn forget_images(&self, id: StageId, before: &Prepared) {
        for reference in self.asked_of_engine(id, before) {
            self.held.forget(&reference);
        }
    }

    /// All references that a stage's verdict asks the engine for.
    pub(super) fn asked_of_engine(&self, id: StageId, before: &Prepared) -> BTreeSet<String> {
        let privates = before.records.all().map(|record| record.private.clone());
        let mut asked: BTreeSet<String> = privates.collect();
        asked.extend(self.work.spec.stage(id).engine_references());
        if let Some(summary) = before.summary() {
            asked.extend(summary.externals.references.iter().cloned());
        }
        asked
    }

    pub(super) fn assessed(&self, id: StageId, prepared: &Prepared, hold: &Hold) -> Result<Turn> {
        let assess = || {
            let upstream = self.upstream(id);
            let forced = self.wishes.force.covers(id);
            self.work
                .assess(id, prepared, &upstream, &self.held, forced)
        };
        let mut assessment = assess()?;
        if let Verdict::Fresh(record) = &assessment.verdict
            && self.is_at_hand(id, prepared, record)
            && self.has_all_names(id, record)
        {
            return self.fresh(id, record);
        }
        if let Some(now) = self.take(id, prepared, hold)? {
            return self.assessed(id, &now, hold);
        }
        if let Verdict::Fresh(record) = &assessment.verdict {
            return self.complete(id, prepared, record);
        }
        if matches!(assessment.verdict, Verdict::Stale(_)) {
            self.refuse_without_index(id)?;
        }
        let (summary, stage_inputs) = match prepared.gathered(self.work, id) {
            Ok(Gathered::Read(summary, stage_inputs)) => (summary, stage_inputs),
            Ok(Gathered::Assembled(_)) => return self.assembled_turn(id, assessment),
            Ok(Gathered::Lent(_, _, due)) => {
                return match &assessment.verdict {
                    Verdict::Restorable(reason, record) => {
                        self.tell_started(id, reason);
                        self.restore(id, record)
                    }
                    Verdict::Fresh(record) => self.complete(id, prepared, record),
                    Verdict::Stale(_) => self.after_host_commands(id, prepared, due, hold),
                    Verdict::Unknown(_) => {
                        Err(Fault::failed("a stage that it stands on has no image"))
                    }
                };
            }
            // The memo knew of no due host command, but the tree has changed since it was checked.
            Ok(Gathered::PrepareFirst(due)) => {
                return self.after_host_commands(id, prepared, due, hold);
            }
            Err(fault) => return Err(fault.clone()),
        };
        // A stage that is fresh asks no registry, even if it uses an image that only the engine has
        // and that has no entry in the lock.
        let must_be_built = matches!(assessment.verdict, Verdict::Stale(_));
        if must_be_built {
            self.has_acted.store(true, Ordering::SeqCst);
            self.pin(id, stage_inputs)?;
            // A pin changes the key.
            assessment = assess()?;
            // Asking registries may take long, and a stage that is not built is not looked at again
            // after this.
            if assessment.verdict.has_image()
                && let Some(now) = self.look_once_more(id, prepared)
            {
                return self.assessed(id, &now, hold);
            }
        }
        match &assessment.verdict {
            Verdict::Fresh(record) => self.complete(id, prepared, record),
            Verdict::Restorable(reason, record) => {
                self.tell_started(id, reason);
                self.restore(id, record)
            }
            Verdict::Stale(reason) => {
                secrets::refuse_missing(&self.work.spec, self.work.spec.stage(id))?;
                let builder = self.builders.other(hold.lane);
                self.tell_started_on(id, reason, builder.map(Other::name));
                self.execute(id, summary, stage_inputs, assessment, hold)
            }
            Verdict::Unknown(_) => Err(Fault::failed("a stage that it stands on has no image")),
        }
    }

    /// The turn of a stage that is assembled from its parts.
    fn assembled_turn(&self, id: StageId, assessment: Assessment) -> Result<Turn> {
        match &assessment.verdict {
            Verdict::Fresh(record) => self.name_anew(id, record),
            Verdict::Restorable(reason, record) => {
                self.tell_started(id, reason);
                self.restore(id, record)
            }
            Verdict::Stale(reason) => {
                self.has_acted.store(true, Ordering::SeqCst);
                self.tell_started(id, reason);
                let key = assessment.key;
                let key = key.ok_or_else(|| Fault::failed("a part of it has no image"))?;
                self.assemble(id, key, assessment.made_of)
            }
            Verdict::Unknown(_) => Err(Fault::failed("a part of it has no image")),
        }
    }

    /// The images of the stages that this stage stands on, as far as they are known.
    pub(super) fn upstream(&self, id: StageId) -> BTreeMap<StageId, Upstream> {
        let parents = self.work.spec.stage(id).upstream();
        let now = self.now();
        let known = parents.into_iter().filter_map(|parent| {
            let record = now.records.get(&parent)?;
            Some((parent, planner::known(record)))
        });
        known.collect()
    }

    /// Takes the stage, unless this turn has it already. Gives what is known of the stage now, if
    /// another build may have built it since the last look.
    fn take(&self, id: StageId, before: &Prepared, hold: &Hold) -> Result<Option<Prepared>> {
        if hold.lock.get().is_some() {
            return Ok(None);
        }
        let (work, name) = (self.work, self.name(id));
        let has_waited = Cell::new(false);
        let waiting = |holder: &str| {
            has_waited.set(true);
            let message = format!("`{name}` waits for another build that has it ({holder})");
            self.tell(Event::Notice { message });
        };
        let lock = work
            .state
            .lock_stage(name, waiting, || self.interrupt.pause())?;
        let _ = hold.lock.set(lock);
        let (records, warning) = work.store.records(name);
        if !has_waited.get() && records == before.records {
            return Ok(None);
        }
        warning.into_iter().for_each(|warning| work.warn(warning));
        // The other build may have pinned images, and written what host commands make.
        work.lock.lock().unpoisoned().reload()?;
        let now = Prepared::new(Looked::Read(work.gather(id)), records);
        self.forget_images(id, &now);
        Ok(Some(now))
    }

    /// Whether the image of a fresh stage was given all names that it should have.
    pub(super) fn has_all_names(&self, id: StageId, record: &Record) -> bool {
        if !matches!(record.place(), ImagePlace::Engine(_)) {
            return true;
        }
        let references = self.work.spec.stage(id).engine_references();
        references.iter().all(|it| record.references.contains(it))
    }

    /// A fresh stage whose image has all names.
    pub(super) fn fresh(&self, id: StageId, record: &Record) -> Result<Turn> {
        let records = self.prepared.get(&id).map(|prepared| &prepared.records);
        let last = records.and_then(|records| records.last());
        if last.is_some_and(|last| (last.key, &last.image) != (record.key, &record.image)) {
            // A later reason compares with the last record, which should be what was there last,
            // not what was built last. If this cannot be written, or another build has the stage, a
            // later reason is less exact, and nothing worse.
            let (work, name) = (self.work, self.name(id));
            if let Ok(_turn) = work.state.lock_stage(name, |_| (), || true) {
                let _ = work.store.put_under(name, record, &record.references);
            }
        }
        Ok(Turn::good(Outcome::Fresh, record.clone()))
    }

    /// Gives the image of a fresh stage the names that it does not have yet.
    pub(super) fn name_anew(&self, id: StageId, record: &Record) -> Result<Turn> {
        let references = self.work.spec.stage(id).engine_references();
        let is_new = |reference: &&String| !record.references.contains(reference);
        for reference in references.iter().filter(is_new) {
            self.tag(&record.image, reference)?;
        }
        let record = self.note_references(id, record, references)?;
        Ok(Turn::good(Outcome::Fresh, record))
    }

    pub(super) fn tag(&self, image: &str, reference: &str) -> Result<()> {
        // Another stage may use this name as that of an external image.
        self.has_acted.store(true, Ordering::SeqCst);
        self.work.engine.tag(image, reference)
    }

    pub(super) fn tell_started(&self, id: StageId, reason: &Reason) {
        self.tell_started_on(id, reason, None);
    }

    fn tell_started_on(&self, id: StageId, reason: &Reason, builder: Option<&str>) {
        self.tell(Event::StageStarted {
            stage: self.name(id).to_owned(),
            reason: reason.clone(),
            at_ms: self.elapsed_ms(),
            expected_ms: self.last_ms(id),
            builder: builder.map(str::to_owned),
            weight: Some(self.work.spec.stage(id).weight as usize).filter(|it| *it != 1),
        });
    }

    /// Gives the image its references again: it is there, but a reference is gone or points to
    /// another image.
    fn restore(&self, id: StageId, record: &Record) -> Result<Turn> {
        let references = self.work.spec.stage(id).engine_references();
        for reference in references.iter().chain([&record.private]) {
            self.tag(&record.image, reference)?;
        }
        Ok(Turn::good(
            Outcome::Restored,
            self.note_references(id, record, references)?,
        ))
    }

    /// Records what a build of a stage has made of these ingredients.
    pub(super) fn save(
        &self,
        id: StageId,
        made_of: Vec<Ingredient>,
        record: &Record,
    ) -> Result<()> {
        let name = self.name(id);
        let miss = self.work.store.miss(name, record.key, made_of);
        miss.save(record.clone(), self.wishes.force.covers(id))
            .map_err(|error| {
                Fault::lacks(format!("cannot write the record of `{name}`: {error}"))
            })?;
        self.work.share(id, record);
        Ok(())
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
            .put_under(self.name(id), record, &references);
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
}
