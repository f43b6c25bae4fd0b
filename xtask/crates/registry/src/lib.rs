//! Asks registries about images: the reading half of the distribution spec
//! (opencontainers/distribution-spec).
//!
//! The crate finds the digest that a tag points to, and the manifests and configurations behind it.
//! Every body is checked against its digest. Logins come from docker's config and its helpers,
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

mod challenge;
mod endpoint;
mod error;
mod helper;
mod keyring;
mod manifest;
mod net;
mod pass;
mod patience;
mod proxy;
mod settings;
mod talk;
mod text;
mod transport;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use camino::Utf8PathBuf;
use rayon::prelude::*;
use ureq::http::Method;

pub use error::{RegistryError, Trouble};
pub use patience::Patience;
pub use settings::Settings;

use endpoint::Endpoint;
use keyring::Keyring;
use manifest::{Config, Entry, Manifest};
use reference::Reference;
use reference::is_sha256;
use transport::Transport;

/// The size of manifests, in bytes, that the distribution spec asks every registry to accept. No
/// image comes near it.
const MANIFEST: u64 = 4 << 20;
/// Larger than any image's configuration, in bytes.
const CONFIG: u64 = 8 << 20;
/// More entries than the index of any image has.
const IMAGES: usize = 128;

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
    /// Values of the `Authorization` header, by host and repository.
    passes: Mutex<HashMap<(String, String), String>>,
    /// The way in which a host turned out to listen, if several are allowed.
    ways: Mutex<HashMap<String, talk::Way>>,
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
            passes: Mutex::default(),
            ways: Mutex::default(),
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
            let path = format!("manifests/{tag}");
            // Registries with rate limits do not count a HEAD.
            let head = self.ask(reference, endpoint, effort, Method::HEAD, &path, MANIFEST);
            let head = match head {
                Err(Trouble::Status {
                    status: 400 | 405 | 501,
                    ..
                }) => None,
                other => Some(other?),
            };
            let digest = head.as_ref().and_then(|head| head.header(DIGEST));
            if let (Some(head), Some(digest)) = (&head, digest.filter(|digest| is_sha256(digest))) {
                return Ok(Tag {
                    digest: digest.to_owned(),
                    modified: head.header("last-modified").and_then(calendar::http),
                });
            }
            let (body, modified) = self.body(reference, endpoint, effort, &path, None)?;
            Ok(Tag {
                digest: manifest::digest(&body),
                modified,
            })
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
                let why = format!("`{}` is no SHA-256 digest", text::short(digest));
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
                        trouble,
                    });
                }
                Err(_) => {}
            }
        }
    }

    /// A body that was checked against its digest, and when it was last changed. Without a
    /// `digest`, as for a tag, the body is checked against the digest that the registry sends with
    /// it.
    fn body(
        &self,
        reference: &Reference,
        endpoint: &Endpoint,
        effort: Effort,
        path: &str,
        digest: Option<&str>,
    ) -> Result<(Vec<u8>, Option<i64>), Trouble> {
        let limit = if path.starts_with("blobs/") {
            CONFIG
        } else {
            MANIFEST
        };
        self.persist(&endpoint.host, effort, || {
            let answer = self.ask_once(reference, endpoint, effort, Method::GET, path, limit)?;
            let is = manifest::digest(&answer.body);
            let named = answer.header(DIGEST).filter(|digest| is_sha256(digest));
            if let Some(wanted) = digest.or(named).filter(|wanted| *wanted != is) {
                return Err(Trouble::Wrong(format!(
                    "it should have the digest {wanted}, but the {} bytes that came have {is}",
                    answer.body.len()
                )));
            }
            let modified = answer.header("last-modified").and_then(calendar::http);
            Ok((answer.body, modified))
        })
    }

    fn settings(&self) -> &Settings {
        self.settings.get_or_init(&self.source)
    }

    fn keyring(&self) -> &Keyring {
        self.keyring
            .get_or_init(|| Keyring::read(self.config.as_deref()))
    }
}

const DIGEST: &str = "docker-content-digest";

/// The images behind one digest, at one server.
struct Images<'a> {
    registries: &'a Registries,
    reference: &'a Reference,
    endpoint: &'a Endpoint,
    effort: Effort,
}

impl Images<'_> {
    fn all(&self, digest: &str) -> Result<Found, Trouble> {
        let entries = match self.manifest(digest)? {
            Manifest::Image { .. } => {
                vec![Entry {
                    digest: digest.to_owned(),
                    platform: None,
                }]
            }
            Manifest::Index(entries) if entries.is_empty() => {
                return Err(Trouble::Useless("its index lists no image".to_owned()));
            }
            Manifest::Index(entries) if entries.len() > IMAGES => {
                return Err(Trouble::Useless(format!(
                    "its index lists {} images",
                    entries.len()
                )));
            }
            Manifest::Index(entries) => entries,
        };
        let configs = entries
            .par_iter()
            .map(|entry| self.config(&entry.digest))
            .collect::<Result<Vec<_>, _>>()?;
        let mut found = Found {
            digest: digest.to_owned(),
            platforms: BTreeMap::new(),
            onbuild: configs.iter().any(|config| config.onbuild),
            created: BTreeMap::new(),
        };
        let mut twice = BTreeSet::new();
        for (entry, config) in entries.into_iter().zip(configs) {
            let Some(platform) = entry.platform.or(config.platform) else {
                continue;
            };
            let created = config.created.as_deref().and_then(calendar::rfc3339);
            found
                .created
                .extend(created.map(|at| (platform.clone(), at)));
            let earlier = found
                .platforms
                .insert(platform.clone(), entry.digest.clone());
            if earlier.is_some_and(|earlier| earlier != entry.digest) {
                twice.insert(platform);
            }
        }
        found
            .platforms
            .retain(|platform, _| !twice.contains(platform));
        Ok(found)
    }

    fn manifest(&self, digest: &str) -> Result<Manifest, Trouble> {
        let body = self.get(&format!("manifests/{digest}"), digest)?;
        manifest::read(&body).map_err(Trouble::Useless)
    }

    fn config(&self, digest: &str) -> Result<Config, Trouble> {
        let Manifest::Image { config } = self.manifest(digest)? else {
            return Err(Trouble::Useless("its index lists another index".to_owned()));
        };
        let body = self.get(&format!("blobs/{config}"), &config)?;
        manifest::read_config(&body).map_err(Trouble::Useless)
    }

    fn get(&self, path: &str, digest: &str) -> Result<Vec<u8>, Trouble> {
        let Self {
            registries,
            reference,
            endpoint,
            effort,
        } = self;
        let got = registries.body(reference, endpoint, *effort, path, Some(digest));
        got.map(|(body, _)| body)
    }
}
