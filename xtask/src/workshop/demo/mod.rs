//! The bundled sample monorepo, from nothing to built, changed, healed, verified.
//!
//! Runs the program as a person would, and checks that each step shows what it is for. Works on a
//! copy of the sample with other image names, so that neither the checkout nor the sample's own
//! images are touched.

mod copy;
mod said;

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use xshell::{Shell, cmd};

use crate::fault::{Fault, Result};
use crate::outside::clock;
use crate::outside::engine::Engine;
use crate::outside::interrupt::Interrupt;
use crate::report::words;
use crate::workshop::testbed;
use said::{DemoOutput, DemoTold, alive};

/// What takes the place of `sample/` in the names of the copy's images.
const NAMES: &str = "xtask-demo/";
/// How many calls remove images at once.
const AT_ONCE: usize = 4;
/// How many lines of one command are shown at most.
const SHOWN: usize = 5;

/// The demo's files, and the engine that it builds on.
#[derive(Debug)]
pub struct Demo<'a> {
    folder: Utf8PathBuf,
    /// Where the files of the sample's bases are kept for the next demo.
    bases: Utf8PathBuf,
    program: Utf8PathBuf,
    host: Option<String>,
    interrupt: &'a Interrupt,
    /// An engine that was started for the demo ends with it.
    _own: Option<testbed::TestEngine>,
}

/// Whether the engine that the docker command would use answers.
pub fn has_engine() -> bool {
    Engine::find().images(&[]).is_ok()
}

impl<'a> Demo<'a> {
    /// Prepares the demo below `folder`, on the machine's engine, or on an engine of its own if
    /// none answers. What takes long to make is kept in `bases`.
    pub fn prepare(folder: &Utf8Path, bases: &Utf8Path, interrupt: &'a Interrupt) -> Result<Self> {
        let fault = |error: &dyn std::fmt::Display| {
            Fault::lacks(format!("cannot prepare the demo in {folder}: {error}"))
        };
        let program = std::env::current_exe().map_err(|error| fault(&error))?;
        let program = Utf8PathBuf::from_path_buf(program)
            .map_err(|path| fault(&format!("{} is not UTF-8", path.display())))?;
        std::fs::create_dir_all(folder).map_err(|error| fault(&error))?;
        let folder = folder.canonicalize_utf8().map_err(|error| fault(&error))?;
        let own = if has_engine() {
            None
        } else {
            let log = folder.join("install.log");
            testbed::install(testbed::Purpose::Engines, &log, interrupt)?;
            let (data, store) = (folder.join("engine"), testbed::ImageStore::Containerd);
            let start = || testbed::TestEngine::start(&data, store, interrupt);
            Some(alive("an engine starts", &tell, start)?)
        };
        copy::sample(&folder.join("sample"), NAMES).map_err(|error| fault(&error))?;
        Ok(Self {
            host: own.as_ref().map(testbed::TestEngine::host),
            folder,
            bases: bases.to_owned(),
            program,
            interrupt,
            _own: own,
        })
    }

    /// Runs all steps. A step that does not show what it is for is a fault.
    pub fn run(&self) -> Result<()> {
        let engine = match &self.host {
            Some(_) => "an engine of the demo's own, which ends with it",
            None => "your engine, under image names of the demo's own",
        };
        tell(&format!(
            "A monorepo of Dify's shape: 7 images on a base made from Debian packages.\n\
             It is built on {engine}; its files are in {}.",
            self.folder
        ));
        self.builds_and_then_skips()?;
        self.rebuilds_what_a_change_touches()?;
        self.heals_what_was_deleted()?;
        self.verifies()
    }

    fn builds_and_then_skips(&self) -> Result<()> {
        title("Build everything");
        self.show_build()?;
        title("Nothing changed: all of it is fresh, with proof that the images are there");
        let again = self.show_build()?;
        expect(&again, "0 built, 7 fresh")
    }

