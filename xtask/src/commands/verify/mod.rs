//! `cargo xtask verify`: whether the images that would be shipped keep their promises.
//!
//! Checks first the policy on every layer, then the running stack. Builds nothing, unless `--build`
//! asks for it: a stage that is not fresh is a fault.

mod bundled;
mod images;
mod makers;
mod published;
mod question;
mod reading;
mod reproducible;
mod running;
mod size;
mod summaries;
mod telling;
mod tools;

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use crate::build::bring::bring;
use crate::cli::{BuildArgs, VerifyArgs, Where};
use crate::fault::{Class, Fault, Result};
use crate::freshness::planner::{Assessment, Next, Workspace};
use crate::freshness::verdict::Verdict;
use crate::graphfile::spec::StageId;
use crate::outside::clock;
use crate::outside::interrupt::Interrupt;
use crate::outside::place::ImagePlace;
use crate::report::{reasons, words};
use crate::verify::finding::{Answer, AnswerOutcome};
use crate::verify::noted::{self, Noted};
use crate::verify::policy::Waivers;
use crate::verify::record::{self, StackAsked, VerifyRecord, VerifyRecords};
use question::Prior;
pub(super) use running::tell_stack;

/// A stage whose image is verified.
struct Target {
    id: StageId,
    /// Where its image is.
    place: ImagePlace,
    /// The image's id in the engine's store, or the digest of its manifest or index.
    image: String,
    /// What the image is known by in every store (`Record::identity`).
    identity: String,
    /// Its id in the engine, where the stack runs it, if it had to be brought there.
    in_engine: Option<String>,
}

/// Verifies the named stages, or all.
pub fn run(flags: &VerifyArgs) -> Result<()> {
    let start = Instant::now();
    let interrupt = Interrupt::listen()?;
    if let Some(name) = &flags.published {
        return published::run(flags, name);
    }
    if let Some(folder) = &flags.bundle {
        return bundled::run(flags, folder, &interrupt);
    }
    if flags.reproducible {
        return reproducible::run(flags, &interrupt);
    }
    if flags.build {
        super::build::run(&build_first(flags))?;
    }
    let work = super::open(&flags.at, &[], Next::Any)?;
    let session = Session::of(&work, flags, &interrupt)?;
    if flags.size {
        return session.size();
    }
    let answer = session.answer(start)?;
    session.tell(&answer)?;
    match answer.outcome {
        AnswerOutcome::Passed => Ok(()),
        AnswerOutcome::Failed | AnswerOutcome::Incomplete => Err(Fault::told(Class::Failed)),
    }
}

/// How the images of these stages keep the policy.
pub(super) fn policy_of(
    work: &Workspace,
    at: &Where,
    stages: &[String],
    interrupt: &Interrupt,
) -> Result<Answer> {
    let flags = VerifyArgs {
        policy_only: true,
        ..only(at, stages)
    };
    Session::of(work, &flags, interrupt)?.answer(Instant::now())
}

/// The image of each stage that the stack runs, as the engine finds it. Fails if one is not fresh.
pub(super) fn stack_images(
    work: &Workspace,
    at: &Where,
    interrupt: &Interrupt,
) -> Result<BTreeMap<String, String>> {
    let flags = VerifyArgs {
        stack_only: true,
        ..only(at, &[])
    };
    Ok(Session::of(work, &flags, interrupt)?.images())
}

/// A verification that no record answers.
fn only(at: &Where, stages: &[String]) -> VerifyArgs {
    VerifyArgs {
        stages: stages.to_vec(),
        at: at.clone(),
        build: false,
        published: None,
        bundle: None,
        reproducible: false,
        policy_only: false,
        stack_only: false,
        size: false,
        keep: false,
        force: true,
        junit: None,
        sarif: None,
        json: false,
    }
}

fn build_first(flags: &VerifyArgs) -> BuildArgs {
    BuildArgs {
        stages: flags.stages.clone(),
        at: flags.at.clone(),
        jobs: None,
        keep_going: false,
        force: None,
        locked: false,
        offline: false,
        no_cache: false,
        since: None,
        platform: Vec::new(),
        quiet: false,
        verbose: false,
        yes: false,
        json: false,
    }
}

