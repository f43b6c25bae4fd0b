//! What a graph needs of a machine: read from the graph, its lock and those Dockerfiles that are on
//! this machine.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::Host;

use crate::graphfile::base_override;
use crate::graphfile::call::Call;
use crate::graphfile::lock::Lock;
use crate::graphfile::spec::builders::Builder;
use crate::graphfile::spec::{Context, Place, Spec, Stage};

/// What the graph needs of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// All platforms that no builder of the graph file builds without emulation, sorted; empty for
    /// the engine's own.
    pub platforms: Vec<String>,
    /// Whether one image is made for several platforms.
    pub several: bool,
    /// Whether the image that a Dockerfile names is replaced: by a locked one, a stage's or a
    /// mirror's.
    pub replaces: bool,
    /// Whether git must fetch a source.
    pub fetches: bool,
    /// The hosts of registries and sources.
    pub hosts: Vec<Host>,
    /// Programs and libraries that host commands need, with the stages whose commands these are.
    pub tools: BTreeMap<String, Vec<String>>,
    /// The registry for shared records, which wants a login.
    pub writes_to: Option<String>,
    /// The builders of the graph file.
    pub builders: Vec<Builder>,
    /// How to call the program on the graph again.
    pub call: Call,
}

impl Needs {
    /// The needs of a whole graph, with its sources found.
    pub fn of(spec: &Spec, lock: &Lock) -> Self {
        let platforms: BTreeSet<&String> = spec
            .stages
            .iter()
            .flat_map(|stage| &stage.platforms)
            .filter(|platform| !spec.builders.iter().any(|it| it.is_native(platform)))
            .collect();
        let mut hosts = BTreeSet::new();
        let registries = registries(spec, lock);
        hosts.extend(registries.iter().map(|registry| registry_host(registry)));
        let stands = |stage: &Stage| stage.from.is_some() || !stage.contexts.is_empty();
        let replaces = !registries.is_empty() || spec.stages.iter().any(stands);
        let mut fetches = false;
        for source in &spec.sources {
            let (Place::Unfetched(_), Some(git)) = (&source.place, &source.git) else {
                continue;
            };
            fetches = true;
            for url in git.mirrors.iter().chain([&git.url]) {
                hosts.extend(source_host(&source.name, url));
            }
        }
        let mut tools: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for stage in &spec.stages {
            for name in stage.prepare.iter().flat_map(|prepare| &prepare.needs) {
                let stages = tools.entry(name.clone()).or_default();
                stages.push(stage.name.clone());
            }
        }
        let writes_to = spec.registry.as_ref().map(|sharing| {
            let place = &sharing.url;
            let host = place.split('/').next().unwrap_or(place);
            hosts.insert(registry_host(host));
            host.to_owned()
        });
        Self {
            platforms: platforms.into_iter().cloned().collect(),
            several: spec.stages.iter().any(|stage| stage.platforms.len() > 1),
            replaces,
            fetches,
            hosts: hosts.into_iter().collect(),
            tools,
            writes_to,
            builders: spec.builders.clone(),
            call: spec.call.clone(),
        }
    }

    /// Whether a stage may be built for another architecture than this machine's.
    pub const fn may_emulate(&self) -> bool {
        !self.platforms.is_empty()
    }

    /// The architectures other than `machine`'s, as platforms name them.
    pub fn foreign(&self, machine: &str) -> Vec<String> {
        let own = architecture(machine);
        let all: BTreeSet<String> = self
            .platforms
            .iter()
            .filter_map(|platform| {
                let rest = platform.strip_prefix("linux/")?;
                let name = rest.split('/').next().unwrap_or(rest);
                (Some(name) != own && !runs_itself(machine, name)).then(|| name.to_owned())
            })
            .collect();
        all.into_iter().collect()
    }
}

/// Whether a processor runs the programs of an older kind itself.
fn runs_itself(machine: &str, wanted: &str) -> bool {
    machine == "x86_64" && wanted == "386"
}

/// The platform's name of the architecture that `uname -m` names (containerd's platforms package).
pub fn architecture(machine: &str) -> Option<&'static str> {
    Some(match machine {
        "x86_64" | "amd64" => "amd64",
        "aarch64" | "arm64" => "arm64",
        "armv7l" | "armv6l" => "arm",
        "i386" | "i686" => "386",
        "ppc64le" => "ppc64le",
        "s390x" => "s390x",
        "riscv64" => "riscv64",
        _ => return None,
    })
}

/// The registries of all external images that no stage overrides.
fn registries(spec: &Spec, lock: &Lock) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut add = |image: &str| {
        if let Some(known) = reference::normalise(image) {
            all.insert(known.registry);
        }
    };
    for id in spec.ids() {
        let stage = spec.stage(id);
        // Its parts have the base overrides.
        if stage.is_assembled() {
            continue;
        }
        let known = base_override::external(spec, stage);
        known.iter().for_each(|image| add(image));
        for context in stage.contexts.values() {
            if let Context::Image(image) = context {
                add(image);
            }
        }
    }
    // The Dockerfiles of a missing source cannot be read. The lock may name their images.
    if spec.sources.iter().any(|source| is_unread(&source.place)) {
        lock.references().for_each(add);
    }
    all
}

fn is_unread(place: &Place) -> bool {
    !matches!(place, Place::Local { .. } | Place::Fetched { .. })
}

/// Docker Hub's images come from another host than its name says
/// (docs.docker.com/docker-hub/usage, *registry-1.docker.io*).
fn registry_host(registry: &str) -> Host {
    let asked = match registry {
        "docker.io" => "registry-1.docker.io",
        other => other,
    };
    // Docker speaks plain HTTP to registries of this machine.
    let name = asked.split(':').next().unwrap_or(asked);
    let scheme = if name == "localhost" || name.starts_with("127.") {
        "http"
    } else {
        "https"
    };
    Host {
        name: registry.to_owned(),
        url: format!("{scheme}://{asked}/v2/"),
        purpose: "images".to_owned(),
        group: format!("registry {registry}"),
    }
}

/// The host of a source's URL; `None` for a path of this machine.
fn source_host(source: &str, url: &str) -> Option<Host> {
    let rest = url.split_once("://").map(|(_, rest)| rest);
    let authority = match rest {
        Some(rest) if !url.starts_with("file:") => rest.split('/').next()?,
        // git's own short form, `git@host:path`.
        None => url.split_once(':').map(|(host, _)| host)?,
        Some(_) => return None,
    };
    let name = authority.rsplit('@').next().unwrap_or(authority);
    Some(Host {
        name: name.to_owned(),
        url: url.to_owned(),
        purpose: format!("source `{source}`"),
        group: format!("source {source}"),
    })
}
