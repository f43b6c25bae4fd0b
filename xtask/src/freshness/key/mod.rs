//! The key: blake3 over all named ingredients of a stage.
//!
//! One walk over the ingredients feeds two sinks: the hash, and the list that a record keeps and
//! `explain` prints. Decides what counts and in which order; `planner` brings the values. See
//! DESIGN.md, *The key*.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::contexts::{EntryKind, Input, Inputs};

/// The format of the walk below. It is the first of a stage's own ingredients, so that a program
/// that counts differently never finds the records of another.
///
/// 1: the first.
/// 2: a stage's own part is hashed by itself, so that it can be remembered; spaces between the
///    words of an instruction, the names of Dockerfile stages, and settings that get into no image
///    no longer count; a file that is listed but not sent is told from one that is.
/// 3: variables that reach nothing, and the name of a target that is the last stage, no longer
///    count.
/// 4: variables that are named only in JSON, quotes or escapes count, and so do declared proxies of
///    docker's configuration. Images that were recorded before may be made of files that BuildKit
///    had kept from another build.
/// 5: extended attributes count.
/// 6: a stage counts for those that stand on it by the digest of its configuration, not by its id
///    in the engine's store.
pub const FORMAT: u32 = 6;

/// A stage's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub [u8; 32]);

impl Key {
    /// The 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        self.to_string()
    }

    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        blake3::Hash::from_hex(text)
            .ok()
            .map(|hash| Self(*hash.as_bytes()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::from_hex(&text)
            .ok_or_else(|| serde::de::Error::custom("a key is 64 hexadecimal digits"))
    }
}

/// What kind of thing an ingredient is. The order is the order of the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IngredientKind {
    /// An output setting that changes the image.
    Setting,
    /// An external image.
    Base,
    /// The image of another stage.
    Upstream,
    /// The format version.
    Format,
    /// A target platform.
    Platform,
    /// The Dockerfile's path, relative to its root.
    DockerfilePath,
    /// The Dockerfile's instructions that the target reaches.
    Dockerfile,
    /// The Dockerfile target.
    Target,
    /// A used build argument.
    Argument,
    /// An image label.
    Label,
    /// The id of a secret.
    Secret,
    /// The id of an ssh agent.
    Ssh,
    /// A named context and what stands behind it.
    Context,
    /// A remote ADD source.
    Remote,
    /// An entry of the build context.
    Input,
}

impl IngredientKind {
    /// Whether such an ingredient is decided outside the stage's own tree and tables.
    const fn is_around(self) -> bool {
        matches!(self, Self::Setting | Self::Base | Self::Upstream)
    }
}

/// A sink for the walk.
pub trait Sink {
    /// Takes one ingredient.
    fn take(&mut self, what: IngredientKind, name: &[u8], value: &[u8]);
}

/// What a stage's image is made of beside the stage's own part: images, which may be others at any
/// time, and this run's settings.
#[derive(Debug, Clone, Default)]
pub struct Around {
    /// Settings of this run that change the image, by name.
    pub settings: BTreeMap<String, String>,
    /// The digest of each external image, by reference.
    pub bases: BTreeMap<String, String>,
    /// The image digest of each upstream stage, by the name that the Dockerfile uses.
    pub upstream: BTreeMap<String, String>,
}

/// The hash of a stage's own part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own([u8; 32]);

