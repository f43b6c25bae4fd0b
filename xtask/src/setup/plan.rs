//! Turns findings into commands; runs nothing. An engine that answers is never touched. A builder is
//! created only if the graph file asks for one: by default `build` uses the engine's own, the only
//! one that sees the images in the engine's store.

use std::collections::BTreeSet;

use serde::Serialize;

use super::facts::{Facts, Init};
use super::finding::{Fix, Level, MachineFinding};
use super::packages::{self, SuitePart, System};

/// The engine's configuration file.
pub const DAEMON_JSON: &str = "/etc/docker/daemon.json";
/// Makes the engine keep images in containerd, as later engines do by default: there, one image may
/// be for several platforms (docs.docker.com/engine/storage/containerd).
const CONTAINERD_STORE: &str = "{\"features\": {\"containerd-snapshotter\": true}}\n";
const CGROUPS: &str = "/sys/fs/cgroup";
const BINFMT: &str = "/proc/sys/fs/binfmt_misc";

/// What to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SetupPlan {
    /// The steps, in their order.
    pub steps: Vec<Step>,
    /// What only the user can do.
    pub by_hand: Vec<String>,
}

/// One thing to do, as root unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Run a command.
    Run {
        /// The program and its arguments.
        argv: Vec<String>,
    },
    /// Run a command as the user: its effect is on files of the user's own.
    RunAsUser {
        /// The program and its arguments.
        argv: Vec<String>,
    },
    /// Write a file that is not there yet.
    Write {
        /// Where.
        path: String,
        /// The whole content.
        content: String,
    },
    /// Start the engine that is installed and wait until it answers.
    Start {
        /// Whether systemd starts it. If not, the package's own script does, or without a script
        /// `dockerd` is started directly.
        systemd: bool,
    },
}

impl Step {
    fn run(argv: &[&str]) -> Self {
        Self::Run {
            argv: argv.iter().map(ToString::to_string).collect(),
        }
    }

    fn write(path: &str, content: impl Into<String>) -> Self {
        Self::Write {
            path: path.to_owned(),
            content: content.into(),
        }
    }
}

/// The steps that resolve the findings, as far as they are known here.
pub fn plan(facts: &Facts, findings: &[MachineFinding]) -> SetupPlan {
    let mut plan = SetupPlan::default();
    let fixes: Vec<&Fix> = findings
        .iter()
        .filter(|finding| finding.level != Level::Ok)
        .filter_map(|finding| finding.fix.as_ref())
        .collect();
    for finding in findings {
        if finding.level == Level::Missing && finding.fix.is_none() {
            let (check, remedy) = (finding.check, &finding.remedy);
            plan.by_hand.push(format!("{check}: {remedy}"));
        }
    }
    if fixes.is_empty() {
        return plan;
    }
    if facts.os.kind == "macos" {
        plan.by_hand.push(
            "install Docker Desktop (docker.com/products/docker-desktop), colima (`brew install colima docker docker-buildx docker-compose`, `colima start`) or OrbStack (orbstack.dev), and start it".into(),
        );
        return plan;
    }
    let parts = parts(&fixes);
    let tools = fixes.iter().filter_map(|fix| match fix {
        Fix::InstallTool(packages) => Some(*packages),
        _ => None,
    });
    let tools: Vec<&str> = tools.flatten().copied().collect();
    match System::of(&facts.os) {
        Some(system) => plan.install(facts, system, &parts, &tools),
        None if parts.is_empty() => {}
        None => plan.by_hand.push(format!(
            "install Docker Engine with buildx, and git, by the manual (docs.docker.com/engine/install): the packages of {} are not known here",
            facts.os.name
        )),
    }
    let known = System::of(&facts.os).is_some();
    if fixes.contains(&&Fix::StartEngine) || (known && parts.contains(&SuitePart::Engine)) {
        if !facts.has_cgroups {
            plan.steps
                .push(Step::run(&["mount", "-t", "cgroup2", "none", CGROUPS]));
        }
        plan.steps.push(Step::Start {
            systemd: facts.init == Init::Systemd,
        });
    }
    let joins = fixes.contains(&&Fix::JoinGroup)
        || (parts.contains(&SuitePart::Engine) && known && !facts.user.is_root);
    if joins {
        plan.steps
            .push(Step::run(&["usermod", "-aG", "docker", &facts.user.name]));
        plan.by_hand
            .push("log in again, so that you are in the group `docker`".into());
    }
    if !facts.user.is_root && !facts.user.has_sudo && !plan.steps.is_empty() {
        let shown: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
        plan.by_hand
            .insert(0, format!("as root: {}", shown.join("; ")));
        plan.steps.clear();
    }
    let created = fixes.into_iter().filter_map(|fix| match fix {
        Fix::CreateBuilder(argv) => Some(Step::RunAsUser { argv: argv.clone() }),
        _ => None,
    });
    plan.steps.extend(created);
    plan
}

