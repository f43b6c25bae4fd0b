//! One stage's turn: verdict, then action, then record.
//!
//! Knows what each verdict leads to, and that a record is saved only for a build whose inputs
//! stayed as they were. Is unaware of the order of stages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use camino::Utf8PathBuf;

use super::{Run, gaps};
use crate::action;
use crate::assess::{Assessment, Gathered, Prepared, Upstream};
use crate::engine::Image;
use crate::event::{Event, Outcome};
use crate::executor::redact::Redactor;
use crate::executor::{self, Failure, Made, Progress};
use crate::fault::{Class, Fault, Result};
use crate::key::Own;
use crate::material::Material;
use crate::prepare;
use crate::record::Record;
use crate::spec::StageId;
use crate::verdict::{Reason, Verdict};

/// What a stage's turn came to.
pub(super) struct Turn {
    pub(super) outcome: Outcome,
    pub(super) record: Option<Record>,
    pub(super) error: Option<String>,
    pub(super) tail: Vec<String>,
    pub(super) log: Option<Utf8PathBuf>,
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

impl Run<'_> {
    /// One stage's turn, from verdict to record.
    pub(super) fn turn(&self, id: StageId) -> Turn {
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
        if let Ok(Gathered::PrepareFirst(reason)) = prepared.gathered() {
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
            || {
                let message = format!(
                    "the host command of `{}` still runs for a build that was killed: waiting for its end",
                    stage.name
                );
                self.tell(Event::Notice { message });
            },
        )?;
        let prepared = Prepared::new(work.gather(id), before.records.clone());
        if let Ok(Gathered::PrepareFirst(_)) = prepared.gathered() {
            return Err(Fault::failed(
                "what its host command reads changed again while it ran: run this once more",
            ));
        }
        self.assessed(id, &prepared)
    }

    fn assessed(&self, id: StageId, prepared: &Prepared) -> Result<Turn> {
        let assess = || {
            let parents = self.work.spec.stage(id).upstream();
            let upstream: BTreeMap<StageId, Upstream> = {
                let now = self.now();
                let known = parents.into_iter().filter_map(|parent| {
                    let upstream = now.upstream.get(&parent)?;
                    Some((parent, upstream.clone()))
                });
                known.collect()
            };
            let forced = self.wishes.force.covers(id);
            self.work
                .assess(id, prepared, &upstream, &self.held, forced)
        };
        let mut assessment = assess()?;
        let (own, material) = match (&assessment.verdict, prepared.gathered()) {
            (Verdict::Fresh(record), _) => return self.fresh(id, record),
            (_, Ok(Gathered::Material(outline, material))) => (&outline.own, material),
            // It was fresh a moment ago, and its tree was read again since.
            (_, Ok(Gathered::PrepareFirst(reason))) => {
                return self.after_host_command(id, prepared, reason);
            }
            (_, Ok(Gathered::Remembered(_))) => return Err(Fault::failed("was not read again")),
            (_, Err(fault)) => return Err(fault.clone()),
        };
        // What is fresh asks no registry, even where an image of the engine's own has no entry.
        let must_be_built = matches!(assessment.verdict, Verdict::Stale { healable: None, .. });
        if must_be_built && self.pin(id, material)? {
            assessment = assess()?;
        }
        match &assessment.verdict {
            Verdict::Fresh(record) => self.fresh(id, record),
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
                self.execute(id, *own, material, assessment)
            }
            Verdict::Unknown(_) => Err(Fault::failed("a stage that it stands on has no image")),
        }
    }

    fn fresh(&self, id: StageId, record: &Record) -> Result<Turn> {
        let record = self.put_under_new_references(id, record)?;
        Ok(Turn::good(Outcome::Fresh, record))
    }

    fn tell_started(&self, id: StageId, reason: &Reason) {
        self.tell(Event::StageStarted {
            stage: self.name(id).to_owned(),
            reason: reason.clone(),
            at_ms: self.elapsed_ms(),
            expected_ms: self.last_ms(id),
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

    /// Whether the stage's trees are not what they were when its key was made.
    fn has_changed(&self, id: StageId, own: Own) -> bool {
        match self.work.gather(id) {
            Ok(Gathered::Material(outline, _)) => outline.own != own,
            _ => true,
        }
    }

    fn execute(
        &self,
        id: StageId,
        own: Own,
        material: &Material,
        assessment: Assessment,
    ) -> Result<Turn> {
        let (work, stage) = (self.work, self.work.spec.stage(id));
        if self.wishes.offline {
            self.refuse_absent(material)?;
        }
        let private = action::private_reference(&stage.name, assessment.key);
        let log = work.state.path("logs").join(format!("{}.log", stage.name));
        let calls = work.state.call_folder().map_err(|error| {
            let folder = work.state.path("");
            Fault::lacks(format!("cannot make a folder in {folder}: {error}"))
        })?;
        let action = self.action(id, material, &private, calls.path())?;
        for message in gaps::told(&work.spec, stage, material)? {
            self.tell(Event::Notice { message });
        }
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
        let made = match executor::run(&action, &log, &redactor, self.interrupt, &watch) {
            Ok(made) => made,
            Err(Failure::Interrupted) => return Err(Fault::interrupted()),
            Err(Failure::NoDocker(error)) => return Err(Fault::lacks(error)),
            Err(Failure::Build { error, tail }) => {
                return Ok(Turn {
                    tail,
                    log: Some(log),
                    ..Turn::failed(error)
                });
            }
        };
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (image, undisturbed) = self.what_stands(material, &private, &made)?;
        let ended = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let record = Record {
            key: assessment.key,
            image: image.id.clone(),
            private,
            references: stage.references(),
            size: image.size,
            duration_ms,
            ended_ms: u64::try_from(ended.as_millis()).unwrap_or(u64::MAX),
        };
        let unusable = if !undisturbed {
            Some(
                "while another build named its image, or one that it stands on: the image may be that one's",
            )
        } else if self.has_changed(id, own) {
            Some("while its inputs changed: the image may hold some of each")
        } else {
            None
        };
        if let Some(why) = unusable {
            let message = format!(
                "`{}` was built {why}, so it is not recorded and will be built again",
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

    /// The image that stands under the private reference after a build, and whether nothing
    /// disturbed that build: the image is the one that buildx made, and the stages that it stands
    /// on still have the images that are in its key. A call of a killed build may go on and name
    /// its image at any time, and so may the build of another checkout.
    fn what_stands(
        &self,
        material: &Material,
        private: &str,
        made: &Made,
    ) -> Result<(Arc<Image>, bool)> {
        let mut expected = BTreeMap::new();
        {
            let now = self.now();
            for parent in material.parents.values() {
                if let (Some(reference), Some(Upstream::Image(image))) =
                    (now.privates.get(parent), now.upstream.get(parent))
                {
                    expected.insert(reference.clone(), image.clone());
                }
            }
        }
        let asked: Vec<String> = expected
            .keys()
            .cloned()
            .chain([private.to_owned()])
            .collect();
        let found = self.work.engine.images(&asked)?;
        let held = |reference: &str| found.get(reference).cloned().flatten();
        let Some(image) = held(private) else {
            return Err(Fault::failed(format!(
                "buildx ended well, but the engine does not have {private}: is another builder in use than the engine's own?"
            )));
        };
        let upstream_stayed = expected
            .iter()
            .all(|(reference, image)| held(reference).is_some_and(|now| now.id == *image));
        let undisturbed = made.is(&image.id) && upstream_stayed;
        self.held.extend(found);
        Ok((image, undisturbed))
    }
}
