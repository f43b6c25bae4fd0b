//! The first half of a verification: every image against its policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::reading;
use super::summaries::Summaries;
use super::{Session, Target};
use crate::fault::{Fault, Result};
use crate::freshness::stage_inputs;
use crate::graphfile::spec::StageId;
use crate::graphfile::spec::policy::Severity;
use crate::report::words;
use crate::verify::finding::{Finding, Origin};
use crate::verify::kept;
use crate::verify::layers::{Digest, FoundImages, Layer, PlatformPart};
use crate::verify::policy::{self, Subject, Waivers};
use crate::verify::record;

/// The layers of an image, with the origin of each as the image's children see it.
pub(super) type Below = Vec<(Arc<Layer>, Origin)>;

impl Session<'_> {
    pub(super) fn policy(
        &self,
        waivers: &Waivers<'_>,
        findings: &mut Vec<Finding>,
        subjects: &mut Vec<record::RecordSubject>,
        sizes: &mut Summaries,
    ) -> Result<()> {
        crate::tell!("reading {}", words::count(self.fresh.len(), "image"));
        let mut rules = policy::content_rules();
        let versions = policy::content_rules();
        let kept = kept::KeptLayers::of(&self.work.state);
        let known = |digest: &Digest| kept.get(digest, &versions);
        let found = reading::read(self.work, &self.fresh, &mut rules, &known)?;
        kept.keep(found.iter().flat_map(FoundImages::images));
        let mut below: BTreeMap<StageId, Below> = BTreeMap::new();
        for (target, found) in self.fresh.iter().zip(&found) {
            refuse_other(self.name(target.id), target, found)?;
            let before = findings.len();
            let layers = self.judge(target, found, &below, waivers, findings, sizes);
            below.insert(target.id, layers);
            if !self.targets.contains(&target.id) {
                // It was read only for the origin of its children's layers.
                findings.truncate(before);
                continue;
            }
            for image in found.images() {
                let digests = [Some(image.config), image.manifest];
                subjects.extend(digests.into_iter().flatten().map(|digest| {
                    record::RecordSubject {
                        name: self.name(target.id).to_owned(),
                        digest: digest.to_string(),
                    }
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

    /// Judges the images that a stage's name stands for. Gives the layers of the first image, with
    /// their origins.
    fn judge(
        &self,
        target: &Target,
        found: &FoundImages,
        below: &BTreeMap<StageId, Below>,
        waivers: &Waivers<'_>,
        findings: &mut Vec<Finding>,
        sizes: &mut Summaries,
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
            let PlatformPart::Whole(image) = part else {
                findings.extend(policy::unread(spec, target.id, &target.image, part));
                continue;
            };
            let facts = &image.facts;
            let variant = facts.variant.as_deref().unwrap_or_default();
            let is = format!("{}/{}/{variant}", facts.os, facts.architecture);
            let is = reference::platform::normal(is.trim_end_matches('/'));
            let matching = wanted
                .iter()
                .copied()
                .find(|platform| reference::platform::normal(platform) == is);
            missing.retain(|platform| Some(*platform) != matching);
            let only = wanted.first().copied().filter(|_| wanted.len() == 1);
            // An image of the wrong platform is reported as that, not as missing.
            if matching.is_none() {
                missing.retain(|platform| Some(*platform) != only);
            }
            let platform = matching.or(only);
            let part = spec.part_for(target.id, platform);
            let steps = stage_inputs::steps(spec, part, platform.or(own));
            let parents = spec.stands_on_any(target.id).into_iter();
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
            sizes.add(target.id, &subject);
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
}

/// Refuses an image that is not the one of the plan: somebody moved its name since, and the record
/// would name another image.
fn refuse_other(stage: &str, target: &Target, found: &FoundImages) -> Result<()> {
    let image = &target.image;
    let is_it = |digest: Digest| digest.to_string() == *image;
    let own = found
        .images()
        .flat_map(|one| [Some(one.config), one.manifest]);
    let mut all = own.chain([found.digest]).flatten();
    if found.images().next().is_none() || all.any(is_it) {
        // An image that could not be read is reported as that.
        return Ok(());
    }
    Err(Fault::failed(format!(
        "the image of `{stage}` is no longer {image}: another process moved its name, or builds it; run this once more"
    )))
}
