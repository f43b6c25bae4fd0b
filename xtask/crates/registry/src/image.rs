//! Reads the images behind one digest, at one server: the manifest of each platform, and what its
//! configuration says.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::endpoint::Endpoint;
use super::error::Trouble;
use super::manifest::{self, Config, Entry, Manifest};
use super::{CONFIG, Effort, Found, MANIFEST, Registries};
use reference::Reference;

/// More entries than the index of any image has.
const IMAGES: usize = 128;

/// The images behind one digest, at one server.
pub struct Images<'a> {
    /// All registries.
    pub registries: &'a Registries,
    /// The repository.
    pub reference: &'a Reference,
    /// The server.
    pub endpoint: &'a Endpoint,
    /// How hard to try.
    pub effort: Effort,
}

impl Images<'_> {
    /// All images of an index, or the only one.
    pub fn all(&self, digest: &str) -> Result<Found, Trouble> {
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
        let body = self.get(&format!("manifests/{digest}"), MANIFEST, digest)?;
        manifest::read(&body).map_err(Trouble::Useless)
    }

    fn config(&self, digest: &str) -> Result<Config, Trouble> {
        let Manifest::Image { config } = self.manifest(digest)? else {
            return Err(Trouble::Useless("its index lists another index".to_owned()));
        };
        let body = self.get(&format!("blobs/{config}"), CONFIG, &config)?;
        manifest::read_config(&body).map_err(Trouble::Useless)
    }

    fn get(&self, path: &str, limit: u64, digest: &str) -> Result<Vec<u8>, Trouble> {
        let Self {
            registries,
            reference,
            endpoint,
            effort,
        } = self;
        let got = registries.body(reference, endpoint, *effort, path, limit, Some(digest));
        got.map(|got| got.bytes)
    }
}
