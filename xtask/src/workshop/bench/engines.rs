//! The engines of the bench: one that runs already, or engines of its own.

use camino::Utf8Path;

use super::{Bench, has, tools};
use crate::fault::{Fault, Result};
use crate::outside::interrupt::Interrupt;
use crate::workshop::testbed::{self, Testbed};

/// How the versions of the machine name compose.
const COMPOSE: &str = "docker compose";

/// A real engine: one that runs already, or one that is started for the bench.
pub(super) enum BenchEngine {
    Running(String),
    Started(Box<Testbed>),
}

impl BenchEngine {
    /// The engine that `XTASK_TEST_ENGINE` names, or an engine of the bench's own if the machine
    /// has what it needs.
    pub(super) fn find(folder: &Utf8Path, interrupt: &Interrupt) -> Result<Self, String> {
        if let Ok(host) = std::env::var("XTASK_TEST_ENGINE") {
            return Ok(Self::Running(host));
        }
        let remedy =
            "set XTASK_TEST_ENGINE to the address of one that runs, as unix:///var/run/docker.sock";
        if !testbed::is_installed() {
            return Err(format!(
                "no engine: {remedy}, or run `cargo xtask test` once as root, which installs one"
            ));
        }
        crate::tell!("starting an engine");
        let started = Testbed::start(folder, interrupt);
        started
            .map(|testbed| Self::Started(Box::new(testbed)))
            .map_err(|fault| format!("{fault}; {remedy}"))
    }

    pub(super) fn host(&self) -> String {
        match self {
            Self::Running(host) => host.clone(),
            Self::Started(testbed) => testbed.host(),
        }
    }
}

impl Bench {
    /// An engine for a case, or `None` with a note why there is none.
    pub(super) fn engine(&mut self, case: &str) -> Result<Option<BenchEngine>> {
        if !has("docker") {
            self.note(format!("{case} was left out, there is no docker here: apt-get install docker-cli docker-buildx"));
            return Ok(None);
        }
        let interrupt = self.runner.interrupt();
        match BenchEngine::find(&self.folder.join("engine"), interrupt) {
            Err(_) if interrupt.is_set() => Err(Fault::interrupted()),
            Err(why) => {
                self.note(format!("{case} was left out, {why}"));
                Ok(None)
            }
            Ok(engine) => {
                self.note_docker(&engine.host());
                Ok(Some(engine))
            }
        }
    }

    /// Engines and a registry of the bench's own, for a case that empties what it builds in. `None`
    /// with a note why there are none.
    pub(super) fn own_engines(&mut self, case: &str) -> Result<Option<Testbed>> {
        if !testbed::is_installed() {
            self.note(format!("{case} was left out, it wants an engine of its own: run `cargo xtask test` once as root, which installs one"));
            return Ok(None);
        }
        crate::tell!("starting an engine");
        let interrupt = self.runner.interrupt();
        match Testbed::start(&self.folder.join("shipping-engines"), interrupt) {
            Err(_) if interrupt.is_set() => Err(Fault::interrupted()),
            Err(fault) => {
                self.note(format!("{case} was left out, {fault}"));
                Ok(None)
            }
            Ok(testbed) => {
                self.note_docker(&testbed.host());
                Ok(Some(testbed))
            }
        }
    }

    /// Notes the versions of the engine and of Docker's programs.
    fn note_docker(&mut self, host: &str) {
        let folder = self.folder.clone();
        let programs: [(&str, &[&str]); 4] = [
            (
                "docker engine",
                &["version", "--format={{.Server.Version}}"],
            ),
            ("docker", &["--version"]),
            ("docker buildx", &["buildx", "version"]),
            (COMPOSE, &["compose", "version"]),
        ];
        for (name, arguments) in programs {
            let command = tools::docker(&folder, host, arguments);
            self.report.machine.uses(name, command);
        }
    }

    /// Whether docker has compose. Known as soon as there is an engine.
    pub(super) fn has_compose(&self) -> bool {
        self.report.machine.programs.contains_key(COMPOSE)
    }
}
