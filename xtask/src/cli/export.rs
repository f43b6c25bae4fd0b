//! `export`

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};

use super::Where;

/// `export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Into which format.
    #[command(subcommand)]
    pub format: ExportFormat,
}

/// The formats.
#[derive(Debug, Subcommand)]
pub enum ExportFormat {
    /// A file for `docker buildx bake`, which builds the same images
    Bake(BakeArgs),
}

/// `export bake`
#[derive(Debug, Args)]
pub struct BakeArgs {
    /// Stages or groups to export, with what they stand on; all when none is named
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the flattened struct says it")]
    pub at: Where,
    /// The file to write [default: docker-bake.json beside the graph file]
    #[arg(long, value_name = "FILE")]
    pub file: Option<Utf8PathBuf>,
}
