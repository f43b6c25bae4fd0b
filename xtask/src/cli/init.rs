//! The flags of `init`.

use camino::Utf8PathBuf;
use clap::Args;

/// `init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The graph file [default: build-graph.toml in the current folder]
    #[arg(long, value_name = "FILE")]
    pub graph: Option<Utf8PathBuf>,
    /// Look at a checkout elsewhere in place of this folder, and call it a source of this name
    #[arg(long, value_name = "NAME=DIR", value_parser = super::source)]
    pub source: Vec<(String, Utf8PathBuf)>,
    /// Say what has changed since the graph file was written, and change nothing
    #[arg(long)]
    pub check: bool,
}
