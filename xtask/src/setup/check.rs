//! Compares facts with needs and returns findings. The same facts give the same findings on any
//! machine.

use super::facts::{Emulation, EngineFacts, Facts, StoreFacts};
use super::finding::{Fix, MachineFinding};
use super::needs::{Needs, architecture};
use super::packages::System;
use super::tools;
use super::version::version;
use crate::outside::engine::NOT_PODMAN;

/// The least memory, in bytes (DESIGN.md, *What a machine needs*).
const MEMORY: u64 = 4_000_000_000;
/// The least free disk, in bytes (the same).
const DISK: u64 = 30_000_000_000;
/// The least version of the engine, if no stage needs more (the same).
const ENGINE: [u64; 3] = [20, 10, 0];
/// The least version of an engine whose own builder takes named contexts: BuildKit 0.10
/// (docs.docker.com/build/building/context, *Named contexts*). 20.10.24 was tried: it fails with
/// "unsupported frontend capability".
const NAMED_CONTEXTS: [u64; 3] = [23, 0, 0];
/// The first buildx that knows `--progress=rawjson` (its release notes of 0.13.0).
const BUILDX: [u64; 3] = [0, 13, 0];
/// How far a clock may be off before certificates and package lists are refused: apt refuses a
/// list from the future, and short-lived tokens last minutes.
const CLOCK: u64 = 120;

/// All findings, in the order in which a person reads them.
pub fn check(facts: &Facts, needs: &Needs) -> Vec<MachineFinding> {
    let mut all = vec![
        system(facts),
        memory(facts),
        disk(facts),
        processor(facts),
        engine(facts, needs),
        docker(facts),
        buildx(facts),
    ];
    all.extend(store(facts, needs));
    all.extend(builder(facts, needs));
    all.extend(super::builders::check(facts, needs));
    all.extend(emulation(facts, needs));
    all.push(compose(facts));
    all.push(git(facts, needs));
    all.extend(tools(facts, needs));
    all.extend(super::network::check(&facts.hosts));
    all.extend(login(facts, needs));
    all.extend(clock(facts));
    all
}

fn system(facts: &Facts) -> MachineFinding {
    let os = &facts.os;
    let finding = MachineFinding::new("system", os.name.clone()).needs(
        "Linux: Debian 11, Ubuntu 20.04, Fedora, Arch or later",
        "the engine runs on Linux, and these are the systems whose packages are known here",
    );
    if os.kind == "macos" {
        return finding.warns("run the engine in Docker Desktop, colima or OrbStack");
    }
    if os.kind != "linux" {
        return finding.lacks("use a Linux machine, or WSL 2 on Windows");
    }
    let least = match os.id.as_str() {
        "debian" => Some([11, 0, 0]),
        "ubuntu" => Some([20, 4, 0]),
        "fedora" | "arch" => None,
        _ => {
            return finding
                .warns("if a package is missing, install it as this system's manual says");
        }
    };
    // Debian's testing and unstable have no version.
    match (least, version(&os.version)) {
        (Some(least), Some(found)) if found < least => {
            finding.warns("upgrade it: its engine may be too old")
        }
        _ => finding,
    }
}

fn memory(facts: &Facts) -> MachineFinding {
    let Some(memory) = facts.memory else {
        return MachineFinding::new("memory", "unknown")
            .needs("4 GB", "the web front end's build takes up to 4 GB")
            .warns("");
    };
    let finding = MachineFinding::new("memory", gigabytes(memory))
        .needs("4 GB", "the web front end's build takes up to 4 GB");
    if memory >= MEMORY {
        finding
    } else {
        finding.warns("give the machine more, or build one stage at a time: `--jobs 1`")
    }
}

fn disk(facts: &Facts) -> MachineFinding {
    const WHY: &str = "all images and their caches together take that much";
    let Some(disk) = &facts.disk else {
        return MachineFinding::new("disk", "unknown")
            .needs("30 GB free", WHY)
            .warns("");
    };
    let found = format!("{} free at {}", gigabytes(disk.free), disk.folder);
    let finding = MachineFinding::new("disk", found).needs("30 GB free", WHY);
    if disk.free >= DISK {
        finding
    } else {
        finding.warns(
            "make room there, as by `docker system prune`, or give the engine another `data-root`",
        )
    }
}

fn processor(facts: &Facts) -> MachineFinding {
    let found = facts.machine.clone();
    let finding = MachineFinding::new("processor", found).needs(
        "x86_64 or aarch64",
        "the images are made for these; others have no base images",
    );
    match architecture(&facts.machine) {
        Some("amd64" | "arm64") => finding,
        _ => finding.warns("build on another machine, through `docker context`"),
    }
}

