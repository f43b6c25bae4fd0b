//! `build-graph.lock`: the digests that external images are pinned to, and the commits of sources.
//!
//! Knows the file and how a reference finds its entry; is unaware of registries.

pub mod sources;

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::dockerfile::reference;
use crate::fault::{Fault, Result};
use crate::spec::names;
use crate::state;

const VERSION: u32 = 1;
const HEAD: &str = "# Written by `cargo xtask`: what sources and external images are pinned to. Commit this file.\n";

/// The pins of one graph.
#[derive(Debug, Clone, Default)]
pub struct Lock {
    path: Utf8PathBuf,
    bases: BTreeMap<String, Base>,
    sources: BTreeMap<String, sources::Source>,
}

/// The pin of one external image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Whether builds on it run ONBUILD triggers, which may read any file of their context.
    /// Always written, and in front of the digest: a file that was cut short must not say that
    /// there are none.
    pub onbuild: bool,
    /// The digest that the tag pointed to: of an index, or of a manifest.
    pub digest: String,
    /// The manifest of each platform.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub platforms: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    #[serde(default, rename = "source", skip_serializing_if = "BTreeMap::is_empty")]
    sources: BTreeMap<String, sources::Source>,
    #[serde(default, rename = "base", skip_serializing_if = "BTreeMap::is_empty")]
    bases: BTreeMap<String, Base>,
}

impl Lock {
    /// Reads the lock beside a graph file; none there is an empty one.
    pub fn beside(graph: &Utf8Path) -> Result<Self> {
        Self::at(graph.with_extension("lock"))
    }

    fn at(path: Utf8PathBuf) -> Result<Self> {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self {
                    path,
                    ..Self::default()
                });
            }
            Err(error) => return Err(Fault::usage(format!("cannot read {path}: {error}"))),
        };
        let remedy = "take the version that is committed, or remove it";
        let file: File = toml::from_str(&text)
            .map_err(|error| Fault::usage(format!("{path} is not a lock file: {error}{remedy}")))?;
        let digests = file.bases.values().flat_map(|base| {
            let platforms = base.platforms.values();
            std::iter::once(&base.digest).chain(platforms)
        });
        if let Some(wrong) = digests.into_iter().find(|digest| !is_digest(digest)) {
            let wrong = names::short(wrong);
            return Err(Fault::usage(format!(
                "{path} is not a lock file: `{wrong}` is no digest; {remedy}"
            )));
        }
        if let Some(wrong) = file.sources.values().find_map(sources::Source::mistake) {
            let wrong = names::short(wrong);
            return Err(Fault::usage(format!(
                "{path} is not a lock file: `{wrong}` is no commit; {remedy}"
            )));
        }
        if file.version != VERSION {
            let version = file.version;
            return Err(Fault::usage(format!(
                "{path} has version {version}, and this program reads {VERSION}"
            )));
        }
        Ok(Self {
            path,
            bases: file.bases,
            sources: file.sources,
        })
    }

    /// The digest that `reference` is pinned to. One that names a digest is its own pin.
    pub fn digest(&self, reference: &str) -> Option<String> {
        let reference = reference::normalise(reference)?;
        if let Some(digest) = &reference.digest {
            return Some(digest.clone());
        }
        self.bases
            .get(&reference.canonical())
            .map(|base| base.digest.clone())
    }

    /// Whether builds on `reference` run triggers; `None` when it has no entry.
    pub fn has_triggers(&self, reference: &str) -> Option<bool> {
        let name = reference::normalise(reference)?.canonical();
        self.bases.get(&name).map(|base| base.onbuild)
    }

    /// Pins `reference` and writes the file.
    pub fn pin(&mut self, reference: &str, base: Base) -> Result<()> {
        let name = reference::normalise(reference)
            .map_or_else(|| reference.to_owned(), |known| known.canonical());
        self.bases.insert(name, base);
        self.write()
    }

    fn write(&self) -> Result<()> {
        let file = File {
            version: VERSION,
            sources: self.sources.clone(),
            bases: self.bases.clone(),
        };
        let fault = |error: &dyn std::fmt::Display| {
            Fault::lacks(format!("cannot write {}: {error}", self.path))
        };
        let text = toml::to_string(&file).map_err(|error| fault(&error))?;
        state::write_atomically(&self.path, format!("{HEAD}{text}").as_bytes())
            .map_err(|error| fault(&error))
    }
}

fn is_digest(text: &str) -> bool {
    let is_hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(is_hex))
}

#[cfg(test)]
mod tests;
