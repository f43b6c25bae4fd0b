//! Which peers are on this machine. What is missing is named with the command that installs it.
//! Nothing is installed on the machine; only Turborepo, which is a package of npm, goes into a folder
//! of the bench's own.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Bench, has};
use crate::fault::{Fault, Result};

/// The version of Turborepo that is installed, as a range of npm's.
const TURBO: &str = "turbo@2";

impl Bench {
    /// Whether a peer is here. Notes its version, or how to get it.
    pub(super) fn has_peer(&mut self, program: &str, install: &str) -> bool {
        if !has(program) {
            self.note(format!("{program} was left out, it is not here: {install}"));
            return false;
        }
        let mut version = Command::new(program);
        version.arg("--version");
        self.report.machine.uses(program, version);
        true
    }

    /// The folder in which Turborepo is installed, or `None` with a note why it is not.
    pub(super) fn turborepo(&mut self) -> Result<Option<Utf8PathBuf>> {
        let folder = self.folder.join("turborepo");
        let program = folder.join("node_modules/.bin/turbo");
        if !program.is_file() {
            if !has("npm") || !has("node") {
                self.note("turbo was left out, there is no npm here: apt-get install npm");
                return Ok(None);
            }
            if let Err(fault) = self.install_turborepo(&folder) {
                if self.runner.interrupt().is_set() {
                    return Err(Fault::interrupted());
                }
                self.note(format!("turbo was left out, {fault}"));
                return Ok(None);
            }
        }
        let with_version = |program: &str| {
            let mut command = Command::new(program);
            command.arg("--version").current_dir(&folder);
            command.env("TURBO_TELEMETRY_DISABLED", "1");
            command
        };
        self.report
            .machine
            .uses("turbo", with_version(program.as_str()));
        self.report.machine.uses("node", with_version("node"));
        Ok(Some(folder))
    }

    fn install_turborepo(&self, folder: &Utf8Path) -> Result<()> {
        std::fs::create_dir_all(folder)
            .map_err(|error| Fault::lacks(format!("cannot make {folder}: {error}")))?;
        crate::tell!("npm installs {TURBO} in {folder}");
        let mut npm = Command::new("npm");
        npm.current_dir(folder)
            .args(["install", "--prefix", folder.as_str()])
            .args(["--no-audit", "--no-fund", "--ignore-scripts", TURBO]);
        self.runner.once("npm install", &mut npm).map(drop)
    }
}
