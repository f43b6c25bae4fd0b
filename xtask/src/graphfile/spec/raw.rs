//! What `build-graph.toml` says, word for word, each value with its place. Nothing is checked here
//! but the names and types of fields.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::placed::Placed;

/// Text with its place in the file.
pub type Text = Placed<String>;
/// A table of texts, such as `args` and `labels`.
pub type Texts = BTreeMap<Text, Text>;

/// `[defaults]`, `[stage.NAME]` and `[profile.NAME.stage.NAME]`: the same fields, all optional.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a stage's table"
)]
pub struct RawStage {
    /// The `[source.NAME]` whose root the stage's paths are relative to.
    pub source: Option<Text>,
    /// The context's folder.
    pub context: Option<Text>,
    /// The Dockerfile; `<context>/Dockerfile` when absent.
    pub dockerfile: Option<Text>,
    /// The Dockerfile stage to build; the last one when absent.
    pub target: Option<Text>,
    /// Build arguments.
    pub args: Option<Texts>,
    /// Names of arguments and labels that may change without making the stage stale.
    pub volatile: Option<Vec<Text>>,
    /// Image labels.
    pub labels: Option<Texts>,
    /// `os/arch` pairs; the engine's own when absent.
    pub platforms: Option<Vec<Text>>,
    /// What differs on one of the platforms.
    pub platform: Option<BTreeMap<Text, Placed<RawPlatform>>>,
    /// The image's name, without a tag.
    pub image: Option<Text>,
    /// Tags of `image`; `latest` when absent.
    pub tags: Option<Vec<Text>>,
    /// The stage that this one stands on: it replaces the FROM that names its image.
    pub from: Option<Text>,
    /// Context overlays: folders laid over the context, beside the graph file.
    pub overlays: Option<Vec<Text>>,
    /// Named contexts, by the name that the Dockerfile uses.
    pub contexts: Option<BTreeMap<Text, Placed<RawContext>>>,
    /// Secrets for RUN --mount=type=secret.
    pub secrets: Option<Vec<Placed<RawSecret>>>,
    /// Ids of ssh agents for RUN --mount=type=ssh.
    pub ssh: Option<Vec<Text>>,
    /// The network that RUN sees: `default`, `none` or `host`.
    pub network: Option<Text>,
    /// Further host names for RUN, with their addresses.
    pub add_hosts: Option<Texts>,
    /// The size of /dev/shm for RUN, such as `128m`.
    pub shm_size: Option<Text>,
    /// Resource limits for RUN, such as `nofile=1024:2048`.
    pub ulimit: Option<Vec<Text>>,
    /// How many of the `--jobs` places the build takes.
    pub weight: Option<Placed<i64>>,
    /// How many of its last images stay in the engine, so that they can be restored at once.
    pub keep: Option<Placed<i64>>,
    /// A command on the host that makes files of the context.
    pub prepare: Option<Placed<RawPrepare>>,
    /// The services of the running stack that use the image.
    pub services: Option<Vec<Text>>,
    /// The policy for its image, laid over the graph's own `[policy]`.
    pub policy: Option<RawPolicy>,
    /// Where the image is put: `engine`, `registry` or `oci`.
    pub output: Option<Text>,
    /// How its layers are compressed: `none`, `gzip` or `zstd`.
    pub compression: Option<Text>,
    /// Whether every build of the same inputs at the same commit gives the same digest.
    pub reproducible: Option<Placed<bool>>,
    /// Annotations of the published index.
    pub annotations: Option<Texts>,
    /// Whether `publish` attaches how the image was built; it does when absent.
    pub provenance: Option<bool>,
    /// Whether `publish` attaches a bill of materials.
    pub sbom: Option<bool>,
}

