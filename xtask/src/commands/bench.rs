//! `cargo xtask bench`: figures of this machine, each beside its goal.
//!
//! A goal that is missed is no fault: what a busy machine measures is no proof.

use camino::Utf8PathBuf;
use clap::Args;

use crate::bench::{Bench, Case, bare, verifying};
use crate::fault::{Fault, Result};
use crate::interrupt::Interrupt;
use crate::state;

/// `bench`
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure; all of it when nothing is named
    #[arg(value_name = "CASE", value_enum)]
    pub cases: Vec<Case>,
    /// How often every program runs, after one run that is not counted
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub runs: u16,
    /// Only looks at the paths and asks for the images of this file: what a no-op is held against
    #[arg(long, value_name = "FILE", hide = true)]
    pub bare: Option<Utf8PathBuf>,
    /// Only reads so many images of the bench: what a verification is held against
    #[arg(long, value_name = "N", hide = true)]
    pub bare_images: Option<usize>,
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// Measures the named cases. Their files stay in `target/bench` for the next time.
pub fn run(flags: &BenchArgs) -> Result<()> {
    if let Some(file) = &flags.bare {
        return bare::run(file).map_err(|error| Fault::failed(error.to_string()));
    }
    if let Some(images) = flags.bare_images {
        return verifying::read_barely(images);
    }
    let all = [
        Case::Noop,
        Case::Crowded,
        Case::Cold,
        Case::Stages,
        Case::Growth,
        Case::Verify,
    ];
    let cases = all
        .iter()
        .filter(|case| flags.cases.is_empty() || flags.cases.contains(case));
    let folder = state::workspace().join("target/bench");
    let mut bench = Bench::open(&folder, Interrupt::listen()?, usize::from(flags.runs))?;
    for case in cases {
        bench.measure(*case)?;
    }
    let report = bench.report();
    if flags.json {
        return super::print_json(&report);
    }
    super::print(&report.text());
    Ok(())
}
