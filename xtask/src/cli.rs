//! The command line: words and flags. A test compares them with the table in DESIGN.md, *Commands*.

mod export;
mod init;
mod prune;
mod publish;

use std::ffi::OsString;

use camino::Utf8PathBuf;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::workshop::bench::Case;
pub use export::{BakeArgs, BundleArgs, ComposeArgs, ExportArgs, ExportFormat};
pub use init::InitArgs;
pub use prune::PruneArgs;
pub use publish::{KeyArgs, PublishArgs, WorkflowArgs};

/// Builds the container images of a Dify monorepo from `build-graph.toml`.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a graph file from what says which images this repository has
    Init(InitArgs),
    /// Bring stages up to date: build what is stale, skip what is fresh
    Build(BuildArgs),
    /// Show every stage's verdict and why, and run nothing
    Plan(PlanArgs),
    /// Say why a stage is fresh or stale, to the root cause
    Explain(ExplainArgs),
    /// List what can change a stage's image
    Inputs(InputsArgs),
    /// Draw the graph
    Graph(GraphArgs),
    /// Pin sources and external images in build-graph.lock
    Lock(LockArgs),
    /// Show which sources and external images moved since they were pinned
    Outdated(OutdatedArgs),
    /// Fetch the sources at their locked commits
    Sync(SyncArgs),
    /// Hold the images against the policy, and try them as a running stack
    Verify(VerifyArgs),
    /// Push what was verified, as a release set, and then move the tags
    Publish(PublishArgs),
    /// Write the graph in the formats of its neighbours
    Export(ExportArgs),
    /// Write the CI workflow of the graph
    Workflow(WorkflowArgs),
    /// Remove what neither the graph nor a tag needs any more
    Prune(PruneArgs),
    /// Make the key that signs what this machine shares, and print its public half
    Key(KeyArgs),
    /// Print the JSON Schema of the graph file, by which editors complete and check it
    Schema,
    /// Print what completes commands, flags and the names of the graph in a shell
    Completions(CompletionsArgs),
    /// Check what this machine must have, and install and start what is missing
    Setup(SetupArgs),
    /// Show all this on the bundled sample monorepo, with real images
    Demo(DemoArgs),
    /// Run every check and test of this project
    Test(TestArgs),
    /// Measure this program beside others
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

/// `completions`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell that reads what is printed
    #[arg(value_name = "SHELL", value_enum, required_unless_present = "words")]
    pub shell: Option<Shell>,
    /// What the scripts call: the words from the program's name to the cursor
    #[arg(last = true, hide = true, conflicts_with = "shell")]
    pub words: Vec<OsString>,
}

/// The shells that `completions` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash
    Bash,
    /// The Z shell
    Zsh,
    /// The friendly interactive shell
    Fish,
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

/// `lock`
#[derive(Debug, Args)]
pub struct LockArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the flattened struct says it")]
    pub at: Where,
    /// Pin anew what these images and sources (all without a name) are by now:
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
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
}
