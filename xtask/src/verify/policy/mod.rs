//! Policy on images: rules, their severities, and waivers.

mod content;
mod rules;
mod subject;

use crate::fault::{Fault, Result};
use crate::graphfile::spec::policy::{Rule, Severity, Waiver};
use crate::graphfile::spec::{Spec, StageId};
use crate::verify::finding::{Finding, Name, Origin, Waived};
use crate::verify::layers::PlatformPart;
use crate::verify::secrets;
use crate::verify::tools::ToolFinding;
use dockerignore::Ignore;

pub use content::rules as content_rules;
pub use rules::Breach;
pub use subject::{MadeBy, Subject, User};

/// The version of all rules. It changes whenever a rule may answer differently for the same image.
pub const VERSION: &str = "3";

/// The waivers of one graph, on one day.
pub struct Waivers<'s> {
    list: Vec<(&'s Waiver, Option<Ignore>)>,
    today: String,
}

impl<'s> Waivers<'s> {
    /// `today` is a day, as `2027-01-31`.
    pub fn of(spec: &'s Spec, today: &str) -> Result<Self> {
        let read = |waiver: &'s Waiver| {
            let pattern = waiver.path.as_ref();
            let pattern = pattern
                .map(|path| Ignore::parse(path.as_bytes()))
                .transpose();
            pattern.map(|pattern| (waiver, pattern)).map_err(|why| {
                let (file, line) = (&spec.file, waiver.line);
                Fault::usage(format!(
                    "{file}:{line}: `path` of a waiver is not a pattern: {why}"
                ))
            })
        };
        Ok(Self {
            list: spec.waivers.iter().map(read).collect::<Result<_>>()?,
            today: today.to_owned(),
        })
    }

    /// The waiver that covers a breach today.
    fn covering(&self, rule: Rule, stage: Option<StageId>, path: Option<&str>) -> Option<Waived> {
        let covers = |(waiver, pattern): &&(&Waiver, Option<Ignore>)| {
            let of_path = match (pattern, path) {
                (None, _) => true,
                (Some(pattern), Some(path)) => pattern.excludes(path.as_bytes()),
                (Some(_), None) => false,
            };
            waiver.rule == rule
                && waiver.stage.is_none_or(|only| Some(only) == stage)
                && of_path
                && !waiver.has_ended(&self.today)
        };
        let (waiver, _) = self.list.iter().find(covers)?;
        Some(Waived {
            why: waiver.why.clone(),
            until: waiver.until.clone(),
        })
    }

    /// The waivers that have ended, each as a finding.
    pub fn ended(&self, spec: &Spec) -> Vec<Finding> {
        let ended = self
            .list
            .iter()
            .filter(|(waiver, _)| waiver.has_ended(&self.today));
        ended
            .map(|(waiver, _)| Finding {
                severity: Severity::Deny,
                rule: Name::Rule(Rule::EndedWaiver),
                stage: waiver
                    .stage
                    .map_or_else(String::new, |id| spec.stage(id).name.clone()),
                image: String::new(),
                layer: None,
                line: None,
                path: None,
                from: Origin::Own,
                message: format!(
                    "the waiver of `{}` at {}:{} ended on {}",
                    waiver.rule.name(),
                    spec.file,
                    waiver.line,
                    waiver.until
                ),
                remedy: "remove it, or write a later day and why".to_owned(),
                waived: None,
            })
            .collect()
    }

    /// The last day on which all present waivers hold.
    pub fn end(&self) -> Option<&str> {
        let holding = self
            .list
            .iter()
            .filter(|(waiver, _)| !waiver.has_ended(&self.today));
        holding.map(|(waiver, _)| waiver.until.as_str()).min()
    }
}

/// The findings of one image of a stage. `platform` is the platform that the image should have.
pub fn judge(
    spec: &Spec,
    id: StageId,
    image: &str,
    subject: &Subject<'_>,
    platform: Option<&str>,
    waivers: &Waivers<'_>,
) -> Vec<Finding> {
    let stage = spec.stage(id);
    let breaches = rules::breaches(subject, &stage.policy, platform).into_iter();
    let told = breaches.filter_map(|breach| {
        let severity = stage.policy.severity(breach.rule);
        if severity == Severity::Off {
            return None;
        }
        let made = breach.layer.map(|layer| subject.made[layer]);
        let waived = waivers.covering(breach.rule, Some(id), breach.path.as_deref());
        Some(Finding {
            severity,
            rule: Name::Rule(breach.rule),
            stage: stage.name.clone(),
            image: image.to_owned(),
            layer: breach
                .layer
                .map(|layer| subject.image.layers[layer].digest.to_string()),
            line: made.and_then(|made| made.line),
            path: breach.path,
            from: made.map_or(Origin::Own, |made| made.from),
            message: breach.message,
            remedy: breach.remedy,
            waived,
        })
    });
    told.collect()
}