fn parts(fixes: &[&Fix]) -> BTreeSet<SuitePart> {
    let mut parts = BTreeSet::new();
    for fix in fixes {
        match fix {
            Fix::InstallEngine => {
                parts.extend([SuitePart::Engine, SuitePart::Docker, SuitePart::Buildx])
            }
            Fix::InstallDocker => parts.extend([SuitePart::Docker]),
            Fix::InstallBuildx => parts.extend([SuitePart::Buildx]),
            Fix::InstallCompose => parts.extend([SuitePart::Compose]),
            Fix::InstallGit => parts.extend([SuitePart::Git]),
            Fix::Emulate(_) => parts.extend([SuitePart::Emulation]),
            Fix::InstallTool(_) | Fix::StartEngine | Fix::JoinGroup | Fix::CreateBuilder(_) => {}
        }
    }
    parts
}

impl SetupPlan {
    fn install(
        &mut self,
        facts: &Facts,
        system: System,
        parts: &BTreeSet<SuitePart>,
        tools: &[&'static str],
    ) {
        if parts.is_empty() && tools.is_empty() {
            return;
        }
        if parts.contains(&SuitePart::Engine) && !facts.has_daemon_json {
            self.steps.push(Step::write(DAEMON_JSON, CONTAINERD_STORE));
        }
        if parts.contains(&SuitePart::Emulation) && !facts.has_binfmt {
            self.steps
                .push(Step::run(&["mount", "-t", "binfmt_misc", "none", BINFMT]));
        }
        if system == System::Bookworm {
            let Some(mirror) = &facts.debian_mirror else {
                self.by_hand.push(
                    "apt's sources name no mirror of Debian: add one to /etc/apt/sources.list.d"
                        .into(),
                );
                return;
            };
            let source = packages::trixie(mirror);
            self.steps
                .push(Step::write(packages::TRIXIE_RANK, packages::RANK));
            self.steps
                .push(Step::write(packages::TRIXIE_SOURCE, source));
        }
        if system.has_apt() {
            self.steps.push(Step::run(&["apt-get", "update"]));
        }
        let mut argv = system.install();
        let mut named = BTreeSet::new();
        for part in parts {
            let packages = system.packages(*part).iter();
            argv.extend(packages.filter(|package| named.insert(**package)));
        }
        argv.extend(tools.iter().filter(|package| named.insert(**package)));
        self.steps.push(Step::run(&argv));
        if parts.contains(&SuitePart::Emulation) {
            self.register(facts, system);
        }
    }

    /// Registers the emulators. Package scripts have done so if systemd or binfmt-support runs;
    /// doing it again is harmless.
    fn register(&mut self, facts: &Facts, system: System) {
        if system.has_apt() {
            self.steps.push(Step::run(&["update-binfmts", "--enable"]));
        } else if facts.init == Init::Systemd {
            self.steps
                .push(Step::run(&["systemctl", "restart", "systemd-binfmt"]));
        } else {
            self.by_hand
                .push("register QEMU by binfmt.d(5): no systemd runs here to do it".into());
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Run { argv } | Self::RunAsUser { argv } => f.write_str(&argv.join(" ")),
            Self::Write { path, .. } => write!(f, "write {path}"),
            Self::Start { systemd: true } => f.write_str("systemctl enable --now docker"),
            Self::Start { systemd: false } => {
                f.write_str("service docker start (without such a script: dockerd)")
            }
        }
    }
}
