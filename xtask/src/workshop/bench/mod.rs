//! How fast this program is, beside others that do a part of the same: the cases, their goals and
//! their peers. Every figure is of whole processes, ours and theirs in turns in the same run. The
//! program is run as a user runs it.

pub mod bare;
mod building;
mod chart;
mod crowded;
mod engines;
mod figures;
mod getting;
mod growing;
pub mod machine;
pub mod measure;
mod memory;
mod peers;
mod phrases;
pub mod recorded;
mod section;
mod shipping;
mod standin;
pub mod table;
mod tools;
mod tree;
pub mod verifying;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use clap::ValueEnum;
use serde_json::Value;

use crate::fault::{Fault, Result};
use crate::outside::interrupt::Interrupt;
use machine::BenchMachine;
use measure::Runner;
use standin::StandIn;
use table::BenchReport;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// Two images that are fresh, beside bake, buildx in a loop, compose, git, ninja and Turborepo
    Noop,
    /// One file changed in one of two images, beside the same tools
    Change,
    /// The same in an engine with 500 images more, beside the bare program
    Crowded,
    /// Every file hashed for the first time, beside b3sum and Turborepo
    Cold,
    /// Two images of 300 MB without any cache, beside bake, buildx in a loop and compose
    Build,
    /// 10,000 fresh stages with 110,000 files, beside ninja
    Stages,
    /// Time and memory of 1,000 to 1,000,000 files
    Growth,
    /// Four images of 300 MB, beside a program that only reads them
    Verify,
    /// A plan of an empty machine and one change in twenty stages, beside bake
    Shipping,
}

impl Case {
    /// Its name, and what it measures.
    fn told(self) -> String {
        let value = self.to_possible_value();
        let name = value.as_ref().map_or("", |value| value.get_name());
        let help = value.as_ref().and_then(|value| value.get_help());
        format!(
            "{name}: {}",
            help.map(ToString::to_string).unwrap_or_default()
        )
    }
}

/// A bench: where its files are, what it runs, and what it has found so far.
#[derive(Debug)]
pub struct Bench {
    folder: Utf8PathBuf,
    program: PathBuf,
    runner: Runner,
    report: BenchReport,
}

impl Bench {
    /// A bench with its files below `folder`, which may be removed at any time.
    pub fn open(folder: &Utf8Path, interrupt: Interrupt, runs: usize) -> Result<Self> {
        let made = std::fs::create_dir_all(folder).and_then(|()| folder.canonicalize_utf8());
        let folder =
            made.map_err(|error| Fault::lacks(format!("cannot make {folder}: {error}")))?;
        let program = std::env::current_exe()
            .map_err(|error| Fault::lacks(format!("cannot find this program itself: {error}")))?;
        Ok(Self {
            folder,
            program,
            runner: Runner::new(interrupt, runs),
            report: BenchReport {
                machine: BenchMachine::look(),
                runs,
                load: machine::load(),
                ..BenchReport::default()
            },
        })
    }

    /// Measures one case. Says so first, as its files may have to be made.
    pub fn measure(&mut self, case: Case) -> Result<()> {
        crate::tell!("{}", case.told());
        match case {
            Case::Noop => self.noop(),
            Case::Change => self.change(),
            Case::Crowded => self.crowded(),
            Case::Cold => self.cold(),
            Case::Build => self.cold_build(),
            Case::Stages => self.stages(),
            Case::Growth => self.growth(),
            Case::Verify => self.verify(),
            Case::Shipping => self.shipping(),
        }
    }

    /// The report of all cases so far.
    pub fn report(self) -> BenchReport {
        BenchReport {
            load_after: machine::load(),
            ..self.report
        }
    }

    fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.report.notes.contains(&note) {
            self.report.notes.push(note);
        }
    }

    /// Starts the stand-in for an engine, and mentions it in the report.
    fn stand_in(&mut self) -> Result<StandIn> {
        self.note(
            "engine of cold, stages and growth: a stand-in that answers from memory, with a `docker` that does nothing",
        );
        StandIn::start(&self.folder.join("images"))
    }

    /// Brings everything up to date, and makes sure that the next run finds nothing to do.
    fn settle(&self, place: &Place<'_>) -> Result<()> {
        crate::tell!("bringing {} up to date", place.graph);
        let name = "cargo xtask build";
        self.runner.once(name, &mut self.xtask(place, &["build"]))?;
        let printed = self.runner.output(
            "cargo xtask plan",
            &mut self.xtask(place, &["plan", "--json"]),
        )?;
        let plan: Value = serde_json::from_slice(&printed)
            .map_err(|error| Fault::failed(format!("cannot read the plan: {error}")))?;
        let stages = plan["stages"].as_array().map_or(&[][..], Vec::as_slice);
        match stages.iter().find(|stage| stage["verdict"] != "fresh") {
            None if stages.is_empty() => Err(Fault::failed(format!("{} is empty", place.graph))),
            None => Ok(()),
            Some(stage) => Err(Fault::failed(format!(
                "{} is not fresh right after it was built: {}",
                stage["stage"], stage["reason"]
            ))),
        }
    }

    /// This program, on a graph of the bench.
    fn xtask(&self, place: &Place<'_>, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--graph").arg(&place.graph);
        command
            .current_dir(&self.folder)
            .env("XTASK_STATE", &place.state)
            .env("DOCKER_HOST", place.host)
            .env_remove("SOURCE_DATE_EPOCH");
        if let Some(path) = &place.path {
            command.env("PATH", path);
        }
        command
    }
}

/// A graph of the bench.
struct Place<'a> {
    graph: Utf8PathBuf,
    state: Utf8PathBuf,
    host: &'a str,
    /// A search path with another `docker`.
    path: Option<OsString>,
}

/// Whether a program is on this machine.
fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
