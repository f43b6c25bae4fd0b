//! What a compose file may not ask for in a stack under test.
//!
//! These are all settings by which a container leaves its own network, volumes and rights, so that
//! it could touch the user's data, another project or the machine. Each has a name by which `allow`
//! permits it.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use super::config::{entries, flag, list, text};
use crate::fault::Fault;

/// A setting that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackRefusal {
    /// The name by which `allow` permits it.
    pub name: String,
    /// What the compose file asks for, as a sentence.
    pub why: String,
}

/// All settings that are refused and not permitted, in the order of the file.
pub fn refusals(config: &Value, folder: &Utf8Path, allow: &BTreeSet<String>) -> Vec<StackRefusal> {
    let mut found = Found {
        folder,
        list: Vec::new(),
    };
    for (name, service) in entries(config, "services") {
        found.service(name, service);
    }
    for (name, network) in entries(config, "networks") {
        let driver = text(network, "driver");
        if flag(network, "external") {
            found.add(
                format!("network:{name}"),
                format!("network `{name}` is external: it belongs to another project"),
            );
        } else if !matches!(driver, "" | "default" | "bridge") {
            found.add(
                format!("network:{name}"),
                format!(
                    "network `{name}` has the driver `{driver}`, which reaches beyond this engine"
                ),
            );
        }
    }
    for (name, volume) in entries(config, "volumes") {
        let driver = text(volume, "driver");
        let why = if flag(volume, "external") {
            "is external: it belongs to another project".to_owned()
        } else if !matches!(driver, "" | "default" | "local") {
            format!("has the driver `{driver}`, which may store data of others")
        } else if entries(volume, "driver_opts").next().is_some() {
            "has `driver_opts`: it is a place that others may use, too".to_owned()
        } else {
            continue;
        };
        found.add(format!("volume:{name}"), format!("volume `{name}` {why}"));
    }
    for (key, kind) in [("configs", "config"), ("secrets", "secret")] {
        for (name, entry) in entries(config, key) {
            let file = text(entry, "file");
            if flag(entry, "external") {
                found.add(
                    format!("{kind}:{name}"),
                    format!("{kind} `{name}` is external: it belongs to another project"),
                );
            } else if !file.is_empty() && !found.is_inside(file.into()) {
                found.add(
                    format!("{kind}:{name}"),
                    format!("{kind} `{name}` reads {file}, outside the compose file's folder"),
                );
            }
        }
    }
    found.list.retain(|refusal| !allow.contains(&refusal.name));
    found.list
}

/// All refusals as one fault. `None` if there are none.
pub fn fault(refusals: &[StackRefusal], compose: &Utf8Path, graph: &Utf8Path) -> Option<Fault> {
    if refusals.is_empty() {
        return None;
    }
    let mut message = format!(
        "{compose} asks for things that a stack under test may not have, as they reach beyond the stack:"
    );
    for refusal in refusals {
        message.push_str(&format!("\n  {}", refusal.why));
    }
    let names: BTreeSet<&str> = refusals
        .iter()
        .map(|refusal| refusal.name.as_str())
        .collect();
    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    message.push_str(&format!(
        "\nleave these services out, or permit it in `[stack]` of {graph}: allow = [{}]",
        names.join(", ")
    ));
    Some(Fault::usage(message))
}

struct Found<'f> {
    folder: &'f Utf8Path,
    list: Vec<StackRefusal>,
}

