//! Asks registries about images, and pushes blobs and manifests: pull and push of the distribution
//! spec (opencontainers/distribution-spec), without referrers. It also lists the tags of a repository,
//! and removes manifests.
//!
//! The crate finds the digest that a tag points to, and the manifests and configurations behind it;
//! mirrors may answer. It also reads and writes exact blobs and manifests, for which only the
//! registry itself is asked, as a mirror may lag. Every body is checked against its digest. Logins come from docker's config and its helpers,
//! mirrors and insecure hosts from the engine's settings, proxies from the environment. Nothing of
//! this is set up before the first question.
//!
//! ```no_run
//! use registry::{Effort, Patience, Registries, Settings};
//! let registries = Registries::new(
//!     Patience::default(),
//!     Some("/root/.docker".into()),
//!     Settings::default,
//!     |notice| eprintln!("{notice}"),
//! );
//! let image = reference::normalise("python:3.12").unwrap();
//! let found = registries.look_up(&image, Effort::Full)?;
//! println!("{} for {:?}", found.digest, found.platforms.keys());
//! # Ok::<(), registry::RegistryError>(())
//! ```

mod body;
mod broken;
mod challenge;
mod endpoint;
mod error;
mod exact;
mod hash;
mod helper;
mod image;
mod keyring;
mod manifest;
mod net;
mod pass;
mod passes;
mod patience;
mod proxy;
mod push;
mod removal;
mod settings;
mod talk;
mod telling;
#[cfg(test)]
mod tests;
mod text;
mod transport;
mod way;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use camino::Utf8PathBuf;

pub use error::{Obstacle, RegistryError, Right, Trouble};
pub use exact::ManifestBody;
pub use patience::Patience;
pub use push::Mount;
pub use settings::Settings;

use endpoint::Endpoint;
use image::Images;
use keyring::Keyring;
use passes::Passes;
use reference::Reference;
use reference::is_sha256;
use transport::Transport;

/// The size of manifests, in bytes, that the distribution spec asks every registry to accept. No
/// image comes near it.
const MANIFEST: u64 = 4 << 20;
/// Larger than any image's configuration, in bytes.
const CONFIG: u64 = 8 << 20;

/// The digest that a tag points to now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The digest of an index or of a manifest.
    pub digest: String,
    /// When the tag was last changed, as the registry says, in seconds since 1970.
    pub modified: Option<i64>,
}

/// An image, or one image for each of several platforms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The digest of an index or of a manifest.
    pub digest: String,
    /// The manifest of each platform; platforms are in normal form. A platform that an index has
    /// twice (for two versions of Windows) is left out, as the build chooses between them by the
    /// index.
    pub platforms: BTreeMap<String, String>,
    /// Whether any of the images has ONBUILD triggers.
    pub onbuild: bool,
    /// When the image of each platform was made, in seconds since 1970, if the image says so.
    pub created: BTreeMap<String, i64>,
}

/// How hard to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Within all limits: the answer is needed.
    Full,
    /// Once and briefly: there is another way.
    Brief,
}

type Source = Box<dyn Fn() -> Settings + Send + Sync>;
type Notice = Box<dyn Fn(&str) + Send + Sync>;

/// All registries.
pub struct Registries {
    source: Source,
    notice: Notice,
    settings: OnceLock<Settings>,
    config: Option<Utf8PathBuf>,
    keyring: OnceLock<Keyring>,
    transport: Transport,
    patience: Patience,
    passes: Passes,
    /// The way in which a host turned out to listen, if several are allowed.
    ways: Mutex<HashMap<String, way::Way>>,
    uploads: push::Uploads,
}

impl fmt::Debug for Registries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registries")
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

/// Locks what a panic leaves usable: each lock is held only around whole insertions.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registries {
    /// `config` is the folder of docker's config file, `source` gives the engine's settings, and
    /// `notice` gets a message before every further attempt.
    pub fn new(
        patience: Patience,
        config: Option<Utf8PathBuf>,
        source: impl Fn() -> Settings + Send + Sync + 'static,
        notice: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        Self {
            source: Box::new(source),
            notice: Box::new(notice),
            settings: OnceLock::new(),
            config,
            keyring: OnceLock::new(),
            transport: Transport::new(patience.limits()),
            patience,
            passes: Passes::default(),
            ways: Mutex::default(),
            uploads: push::Uploads::default(),
        }
    }

    /// The digest that a reference points to now. If the reference has a digest, that is the
    /// answer.
    pub fn tag(&self, reference: &Reference, effort: Effort) -> Result<Tag, RegistryError> {
        if let Some(digest) = &reference.digest {
            return Ok(Tag {
                digest: digest.clone(),
                modified: None,
            });
        }
        let tag = reference.tag.as_deref().unwrap_or("latest");
        self.somewhere(reference, effort, |endpoint, effort| {
            self.tag_at(reference, endpoint, effort, tag)
        })
    }

    /// The image behind `digest`, in the repository of `reference`.
    pub fn image(
        &self,
        reference: &Reference,
        digest: &str,
        effort: Effort,
    ) -> Result<Found, RegistryError> {
        self.somewhere(reference, effort, |endpoint, effort| {
            if !is_sha256(digest) {
                let why = format!("`{}` is not a SHA-256 digest", text::short(digest));
                return Err(Trouble::Useless(why));
            }
            let ask = Images {
                registries: self,
                reference,
                endpoint,
                effort,
            };
            ask.all(digest)
        })
    }

    /// The image that a reference points to now.
    pub fn look_up(&self, reference: &Reference, effort: Effort) -> Result<Found, RegistryError> {
        let tag = self.tag(reference, effort)?;
        self.image(reference, &tag.digest, effort)
    }

    /// Asks the mirrors in their order, then the registry itself, whose answer is final.
    fn somewhere<T>(
        &self,
        reference: &Reference,
        effort: Effort,
        ask: impl Fn(&Endpoint, Effort) -> Result<T, Trouble>,
    ) -> Result<T, RegistryError> {
        let mut endpoints = endpoint::all(reference, self.settings())
            .into_iter()
            .peekable();
        loop {
            let Some(endpoint) = endpoints.next() else {
                return Err(RegistryError {
                    image: reference.familiar(),
                    host: reference.registry.clone(),
                    right: Right::LookUp,
                    trouble: Trouble::Missing,
                });
            };
            let is_last = endpoints.peek().is_none();
            let answer = ask(&endpoint, if is_last { effort } else { Effort::Brief });
            match answer {
                Ok(answer) => return Ok(answer),
                Err(trouble) if is_last => {
                    return Err(RegistryError {
                        image: reference.familiar(),
                        host: endpoint.host,
                        right: Right::LookUp,
                        trouble,
                    });
                }
                Err(_) => {}
            }
        }
    }

    /// How many HTTP requests were made so far, all kinds counted: questions, tokens, redirects,
    /// further attempts, and those without an answer.
    pub fn requests(&self) -> u64 {
        self.transport.begun()
    }

    fn settings(&self) -> &Settings {
        self.settings.get_or_init(&self.source)
    }

    fn keyring(&self) -> &Keyring {
        self.keyring
            .get_or_init(|| Keyring::read(self.config.as_deref()))
    }
}
