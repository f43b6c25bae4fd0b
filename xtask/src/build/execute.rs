//! Runs a stage's action and records the image. A record is saved only if no input was touched
//! during the build and no other build named the image.

use std::time::Instant;

use camino::Utf8Path;

use super::builders::Other;
use super::moving::{Hold, Lost};
use super::put::{Put, call_layout};
use super::sent::{Sending, SentTree};
use super::turn::Turn;
use super::{Run, gaps};
use crate::build::action::Action;
use crate::build::executor::redact::Redactor;
use crate::build::executor::{self, CallFailure, LogStart, MadeImage, Progress, Remotely};
use crate::contexts::{Snapshot, Sum};
use crate::fault::{Fault, Result};
use crate::freshness::key::Key;
use crate::freshness::planner::{Assessment, Gathered, StageSummary};
use crate::freshness::record::Record;
use crate::freshness::stage_inputs::{self, StageInputs};
use crate::freshness::verdict::Reason;
use crate::graphfile::spec::shipping::ImageOutput;
use crate::graphfile::spec::{Stage, StageId};
use crate::outside::clock;
use crate::outside::private;
use crate::report::event::{Event, FailedStep, Outcome, StepFinished};
use crate::unpoisoned::Unpoisoned as _;
use dockerfile::ContextNeed;

/// How often buildx is called at most if something touches the inputs each time.
const CALLS: u32 = 3;

/// What happened to a stage's inputs since they were gathered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Since {
    /// Nothing.
    Untouched,
    /// They are the same, but may have been different in between.
    Touched(Snapshot),
    /// They are different.
    Changed,
}

/// What a call is to make, and where it writes its log.
struct Place<'a> {
    key: Key,
    put: &'a Put,
    /// The builder, unless it is the engine's own.
    builder: Option<&'a Other<'a>>,
    log: &'a Utf8Path,
    /// Whether BuildKit must run every step again.
    is_anew: bool,
}

/// A call that ended.
struct Called {
    made: Result<MadeImage, CallFailure>,
    since: Since,
}

/// Why an image cannot be recorded: it may not be made of the stage's inputs.
const fn why_unusable(is_undisturbed: bool, since: &Since) -> Option<&'static str> {
    match (is_undisturbed, since) {
        (true, Since::Untouched) => None,
        (true, Since::Touched(_)) => Some(
            "while its inputs were written to: they are the same again, but the image may hold what they were in between",
        ),
        (true, Since::Changed) => Some("while its inputs changed: the image may hold some of each"),
        (false, _) => Some(
            "while another build named its image or the image of a parent: the image may come from that build",
        ),
    }
}

