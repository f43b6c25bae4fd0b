//! The command line: words and flags. A test compares them with the table in DESIGN.md, *Commands*.

mod called;
mod completions;
mod examples;
mod export;
mod init;
mod prune;
mod publish;
mod rehearse;
mod report;
mod sources;
mod workshop;

use camino::Utf8PathBuf;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub use completions::{CompletionsArgs, Shell};
pub use export::{BakeArgs, BundleArgs, ComposeArgs, ExportArgs, ExportFormat};
pub use init::InitArgs;
pub use prune::PruneArgs;
pub use publish::{KeyArgs, PublishArgs, WorkflowArgs};
pub use rehearse::RehearseArgs;
pub use report::ReportArgs;
pub use sources::{LockArgs, OutdatedArgs, SyncArgs};
pub use workshop::{BenchArgs, TestArgs};

/// Builds the container images of a Dify monorepo from `build-graph.toml`.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    after_long_help = examples::PROGRAM
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a graph file from what says which images this repository has
    #[command(after_long_help = examples::INIT)]
    Init(InitArgs),
    /// Bring stages up to date: build what is stale, skip what is fresh
    #[command(after_long_help = examples::BUILD)]
    Build(BuildArgs),
    /// Show every stage's verdict and why, and run nothing
    #[command(after_long_help = examples::PLAN)]
    Plan(PlanArgs),
    /// Say why a stage is fresh or stale, to the root cause
    #[command(after_long_help = examples::EXPLAIN)]
    Explain(ExplainArgs),
    /// Try the graph on another revision of a source: what would be built again, what does not fit
    #[command(after_long_help = examples::REHEARSE)]
    Rehearse(RehearseArgs),
    /// List what can change a stage's image
    #[command(after_long_help = examples::INPUTS)]
    Inputs(InputsArgs),
    /// Draw the graph
    #[command(after_long_help = examples::GRAPH)]
    Graph(GraphArgs),
    /// Pin sources and external images in build-graph.lock
    #[command(after_long_help = examples::LOCK)]
    Lock(LockArgs),
    /// Show which sources and external images moved since they were pinned
    #[command(after_long_help = examples::OUTDATED)]
    Outdated(OutdatedArgs),
    /// Fetch the sources at their locked commits
    #[command(after_long_help = examples::SYNC)]
    Sync(SyncArgs),
    /// Hold the images against the policy, and try them as a running stack
    #[command(after_long_help = examples::VERIFY)]
    Verify(VerifyArgs),
    /// Write a page about a build: where its time went, and why each stage was built
    #[command(after_long_help = examples::REPORT)]
    Report(ReportArgs),
    /// Push what was verified, as a release set, and then move the tags
    #[command(after_long_help = examples::PUBLISH)]
    Publish(PublishArgs),
    /// Write the graph in the formats of its neighbours
    #[command(after_long_help = examples::EXPORT)]
    Export(ExportArgs),
    /// Write the CI workflow of the graph
    #[command(after_long_help = examples::WORKFLOW)]
    Workflow(WorkflowArgs),
    /// Remove what neither the graph nor a tag needs any more
    #[command(after_long_help = examples::PRUNE)]
    Prune(PruneArgs),
    /// Make the key that signs what this machine shares, and print its public half
    #[command(after_long_help = examples::KEY)]
    Key(KeyArgs),
    /// Print the JSON Schema of the graph file, by which editors complete and check it
    #[command(after_long_help = examples::SCHEMA)]
    Schema,
    /// Print what completes commands, flags and the names of the graph in a shell
    #[command(after_long_help = examples::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Check what this machine must have, and install and start what is missing
    #[command(after_long_help = examples::SETUP)]
    Setup(SetupArgs),
    /// Show all this on the bundled sample monorepo, with real images
    #[command(after_long_help = examples::DEMO)]
    Demo(DemoArgs),
    /// Run every check and test of this project
    #[command(after_long_help = examples::TEST)]
    Test(TestArgs),
    /// Measure this program beside others
    #[command(after_long_help = examples::BENCH)]
    Bench(BenchArgs),
}

/// Where the graph is.
#[derive(Debug, Clone, Args)]
pub struct Where {
    /// The graph file [default: the nearest build-graph.toml from here upwards]
    #[arg(long, value_name = "FILE")]
    pub graph: Option<Utf8PathBuf>,
    /// A profile of the graph file, laid over it; a later one is laid over the earlier ones
    #[arg(long, value_name = "NAME")]
    pub profile: Vec<String>,
    /// The value of a variable of [vars], in place of the file's and the environment's
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub set: Vec<(String, String)>,
    /// Where every image is put, in place of the outputs in the graph file
    #[arg(long, value_name = "WHERE", value_parser = ["engine", "registry", "oci"])]
    pub output: Option<String>,
}

