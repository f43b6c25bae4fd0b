//! What is found on an invented machine.

use super::*;

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
    // If the engine runs on this very machine, the probe counts more than the builder's list.
    let here = |facts: &mut Facts| {
        desktop(facts);
        facts.address_is_default = true;
    };
    assert_eq!(after(here, &needs, "emulation"), Level::Missing);
    assert_eq!(after(|_| {}, &needs, "emulation"), Level::Warning);
}
/// A check, and a change of the machine that it must find.
type Shortage = (&'static str, fn(&mut Facts));

#[test]
fn a_machine_that_is_small_or_odd_is_warned_of() {
    let changes: [Shortage; 7] = [
        ("memory", |facts| facts.memory = Some(3_900_000_000)),
        ("memory", |facts| facts.memory = None),
        ("disk", |facts| {
            facts.disk = Some(crate::setup::facts::Disk {
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
    // Git is required only if a source must be fetched.
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
        facts.engine = EngineFacts::Answers {
            version: "26.1.5".into(),
            store: StoreFacts::Classic,
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

#[test]
fn what_a_host_command_needs_is_warned_of_with_its_package() {
    let stages = || vec!["sandbox".to_owned()];
    let names = ["go", "libseccomp", "unheard-of"];
    let needs = Needs {
        tools: names.map(|name| (name.to_owned(), stages())).into(),
        ..Needs::default()
    };
    let mut facts = good();
    let told = |facts: &Facts| {
        let findings = check(facts, &needs);
        let tools = findings.iter().filter(|it| it.check == "host command");
        tools
            .map(|it| (it.level, it.remedy.clone()))
            .collect::<Vec<_>>()
    };
    let [go, library, unknown] = &told(&facts)[..] else {
        panic!()
    };
    assert_eq!(
        *go,
        (Level::Warning, "install go: package golang-go".into())
    );
    let remedy = "install libseccomp: package libseccomp-dev";
    assert_eq!(*library, (Level::Warning, remedy.into()));
    assert!(unknown.1.contains("what brings `unheard-of`"));
    let shown = |facts: &Facts| {
        let steps = planned(facts, &needs).steps;
        steps.last().map(ToString::to_string).unwrap_or_default()
    };
    let expected =
        "golang-go/trixie golang-src/trixie golang-1.24-go golang-1.24-src libseccomp-dev";
    assert!(shown(&facts).ends_with(expected), "{}", shown(&facts));
    facts.os = os("fedora", "42");
    assert!(shown(&facts).ends_with("--assumeyes golang libseccomp-devel"));
    facts.os = os("gentoo", "");
    assert!(told(&facts)[0].1.contains("on Debian package golang-go"));
    assert_eq!(shown(&facts), "");
    facts.tools = names.map(str::to_owned).into();
    assert!(told(&facts).iter().all(|(level, _)| *level == Level::Ok));
}

#[test]
fn podman_in_the_place_of_docker_is_told_and_nothing_is_installed_beside_it() {
    let command = |facts: &mut Facts| {
        facts.podman = Some("podman 4.3.1".into());
        facts.buildx = Some("1.28.2".into());
    };
    for name in ["docker", "buildx"] {
        assert_eq!(after(command, &Needs::default(), name), Level::Missing);
    }
    let mut facts = good();
    command(&mut facts);
    assert_eq!(steps(&facts), Vec::<String>::new());
    let engine = |facts: &mut Facts| facts.engine = EngineFacts::Podman("4.3.1".into());
    assert_eq!(after(engine, &Needs::default(), "engine"), Level::Missing);
    let mut facts = good();
    engine(&mut facts);
    let found = check(&facts, &Needs::default());
    assert!(one(&found, "engine").found.starts_with("podman 4.3.1 at "));
    assert_eq!(steps(&facts), Vec::<String>::new());
}