    fn rebuilds_what_a_change_touches(&self) -> Result<()> {
        let path = "api/src/index.html";
        title(&format!("One line of {path} changed"));
        // A line that no earlier demo wrote, so that no image of an earlier demo fits.
        let line = format!("<p>changed at {} ms</p>\n", clock::now().as_millis());
        let file = self.graph_folder().join(path);
        std::fs::write(&file, line)
            .map_err(|error| Fault::lacks(format!("cannot change {file}: {error}")))?;
        let why = self.show(&["explain", "api-custom"], DemoTold::Last(SHOWN))?;
        expect(&why.stdout, "src/index.html changed")?;
        let built = self.show_build()?;
        expect(&built, "2 built, 5 fresh")
    }

    fn heals_what_was_deleted(&self) -> Result<()> {
        title("The image of web is deleted from the engine, behind the program's back");
        let image = format!("{NAMES}web:1.0.0");
        let id = self.docker(&["image", "inspect", "--format", "{{.Id}}", &image])?;
        self.docker(&["image", "rm", "--force", id.trim()])?;
        let plan = self.show(&["plan", "web"], DemoTold::Last(SHOWN))?;
        expect(&plan.stdout, "stale")?;
        self.show_build()?;
        self.docker(&["image", "inspect", &image]).map(drop)
    }

    /// The last step, which takes longest because it first makes a base with real programs.
    fn verifies(&self) -> Result<()> {
        title("The same Dockerfiles on a base with Python, Redis, PostgreSQL and squid");
        tell(&format!(
            "That base is made from about 90 Debian packages, and stays in {}.",
            self.bases
        ));
        self.show(&["build", "--profile", "stack"], DemoTold::Last(SHOWN))?;
        title("What each image must keep, and whether the stack runs");
        let mut arguments = vec!["verify", "--profile", "stack"];
        if !self.has_compose() {
            tell(
                "Docker has no compose here (`cargo xtask setup` installs it), so the stack does not run.",
            );
            arguments.push("--policy-only");
        }
        let verified = self.show(&arguments, DemoTold::AsItComes)?;
        expect(&verified.stdout, "\nverified")
    }

    fn has_compose(&self) -> bool {
        self.docker(&["compose", "version"]).is_ok()
    }

    /// Removes the demo's images and files. BuildKit's cache stays, as after any build. With
    /// `keep_logs` the logs that a failure named stay as well, and their folder is returned. Runs
    /// after an interrupt, too, so its child processes are not among those that the interrupt ends.
    pub fn clean(self, keep_logs: bool) -> Result<Option<Utf8PathBuf>> {
        alive("removing its images and files", &tell, || {
            self.remove(keep_logs)
        })
    }

    fn remove(self, keep_logs: bool) -> Result<Option<Utf8PathBuf>> {
        let (folder, state) = (self.folder.clone(), self.state());
        // The images of the demo's own engine are among its files.
        if self.host.is_none() {
            remove_images()?;
        }
        drop(self);
        let fault = |error| Fault::lacks(format!("cannot remove {folder}: {error}"));
        if !keep_logs {
            return std::fs::remove_dir_all(&folder)
                .map_err(fault)
                .map(|()| None);
        }
        remove_all_but(&folder, "state").map_err(fault)?;
        for graph in state.read_dir_utf8().into_iter().flatten().flatten() {
            remove_all_but(graph.path(), "logs").map_err(fault)?;
        }
        Ok(Some(state))
    }

    fn state(&self) -> Utf8PathBuf {
        self.folder.join("state")
    }

    fn graph_folder(&self) -> Utf8PathBuf {
        self.folder.join("sample")
    }

    /// Runs `build`, shows its output and returns its summary.
    fn show_build(&self) -> Result<String> {
        let said = self.show(&["build"], DemoTold::Last(SHOWN))?;
        Ok(said.summary().to_owned())
    }