fn engine(facts: &Facts, needs: &Needs) -> MachineFinding {
    let at = &facts.address;
    let (least, needed, why) = if needs.replaces {
        (
            NAMED_CONTEXTS,
            "Docker Engine 23.0 or later, reachable",
            "it builds and keeps the images, and replaces the image of a FROM (named contexts)",
        )
    } else {
        (
            ENGINE,
            "Docker Engine 20.10.0 or later, reachable",
            "it builds and keeps the images",
        )
    };
    let needs = |found: String| MachineFinding::new("engine", found).needs(needed, why);
    match &facts.engine {
        EngineFacts::Answers { version: text, .. } => {
            let finding = needs(format!("{text} at {at}"));
            if version(text).is_some_and(|found| found < least) {
                // An engine that works belongs to the user: nothing here replaces it.
                return finding.lacks("upgrade it the way it was installed");
            }
            finding
        }
        EngineFacts::Podman(version) => needs(format!(
            "podman {version} at {at}, which has no BuildKit"
        ))
        .lacks("point DOCKER_HOST or `docker context use` at a Docker engine, or install one"),
        EngineFacts::Forbidden(_) => {
            let finding = needs(format!("one at {at} that this user may not talk to"));
            let remedy =
                "join the group `docker`, whose members are as good as root, and log in again";
            finding.lacks(remedy).fix(Fix::JoinGroup)
        }
        EngineFacts::Silent(why) if !facts.address_is_default => {
            needs(format!("none at {at}: {why}"))
                .lacks("start it, or unset DOCKER_HOST, or choose another by `docker context use`")
        }
        EngineFacts::Silent(why) if facts.has_dockerd => {
            needs(format!("installed, but not running at {at}: {why}"))
                .lacks("start it")
                .fix(Fix::StartEngine)
        }
        EngineFacts::Silent(_) | EngineFacts::Unasked => needs(format!("none at {at}"))
            .lacks("install it")
            .fix(Fix::InstallEngine),
    }
}

fn docker(facts: &Facts) -> MachineFinding {
    let finding = |found: &str| {
        MachineFinding::new("docker", found).needs("docker on PATH", "buildx is started through it")
    };
    match &facts.docker {
        _ if let Some(podman) = &facts.podman => {
            finding(&format!("{podman} under the name of docker")).lacks(NOT_PODMAN)
        }
        Some(version) => finding(version),
        None => finding("none").lacks("install it").fix(Fix::InstallDocker),
    }
}

fn buildx(facts: &Facts) -> MachineFinding {
    let finding = |found: &str| {
        MachineFinding::new("buildx", found).needs(
            "0.13.0 or later",
            "it makes the images and reports every step",
        )
    };
    match &facts.buildx {
        // Podman's `docker` command takes the call, whatever is installed beside it.
        _ if facts.podman.is_some() => {
            finding("none, as docker is podman").lacks("it comes with Docker's own command")
        }
        None => finding("none").lacks("install it").fix(Fix::InstallBuildx),
        Some(text) if version(text).is_some_and(|found| found < BUILDX) => {
            let remedy =
                "install a later one; one in ~/.docker/cli-plugins comes before the system's";
            finding(text).lacks(remedy)
        }
        Some(text) => finding(text),
    }
}

fn store(facts: &Facts, needs: &Needs) -> Option<MachineFinding> {
    let EngineFacts::Answers { store, .. } = &facts.engine else {
        return None;
    };
    let (found, good) = match store {
        StoreFacts::Containerd => ("containerd", true),
        StoreFacts::Classic => ("the engine's own", !needs.several),
    };
    let finding = MachineFinding::new("store", found);
    Some(if good {
        finding.needs(
            "any",
            "one image for several platforms would need the containerd store",
        )
    } else {
        let remedy = "set {\"features\": {\"containerd-snapshotter\": true}} in the engine's daemon.json and restart it";
        finding
            .needs(
                "containerd",
                "the graph makes one image for several platforms",
            )
            .lacks(remedy)
    })
}

fn builder(facts: &Facts, needs: &Needs) -> Option<MachineFinding> {
    let finding = |found: String| {
        let needed = match needs.platforms.as_slice() {
            [] => "one that works".to_owned(),
            some => some.join(", "),
        };
        let why = "stages are built by it, whichever `docker buildx use` chose: it alone sees the engine's images";
        MachineFinding::new("builder", format!("the engine's own: {found}")).needs(needed, why)
    };
    match facts.builder.as_ref()? {
        Err(why) => Some(finding(why.clone()).lacks("see `docker buildx inspect default`")),
        Ok(platforms) => {
            let can = |wanted: &&String| platforms.iter().any(|own| own == *wanted);
            let missing: Vec<&str> = needs
                .platforms
                .iter()
                .filter(|wanted| !can(wanted))
                .map(String::as_str)
                .collect();
            let finding = finding(platforms.join(", "));
            Some(if missing.is_empty() {
                finding
            } else {
                // The builder asks the kernel when a build begins. Emulation has a check of its
                // own.
                finding.warns(format!(
                    "it does not list {}: see emulation",
                    missing.join(", ")
                ))
            })
        }
    }
}

