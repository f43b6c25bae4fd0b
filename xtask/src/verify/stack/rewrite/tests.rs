//! How a compose file is rewritten.

use camino::Utf8PathBuf;

use super::*;
use crate::graphfile::spec::stack::Ask;
use crate::verify::stack::filling::Filling;
use crate::verify::stack::trials::TrialKind;

/// A plan for services that all run the image `sha256:1`, in a folder with `conf/a`.
struct Made {
    _kept: tempfile::TempDir,
    folder: Utf8PathBuf,
    plan: StackPlan,
}

fn plan_of(config: impl Fn(&Utf8Path) -> Value, asks: &[(&str, Ask)]) -> Made {
    let kept = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(kept.path()).unwrap().to_owned();
    std::fs::create_dir(folder.join("conf")).unwrap();
    std::fs::write(folder.join("conf/a"), "1").unwrap();
    let config = config(&folder);
    let images = entries(&config, "services");
    let images = images.map(|(name, _)| (name.to_owned(), "sha256:1".to_owned()));
    let probes: Vec<Probe> = asks
        .iter()
        .map(|(service, ask)| Probe {
            service: (*service).to_owned(),
            ask: ask.clone(),
            timeout: std::time::Duration::from_secs(1),
        })
        .collect();
    let plan = plan(
        &config,
        &Wanted {
            name: "p",
            folder: &folder,
            private: Utf8Path::new("/private"),
            images: &images.collect(),
            variables: &BTreeMap::from([("V".to_owned(), "of the variable".to_owned())]),
            probes: &probes,
            early_checks: true,
        },
    );
    Made {
        _kept: kept,
        folder,
        plan: plan.unwrap(),
    }
}

fn bind(source: impl std::fmt::Display, target: &str, read_only: bool) -> Value {
    json!({"type": "bind", "source": source.to_string(), "target": target,
        "read_only": read_only, "bind": {"create_host_path": true}})
}

#[test]
fn names_ports_and_addresses_are_the_projects_own() {
    let made = plan_of(
        |_| {
            json!({
                "name": "docker", "x-shared": {"A": "secret"},
                "services": {
                    "api": {
                        "image": "dify-api:1", "build": {"context": "."}, "container_name": "api",
                        "ports": [
                            {"mode": "host", "target": 80, "published": "8080", "protocol": "tcp"},
                            {"target": 80, "published": "8081", "host_ip": "0.0.0.0"},
                            {"target": 53, "published": "53", "protocol": "udp"},
                        ],
                        "networks": {"default": {"ipv4_address": "10.0.0.9", "aliases": ["a"]}},
                        "depends_on": {"db": {"condition": "service_started"}, "absent": {"required": false}},
                        "deploy": {"replicas": 3, "resources": {"limits": {"memory": "1"}}},
                    },
                    "db": {"image": "postgres:15", "network_mode": "bridge"},
                    "side": {"image": "x", "network_mode": "service:api", "ports": [{"target": 1}]},
                },
                "networks": {"default": {"name": "docker_default", "ipam": {"config": [{"subnet": "10.0.0.0/24"}]}}},
                "volumes": {"v": {"name": "docker_v"}, "theirs": {"external": true, "name": "t"}},
            })
        },
        &[
            ("api", Ask::Tcp { port: 5001 }),
            ("side", Ask::Tcp { port: 9 }),
        ],
    );
    let model = &made.plan.model;
    let port = |target: u16, protocol: &str| json!({"mode": "ingress", "host_ip": "127.0.0.1", "target": target, "protocol": protocol});
    assert_eq!(model["name"], "p");
    assert_eq!(model.get("x-shared"), None);
    let api = &model["services"]["api"];
    assert_eq!(api["image"], "sha256:1");
    assert_eq!(api["pull_policy"], "never");
    assert_eq!(api["labels"], json!({LABEL: "p"}));
    assert_eq!(
        api["ports"],
        json!([port(53, "udp"), port(80, "tcp"), port(5001, "tcp")])
    );
    assert_eq!(api["networks"], json!({"default": {"aliases": ["a"]}}));
    assert_eq!(
        api["depends_on"],
        json!({"db": {"condition": "service_started"}})
    );
    assert_eq!(
        api["deploy"],
        json!({"resources": {"limits": {"memory": "1"}}})
    );
    for gone in ["build", "container_name"] {
        assert_eq!(api.get(gone), None, "{gone}");
    }
    assert_eq!(
        model["services"]["db"]["networks"],
        json!({"default": null})
    );
    assert_eq!(model["services"]["side"].get("ports"), None);
    assert_eq!(
        model["networks"]["default"],
        json!({"labels": {LABEL: "p"}})
    );
    assert_eq!(model["volumes"]["v"], json!({"labels": {LABEL: "p"}}));
    // A volume that was permitted by name stays as it is.
    assert_eq!(
        model["volumes"]["theirs"],
        json!({"external": true, "name": "t"})
    );
}

