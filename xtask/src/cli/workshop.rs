//! The tools for work on this project: `test`, `bench`.

use camino::Utf8PathBuf;
use clap::Args;

use crate::workshop::bench::Case;

/// `test`
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Only tests whose name contains this
    #[arg(value_name = "FILTER")]
    pub filter: Option<String>,
    /// Leave out what needs an engine
    #[arg(long)]
    pub fast: bool,
    /// How often a build is killed at a random moment
    #[arg(long, value_name = "N")]
    pub kills: Option<u64>,
    /// How many random changes the key is held against a real build for
    #[arg(long, value_name = "N")]
    pub oracle: Option<u64>,
    /// The seed of the kills and of the random changes, as a run prints it
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
}

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
    /// Record the figures in docs/bench, and make the chart and the READMEs' sections from them
    #[arg(long)]
    pub record: bool,
    /// Measure nothing; make the chart and the sections again from the recorded figures
    #[arg(long, conflicts_with_all = ["cases", "record", "json"])]
    pub redraw: bool,
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
}