/// A finding of an outside tool in a stage's image or Dockerfile.
pub fn of_tool(
    spec: &Spec,
    id: StageId,
    image: &str,
    found: ToolFinding,
    waivers: &Waivers<'_>,
) -> Option<Finding> {
    let stage = spec.stage(id);
    let severity = stage.policy.severity(found.rule);
    (severity != Severity::Off).then(|| Finding {
        severity,
        rule: Name::Other(found.name),
        stage: stage.name.clone(),
        image: image.to_owned(),
        layer: None,
        line: found.line,
        path: None,
        from: Origin::Own,
        message: found.message,
        remedy: found.remedy,
        waived: waivers.covering(found.rule, Some(id), None),
    })
}

/// Publicly known keys in the environment of a service of the stack. The service runs the image of
/// a stage or an image from elsewhere.
pub fn environment(
    spec: &Spec,
    (service, stage): (&str, Option<StageId>),
    image: &str,
    env: &[(&str, &str)],
    waivers: &Waivers<'_>,
) -> Vec<Finding> {
    let found = secrets::in_environment(env).into_iter();
    let told = found.filter_map(|found| {
        let rule = if found.rule == secrets::DEFAULT_KEYS {
            Rule::DefaultKeys
        } else {
            Rule::Secrets
        };
        let policy = stage.map_or(&spec.policy, |id| &spec.stage(id).policy);
        let severity = policy.severity(rule);
        let waived = waivers.covering(rule, stage, None);
        (severity != Severity::Off).then(|| Finding {
            severity,
            rule: Name::Rule(rule),
            stage: stage.map_or(service, |id| &spec.stage(id).name).to_owned(),
            image: image.to_owned(),
            layer: None,
            line: None,
            path: None,
            from: Origin::Own,
            message: format!(
                "the service `{service}` is given {} ({})",
                found.what, found.masked
            ),
            remedy: "give each installation a value of its own: `env` of [stack] takes one from this machine's environment".to_owned(),
            waived,
        })
    });
    told.collect()
}

fn rebuild(spec: &Spec, id: StageId) -> String {
    let name = &spec.stage(id).name;
    spec.call.command(&format!("build {name} --force={name}"))
}

/// The finding that an image lacks a platform.
pub fn missing(spec: &Spec, id: StageId, image: &str, platform: &str) -> Option<Finding> {
    let stage = spec.stage(id);
    let severity = stage.policy.severity(Rule::Platform);
    (severity != Severity::Off).then(|| Finding {
        severity,
        rule: Name::Rule(Rule::Platform),
        stage: stage.name.clone(),
        image: image.to_owned(),
        layer: None,
        line: None,
        path: None,
        from: Origin::Own,
        message: format!("there is no image for {platform}"),
        remedy: format!("build it for all its platforms: `{}`", rebuild(spec, id)),
        waived: None,
    })
}

/// The finding that an image, or one platform of it, is missing or could not be read whole.
pub fn unread(spec: &Spec, id: StageId, image: &str, part: &PlatformPart) -> Option<Finding> {
    let (rule, message, remedy) = match part {
        PlatformPart::Whole(_) => return None,
        PlatformPart::Unread(unread) => (
            Rule::Image,
            unread.to_string(),
            "do what the message says: no rule was checked on this image".to_owned(),
        ),
        PlatformPart::Absent { platform, .. } => (
            Rule::Platform,
            format!("the index lists {platform}, but the engine does not have its image"),
            format!("build it: `{}`", rebuild(spec, id)),
        ),
    };
    Some(Finding {
        severity: Severity::Deny,
        rule: Name::Rule(rule),
        stage: spec.stage(id).name.clone(),
        image: image.to_owned(),
        layer: None,
        line: None,
        path: None,
        from: Origin::Own,
        message,
        remedy,
        waived: None,
    })
}