/// Everything that a stage's image is made of. Every map is sorted, so that neither the order of
/// the file nor the number of threads shows.
#[derive(Debug, Default)]
pub struct Ingredients<'a> {
    /// The part that is not the stage's own.
    pub around: Around,
    /// Target platforms.
    pub platforms: &'a [String],
    /// The Dockerfile, relative to the root of its source.
    pub dockerfile_path: &'a str,
    /// The part of the Dockerfile that counts.
    pub dockerfile: &'a [u8],
    /// The Dockerfile target.
    pub target: Option<&'a str>,
    /// Used build arguments. `None` is an argument without a value, which differs from an empty
    /// one.
    pub args: BTreeMap<&'a str, Option<&'a str>>,
    /// Labels.
    pub labels: BTreeMap<&'a str, String>,
    /// Ids of secrets, never a value.
    pub secrets: BTreeSet<&'a str>,
    /// Ids of ssh agents.
    pub ssh: BTreeSet<&'a str>,
    /// The kind of each named context, by name.
    pub contexts: BTreeMap<&'a str, String>,
    /// The checksum of each remote ADD source; empty without one.
    pub remotes: BTreeMap<String, String>,
    /// Inputs by context. The main context has the empty name.
    pub inputs: Vec<(&'a str, &'a Inputs)>,
}

impl Around {
    fn walk(&self, sink: &mut impl Sink) {
        for (name, value) in &self.settings {
            sink.take(IngredientKind::Setting, name.as_bytes(), value.as_bytes());
        }
        for (reference, digest) in &self.bases {
            sink.take(
                IngredientKind::Base,
                reference.as_bytes(),
                digest.as_bytes(),
            );
        }
        for (name, digest) in &self.upstream {
            sink.take(IngredientKind::Upstream, name.as_bytes(), digest.as_bytes());
        }
    }
}

impl Ingredients<'_> {
    /// The walk. Nothing is hashed or listed anywhere else.
    pub fn walk(&self, sink: &mut impl Sink) {
        self.around.walk(sink);
        self.walk_own(sink);
    }

    fn walk_own(&self, sink: &mut impl Sink) {
        sink.take(IngredientKind::Format, b"", FORMAT.to_string().as_bytes());
        for platform in self.platforms {
            sink.take(IngredientKind::Platform, platform.as_bytes(), b"");
        }
        sink.take(
            IngredientKind::DockerfilePath,
            b"",
            self.dockerfile_path.as_bytes(),
        );
        sink.take(IngredientKind::Dockerfile, b"", self.dockerfile);
        if let Some(target) = self.target {
            sink.take(IngredientKind::Target, b"", target.as_bytes());
        }
        for (name, value) in &self.args {
            // A value is marked, so that "no value" and "the empty value" differ.
            let value = value.map_or_else(String::new, |value| format!("={value}"));
            sink.take(IngredientKind::Argument, name.as_bytes(), value.as_bytes());
        }
        for (name, value) in &self.labels {
            sink.take(IngredientKind::Label, name.as_bytes(), value.as_bytes());
        }
        for id in &self.secrets {
            sink.take(IngredientKind::Secret, id.as_bytes(), b"");
        }
        for id in &self.ssh {
            sink.take(IngredientKind::Ssh, id.as_bytes(), b"");
        }
        for (name, kind) in &self.contexts {
            sink.take(IngredientKind::Context, name.as_bytes(), kind.as_bytes());
        }
        for (url, checksum) in &self.remotes {
            sink.take(IngredientKind::Remote, url.as_bytes(), checksum.as_bytes());
        }
        let mut name = Vec::new();
        for (context, inputs) in &self.inputs {
            for input in &inputs.entries {
                name.clear();
                if !context.is_empty() {
                    // No path begins with NUL, so a named context cannot be taken for a folder.
                    name.push(0);
                    name.extend_from_slice(context.as_bytes());
                    name.push(0);
                }
                name.extend_from_slice(&input.path);
                sink.take(IngredientKind::Input, &name, &identity(input));
            }
        }
    }

    /// The hash of the stage's own part.
    pub fn own(&self) -> Own {
        let mut hash = HashSink::default();
        self.walk_own(&mut hash);
        hash.own()
    }

    /// The key.
    pub fn key(&self) -> Key {
        key(self.own(), &self.around)
    }

    /// The ingredients of the key, for a record.
    pub fn list(&self) -> Vec<Ingredient> {
        let mut list = ListSink(Vec::new());
        self.walk(&mut list);
        list.0
    }
}