impl Run<'_> {
    /// Builds a stage. Records the image if it is certain to be made of the stage's inputs.
    pub(super) fn execute(
        &self,
        id: StageId,
        summary: &StageSummary,
        stage_inputs: &StageInputs,
        assessment: Assessment,
        hold: &Hold,
    ) -> Result<Turn> {
        let (work, stage) = (self.work, self.work.spec.stage(id));
        let builder = self.builder_of(id, summary, stage_inputs, hold)?;
        if builder.is_none() || stage.shipping.output == ImageOutput::Engine {
            work.refuse_without_engine()?;
        }
        if let Some(absent) = stage_inputs.absent.first() {
            return Err(Fault::failed(absent.told.clone()));
        }
        if self.wishes.offline {
            self.refuse_absent(stage_inputs)?;
        }
        work.check_platforms_of_engine(id, summary, &self.held)?;
        let state = work.state.id().map_err(|error| {
            let folder = work.state.path("");
            Fault::lacks(format!("cannot look at the state folder {folder}: {error}"))
        })?;
        let key = match assessment.key {
            Some(key) => key,
            None => work.key_of(id, summary, &self.upstream(id), &self.held)?,
        };
        let private = private::reference(&state, &stage.name, &key.hex());
        let put = self.way_of(stage, &private, builder)?;
        let log = work.state.path("logs").join(format!("{}.log", stage.name));
        for message in gaps::told(&work.spec, stage, stage_inputs)? {
            self.tell(Event::Notice { message });
        }
        let began = Instant::now();
        let place = Place {
            key,
            put: &put,
            builder,
            log: &log,
            // BuildKit takes a step from its cache even if its secrets changed (tried: 26.1.5).
            is_anew: self.wishes.no_cache || assessment.reason().is_some_and(Reason::is_of_secrets),
        };
        let called = self.call_until_untouched(id, summary, stage_inputs, &place)?;
        let made = match called.made {
            Ok(made) => made,
            Err(CallFailure::Interrupted) => return Err(Fault::interrupted()),
            Err(CallFailure::NoDocker(error)) => return Err(Fault::lacks(error)),
            Err(CallFailure::Lost(why)) => {
                let told = builder.map(|builder| builder.told(&why, &work.spec.call));
                return Err(self.lost(id, hold, Lost::Died(told.unwrap_or_default())));
            }
            Err(CallFailure::Build {
                error,
                step,
                excerpt,
            }) => {
                return Ok(Turn {
                    step: step.map(|step| FailedStep {
                        name: step.name,
                        dockerfile: stage.dockerfile.to_string(),
                        file: stage_inputs.dockerfile.clone().into_std_path_buf(),
                        line: step.line,
                        exit_code: step.exit_code,
                    }),
                    excerpt,
                    log: Some(log),
                    ..Turn::failed(error)
                });
            }
        };
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (put, undisturbed) = self.put(stage, key, stage_inputs, &put, &made)?;
        self.refuse_foreign(stage, stage_inputs, put.platform.as_deref())?;
        let ended = clock::now();
        let record = Record {
            key,
            image: put.image,
            private: put.handle,
            references: stage.engine_references(),
            size: put.size,
            duration_ms,
            ended_ms: u64::try_from(ended.as_millis()).unwrap_or(u64::MAX),
            volatile: stage_inputs::volatile(&work.spec, stage)?,
            manifest: put.manifest,
            parts: Vec::new(),
        };
        let unusable = why_unusable(undisturbed, &called.since);
        if let Some(why) = unusable {
            let message = format!(
                "`{}` was built {why}, so it is not recorded and will be built again",
                stage.name
            );
            self.tell(Event::Notice { message });
        } else {
            self.save(id, assessment.made_of, &record)?;
        }
        Ok(Turn {
            log: Some(log),
            ..Turn::good(Outcome::Built, record)
        })
    }

    /// Calls buildx, and again if inputs were touched during the call but are the same. An editor's
    /// file beside the inputs touches their folder, too, and so does the lock file when another
    /// stage's pins are written. BuildKit has all steps in its cache at the next call,
    /// unless no step may come from there (`is_anew`).
    fn call_until_untouched(
        &self,
        id: StageId,
        summary: &StageSummary,
        stage_inputs: &StageInputs,
        place: &Place<'_>,
    ) -> Result<Called> {
        let first = LogStart::Empty;
        let again = LogStart::After("once more, as something beside the inputs was written to");
        let before = &stage_inputs.snapshot;
        let mut called = self.call(id, summary, stage_inputs, before, place, first)?;
        for _ in 1..CALLS {
            let (Ok(_), Since::Touched(now)) = (&called.made, &called.since) else {
                break;
            };
            called = self.call(id, summary, stage_inputs, now, place, again)?;
        }
        Ok(called)
    }

    fn call(
        &self,
        id: StageId,
        summary: &StageSummary,
        stage_inputs: &StageInputs,
        snapshot: &Snapshot,
        place: &Place<'_>,
        start: LogStart<'_>,
    ) -> Result<Called> {
        let (work, stage) = (self.work, self.work.spec.stage(id));
        let calls = work.state.call_folder().map_err(|error| {
            let folder = work.state.path("");
            Fault::lacks(format!("cannot make a folder in {folder}: {error}"))
        })?;
        let above = snapshot.above();
        let (sending, action) =
            self.prepare_call(id, summary, stage_inputs, place, calls.path())?;
        let action = if place.is_anew {
            action.without_cache()
        } else {
            action
        };
        // Another stage may have made this process read the lock file again between the key and the
        // call.
        if work.key_of(id, summary, &self.upstream(id), &self.held)? != place.key {
            let lock = work.lock.lock().unpoisoned();
            return Err(Fault::failed(format!(
                "{} changed while this ran: run this once more",
                lock.path()
            )));
        }
        let redactor = Redactor::of(stage, &work.spec.root);
        let watch = |progress| self.tell_progress(stage, progress);
        let platform = self.builders.platform_of(stage);
        let remote = place.builder.map(|builder| Remotely {
            remote: &builder.remote,
            platform: platform.as_deref(),
        });
        let made = executor::run(
            &action,
            remote,
            (place.log, start),
            &redactor,
            self.interrupt,
            &watch,
        );
        if let (Put::Layout, Ok(made)) = (place.put, &made) {
            self.take_from(&call_layout(calls.path()), made)?;
        }
        if matches!(
            made,
            Err(CallFailure::Interrupted | CallFailure::NoDocker(_) | CallFailure::Lost(_))
        ) {
            let since = Since::Changed;
            return Ok(Called { made, since });
        }
        let since = self.since(id, summary, snapshot, above);
        if since == Since::Untouched
            && let Err(error) = sending.ended()
        {
            let message = format!(
                "cannot write what BuildKit was sent, so the next build of `{}` sends all of it: {error}",
                stage.name
            );
            self.tell(Event::Notice { message });
        }
        Ok(Called { made, since })
    }

    /// Prepares the call, and what it will send.
    fn prepare_call(
        &self,
        id: StageId,
        summary: &StageSummary,
        stage_inputs: &StageInputs,
        place: &Place<'_>,
        own: &Utf8Path,
    ) -> Result<(Sending, Action)> {
        let (work, stage) = (self.work, self.work.spec.stage(id));
        let context = self.laid_out(id, stage_inputs)?;
        let folders = self.folders(id, stage_inputs)?;
        let reading = &stage_inputs.reading;
        // ONBUILD triggers that are not known may read any file.
        let is_unfollowed = work.unfollowed_base(summary, &self.held)?.is_some();
        let mut trees = vec![SentTree {
            name: "",
            folder: &context,
            inputs: &stage_inputs.context.inputs,
            sends_others: is_unfollowed || reading.context.excludes(),
        }];
        for (name, folder) in &folders {
            trees.extend(stage_inputs.folders.get(name).map(|known| SentTree {
                name,
                folder,
                inputs: &known.inputs,
                sends_others: reading.named.get(name).is_some_and(ContextNeed::excludes),
            }));
        }
        let forced = self.wishes.force.covers(id);
        let fault = |error: std::io::Error| {
            let folder = work.state.path("sent");
            Fault::lacks(format!(
                "cannot keep track in {folder} of what BuildKit was sent for `{}`: {error}; remove that folder, which costs time only",
                stage.name
            ))
        };
        let receiver = match place.builder {
            Some(builder) => Some(builder.name()),
            None => work.engine.id(),
        };
        let sending = Sending::begin(&work.state, &stage.name, receiver, &trees, forced);
        let sending = sending.map_err(fault)?;
        let link = sending.link(&context, own).map_err(fault)?;
        let layout = call_layout(own);
        let destination = self.destination(stage, place.put, &layout)?;
        let action = self.action(
            id,
            place.builder,
            stage_inputs,
            destination,
            (&link, &folders),
            own,
        )?;
        Ok((sending, action))
    }

    fn tell_progress(&self, stage: &Stage, progress: Progress) {
        let stage = stage.name.clone();
        self.tell(match progress {
            Progress::Step(step) => Event::Step { stage, step },
            Progress::StepDone { name, span, end } => Event::StepFinished(StepFinished {
                stage,
                step: name,
                started_ms: self.since_start(span.from_ms),
                ended_ms: self.since_start(span.to_ms),
                end,
            }),
            Progress::Output(lines) => Event::Output { stage, lines },
            Progress::Retry { attempt, why } => Event::Retry {
                stage,
                attempt,
                why,
            },
        });
    }

    /// What happened to the stage's inputs since `snapshot` was taken and `summary` was made, and
    /// to the folders above them since the call began. `above` is the sum of those folders at the
    /// beginning of the call, because this program itself may write a lock file in them before
    /// that.
    fn since(&self, id: StageId, summary: &StageSummary, snapshot: &Snapshot, above: Sum) -> Since {
        match self.work.gather(id) {
            Ok(Gathered::Read(now, _)) if now.own != summary.own => Since::Changed,
            Ok(Gathered::Read(_, stage_inputs))
                if stage_inputs.snapshot == *snapshot && snapshot.above() == above =>
            {
                Since::Untouched
            }
            Ok(Gathered::Read(_, stage_inputs)) => Since::Touched(stage_inputs.snapshot),
            _ => Since::Changed,
        }
    }

    /// Refuses an image whose platform is neither one that the build was for nor one that a FROM of
    /// the Dockerfile chose.
    fn refuse_foreign(
        &self,
        stage: &Stage,
        stage_inputs: &StageInputs,
        is: Option<&str>,
    ) -> Result<()> {
        let engine = &self.work.engine;
        if let (Some(is), Some(wanted)) = (is, stage_inputs::platforms_of(stage, engine.platform()))
        {
            let chosen = stage_inputs.externals.takes.iter();
            let chosen = chosen.flat_map(|taken| &taken.platforms);
            let mut accepted = wanted.iter().chain(chosen);
            if !accepted.any(|wanted| reference::platform::serves(is, wanted)) {
                let wanted: Vec<String> = wanted.into_iter().collect();
                return Err(Fault::failed(format!(
                    "it was built for {}, but its image is for {is}, like what it stands on: \
                     write `platforms = [\"{is}\"]` for `{}`, or let it stand on another image",
                    wanted.join(", "),
                    stage.name
                )));
            }
        }
        Ok(())
    }
}