/// `[stage.NAME.platform."OS/ARCH"]`: what differs on one platform.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a platform's table"
)]
pub struct RawPlatform {
    /// The Dockerfile.
    pub dockerfile: Option<Text>,
    /// The Dockerfile stage to build.
    pub target: Option<Text>,
    /// Build arguments, laid over those of the stage.
    pub args: Option<Texts>,
    /// Context overlays, in place of those of the stage.
    pub overlays: Option<Vec<Text>>,
    /// The host command, in place of that of the stage.
    pub prepare: Option<Placed<RawPrepare>>,
}

/// A variable of `[vars]` whose value comes from the environment.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a table with `env` and perhaps `default`"
)]
pub struct RawVar {
    /// The environment variable.
    pub env: Option<Text>,
    /// The value if it is not set or empty.
    pub default: Option<Text>,
}

/// The part of `[profile.NAME]` that says which profiles it is laid over.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", expecting = "a profile's table")]
pub struct RawExtends {
    /// Profiles that are laid before this one.
    pub extends: Option<Vec<Text>>,
}

/// `[policy]` and `[stage.NAME.policy]`: the rules for images.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a policy's table"
)]
pub struct RawPolicy {
    /// How severe a breach of each rule is, by the rule's name: `deny`, `warn` or `off`.
    pub rules: Option<Texts>,
    /// The most that all layers of an image may hold, such as `1.2 GB`.
    pub max_size: Option<Text>,
    /// The most that a stage may add to the image that it stands on.
    pub max_added: Option<Text>,
    /// Files that may have the setuid or setgid bit.
    pub setuid: Option<Vec<Text>>,
    /// Labels that an image must have.
    pub labels: Option<Vec<Text>>,
    /// Environment variables that an image must set.
    pub env: Option<Vec<Text>>,
    /// Ports that it must expose, such as `5001/tcp`.
    pub ports: Option<Vec<Text>>,
    /// The entrypoint that it must have.
    pub entrypoint: Option<Vec<Text>>,
    /// Whether it must have a healthcheck.
    pub healthcheck: Option<bool>,
}

/// `[[policy.waive]]`: a breach that is tolerated until a date.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a table with `rule`, `why` and `until`"
)]
pub struct RawWaiver {
    /// The rule's name.
    pub rule: Option<Text>,
    /// The stage; all of them when absent.
    pub stage: Option<Text>,
    /// A pattern, as in a .dockerignore, of the paths in the image; all of them when absent.
    pub path: Option<Text>,
    /// Why the breach is tolerated.
    pub why: Option<Text>,
    /// The last day on which it holds.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub until: Option<Placed<toml::value::Datetime>>,
}

/// A named context: exactly one of `stage`, `image` and `path`.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a table with `stage`, `image` or `path`"
)]
pub struct RawContext {
    /// The image of another stage.
    pub stage: Option<Text>,
    /// An external image.
    pub image: Option<Text>,
    /// A folder, relative to the root of `source` or to the graph file's folder.
    pub path: Option<Text>,
    /// The source that `path` is in.
    pub source: Option<Text>,
}

/// A secret: its id, and where its value is found when the stage is built.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a table with `id` and `env` or `file`"
)]
pub struct RawSecret {
    /// The id that the Dockerfile names.
    pub id: Option<Text>,
    /// An environment variable that holds the value.
    pub env: Option<Text>,
    /// A file that holds the value.
    pub file: Option<Text>,
    /// Whether the stage can be built without it.
    pub optional: Option<bool>,
}

/// A command that runs on the host before the context is read.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a table with `run`, `inputs` and `outputs`"
)]
pub struct RawPrepare {
    /// The program and its arguments; no shell is involved.
    pub run: Option<Placed<Vec<Text>>>,
    /// Where `dir` starts: at the root of the stage's source, or at the graph file's folder.
    pub at: Option<Placed<RawAt>>,
    /// Files and folders that the command reads, relative to where it runs.
    pub inputs: Option<Vec<Text>>,
    /// Files and folders of the stage's source that the command reads as well.
    pub source_inputs: Option<Vec<Text>>,
    /// Patterns, as in a .dockerignore, of paths that are not inputs after all: files that the
    /// command itself writes among its inputs.
    pub ignore: Option<Vec<Text>>,
    /// Files that the command makes, relative to where it runs.
    pub outputs: Option<Placed<Vec<Text>>>,
    /// The folder it runs in, below `at`.
    pub dir: Option<Text>,
    /// Programs, and libraries as pkg-config names them, that it needs on the machine.
    pub needs: Option<Vec<Text>>,
}