/// One verification.
struct Session<'w> {
    work: &'w Workspace,
    flags: &'w VerifyArgs,
    interrupt: &'w Interrupt,
    /// The stages that were asked for.
    targets: Vec<StageId>,
    /// All fresh stages, parents before children.
    fresh: Vec<Target>,
    records: VerifyRecords,
    /// The last verification of the same stages and parts, if it may answer for this one.
    prior: Option<Prior>,
    today: String,
    now: String,
}

impl<'w> Session<'w> {
    fn of(work: &'w Workspace, flags: &'w VerifyArgs, interrupt: &'w Interrupt) -> Result<Self> {
        let spec = &work.spec;
        if flags.stack_only && spec.stack.is_none() {
            return Err(Fault::usage(format!(
                "{} has no `[stack]`, so `--stack-only` has nothing to try: name a compose file in it, as in compose = \"docker/docker-compose.yaml\"",
                spec.file
            )));
        }
        let targets: Vec<StageId> = if flags.stages.is_empty() {
            // An image is verified as a whole, with all its platforms.
            let wanted = work.wanted(&flags.stages)?.into_iter();
            wanted.filter(|id| !spec.stage(*id).is_part()).collect()
        } else {
            spec.find_all(&flags.stages)?
        };
        let is_without = flags.policy_only || flags.size;
        let stack = spec.stack.as_ref().filter(|_| !is_without);
        let of_stack = stack.iter().flat_map(|stack| stack.services.values());
        let mut wanted: Vec<StageId> = targets.iter().chain(of_stack).copied().collect();
        wanted.sort_unstable();
        wanted.dedup();
        let names: Vec<&str> = targets.iter().map(|id| &*spec.stage(*id).name).collect();
        let records = VerifyRecords::of(&work.state, &names, parts(flags)).map_err(|error| {
            Fault::lacks(format!(
                "cannot keep the record of this verification: {error}"
            ))
        })?;
        let may_recall = !flags.force && !flags.keep && !flags.size;
        // The stack is looked at while inputs are hashed and the engine is asked for images.
        let (plan, prior) = std::thread::scope(|scope| {
            let looker = may_recall.then(|| scope.spawn(|| Prior::of(&records, work, interrupt)));
            let plan = work.plan(&work.closure(&wanted), |_| false);
            let prior = looker.and_then(|looker| {
                let looked = looker.join();
                looked.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            (plan, prior)
        });
        let plan = plan?;
        super::tell_warnings(work);
        refuse_stale(work, &plan, &wanted)?;
        let (today, now) = today();
        let planned: HashSet<StageId> = plan.iter().map(|own| own.id).collect();
        let is_read_whole = |id: StageId| {
            let whole = spec.whole_id(id);
            whole != id && planned.contains(&whole)
        };
        let read = plan.iter().filter(|own| !is_read_whole(own.id));
        let mut fresh = Vec::new();
        for own in read {
            let Verdict::Fresh(record) = &own.verdict else {
                continue;
            };
            let place = record.place();
            let runs = stack.is_some_and(|stack| stack.services.values().any(|id| *id == own.id));
            let in_engine = match &place {
                ImagePlace::Registry(_) | ImagePlace::Layout(_) if runs => {
                    Some(bring(work, own.id, record)?.image.id.clone())
                }
                _ => None,
            };
            fresh.push(Target {
                id: own.id,
                place,
                image: record.image.clone(),
                identity: record.identity(),
                in_engine,
            });
        }
        Ok(Self {
            work,
            flags,
            interrupt,
            targets,
            fresh,
            records,
            prior,
            today,
            now,
        })
    }

    fn name(&self, id: StageId) -> &'w str {
        &self.work.spec.stage(id).name
    }

    fn runs_stack(&self) -> bool {
        self.work.spec.stack.is_some() && !self.flags.policy_only
    }

    fn answer(&self, start: Instant) -> Result<Answer> {
        let spec = &self.work.spec;
        let waivers = Waivers::of(spec, &self.today)?;
        self.sweep()?;
        let asked = self.records.asked(&self.question());
        if let Some(record) = self.recalled(&asked) {
            return Ok(recall(record, start));
        }
        let resolved = self.resolved()?;
        let stack = resolved.as_ref().map(|resolved| self.stack_asked(resolved));
        if let Some(record) = self.recalled_slowly(&asked, stack.as_ref()) {
            // The next verification then needs no compose to see that nothing changed.
            let record = VerifyRecord { stack, ..record };
            self.save(&record);
            return Ok(recall(record, start));
        }
        let mut findings = Vec::new();
        let mut subjects = Vec::new();
        let mut tools = Vec::new();
        let mut sizes = summaries::Summaries::default();
        findings.extend(waivers.ended(spec));
        if !self.flags.stack_only {
            self.policy(&waivers, &mut findings, &mut subjects, &mut sizes)?;
            tools = self.tools(&waivers, &mut findings)?;
        }
        let mut probes = Vec::new();
        if let Some(resolved) = &resolved {
            findings.extend(self.environments(resolved, &waivers));
            self.stack(&mut probes, &mut subjects)?;
        }
        let mut answer = Answer::of(findings, probes);
        answer.tools = tools;
        // A scanner may know more tomorrow.
        let today = Some(self.today.as_str()).filter(|_| crate::verify::tools::has_scanner());
        let end = waivers.end().into_iter().chain(today).min();
        self.note(&answer, stack.as_ref(), end);
        self.keep_sizes(&answer, sizes);
        let predicate = self.predicate(&answer, stack.as_ref());
        if answer.outcome == AnswerOutcome::Passed {
            let statement = record::statement(subjects, &predicate);
            answer.statement = Some(statement.clone());
            self.save(&VerifyRecord {
                asked,
                stack,
                ends: end.map(str::to_owned),
                statement,
            });
        } else if let Err(error) = self.records.keep_answer(subjects, &predicate) {
            crate::tell!("note: what was found cannot be kept: {error}");
        }
        Ok(answer)
    }

    fn save(&self, record: &VerifyRecord) {
        if let Err(error) = self.records.save(record) {
            crate::tell!("note: the record of this verification cannot be kept: {error}");
        }
    }

    /// Writes for each stage how its verification ended.
    fn note(&self, answer: &Answer, stack: Option<&StackAsked>, end: Option<&str>) {
        let names: Vec<&str> = self.targets.iter().map(|id| self.name(*id)).collect();
        for id in &self.targets {
            let Some(target) = self.fresh.iter().find(|target| target.id == *id) else {
                continue;
            };
            let noted = Noted {
                image: target.identity.clone(),
                policy: noted::policy_hash(&self.work.spec, *id),
                parts: parts(self.flags).to_owned(),
                stack: stack.cloned(),
                at: self.now.clone(),
                ends: end.map(str::to_owned),
                outcome: answer.outcome_of(self.name(*id), &names),
            };
            if let Err(error) = noted.save(&self.work.state, self.name(*id)) {
                crate::tell!("note: how it ended cannot be kept: {error}");
            }
        }
    }
}

/// Which parts of a verification were asked for.
fn parts(flags: &VerifyArgs) -> &'static str {
    match (flags.policy_only, flags.stack_only) {
        (true, _) => "policy",
        (_, true) => "stack",
        _ => "all",
    }
}