    /// Runs the program, and shows the command and its output.
    fn show(&self, arguments: &[&str], told: DemoTold) -> Result<DemoOutput> {
        let shown = format!("cargo xtask {}", arguments.join(" "));
        tell(&format!("  $ {shown}"));
        let graph = self.graph_folder().join("build-graph.toml");
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .arg(format!("--graph={graph}"))
            .env("XTASK_STATE", self.state())
            .env("SAMPLE_CACHE", &self.bases);
        let said = self.output(&shown, command, told)?;
        // The summary says what is fresh.
        let all = if said.stdout.is_empty() {
            &said.stderr
        } else {
            &said.stdout
        };
        let lines: Vec<&str> = all
            .lines()
            .filter(|line| !line.ends_with(" fresh"))
            .collect();
        let most = match told {
            DemoTold::Last(most) => most,
            DemoTold::AsItComes => lines.len(),
        };
        let hidden = lines.len().saturating_sub(most);
        let mut text = String::new();
        if hidden > 0 {
            let _ = writeln!(text, "    … {}", words::count(hidden, "line"));
        }
        for line in &lines[hidden..] {
            let _ = writeln!(text, "    {line}");
        }
        tell(text.trim_end());
        Ok(said)
    }

    fn docker(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("docker");
        command.args(arguments);
        let shown = format!("docker {}", arguments.join(" "));
        Ok(self.output(&shown, command, DemoTold::Last(0))?.stdout)
    }

    /// Runs a child process to its end. If it fails, the fault names it as a person would type it,
    /// and has its output.
    fn output(&self, shown: &str, mut command: Command, told: DemoTold) -> Result<DemoOutput> {
        let fault = |error: &dyn std::fmt::Display| {
            Fault::failed(format!("the demo cannot run `{shown}`: {error}"))
        };
        if let Some(host) = &self.host {
            command
                .env("DOCKER_HOST", host)
                .env_remove("DOCKER_CONTEXT");
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = self.interrupt.spawn(&mut command);
        let Some(mut child) = child.map_err(|error| fault(&error))? else {
            return Err(Fault::interrupted());
        };
        let said = DemoOutput::of(&mut child, told, &|line| tell(&format!("    {line}")));
        let status = self.interrupt.wait_for(&mut child);
        if self.interrupt.is_set() {
            return Err(Fault::interrupted());
        }
        if status.map_err(|error| fault(&error))?.success() {
            return Ok(said);
        }
        Err(Fault::failed(format!(
            "the demo failed while running `{shown}`:\n{}",
            (said.stdout + &said.stderr).trim_end()
        )))
    }
}

/// Empties a folder except for one entry.
fn remove_all_but(folder: &Utf8Path, kept: &str) -> std::io::Result<()> {
    for entry in folder.read_dir_utf8()? {
        let entry = entry?;
        if entry.file_name() == kept {
            continue;
        }
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes every name of the images that carry the demo's label. An image without a name is
/// removed.
fn remove_images() -> Result<()> {
    let fault =
        |error: xshell::Error| Fault::failed(format!("cannot remove the demo's images: {error}"));
    let shell = Shell::new().map_err(fault)?;
    let (label, format) = (copy::LABEL, "{{.Repository}}:{{.Tag}}");
    let listed = cmd!(
        shell,
        "docker image ls --filter label={label} --format {format}"
    )
    .quiet();
    let listed = listed.read().map_err(fault)?;
    let names: Vec<&str> = listed
        .lines()
        .filter(|name| !name.contains("<none>"))
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    // Each name takes the engine a quarter of a second; several at once take less.
    std::thread::scope(|scope| {
        let parts = names.chunks(names.len().div_ceil(AT_ONCE));
        let removals: Vec<_> = parts
            .map(|names| {
                scope.spawn(move || {
                    let shell = Shell::new()?;
                    let removed = cmd!(shell, "docker image rm --force -- {names...}").quiet();
                    removed.ignore_stdout().run()
                })
            })
            .collect();
        let mut results = removals.into_iter().filter_map(|part| part.join().ok());
        results.try_for_each(|removed| removed.map_err(fault))
    })
}

fn title(text: &str) {
    tell(&format!("\n{text}"));
}

fn tell(text: &str) {
    crate::tell!("{text}");
}

fn expect(said: &str, expected: &str) -> Result<()> {
    if said.contains(expected) {
        return Ok(());
    }
    Err(Fault::failed(format!(
        "the demo expected `{expected}`, and the program said `{said}`: please report this"
    )))
}
