//! Invented machines: what is found, and what would be done.

use super::check::{check, version};
use super::facts::{Emulation, Engine, Facts, Init, Os, Store, User};
use super::finding::{Finding, Level};
use super::needs::Needs;
use super::plan::{Plan, Step, plan};

/// A machine on which everything is as it should be.
fn good() -> Facts {
    Facts {
        os: os("debian", "12"),
        machine: "x86_64".into(),
        memory: Some(8_000_000_000),
        disk: Some(super::facts::Disk {
            folder: "/var/lib/docker".into(),
            free: 50_000_000_000,
        }),
        user: User {
            is_root: true,
            name: "root".into(),
            has_sudo: false,
        },
        init: Init::Nothing,
        address: "unix:///var/run/docker.sock".into(),
        address_is_default: true,
        engine: Engine::Answers {
            version: "26.1.5+dfsg1".into(),
            store: Store::Containerd,
        },
        has_dockerd: true,
        has_cgroups: true,
        docker: Some("26.1.5".into()),
        buildx: Some("0.13.1+ds1".into()),
        compose: Some("2.26.1-4".into()),
        git: Some("2.39.5".into()),
        builder: Some(Ok(vec!["linux/amd64".into()])),
        clock: Some(0),
        debian_mirror: Some("http://deb.example/debian".into()),
        ..Facts::default()
    }
}

/// The same without anything of Docker.
fn bare() -> Facts {
    Facts {
        engine: Engine::Silent("no such file".into()),
        has_dockerd: false,
        docker: None,
        buildx: None,
        compose: None,
        git: None,
        builder: None,
        ..good()
    }
}

fn os(id: &str, version: &str) -> Os {
    Os {
        kind: "linux".into(),
        id: id.into(),
        like: Vec::new(),
        version: version.into(),
        name: format!("{id} {version}"),
    }
}

fn planned(facts: &Facts, needs: &Needs) -> Plan {
    plan(facts, &check(facts, needs))
}

fn steps(facts: &Facts) -> Vec<String> {
    let plan = planned(facts, &Needs::default());
    plan.steps.iter().map(ToString::to_string).collect()
}

fn one<'f>(findings: &'f [Finding], check: &str) -> &'f Finding {
    findings
        .iter()
        .find(|finding| finding.check == check)
        .unwrap()
}

fn level(facts: &Facts, needs: &Needs, name: &str) -> Level {
    one(&check(facts, needs), name).level
}

#[test]
fn a_good_machine_has_only_good_findings_and_nothing_to_do() {
    let findings = check(&good(), &Needs::default());
    for finding in &findings {
        assert_eq!(finding.level, Level::Ok, "{finding:?}");
        assert!(!finding.found.is_empty() && !finding.needed.is_empty() && !finding.why.is_empty());
    }
    assert_eq!(plan(&good(), &findings), Plan::default());
}

#[test]
fn debian_12_gets_its_engine_from_debian_13_behind_its_own_packages() {
    let expected = [
        "write /etc/docker/daemon.json",
        "write /etc/apt/preferences.d/xtask-trixie",
        "write /etc/apt/sources.list.d/xtask-trixie.sources",
        "apt-get update",
        "env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
         docker.io/trixie iptables ca-certificates docker-cli/trixie docker-buildx/trixie \
         docker-compose/trixie git",
        "service docker start (without such a script: dockerd)",
    ];
    assert_eq!(steps(&bare()), expected);
    let plan = planned(&bare(), &Needs::default());
    let written = |wanted: &str| {
        plan.steps
            .iter()
            .any(|step| matches!(step, Step::Write { content, .. } if content.contains(wanted)))
    };
    assert!(written("Pin-Priority: 100") && written("URIs: http://deb.example/debian\n"));
}

