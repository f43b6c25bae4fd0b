//! Indexes, manifests and configurations (opencontainers/image-spec), and the list of images that
//! `docker save` writes. Only the fields that are used are read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::strict::{self, or_empty};

/// Keys of indexes and manifests.
const KEYS: &[&str] = &[
    "manifests",
    "layers",
    "config",
    "digest",
    "mediaType",
    "urls",
    "platform",
    "annotations",
    "architecture",
    "os",
    "variant",
];
/// Keys of configurations.
const CONFIG_KEYS: &[&str] = &[
    "architecture",
    "os",
    "variant",
    "created",
    "config",
    "rootfs",
    "diff_ids",
    "history",
    "created_by",
    "empty_layer",
    "User",
    "Env",
    "Labels",
    "Entrypoint",
    "Cmd",
    "WorkingDir",
    "ExposedPorts",
    "Volumes",
    "Healthcheck",
    "Test",
    "OnBuild",
];
/// Keys of the list that `docker save` writes.
const SAVED_KEYS: &[&str] = &["Config", "RepoTags", "Layers"];

/// A reference from one document to another blob.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) media_type: String,
    pub(super) digest: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) urls: Vec<String>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) platform: Option<Platform>,
}

/// The platform that an image is for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Platform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default, deserialize_with = "or_empty")]
    variant: String,
}

impl Platform {
    pub(super) fn text(&self) -> String {
        platform(&self.os, &self.architecture, &self.variant)
    }
}

fn platform(os: &str, architecture: &str, variant: &str) -> String {
    let variant = if variant.is_empty() {
        String::new()
    } else {
        format!("/{variant}")
    };
    format!("{os}/{architecture}{variant}")
}

impl Descriptor {
    pub(super) fn digest(&self) -> Result<Digest, String> {
        self.digest.parse()
    }

    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(String::as_str)
    }

    /// Whether this describes an attestation about an image, and not an image.
    pub(super) fn is_attestation(&self) -> bool {
        let platform = self.platform.as_ref().map(Platform::text);
        self.annotations.contains_key("vnd.docker.reference.type")
            || platform.as_deref() == Some("unknown/unknown")
    }
}

/// An index or a manifest.
pub(super) enum Manifest {
    Index(Vec<Descriptor>),
    Image {
        config: Descriptor,
        layers: Vec<Descriptor>,
    },
}

impl Manifest {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Raw {
            manifests: Option<Vec<Descriptor>>,
            config: Option<Descriptor>,
            layers: Option<Vec<Descriptor>>,
        }
        let raw: Raw = strict::read(bytes, KEYS)?;
        match (raw.manifests, raw.config, raw.layers) {
            (Some(manifests), None, None) => Ok(Self::Index(manifests)),
            (None, Some(config), Some(layers)) => Ok(Self::Image { config, layers }),
            _ => Err("is neither an index nor a manifest".to_owned()),
        }
    }
}

/// One image of the list that `docker save` writes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Saved {
    pub(super) config: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) layers: Vec<String>,
}

impl Saved {
    pub(super) fn read(bytes: &[u8]) -> Result<Vec<Self>, String> {
        strict::read(bytes, SAVED_KEYS)
    }
}

/// What an image's configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageFacts {
    /// The machine: `amd64`.
    pub architecture: String,
    /// The system: `linux`.
    pub os: String,
    /// The machine's variant: `v7`.
    pub variant: Option<String>,
    /// When the image was made, as RFC 3339.
    pub created: Option<String>,
    /// USER; empty is root.
    pub user: String,
    /// ENV: `NAME=value`.
    pub env: Vec<String>,
    /// LABEL.
    pub labels: BTreeMap<String, String>,
    /// ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// CMD.
    pub cmd: Vec<String>,
    /// WORKDIR; empty is the root.
    pub working_dir: String,
    /// EXPOSE: `5001/tcp`.
    pub exposed_ports: Vec<String>,
    /// VOLUME.
    pub volumes: Vec<String>,
    /// ONBUILD: what a build on this image runs. The history does not list it.
    pub on_build: Vec<String>,
    /// The words of HEALTHCHECK, `CMD` or `CMD-SHELL` first. `NONE` alone switches it off.
    pub healthcheck: Option<Vec<String>>,
    /// The instructions that made the image, the base's first.
    pub history: Vec<Instruction>,
    /// Digests of the layers' uncompressed archives.
    pub diff_ids: Vec<Digest>,
}

