//! `prune`

use clap::Args;

use super::Where;

/// `prune`
#[derive(Debug, Args)]
pub struct PruneArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the flattened struct says it")]
    pub at: Where,
    /// What is younger stays
    #[arg(long, value_name = "DAYS", default_value_t = 14)]
    pub older: u16,
    /// Prune the registry of [registry], too: its records and the images of parts
    #[arg(long)]
    pub registry: bool,
    /// Remove without asking
    #[arg(long)]
    pub yes: bool,
    /// Print what goes and what stays as JSON
    #[arg(long)]
    pub json: bool,
}
