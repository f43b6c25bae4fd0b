//! What publishes images, and what CI needs for it: `publish`, `workflow`, `key`.

use camino::Utf8PathBuf;
use clap::Args;

use super::Where;

/// `publish`
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// Stages or groups to publish; all that name an image when none is named
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the flattened struct says it")]
    pub at: Where,
    /// Only these targets of the graph file; all of them without this
    #[arg(long, value_name = "TARGET")]
    pub to: Vec<String>,
    /// Push nothing: print which tags would move, from what to what
    #[arg(long)]
    pub dry_run: bool,
    /// Publish images that no verification covers; the reason is kept in the release
    #[arg(long, value_name = "WHY", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub unverified: Option<String>,
    /// Move tags that the graph calls immutable, or that somebody else moved meanwhile
    #[arg(long)]
    pub allow_overwrite: bool,
    /// Let the tags point to an earlier release again: its name, or the path of its release.json
    #[arg(long, value_name = "RELEASE", conflicts_with_all = ["stages", "promote"])]
    pub rollback: Option<String>,
    /// Copy an earlier release from one target to others, by digest
    #[arg(
        long,
        value_name = "RELEASE",
        requires = "from",
        conflicts_with = "stages"
    )]
    pub promote: Option<String>,
    /// The target that has the release to promote
    #[arg(long, value_name = "TARGET", requires = "promote")]
    pub from: Option<String>,
    /// Print the release and its moves as JSON
    #[arg(long)]
    pub json: bool,
}

/// `workflow`
#[derive(Debug, Args)]
pub struct WorkflowArgs {
    /// The graph file [default: the nearest build-graph.toml from here upwards]
    #[arg(long, value_name = "FILE")]
    pub graph: Option<Utf8PathBuf>,
    /// Write nothing, and fail if the file is not what would be written
    #[arg(long)]
    pub check: bool,
}

/// `key`
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// Where the private key is written; a key that is there is kept
    #[arg(value_name = "FILE")]
    pub file: Utf8PathBuf,
}