fn source(text: &str) -> Result<(String, Utf8PathBuf), String> {
    let (name, folder) = text
        .split_once('=')
        .ok_or("it must be NAME=DIR, with a name for the source")?;
    crate::graphfile::spec::names::identifier(name)?;
    Ok((name.to_owned(), folder.into()))
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("it must be NAME=VALUE, with a name of [vars]")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// `build`
#[derive(Debug, Clone, Args)]
pub struct BuildArgs {
    /// Stages or groups to build, with what they stand on; all when none is named
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the flattened struct says it")]
    pub at: Where,
    /// How many stages at once; a stage's weight counts
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,
    /// Keep building stages that do not depend on a failed one
    #[arg(long)]
    pub keep_going: bool,
    /// Build all wanted stages, or the one named, even if fresh
    #[arg(long, value_name = "STAGE", num_args = 0..=1, require_equals = true)]
    pub force: Option<Option<String>>,
    /// Refuse sources and external images that the lock file does not pin
    #[arg(long)]
    pub locked: bool,
    /// Use only what is on this machine: ask no registry and no repository
    #[arg(long)]
    pub offline: bool,
    /// Platforms to build for, in place of the graph's
    #[arg(long, value_name = "P", value_delimiter = ',')]
    pub platform: Vec<String>,
    /// Set up what this machine lacks without asking, as `setup --yes` does
    #[arg(long)]
    pub yes: bool,
    /// Print notes and failures only
    #[arg(long, short, conflicts_with_all = ["verbose", "json"])]
    pub quiet: bool,
    /// Print what the steps print, too
    #[arg(long, short, conflicts_with = "json")]
    pub verbose: bool,
    /// Only stages whose keys differ from those at this commit, branch or tag
    #[arg(long, value_name = "REF")]
    pub since: Option<String>,
    /// Run every step again, also those that BuildKit has in its cache
    #[arg(long)]
    pub no_cache: bool,
    /// One JSON event per line on stdout
    #[arg(long)]
    pub json: bool,
}

/// `setup`
#[derive(Debug, Args)]
pub struct SetupArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the flattened struct says it")]
    pub at: Where,
    /// Check only; change nothing
    #[arg(long)]
    pub check: bool,
    /// Do not prompt
    #[arg(long, conflicts_with = "check")]
    pub yes: bool,
    /// One JSON object on stdout
    #[arg(long, requires = "check")]
    pub json: bool,
}

/// `demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Install what is missing without a prompt
    #[arg(long)]
    pub yes: bool,
    /// Leave its images, files and state where they are
    #[arg(long)]
    pub keep: bool,
}

/// `plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Stages or groups to look at, with what they stand on; all when none is named
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the flattened struct says it")]
    pub at: Where,
    /// Platforms, in place of the graph's
    #[arg(long, value_name = "P", value_delimiter = ',')]
    pub platform: Vec<String>,
    /// Refuse external images that the lock file does not pin
    #[arg(long)]
    pub locked: bool,
    /// Only stages whose keys differ from those at this commit, branch or tag
    #[arg(long, value_name = "REF")]
    pub since: Option<String>,
    /// End with status 1 if a stage is not fresh
    #[arg(long)]
    pub exit_code: bool,
    /// Print the jobs of the workflow that must build something, as lines for `$GITHUB_OUTPUT`
    #[arg(long, conflicts_with = "json")]
    pub matrix: bool,
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// `verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Stages or groups whose images are verified; all when none is named
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the flattened struct says it")]
    pub at: Where,
    /// Build what is not fresh first
    #[arg(long)]
    pub build: bool,
    /// Verify what a registry has under this reference, as anybody outside sees it
    #[arg(long, value_name = "REF", conflicts_with_all = ["stages", "build", "policy_only", "stack_only", "size", "reproducible"])]
    pub published: Option<String>,
    /// Load a bundle of `export bundle`, and try it with the probes of the graph
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["stages", "build", "published", "policy_only", "size", "reproducible"])]
    pub bundle: Option<Utf8PathBuf>,
    /// Build each stage twice without a cache, from two checkouts, and compare the digests
    #[arg(long, conflicts_with_all = ["build", "policy_only", "stack_only", "size"])]
    pub reproducible: bool,
    /// Only hold the images against the policy
    #[arg(long, conflicts_with = "stack_only")]
    pub policy_only: bool,
    /// Only try the running stack
    #[arg(long)]
    pub stack_only: bool,
    /// Show what the bytes of the images are, and judge nothing
    #[arg(long, conflicts_with_all = ["policy_only", "stack_only", "keep", "force", "junit", "sarif"])]
    pub size: bool,
    /// Leave the stack up, and print its addresses
    #[arg(long, conflicts_with = "policy_only")]
    pub keep: bool,
    /// Verify again what was verified before
    #[arg(long)]
    pub force: bool,
    /// Write the answer as `JUnit` XML, too
    #[arg(long, value_name = "FILE")]
    pub junit: Option<Utf8PathBuf>,
    /// Write the answer as SARIF, too
    #[arg(long, value_name = "FILE")]
    pub sarif: Option<Utf8PathBuf>,
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// `explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The stage
    #[arg(value_name = "STAGE")]
    pub stage: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the flattened struct says it")]
    pub at: Where,
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// `inputs`
#[derive(Debug, Args)]
pub struct InputsArgs {
    /// A stage of the graph
    #[arg(
        value_name = "STAGE",
        required_unless_present = "context",
        conflicts_with = "context"
    )]
    pub stage: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the flattened struct says it")]
    pub at: Where,
    /// A folder that is in no graph
    #[arg(long, value_name = "DIR")]
    pub context: Option<Utf8PathBuf>,
    /// Its Dockerfile [default: DIR/Dockerfile]
    #[arg(long, value_name = "FILE", requires = "context")]
    pub dockerfile: Option<Utf8PathBuf>,
    /// The Dockerfile stage
    #[arg(long, value_name = "NAME", requires = "context")]
    pub target: Option<String>,
    /// A build argument, `NAME=VALUE`
    #[arg(long, value_name = "K=V", requires = "context")]
    pub build_arg: Vec<String>,
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// `graph`
#[derive(Debug, Args)]
pub struct GraphArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the flattened struct says it")]
    pub at: Where,
    /// The form of the drawing
    #[arg(long, value_enum, default_value_t = GraphFormat::Tree)]
    pub format: GraphFormat,
}

/// Forms in which the graph is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Indented lines
    Tree,
    /// Graphviz
    Dot,
    /// Mermaid, for Markdown
    Mermaid,
    /// A picture
    Svg,
    /// For programs
    Json,
}
