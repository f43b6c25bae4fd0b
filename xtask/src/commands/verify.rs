//! `cargo xtask verify`: whether the images that would be shipped keep their promises.
//!
//! Builds nothing, unless `--build` asks for it: a stage that is not fresh ends it. First the policy on
//! every layer, then the running stack.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::assess::{Assessment, Next, Workspace};
use crate::cli::{Build, Verify};
use crate::fault::{Fault, Result};
use crate::interrupt::Interrupt;
use crate::report::words;
use crate::spec::StageId;
use crate::spec::policy::{Policy, Severity};
use crate::verdict::Verdict;
use crate::verify::finding::{Answer, Finding, Outcome, Probe, ProbeOutcome};
use crate::verify::layers::{Found, Layer, Limits, Part, Reading};
use crate::verify::policy::{self, Subject, Waivers};
use crate::verify::record::{self, Records};
use crate::verify::{finding::Origin, stack, told};
use crate::{calendar, dockerfile, material, state};

/// A stage whose image is verified.
struct Target {
    id: StageId,
    /// The reference that the engine finds its image by.
    reference: String,
    /// The image's id.
    image: String,
}

/// Verifies the named stages, or all.
pub fn run(flags: &Verify) -> Result<()> {
    let start = Instant::now();
    let interrupt = Interrupt::listen()?;
    if flags.build {
        super::build::run(&build_first(flags))?;
    }
    let work = super::open(&flags.at, &[], Next::Any)?;
    let session = Session::of(&work, flags, &interrupt)?;
    let answer = session.answer(start)?;
    session.tell(&answer)?;
    match answer.outcome {
        Outcome::Passed => Ok(()),
        Outcome::Failed | Outcome::Incomplete => Err(Fault::failed("")),
    }
}

fn build_first(flags: &Verify) -> Build {
    Build {
        stages: flags.stages.clone(),
        at: flags.at.clone(),
        jobs: None,
        keep_going: false,
        force: None,
        locked: false,
        offline: false,
        platform: Vec::new(),
        yes: false,
        json: false,
    }
}

/// One verification.
struct Session<'w> {
    work: &'w Workspace,
    flags: &'w Verify,
    interrupt: &'w Interrupt,
    /// The stages that were asked for.
    targets: Vec<StageId>,
    /// All fresh stages, parents before children.
    fresh: Vec<Target>,
    today: String,
    now: String,
}

