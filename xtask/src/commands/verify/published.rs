//! `cargo xtask verify --published REF`: what is in a registry, seen from outside.
//!
//! Believes nothing but what the registry gives: the image under the reference is fetched whole, its
//! layers are read, and what is attached to it must be about it.

use std::collections::BTreeMap;

use attestation::{PredicateType, Question, ReadError, Subject as StatementSubject};
use serde_json::Value;

use super::telling;
use crate::cli::VerifyArgs;
use crate::fault::{Class, Fault, Result};
use crate::freshness::planner::{Next, Workspace};
use crate::freshness::stage_inputs;
use crate::graphfile::spec::StageId;
use crate::outside::index::INDEX;
use crate::outside::interrupt::Interrupt;
use crate::outside::layout::{AnyManifest, Layout};
use crate::outside::push;
use crate::outside::state::CallFolder;
use crate::publish::release::Release;
use crate::publish::{self, release_tag};
use crate::verify::finding::{Answer, AnswerOutcome, Finding, ProbeAnswer, ProbeOutcome};
use crate::verify::layers::{FoundImages, LayeredImage, Limits, PlatformPart, Reading};
use crate::verify::policy::{self, Subject, Waivers};
use crate::verify::record::PREDICATE;
use reference::Reference;
use registry::Effort;

/// The most bytes of a statement or a release.
const DOCUMENT: u64 = 64 << 20;

/// Verifies an image in a registry.
pub(super) fn run(flags: &VerifyArgs, name: &str) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let work = super::super::open(&flags.at, &[], Next::Any)?;
    let waiting = |holder: &str| crate::tell!("waiting for another call on this graph ({holder})");
    // The clearing up after a build must not remove what is fetched meanwhile.
    let _graph = work.state.share(waiting, || interrupt.pause())?;
    let answer = Published::of(&work, name)?.answer()?;
    super::super::tell_warnings(&work);
    telling::tell(&work, flags, &[], &answer)?;
    match answer.outcome {
        AnswerOutcome::Passed => Ok(()),
        AnswerOutcome::Failed | AnswerOutcome::Incomplete => Err(Fault::told(Class::Failed)),
    }
}

fn unkept(error: &std::io::Error) -> Fault {
    Fault::lacks(format!("cannot keep what the registry gives: {error}"))
}

/// An image in a registry.
struct Published<'w> {
    work: &'w Workspace,
    /// What was asked for, and the repository for people.
    reference: Reference,
    repository: String,
    /// The digest that the reference has now.
    digest: String,
    /// What was fetched. The layout of the state may have blobs that the registry has lost.
    layout: Layout,
    /// The folder of the layout, which goes with this value.
    _folder: CallFolder,
    probes: Vec<ProbeAnswer>,
}

