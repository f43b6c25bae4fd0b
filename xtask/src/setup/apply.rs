//! Runs a plan: prints every command before it runs, keeps its output in a log, and stops at the
//! first failure.

use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use super::facts::Facts;
use super::plan::{SetupPlan, Step};
use crate::fault::{Fault, Result};
use crate::outside::engine::{Engine, NoAnswer};
use crate::outside::interrupt::Interrupt;

/// How long an engine may take to start, on a slow machine.
const START: Duration = Duration::from_secs(90);
/// How many lines of a failed command's output are shown.
const TAIL: usize = 12;
/// The start script of Debian's package.
const SCRIPT: &str = "/etc/init.d/docker";
/// Where that script writes the engine's log.
const ENGINE_LOG: &str = "/var/log/docker.log";

/// Runs all steps of the plan. The log is written anew.
pub fn apply(plan: &SetupPlan, facts: &Facts, log: &Utf8Path, interrupt: &Interrupt) -> Result<()> {
    let run = Run {
        log: log.to_owned(),
        is_root: facts.user.is_root,
        interrupt,
    };
    open(&run.log, true)?;
    let as_root = |step: &Step| !matches!(step, Step::RunAsUser { .. });
    if !run.is_root && plan.steps.iter().any(as_root) {
        run.let_in()?;
    }
    for step in &plan.steps {
        match step {
            Step::Run { argv } => run.run(argv)?,
            Step::RunAsUser { argv } => run.run_into(&run.log, argv, false)?,
            Step::Write { path, content } => run.write(path, content)?,
            Step::Start { systemd } => run.start(*systemd)?,
        }
    }
    Ok(())
}

struct Run<'a> {
    log: Utf8PathBuf,
    is_root: bool,
    interrupt: &'a Interrupt,
}

impl Run<'_> {
    /// Lets sudo ask for the password once, while it still has the terminal to itself.
    fn let_in(&self) -> Result<()> {
        let status = Command::new("sudo").arg("--validate").status();
        if status.is_ok_and(|status| status.success()) {
            return Ok(());
        }
        Err(Fault::lacks(
            "this user may not use sudo: run this command as root, or ask an administrator",
        ))
    }

    fn run(&self, argv: &[String]) -> Result<()> {
        self.run_into(&self.log, argv, !self.is_root)
    }

    /// Runs a command, by sudo or not, and appends its output to a file.
    fn run_into(&self, path: &Utf8Path, argv: &[String], by_sudo: bool) -> Result<()> {
        let mut all: Vec<&str> = if by_sudo {
            vec!["sudo", "--non-interactive", "--"]
        } else {
            Vec::new()
        };
        all.extend(argv.iter().map(String::as_str));
        let shown = all.join(" ");
        crate::tell!("+ {shown}");
        let [program, arguments @ ..] = all.as_slice() else {
            return Ok(());
        };
        let log = open(path, false)?;
        let before = log.metadata().map_or(0, |meta| meta.len());
        let fault = |why: &str| Fault::lacks(format!("`{shown}` {why}"));
        let errors = log.try_clone().map_err(|error| fault(&error.to_string()))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        if self.interrupt.is_set() {
            return Err(Fault::interrupted());
        }
        let status = self.to_its_end(&mut command);
        if self.interrupt.is_set() {
            return Err(Fault::interrupted());
        }
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let tail = tail(path, before);
                Err(fault(&format!(
                    "ended with {status}; its output is in {path}\n{tail}"
                )))
            }
            Err(error) => Err(fault(&format!("cannot be run: {error}"))),
        }
    }

    /// Waits for a command, even after an interrupt: a package manager that is killed leaves
    /// packages half installed. The interrupt stops what would follow.
    fn to_its_end(&self, command: &mut Command) -> std::io::Result<ExitStatus> {
        // In a process group of its own, a Ctrl-C on the terminal does not reach it.
        let mut child = command.process_group(0).spawn()?;
        while child.try_wait()?.is_none() {
            if self.interrupt.pause() {
                crate::tell!(
                    "interrupted: this command runs to its end, and nothing is started after it"
                );
                return child.wait();
            }
        }
        child.wait()
    }

    /// Writes a file, but never over one with other content.
    fn write(&self, path: &str, content: &str) -> Result<()> {
        let there = std::fs::read_to_string(path);
        if there.as_ref().is_ok_and(|there| there == content) {
            return Ok(());
        }
        if Utf8Path::new(path).exists() {
            return Err(Fault::lacks(format!(
                "{path} exists already with other content: move it away, or set up by hand"
            )));
        }
        let fault = |error: std::io::Error| {
            Fault::lacks(format!("cannot write {path} beforehand: {error}"))
        };
        let mut file = tempfile::NamedTempFile::new().map_err(fault)?;
        std::io::Write::write_all(&mut file, content.as_bytes()).map_err(fault)?;
        crate::tell!("# {path}:");
        content.lines().for_each(|line| crate::tell!("#   {line}"));
        let from = file.path().to_string_lossy().into_owned();
        let argv = ["install", "-D", "--mode=644", "--", &from, path];
        self.run(&argv.map(str::to_owned))
    }

    fn start(&self, systemd: bool) -> Result<()> {
        let run = |argv: &[&str]| {
            let argv: Vec<String> = argv.iter().map(ToString::to_string).collect();
            self.run(&argv)
        };
        // `dockerd` goes on when this program ends, and keeps its own pid file.
        let itself = || {
            let log = if self.is_root {
                Utf8PathBuf::from(ENGINE_LOG)
            } else {
                self.log.with_file_name("dockerd.log")
            };
            crate::tell!("# its log is {log}");
            let argv = ["setsid", "--fork", "dockerd"].map(str::to_owned);
            self.run_into(&log, &argv, !self.is_root)
        };
        if systemd {
            run(&["systemctl", "enable", "--now", "docker"])?;
        } else if !Utf8Path::new(SCRIPT).exists() {
            itself()?;
        } else if let Err(fault) = run(&["service", "docker", "start"]) {
            if self.interrupt.is_set() {
                return Err(fault);
            }
            // The script needs a layout of control groups that not every machine has.
            crate::tell!("{fault}");
            itself()?;
        }
        let until = Instant::now() + START;
        loop {
            match Engine::find().about() {
                // Whether this user may talk to the engine does not matter here.
                Ok(_) | Err(NoAnswer::Forbidden(_)) => return Ok(()),
                Err(NoAnswer::Silent(why)) if Instant::now() > until => {
                    return Err(Fault::lacks(format!(
                        "the engine does not answer {} s after its start: {why}; see {ENGINE_LOG}, `journalctl -u docker` or {}",
                        START.as_secs(),
                        self.log
                    )));
                }
                Err(NoAnswer::Silent(_)) => {}
            }
            if self.interrupt.pause() {
                return Err(Fault::interrupted());
            }
        }
    }
}