impl<'w> Session<'w> {
    fn of(work: &'w Workspace, flags: &'w Verify, interrupt: &'w Interrupt) -> Result<Self> {
        let named = work.wanted(&flags.stages)?;
        let targets: Vec<StageId> = if flags.stages.is_empty() {
            named
        } else {
            let found = flags.stages.iter().map(|name| work.spec.find(name));
            found.collect::<Result<_>>()?
        };
        let stack = work.spec.stack.as_ref().filter(|_| !flags.policy_only);
        let of_stack = stack.iter().flat_map(|stack| stack.services.values());
        let mut wanted: Vec<StageId> = targets.iter().chain(of_stack).copied().collect();
        wanted.sort_unstable();
        wanted.dedup();
        let plan = work.plan(&work.graph.closure(&wanted), |_| false)?;
        super::tell_warnings(work);
        refuse_stale(work, &plan, &wanted)?;
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = seconds.unwrap_or_default().as_secs();
        let (today, now) = calendar::shown(i64::try_from(seconds).unwrap_or_default());
        let fresh = plan.iter().filter_map(|own| match &own.verdict {
            Verdict::Fresh(record) => Some(Target {
                id: own.id,
                reference: record.private.clone(),
                image: record.image.clone(),
            }),
            _ => None,
        });
        Ok(Self {
            work,
            flags,
            interrupt,
            targets,
            fresh: fresh.collect(),
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
        let names: Vec<&str> = self.targets.iter().map(|id| self.name(*id)).collect();
        let parts = match (self.flags.policy_only, self.flags.stack_only) {
            (true, _) => "policy",
            (_, true) => "stack",
            _ => "all",
        };
        let records = Records::of(&self.work.state, &names, parts).map_err(|error| {
            Fault::lacks(format!(
                "cannot keep the record of this verification: {error}"
            ))
        })?;
        let resolved = self.resolved()?;
        let asked = records.asked(&self.question(resolved.as_ref()));
        if !self.flags.force
            && let Some(record) = records.recall(&asked, &self.today)
        {
            let mut answer = Answer::of(Vec::new(), Vec::new(), true);
            answer.statement = Some(record.statement);
            crate::tell!(
                "verified before, and nothing changed since ({}); `--force` runs it again",
                words::time(elapsed(start))
            );
            return Ok(answer);
        }
        let mut findings = Vec::new();
        let mut subjects = Vec::new();
        if !self.flags.stack_only {
            findings.extend(waivers.ended(spec));
            self.policy(&waivers, &mut findings, &mut subjects)?;
        }
        let mut probes = Vec::new();
        if let Some(resolved) = &resolved {
            findings.extend(self.environments(resolved, &waivers));
            self.stack(&mut probes, &mut subjects)?;
        }
        let whole = !self.flags.stack_only || spec.stack.is_some();
        let mut answer = Answer::of(findings, probes, whole);
        if answer.outcome == Outcome::Passed {
            let statement = record::statement(subjects, &self.predicate(&answer, parts));
            answer.statement = Some(statement.clone());
            if let Err(error) = records.save(asked, waivers.end(), statement) {
                crate::tell!("note: the record of this verification cannot be kept: {error}");
            }
        }
        Ok(answer)
    }

    /// The stack's compose file as it would run.
    fn resolved(&self) -> Result<Option<stack::Resolved>> {
        if !self.runs_stack() {
            return Ok(None);
        }
        let images = self.images();
        stack::resolved(&self.stack_run(&images, &|_| ())).map(Some)
    }

    /// Keys that everybody knows in the environments of the stack's services.
    fn environments(&self, resolved: &stack::Resolved, waivers: &Waivers<'_>) -> Vec<Finding> {
        let services = resolved.config["services"].as_object();
        let mut findings = Vec::new();
        for (service, config) in services.into_iter().flatten() {
            let env = config["environment"].as_object().into_iter().flatten();
            let env: Vec<(&str, &str)> = env
                .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
                .collect();
            let pinned = resolved.images.get(service);
            let stage = pinned.and_then(|pinned| pinned.stage.as_deref());
            let stage = stage.and_then(|name| self.work.spec.find(name).ok());
            let image = pinned.map_or("", |pinned| &pinned.id);
            findings.extend(policy::environment(
                &self.work.spec,
                (service, stage),
                image,
                &env,
                waivers,
            ));
        }
        findings
    }

    /// All that the answer hangs on. The environment of the stack enters a keyed hash.
    fn question(&self, resolved: Option<&stack::Resolved>) -> Value {
        let spec = &self.work.spec;
        let images: Vec<Value> = self
            .fresh
            .iter()
            .map(|target| {
                json!([
                    self.name(target.id),
                    target.image,
                    spec.stage(target.id).policy
                ])
            })
            .collect();
        let waivers = spec.waivers.iter();
        let waivers: Vec<Value> = waivers
            .map(|waiver| {
                let stage = waiver.stage.map(|id| self.name(id));
                json!([waiver.rule, stage, waiver.path, waiver.why, waiver.until])
            })
            .collect();
        let stack = if let Some(resolved) = resolved {
            let pinned: Vec<Value> = resolved
                .images
                .iter()
                .map(|(service, pinned)| json!([service, pinned.id]))
                .collect();
            let given = spec.stack.as_ref().map(|stack| format!("{stack:?}"));
            json!([resolved.config, pinned, given])
        } else {
            Value::Null
        };
        json!({
            "tool": env!("CARGO_PKG_VERSION"),
            "rules": rules_version(),
            "images": images,
            "waivers": waivers,
            "stack": stack,
        })
    }

    fn predicate(&self, answer: &Answer, parts: &str) -> Value {
        let policies: BTreeMap<&str, &Policy> = self.policies();
        json!({
            "verifiedAt": self.now,
            "tool": { "name": "xtask", "version": env!("CARGO_PKG_VERSION") },
            "rules": rules_version(),
            "asked": parts,
            "policies": policies,
            "findings": answer.findings,
            "probes": answer.probes,
        })
    }

    fn policies(&self) -> BTreeMap<&str, &Policy> {
        let targets = self.targets.iter();
        targets
            .map(|id| (self.name(*id), &self.work.spec.stage(*id).policy))
            .collect()
    }

    fn policy(
        &self,
        waivers: &Waivers<'_>,
        findings: &mut Vec<Finding>,
        subjects: &mut Vec<record::Subject>,
    ) -> Result<()> {
        let names: Vec<String> = self.fresh.iter().map(|one| one.reference.clone()).collect();
        crate::tell!("reading {}", words::count(names.len(), "image"));
        let mut rules = policy::content_rules();
        let reading = Reading {
            limits: Limits::default(),
            rules: &mut rules,
            known: &|_| None,
        };
        let found = reading.engine(&self.work.engine, &names)?;
        let mut below: BTreeMap<StageId, Below> = BTreeMap::new();
        for (target, found) in self.fresh.iter().zip(&found) {
            let before = findings.len();
            let layers = self.judge(target, found, &below, waivers, findings);
            below.insert(target.id, layers);
            if !self.targets.contains(&target.id) {
                // It was read for who put which layer there.
                findings.truncate(before);
                continue;
            }
            for image in found.images() {
                let digests = [Some(image.config), image.manifest];
                subjects.extend(digests.into_iter().flatten().map(|digest| record::Subject {
                    name: self.name(target.id).to_owned(),
                    digest: digest.to_string(),
                }));
            }
            self.tell_stage(target, &findings[before..]);
        }
        Ok(())
    }

    fn tell_stage(&self, target: &Target, findings: &[Finding]) {
        let denied = findings.iter().filter(|finding| finding.denies()).count();
        let is_warning =
            |finding: &&Finding| finding.severity == Severity::Warn && finding.waived.is_none();
        let warned = findings.iter().filter(is_warning).count();
        let name = self.name(target.id);
        let said = match (denied, warned) {
            (0, 0) => "keeps the policy".to_owned(),
            (0, warned) => format!("keeps the policy, with {}", words::count(warned, "warning")),
            (denied, _) => format!("breaks the policy: {}", words::count(denied, "denial")),
        };
        crate::tell!("{name}: {said}");
    }

    /// Judges what stands behind one stage's name; gives the layers of its first image, with who put
    /// them there.
    fn judge(
        &self,
        target: &Target,
        found: &Found,
        below: &BTreeMap<StageId, Below>,
        waivers: &Waivers<'_>,
        findings: &mut Vec<Finding>,
    ) -> Below {
        let (spec, stage) = (&self.work.spec, self.work.spec.stage(target.id));
        let own = self.work.engine.platform();
        let wanted: Vec<&str> = match stage.platforms.as_slice() {
            [] => own.into_iter().collect(),
            named => named.iter().map(String::as_str).collect(),
        };
        let mut missing: Vec<&str> = wanted.clone();
        let mut first = None;
        for part in &found.parts {
            let Part::Whole(image) = part else {
                findings.extend(policy::unread(spec, target.id, &target.image, part));
                continue;
            };
            let facts = &image.facts;
            let variant = facts.variant.as_deref().unwrap_or_default();
            let is = format!("{}/{}/{variant}", facts.os, facts.architecture);
            let is = dockerfile::normal_platform(is.trim_end_matches('/'));
            let matching = wanted
                .iter()
                .copied()
                .find(|platform| dockerfile::normal_platform(platform) == is);
            missing.retain(|platform| Some(*platform) != matching);
            let only = wanted.first().copied().filter(|_| wanted.len() == 1);
            // One that is not the right one is told of as that, not as missing.
            if matching.is_none() {
                missing.retain(|platform| Some(*platform) != only);
            }
            let platform = matching.or(only);
            let steps = material::steps(spec, target.id, platform.or(own));
            let parents = self.work.graph.parents(target.id);
            let parent = parents.filter_map(|id| below.get(&id));
            let parent = parent
                .filter(|layers| {
                    let mut pairs = layers.iter().zip(&image.layers);
                    layers.len() <= image.layers.len()
                        && pairs.all(|((parent, _), own)| parent.diff_id == own.diff_id)
                })
                .max_by_key(|layers| layers.len());
            let empty = Below::new();
            let subject = Subject::new(image, steps.as_deref(), parent.unwrap_or(&empty));
            let id = &target.image;
            findings.extend(policy::judge(
                spec, target.id, id, &subject, platform, waivers,
            ));
            first.get_or_insert_with(|| {
                let made = subject.made.iter().map(|made| match made.from {
                    Origin::Base => Origin::Base,
                    Origin::Parent | Origin::Own => Origin::Parent,
                });
                image.layers.iter().cloned().zip(made).collect()
            });
        }
        for platform in missing {
            findings.extend(policy::missing(spec, target.id, &target.image, platform));
        }
        first.unwrap_or_default()
    }

    fn images(&self) -> BTreeMap<String, String> {
        let fresh = self.fresh.iter();
        fresh
            .map(|one| (self.name(one.id).to_owned(), one.image.clone()))
            .collect()
    }

    fn stack_run<'r>(
        &'r self,
        images: &'r BTreeMap<String, String>,
        tell: &'r dyn Fn(stack::Event<'_>),
    ) -> stack::Run<'r> {
        stack::Run {
            spec: &self.work.spec,
            state: &self.work.state,
            engine: &self.work.engine,
            images,
            keep: self.flags.keep,
            interrupt: self.interrupt,
            tell,
        }
    }

    fn stack(&self, probes: &mut Vec<Probe>, subjects: &mut Vec<record::Subject>) -> Result<()> {
        let images = self.images();
        let report = stack::run(&self.stack_run(&images, &|event| tell_stack(&event)))?;
        for note in &report.notes {
            crate::tell!("note: {note}");
        }
        if let Some(kept) = &report.kept {
            for (service, port, address) in &kept.addresses {
                crate::tell!("{service}: port {port} is at {address}");
            }
            crate::tell!("the stack stays up; `{}` takes it down", kept.take_down);
        }
        if report.outcome == stack::Outcome::Failed {
            crate::tell!("{}", report.text.trim_end());
        }
        probes.extend(report.probes.iter().map(|probe| Probe {
            service: probe.service.clone(),
            kind: probe.kind.to_owned(),
            outcome: match probe.outcome {
                stack::Outcome::Passed => ProbeOutcome::Passed,
                stack::Outcome::Failed => ProbeOutcome::Failed,
                stack::Outcome::NotChecked => ProbeOutcome::NotChecked,
            },
            message: probe.message.clone(),
        }));
        let has_failed = probes
            .iter()
            .any(|probe| probe.outcome == ProbeOutcome::Failed);
        if report.outcome == stack::Outcome::Failed && !has_failed {
            // A service failed, and no probe says so.
            probes.push(Probe {
                service: "stack".to_owned(),
                kind: "up".to_owned(),
                outcome: ProbeOutcome::Failed,
                message: report
                    .cause
                    .clone()
                    .unwrap_or_else(|| "a service failed".to_owned()),
            });
        }
        subjects.extend(
            report
                .images
                .iter()
                .map(|(service, pinned)| record::Subject {
                    name: service.clone(),
                    digest: pinned.id.clone(),
                }),
        );
        Ok(())
    }

    /// The answer in all forms that were asked for.
    fn tell(&self, answer: &Answer) -> Result<()> {
        let spec = &self.work.spec;
        let policies = self.policies();
        let dockerfiles: BTreeMap<&str, String> = self
            .targets
            .iter()
            .map(|id| (self.name(*id), spec.stage(*id).dockerfile.to_string()))
            .collect();
        let write = |path: &camino::Utf8Path, text: &str| {
            state::write_atomically(path, text.as_bytes())
                .map_err(|error| Fault::lacks(format!("cannot write {path}: {error}")))
        };
        if let Some(path) = &self.flags.junit {
            let text = told::junit(answer, &policies).map_err(Fault::failed)?;
            write(path, &text)?;
        }
        if let Some(path) = &self.flags.sarif {
            write(path, &format!("{}\n", told::sarif(answer, &dockerfiles)))?;
        }
        if std::env::var("GITHUB_ACTIONS").as_deref() == Ok("true") {
            crate::tell!("{}", told::annotations(answer, &dockerfiles).trim_end());
            if let Ok(path) = std::env::var("GITHUB_STEP_SUMMARY") {
                let file = std::fs::File::options()
                    .append(true)
                    .create(true)
                    .open(path);
                let written =
                    file.and_then(|mut file| file.write_all(told::summary(answer).as_bytes()));
                if let Err(error) = written {
                    crate::tell!("note: the job's summary cannot be written: {error}");
                }
            }
        }
        if self.flags.json {
            super::print_json(answer)
        } else {
            super::print(&told::table(answer));
            Ok(())
        }
    }
}