impl<'w> Published<'w> {
    fn of(work: &'w Workspace, name: &str) -> Result<Self> {
        let reference = push::reference(name)?;
        let which = reference.digest.clone().or_else(|| reference.tag.clone());
        let which = which.unwrap_or_else(|| "latest".to_owned());
        let found = work
            .registries()?
            .has_manifest(&reference, &which, Effort::Full)?;
        let digest = found.ok_or_else(|| {
            Fault::failed(format!("there is no {name}: correct the name or the tag"))
        })?;
        let bare = name.split('@').next().unwrap_or(name);
        let repository = match bare.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => repository,
            _ => bare,
        };
        let folder = work.state.call_folder().map_err(|error| unkept(&error))?;
        Ok(Self {
            work,
            layout: Layout::in_folder(folder.path().to_owned()),
            _folder: folder,
            repository: repository.to_owned(),
            reference,
            digest,
            probes: Vec::new(),
        })
    }

    fn probe(&mut self, kind: &str, outcome: ProbeOutcome, message: impl Into<String>) {
        self.probes.push(ProbeAnswer {
            service: self.repository.clone(),
            kind: kind.to_owned(),
            outcome,
            message: message.into(),
        });
    }

    fn answer(mut self) -> Result<Answer> {
        let work = self.work;
        let image = format!("{}@{}", self.repository, self.digest);
        crate::tell!("reading {image}");
        push::fetch(work.registries()?, &self.layout, &image, &|_| false)?;
        let mut findings = Vec::new();
        let found = self.read(&mut findings)?;
        self.whole(&found);
        self.attestations()?;
        self.release()?;
        Ok(Answer::of(findings, self.probes))
    }

    /// The stage of the graph that is published under this name in any target.
    fn stage(&self) -> Option<StageId> {
        let targets = publish::targets(self.work, &[]).ok()?;
        self.work.spec.ids().find(|id| {
            let stage = self.work.spec.stage(*id);
            let image = stage.image.as_deref().filter(|_| !stage.is_part());
            image.is_some_and(|image| {
                let mut names = targets.values().map(|target| target.name_of(image));
                names.any(|name| name == self.repository)
            })
        })
    }

    /// Reads the image, and holds it against the policy of its stage.
    fn read(&mut self, findings: &mut Vec<Finding>) -> Result<Vec<FoundImages>> {
        let work = self.work;
        let mut rules = policy::content_rules();
        let reading = Reading {
            limits: Limits::default(),
            rules: &mut rules,
            known: &|_| None,
        };
        let digests = [self.digest.clone()];
        self.list().map_err(|error| unkept(&error))?;
        let found = reading.folder(self.layout.folder(), &digests);
        let Some(id) = self.stage() else {
            let message =
                "no stage of the graph is published under this name, so no policy is known for it";
            self.probe("policy", ProbeOutcome::NotChecked, message);
            return Ok(found);
        };
        let (today, _) = super::today();
        let waivers = Waivers::of(&work.spec, &today)?;
        findings.extend(waivers.ended(&work.spec));
        let stage = work.spec.stage(id);
        let mut missing: Vec<&String> = stage.platforms.iter().collect();
        for image in found.iter().flat_map(FoundImages::images) {
            let platform = platform_of(image);
            missing.retain(|wanted| {
                let wanted = reference::platform::normal(wanted);
                wanted.as_deref() != Some(&platform)
            });
            let part = work.spec.part_for(id, Some(&platform));
            let steps = stage_inputs::steps(&work.spec, part, Some(&platform));
            let subject = Subject::new(image, steps.as_deref(), &[]);
            findings.extend(policy::judge(
                &work.spec,
                id,
                &self.digest,
                &subject,
                Some(&platform),
                &waivers,
            ));
        }
        for platform in missing {
            findings.extend(policy::missing(&work.spec, id, &self.digest, platform));
        }
        Ok(found)
    }

    /// Lists the image in its layout, which lists none by itself.
    fn list(&self) -> std::io::Result<()> {
        let bytes = self.layout.read(&self.digest)?;
        let manifest = AnyManifest::read(&bytes)?;
        let media_type = if manifest.manifests.is_empty() {
            push::MANIFEST
        } else {
            INDEX
        };
        let top = serde_json::json!({
            "schemaVersion": 2,
            "manifests": [
                { "mediaType": media_type, "digest": self.digest, "size": bytes.len() },
            ],
        });
        std::fs::write(self.layout.folder().join("index.json"), top.to_string())
    }

    /// Whether every platform's image is there with all its layers.
    fn whole(&mut self, found: &[FoundImages]) {
        let mut platforms = Vec::new();
        let mut faults = Vec::new();
        for part in found.iter().flat_map(|found| &found.parts) {
            match part {
                PlatformPart::Whole(image) => platforms.push(platform_of(image)),
                PlatformPart::Unread(unread) => faults.push(unread.to_string()),
                PlatformPart::Absent { platform, .. } => {
                    faults.push(format!(
                        "the index lists {platform}, and its image is not there"
                    ));
                }
            }
        }
        if faults.is_empty() {
            let message = format!(
                "whole for {}: every layer has its digest, and decompressed the one in the configuration",
                platforms.join(", ")
            );
            self.probe("image", ProbeOutcome::Passed, message);
        }
        for fault in faults {
            self.probe("image", ProbeOutcome::Failed, fault);
        }
    }

    /// Whether what is attached is about these images, and says that they were verified.
    fn attestations(&mut self) -> Result<()> {
        let work = self.work;
        let bytes = self
            .layout
            .read(&self.digest)
            .map_err(|error| unkept(&error))?;
        let is_index = AnyManifest::read(&bytes).is_ok_and(|it| !it.manifests.is_empty());
        if !is_index {
            let message = "it is a single manifest, to which nothing is attached";
            self.probe("attestations", ProbeOutcome::NotChecked, message);
            return Ok(());
        }
        let registries = work.registries()?;
        let question = Question {
            own: Some(PREDICATE.to_owned()),
            ..Question::default()
        };
        let fetch = |part, wanted: &attestation::Descriptor| match part {
            attestation::Part::Manifest => registries
                .manifest(&self.reference, &wanted.digest, Effort::Full)
                .map(|found| found.map(|body| body.bytes)),
            attestation::Part::Blob => {
                registries.blob(&self.reference, &wanted.digest, DOCUMENT, Effort::Full)
            }
        };
        let reading = match attestation::read(&bytes, &question, fetch) {
            Ok(reading) => reading,
            Err(ReadError::Fetch(error)) => return Err(error.into()),
            Err(ReadError::Content(error)) => {
                self.probe("attestations", ProbeOutcome::Failed, error.to_string());
                return Ok(());
            }
        };
        for fault in &reading.faults {
            self.probe("attestations", ProbeOutcome::Failed, fault.to_string());
        }
        for image in &reading.images {
            let platform = image
                .platform
                .clone()
                .unwrap_or_else(|| "one image".to_owned());
            for fault in &image.faults {
                let message = format!("{platform}: {fault}");
                self.probe("attestations", ProbeOutcome::Failed, message);
            }
            for statement in &image.statements {
                self.statement(&platform, statement);
            }
            let is_own = |it: &attestation::Statement| it.predicate_type == PredicateType::Own;
            if !image.statements.iter().any(is_own) {
                let message = format!("{platform}: nothing attached says that it was verified");
                self.probe("verification", ProbeOutcome::NotChecked, message);
            }
        }
        Ok(())
    }

    fn statement(&mut self, platform: &str, statement: &attestation::Statement) {
        if statement.subject != StatementSubject::Named {
            let uri = &statement.uri;
            let message = format!("{platform}: {uri} names no image, so it may be about another");
            self.probe("attestations", ProbeOutcome::NotChecked, message);
            return;
        }
        match &statement.predicate_type {
            PredicateType::Own => {
                let read: Option<Value> = serde_json::from_slice(&statement.bytes).ok();
                let predicate = read.as_ref().and_then(|read| read.get("predicate"));
                let outcome = predicate.and_then(|it| it.get("outcome")?.as_str());
                match outcome {
                    Some("passed") | None => {
                        let message =
                            format!("{platform}: verified by the policy of its publisher");
                        self.probe("verification", ProbeOutcome::Passed, message);
                    }
                    Some(other) => {
                        let message = format!("{platform}: its verification says {other}");
                        self.probe("verification", ProbeOutcome::Failed, message);
                    }
                }
            }
            PredicateType::ProvenanceV02 | PredicateType::ProvenanceV1 => {
                match statement.provenance() {
                    Ok(Some(provenance)) => {
                        let builder = provenance.builder.unwrap_or_else(|| "nobody".to_owned());
                        let materials = provenance.materials.len();
                        let message = format!(
                            "{platform}: built by {builder} of {materials} named materials"
                        );
                        self.probe("provenance", ProbeOutcome::Passed, message);
                    }
                    Ok(None) => {}
                    Err(error) => {
                        let message = format!("{platform}: {error}");
                        self.probe("provenance", ProbeOutcome::Failed, message);
                    }
                }
            }
            PredicateType::Spdx | PredicateType::CycloneDx => match statement.packages(3) {
                Ok(Some(packages)) => {
                    let message = format!("{platform}: {} packages", packages.count);
                    self.probe("sbom", ProbeOutcome::Passed, message);
                }
                Ok(None) => {}
                Err(error) => {
                    let message = format!("{platform}: {error}");
                    self.probe("sbom", ProbeOutcome::Failed, message);
                }
            },
            PredicateType::Other(_) => {}
        }
    }

    /// Whether the release that the image belongs to is whole, and its tags still point to it.
    fn release(&mut self) -> Result<()> {
        let registries = self.work.registries()?;
        let tag = release_tag(&self.digest);
        let Some(body) = registries.manifest(&self.reference, &tag, Effort::Full)? else {
            let message = "it belongs to no release that this program published";
            self.probe("release", ProbeOutcome::NotChecked, message);
            return Ok(());
        };
        let manifest = AnyManifest::read(&body.bytes).ok();
        let layer = manifest.as_ref().and_then(|it| it.layers.first());
        let json = match layer {
            Some(layer) => {
                registries.blob(&self.reference, &layer.digest, DOCUMENT, Effort::Full)?
            }
            None => None,
        };
        let release = json.and_then(|json| Release::parse(&json));
        let Some(release) = release else {
            self.probe(
                "release",
                ProbeOutcome::Failed,
                "its release.json is not readable",
            );
            return Ok(());
        };
        let own = release
            .images
            .iter()
            .find(|it| it.top.digest == self.digest);
        let Some(own) = own else {
            let message = format!("release {} does not have this image", release.name);
            self.probe("release", ProbeOutcome::Failed, message);
            return Ok(());
        };
        // The others are beside it: under their own names, or below the same path.
        let below = (own.image != self.repository)
            .then(|| {
                self.repository
                    .rsplit_once('/')
                    .map(|(to, _)| to.to_owned())
            })
            .flatten();
        let target = crate::graphfile::spec::publishing::Target { to: below };
        let mut faults = BTreeMap::new();
        let mut moved = Vec::new();
        for image in &release.images {
            let place = target.name_of(&image.image);
            let at = push::reference(&place)?;
            let platforms = image.platforms.iter().map(|it| &it.manifest);
            for digest in platforms.chain(&image.attached).chain([&image.top.digest]) {
                if registries
                    .has_manifest(&at, digest, Effort::Full)?
                    .as_deref()
                    != Some(digest)
                {
                    faults.insert(place.clone(), digest.clone());
                }
            }
            for tag in &image.tags {
                let now = registries.has_manifest(&at, tag, Effort::Full)?;
                if now.as_deref() != Some(&image.top.digest) {
                    moved.push(format!("{place}:{tag}"));
                }
            }
        }
        for (place, digest) in &faults {
            let message = format!("release {}: {place} has no {digest}", release.name);
            self.probe("release", ProbeOutcome::Failed, message);
        }
        if !moved.is_empty() {
            crate::tell!(
                "note: these tags do not point to release {} any more: {}",
                release.name,
                moved.join(", ")
            );
        }
        if faults.is_empty() {
            let images = release.images.len();
            let message = format!("release {} is whole: {images} images", release.name);
            self.probe("release", ProbeOutcome::Passed, message);
        }
        Ok(())
    }
}

fn platform_of(image: &LayeredImage) -> String {
    let platform = image.facts.platform();
    reference::platform::normal(&platform).unwrap_or(platform)
}
