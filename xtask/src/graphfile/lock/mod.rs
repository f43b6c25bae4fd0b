//! `build-graph.lock`: the digests that external images are pinned to, and the commits of sources.
//! Digests come from the caller: registries are not asked here.

pub mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Result};
use crate::graphfile::call::Call;
use crate::outside::state;
use crate::shown;
use reference::is_sha256;

const VERSION: u32 = 1;
const HEAD: &str = "# Written by `cargo xtask`: what sources and external images are pinned to. Commit this file.\n";

/// The pins of one graph.
#[derive(Debug, Clone, Default)]
pub struct Lock {
    path: Utf8PathBuf,
    pins: Pins,
    /// How to call the program on the lock's graph.
    call: Call,
    /// Whether the file stays as it is, whatever is pinned.
    is_in_memory: bool,
}

/// What the file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Pins {
    sources: BTreeMap<String, sources::LockedSource>,
    /// By canonical reference.
    bases: BTreeMap<String, Base>,
}

/// The pin of one external image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Whether builds on it run ONBUILD triggers, which may read any file of their context. Always
    /// written, and before the digest: a file that was cut short must not say that there are no
    /// triggers.
    pub onbuild: bool,
    /// The digest that the tag pointed to: of an index, or of a manifest.
    pub digest: String,
    /// A hash over the rest of the entry. It reveals an edit by hand, after which the manifests may
    /// be those of another index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// The manifest of each platform.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub platforms: BTreeMap<String, String>,
}

impl Base {
    /// The entry for a registry's answer.
    pub fn new(onbuild: bool, digest: String, platforms: BTreeMap<String, String>) -> Self {
        let mut base = Self {
            onbuild,
            digest,
            check: None,
            platforms,
        };
        base.check = Some(base.right_check());
        base
    }

    fn right_check(&self) -> String {
        let rest = format!("{:?}", (self.onbuild, &self.digest, &self.platforms));
        blake3::hash(rest.as_bytes()).to_hex()[..16].to_owned()
    }

    /// Whether the entry was changed without its check.
    pub fn is_edited(&self) -> bool {
        let check = self.check.as_deref();
        check.is_some_and(|check| check != self.right_check())
    }

    /// Whether the manifests certainly belong to the digest.
    pub fn is_whole(&self) -> bool {
        self.check.is_some() && !self.is_edited()
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    #[serde(default, rename = "source", skip_serializing_if = "BTreeMap::is_empty")]
    sources: BTreeMap<String, sources::LockedSource>,
    #[serde(default, rename = "base", skip_serializing_if = "BTreeMap::is_empty")]
    bases: BTreeMap<String, Base>,
}

impl Lock {
    /// Reads the lock beside a graph file. A missing file is an empty lock.
    pub fn beside(graph: &Utf8Path) -> Result<Self> {
        let path = graph.with_extension("lock");
        let pins = Pins::read(&path)?;
        Ok(Self {
            path,
            pins,
            call: Call::default(),
            is_in_memory: false,
        })
    }

    /// Keeps further pins in memory: a trial changes no file.
    pub const fn keep_in_memory(&mut self) {
        self.is_in_memory = true;
    }

    /// Whether the file stays as it is.
    pub const fn is_in_memory(&self) -> bool {
        self.is_in_memory
    }

    /// Sets how to call the program on the lock's graph.
    #[must_use]
    pub fn called(self, call: Call) -> Self {
        Self { call, ..self }
    }

    /// Reads the file again: another run may have written it.
    pub fn reload(&mut self) -> Result<()> {
        if self.is_in_memory {
            return Ok(());
        }
        self.pins = Pins::read(&self.path)?;
        Ok(())
    }

    /// The file.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// All external images, by canonical reference.
    pub const fn bases(&self) -> &BTreeMap<String, Base> {
        &self.pins.bases
    }

    /// All pinned external images, in their full spelling.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.pins.bases.keys().map(String::as_str)
    }

    /// The entry of `reference`. If the reference has a digest, an entry for another digest does
    /// not count.
    pub fn base(&self, reference: &str) -> Option<&Base> {
        let reference = reference::normalise(reference)?;
        let base = self.pins.bases.get(&reference.canonical())?;
        let own = reference.digest.as_ref();
        own.is_none_or(|own| *own == base.digest).then_some(base)
    }