fn open(path: &Utf8Path, anew: bool) -> Result<File> {
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    let mut options = OpenOptions::new();
    if anew {
        options.write(true).truncate(true);
    } else {
        options.append(true);
    }
    folder
        .and_then(|()| options.create(true).open(path))
        .map_err(|error| Fault::lacks(format!("cannot write the log {path}: {error}")))
}

/// The last lines of a log after the byte `from`.
fn tail(path: &Utf8Path, from: u64) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
    let text = String::from_utf8_lossy(&bytes[from..]).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(TAIL)..].iter();
    let shown = last.map(|line| format!("  | {}", line.replace(char::is_control, " ")));
    shown.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plan of shell commands, run as if by the superuser, in a folder.
    fn run(folder: &Utf8Path, commands: &[&str]) -> Result<()> {
        let step = |command: &&str| Step::Run {
            argv: ["sh", "-c", command].map(str::to_owned).to_vec(),
        };
        let plan = SetupPlan {
            steps: commands.iter().map(step).collect(),
            by_hand: Vec::new(),
        };
        let mut facts = Facts::default();
        facts.user.is_root = true;
        let log = folder.join("logs/setup.log");
        apply(&plan, &facts, &log, &Interrupt::default())
    }

    #[test]
    fn the_first_failure_ends_it_and_shows_its_own_words_alone() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let after = folder.join("after");
        let touch = format!("touch {after}");
        let commands = ["echo good", "echo no such package; exit 100", &touch];
        let fault = run(folder, &commands).unwrap_err();
        assert_eq!(fault.class, crate::fault::Class::Lacks);
        for said in [
            "exit 100",
            "exit status: 100",
            "| no such package",
            "setup.log",
        ] {
            assert!(fault.message.contains(said), "{said}: {fault}");
        }
        assert!(!fault.message.contains("| good"), "{fault}");
        assert!(!after.exists());
    }

    #[test]
    fn a_plan_without_failures_is_done_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let after = folder.join("after");
        run(folder, &["true", &format!("touch {after}")]).unwrap();
        assert!(after.exists());
    }

    #[test]
    fn a_file_that_says_something_else_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let file = folder.join("daemon.json");
        std::fs::write(&file, "{}").unwrap();
        let write = |content: &str| SetupPlan {
            steps: vec![Step::Write {
                path: file.to_string(),
                content: content.to_owned(),
            }],
            by_hand: Vec::new(),
        };
        let log = folder.join("setup.log");
        let interrupt = Interrupt::default();
        let facts = Facts {
            user: super::super::facts::UserFacts {
                is_root: true,
                ..Default::default()
            },
            ..Facts::default()
        };
        apply(&write("{}"), &facts, &log, &interrupt).unwrap();
        let fault = apply(&write("other"), &facts, &log, &interrupt).unwrap_err();
        assert!(
            fault.message.contains("exists already with other content"),
            "{fault}"
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{}");
    }
}