impl Found<'_> {
    fn add(&mut self, name: String, why: String) {
        let refusal = StackRefusal { name, why };
        if !self.list.contains(&refusal) {
            self.list.push(refusal);
        }
    }

    fn service(&mut self, name: &str, service: &Value) {
        let mut refuse = |what: &str, why: &str| {
            self.add(format!("{name}:{what}"), format!("service `{name}` {why}"));
        };
        if flag(service, "privileged") {
            refuse("privileged", "runs privileged");
        }
        for (key, whose) in [
            ("network_mode", "network"),
            ("pid", "processes"),
            ("ipc", "shared memory"),
            ("uts", "host name"),
            ("userns_mode", "users"),
            ("cgroup", "control groups"),
        ] {
            let value = text(service, key);
            if value == "host" {
                refuse(
                    key,
                    &format!("uses the machine's own {whose} (`{key}: host`)"),
                );
            } else if let Some(other) = value.strip_prefix("container:") {
                let why = format!(
                    "uses the {whose} of the container `{other}`, which is not of this stack"
                );
                refuse(key, &why);
            } else if key == "network_mode" && is_foreign(value) {
                refuse(
                    key,
                    &format!("uses the network `{value}`, which is not of this stack"),
                );
            }
        }
        for (key, why) in [
            ("devices", "is given devices of the machine"),
            ("device_cgroup_rules", "is given devices of the machine"),
            ("gpus", "is given devices of the machine"),
            (
                "external_links",
                "is linked to containers of other projects",
            ),
        ] {
            if list(service, key).next().is_some() || service.get(key).is_some_and(Value::is_string)
            {
                refuse(key, why);
            }
        }
        let reserved = service.pointer("/deploy/resources/reservations");
        if reserved.is_some_and(|reserved| list(reserved, "devices").next().is_some()) {
            refuse("devices", "is given devices of the machine");
        }
        for capability in list(service, "cap_add").filter_map(Value::as_str) {
            let why = format!("is given the capability {capability}");
            refuse(&format!("cap_add:{capability}"), &why);
        }
        for option in list(service, "security_opt").filter_map(Value::as_str) {
            if option.contains("unconfined") || option.replace('=', ":") == "label:disable" {
                let why = format!("turns off a part of its confinement (`{option}`)");
                refuse("security_opt", &why);
            }
        }
        if !text(service, "cgroup_parent").is_empty() {
            refuse(
                "cgroup_parent",
                "is put into a control group of the machine",
            );
        }
        if flag(service, "use_api_socket") {
            refuse("docker.sock", "is given the engine's socket");
        }
        if service
            .get("provider")
            .is_some_and(|provider| !provider.is_null())
        {
            refuse(
                "provider",
                "is run by a program on this machine, not in a container",
            );
        }
        for other in list(service, "volumes_from").filter_map(Value::as_str) {
            if other.starts_with("container:") {
                let why = format!("uses the volumes of `{other}`, which is not of this stack");
                refuse("volumes_from", &why);
            }
        }
        for mount in list(service, "volumes") {
            self.mount(name, mount);
        }
    }

    fn mount(&mut self, service: &str, mount: &Value) {
        let kind = text(mount, "type");
        let source = Utf8Path::new(text(mount, "source"));
        if !matches!(kind, "bind" | "volume" | "tmpfs" | "image") {
            let target = text(mount, "target");
            self.add(
                format!("{service}:mount"),
                format!("service `{service}` has a mount of the type `{kind}` at {target}"),
            );
        }
        if kind != "bind" {
            return;
        }
        if is_engine_socket(source) {
            self.add(
                format!("{service}:docker.sock"),
                format!("service `{service}` is given the engine's socket {source}"),
            );
        } else if !self.is_inside(source) {
            let shown = self.shown(source);
            self.add(
                format!("{service}:bind:{shown}"),
                format!("service `{service}` binds {source}, outside the compose file's folder"),
            );
        }
    }

    /// A path relative to the compose file's folder if possible, as a graph file is for many
    /// machines.
    fn shown(&self, path: &Utf8Path) -> String {
        let mut up = String::new();
        for folder in self.folder.ancestors() {
            if let Ok(rest) = path.strip_prefix(folder) {
                // A path that shares only the root with the folder is outside any repository.
                if folder.parent().is_some() {
                    let shown = format!("{up}{rest}");
                    return if shown.is_empty() {
                        ".".to_owned()
                    } else {
                        shown
                    };
                }
            }
            up.push_str("../");
        }
        path.to_string()
    }

    fn is_inside(&self, path: &Utf8Path) -> bool {
        is_inside(self.folder, path)
    }
}

/// Whether a path is below a folder, also after following links.
pub(super) fn is_inside(folder: &Utf8Path, path: &Utf8Path) -> bool {
    let Ok(rest) = path.strip_prefix(folder) else {
        return false;
    };
    if rest.as_str().is_empty() {
        return false;
    }
    // A path that does not exist yet is where its nearest existing folder is.
    let real = path
        .ancestors()
        .find_map(|path| path.canonicalize_utf8().ok());
    let folder = folder.canonicalize_utf8();
    let folder: Utf8PathBuf = folder.unwrap_or_else(|_| Utf8PathBuf::from("/"));
    real.is_some_and(|real| real.starts_with(&folder))
}

fn is_foreign(network_mode: &str) -> bool {
    !matches!(network_mode, "" | "none" | "bridge" | "default" | "host")
        && !network_mode.starts_with("service:")
        && !network_mode.starts_with("container:")
}

