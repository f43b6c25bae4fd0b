//! The flags of the commands about sources and pins: `sync`, `lock` and `outdated`.

use clap::Args;

use super::Where;

/// `sync`
#[derive(Debug, Args)]
pub struct SyncArgs {
    /// Sources to fetch; all when none is named
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the flattened struct says it")]
    pub at: Where,
    /// Only ask whether tags and branches are what the lock file says
    #[arg(long, conflicts_with_all = ["locked", "offline", "json"])]
    pub check: bool,
    /// Refuse sources that the lock file does not pin
    #[arg(long)]
    pub locked: bool,
    /// Ask no repository
    #[arg(long)]
    pub offline: bool,
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// `lock`
#[derive(Debug, Args)]
pub struct LockArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the flattened struct says it")]
    pub at: Where,
    /// Pin these images and sources again, at what they are now (all without a name):
    /// `python:3.12-slim-bookworm`, `dify`
    #[arg(long, value_name = "NAME", num_args = 0..)]
    pub update: Option<Vec<String>>,
}

/// `outdated`
#[derive(Debug, Args)]
pub struct OutdatedArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the flattened struct says it")]
    pub at: Where,
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
}
