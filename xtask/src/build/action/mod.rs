//! One buildx call as data: a pure function makes the argv of `docker buildx build` from what was
//! decided before.

pub mod csv;

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use crate::graphfile::spec::shipping::{LayerCompression, Shipping};
use crate::graphfile::spec::{SecretPlace, Spec, Stage};
use crate::outside::private;

/// A name under which BuildKit finds exactly the external image that is in the key: the pinned
/// digest, or, for an image that the engine has under the id `held`, a name that no registry and no
/// later tag can point to another image. (By its own name, BuildKit would ask the registry first
/// and mix the registry's answer with the local image.)
pub fn exact_base(reference: &str, pin: Option<&str>, held: Option<&str>) -> Option<String> {
    let bare = reference.split_once('@');
    let bare = bare.map_or(reference, |(bare, _)| bare);
    let pinned = pin.map(|digest| format!("{bare}@{digest}"));
    pinned.or_else(|| held.map(private::base))
}

/// What a buildx call is made from.
#[derive(Debug)]
pub struct CallParts<'a> {
    /// For the roots of secret files.
    pub spec: &'a Spec,
    /// The stage.
    pub stage: &'a Stage,
    /// The beginning of the call, which says where it runs.
    pub program: Vec<String>,
    /// The platform of a stage that names none, if the builder must be told.
    pub platform: Option<&'a str>,
    /// The Dockerfile.
    pub dockerfile: &'a Utf8Path,
    /// The folder that is sent.
    pub context: &'a Utf8Path,
    /// All build arguments, the volatile ones too.
    pub args: &'a BTreeMap<String, String>,
    /// All labels, the volatile ones too.
    pub labels: &'a BTreeMap<String, String>,
    /// The ids of secrets whose value is absent.
    pub absent: Vec<&'a str>,
    /// Named contexts: their names, and what buildx takes for each.
    pub contexts: BTreeMap<String, String>,
    /// Where the image is put.
    pub destination: Destination<'a>,
    /// Where BuildKit's cache of the stage is kept in the registry, if it is.
    pub cache: Option<CachePlace>,
    /// Where buildx writes what it made. A call that outlives its killed build still writes there,
    /// so each call has a file of its own.
    pub metadata: &'a Utf8Path,
}

/// Where BuildKit's cache of one stage and platform is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachePlace {
    /// `host/path:tag`.
    pub reference: String,
    /// What is written there: `min` or `max`. `None` if it is only read.
    pub write: Option<&'static str>,
}

impl CachePlace {
    /// Its flags (docs.docker.com/build/cache/backends/registry).
    fn flags(&self) -> Vec<String> {
        let from = csv::row([("type", "registry"), ("ref", &self.reference)]);
        let mut flags = vec![format!("--cache-from={from}")];
        if let Some(mode) = self.write {
            let to = csv::row([
                ("type", "registry"),
                ("ref", &self.reference),
                ("mode", mode),
                // A cache that cannot be written fails no build.
                ("ignore-error", "true"),
            ]);
            flags.push(format!("--cache-to={to}"));
        }
        flags
    }
}

/// Where a call puts the image.
#[derive(Debug, Clone)]
pub enum Destination<'a> {
    /// Into the engine's store, under these references.
    Engine {
        /// The references.
        references: Vec<String>,
        /// How layers are compressed. The classic store keeps its layers as it likes.
        compression: LayerCompression,
    },
    /// Into the OCI layout in this folder.
    Layout {
        /// The folder.
        folder: &'a Utf8Path,
        /// The form of the image.
        shipping: Shipping,
    },
}