#[test]
fn every_known_system_has_its_own_commands() {
    for (id, version, expected) in [
        (
            "debian",
            "13",
            "install --yes --no-install-recommends docker.io iptables ca-certificates docker-cli docker-buildx docker-compose git",
        ),
        (
            "debian",
            "",
            "install --yes --no-install-recommends docker.io iptables ca-certificates docker-cli docker-buildx docker-compose git",
        ),
        (
            "ubuntu",
            "22.04",
            "install --yes --no-install-recommends docker.io iptables ca-certificates docker-buildx docker-compose-v2 git",
        ),
        (
            "fedora",
            "42",
            "dnf install --assumeyes moby-engine docker-cli docker-buildx docker-compose git",
        ),
        (
            "arch",
            "",
            "pacman -S --needed --noconfirm docker docker-buildx docker-compose git",
        ),
    ] {
        let facts = Facts {
            os: os(id, version),
            init: Init::Systemd,
            ..bare()
        };
        let steps = steps(&facts);
        let install = steps
            .iter()
            .find(|step| step.contains("install") || step.contains("pacman"))
            .unwrap();
        assert!(install.ends_with(expected), "{id}: {install}");
        assert_eq!(
            steps.last().unwrap(),
            "systemctl enable --now docker",
            "{id}"
        );
    }
}

#[test]
fn what_is_made_from_a_known_system_is_installed_like_it() {
    let mint = Os {
        like: vec!["ubuntu".into(), "debian".into()],
        ..os("linuxmint", "22")
    };
    let facts = Facts { os: mint, ..bare() };
    assert!(
        steps(&facts)
            .iter()
            .any(|step| step.contains("docker-compose-v2"))
    );
}

#[test]
fn an_unknown_or_old_system_is_left_to_its_user() {
    for system in [os("gentoo", ""), os("debian", "11")] {
        let plan = planned(
            &Facts {
                os: system,
                ..bare()
            },
            &Needs::default(),
        );
        assert_eq!(plan.steps, []);
        assert!(
            plan.by_hand
                .iter()
                .any(|line| line.contains("docs.docker.com")),
            "{plan:?}"
        );
    }
}

#[test]
fn on_macos_three_products_are_named_and_nothing_is_run() {
    let macos = Os {
        kind: "macos".into(),
        name: "macOS 15".into(),
        ..Os::default()
    };
    let plan = planned(
        &Facts {
            os: macos,
            ..bare()
        },
        &Needs::default(),
    );
    assert_eq!(plan.steps, []);
    for product in ["Docker Desktop", "colima", "OrbStack"] {
        assert!(
            plan.by_hand.iter().any(|line| line.contains(product)),
            "{product}"
        );
    }
}

#[test]
fn an_engine_that_works_is_never_touched() {
    // Even an old one, or one in which something else is missing.
    let old = Engine::Answers {
        version: "19.3.15".into(),
        store: Store::Classic,
    };
    let facts = Facts {
        engine: old,
        compose: None,
        ..good()
    };
    assert_eq!(level(&facts, &Needs::default(), "engine"), Level::Missing);
    for step in steps(&facts) {
        assert!(
            !step.contains("docker.io") && !step.contains("dockerd") && !step.contains("service"),
            "{step}"
        );
        assert!(!step.contains("daemon.json"), "{step}");
    }
}

#[test]
fn an_engine_before_named_contexts_serves_only_a_graph_that_replaces_nothing() {
    let replaces = Needs {
        replaces: true,
        ..Needs::default()
    };
    for (version, enough) in [
        ("20.10.24+dfsg1", false),
        ("22.06.0", false),
        ("23.0.0", true),
    ] {
        let of = |facts: &mut Facts| {
            facts.engine = Engine::Answers {
                version: version.into(),
                store: Store::Classic,
            };
        };
        assert_eq!(after(of, &Needs::default(), "engine"), Level::Ok);
        let found = after(of, &replaces, "engine");
        assert_eq!(found == Level::Ok, enough, "{version}");
    }
}

