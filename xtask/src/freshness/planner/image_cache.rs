//! What the engine has said of images in this run, for all threads that ask. An answer holds until
//! something is built.

use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Workspace;
use crate::fault::Result;
use crate::outside::engine::{Image, Images};
use crate::unpoisoned::Unpoisoned as _;

/// The answers so far.
#[derive(Debug, Default)]
pub struct ImageCache {
    images: RwLock<Images>,
}

impl ImageCache {
    /// The first answers.
    pub fn new(images: Images) -> Self {
        Self {
            images: RwLock::new(images),
        }
    }

    /// All answers. The guard must not be held while anything runs that may ask for more.
    pub fn images(&self) -> RwLockReadGuard<'_, Images> {
        self.images.read().unpoisoned()
    }

    /// The image under a reference. `None` if there is none, or the engine was not asked for it.
    pub fn get(&self, reference: &str) -> Option<Arc<Image>> {
        self.images().get(reference).cloned().flatten()
    }

    /// Adds answers, which replace older ones.
    pub fn extend(&self, more: Images) {
        self.write().extend(more);
    }

    /// Forgets an answer, so that the engine is asked again.
    pub fn forget(&self, reference: &str) {
        self.write().remove(reference);
    }

    /// Asks for those references that were not asked for yet.
    pub fn ask_for<'r>(
        &self,
        work: &Workspace,
        references: impl Iterator<Item = &'r String>,
    ) -> Result<()> {
        let missing: Vec<String> = {
            let known = self.images();
            let missing = references.filter(|reference| !known.contains_key(*reference));
            missing.cloned().collect()
        };
        if !missing.is_empty() {
            self.extend(work.images(&missing)?);
        }
        Ok(())
    }

    fn write(&self) -> RwLockWriteGuard<'_, Images> {
        self.images.write().unpoisoned()
    }
}