    /// The digest that `reference` is pinned to. A reference with a digest is its own pin.
    pub fn digest(&self, reference: &str) -> Option<String> {
        let own = || reference::normalise(reference)?.digest;
        own().or_else(|| Some(self.base(reference)?.digest.clone()))
    }

    /// The part of `reference` that can change a build for `platforms`: the manifests of these
    /// platforms alone. An index that changed for other platforms leaves it as it was. It is the
    /// digest of the whole if no platforms are given, if the entry lacks one of them, or if the
    /// entry was written or edited by hand: that digest is what is built on.
    pub fn digest_for(&self, reference: &str, platforms: &BTreeSet<String>) -> Option<String> {
        let whole = self.base(reference).filter(|base| base.is_whole());
        let manifests = whole.and_then(|base| {
            let each = platforms.iter().map(|platform| {
                let digest = base.platforms.get(platform)?;
                Some((platform, digest))
            });
            each.collect::<Option<Vec<_>>>()
        });
        match manifests.as_deref() {
            None | Some([]) => self.digest(reference),
            Some([(_, digest)]) => Some((*digest).clone()),
            Some(several) => {
                let shown = several
                    .iter()
                    .map(|(platform, digest)| format!("{platform} {digest}"));
                Some(shown.collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// Whether builds on `reference` run ONBUILD triggers; `None` if it has no entry.
    pub fn has_triggers(&self, reference: &str) -> Option<bool> {
        self.base(reference).map(|base| base.onbuild)
    }

    /// Pins more external images, by canonical reference, and writes the file. Entries that another
    /// process wrote meanwhile stay.
    pub fn pin(&mut self, more: BTreeMap<String, Base>) -> Result<()> {
        self.reload()?;
        let mut pins = self.pins.clone();
        pins.bases.extend(more);
        self.write(pins).map(drop)
    }

    /// Replaces all pinned external images by `bases` and writes the file. Returns whether anything
    /// changed.
    pub fn replace(&mut self, bases: BTreeMap<String, Base>) -> Result<bool> {
        self.reload()?;
        let sources = self.pins.sources.clone();
        self.write(Pins { sources, bases })
    }

    fn write(&mut self, pins: Pins) -> Result<bool> {
        if pins == self.pins {
            return Ok(false);
        }
        if self.is_in_memory {
            self.pins = pins;
            return Ok(true);
        }
        let fault = |error: &dyn std::fmt::Display| {
            Fault::lacks(format!("cannot write {}: {error}", self.path))
        };
        let file = File {
            version: VERSION,
            sources: pins.sources.clone(),
            bases: pins.bases.clone(),
        };
        let text = toml::to_string(&file).map_err(|error| fault(&error))?;
        state::write_atomically(&self.path, format!("{HEAD}{text}").as_bytes()).map_err(
            |error| match error.kind() {
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                    self.lock_first(&error)
                }
                _ => fault(&error),
            },
        )?;
        self.pins = pins;
        Ok(true)
    }
}

impl Lock {
    /// The fault if the file may not be written: such a user needs a complete one.
    fn lock_first(&self, error: &std::io::Error) -> Fault {
        Fault::lacks(format!(
            "cannot write {}: {error}; it does not pin all that is used, so lock first: run `{}` where the file can be written, and commit it",
            self.path,
            self.call.command("lock")
        ))
    }
}

impl Pins {
    fn read(path: &Utf8Path) -> Result<Self> {
        let text = match state::read_text(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Self::default());
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
        if let Some(wrong) = digests.into_iter().find(|digest| !is_sha256(digest)) {
            let wrong = shown::short(wrong);
            return Err(Fault::usage(format!(
                "{path} is not a lock file: `{wrong}` is not a digest; {remedy}"
            )));
        }
        if let Some(wrong) = file
            .sources
            .values()
            .find_map(sources::LockedSource::mistake)
        {
            let wrong = shown::short(wrong);
            return Err(Fault::usage(format!(
                "{path} is not a lock file: `{wrong}` is not a commit; {remedy}"
            )));
        }
        if file.version != VERSION {
            let version = file.version;
            return Err(Fault::usage(format!(
                "{path} has version {version}, and this program reads {VERSION}: use the version of this program that wrote it"
            )));
        }
        Ok(Self {
            sources: file.sources,
            bases: file.bases,
        })
    }
}

#[cfg(test)]
mod tests;