#[test]
fn what_may_be_written_to_is_a_volume_or_a_copy_and_what_is_read_stays() {
    let made = plan_of(
        |folder| {
            json!({"services": {
                "api": {"volumes": [
                    bind(folder.join("data"), "/data", false),
                    bind(folder.join("conf"), "/conf", false),
                    bind(folder.join("conf/a"), "/a", false),
                    bind(folder.join("conf/a"), "/b", true),
                    bind(folder.join("none"), "/none", true),
                    {"type": "volume", "source": "v", "target": "/v"},
                ]},
                "worker": {"volumes": [bind(folder.join("data"), "/other", false)]},
            }, "volumes": {"v": {}}})
        },
        &[],
    );
    let mounts = made.plan.model["services"]["api"]["volumes"]
        .as_array()
        .unwrap();
    let volume = |name: &str, target: &str, read_only: bool| {
        json!({"type": "volume", "source": name, "target": target,
            "read_only": read_only, "volume": {"nocopy": true}})
    };
    assert_eq!(mounts[0], volume("bind-data", "/data", false));
    assert_eq!(mounts[1], volume("bind-conf", "/conf", false));
    assert_eq!(mounts[2]["source"], "/private/bind-conf-a");
    assert_eq!(mounts[3]["source"], made.folder.join("conf/a").as_str());
    // The engine must not make a folder of the user's.
    assert_eq!(mounts[3]["bind"]["create_host_path"], false);
    assert_eq!(mounts[4], volume("bind-none", "/none", true));
    assert_eq!(mounts[5]["source"], "v");
    let shared = &made.plan.model["services"]["worker"]["volumes"][0];
    assert_eq!(shared["source"], "bind-data");
    let fills: Vec<&str> = made
        .plan
        .fills
        .iter()
        .map(|fill| fill.volume.as_str())
        .collect();
    assert_eq!(fills, ["bind-conf"], "what is not there fills nothing");
    assert_eq!(made.plan.files.len(), 1);
    assert!(made.plan.model["volumes"]["bind-data"]["labels"].is_object());
}

#[test]
fn configs_and_secrets_are_files_of_the_run() {
    let made = plan_of(
        |_| {
            json!({
                "services": {"api": {}},
                "configs": {"c": {"name": "x_c", "content": "costs 5$$"}},
                "secrets": {"s": {"environment": "V"}, "f": {"name": "x_f", "file": "/f"}},
            })
        },
        &[],
    );
    let model = &made.plan.model;
    assert_eq!(model["configs"]["c"], json!({"file": "/private/configs-c"}));
    assert_eq!(
        model["secrets"],
        json!({"s": {"file": "/private/secrets-s"}, "f": {"file": "/f"}})
    );
    let content = |at: usize| made.plan.files[at].content.clone();
    assert_eq!(content(0), FileContent::Text("costs 5$".into()));
    assert_eq!(content(1), FileContent::Text("of the variable".into()));
    assert!(!format!("{:?}", made.plan.files).contains("of the variable"));
}