/// The part of an input that counts. A folder's permission bits and extended attributes do not
/// count: BuildKit runs nothing again for them (ENGINE.md, *What BuildKit runs again*).
fn identity(input: &Input) -> Vec<u8> {
    let mut identity = identity_without_attributes(input);
    if let Some(attributes) = &input.attributes
        && input.kind != EntryKind::Unsent
    {
        // No link target contains a NUL, and neither does anything else here.
        identity.extend_from_slice(b"\0xattrs ");
        let hash = blake3::Hash::from_bytes(**attributes).to_hex();
        identity.extend_from_slice(hash.as_bytes());
    }
    identity
}

fn identity_without_attributes(input: &Input) -> Vec<u8> {
    let mode = input.mode;
    match &input.kind {
        EntryKind::File | EntryKind::Withheld => {
            let word = if input.kind == EntryKind::File {
                "file"
            } else {
                "withheld"
            };
            let mut identity = format!("{word} {mode:04o} ").into_bytes();
            let hash = input
                .hash
                .map(|hash| blake3::Hash::from_bytes(hash).to_hex());
            identity.extend_from_slice(hash.as_ref().map_or("", |hash| hash.as_str()).as_bytes());
            identity
        }
        EntryKind::Unsent => b"unsent".to_vec(),
        EntryKind::Dir => b"dir".to_vec(),
        EntryKind::Symlink { target } => [b"symlink ".as_slice(), target].concat(),
        other => format!("{other:?} {mode:04o}").to_lowercase().into_bytes(),
    }
}

/// One ingredient as a record keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingredient {
    /// Its kind.
    pub what: IngredientKind,
    /// Its name. Raw bytes, as a path may be any bytes.
    pub name: Vec<u8>,
    /// Its value. Raw bytes, as a link target may be any bytes.
    pub value: Vec<u8>,
}

/// The key of a stage whose own part is known already.
pub fn key(own: Own, around: &Around) -> Key {
    let mut hash = HashSink::default();
    around.walk(&mut hash);
    hash.key(own)
}

/// The key of the ingredients in a record. Hashing the list gives the same as the walk that made
/// it.
pub fn of_list(list: &[Ingredient]) -> Key {
    let mut hash = HashSink::default();
    for one in list {
        hash.take(one.what, &one.name, &one.value);
    }
    let own = hash.own();
    hash.key(own)
}

/// Hashes what is around and what is the stage's own apart.
#[derive(Default)]
struct HashSink {
    around: blake3::Hasher,
    own: blake3::Hasher,
}

impl HashSink {
    fn own(&self) -> Own {
        Own(*self.own.finalize().as_bytes())
    }

    /// The own part comes first. It always has the same length, so that the rest cannot be taken
    /// for it.
    fn key(&self, own: Own) -> Key {
        let mut hash = blake3::Hasher::new();
        hash.update(&own.0)
            .update(self.around.finalize().as_bytes());
        Key(*hash.finalize().as_bytes())
    }
}

impl Sink for HashSink {
    fn take(&mut self, what: IngredientKind, name: &[u8], value: &[u8]) {
        // Lengths go first, so that no two lists of ingredients give the same bytes.
        let mut head = [0; 17];
        head[0] = what as u8;
        head[1..9].copy_from_slice(&(name.len() as u64).to_le_bytes());
        head[9..].copy_from_slice(&(value.len() as u64).to_le_bytes());
        let hash = if what.is_around() {
            &mut self.around
        } else {
            &mut self.own
        };
        hash.update(&head).update(name).update(value);
    }
}

struct ListSink(Vec<Ingredient>);

impl Sink for ListSink {
    fn take(&mut self, what: IngredientKind, name: &[u8], value: &[u8]) {
        self.0.push(Ingredient {
            what,
            name: name.to_vec(),
            value: value.to_vec(),
        });
    }
}

#[cfg(test)]
mod tests;
