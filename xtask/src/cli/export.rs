//! `export`

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};

use super::{Where, examples};

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
    #[command(after_long_help = examples::EXPORT_BAKE)]
    Bake(BakeArgs),
    /// An override that points the services of a compose file at the images, by digest
    #[command(after_long_help = examples::EXPORT_COMPOSE)]
    Compose(ComposeArgs),
    /// A folder with all images of the stack, for machines without a network
    #[command(after_long_help = examples::EXPORT_BUNDLE)]
    Bundle(BundleArgs),
}

/// `export bundle`
#[derive(Debug, Args)]
pub struct BundleArgs {
    /// Further stages or groups; those that the services use are always in it
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the flattened struct says it")]
    pub at: Where,
    /// The platform of the images [default: the engine's own]
    #[arg(long, value_name = "P")]
    pub platform: Option<String>,
    /// The folder to write [default: bundle beside the graph file]
    #[arg(long, value_name = "FOLDER")]
    pub to: Option<Utf8PathBuf>,
}

/// `export compose`
#[derive(Debug, Args)]
pub struct ComposeArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the flattened struct says it")]
    pub at: Where,
    /// The release whose images are meant: its name, or the path of its release.json [default: the
    /// last one that was published from here, else what the registry of the records has]
    #[arg(long, value_name = "RELEASE")]
    pub release: Option<String>,
    /// The target that has the release
    #[arg(long, value_name = "TARGET")]
    pub from: Option<String>,
    /// The file to write [default: compose.images.yaml beside the graph file]
    #[arg(long, value_name = "FILE")]
    pub file: Option<Utf8PathBuf>,
    /// Write nothing: ask whether every image that the compose file and the override name is there,
    /// for each platform
    #[arg(long, conflicts_with = "file")]
    pub check: bool,
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
