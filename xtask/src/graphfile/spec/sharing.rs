//! `[registry]`: where images and records are shared, and whose records are believed.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::check::GraphReader;
use super::mistakes::Mistake;
use super::names;
use super::raw::{RawRegistry, Text};

/// The registry in which a graph's images and records are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sharing {
    /// `host/path`.
    pub url: String,
    /// Whose records are believed.
    pub trust: Trust,
    /// How much of BuildKit's cache is kept there.
    pub cache: SharedCache,
}

impl Sharing {
    /// The repository of images.
    pub fn images(&self) -> String {
        format!("{}/images", self.url)
    }

    /// The repository of records.
    pub fn records(&self) -> String {
        format!("{}/records", self.url)
    }

    /// The repository of BuildKit's cache.
    pub fn cache(&self) -> String {
        format!("{}/cache", self.url)
    }
}

/// Whose records are believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trust {
    /// Nobody's but those that are signed with the key of this machine.
    #[default]
    Own,
    /// Those of these public keys (ed25519, RFC 8032).
    Keys(Vec<[u8; 32]>),
    /// Everybody's who can write to the registry.
    Anybody,
}

/// How much of BuildKit's cache is kept in the registry (docs.docker.com/build/cache/backends).
/// Nothing in it is signed: whoever can write to the registry can put other layers there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SharedCache {
    /// Nothing.
    #[default]
    None,
    /// The layers of the images.
    Min,
    /// The layers of all steps.
    Max,
}

impl GraphReader<'_, '_> {
    /// Checks `[registry]`.
    pub(super) fn sharing(&mut self, raw: RawRegistry) -> Option<Sharing> {
        let url = raw
            .url
            .and_then(|url| self.text("registry url", url, registry_url));
        let trust = raw
            .trust
            .map_or_else(Trust::default, |keys| self.trust(keys));
        let kinds = [
            ("none", SharedCache::None),
            ("min", SharedCache::Min),
            ("max", SharedCache::Max),
        ];
        let cache = raw
            .cache
            .and_then(|text| self.one_of("cache", &text, &kinds));
        Some(Sharing {
            url: url?,
            trust,
            cache: cache.unwrap_or_default(),
        })
    }

    fn trust(&mut self, texts: Vec<Text>) -> Trust {
        if let [only] = texts.as_slice()
            && only.get_ref() == "any"
        {
            return Trust::Anybody;
        }
        let mut keys = Vec::new();
        for text in texts {
            match public_key(text.get_ref()) {
                Some(key) => keys.push(key),
                None => {
                    let title = "a trusted key must be a public key".to_owned();
                    let label = "expected `ed25519:` and 44 characters";
                    let help = "`cargo xtask key FILE` makes a key and prints its public half; \
                                `trust = [\"any\"]` believes everybody who can write to the registry";
                    let mistake = Mistake::at(text.span(), title, label);
                    self.mistakes.push(mistake.help(help));
                }
            }
        }
        Trust::Keys(keys)
    }
}

/// How a public key begins.
const ED25519: &str = "ed25519:";

/// Reads a public key.
pub fn public_key(text: &str) -> Option<[u8; 32]> {
    let bytes = BASE64_STANDARD.decode(text.strip_prefix(ED25519)?).ok()?;
    bytes.try_into().ok()
}

/// A public key as text.
pub fn public_key_text(key: &[u8]) -> String {
    format!("{ED25519}{}", BASE64_STANDARD.encode(key))
}

/// `host/path`: an image name whose host is written out.
fn registry_url(text: &str) -> Result<(), String> {
    names::image(text)?;
    let host = text.split('/').next().unwrap_or_default();
    if text.contains('/') && (host == "localhost" || host.contains(['.', ':'])) {
        Ok(())
    } else {
        Err("must be HOST/PATH, such as ghcr.io/example/dify".into())
    }
}
