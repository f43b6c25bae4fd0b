//! The rules, each a function of one image, in files by what they look at.
//!
//! Every rule says what is wrong in one sentence and what to do in another. Knows images and what a
//! stage promises. Is unaware of severities and waivers, which `policy` lays over the answers.

mod asked;
mod programs;
mod secrets;
mod user;
mod weight;

use super::subject::Subject;
use crate::graphfile::spec::policy::{Policy, Rule};
use crate::verify::layers::shown;

/// A breach, before its severity is known.
#[derive(Debug, Clone)]
pub struct Breach {
    /// Of which rule.
    pub rule: Rule,
    /// The layer's position; `None` for the configuration.
    pub layer: Option<usize>,
    /// The path.
    pub path: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// All breaches of one image, which is to be of this platform.
pub fn breaches(subject: &Subject<'_>, policy: &Policy, platform: Option<&str>) -> Vec<Breach> {
    let mut all = Breaches {
        subject,
        list: Vec::new(),
    };
    all.secrets();
    all.default_keys();
    all.platform(platform);
    all.readable();
    all.root();
    all.writable_path();
    all.budget(policy);
    all.setuid(policy);
    all.tests();
    all.caches();
    all.compilers();
    all.wanted(policy);
    all.list
}

struct Breaches<'s, 'i> {
    subject: &'s Subject<'i>,
    list: Vec<Breach>,
}

impl Breaches<'_, '_> {
    fn add(
        &mut self,
        rule: Rule,
        at: Option<(usize, &[u8])>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.list.push(Breach {
            rule,
            layer: at.map(|(layer, _)| layer),
            path: at.map(|(_, path)| shown(path)),
            message: message.into(),
            remedy: remedy.into(),
        });
    }
}
