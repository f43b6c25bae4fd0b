//! Second containers of a service. Each is changed in one thing that a probe asks about.
//!
//! A trial has its service's settings and volumes of its own, so that it takes nothing from the
//! running service.

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Map, Value, json};

use super::config::{flag, object, text};
use super::filling::{Fill, Filling};
use crate::graphfile::spec::stack::{Ask, Probe};

/// A second container, which only its probe starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// The position of the probe in the graph file.
    pub probe: usize,
    /// The trial's name in the model.
    pub name: String,
    /// What the trial changes.
    pub what: TrialKind,
}

/// What a trial changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrialKind {
    /// Another user, and a read-only root.
    Uid(u32),
    /// A volume that root owns.
    RootOwned,
}

/// The uids of trials. No distribution uses them, and a rootless engine has them too, as it has
/// 65,536 uids.
const UIDS: std::ops::Range<u32> = 20_000..60_000;

/// Adds the trials that probes need. The model's services must be rewritten already.
pub(super) fn add(
    model: &mut Map<String, Value>,
    probes: &[Probe],
    fills: &mut Vec<Fill>,
) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (at, probe) in probes.iter().enumerate() {
        let what = match &probe.ask {
            Ask::Uid { .. } => TrialKind::Uid(uid()),
            Ask::File {
                root_owned: true, ..
            } => TrialKind::RootOwned,
            _ => continue,
        };
        let Some(mut service) = object(model, "services")
            .get(&probe.service)
            .and_then(Value::as_object)
            .cloned()
        else {
            continue;
        };
        let name = format!("{}.try{at}", probe.service);
        // The services that it depends on run by then. The other settings belong to the running
        // service.
        for key in ["ports", "depends_on", "links", "volumes_from", "hostname"] {
            service.remove(key);
        }
        if let Some(Value::Object(networks)) = service.get_mut("networks") {
            for network in networks.values_mut().filter_map(Value::as_object_mut) {
                network.remove("aliases");
            }
        }
        let mut volumes = Volumes {
            trial: &name,
            key: format!("try{at}"),
            made: Vec::new(),
            fills,
        };
        let mounts = service.remove("volumes");
        let mut mounts = match mounts {
            Some(Value::Array(mounts)) => mounts,
            _ => Vec::new(),
        };
        for mount in &mut mounts {
            volumes.renew(mount, matches!(what, TrialKind::Uid(_)));
        }
        match (&probe.ask, &what) {
            (Ask::Uid { writable }, TrialKind::Uid(uid)) => {
                service.insert("user".into(), format!("{uid}:0").into());
                service.insert("read_only".into(), true.into());
                for folder in writable {
                    let is_there = |mount: &Value| text(mount, "target") == folder;
                    if !mounts.iter().any(is_there) {
                        mounts.push(json!({"type": "tmpfs", "target": folder}));
                    }
                }
            }
            (Ask::File { path, .. }, _) => volumes.hand_to_root(&mut mounts, path),
            _ => {}
        }
        let made = volumes.made;
        service.insert("volumes".into(), Value::Array(mounts));
        object(model, "services").insert(name.clone(), Value::Object(service));
        let volumes = object(model, "volumes");
        for volume in made {
            volumes.insert(volume, json!({}));
        }
        trials.push(Trial {
            probe: at,
            name,
            what,
        });
    }
    trials
}

fn uid() -> u32 {
    UIDS.start + super::random() % (UIDS.end - UIDS.start)
}

/// The volumes of one trial.
struct Volumes<'v> {
    trial: &'v str,
    key: String,
    made: Vec<String>,
    fills: &'v mut Vec<Fill>,
}

impl Volumes<'_> {
    fn new_volume(&mut self) -> String {
        let name = format!("{}-{}", self.key, self.made.len());
        self.made.push(name.clone());
        name
    }

    /// Replaces a volume that the running service writes to.
    fn renew(&mut self, mount: &mut Value, for_any_user: bool) {
        let source = text(mount, "source").to_owned();
        if text(mount, "type") != "volume" || flag(mount, "read_only") || source.is_empty() {
            return;
        }
        let target = text(mount, "target").to_owned();
        let folder = self.fills.iter().find_map(|fill| match &fill.with {
            Filling::Folder { path, .. } if fill.volume == source => Some(path.clone()),
            _ => None,
        });
        if for_any_user && folder.is_none() {
            // A tmpfs: everybody may write to it, as to a volume that a cluster gives to a pod's
            // group.
            *mount = json!({"type": "tmpfs", "target": target});
            return;
        }
        let name = self.new_volume();
        if let Some(path) = folder {
            self.fills.push(Fill {
                volume: name.clone(),
                service: self.trial.to_owned(),
                target,
                with: Filling::Folder {
                    path,
                    for_group: for_any_user,
                },
            });
        }
        if let Value::Object(mount) = mount {
            mount.insert("source".into(), name.into());
        }
    }

    /// Mounts a volume in which everything belongs to root at the place of `path`.
    fn hand_to_root(&mut self, mounts: &mut Vec<Value>, path: &str) {
        let path = Utf8Path::new(path);
        let deepest = |mount: &&mut Value| {
            let target = Utf8PathBuf::from(text(mount, "target"));
            let is_above = path.starts_with(&target);
            is_above.then_some(target.as_str().len())
        };
        let above = mounts.iter_mut().filter(|mount| deepest(mount).is_some());
        let above = above.max_by_key(|mount| deepest(mount));
        let target = above
            .as_ref()
            .map_or(path, |mount| Utf8Path::new(text(mount, "target")));
        let target = target.to_owned();
        let inner = path.strip_prefix(&target).unwrap_or(Utf8Path::new(""));
        let old = above.as_ref().map(|mount| text(mount, "source").to_owned());
        let name = self.new_volume();
        let mount = json!({
            "type": "volume", "source": name, "target": target.as_str(),
            "volume": {"nocopy": true},
        });
        // The old volume is not mounted any more, so that nothing is copied into it.
        self.fills
            .retain(|fill| fill.service != self.trial || Some(&fill.volume) != old.as_ref());
        match above {
            Some(place) => *place = mount,
            None => mounts.push(mount),
        }
        self.fills.push(Fill {
            volume: name,
            service: self.trial.to_owned(),
            target: target.into_string(),
            with: Filling::RootOwned(inner.to_owned()),
        });
    }
}