/// The layers of an image, with who put them there as its children see it.
type Below = Vec<(Arc<Layer>, Origin)>;

/// The rules' versions: another program may answer otherwise.
fn rules_version() -> &'static str {
    "1"
}

/// Ends where a stage is not fresh.
fn refuse_stale(work: &Workspace, plan: &[Assessment], wanted: &[StageId]) -> Result<()> {
    let stale: Vec<&Assessment> = plan
        .iter()
        .filter(|own| !matches!(own.verdict, Verdict::Fresh(_)))
        .collect();
    let Some(first) = stale.first() else {
        return Ok(());
    };
    let name = |id: StageId| work.spec.stage(id).name.as_str();
    let why = first.reason().map_or_else(String::new, words::reason);
    let more = match stale.len() {
        1 => String::new(),
        more => format!(", and {} more are not", more - 1),
    };
    let names: Vec<&str> = wanted.iter().map(|id| name(*id)).collect();
    Err(Fault::failed(format!(
        "stage `{}` is not fresh ({why}){more}: what is verified is what was built; `{}` builds it, and so does `verify --build`",
        name(first.id),
        work.spec
            .call
            .command(&format!("build {}", names.join(" ")))
    )))
}

fn tell_stack(event: &stack::Event<'_>) {
    match event {
        stack::Event::Swept(note) => crate::tell!("{note}"),
        stack::Event::Pulling(image) => crate::tell!("pulling {image}"),
        stack::Event::Made { project, services } => {
            crate::tell!("stack {project}: {}", words::count(*services, "service"));
        }
        stack::Event::Ready(service) => crate::tell!("{service}: ready"),
        stack::Event::Done(service) => crate::tell!("{service}: done"),
        stack::Event::Probe(probe) => {
            crate::tell!("{}: {}: {}", probe.service, probe.kind, probe.message)
        }
        stack::Event::Waiting {
            services,
            probes,
            since,
        } => {
            let probes = words::count(*probes, "probe");
            crate::tell!(
                "waiting for {} and {probes}, {} s",
                services.join(", "),
                since.as_secs()
            );
        }
        stack::Event::TakingDown => crate::tell!("taking the stack down"),
    }
}

fn elapsed(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}
