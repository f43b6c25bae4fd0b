//! The plans for invented machines.

use super::*;

#[test]
fn a_good_machine_has_only_good_findings_and_nothing_to_do() {
    let findings = check(&good(), &Needs::default());
    for finding in &findings {
        assert_eq!(finding.level, Level::Ok, "{finding:?}");
        assert!(!finding.found.is_empty() && !finding.needed.is_empty() && !finding.why.is_empty());
    }
    assert_eq!(plan(&good(), &findings), SetupPlan::default());
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
    // Not even if it is old, or something else is missing.
    let old = EngineFacts::Answers {
        version: "19.3.15".into(),
        store: StoreFacts::Classic,
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
            facts.engine = EngineFacts::Answers {
                version: version.into(),
                store: StoreFacts::Classic,
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
        engine: EngineFacts::Silent("connection refused".into()),
        ..good()
    };
    let plan = planned(&facts, &Needs::default());
    assert_eq!(plan.steps, []);
    assert!(plan.by_hand[0].contains("DOCKER_HOST"), "{plan:?}");
}

#[test]
fn an_engine_that_is_installed_is_only_started() {
    let facts = Facts {
        engine: EngineFacts::Silent("no such file".into()),
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
    let user = UserFacts {
        is_root: false,
        name: "ann".into(),
        has_sudo: true,
    };
    let facts = Facts {
        engine: EngineFacts::Forbidden("denied".into()),
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
    let user = UserFacts {
        is_root: false,
        name: "ann".into(),
        has_sudo: false,
    };
    let plan = planned(&Facts { user, ..bare() }, &Needs::default());
    assert_eq!(plan.steps, []);
    assert!(plan.by_hand[0].starts_with("as root: ") && plan.by_hand[0].contains("apt-get update"));
}
