//! What outside tools say of the same stages.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;

use super::{Session, Target};
use crate::build::action;
use crate::contexts::Tracer;
use crate::fault::Result;
use crate::freshness::stage_inputs::{self, StageInputs};
use crate::graphfile::source;
use crate::graphfile::spec::policy::{Rule, Severity};
use crate::graphfile::spec::{Stage, StageId};
use crate::verify::finding::{Finding, Tool};
use crate::verify::policy::{self, Waivers};
use crate::verify::tools::{self, LookedForTool};

/// A stage, and what the tools are given of it.
struct Given<'s> {
    target: &'s Target,
    dockerfile: Utf8PathBuf,
    question: Vec<String>,
    wants: (bool, bool),
}

impl Session<'_> {
    /// Asks the outside tools, if any of their rules is on.
    pub(super) fn tools(
        &self,
        waivers: &Waivers<'_>,
        findings: &mut Vec<Finding>,
    ) -> Result<Vec<Tool>> {
        let spec = &self.work.spec;
        let targets = self.fresh.iter();
        let targets = targets.filter(|one| self.targets.contains(&one.id));
        let given: Vec<Given<'_>> = targets
            .map(|target| self.given(target))
            .collect::<Result<_>>()?;
        let looked: Vec<LookedForTool<'_>> = given
            .iter()
            .map(|given| LookedForTool {
                dockerfile: &given.dockerfile,
                question: &given.question,
                image: &given.target.image,
                wants: given.wants,
            })
            .collect();
        let (found, told) = tools::run(&looked, self.interrupt);
        for (place, found) in found {
            let target = given[place].target;
            findings.extend(policy::of_tool(
                spec,
                target.id,
                &target.image,
                found,
                waivers,
            ));
        }
        Ok(told)
    }

    fn given<'s>(&self, target: &'s Target) -> Result<Given<'s>> {
        let work = self.work;
        let id = self.with_dockerfile(target);
        let stage = work.spec.stage(id);
        let root = source::root(&work.spec, stage.source)?;
        let is_on = |rule| stage.policy.severity(rule) != Severity::Off;
        let mut question = Vec::new();
        if is_on(Rule::Lint) {
            let tracer = Tracer::forgetful(&work.cache);
            let platform = work.engine.platform();
            let stage_inputs = stage_inputs::gather(&work.spec, id, platform, &tracer)?;
            question = self.question_to_buildx(stage, &stage_inputs)?;
        }
        Ok(Given {
            target,
            dockerfile: root.join(source::dockerfile(&root, &stage.dockerfile)),
            question,
            wants: (is_on(Rule::Lint), is_on(Rule::Vulnerabilities)),
        })
    }

    /// The stage whose Dockerfile stands for a target: of several parts the first.
    fn with_dockerfile(&self, target: &Target) -> StageId {
        let spec = &self.work.spec;
        let first = spec.stage(target.id).platforms.first();
        spec.part_for(target.id, first.map(String::as_str))
    }

    /// The flags of the build that decide what the Dockerfile means. Without them buildx would look
    /// in a registry for a base that another stage makes.
    fn question_to_buildx(&self, stage: &Stage, stage_inputs: &StageInputs) -> Result<Vec<String>> {
        let work = self.work;
        let bases = stage_inputs.reading.bases.iter();
        let bases = bases.map(|base| (base.reference.clone(), base.reference.clone()));
        let named = stage_inputs.images.clone();
        let frontend = stage_inputs.externals.frontend.iter();
        let frontend = frontend.map(|reference| ("BUILDKIT_SYNTAX".to_owned(), reference.clone()));
        let mut contexts: BTreeMap<String, String> = bases.chain(named).collect();
        let mut syntax: BTreeMap<String, String> = frontend.collect();
        let references: Vec<String> = contexts.values().chain(syntax.values()).cloned().collect();
        let held = work.engine.images(&references)?;
        let lock = work.lock.lock().ok();
        for reference in contexts.values_mut().chain(syntax.values_mut()) {
            let pin = lock.as_ref().and_then(|lock| lock.digest(reference));
            let image = held.get(reference).and_then(Option::as_ref);
            let id = image.map(|image| image.id.as_str());
            if let Some(exact) = action::exact_base(reference, pin.as_deref(), id) {
                *reference = exact;
            }
        }
        let parents = stage_inputs.parents.iter().filter_map(|(name, parent)| {
            let whole = work.spec.whole_id(*parent);
            let is_it = |one: &&Target| one.id == *parent || one.id == whole;
            let parent = self.fresh.iter().find(is_it)?;
            Some((name.clone(), parent.place.context(work.layout.folder())))
        });
        for reference in contexts.values_mut() {
            reference.insert_str(0, "docker-image://");
        }
        contexts.extend(parents);
        let folders = stage_inputs.folders.iter();
        contexts.extend(folders.filter_map(|(name, folder)| {
            Some((name.clone(), folder.layers.folders.first()?.to_string()))
        }));
        let mut args = stage_inputs.args.clone();
        args.extend(stage_inputs::expand(&work.spec, stage, true)?);
        args.extend(syntax);
        let mut question = action::program(work.engine.context());
        let dockerfile = &stage_inputs.dockerfile;
        question.extend(action::question(stage, dockerfile, &args, &contexts));
        Ok(question)
    }
}