#[test]
fn a_slow_health_check_is_asked_often_at_the_start() {
    let made = plan_of(
        |_| {
            let check = |interval: &str| json!({"healthcheck": {"test": ["CMD", "x"], "interval": interval}});
            json!({"services": {
                "slow": check("30s"), "fast": check("1s"),
                "usual": {"healthcheck": {"test": ["CMD", "x"], "start_period": "1m0s"}},
                "off": {"healthcheck": {"disable": true, "test": ["CMD", "x"]}},
            }})
        },
        &[],
    );
    let check = |name: &str| made.plan.model["services"][name]["healthcheck"].clone();
    assert_eq!(check("slow")["start_interval"], "1s");
    assert_eq!(check("slow")["start_period"], "30s");
    assert_eq!(check("slow")["interval"], "30s");
    assert_eq!(check("usual")["start_period"], "60s");
    for same in ["fast", "off"] {
        assert_eq!(check(same).get("start_interval"), None, "{same}");
    }
}

#[test]
fn a_trial_has_its_services_settings_and_volumes_of_its_own() {
    let file = |path: &str| Ask::File {
        path: path.to_owned(),
        root_owned: true,
    };
    let uid = Ask::Uid {
        writable: vec!["/tmp".to_owned()],
    };
    let made = plan_of(
        |folder| {
            json!({"services": {"api": {
                "environment": {"A": "1"}, "user": "1001", "ports": [{"target": 80}],
                "depends_on": {}, "networks": {"default": {"aliases": ["a"]}},
                "volumes": [
                    {"type": "volume", "source": "v", "target": "/v"},
                    bind(folder.join("conf"), "/conf", false),
                    bind(folder.join("conf/a"), "/a", true),
                ],
            }}, "volumes": {"v": {}}})
        },
        &[
            ("api", uid),
            ("api", file("/v/deep/er")),
            ("api", file("/new")),
        ],
    );
    let names: Vec<&str> = made
        .plan
        .trials
        .iter()
        .map(|trial| trial.name.as_str())
        .collect();
    assert_eq!(names, ["api.try0", "api.try1", "api.try2"]);
    let services = &made.plan.model["services"];
    let by_uid = &services["api.try0"];
    let TrialKind::Uid(number) = made.plan.trials[0].what else {
        panic!()
    };
    assert_eq!(by_uid["user"], format!("{number}:0"));
    assert_eq!(by_uid["read_only"], true);
    assert_eq!(by_uid["environment"], json!({"A": "1"}));
    assert_eq!(by_uid["networks"], json!({"default": {}}));
    assert_eq!(by_uid.get("ports"), None);
    assert_eq!(
        by_uid["volumes"][0],
        json!({"type": "tmpfs", "target": "/v"})
    );
    assert_eq!(by_uid["volumes"][1]["source"], "try0-0");
    assert_eq!(by_uid["volumes"][2]["target"], "/a");
    assert_eq!(
        by_uid["volumes"][3],
        json!({"type": "tmpfs", "target": "/tmp"})
    );
    let of_root = &services["api.try1"]["volumes"][0];
    assert_eq!(of_root["target"], "/v");
    assert_ne!(of_root["source"], "v");
    assert_eq!(services["api.try1"]["user"], "1001");
    let fills = &made.plan.fills;
    let with = |service: &str, target: &str| {
        let mut all = fills.iter();
        let found = all.find(|fill| fill.service == service && fill.target == target);
        found.map(|fill| fill.with.clone())
    };
    assert_eq!(
        with("api.try1", "/v"),
        Some(Filling::RootOwned("deep/er".into()))
    );
    assert_eq!(
        with("api.try2", "/new"),
        Some(Filling::RootOwned("".into()))
    );
    let folder = |for_group| Filling::Folder {
        path: made.folder.join("conf"),
        for_group,
    };
    assert_eq!(with("api", "/conf"), Some(folder(false)));
    assert_eq!(with("api.try0", "/conf"), Some(folder(true)));
    assert_eq!(with("api.try1", "/conf"), Some(folder(false)));
    // A trial waits for nothing, and nothing waits for it.
    assert_eq!(made.plan.needs.len(), 1);
}

#[test]
fn a_probe_of_a_service_that_is_not_started_is_told() {
    let config = json!({"services": {"redis": {}}});
    let probe = Probe {
        service: "radis".to_owned(),
        ask: Ask::Tcp { port: 1 },
        timeout: std::time::Duration::from_secs(1),
    };
    let fault = check_probes(&config, &[probe]).unwrap_err();
    assert!(fault.message.contains("did you mean `redis`?"), "{fault}");
}
