//! What the graph needs: the records of the keys that its stages have now, with each of its
//! profiles.

use std::collections::{BTreeMap, BTreeSet};

use crate::contexts::Tracer;
use crate::freshness::key::Key;
use crate::freshness::planner::{Next, Workspace};
use crate::freshness::prepare::lending;
use crate::freshness::record::Record;
use crate::graphfile::chosen::Chosen;
use crate::graphfile::spec::Spec;
use crate::outside::clock;

/// The processors for which host commands may have been run (`prepare::lending`).
const PROCESSORS: [&str; 2] = ["x86_64", "aarch64"];

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// What the graph needs.
#[derive(Debug, Default)]
pub struct Needed {
    /// The keys of the stages and parts of the graph, by name.
    keys: BTreeMap<String, BTreeSet<Key>>,
    /// Stages whose keys cannot be told. All their records stay.
    unread: BTreeSet<String>,
    /// What the host commands of the graph would make.
    questions: BTreeSet<String>,
    /// Names of images that stages are published under.
    published: BTreeSet<String>,
    /// What is younger stays, in milliseconds since 1970.
    since_ms: u64,
    /// Profiles that cannot be read, and why.
    pub notes: Vec<String>,
    /// Whether a profile cannot be read. Then no record goes.
    is_partly_unknown: bool,
    /// Whether what a host command would make cannot be told. Then nothing that one made goes.
    has_unread_command: bool,
}

impl Needed {
    /// What the graph of `work`, opened as `chosen`, needs: with the call's own profiles, without
    /// any, and with each profile alone.
    pub fn of(work: &Workspace, chosen: &Chosen, since_ms: u64) -> Self {
        let mut needed = Self {
            since_ms,
            ..Self::default()
        };
        needed.add(work);
        let alone = work.spec.profiles.iter().map(|name| vec![name.clone()]);
        let mut seen = BTreeSet::from([chosen.options.profiles.clone()]);
        for profiles in std::iter::once(Vec::new()).chain(alone) {
            if !seen.insert(profiles.clone()) {
                continue;
            }
            let mut other = chosen.clone();
            other.options.profiles.clone_from(&profiles);
            match Workspace::open(&other, &[], Next::AllStages) {
                Ok(work) => needed.add(&work),
                Err(fault) => {
                    let with = profiles.first().map_or_else(
                        || "without profiles".to_owned(),
                        |name| format!("with profile `{name}`"),
                    );
                    needed.is_partly_unknown = true;
                    needed.notes.push(format!(
                        "the graph cannot be read {with}, so all records of its stages stay: {fault}"
                    ));
                }
            }
        }
        needed
    }

    fn add(&mut self, work: &Workspace) {
        let names = || work.spec.stages.iter().map(|stage| stage.name.clone());
        for name in names() {
            self.keys.entry(name).or_default();
        }
        self.published.extend(published(&work.spec));
        for stage in &work.spec.stages {
            for processor in PROCESSORS {
                let tracer = Tracer::forgetful(&work.cache);
                match lending::question(&work.spec, stage, &tracer, processor) {
                    Ok(question) => self.questions.extend(question),
                    Err(_) => self.has_unread_command = true,
                }
            }
        }
        match work.wanted(&[]).and_then(|all| work.plan(&all, |_| false)) {
            Ok(plan) => {
                // Without the images of its parents, the key of a stage is not known, and what the
                // plan has in its place is none.
                let mut built = BTreeSet::new();
                for own in plan {
                    let stage = work.spec.stage(own.id);
                    let is_known = stage.upstream().iter().all(|parent| built.contains(parent));
                    match own.key.filter(|_| is_known) {
                        Some(key) => {
                            self.keys.entry(stage.name.clone()).or_default().insert(key);
                        }
                        None => _ = self.unread.insert(stage.name.clone()),
                    }
                    if is_known && own.verdict.has_image() {
                        built.insert(own.id);
                    }
                }
            }
            Err(fault) => {
                self.unread.extend(names());
                self.notes.push(format!(
                    "the keys of the graph cannot be told, so all records of its stages stay: {fault}"
                ));
            }
        }
    }

    /// Whether a record of a stage stays. The last one of a stage of the graph does: it says why the
    /// next build is one.
    pub fn keeps(&self, stage: &str, record: &Record, is_last: bool) -> bool {
        let keys = self.keys.get(stage);
        self.is_young(record.ended_ms)
            || self.unread.contains(stage)
            || self.is_partly_unknown
            || keys.is_some_and(|keys| is_last || keys.contains(&record.key))
    }

    /// Whether a key is one that the graph has now.
    pub fn has_key(&self, key: &str) -> bool {
        let mut keys = self.keys.values().flatten();
        keys.any(|own| own.hex() == key)
    }

    /// Whether a stage may have any key now.
    pub fn may_have_any_key(&self, stage: &str) -> bool {
        self.is_partly_unknown || self.unread.contains(stage)
    }

    /// Whether a profile cannot be read.
    pub const fn is_partly_unknown(&self) -> bool {
        self.is_partly_unknown
    }

    /// Whether what a host command made is wanted now.
    pub fn asks(&self, question: &str) -> bool {
        self.is_partly_unknown || self.has_unread_command || self.questions.contains(question)
    }

    /// Whether a stage of this name is in the graph.
    pub fn has_stage(&self, name: &str) -> bool {
        self.is_partly_unknown || self.keys.contains_key(name)
    }

    /// Whether something of that time stays for its age.
    pub fn is_young(&self, moment_ms: u64) -> bool {
        moment_ms >= self.since_ms
    }

    /// Whether something that another state's build may use now is old: for at least a day.
    pub fn is_old_for_others(&self, moment_ms: u64) -> bool {
        let now = u64::try_from(clock::now().as_millis()).unwrap_or(u64::MAX);
        moment_ms < self.since_ms.min(now.saturating_sub(DAY_MS))
    }

    /// Whether stages are published under this name.
    pub fn publishes(&self, repository: &str) -> bool {
        self.published.contains(repository)
    }
}

/// The names, `host/path`, under which the graph publishes.
fn published(spec: &Spec) -> BTreeSet<String> {
    let publishing = &spec.publishing;
    let mut names: BTreeSet<String> = publishing.staging.iter().cloned().collect();
    for image in spec.stages.iter().filter_map(|stage| stage.image.as_ref()) {
        names.insert(image.clone());
        let targets = publishing.targets.values();
        names.extend(targets.map(|target| target.name_of(image)));
    }
    let normal = names.iter().filter_map(|name| reference::normalise(name));
    normal
        .map(|name| format!("{}/{}", name.registry, name.repository))
        .collect()
}