#[test]
fn an_engine_elsewhere_that_is_silent_is_not_replaced_by_one_here() {
    let facts = Facts {
        address: "tcp://build.example:2376".into(),
        address_is_default: false,
        engine: Engine::Silent("connection refused".into()),
        ..good()
    };
    let plan = planned(&facts, &Needs::default());
    assert_eq!(plan.steps, []);
    assert!(plan.by_hand[0].contains("DOCKER_HOST"), "{plan:?}");
}

#[test]
fn an_engine_that_is_installed_is_only_started() {
    let facts = Facts {
        engine: Engine::Silent("no such file".into()),
        ..good()
    };
    let start = "service docker start (without such a script: dockerd)";
    assert_eq!(steps(&facts), [start]);
    let facts = Facts {
        has_cgroups: false,
        ..facts
    };
    assert_eq!(
        steps(&facts),
        ["mount -t cgroup2 none /sys/fs/cgroup", start]
    );
}

#[test]
fn who_may_not_talk_to_the_engine_joins_its_group() {
    let user = User {
        is_root: false,
        name: "ann".into(),
        has_sudo: true,
    };
    let facts = Facts {
        engine: Engine::Forbidden("denied".into()),
        user,
        ..good()
    };
    let plan = planned(&facts, &Needs::default());
    let shown: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["usermod -aG docker ann"]);
    assert!(plan.by_hand[0].contains("log in again"));
}

#[test]
fn without_root_and_sudo_the_commands_are_only_named() {
    let user = User {
        is_root: false,
        name: "ann".into(),
        has_sudo: false,
    };
    let plan = planned(&Facts { user, ..bare() }, &Needs::default());
    assert_eq!(plan.steps, []);
    assert!(plan.by_hand[0].starts_with("as root: ") && plan.by_hand[0].contains("apt-get update"));
}

#[test]
fn a_foreign_platform_wants_an_emulator_that_really_runs() {
    let needs = Needs {
        platforms: vec![
            "linux/amd64".into(),
            "linux/arm64".into(),
            "linux/arm/v7".into(),
        ],
        ..Needs::default()
    };
    assert_eq!(needs.foreign("x86_64"), ["arm", "arm64"]);
    assert_eq!(needs.foreign("aarch64"), ["amd64", "arm"]);
    let with = |state: Emulation| {
        let mut facts = good();
        facts.emulation.insert("arm".into(), Emulation::Runs);
        facts.emulation.insert("arm64".into(), state);
        facts
    };
    assert!(
        !check(&with(Emulation::Runs), &needs)
            .iter()
            .any(|finding| finding.level == Level::Missing)
    );
    for state in [
        Emulation::Missing,
        Emulation::OutsideContainers,
        Emulation::Broken("exit 1".into()),
    ] {
        let facts = with(state);
        let shown: Vec<String> = planned(&facts, &needs)
            .steps
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            shown[0],
            "mount -t binfmt_misc none /proc/sys/fs/binfmt_misc"
        );
        assert!(
            shown
                .iter()
                .any(|step| step.ends_with("qemu-user-static binfmt-support")),
            "{shown:?}"
        );
        assert_eq!(shown.last().unwrap(), "update-binfmts --enable");
    }
}

#[test]
fn the_emulation_of_an_engine_in_a_virtual_machine_is_the_builders_to_tell() {
    let needs = Needs {
        platforms: vec!["linux/arm64".into()],
        ..Needs::default()
    };
    let lists = |facts: &mut Facts| facts.builder = Some(Ok(vec!["linux/arm64".into()]));
    let desktop = |facts: &mut Facts| {
        lists(facts);
        facts.address_is_default = false;
        facts.emulation.insert("arm64".into(), Emulation::Missing);
    };
    assert_eq!(after(desktop, &needs, "emulation"), Level::Ok);
    // On this very machine a probe is a better witness.
    let here = |facts: &mut Facts| {
        desktop(facts);
        facts.address_is_default = true;
    };
    assert_eq!(after(here, &needs, "emulation"), Level::Missing);
    assert_eq!(after(|_| {}, &needs, "emulation"), Level::Warning);
}