/// The day, and the moment as RFC 3339 writes it.
pub(super) fn today() -> (String, String) {
    let seconds = clock::now().as_secs();
    calendar::shown(i64::try_from(seconds).unwrap_or_default())
}

fn recall(record: VerifyRecord, start: Instant) -> Answer {
    let took = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    crate::tell!(
        "verified before, and nothing changed since ({}); `--force` runs it again",
        words::time(took)
    );
    Answer::recorded(record.statement)
}

/// Fails if a stage is not fresh.
fn refuse_stale(work: &Workspace, plan: &[Assessment], wanted: &[StageId]) -> Result<()> {
    let stale: Vec<&Assessment> = plan
        .iter()
        .filter(|own| !matches!(own.verdict, Verdict::Fresh(_)))
        .collect();
    let Some(first) = stale.first() else {
        return Ok(());
    };
    let name = |id: StageId| work.spec.stage(id).name.as_str();
    let why = first.reason().map_or_else(String::new, reasons::clause);
    let more = match stale.len() {
        1 => String::new(),
        more => format!(", and {} more are not", more - 1),
    };
    let names: Vec<&str> = wanted.iter().map(|id| name(*id)).collect();
    Err(Fault::failed(format!(
        "stage `{}` is not fresh ({why}){more}: only fresh images are verified; `{}` builds them, and so does `verify --build`",
        name(first.id),
        work.spec
            .call
            .command(&format!("build {}", names.join(" ")))
    )))
}