/// Where a host command's folder starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RawAt {
    /// At the root of the stage's source.
    Source,
    /// At the graph file's folder.
    Graph,
}

/// `[source.NAME]`: a local checkout, or a git repository at a revision.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a source's table"
)]
pub struct RawSource {
    /// A checkout anywhere on this machine.
    pub path: Option<Text>,
    /// The URL of a git repository.
    pub git: Option<Text>,
    /// A tag, branch or commit of it.
    pub rev: Option<Text>,
    /// Other URLs of the same repository. They are asked before `git`, in this order.
    pub mirrors: Option<Vec<Text>>,
    /// Folders that every checkout of it has.
    pub layout: Option<Vec<Text>>,
}

/// `[base."REFERENCE"]`: a base override, for every stage that uses the image.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a base's table"
)]
pub struct RawBase {
    /// The reference of the same image elsewhere, such as at a mirror.
    pub image: Option<Text>,
    /// The stage whose image takes its place: an overlay built on it.
    pub stage: Option<Text>,
}

/// `[publish]`: how a release set is published.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "the table of publishing"
)]
pub struct RawPublish {
    /// Patterns of tags that never move once they are there.
    pub immutable: Option<Vec<Text>>,
    /// `host/path` where everything is put first.
    pub staging: Option<Text>,
    /// The form of attestations: `image`, `artifact` or `none`.
    pub attest: Option<Text>,
    /// The command that prints a bill of materials of the OCI layout `{layout}`.
    pub sbom_generator: Option<Vec<Text>>,
    /// `keyless`, or the key with which `cosign` signs.
    pub cosign: Option<Text>,
}

/// `[target.NAME]`: where releases go.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a target's table"
)]
pub struct RawTarget {
    /// `host/path`, below which every image keeps the last part of its name; its own name when
    /// absent.
    pub to: Option<Text>,
}

/// `[builder.NAME]`: a builder beside the engine's own.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a builder's table"
)]
pub struct RawBuilder {
    /// The docker context of an engine, whose own builder it is.
    pub context: Option<Text>,
    /// The name under which buildx has it.
    pub buildx: Option<Text>,
    /// `docker-container`: BuildKit in a container, which `setup` creates.
    pub driver: Option<Text>,
    /// BuildKit's image for that container; buildx's own choice when absent.
    pub image: Option<Text>,
    /// The platforms that it builds without emulation.
    pub platforms: Option<Vec<Text>>,
    /// How many places the stages that are built there share; 2 when absent.
    pub jobs: Option<Placed<i64>>,
    /// How strong it is beside the others; 1 when absent.
    pub weight: Option<Placed<i64>>,
}

/// `[registry]`: where images and records are shared.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a table with `url`"
)]
pub struct RawRegistry {
    /// `host/path`.
    pub url: Option<Text>,
    /// The public keys whose records are believed, or `any`.
    pub trust: Option<Vec<Text>>,
    /// How much of BuildKit's cache is kept there: `none`, `min` or `max`.
    pub cache: Option<Text>,
}

/// `[workflow]`: what the CI workflow is made of.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "the table of the workflow"
)]
pub struct RawWorkflow {
    /// The profiles with which CI builds.
    pub profiles: Option<Vec<Text>>,
    /// Patterns of branches whose pushes are published; `main` when absent.
    pub branches: Option<Vec<Text>>,
    /// Patterns of tags whose pushes are published; `v*` when absent.
    pub tags: Option<Vec<Text>>,
    /// The label of the runner for each platform.
    pub runners: Option<Texts>,
    /// Variables of the environment of every step.
    pub env: Option<Texts>,
}
