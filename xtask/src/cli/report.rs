//! `report`

use camino::Utf8PathBuf;
use clap::Args;

/// `report`
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The graph file [default: the nearest build-graph.toml from here upwards]
    #[arg(long, value_name = "FILE")]
    pub graph: Option<Utf8PathBuf>,
    /// The build to report on: its id in `--list`, or its beginning [default: the last one that
    /// built something, else the last one]
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// An earlier build to compare it with
    #[arg(long, value_name = "ID")]
    pub compare: Option<String>,
    /// The page to write, or `-` for stdout [default: target/xtask/report.html beside the graph
    /// file]
    #[arg(long, value_name = "FILE")]
    pub file: Option<Utf8PathBuf>,
    /// Write the build as Chrome's trace events, too, or to stdout with `-`; Perfetto opens them
    #[arg(long, value_name = "FILE")]
    pub trace: Option<Utf8PathBuf>,
    /// List the builds that are kept, and write nothing
    #[arg(long, conflicts_with_all = ["run", "compare", "file", "trace"])]
    pub list: bool,
}