/// How a check ends on a good machine after one change.
fn after(change: impl Fn(&mut Facts), needs: &Needs, name: &str) -> Level {
    let mut facts = good();
    change(&mut facts);
    level(&facts, needs, name)
}

/// A check, and a change that it must find.
type Shortage = (&'static str, fn(&mut Facts));

#[test]
fn a_machine_that_is_small_or_odd_is_warned_of() {
    let changes: [Shortage; 7] = [
        ("memory", |facts| facts.memory = Some(3_900_000_000)),
        ("memory", |facts| facts.memory = None),
        ("disk", |facts| {
            facts.disk = Some(super::facts::Disk {
                folder: "/data".into(),
                free: 29_000_000_000,
            })
        }),
        ("processor", |facts| facts.machine = "mips64".into()),
        ("clock", |facts| facts.clock = Some(-121)),
        ("clock", |facts| facts.clock = Some(121)),
        ("system", |facts| facts.os = os("ubuntu", "18.04")),
    ];
    for (name, change) in changes {
        let found = after(change, &Needs::default(), name);
        assert_eq!(found, Level::Warning, "{name}");
    }
    let almost = after(|facts| facts.clock = Some(119), &Needs::default(), "clock");
    assert_eq!(almost, Level::Ok);
}

#[test]
fn programs_that_are_old_or_not_there_are_found() {
    let none = Needs::default();
    let old_buildx = |facts: &mut Facts| facts.buildx = Some("0.12.1".into());
    assert_eq!(after(old_buildx, &none, "buildx"), Level::Missing);
    let broken = |facts: &mut Facts| facts.builder = Some(Err("gone".into()));
    assert_eq!(after(broken, &none, "builder"), Level::Missing);
    let old_compose = |facts: &mut Facts| facts.compose = Some("1.29.2".into());
    assert_eq!(after(old_compose, &none, "compose"), Level::Warning);
    // git is a must only where a source has to be fetched.
    let without_git = |facts: &mut Facts| facts.git = None;
    assert_eq!(after(without_git, &none, "git"), Level::Warning);
    let fetches = Needs {
        fetches: true,
        ..Needs::default()
    };
    assert_eq!(after(without_git, &fetches, "git"), Level::Missing);
}

#[test]
fn only_an_image_for_several_platforms_wants_the_containerd_store() {
    let classic = |facts: &mut Facts| {
        facts.engine = Engine::Answers {
            version: "26.1.5".into(),
            store: Store::Classic,
        };
    };
    let several = Needs {
        several: true,
        ..Needs::default()
    };
    let store = "store";
    assert_eq!(after(classic, &Needs::default(), store), Level::Ok);
    assert_eq!(after(classic, &several, store), Level::Missing);
    assert_eq!(after(|_| {}, &several, store), Level::Ok);
}

#[test]
fn a_registry_that_is_written_to_wants_a_login() {
    let needs = Needs {
        writes_to: Some("ghcr.io".into()),
        ..Needs::default()
    };
    assert_eq!(after(|_| {}, &needs, "login"), Level::Warning);
    let there = |facts: &mut Facts| facts.logins = vec!["ghcr.io".into()];
    assert_eq!(after(there, &needs, "login"), Level::Ok);
}

#[test]
fn versions_are_compared_by_their_numbers() {
    assert_eq!(version("26.1.5+dfsg1"), Some([26, 1, 5]));
    assert_eq!(version("v0.13"), Some([0, 13, 0]));
    assert_eq!(version("2.26.1-4"), Some([2, 26, 1]));
    assert!(version("0.9.0") < version("0.13.0"));
    assert_eq!(version("unknown"), None);
}