fn is_engine_socket(path: &Utf8Path) -> bool {
    matches!(
        path.file_name(),
        Some("docker.sock" | "containerd.sock" | "podman.sock" | "docker.sock.raw")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names(config: &Value, allow: &[&str]) -> Vec<String> {
        let allow = allow.iter().map(|&name| name.to_owned()).collect();
        let found = refusals(config, Utf8Path::new("/nowhere/repo/docker"), &allow);
        found.into_iter().map(|refusal| refusal.name).collect()
    }

    #[test]
    fn whatever_leaves_the_stack_is_refused_by_a_name_that_permits_it() {
        let bind = |source: &str| json!({"type": "bind", "source": source, "target": "/x"});
        for (service, name) in [
            (json!({"privileged": true}), "a:privileged"),
            (json!({"network_mode": "host"}), "a:network_mode"),
            (json!({"network_mode": "container:other"}), "a:network_mode"),
            (json!({"network_mode": "lan"}), "a:network_mode"),
            (json!({"pid": "host"}), "a:pid"),
            (json!({"ipc": "host"}), "a:ipc"),
            (json!({"uts": "host"}), "a:uts"),
            (json!({"userns_mode": "host"}), "a:userns_mode"),
            (json!({"cgroup": "host"}), "a:cgroup"),
            (json!({"devices": [{"source": "/dev/fuse"}]}), "a:devices"),
            (
                json!({"device_cgroup_rules": ["c 1:3 mr"]}),
                "a:device_cgroup_rules",
            ),
            (json!({"gpus": "all"}), "a:gpus"),
            (
                json!({"deploy": {"resources": {"reservations": {"devices": [{}]}}}}),
                "a:devices",
            ),
            (json!({"cap_add": ["NET_ADMIN"]}), "a:cap_add:NET_ADMIN"),
            (
                json!({"security_opt": ["seccomp:unconfined"]}),
                "a:security_opt",
            ),
            (json!({"security_opt": ["label=disable"]}), "a:security_opt"),
            (json!({"cgroup_parent": "x"}), "a:cgroup_parent"),
            (json!({"external_links": ["db"]}), "a:external_links"),
            (json!({"volumes_from": ["container:db"]}), "a:volumes_from"),
            (json!({"provider": {"type": "x"}}), "a:provider"),
            (
                json!({"volumes": [bind("/var/run/docker.sock")]}),
                "a:docker.sock",
            ),
            (json!({"volumes": [bind("/etc")]}), "a:bind:/etc"),
            (
                json!({"volumes": [bind("/nowhere/repo/docker")]}),
                "a:bind:.",
            ),
            (
                json!({"volumes": [bind("/nowhere/repo/api")]}),
                "a:bind:../api",
            ),
            (json!({"volumes": [bind("/")]}), "a:bind:/"),
            (json!({"volumes": [{"type": "npipe"}]}), "a:mount"),
        ] {
            let config = json!({"services": {"a": service}});
            assert_eq!(names(&config, &[]), [name], "{config}");
            assert!(names(&config, &[name]).is_empty(), "{config}");
        }
        for (rest, name) in [
            (json!({"networks": {"n": {"external": true}}}), "network:n"),
            (
                json!({"networks": {"n": {"driver": "macvlan"}}}),
                "network:n",
            ),
            (json!({"volumes": {"v": {"external": true}}}), "volume:v"),
            (json!({"volumes": {"v": {"driver": "nfs"}}}), "volume:v"),
            (
                json!({"volumes": {"v": {"driver_opts": {"type": "none", "device": "/home"}}}}),
                "volume:v",
            ),
            (
                json!({"secrets": {"s": {"file": "/etc/shadow"}}}),
                "secret:s",
            ),
            (json!({"configs": {"c": {"external": true}}}), "config:c"),
        ] {
            assert_eq!(names(&rest, &[]), [name], "{rest}");
        }
    }

    #[test]
    fn an_ordinary_service_is_given_all_it_asks_for() {
        let config = json!({
            "services": {
                "a": {
                    "network_mode": "service:b", "ipc": "shareable", "cap_drop": ["ALL"],
                    "security_opt": ["no-new-privileges:true"], "volumes_from": ["b"],
                },
                "b": {
                    "network_mode": null, "pid": "service:a", "devices": null,
                    "volumes": [{"type": "volume", "source": "v"}, {"type": "tmpfs"}],
                },
            },
            "networks": {"n": {"driver": "bridge", "internal": true}},
            "volumes": {"v": {"driver": "local"}},
        });
        assert!(names(&config, &[]).is_empty());
    }

    #[test]
    fn a_link_out_of_the_folder_is_outside() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        std::fs::create_dir(folder.join("docker")).unwrap();
        std::os::unix::fs::symlink("..", folder.join("docker/out")).unwrap();
        let docker = folder.join("docker");
        assert!(is_inside(&docker, &docker.join("data/not/there")));
        assert!(!is_inside(&docker, &docker.join("out")));
        assert!(!is_inside(&docker, &docker.join("out/new")));
        assert!(!is_inside(&docker, &docker));
    }

    #[test]
    fn the_fault_names_all_and_how_to_permit_them() {
        let config = json!({"services": {"a": {"privileged": true, "pid": "host"}}});
        let found = refusals(&config, "/nowhere".into(), &BTreeSet::new());
        let fault = fault(&found, "c.yaml".into(), "build-graph.toml".into()).unwrap();
        for said in [
            "service `a` runs privileged",
            "allow = [\"a:pid\", \"a:privileged\"]",
        ] {
            assert!(fault.message.contains(said), "{}", fault.message);
        }
    }
}