/// An instruction in the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instruction {
    /// The text that the builder wrote.
    #[serde(default, deserialize_with = "or_empty")]
    pub created_by: String,
    /// `buildkit.dockerfile.v0` for instructions of BuildKit.
    #[serde(default, deserialize_with = "or_empty")]
    pub comment: String,
    /// When the instruction ran.
    #[serde(default)]
    pub created: Option<String>,
    /// Whether the instruction made no layer.
    #[serde(default)]
    pub empty_layer: bool,
}

impl ImageFacts {
    /// `linux/arm64/v8`.
    pub fn platform(&self) -> String {
        platform(
            &self.os,
            &self.architecture,
            self.variant.as_deref().unwrap_or_default(),
        )
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let raw: RawConfig = strict::read(bytes, CONFIG_KEYS)?;
        if !raw.rootfs.kind.is_empty() && raw.rootfs.kind != "layers" {
            return Err("has a root file system of an unknown type".to_owned());
        }
        let settings = raw.config.unwrap_or_default();
        Ok(Self {
            architecture: raw.architecture,
            os: raw.os,
            variant: raw.variant.filter(|variant| !variant.is_empty()),
            created: raw.created,
            user: settings.user,
            env: settings.env,
            labels: settings.labels,
            entrypoint: settings.entrypoint,
            cmd: settings.cmd,
            working_dir: settings.working_dir,
            exposed_ports: settings.exposed_ports.into_keys().collect(),
            volumes: settings.volumes.into_keys().collect(),
            on_build: settings.on_build,
            healthcheck: settings.healthcheck.map(|check| check.test),
            history: raw.history,
            diff_ids: raw.rootfs.diff_ids,
        })
    }

    /// For each layer the number of the instruction that made it, if the history names it.
    pub fn instructions(&self) -> Vec<Option<usize>> {
        let made = self.history.iter().enumerate();
        let made: Vec<usize> = made
            .filter(|(_, step)| !step.empty_layer)
            .map(|(number, _)| number)
            .collect();
        if made.len() == self.diff_ids.len() {
            made.into_iter().map(Some).collect()
        } else {
            vec![None; self.diff_ids.len()]
        }
    }
}

#[derive(Deserialize)]
struct RawConfig {
    #[serde(default, deserialize_with = "or_empty")]
    architecture: String,
    #[serde(default, deserialize_with = "or_empty")]
    os: String,
    #[serde(default)]
    variant: Option<String>,
    #[serde(default)]
    created: Option<String>,
    #[serde(default)]
    config: Option<Settings>,
    rootfs: RootFs,
    #[serde(default, deserialize_with = "or_empty")]
    history: Vec<Instruction>,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "or_empty")]
    diff_ids: Vec<Digest>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Settings {
    #[serde(deserialize_with = "or_empty")]
    user: String,
    #[serde(deserialize_with = "or_empty")]
    env: Vec<String>,
    #[serde(deserialize_with = "or_empty")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_empty")]
    entrypoint: Vec<String>,
    #[serde(deserialize_with = "or_empty")]
    cmd: Vec<String>,
    #[serde(deserialize_with = "or_empty")]
    working_dir: String,
    #[serde(deserialize_with = "or_empty")]
    exposed_ports: BTreeMap<String, serde_json::Value>,
    #[serde(deserialize_with = "or_empty")]
    volumes: BTreeMap<String, serde_json::Value>,
    #[serde(deserialize_with = "or_empty")]
    on_build: Vec<String>,
    healthcheck: Option<Healthcheck>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Healthcheck {
    #[serde(default, deserialize_with = "or_empty")]
    test: Vec<String>,
}
