//! Layers that were read before, by digest.
//!
//! What a layer holds depends on its bytes alone, and what a rule finds in it on the rule's version:
//! both are kept, so that a base is not decompressed again for every image that stands on it. Knows
//! the folder and how it is kept small. Is unaware of what findings mean.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use camino::Utf8PathBuf;

use crate::outside::state::{self, State};
use crate::unpoisoned::Unpoisoned as _;
use crate::verify::layers::{ContentRule, Digest, Layer, LayeredImage};

/// The kind of the files.
const KIND: &str = "xtask-layer";
/// Their format. 1: the first.
const FORMAT: u32 = 1;
/// What no verification has used for so long goes.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The kept layers of one graph.
#[derive(Debug)]
pub struct KeptLayers {
    folder: Utf8PathBuf,
    /// Those that this run has used.
    used: Mutex<HashSet<Digest>>,
}

impl KeptLayers {
    /// Those of this state.
    pub fn of(state: &State) -> Self {
        Self {
            folder: state.path("verified").join("layers"),
            used: Mutex::default(),
        }
    }

    fn file(&self, digest: &Digest) -> Utf8PathBuf {
        self.folder.join(digest.hex())
    }

    /// A layer at which all of these rules looked. What cannot be used is read again.
    pub fn get(&self, digest: &Digest, rules: &[Box<dyn ContentRule>]) -> Option<Arc<Layer>> {
        let sealed = state::read(&self.file(digest)).ok()??;
        let content = state::unseal(KIND, FORMAT, &sealed).ok()?;
        let layer = Layer::of_bytes(content)?;
        let is_it = layer.digest == *digest && layer.was_seen_by(rules);
        is_it.then(|| {
            self.used().insert(*digest);
            Arc::new(layer)
        })
    }

    fn used(&self) -> std::sync::MutexGuard<'_, HashSet<Digest>> {
        self.used.lock().unpoisoned()
    }

    /// Keeps the layers of these images, and lets go of those that nothing has used for a month. It is
    /// no fault where that cannot be done.
    pub fn keep<'i>(&self, images: impl Iterator<Item = &'i LayeredImage>) {
        for layer in images.flat_map(|image| &image.layers) {
            let file = self.file(&layer.digest);
            if self.used().insert(layer.digest) {
                if let Some(bytes) = layer.to_bytes() {
                    let _ = state::write_sealed(&file, KIND, FORMAT, &[&bytes]);
                }
            } else {
                // Its time says that it is used.
                let file = std::fs::File::options().write(true).open(&file);
                let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
            }
        }
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten() {
            let modified = entry.metadata().and_then(|meta| meta.modified());
            let age = modified.ok().and_then(|time| time.elapsed().ok());
            if age.is_some_and(|age| age > UNUSED) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}
