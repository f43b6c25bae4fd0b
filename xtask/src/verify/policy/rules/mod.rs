//! The rules. Each is a function of one image; the files group them by what they look at.
//!
//! Every rule says in one sentence what is wrong, and in another what to do. Severities and waivers
//! are not decided here: `policy` adds them.

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
    /// The rule.
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

/// All breaches of one image, which should be of this platform.
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