impl Destination<'_> {
    /// Its flags (docs.docker.com/build/exporters).
    fn flags(&self) -> Vec<String> {
        match self {
            Self::Engine {
                references,
                compression,
            } => {
                let mut row = vec![("type", "docker"), ("compression", compression.word())];
                if *compression == LayerCompression::Zstd {
                    // Docker's own media types have none for it.
                    row.push(("oci-mediatypes", "true"));
                }
                let output = format!("--output={}", csv::row(row));
                let tags = references.iter();
                let tags = tags.map(|reference| format!("--tag={reference}"));
                std::iter::once(output).chain(tags).collect()
            }
            Self::Layout { folder, shipping } => {
                let mut row = vec![
                    ("type", "oci"),
                    ("dest", folder.as_str()),
                    ("tar", "false"),
                    ("compression", shipping.compression().word()),
                    // Else BuildKit takes layers as earlier builds have left them, and the digest
                    // would hang on its history.
                    ("force-compression", "true"),
                ];
                if shipping.reproducible {
                    row.push(("rewrite-timestamp", "true"));
                }
                vec![format!("--output={}", csv::row(row))]
            }
        }
    }
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The stage's name, for people.
    pub stage: String,
    /// The program's arguments; the program is `docker`.
    pub argv: Vec<String>,
    /// The file that buildx writes its metadata to.
    pub metadata: Utf8PathBuf,
}

impl Action {
    /// The same call, without BuildKit's cache.
    #[must_use]
    pub fn without_cache(&self) -> Self {
        let mut action = self.clone();
        // Before `--`: what follows is no flag.
        let end = action.argv.iter().position(|argument| argument == "--");
        let end = end.unwrap_or(action.argv.len());
        action.argv.insert(end, "--no-cache".to_owned());
        action
    }
}

/// The beginning of every call.
pub fn program(docker_context: Option<&str>) -> Vec<String> {
    // The engine's own builder: only it sees the images of the engine's store. The one that the user
    // chose by `docker buildx use` may be another.
    let context = docker_context.map(|context| format!("--context={context}"));
    let builder = format!("--builder={}", docker_context.unwrap_or("default"));
    let rest = ["buildx".into(), "build".into(), builder];
    context.into_iter().chain(rest).collect()
}

/// The flags that decide what a Dockerfile means.
pub fn question(
    stage: &Stage,
    dockerfile: &Utf8Path,
    args: &BTreeMap<String, String>,
    contexts: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut flags = vec![format!("--file={dockerfile}")];
    flags.extend(
        stage
            .target
            .iter()
            .map(|target| format!("--target={target}")),
    );
    if !stage.platforms.is_empty() {
        flags.push(format!("--platform={}", stage.platforms.join(",")));
    }
    let args = args.iter();
    flags.extend(args.map(|(name, value)| format!("--build-arg={name}={value}")));
    let contexts = contexts.iter();
    flags.extend(contexts.map(|(name, value)| format!("--build-context={name}={value}")));
    flags
}

/// The call for a stage.
///
/// `--provenance=false`: a default attestation would give the image another id on every
/// build, even a fully cached one (ENGINE.md, *What buildx gives*).
pub fn build(parts: &CallParts<'_>) -> Action {
    let stage = parts.stage;
    let mut argv = parts.program.clone();
    let mut push = |text: &str| argv.push(text.to_owned());
    push("--progress=rawjson");
    push("--provenance=false");
    push(&format!("--metadata-file={}", parts.metadata));
    for flag in question(stage, parts.dockerfile, parts.args, &parts.contexts) {
        push(&flag);
    }
    if let (true, Some(platform)) = (stage.platforms.is_empty(), parts.platform) {
        push(&format!("--platform={platform}"));
    }
    for (name, value) in parts.labels {
        push(&format!("--label={name}={value}"));
    }
    for flag in stage.run.flags() {
        push(&flag);
    }
    for (id, secret) in &stage.secrets {
        let root = &parts.spec.root;
        if parts.absent.contains(&id.as_str()) {
            continue;
        }
        let place = match &secret.place {
            SecretPlace::Env(variable) => ("env", variable.clone()),
            SecretPlace::File(file) => ("src", root.join(file).into_string()),
        };
        let row = csv::row([("id", id.as_str()), (place.0, &place.1)]);
        push(&format!("--secret={row}"));
    }
    for id in &stage.ssh {
        push(&format!("--ssh={id}"));
    }
    for flag in parts.destination.flags() {
        push(&flag);
    }
    for flag in parts.cache.iter().flat_map(CachePlace::flags) {
        push(&flag);
    }
    push("--");
    push(parts.context.as_str());
    Action {
        stage: stage.name.clone(),
        argv,
        metadata: parts.metadata.to_owned(),
    }
}
