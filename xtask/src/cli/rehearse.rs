//! The flags of `rehearse`.

use clap::Args;

use super::Where;

/// `rehearse`
#[derive(Debug, Args)]
pub struct RehearseArgs {
    /// A tag, branch or commit of the source
    #[arg(value_name = "REV")]
    pub revision: String,
    /// The source [default: the one of most stages]
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the flattened struct says it")]
    pub at: Where,
    /// Build on that revision, and hold the images against the policy
    #[arg(long)]
    pub policy: bool,
    /// Build on that revision, and try whether its stack comes up on the volumes of the stack as it is
    #[arg(long)]
    pub stack: bool,
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
}