fn emulation(facts: &Facts, needs: &Needs) -> Vec<MachineFinding> {
    let foreign = needs.foreign(&facts.machine).into_iter();
    let one = |name: String| {
        let finding = |found: String| {
            MachineFinding::new("emulation", format!("{name}: {found}")).needs(
                format!("programs for {name} run here"),
                "a stage is built for it, and its RUN steps are its programs",
            )
        };
        let remedy = "register QEMU for it";
        let fix = || Fix::Emulate(vec![name.clone()]);
        // An engine in a virtual machine, such as Docker Desktop's, has emulation of its own there.
        let elsewhere = !facts.address_is_default || facts.os.kind != "linux";
        let listed = match &facts.builder {
            Some(Ok(platforms)) => platforms.contains(&format!("linux/{name}")),
            _ => false,
        };
        match facts.emulation.get(&name) {
            Some(Emulation::Runs) => finding("a probe ran".into()),
            _ if elsewhere && listed => finding("the builder says that it can".into()),
            Some(Emulation::Broken(why)) => {
                finding(format!("registered, but a probe failed: {why}"))
                    .lacks(remedy)
                    .fix(fix())
            }
            Some(Emulation::OutsideContainers) => {
                finding("registered without the flag F, so not inside containers".into())
                    .lacks("register it again with the flag F (binfmt_misc)")
                    .fix(fix())
            }
            Some(Emulation::Missing) => finding("not registered".into()).lacks(remedy).fix(fix()),
            None => finding("unknown".into()).warns("it can only be tried on the engine's machine"),
        }
    };
    foreign.map(one).collect()
}

fn compose(facts: &Facts) -> MachineFinding {
    let finding = |found: &str| {
        MachineFinding::new("compose", found)
            .needs("2 or later", "the running stack is started with it")
    };
    match &facts.compose {
        None => finding("none").warns("install it").fix(Fix::InstallCompose),
        Some(text) if version(text).is_some_and(|found| found[0] < 2) => finding(text)
            .warns("install a later one")
            .fix(Fix::InstallCompose),
        Some(text) => finding(text),
    }
}

fn git(facts: &Facts, needs: &Needs) -> MachineFinding {
    let finding =
        |found: &str| MachineFinding::new("git", found).needs("any", "sources are fetched with it");
    match &facts.git {
        Some(version) => finding(version),
        None if needs.fetches => finding("none").lacks("install it").fix(Fix::InstallGit),
        None => finding("none").warns("install it").fix(Fix::InstallGit),
    }
}

/// The tools of host commands. A missing tool stops only the stages whose commands need it.
fn tools(facts: &Facts, needs: &Needs) -> Vec<MachineFinding> {
    let system = System::of(&facts.os);
    let one = |(name, stages): (&String, &Vec<String>)| {
        let is_there = facts.tools.contains(name);
        let whose: Vec<String> = stages.iter().map(|stage| format!("`{stage}`")).collect();
        let found = if is_there { "there" } else { "none" };
        let finding = MachineFinding::new("host command", format!("{name}: {found}")).needs(
            name,
            format!("the host command of {} needs it", whose.join(", ")),
        );
        if is_there {
            return finding;
        }
        let package = tools::package(name, system);
        let remedy = package.map_or_else(
            || {
                format!(
                    "install what brings `{name}`, a program or a library as pkg-config names it"
                )
            },
            |package| format!("install {name}: {package}"),
        );
        let finding = finding.warns(remedy);
        match system.and_then(|system| system.brings(name)) {
            Some(packages) => finding.fix(Fix::InstallTool(packages)),
            None => finding,
        }
    };
    needs.tools.iter().map(one).collect()
}

fn login(facts: &Facts, needs: &Needs) -> Option<MachineFinding> {
    let registry = needs.writes_to.as_ref()?;
    let there = facts.logins.contains(registry);
    let finding = MachineFinding::new("login", if there { "there" } else { "none" }).needs(
        format!("a login to {registry}"),
        "records are shared through it",
    );
    Some(if there {
        finding
    } else {
        finding.warns(format!(
            "`docker login {registry}`, unless it lets everybody write"
        ))
    })
}

fn clock(facts: &Facts) -> Option<MachineFinding> {
    let ahead = facts.clock?;
    let found = match ahead {
        0.. => format!("{ahead} s ahead"),
        _ => format!("{} s behind", -ahead),
    };
    let why = "certificates, tokens and package lists are refused by a wrong clock";
    let finding = MachineFinding::new("clock", found).needs("within 2 minutes", why);
    Some(if ahead.unsigned_abs() <= CLOCK {
        finding
    } else {
        finding.warns("set the clock, as by `timedatectl set-ntp true`")
    })
}

fn gigabytes(bytes: u64) -> String {
    format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10)
}
